package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"casemate/bench/cold"
	"casemate/bench/door"
	"casemate/bench/guest"
	"casemate/bench/intake"
	"casemate/bench/load"
	"casemate/bench/walls"
)

// measureGuest is P2: an event in the jailed worker, its rewind included, against plain wazero in one process.
func measureGuest(ctx context.Context, o options) ([]Line, error) {
	bin, err := filepath.Abs(o.casemate)
	if err != nil {
		return nil, err
	}
	res, err := guest.Measure(ctx, bin, o.reps)
	if err != nil {
		return nil, err
	}
	leftOut("P2", res.LeftOut)
	var lines []Line
	for _, r := range res.Rows {
		detail := fmt.Sprintf("worker %.0f us + node %.0f us; plain: fresh %.0f us, reused %.0f us", r.Worker, r.Node, r.Fresh, r.Reuse)
		if r.Why != "" {
			detail += "; not rewound: " + r.Why
		}
		line := func(what string, x guest.Ratio, bar string, reached bool) {
			lines = append(lines, Line{ID: "P2", What: what + ", " + r.Guest, Figure: x.Median, Min: x.Min, Max: x.Max, Unit: "ratio", Bar: bar, Reached: reached, Noisy: r.Noisy, Control: x.Control, Detail: detail})
		}
		if r.Reuse > 0 {
			line("rewound over plain reuse", r.OverReuse, "<= 2.50", r.OverReuse.Median <= 2.5)
		}
		bar, reached := "-", false
		if r.Guest == "Go reactor" { // a command initialises in every event: there is nothing to snapshot
			bar, reached = ">= 100", r.Cheaper.Median >= 100
		}
		line("plain fresh start over rewound", r.Cheaper, bar, reached)
		if strings.HasPrefix(r.Guest, "small") {
			lines = append(lines, Line{ID: "P2", What: "CPU of the worker for an event, " + r.Guest, Figure: r.Worker, Unit: "us", Bar: "<= 25", Reached: r.Worker <= 25, Noisy: r.Noisy, Control: r.Cheaper.Control, Detail: detail})
		}
	}
	return lines, nil
}

// measureCold is P6, with nothing prepared and from the pool.
func measureCold(ctx context.Context, o options) ([]Line, error) {
	res, err := cold.Measure(ctx, o.reps)
	if err != nil {
		return nil, err
	}
	leftOut("P6", res.LeftOut)
	var lines []Line
	for _, r := range res.Rows {
		what, bar := "nothing prepared", 1.15
		if r.Pooled {
			what, bar = "from the pool", 0.35
		}
		for _, k := range []struct {
			name string
			load.Figure
			bar string
		}{{"wall", r.Wall, fmt.Sprintf("<= %.2f", bar)}, {"CPU", r.CPU, "-"}} {
			lines = append(lines, Line{ID: "P6", What: "first answer (" + k.name + ") over the bare runtime's, " + r.Runtime + ", " + what, Figure: k.Ratio, Min: k.Min, Max: k.Max, Unit: "ratio", Bar: k.bar,
				Reached: k.Ratio <= bar, Noisy: k.Noisy, Control: k.Control, Detail: fmt.Sprintf("%.1f ms against %.1f ms", k.Subject, k.Figure.Floor)})
		}
	}
	return lines, nil
}

// measureWalls is P12.
func measureWalls(ctx context.Context, o options) ([]Line, error) {
	res, err := walls.Run(ctx, o.reps)
	if err != nil {
		return nil, err
	}
	var lines []Line
	for _, r := range res.Rows {
		l := Line{ID: "P12", What: "inside the walls over outside (CPU), " + r.Work, Figure: r.CPU.Ratio, Min: r.CPU.Min, Max: r.CPU.Max, Unit: "ratio", Bar: "-", Noisy: r.CPU.Noisy, Control: r.CPU.Control,
			Detail: fmt.Sprintf("%.2f us against %.2f us a round, opened files watched: %t", r.CPU.Subject/1000, r.CPU.Floor/1000, res.Seen)}
		if r.Limit > 0 {
			l.Bar, l.Reached = fmt.Sprintf("<= %.2f", r.Limit), r.CPU.Ratio <= r.Limit
		}
		lines = append(lines, l)
	}
	return lines, nil
}

// measureDoor is what the way out costs.
func measureDoor(ctx context.Context, o options) ([]Line, error) {
	rows, err := door.Measure(ctx, o.reps, o.weak)
	if err != nil {
		return nil, err
	}
	var lines []Line
	for _, r := range rows {
		l := Line{ID: "door", What: "through the door over directly, " + r.What, Figure: r.Ratio, Min: r.Min, Max: r.Max, Unit: "ratio", Bar: "<= 1.30", Reached: r.Ratio <= 1.3, Noisy: r.Noisy, Control: r.Control,
			Detail: fmt.Sprintf("%.3g against %.3g %s", r.Subject, r.Floor, r.Unit)}
		if r.Unit == "MiB/s" {
			l.Bar, l.Reached = ">= 0.70", r.Ratio >= 0.7
		}
		lines = append(lines, l)
	}
	return lines, nil
}

func leftOut(id string, what []string) {
	for _, l := range what {
		fmt.Fprintf(os.Stderr, "*** left out of %s: %s\n", id, l)
	}
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
	noisy := load.Noisy(c.Median)
	return []Line{
		{ID: "P7", What: "durable intake, 256 writers, over sync-always", Figure: oj.Median, Min: oj.Min, Max: oj.Max, Unit: "ratio", Bar: ">= 8", Reached: oj.Median >= 8, Noisy: noisy, Control: c.Median,
			Detail: fmt.Sprintf("last pass %.0f/s, p50 %s, p99 %s", last.Intake.PerSecond, last.Intake.P50.Round(10*time.Microsecond), last.Intake.P99.Round(10*time.Microsecond))},
		{ID: "P7", What: "durable intake over raw group commit", Figure: or.Median, Min: or.Min, Max: or.Max, Unit: "ratio", Bar: "-", Noisy: noisy, Control: c.Median,
			Detail: fmt.Sprintf("raw %.0f/s", last.Raw.PerSecond)},
	}, nil
}
