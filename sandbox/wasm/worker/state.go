package worker

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tetratelabs/wazero/sys"

	"casemate/sandbox/wasm/memory"
	"casemate/sandbox/wasm/module"
	"casemate/sandbox/wasm/wire"
)

// mode is what happens to an instance after an event.
type mode byte

const (
	fresh   mode = iota // it is thrown away: each event makes its own
	rewound             // it returns to its snapshot
	kept                // it stays as it is
)

const (
	// A kept instance serves so many events and lives so long; whichever is sooner. Nothing that callers do stretches it.
	keptEvents = 10_000
	keptLife   = time.Hour
	// shellFuel is what a rewound instance executes before it is made again around its snapshot: the engine's own
	// bookkeeping grows a little with some instructions (ref.func), where no snapshot reaches.
	shellFuel = 1 << 30
	// deepAfter is how long an event must run before its machine stack is taken for grown, and given back.
	deepAfter = time.Millisecond
)

// state is the instance between two events, and what becomes of it.
type state struct {
	mode   mode
	why    string    // it is fresh
	now    *instance // nil: none
	lost   bool      // it is not to be used again
	values []uint64  // of its globals, in the snapshot
	events int       // that it served
	fuel   int64     // that it used
	born   time.Time
}

func newState(s *wire.Setup, k module.Kind, why string) state {
	switch {
	case s.Keep && k == module.Reactor: // a command ends with its event, so there is nothing to keep
		return state{mode: kept}
	case why == "":
		return state{mode: rewound}
	}
	return state{why: why}
}

// least is the memory, in pages, that an event needs to begin with.
func (g *guest) least() uint32 {
	if size, ok := g.arena.Frozen(); ok {
		return uint32(size / memory.Page)
	}
	return g.info.MinPages
}

// prepare makes the instance that the next event finds, and its snapshot. It gives the frames of what the instance logged.
// One that fails to initialise fails again in the event that comes, where somebody is told. An error is the worker's end.
func (g *guest) prepare() (log []byte, err error) {
	if g.mode == fresh {
		return nil, nil
	}
	yield, exchange, release := g.host.yield, g.host.exchange, g.log.hold()
	g.host.yield, g.host.exchange = nil, nil // there is no event now: what waits is next
	in, failure := g.initialise()
	why := g.unfit(in, failure)
	if why == "" && g.mode == rewound {
		if err = g.arena.Freeze(int(g.setup.Snapshot) * memory.Page); errors.Is(err, memory.ErrSnapshot) {
			why, err = err.Error(), nil
		}
	}
	g.host.yield, g.host.exchange = yield, exchange
	log = release()
	if err != nil {
		return nil, err
	}
	if why == "" {
		in.stacks(g.info.Exports)
		g.now, g.lost, g.values = in, false, in.values()
		g.events, g.fuel, g.born = 0, 0, g.host.began
		g.rewindGlobals()
		return log, nil
	}
	if in != nil {
		_ = in.module.Close(g.ctx) // it is dropped whatever it says
	}
	if g.mode == rewound {
		g.mode, g.why = fresh, why
	}
	return nil, g.arena.Reset()
}

// initialise makes an instance outside of any event.
func (g *guest) initialise() (*instance, error) {
	now := time.Now()
	g.arena.Begin(uint64(g.setup.Pages) * memory.Page)
	g.host.begin(now, now.Add(time.Duration(g.setup.Begin)))
	g.host.drawn, g.host.closed = false, false
	in, err := g.instantiate()
	if err != nil {
		return nil, err
	}
	g.host.meter(in)
	defer g.host.settle()
	if in.initialise != nil && g.info.Kind == module.Reactor {
		err = in.initialise.CallWithStack(g.ctx, nil)
	}
	// Whatever the first call of it sets up stands in the snapshot then.
	if err == nil && in.reseed != nil && g.mode == rewound {
		err = g.reseed(in)
	}
	return in, err
}

// reseed has an instance draw random numbers anew.
func (g *guest) reseed(in *instance) error {
	err := in.reseed.CallWithStack(g.ctx, g.stack[:1])
	if err == nil && uint32(g.stack[0]) != 0 {
		err = fmt.Errorf("it returned %d", uint32(g.stack[0]))
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errReseed, err)
	}
	return nil
}

var errReseed = errors.New(module.ExportReseed + " failed")

// unfit says why an instance that was just made cannot be used for more than an event; "" when it can.
func (g *guest) unfit(in *instance, failure error) string {
	switch {
	case errors.Is(failure, errReseed):
		return brief(failure)
	case failure != nil:
		return "its initialisation failed: " + brief(failure)
	case g.mode == kept:
		return ""
	case g.host.closed:
		return "it closed a standard stream while it initialised"
	case g.host.drawn && in.reseed == nil:
		return "it asked for random numbers or the time while it initialised, and exports no " + module.ExportReseed
	}
	if err := in.plain(); err != nil {
		return err.Error()
	}
	return ""
}

