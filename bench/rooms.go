package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"casemate/bench/cold"
	"casemate/bench/guest"
	"casemate/bench/intake"
)

// measureGuest is P2's beginning: a fresh instance in the jailed worker against plain wazero in one process.
func measureGuest(ctx context.Context, o options) ([]Line, error) {
	bin, err := filepath.Abs(o.casemate)
	if err != nil {
		return nil, err
	}
	res, err := guest.Measure(ctx, bin, o.reps)
	if err != nil {
		return nil, err
	}
	var lines []Line
	for _, r := range res.Rows {
		lines = append(lines, Line{ID: "P2", What: "fresh instance over plain wazero's, " + r.Guest, Figure: r.Ratio, Min: r.Min, Max: r.Max, Unit: "ratio", Bar: "-", Noisy: r.Noisy, Control: r.Control,
			Detail: fmt.Sprintf("worker %.0f us + node %.0f us against %.0f us", r.Worker, r.Node, r.Floor)})
	}
	return lines, nil
}

// measureCold is P6.
func measureCold(ctx context.Context, o options) ([]Line, error) {
	res, err := cold.Measure(ctx, o.reps)
	if err != nil {
		return nil, err
	}
	var lines []Line
	for _, r := range res.Rows {
		for _, k := range []struct {
			name string
			cold.Figure
			bar string
		}{{"wall", r.Wall, "<= 1.40"}, {"CPU", r.CPU, "-"}} {
			lines = append(lines, Line{ID: "P6", What: "cold start (" + k.name + ") over the bare runtime's, " + r.Runtime, Figure: k.Ratio, Min: k.Min, Max: k.Max, Unit: "ratio", Bar: k.bar,
				Reached: k.Ratio <= 1.40, Noisy: k.Noisy, Control: k.Control, Detail: fmt.Sprintf("%.1f ms against %.1f ms", k.Subject, k.Figure.Floor)})
		}
	}
	for _, l := range res.LeftOut {
		fmt.Fprintf(os.Stderr, "*** left out of P6: %s\n", l)
	}
	return lines, nil
}

// measureIntake is P7.
func measureIntake(ctx context.Context, o options) ([]Line, error) {
	dir, err := os.MkdirTemp(".", ".bench-intake-") // the disk of this folder, not a memory file system
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	res, err := intake.Measure(ctx, dir, 3*o.reps, 256)
	if err != nil {
		return nil, err
	}
	noisy := res.Control < 0.5 || res.Control > 2
	return []Line{
		{ID: "P7", What: "durable intake, 256 writers, over sync-always", Figure: res.OverJetStream, Min: res.OverJetStream, Max: res.OverJetStream, Unit: "ratio", Bar: ">= 8", Reached: res.OverJetStream >= 8, Noisy: noisy, Control: res.Control,
			Detail: fmt.Sprintf("%.0f/s, p50 %s, p99 %s", res.Intake.PerSecond, res.Intake.P50, res.Intake.P99)},
		{ID: "P7", What: "durable intake over raw group commit", Figure: res.OverRaw, Min: res.OverRaw, Max: res.OverRaw, Unit: "ratio", Bar: "-", Noisy: noisy, Control: res.Control,
			Detail: fmt.Sprintf("raw %.0f/s", res.Raw.PerSecond)},
	}, nil
}
