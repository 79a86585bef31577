// Package guest measures promise P2: what a fresh WebAssembly instance costs, made, run and destroyed for one event. The
// subject is the whole of it: an event crosses to the jailed worker, runs in an instance that is as after initialisation, is
// answered, and the instance returned to that state. The floors are wazero as its documentation shows it, in this process,
// with default memory, no worker, no jail, no metering and no answer to carry: a fresh instance for each event, and, for
// reactors, one instance that serves all of them and forgets nothing.
package guest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"casemate"
	"casemate/bench/load"
	"casemate/internal/casetest/guests"
	"casemate/sandbox/wasm"
)

// Result is one measurement, a row for each guest.
type Result struct {
	Rows    []Row    `json:"rows"`
	LeftOut []string `json:"left_out,omitempty"` // guests that could not be built
	Weak    []string `json:"weak,omitempty"`     // walls that this machine does not give
}

// Row holds medians over repetitions, in microseconds of CPU for one event.
type Row struct {
	Guest  string  `json:"guest"`
	Fresh  float64 `json:"fresh_us"`           // plain wazero, fresh instance, in this process
	Reuse  float64 `json:"reuse_us,omitempty"` // plain wazero, the same instance again; 0 for commands, which end
	Worker float64 `json:"worker_us"`          // all that the worker process does for an event
	Node   float64 `json:"node_us"`            // all that this process does for it
	Why    string  `json:"why,omitempty"`      // the worker does not rewind it

	OverReuse Ratio `json:"over_reuse"` // worker / reuse
	Cheaper   Ratio `json:"cheaper"`    // fresh / worker
	Noisy     bool  `json:"noisy"`      // a control is outside 0.85..1.18: the ratios say nothing
}

// Ratio is over the repetitions, with its floor against itself in the same run as control.
type Ratio struct {
	load.Ratio
	Control float64 `json:"control"`
}

// slice is how long one position of a repetition runs.
const slice = 150 * time.Millisecond

// Measure runs reps repetitions (at least 7 for a published figure) of about 0.9 s for each guest, in the order fresh, reuse,
// subject, subject, reuse, fresh. casemate is the executable that is started as a worker.
func Measure(ctx context.Context, casemate string, reps int) (Result, error) {
	if reps < 1 {
		return Result{}, fmt.Errorf("repetitions %d: want at least 1", reps)
	}
	dir, err := os.MkdirTemp("", "casemate-guest-")
	if err != nil {
		return Result{}, fmt.Errorf("making a folder: %w", err)
	}
	defer os.RemoveAll(dir)
	var out Result
	b, err := newBed(dir, casemate)
	if err != nil {
		return out, err
	}
	defer b.pool.Close(context.Background())
	for _, g := range [...]struct {
		name    string
		payload []byte
		module  func() ([]byte, error)
	}{
		{"small command", small, func() ([]byte, error) { return guests.Echo(), nil }},
		{"small reactor", small, func() ([]byte, error) { return guests.Reactor(false), nil }},
		{"Go reactor", order(), func() ([]byte, error) { return build(ctx, dir, "casemate/bench/guest/reactor", "-buildmode=c-shared") }},
		{"Go command", small, func() ([]byte, error) { return build(ctx, dir, "casemate/examples/orders/price") }},
	} {
		module, err := g.module()
		if err != nil {
			out.LeftOut = append(out.LeftOut, fmt.Sprintf("%s: %v", g.name, err))
			continue
		}
		row, err := b.measure(ctx, g.name, module, g.payload, reps)
		if err != nil {
			return out, fmt.Errorf("measuring %s: %w", g.name, err)
		}
		out.Rows = append(out.Rows, row)
	}
	out.Weak = b.weak
	return out, nil
}

// build makes a Go package of this module for WASI.
func build(ctx context.Context, dir, source string, args ...string) ([]byte, error) {
	file := filepath.Join(dir, "guest.wasm")
	cmd := exec.CommandContext(ctx, "go", append(append([]string{"build", "-trimpath", "-ldflags", "-s -w", "-o", file}, args...), source)...)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, bytes.TrimSpace(text))
	}
	return os.ReadFile(file)
}

var small = []byte(`{"items":[{"sku":"tea","quantity":2}]}`)

// order is an event of about 1 KB, the size of a small web request as functions get it.
func order() []byte {
	var items []string
	for i := range 24 {
		items = append(items, fmt.Sprintf(`{"sku":"sku-%06d","quantity":%d}`, i*1663, 1+i%4))
	}
	return []byte(`{"items":[` + strings.Join(items, ",") + `]}`)
}

// bed is the pool and the module it runs.
type bed struct {
	dir  string
	pool *wasm.Pool
	weak []string
}

