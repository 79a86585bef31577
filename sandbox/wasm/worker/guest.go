package worker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"

	"casemate/sandbox/wasm/module"
	"casemate/sandbox/wasm/wire"
)

// guest is one compiled module with everything an instance of it needs, kept between events: the compiled code, the
// arena and the ends of its standard streams. Nothing that an instance can write to is kept but the arena, which is
// zeroed, and the stream buffers, which it cannot read back.
type guest struct {
	ctx     context.Context // carries the arena to wazero
	runtime wazero.Runtime
	code    wazero.CompiledModule
	config  wazero.ModuleConfig
	info    module.Info
	arena   *arena
	in      input
	out     *output
	log     *logger
	stack   [2]uint64
}

// compile reads the module and makes it ready. cache may be empty: compiled code is then kept in memory only.
func compile(code []byte, s *wire.Setup, cache wazero.CompilationCache, log *logger) (*guest, error) {
	info, err := module.Inspect(code)
	if err != nil {
		return nil, err
	}
	if info.MinPages > s.Pages {
		return nil, fmt.Errorf("the module starts with %d pages of memory and its limit is %d", info.MinPages, s.Pages)
	}
	// Context-done checks cost 7-12x in tight loops; the node kills this process at the deadline instead.
	config := wazero.NewRuntimeConfigCompiler().WithCloseOnContextDone(false).WithDebugInfoEnabled(false)
	if cache != nil {
		config = config.WithCompilationCache(cache)
	}
	g := &guest{info: info, log: log, out: newOutput(int(s.Response))}
	pages := s.Pages
	if s.Compile {
		pages = 1 // nothing is instantiated
	}
	if g.arena, err = newArena(pages); err != nil {
		return nil, err
	}
	g.ctx = experimental.WithMemoryAllocator(context.Background(), g.arena)
	g.runtime = wazero.NewRuntimeWithConfig(g.ctx, config)
	if _, err = wasi_snapshot_preview1.Instantiate(g.ctx, g.runtime); err != nil {
		return nil, fmt.Errorf("preparing WASI: %w", err)
	}
	prepared, err := module.Prepare(code)
	if err != nil {
		return nil, fmt.Errorf("preparing the module: %w", err)
	}
	if err = provideRefill(g.ctx, g.runtime, prepared.Fuel); err != nil {
		return nil, err
	}
	if g.code, err = g.runtime.CompileModule(g.ctx, prepared.Code); err != nil {
		return nil, fmt.Errorf("compiling the module: %w", err)
	}
	g.config = g.moduleConfig(s.Env)
	return g, nil
}

func (g *guest) moduleConfig(env []string) wazero.ModuleConfig {
	c := wazero.NewModuleConfig().WithName("").WithStartFunctions().WithStdin(&g.in).WithStderr(g.log).
		WithRandSource(rand.Reader).WithSysWalltime().WithSysNanotime().WithSysNanosleep()
	if g.info.Kind == module.Command {
		c = c.WithStdout(g.out)
	} else {
		c = c.WithStdout(g.log)
	}
	for _, e := range env {
		k, v, _ := strings.Cut(e, "=")
		c = c.WithEnv(k, v)
	}
	return c
}

// run gives one event to a fresh instance. The payload of the answer stands in g.out until the next run.
func (g *guest) run(e *wire.Event) wire.Answer {
	a := wire.Answer{Seq: e.Seq}
	g.out.reset()
	g.in.data = e.Payload
	if e.Pages < g.info.MinPages {
		a.Status, a.Detail = wire.StatusMemory, "the module needs more memory to start than it may have"
		return a
	}
	g.arena.begin(e.Pages)
	m, err := g.runtime.InstantiateModule(g.ctx, g.code, g.config)
	if err != nil {
		g.classify(&a, err)
		if a.Status == wire.StatusTrap {
			a.Status = wire.StatusInit
		}
		return a
	}
	if g.info.Kind == module.Command {
		err = m.ExportedFunction(module.ExportStart).CallWithStack(g.ctx, nil)
	} else {
		var failed bool
		if failed, err = g.handle(m, e.Payload); failed {
			a.Status = wire.StatusFailed
		}
	}
	g.classify(&a, err)
	if err = m.Close(g.ctx); err != nil && a.Status == wire.StatusOK {
		a.Status, a.Detail = wire.StatusTrap, "closing the instance failed"
	}
	return a
}

