package wasm

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"os"
	"runtime"
	"sync"
	"time"

	"casemate"
	"casemate/sandbox/wasm/module"
	"casemate/sandbox/wasm/wire"
	"casemate/sandbox/wasm/worker"
)

// Config is what a Pool needs. Code and CacheDir are required.
type Config struct {
	// Code gives the file of a version's module: a path on this host, readable by everybody, that stays until release.
	Code func(ctx context.Context, v *casemate.Version) (path string, release func(), err error)
	// Start starts a worker process; nil starts it in a jail.
	Start func(ctx context.Context, s *Spec) (*Started, error)
	// Doors makes the way out of a worker; record takes what its events do and try. nil: there is none.
	Doors func(v *casemate.Version, record func(casemate.Effect)) (Door, error)
	// Executable is the program that Start runs as a worker, one that calls Serve; empty: this process's own.
	Executable string
	// CacheDir is a directory of this node alone, where compiled code is kept, per app and function.
	CacheDir string
	// Logs takes every log line, in order within a run; nil drops them. It must not block for long.
	Logs func(casemate.LogLine)
	// Clock is time.Now when nil.
	Clock func() time.Time

	AllowWeak      bool          // start workers although walls are missing
	MaxProcesses   int           // worker processes of the whole pool; 0: 64
	MaxWorkers     int           // processes per version, and per tenant where those are kept apart; 0: one per CPU
	MaxTenants     int           // tenants of a version that have workers at the same time; 0: 32
	IdleTimeout    time.Duration // an unused worker ends after this; 0: 5 minutes
	CompileTimeout time.Duration // bound of the compile step; 0: 2 minutes
	LogBytes       int           // log of one run; 0: 256 KiB
}

// Pool runs WebAssembly functions in worker processes. It is safe for concurrent use; Close ends all of it.
type Pool struct {
	cfg    Config
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	tasks  sync.WaitGroup // every goroutine of the pool
	slots  chan struct{}  // compile steps at once
	places chan struct{}  // one for each worker process
	seed   maphash.Seed   // of the names that tenants are shown under

	mu        sync.Mutex
	functions map[place]*function
	compiled  map[string]*compilation
	closed    bool
}

