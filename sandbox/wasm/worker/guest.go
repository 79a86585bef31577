package worker

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/sys"

	"casemate/sandbox/wasm/memory"
	"casemate/sandbox/wasm/module"
	"casemate/sandbox/wasm/wire"
)

// guest is one compiled module with everything an instance of it needs, kept between events: the compiled code, the
// arena and the ends of its standard streams. Nothing that an instance can write to survives an event but in an instance
// that is kept on purpose: memory, its size and the globals return to the snapshot, or the instance is a new one; the
// stream buffers it cannot read back.
type guest struct {
	ctx     context.Context // carries the arena to wazero
	runtime wazero.Runtime
	code    wazero.CompiledModule
	config  wazero.ModuleConfig
	info    module.Info
	globals []string // exports

	prepared *module.Prepared // in the compile step alone
	begins   bool             // it has a start function, which runs whenever an instance is made
	setup    *wire.Setup
	arena    *memory.Arena
	in       input
	out      *output
	log      *logger
	host     host
	stack    [2]uint64

	state
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
	prepared, err := prepare(code, s)
	if err != nil {
		return nil, err
	}
	// Context-done checks cost 7-12x in tight loops; fuel ends a guest at its deadline, and the node this process.
	config := wazero.NewRuntimeConfigCompiler().WithCloseOnContextDone(false).WithDebugInfoEnabled(false)
	if cache != nil {
		config = config.WithCompilationCache(cache)
	}
	g := &guest{info: info, globals: prepared.Globals, begins: hasStart(code), setup: s, log: log, out: newOutput(int(s.Response)),
		host: host{name: prepared.Fuel, start: time.Now()}}
	g.state = newState(s, info.Kind, prepared.Rewind)
	pages := s.Pages
	if s.Compile {
		pages = 1 // nothing is instantiated
	}
	if g.arena, err = memory.New(int(pages) * memory.Page); err != nil {
		return nil, err
	}
	g.ctx = experimental.WithMemoryAllocator(context.Background(), allocator{g.arena})
	g.runtime = wazero.NewRuntimeWithConfig(g.ctx, config)
	if err = g.host.instantiate(g.ctx, g.runtime); err != nil {
		return nil, fmt.Errorf("preparing WASI: %w", err)
	}
	if g.code, err = g.runtime.CompileModule(g.ctx, prepared.Code); err != nil {
		return nil, fmt.Errorf("compiling the module: %w", err)
	}
	if s.Compile {
		g.prepared = &prepared
	}
	g.config = g.moduleConfig(s.Env)
	return g, nil
}

// Where a prepared module stands beside its compiled code: preparing one of Go's takes as long as loading what was compiled.
const (
	preparedCode  = "prepared/code"
	preparedFacts = "prepared/facts" // a module.Prepared without its code, as JSON
)

// prepare prepares a module, or finds it prepared.
func prepare(code []byte, s *wire.Setup) (p module.Prepared, err error) {
	if s.Compile {
		return module.Prepare(code)
	}
	facts, err := os.ReadFile(filepath.Join(s.Cache, preparedFacts))
	if errors.Is(err, fs.ErrNotExist) {
		return module.Prepare(code)
	}
	if err == nil {
		err = json.Unmarshal(facts, &p)
	}
	if err == nil {
		p.Code, err = os.ReadFile(filepath.Join(s.Cache, preparedCode))
	}
	if err != nil {
		return p, fmt.Errorf("reading the prepared module: %w", err)
	}
	return p, nil
}

// allocator hands the arena to the engine, whatever a module says that it may need: Reallocate refuses.
type allocator struct{ arena *memory.Arena }

// Allocate implements experimental.MemoryAllocator.
func (a allocator) Allocate(_, _ uint64) experimental.LinearMemory { return a.arena }

// hasStart looks for a section of that kind in a module that was inspected
// (https://webassembly.github.io/spec/core/binary/modules.html#start-section).
func hasStart(code []byte) bool {
	const start = 8
	for b := code[8:]; len(b) > 0; {
		if b[0] == start {
			return true
		}
		size, n := binary.Uvarint(b[1:])
		if n <= 0 || size > uint64(len(b)-1-n) {
			return false
		}
		b = b[1+n+int(size):]
	}
	return false
}

