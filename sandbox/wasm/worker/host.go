package worker

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"

	"casemate/sandbox/wasm/module"
)

const (
	// slice is the fuel that a guest gets at a time, a quarter of a millisecond of the tightest loop: so long the collector of this
	// process waits for it, and so late is it stopped at its deadline.
	slice = 1 << 18
	// patience is how long an event may hold up those behind it, before they are given back to the node.
	patience = 2 * time.Millisecond
	// epoch of the monotonic clock that guests see lies this long before the worker's start: Go refuses a clock at 0.
	epoch = time.Second
)

var (
	// errLate ends a guest that runs into its deadline.
	errLate = errors.New("the deadline has passed")
	errFuel = errors.New("the module has no fuel")
)

// mustUnwind ends the run that called a host function: the engine recovers it, and has no other way.
func mustUnwind(cause error) { panic(cause) }

// host is what guests call: WASI, and the refill of fuel. It notes what they did to the state that no snapshot holds.
type host struct {
	start   time.Time
	name    string            // of the fuel
	began   time.Time         // of the event of now
	stop    time.Time         // when it ends at the latest
	fuel    api.MutableGlobal // of the instance of now
	granted int64
	yield   func() // gives waiting events back; may be nil
	drawn   bool   // random numbers or the time were asked for
	closed  bool   // a standard stream was closed
	http
}

// instantiate makes the host's modules. The engine's own proc_exit closes the module that calls it; ours only unwinds, as a
// trap does, so that what is left can be rewound.
func (h *host) instantiate(ctx context.Context, r wazero.Runtime) error {
	ctx = experimental.WithFunctionListenerFactory(ctx, h)
	wasi := r.NewHostModuleBuilder(module.WASI)
	wasi_snapshot_preview1.NewFunctionExporter().ExportFunctions(wasi)
	wasi.NewFunctionBuilder().WithGoFunction(api.GoFunc(func(_ context.Context, stack []uint64) {
		mustUnwind(sys.NewExitError(uint32(stack[0])))
	}), []api.ValueType{api.ValueTypeI32}, nil).Export("proc_exit")
	if _, err := wasi.Instantiate(ctx); err != nil {
		return err
	}
	own := r.NewHostModuleBuilder(module.ImportModule)
	own.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(_ context.Context, m api.Module, _ []uint64) { h.refill(m) }), nil, nil).
		Export(module.ImportRefill)
	i32, i64 := api.ValueTypeI32, api.ValueTypeI64
	own.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(_ context.Context, m api.Module, stack []uint64) {
		stack[0] = uint64(h.send(m, uint32(stack[0]), uint32(stack[1])))
	}), []api.ValueType{i32, i32}, []api.ValueType{i64}).Export(module.ImportSend)
	own.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(_ context.Context, m api.Module, stack []uint64) {
		stack[0] = uint64(uint32(h.read(m, uint32(stack[0]), uint32(stack[1]))))
	}), []api.ValueType{i32, i32}, []api.ValueType{i32}).Export(module.ImportRead)
	_, err := own.Instantiate(ctx)
	return err
}

// NewFunctionListener implements experimental.FunctionListenerFactory. Of all calls only this one changes the table of
// descriptors of a guest that has no files.
func (h *host) NewFunctionListener(f api.FunctionDefinition) experimental.FunctionListener {
	if f.Name() != "fd_close" {
		return nil
	}
	return experimental.FunctionListenerFunc(func(context.Context, api.Module, api.FunctionDefinition, []uint64, experimental.StackIterator) {
		h.closed = true
	})
}

// configure gives a module clocks and randomness.
func (h *host) configure(c wazero.ModuleConfig) wazero.ModuleConfig {
	return c.WithRandSource(h).WithNanosleep(h.sleep).
		WithWalltime(func() (int64, int32) {
			h.drawn = true
			now := time.Now()
			return now.Unix(), int32(now.Nanosecond())
		}, sys.ClockResolution(time.Microsecond)).
		WithNanotime(func() int64 {
			h.drawn = true
			return int64(time.Since(h.start) + epoch)
		}, sys.ClockResolution(1))
}

// Read gives random bytes.
func (h *host) Read(p []byte) (int, error) {
	h.drawn = true
	return rand.Read(p)
}

// begin starts the clock of an event, or of initialising, and counts its fuel from 0.
func (h *host) begin(now, stop time.Time) {
	h.began, h.stop, h.fuel, h.granted, h.response = now, stop, nil, 0, nil
}

// meter counts what an instance executes from now on, and what it executed while it was made.
func (h *host) meter(in *instance) {
	if h.fuel == nil {
		h.fuel = in.fuel
		h.granted += slice
		h.fuel.Set(h.fuel.Get() + slice)
	}
}

// used is the fuel that was used since begin.
func (h *host) used() int64 {
	if h.fuel == nil {
		return h.granted
	}
	return h.granted - int64(h.fuel.Get())
}

// settle ends the metering of one instance and keeps what it used.
func (h *host) settle() {
	used := h.used()
	h.fuel, h.granted = nil, used
}

// refill gives a guest another slice, or ends it. Being here lets the Go runtime stop it for the collector, too.
func (h *host) refill(m api.Module) {
	if h.fuel == nil { // it is still being made
		fuel, ok := m.ExportedGlobal(h.name).(api.MutableGlobal)
		if !ok {
			mustUnwind(errFuel)
		}
		h.fuel = fuel
	}
	h.check()
	left := int64(h.fuel.Get())
	h.granted += slice - left
	h.fuel.Set(slice)
}

// check ends a guest whose time is over, and gives back the events that wait for it.
func (h *host) check() {
	now := time.Now()
	if !now.Before(h.stop) {
		mustUnwind(errLate)
	}
	if h.yield != nil && now.Sub(h.began) >= patience {
		h.yield()
	}
}

// sleep sleeps, to the deadline at most.
func (h *host) sleep(ns int64) {
	now := time.Now()
	end := now.Add(time.Duration(ns))
	if wait := patience - now.Sub(h.began); wait > 0 && now.Add(wait).Before(end) && now.Add(wait).Before(h.stop) {
		time.Sleep(wait)
	}
	h.check()
	if end.After(h.stop) {
		end = h.stop
	}
	time.Sleep(time.Until(end))
	h.check()
}