func newBed(dir, executable string) (*bed, error) {
	if err := os.Chmod(dir, 0o755); err != nil { // the worker's own uid reads the module
		return nil, err
	}
	pool, err := wasm.NewPool(wasm.Config{
		Code: func(_ context.Context, v *casemate.Version) (string, func(), error) {
			return filepath.Join(dir, v.Code), func() {}, nil
		},
		CacheDir: filepath.Join(dir, "compiled"), Executable: executable, AllowWeak: true, MaxWorkers: 1,
	})
	return &bed{dir: dir, pool: pool}, err
}

func (b *bed) measure(ctx context.Context, name string, module, payload []byte, reps int) (Row, error) {
	v := &casemate.Version{App: "bench", Function: "guest", ID: name, Number: 1, Runtime: "wasm", Code: fmt.Sprintf("%d.wasm", len(module)),
		CodeSize: int64(len(module)), Limits: casemate.Limits{InitTimeout: time.Minute}}
	if err := os.WriteFile(filepath.Join(b.dir, v.Code), module, 0o444); err != nil {
		return Row{}, err
	}
	plain, err := newPlain(ctx, module, payload)
	if err != nil {
		return Row{}, err
	}
	defer plain.close(ctx)
	var worker, node, fresh, reuse samples
	for i := range reps + 1 {
		var f, r, w, n [2]float64
		for _, step := range [...]func() error{
			func() (err error) { f[0], err = repeat(plain.fresh(ctx)); return },
			func() (err error) { r[0], err = plain.reuse(ctx); return },
			func() (err error) { w[0], n[0], err = b.run(ctx, v, payload); return },
			func() (err error) { w[1], n[1], err = b.run(ctx, v, payload); return },
			func() (err error) { r[1], err = plain.reuse(ctx); return },
			func() (err error) { f[1], err = repeat(plain.fresh(ctx)); return },
		} {
			if err := step(); err != nil {
				return Row{}, err
			}
		}
		if i == 0 {
			continue // warms all of them up
		}
		worker, node, fresh, reuse = append(worker, w), append(node, n), append(fresh, f), append(reuse, r)
	}
	row := Row{Guest: name, Fresh: fresh.middle(), Worker: worker.middle(), Node: node.middle(), Cheaper: fresh.over(worker)}
	row.Cheaper.Control = fresh.control()
	row.Noisy = load.Noisy(row.Cheaper.Control)
	if plain.reactor {
		row.Reuse, row.OverReuse = reuse.middle(), worker.over(reuse)
		row.OverReuse.Control = reuse.control()
		row.Noisy = row.Noisy || load.Noisy(row.OverReuse.Control)
	}
	row.Why, _ = b.pool.Rewind(v.ID)
	return row, nil
}

// run gives events to the pool for a while: microseconds of CPU for one, in the worker and here.
func (b *bed) run(ctx context.Context, v *casemate.Version, payload []byte) (worker, node float64, err error) {
	var used time.Duration
	runs := 0
	node, err = repeat(func() error {
		r, err := b.pool.Run(ctx, &casemate.Launch{Version: v, RequestID: "bench", Payload: payload, Deadline: time.Now().Add(time.Minute)})
		if err != nil {
			return err
		}
		if r.Failure != "" || len(r.Payload) == 0 {
			return errors.New(string(r.Failure) + ": " + r.Detail)
		}
		used += r.Usage.CPU
		b.weak = r.Weak
		runs++
		return nil
	})
	return float64(used.Nanoseconds()) / 1e3 / float64(max(runs, 1)), node, err
}

// samples holds two positions of every repetition.
type samples [][2]float64

func (s samples) each(f func([2]float64) float64) []float64 {
	out := make([]float64, len(s))
	for i, v := range s {
		out[i] = f(v)
	}
	return out
}

func mean(v [2]float64) float64 { return (v[0] + v[1]) / 2 }

func (s samples) middle() float64 { return load.Median(s.each(mean)).Median }

func (s samples) control() float64 {
	return load.Median(s.each(func(v [2]float64) float64 { return v[1] / v[0] })).Median
}

func (s samples) over(floor samples) Ratio {
	ratios := make([]float64, len(s))
	for i := range s {
		ratios[i] = mean(s[i]) / mean(floor[i])
	}
	return Ratio{Ratio: load.Median(ratios)}
}

// repeat calls f for one slice of time and gives the CPU of this process for one call, in microseconds.
func repeat(f func() error) (float64, error) {
	before, err := cpu()
	if err != nil {
		return 0, err
	}
	calls := 0
	for began := time.Now(); time.Since(began) < slice; calls++ {
		if err := f(); err != nil {
			return 0, err
		}
	}
	after, err := cpu()
	return float64(after-before) / 1e3 / float64(calls), err
}

func cpu() (int64, error) {
	var t unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t)
	return t.Nano(), err
}