// brief is the first line of an error: the engine puts a stack behind it.
func brief(err error) string {
	first, _, _ := strings.Cut(err.Error(), "\n")
	return first
}

// enter gives the instance for an event, nil when there is to be a new one. An error is the worker's end.
func (g *guest) enter() (*instance, error) {
	if g.now == nil {
		return nil, nil
	}
	g.host.closed = false
	g.now.fuel.Set(0)
	g.host.meter(g.now)
	if g.mode != rewound || g.now.reseed == nil {
		return g.now, nil
	}
	err := g.reseed(g.now)
	if err == nil {
		return g.now, nil
	}
	g.host.settle()
	return nil, g.giveUp(brief(err))
}

// giveUp makes every event from now on have an instance of its own.
func (g *guest) giveUp(why string) error {
	_ = g.now.module.Close(g.ctx) // it is dropped whatever it says
	g.now, g.mode, g.why = nil, fresh, why
	if err := g.arena.Thaw(); err != nil {
		return err
	}
	return g.arena.Reset()
}

// leave says what an event that ended with err, or with an error document, has left of its instance.
func (g *guest) leave(in *instance, failed bool, err error) error {
	var exit *sys.ExitError
	exited := errors.As(err, &exit)
	switch g.mode {
	case rewound:
		if g.now == nil { // it was made for this event
			return in.module.Close(g.ctx)
		}
		// A trap may stand anywhere in the engine, and a closed stream stays closed: both cost the instance.
		g.fuel += g.host.used()
		g.lost = err != nil && !exited || g.host.closed || g.fuel > shellFuel && !g.begins
		if !g.lost && time.Since(g.host.began) > deepAfter {
			in.stacks(g.info.Exports)
		}
		return nil
	case kept:
		if err != nil || failed && g.setup.Strict {
			g.now = nil
			return in.module.Close(g.ctx)
		}
		if g.now == nil {
			g.events, g.born = 0, g.host.began
		}
		g.now = in
		g.events++
		return nil
	}
	return in.module.Close(g.ctx)
}

// reset leaves nothing of the last event, or only what is to be kept.
func (g *guest) reset() error {
	g.in.data, g.host.response = nil, nil
	switch {
	case g.now == nil:
		return g.arena.Reset()
	case g.mode == rewound:
		return g.rewind()
	case g.events >= keptEvents || time.Since(g.born) >= keptLife:
		err := g.now.module.Close(g.ctx)
		g.now = nil
		return errors.Join(err, g.reset())
	}
	return nil
}

// rewind returns the instance to its snapshot.
func (g *guest) rewind() error {
	if g.lost || !g.arena.Ungrow(g.now.module.Memory()) {
		if err := g.replace(); err != nil || g.now == nil {
			return err
		}
	}
	if err := g.arena.Reset(); err != nil {
		return err
	}
	g.rewindGlobals()
	return nil
}

// rewindGlobals returns the globals to their values, and the fuel to nothing.
func (g *guest) rewindGlobals() {
	for i, v := range g.values {
		g.now.globals[i].Set(v)
	}
	g.now.fuel.Set(0)
}

// replace puts a new shell around the snapshot. Its initial data lands in the memory, which reset returns; a start function
// would run there, on what it must not see, so that a module with one starts all over.
func (g *guest) replace() error {
	err := g.now.module.Close(g.ctx)
	g.now, g.lost, g.fuel = nil, false, 0
	if err != nil {
		return fmt.Errorf("closing an instance: %w", err)
	}
	if g.begins {
		if err = g.arena.Thaw(); err == nil {
			err = g.arena.Reset()
		}
		if err == nil {
			_, err = g.prepare()
		}
		return err
	}
	g.arena.Begin(uint64(g.setup.Pages) * memory.Page)
	if g.now, err = g.instantiate(); err != nil {
		return fmt.Errorf("making an instance again: %w", err)
	}
	if !g.arena.Ungrow(g.now.module.Memory()) {
		return errors.New("making an instance again: its memory has another size")
	}
	return nil
}

// hold keeps the frames of what is logged, until the function that it gives is called, which hands them out.
func (l *logger) hold() func() []byte {
	conn, held := l.conn, &bytes.Buffer{}
	l.conn = held
	l.begin()
	return func() []byte {
		_ = l.flush() // a buffer takes everything
		l.conn = conn
		return held.Bytes()
	}
}
