package flood

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"casemate/bench/load"
)

// Result is P10.
type Result struct {
	Goodput, P99  load.Ratio // of the victim, with the flood over without
	Alone, Beside time.Duration
	Control       float64 // p99 without the flood against itself
	Refused       int     // of the flood, in the last part
	Served        int
	Grown         int64 // bytes of resident memory that the node grew by
}

// Measure lets the victim run alone, flooded, flooded and alone, reps times, each part for d.
func Measure(ctx context.Context, pid int, victim, flooder Stream, reps int, d time.Duration) (r Result, err error) {
	v, err := victim.open(ctx)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, v.close()) }()
	f, err := flooder.open(ctx)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	warm, err := v.run(ctx, d)
	if err != nil {
		return r, err
	}
	if warm.Goodput() < 0.5 {
		return r, fmt.Errorf("the victim alone gets %d of %d, and by status %v", warm.Good, warm.Due, warm.Others)
	}
	before, err := resident(pid)
	if err != nil {
		return r, err
	}
	var good, late, control, alone, beside []float64
	for range reps {
		var parts [4]Seen
		for i, flooded := range [4]bool{false, true, true, false} {
			if parts[i], err = part(ctx, v, f, d, flooded, &r); err != nil {
				return r, err
			}
		}
		p := func(i int) float64 { return parts[i].P99.Seconds() }
		good = append(good, (parts[1].Goodput()+parts[2].Goodput())/(parts[0].Goodput()+parts[3].Goodput()))
		late = append(late, (p(1)+p(2))/(p(0)+p(3)))
		control = append(control, p(3)/p(0))
		alone, beside = append(alone, (p(0)+p(3))/2), append(beside, (p(1)+p(2))/2)
	}
	after, err := resident(pid)
	r.Goodput, r.P99, r.Control, r.Grown = load.Median(good), load.Median(late), load.Median(control).Median, after-before
	r.Alone, r.Beside = time.Duration(load.Median(alone).Median*1e9), time.Duration(load.Median(beside).Median*1e9)
	return r, err
}

func part(ctx context.Context, v, f *lines, d time.Duration, flooded bool, r *Result) (Seen, error) {
	if !flooded {
		return v.run(ctx, d)
	}
	type end struct {
		seen Seen
		err  error
	}
	ended := make(chan end, 1)
	go func() {
		s, err := f.run(ctx, d)
		ended <- end{s, err}
	}()
	s, err := v.run(ctx, d)
	flood := <-ended
	r.Served, r.Refused = flood.seen.Good, flood.seen.Others[429]
	return s, errors.Join(err, flood.err)
}

// resident is the memory of one process in bytes (proc(5)).
func resident(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0, fmt.Errorf("not a process: %q", text)
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}