// handle runs the reactor's contract of the package comment, and copies its answer out.
func (g *guest) handle(m api.Module, payload []byte) (failed bool, err error) {
	if init := m.ExportedFunction(module.ExportInitialize); init != nil {
		if err = init.CallWithStack(g.ctx, nil); err != nil {
			return false, err
		}
	}
	g.stack[0] = uint64(len(payload))
	if err = m.ExportedFunction(module.ExportAlloc).CallWithStack(g.ctx, g.stack[:1]); err != nil {
		return false, err
	}
	at := uint32(g.stack[0])
	if !m.Memory().Write(at, payload) {
		return false, fmt.Errorf("%s gave address %d, which has no room for %d bytes", module.ExportAlloc, at, len(payload))
	}
	g.stack[0], g.stack[1] = uint64(at), uint64(len(payload))
	if err = m.ExportedFunction(module.ExportHandle).CallWithStack(g.ctx, g.stack[:2]); err != nil {
		return false, err
	}
	const errorBit = 1 << 31
	at, n := uint32(g.stack[0]>>32), uint32(g.stack[0])
	result, ok := m.Memory().Read(at, n&^errorBit)
	if !ok {
		return false, fmt.Errorf("%s gave an answer outside of its memory", module.ExportHandle)
	}
	// A refused write is kept by the output itself.
	_, _ = g.out.Write(result)
	return n&errorBit != 0, nil
}

// classify fills the status of a finished run. The stack of a trap goes to the log: the caller gets its first line only.
func (g *guest) classify(a *wire.Answer, err error) {
	a.Pages = uint32(g.arena.high / wire.PageSize)
	var exit *sys.ExitError
	switch {
	case err == nil:
	case errors.As(err, &exit):
		if a.Exit = exit.ExitCode(); a.Exit != 0 {
			a.Status = wire.StatusExit
		}
	default:
		a.Status = wire.StatusTrap
		text := err.Error()
		first, _, _ := strings.Cut(text, "\n")
		a.Detail = strings.TrimPrefix(first, "wasm error: ")
		fmt.Fprintln(g.log, text)
	}
	switch {
	case a.Status != wire.StatusOK && a.Status != wire.StatusFailed && g.arena.refused:
		a.Status = wire.StatusMemory
	case g.out.over:
		a.Status = wire.StatusTooLarge
	}
}

// reset leaves nothing of the last instance.
func (g *guest) reset() error {
	g.in.data = nil
	return g.arena.reset()
}

// input is a standard input that ends where the event ends.
type input struct{ data []byte }

// output collects an answer behind the room for its frame's header, to the bound of the set-up.
type output struct {
	frame []byte
	limit int
	over  bool
}

var errTooLarge = errors.New("the answer is over its bound")

func newOutput(limit int) *output {
	return &output{limit: limit, frame: make([]byte, wire.AnswerHeader, 16<<10)}
}

func (o *output) reset() {
	if cap(o.frame) > wire.KeepBuffer {
		o.frame = make([]byte, wire.AnswerHeader, 16<<10)
	}
	o.frame, o.over = o.frame[:wire.AnswerHeader], false
}

// Write keeps p. Beyond the bound it fails, which the guest sees as EIO, and keeps nothing more.
func (o *output) Write(p []byte) (int, error) {
	if o.over || len(o.frame)-wire.AnswerHeader+len(p) > o.limit {
		o.over = true
		o.frame = o.frame[:wire.AnswerHeader]
		return 0, errTooLarge
	}
	o.frame = append(o.frame, p...)
	return len(p), nil
}
