// Package cold measures promise P6: what a native cold start costs, to the first byte of the answer, over the bare
// runtime's own start. The floor is the interpreter (or a compiled program) started with nothing around it, which dials
// a unix socket and writes one line; for the compiled function there is a second floor, itself at a Runtime API that does
// nothing else. The subject is a whole run of a fresh sandbox, jail, Runtime API, bootstrap, handler and accounting
// included. It is measured twice: with nothing prepared, and from the pool of waiting sandboxes, where each start finds
// the pool full: what fills it again is not part of an answer.
package cold

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"casemate"
	"casemate/bench/load"
	"casemate/sandbox"
)

// Result is one measurement: a row for each runtime that this machine has.
type Result struct {
	Rows    []Row    `json:"rows"`
	LeftOut []string `json:"left_out,omitempty"` // runtimes that are not installed, or what went wrong with them
	Weak    []string `json:"weak,omitempty"`     // walls that this machine does not give
}

// Row holds one runtime's figures: wall time to the first byte, and CPU time of everything, the node included.
type Row struct {
	Runtime string      `json:"runtime"`
	Pooled  bool        `json:"pooled"` // from a waiting sandbox; else with nothing prepared
	Wall    load.Figure `json:"wall"`
	CPU     load.Figure `json:"cpu"` // the one to look at on a busy machine
}

// cost of one start.
type cost struct{ wall, cpu time.Duration }

// starts of each position in one repetition.
const starts = 4

// Measure runs reps repetitions (at least 7 for a published figure) of about half a second each. It needs a Go
// toolchain for the compiled row and leaves out what the machine does not have.
func Measure(ctx context.Context, reps int) (Result, error) {
	if reps < 1 {
		return Result{}, fmt.Errorf("repetitions %d: want at least 1", reps)
	}
	dir, err := os.MkdirTemp("", "casemate-cold-")
	if err != nil {
		return Result{}, fmt.Errorf("making a folder: %w", err)
	}
	defer os.RemoveAll(dir)
	found := sandbox.Runtimes(ctx)
	var out Result
	for _, spares := range []int{-1, 2} {
		if err := out.measure(ctx, spares, found, dir, reps); err != nil {
			return out, err
		}
	}
	if len(out.Rows) == 0 {
		return out, errors.New("no runtime could be measured")
	}
	return out, nil
}

// measure adds the rows of one pool.
func (out *Result) measure(ctx context.Context, spares int, found sandbox.Interpreters, dir string, reps int) error {
	pool, err := sandbox.New(sandbox.Config{Dir: filepath.Join(dir, "pool"), AllowWeak: true, Interpreters: found, Spares: spares,
		Code: func(_ context.Context, v *casemate.Version) (string, func(), error) { return v.Code, func() {}, nil }})
	if err != nil {
		return err
	}
	defer pool.Close(context.Background())
	for _, s := range append(subjects, itself(subjects[len(subjects)-1])) {
		row, weak, err := measure(ctx, pool, s, found, dir, reps)
		switch row.Pooled = spares > 0; {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			out.LeftOut = append(out.LeftOut, fmt.Sprintf("%s%s: %v", s.runtime, s.note, err))
		default:
			out.Rows = append(out.Rows, row)
			out.Weak = weak
		}
	}
	return nil
}

func measure(ctx context.Context, pool *sandbox.Pool, s subject, found sandbox.Interpreters, dir string, reps int) (Row, []string, error) {
	bare, code, err := s.prepare(ctx, found, filepath.Join(dir, string(s.runtime)))
	if err != nil {
		return Row{}, nil, err
	}
	v := &casemate.Version{App: "bench", Function: "cold", ID: string(s.runtime), Number: 1, Runtime: s.runtime, Handler: s.handler,
		Code: code, Isolation: casemate.IsolationRequest, Limits: casemate.Limits{MemoryMB: 256, Timeout: 30 * time.Second}}
	var weak []string
	floor := func() (cost, error) { return bare.start(ctx) }
	pool.Prepare(v)
	defer pool.Drop(v.ID)
	subject := func() (cost, error) {
		if err := full(ctx, pool); err != nil {
			return cost{}, err
		}
		began, own := time.Now(), load.OwnCPU()
		res, err := pool.Run(ctx, &casemate.Launch{Version: v, RequestID: casemate.NewID(), Payload: []byte(`{}`)})
		took := cost{wall: time.Since(began)}
		if err == nil && (res.Failure != "" || string(res.Payload) != answer) {
			err = fmt.Errorf("the function answered %q %s", res.Failure, res.Payload)
		}
		if err == nil {
			weak = res.Weak
			took.cpu = res.Usage.CPU + load.OwnCPU() - own
		}
		return took, err
	}
	for _, warmUp := range []func() (cost, error){floor, subject} { // the page cache, once
		if _, err := warmUp(); err != nil {
			return Row{}, nil, err
		}
	}
	row, err := repeat(string(s.runtime)+s.note, floor, subject, reps)
	return row, weak, err
}

// full waits until the pool has made everything that it makes ahead.
func full(ctx context.Context, pool *sandbox.Pool) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !pool.Full() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// repeat takes the repetitions and their medians.
func repeat(runtime string, floor, subject func() (cost, error), reps int) (Row, error) {
	var walls, cpus [][4]float64
	for range reps {
		var wall, cpu [4]float64
		for k, f := range [4]func() (cost, error){floor, subject, subject, floor} {
			var err error
			if wall[k], cpu[k], err = batch(f); err != nil {
				return Row{}, err
			}
		}
		walls, cpus = append(walls, wall), append(cpus, cpu)
	}
	return Row{Runtime: runtime, Wall: load.ABBA(walls), CPU: load.ABBA(cpus)}, nil
}

// batch gives the medians of a few starts, in milliseconds.
func batch(f func() (cost, error)) (wall, cpu float64, err error) {
	var walls, cpus []float64
	for range starts {
		c, err := f()
		if err != nil {
			return 0, 0, err
		}
		walls = append(walls, float64(c.wall)/float64(time.Millisecond))
		cpus = append(cpus, float64(c.cpu)/float64(time.Millisecond))
	}
	return load.Median(walls).Median, load.Median(cpus).Median, nil
}