func (g *guest) moduleConfig(env []string) wazero.ModuleConfig {
	c := g.host.configure(wazero.NewModuleConfig().WithName("").WithStartFunctions().WithStdin(&g.in).WithStderr(g.log))
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

// run gives one event to an instance. The payload of the answer stands in g.out until the next run.
func (g *guest) run(e *wire.Event) (wire.Answer, error) {
	a := wire.Answer{Seq: e.Seq}
	g.out.reset()
	if g.info.Kind == module.Command {
		g.in.data = e.Payload
	}
	if e.Pages < g.least() {
		a.Status, a.Detail = wire.StatusMemory, "the module needs more memory to start than it may have"
		return a, nil
	}
	now := time.Now()
	stop := time.Unix(0, e.Deadline)
	if own := now.Add(time.Duration(g.setup.Timeout)); g.setup.Timeout > 0 && own.Before(stop) {
		stop = own
	}
	g.arena.Begin(uint64(e.Pages) * memory.Page)
	g.host.begin(now, stop)
	in, err := g.enter()
	if err != nil {
		return a, err
	}
	if in == nil {
		if in, err = g.instantiate(); err != nil {
			g.classify(&a, err)
			if a.Status == wire.StatusTrap {
				a.Status = wire.StatusInit
			}
			a.Fuel = g.host.used()
			return a, nil
		}
		g.host.meter(in)
		if in.initialise != nil && g.info.Kind == module.Reactor {
			err = in.initialise.CallWithStack(g.ctx, nil)
		}
	}
	if err == nil {
		err = g.call(in, e, &a)
	}
	g.classify(&a, err)
	a.Fuel = g.host.used()
	if err = g.leave(in, a.Status == wire.StatusFailed, err); err != nil && a.Status == wire.StatusOK {
		a.Status, a.Detail = wire.StatusTrap, "closing the instance failed"
	}
	return a, nil
}

// call runs a command, or a reactor's handler.
func (g *guest) call(in *instance, e *wire.Event, a *wire.Answer) error {
	if g.info.Kind == module.Command {
		return in.start.CallWithStack(g.ctx, nil)
	}
	failed, err := g.handle(in, e)
	if failed {
		a.Status = wire.StatusFailed
	}
	return err
}

// handle runs the reactor's contract of the package comment, and copies its answer out.
func (g *guest) handle(in *instance, e *wire.Event) (failed bool, err error) {
	m := in.module
	g.stack[0] = uint64(len(e.Payload))
	if err = in.alloc.CallWithStack(g.ctx, g.stack[:1]); err != nil {
		return false, err
	}
	at, payload := uint32(g.stack[0]), e.Payload // which may have moved until now
	if !m.Memory().Write(at, payload) {
		return false, fmt.Errorf("%s gave address %d, which has no room for %d bytes", module.ExportAlloc, at, len(payload))
	}
	g.stack[0], g.stack[1] = uint64(at), uint64(len(payload))
	if err = in.handle.CallWithStack(g.ctx, g.stack[:2]); err != nil {
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
	a.Pages = uint32(g.arena.High() / memory.Page)
	var exit *sys.ExitError
	switch {
	case err == nil:
	case errors.As(err, &exit):
		if a.Exit = exit.ExitCode(); a.Exit != 0 {
			a.Status = wire.StatusExit
		}
	case errors.Is(err, errLate):
		a.Status = wire.StatusLate
		return
	default:
		a.Status = wire.StatusTrap
		text := err.Error()
		first, _, _ := strings.Cut(text, "\n")
		a.Detail = strings.TrimPrefix(first, "wasm error: ")
		fmt.Fprintln(g.log, text)
	}
	switch {
	case a.Status != wire.StatusOK && a.Status != wire.StatusFailed && g.arena.Refused():
		a.Status = wire.StatusMemory
	case g.out.over:
		a.Status = wire.StatusTooLarge
	}
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
