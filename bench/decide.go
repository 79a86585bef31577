package main

import (
	"context"
	"fmt"

	"casemate/bench/decide"
	"casemate/bench/load"
)

// measureDecide is the half of P3 that is about policies: growth from 100 to 10,000 of them.
func measureDecide(ctx context.Context, o options) ([]Line, error) {
	r, err := decide.Measure(ctx, o.reps)
	if err != nil {
		return nil, err
	}
	noisy := load.Noisy(r.Control)
	detail := fmt.Sprintf("p99 %v at 100, %v at 10,000, %v by a scan of 10,000", r.Few, r.Many, r.Scan)
	return []Line{
		{ID: "P3", What: "decision (p99) at 10,000 policies over 100", Figure: r.Growth.Median, Min: r.Growth.Min, Max: r.Growth.Max, Unit: "ratio", Bar: "<= 2.00",
			Reached: r.Growth.Median <= 2, Noisy: noisy, Control: r.Control, Detail: detail},
		{ID: "P3", What: "scan of 10,000 policies over a decision (p99)", Figure: r.Faster.Median, Min: r.Faster.Min, Max: r.Faster.Max, Unit: "ratio", Bar: ">= 100",
			Reached: r.Faster.Median >= 100, Noisy: noisy, Control: r.Control, Detail: detail},
	}, nil
}