// NewPool makes a pool; nothing is started before the first run. The caller closes it.
func NewPool(cfg Config) (*Pool, error) {
	if cfg.Code == nil || cfg.CacheDir == "" {
		return nil, errors.New("wasm pool: Code and CacheDir are required")
	}
	if cfg.MaxProcesses < 0 || cfg.MaxWorkers < 0 || cfg.MaxTenants < 0 || cfg.IdleTimeout < 0 || cfg.CompileTimeout < 0 || cfg.LogBytes < 0 {
		return nil, errors.New("wasm pool: a bound is negative")
	}
	if err := os.MkdirAll(cfg.CacheDir, 0o711); err != nil {
		return nil, fmt.Errorf("wasm pool: %w", err)
	}
	if cfg.Start == nil {
		cfg.Start = jailer(cfg.Executable).start
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Logs == nil {
		cfg.Logs = func(casemate.LogLine) {}
	}
	cfg.MaxWorkers = orDefault(cfg.MaxWorkers, runtime.NumCPU())
	cfg.MaxProcesses = orDefault(cfg.MaxProcesses, 64)
	cfg.MaxTenants = orDefault(cfg.MaxTenants, 32)
	cfg.IdleTimeout = orDefault(cfg.IdleTimeout, 5*time.Minute)
	cfg.CompileTimeout = orDefault(cfg.CompileTimeout, 2*time.Minute)
	cfg.LogBytes = orDefault(cfg.LogBytes, 256<<10)
	p := &Pool{cfg: cfg, seed: maphash.MakeSeed(), slots: make(chan struct{}, 1), places: make(chan struct{}, cfg.MaxProcesses), functions: map[place]*function{}, compiled: map[string]*compilation{}}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.tasks.Go(p.janitor)
	return p, nil
}

func orDefault[T int | time.Duration](v, otherwise T) T {
	if v == 0 {
		return otherwise
	}
	return v
}

var errClosed = casemate.Errorf(casemate.Unavailable, "send it again in a moment", "the node is stopping")

// Run is a casemate.Runner. A failure of the function is a Result with Failure set; an error is ours, or the caller's
// context ending. The worker is killed when the deadline passes or ctx ends.
func (p *Pool) Run(ctx context.Context, l *casemate.Launch) (*casemate.Result, error) {
	began := p.cfg.Clock()
	f, err := p.enter(l)
	if err != nil {
		return nil, err
	}
	defer f.running.Add(-1)
	limits := limitsOf(l.Version)
	if int64(len(l.Payload)) > limits.Request {
		return nil, casemate.Errorf(casemate.TooLarge, "raise the function's request limit, or send less",
			"the event has %d bytes and the bound is %d", len(l.Payload), limits.Request)
	}
	deadline := l.Deadline
	if deadline.IsZero() {
		deadline = began.Add(limits.InitTimeout + limits.Timeout)
	}
	c := &call{event: wire.Event{Pages: pagesOf(limits), Payload: l.Payload, Deadline: deadline.UnixNano()}, limit: limits.Timeout,
		last: deadline, report: newReport(p, l), done: make(chan outcome, 1)}
	w, o, err := f.run(ctx, deadline, c)
	if err != nil {
		return p.notStarted(l, began, err)
	}
	ended := p.cfg.Clock()
	if o.err != nil {
		if c.behind {
			c.report.began = c.began
		}
		return c.report.broken(ctx, w, o.err, ended)
	}
	if c.behind { // the node did not see it begin
		c.report.began = ended.Add(-min(time.Duration(o.answer.Wall), ended.Sub(c.report.began)))
	}
	return c.report.answered(&o.answer, ended), nil
}

// Prepare compiles a version's module, if that is still to do, so that its first event need not wait: deploys call it.
// A module that does not compile is an error of code Invalid.
func (p *Pool) Prepare(ctx context.Context, v *casemate.Version) error {
	if err := fits(v); err != nil {
		return err
	}
	_, _, err := p.compile(ctx, v)
	return err
}

// Close ends every worker at once and waits until they are gone, or ctx ends.
func (p *Pool) Close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	functions := p.all()
	p.cancel()
	for _, f := range functions {
		f.close(errClosed)
		f.killAll()
	}
	gone := make(chan struct{})
	go func() { p.tasks.Wait(); close(gone) }()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for the wasm workers to end: %w", ctx.Err())
	}
}

// janitor ends workers that nobody has used for a while.
func (p *Pool) janitor() {
	tick := time.NewTicker(max(p.cfg.IdleTimeout/4, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-p.ctx.Done():
			return
		case <-tick.C:
		}
		before := p.cfg.Clock().Add(-p.cfg.IdleTimeout)
		for _, f := range p.all() {
			f.endIdle(before)
		}
	}
}

// limitsOf fills zero fields from the defaults.
func limitsOf(v *casemate.Version) casemate.Limits {
	l, d := v.Limits, casemate.DefaultLimits()
	l.Timeout = orDefault(l.Timeout, d.Timeout)
	l.InitTimeout = orDefault(l.InitTimeout, d.InitTimeout)
	l.MemoryMB = orDefault(l.MemoryMB, d.MemoryMB)
	if l.Request == 0 {
		l.Request = d.Request
	}
	if l.Response == 0 {
		l.Response = d.Response
	}
	return l
}

// pagesOf is the memory limit in pages; 4 GiB is all that a 32-bit memory can have.
func pagesOf(l casemate.Limits) uint32 {
	return uint32(min(max(l.MemoryMB, 1), 4096)) * (1 << 20 / wire.PageSize)
}

const (
	// Argv0 is the name under which the node starts itself as a worker. A binary that imports this package is one then:
	// main is not reached.
	Argv0 = worker.Argv0
	// SocketFD is the worker's end of the socket pair.
	SocketFD = worker.SocketFD
)

// Serve is the whole life of a worker process, worker.Serve: it gives the exit status.
func Serve(fd int) int { return worker.Serve(fd) }

// Inspect reads a module without running it and refuses what a worker could not run: module.Inspect, for deploys.
func Inspect(code []byte) (module.Info, error) { return module.Inspect(code) }
