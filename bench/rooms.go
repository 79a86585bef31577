package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"casemate/bench/cold"
	"casemate/bench/guest"
	"casemate/bench/intake"
	"casemate/bench/load"
)

// measureGuest is P2: an event in an instance that is rewound, in the jailed worker, against plain wazero in one process.
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
		add := func(what, unit, bar string, reached bool, v guest.Ratio) {
			lines = append(lines, Line{ID: "P2", What: what + ", " + r.Guest, Figure: v.Median, Min: v.Min, Max: v.Max, Unit: unit, Bar: bar, Reached: reached, Noisy: r.Noisy, Control: v.Control,
				Detail: fmt.Sprintf("worker %.0f us (+ node %.0f) against %.0f us reused, %.0f us fresh", r.Worker, r.Node, r.Reuse, r.Fresh)})
		}
		switch r.Guest {
		case "Go reactor":
			add("rewound over plain reuse", "ratio", "<= 2.5", r.OverReuse.Median <= 2.5, r.OverReuse)
			add("cheaper than a plain fresh start", "times", ">= 100", r.Cheaper.Median >= 100, r.Cheaper)
		case "Go command":
			add("cheaper than a plain fresh start", "times", "-", false, r.Cheaper)
		default:
			add("CPU of the worker", "us", "<= 25", r.Worker <= 25, guest.Ratio{Median: r.Worker, Min: r.Worker, Max: r.Worker, Control: r.Cheaper.Control})
		}
	}
	for _, l := range res.LeftOut {
		fmt.Fprintf(os.Stderr, "*** left out of P2: %s\n", l)
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
		what, most := "cold start (%s) over the bare runtime's, %s", 1.40
		if r.Pooled {
			what, most = "start from the pool (%s) over the bare runtime's cold one, %s", 0.35
			if strings.HasPrefix(r.Runtime, "provided") {
				most = 1.40 // its own start remains
			}
		}
		for _, k := range []struct {
			name string
			cold.Figure
			bar string
		}{{"wall", r.Wall, fmt.Sprintf("<= %.2f", most)}, {"CPU", r.CPU, "-"}} {
			lines = append(lines, Line{ID: "P6", What: fmt.Sprintf(what, k.name, r.Runtime), Figure: k.Ratio, Min: k.Min, Max: k.Max, Unit: "ratio", Bar: k.bar,
				Reached: k.Ratio <= most, Noisy: k.Noisy, Control: k.Control, Detail: fmt.Sprintf("%.1f ms against %.1f ms", k.Subject, k.Figure.Floor)})
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
	var over, raw, control []float64
	var last intake.Result
	for range o.reps {
		if last, err = intake.Measure(ctx, dir, 6, 256); err != nil {
			return nil, err
		}
		over, raw, control = append(over, last.OverJetStream), append(raw, last.OverRaw), append(control, last.Control)
	}
	oj, or, c := load.Median(over), load.Median(raw), load.Median(control)
	noisy := c.Median < 0.85 || c.Median > 1.18
	return []Line{
		{ID: "P7", What: "durable intake, 256 writers, over sync-always", Figure: oj.Median, Min: oj.Min, Max: oj.Max, Unit: "ratio", Bar: ">= 8", Reached: oj.Median >= 8, Noisy: noisy, Control: c.Median,
			Detail: fmt.Sprintf("last pass %.0f/s, p50 %s, p99 %s", last.Intake.PerSecond, last.Intake.P50.Round(10*time.Microsecond), last.Intake.P99.Round(10*time.Microsecond))},
		{ID: "P7", What: "durable intake over raw group commit", Figure: or.Median, Min: or.Min, Max: or.Max, Unit: "ratio", Bar: "-", Noisy: noisy, Control: c.Median,
			Detail: fmt.Sprintf("raw %.0f/s", last.Raw.PerSecond)},
	}, nil
}
