// Package guest measures promise P2: what a fresh WebAssembly instance costs, made, run and destroyed for one event. The
// subject is the whole of it: an event crosses to the jailed worker, gets its instance, runs, is answered and its memory
// cleared. The floor is wazero as its documentation shows it, in this process, with default memory: no worker, no jail, no
// answer to carry.
package guest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"casemate"
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
	Guest   string  `json:"guest"`
	Floor   float64 `json:"floor_us"`  // plain wazero, fresh instance, in this process
	Worker  float64 `json:"worker_us"` // all that the worker process does for an event
	Node    float64 `json:"node_us"`   // all that this process does for it
	Ratio   float64 `json:"ratio"`     // median of the repetitions' (worker + node) / floor
	Min     float64 `json:"ratio_min"`
	Max     float64 `json:"ratio_max"`
	Control float64 `json:"control"` // the floor against itself in the same run
	Noisy   bool    `json:"noisy"`   // the control is outside 0.85..1.18: Ratio says nothing
}

// slice is how long one position of a repetition runs.
const slice = 150 * time.Millisecond

// Measure runs reps repetitions (at least 7 for a published figure) of about 0.6 s for each guest, in the order floor,
// subject, subject, floor. casemate is the executable that is started as a worker.
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
		name   string
		module func() ([]byte, error)
	}{
		{"small (echo, 200 bytes)", func() ([]byte, error) { return guests.Echo(), nil }},
		{"Go (price, JSON)", func() ([]byte, error) { return build(ctx, dir) }},
	} {
		module, err := g.module()
		if err != nil {
			out.LeftOut = append(out.LeftOut, fmt.Sprintf("%s: %v", g.name, err))
			continue
		}
		row, err := b.measure(ctx, g.name, module, reps)
		if err != nil {
			return out, fmt.Errorf("measuring %s: %w", g.name, err)
		}
		out.Rows = append(out.Rows, row)
	}
	out.Weak = b.weak
	return out, nil
}

// build makes the example's price function for WASI.
func build(ctx context.Context, dir string) ([]byte, error) {
	file := filepath.Join(dir, "price.wasm")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", file, "casemate/examples/orders/price")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, bytes.TrimSpace(text))
	}
	return os.ReadFile(file)
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

var payload = []byte(`{"items":[{"sku":"tea","quantity":2}]}`)

func (b *bed) measure(ctx context.Context, name string, module []byte, reps int) (Row, error) {
	v := &casemate.Version{App: "bench", Function: "guest", ID: name, Number: 1, Runtime: "wasm", Code: fmt.Sprintf("%d.wasm", len(module)),
		CodeSize: int64(len(module)), Limits: casemate.Limits{InitTimeout: time.Minute}}
	if err := os.WriteFile(filepath.Join(b.dir, v.Code), module, 0o444); err != nil {
		return Row{}, err
	}
	plain, err := newPlain(ctx, module)
	if err != nil {
		return Row{}, err
	}
	defer plain.close(ctx)
	var worker, node, floors, ratios, controls []float64
	for i := range reps + 1 {
		var floor, w, n [2]float64
		for _, step := range [...]func() error{
			func() (err error) { floor[0], err = repeat(plain.run(ctx)); return },
			func() (err error) { w[0], n[0], err = b.run(ctx, v); return },
			func() (err error) { w[1], n[1], err = b.run(ctx, v); return },
			func() (err error) { floor[1], err = repeat(plain.run(ctx)); return },
		} {
			if err := step(); err != nil {
				return Row{}, err
			}
		}
		if i == 0 {
			continue // warms both up
		}
		worker, node = append(worker, (w[0]+w[1])/2), append(node, (n[0]+n[1])/2)
		floors = append(floors, (floor[0]+floor[1])/2)
		ratios = append(ratios, (w[0]+w[1]+n[0]+n[1])/(floor[0]+floor[1]))
		controls = append(controls, floor[1]/floor[0])
	}
	row := Row{Guest: name, Floor: median(floors), Worker: median(worker), Node: median(node), Ratio: median(ratios),
		Min: slices.Min(ratios), Max: slices.Max(ratios), Control: median(controls)}
	row.Noisy = row.Control < 0.85 || row.Control > 1.18
	return row, nil
}

// run gives events to the pool for a while: microseconds of CPU for one, in the worker and here.
func (b *bed) run(ctx context.Context, v *casemate.Version) (worker, node float64, err error) {
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

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}
