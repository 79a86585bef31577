package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/experimental/table"
	"pgregory.net/rapid"

	"casemate/internal/casetest/guests"
	"casemate/internal/casetest/modules"
	"casemate/sandbox/wasm/memory"
	"casemate/sandbox/wasm/wire"
)

// full says that there is time for the long runs.
func full() bool { return os.Getenv("CASEMATE_FULL") != "" }

func setup(change func(*wire.Setup)) *wire.Setup {
	s := &wire.Setup{Pages: 64, Request: 1 << 20, Response: 1 << 20, LogBytes: 1 << 16, Snapshot: 64, Begin: int64(time.Minute),
		Timeout: int64(time.Minute)}
	if change != nil {
		change(s)
	}
	return s
}

// failer is a test, or a rapid check.
type failer interface {
	Fatal(...any)
	Error(...any)
}

// newGuest is a module as a worker has it before its first event. close gives it back.
func newGuest(t failer, code []byte, s *wire.Setup) (*guest, *bytes.Buffer, func()) {
	log := &bytes.Buffer{}
	g, err := compile(code, s, nil, &logger{conn: log, limit: int(s.LogBytes)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = g.prepare(); err != nil {
		t.Fatal(err)
	}
	return g, log, func() {
		if err := g.runtime.Close(g.ctx); err != nil {
			t.Error(err)
		}
		if err := g.arena.Close(); err != nil {
			t.Error(err)
		}
	}
}

var seq uint64

func event(payload []byte) *wire.Event {
	seq++
	return &wire.Event{Seq: seq, Deadline: time.Now().Add(time.Minute).UnixNano(), Pages: 64, Payload: payload}
}

// serve runs an event as a worker does, without its reset.
func serve(t failer, g *guest, payload []byte) wire.Answer {
	g.log.begin()
	a, err := g.run(event(payload))
	if err != nil {
		t.Fatal(err)
	}
	if err = g.log.flush(); err != nil {
		t.Fatal(err)
	}
	a.Seq = 0
	a.Payload = bytes.Clone(g.out.frame[wire.AnswerHeader:])
	return a
}

func reset(t failer, g *guest) {
	if err := g.reset(); err != nil {
		t.Fatal(err)
	}
}

// look is everything that an instance can see of itself, but for its tables.
func look(in *instance, a *memory.Arena) (globals []string, memory []byte) {
	m := in.module.(experimental.InternalModule)
	for i := range m.NumGlobal() {
		globals = append(globals, m.Global(i).String())
	}
	b, ok := in.module.Memory().Read(0, uint32(len(a.Bytes())))
	if !ok || int(in.module.Memory().Size()) != len(b) {
		return nil, nil
	}
	return globals, b
}

// elements tells apart what stands in the first places of table 0: the engine finds a function there by its type only.
func elements(m api.Module) []string {
	var out []string
	kinds := [][]api.ValueType{nil}
	for at := 0; at < len(kinds); at++ {
		if k := kinds[at]; len(k) < 3 {
			kinds = append(kinds, append(slices.Clone(k), api.ValueTypeI32), append(slices.Clone(k), api.ValueTypeI64))
		}
	}
	for at := range uint32(7) {
		text := "nothing"
		for _, p := range kinds {
			for _, r := range kinds[:7] {
				func() {
					defer func() { _ = recover() }()
					text = fmt.Sprint(p, r, table.LookupFunction(m, 0, at, p, r).Definition().Index())
				}()
			}
		}
		out = append(out, text)
	}
	return out
}

// TestRewoundIsBrandNew: random modules are given random events, in an instance that is rewound in between, and in one
// that is made for each. Before and after every event both have the same memory, its size and the same globals; they give
// the same answers, logs and fuel, and in the end have the same tables.
func TestRewoundIsBrandNew(t *testing.T) {
	var rewindable, given, trapped, grew int
	check := func(t *rapid.T) {
		m := modules.Draw(t)
		code := m.Bytes()
		a, logA, doneA := newGuest(t, code, setup(nil))
		defer doneA()
		if a.mode != rewound {
			if a.why == "" {
				t.Fatal("no reason")
			}
			given++
			return
		}
		rewindable++
		b, logB, doneB := newGuest(t, code, setup(func(s *wire.Setup) { s.Begin = 1 << 60 }))
		defer doneB()
		// b loses its instance and its snapshot: it makes a new one for every event.
		if err := b.giveUp("for the comparison"); err != nil {
			t.Fatal(err)
		}
		events := append(modules.DrawEvents(t), modules.DrawEvents(t)...)
		for i, payload := range events {
			b.arena.Begin(64 * memory.Page)
			b.host.begin(time.Now(), time.Now().Add(time.Minute))
			in, err := b.initialise()
			if err != nil {
				t.Fatalf("initialising again: %v", err)
			}
			begun := b.host.used()
			count, counted := independent(t, m, in, payload)
			same(t, "before", a, b, in)
			if i == len(events)-1 {
				if got, want := elements(a.now.module), elements(in.module); !slices.Equal(got, want) {
					t.Fatalf("tables %v, brand-new %v", got, want)
				}
			}
			_ = in.module.Close(b.ctx)
			if err = b.arena.Reset(); err != nil {
				t.Fatal(err)
			}
			logA.Reset()
			logB.Reset()
			got, want := serve(t, a, payload), serve(t, b, payload)
			want.Fuel -= begun
			if got.Status == wire.StatusTrap {
				trapped++
			}
			if size, _ := a.arena.Frozen(); len(a.arena.Bytes()) > int(size) {
				grew++
			}
			if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
				t.Fatalf("%+v, brand-new %+v", got, want)
			}
			if !bytes.Equal(logA.Bytes(), logB.Bytes()) {
				t.Fatalf("logged %q, brand-new %q", logA, logB)
			}
			if counted && got.Fuel != count {
				t.Fatalf("fuel %d, counted by another engine %d", got.Fuel, count)
			}
			if x, y := a.arena.Bytes(), b.arena.Bytes(); !bytes.Equal(x, y) {
				t.Fatalf("memory of %d and %d bytes after the event", len(x), len(y))
			}
			reset(t, a)
			reset(t, b)
		}
	}
	rounds := 2
	if full() {
		rounds = 30
	}
	for range rounds {
		rapid.Check(t, check)
	}
	t.Logf("%d rewound, %d not; %d events trapped, %d grew", rewindable, given, trapped, grew)
	if rewindable < 50 || given == 0 || trapped == 0 || grew == 0 {
		t.Error("too little was seen")
	}
}

// independent is the fuel of an event as another engine counts it, for one that does not trap.
func independent(t *rapid.T, m *modules.Module, in *instance, payload []byte) (fuel int64, ok bool) {
	other, err := m.Instance()
	if err == nil && in.initialise != nil {
		_, err = other.Call("_initialize")
	}
	if err != nil {
		t.Fatalf("initialising in another engine: %v", err)
	}
	before := other.Fuel
	_, err = other.Handle(payload)
	return int64(other.Fuel - before), err == nil
}

func same(t *rapid.T, when string, a, b *guest, in *instance) {
	values, memory := look(a.now, a.arena)
	wantValues, want := look(in, b.arena)
	if len(memory) != len(want) || memory == nil {
		t.Fatalf("%s: %d bytes of memory, brand-new %d", when, len(memory), len(want))
	}
	if !bytes.Equal(memory, want) {
		for i := range memory {
			if memory[i] != want[i] {
				t.Fatalf("%s: byte %d of memory is %#x, brand-new %#x", when, i, memory[i], want[i])
			}
		}
	}
	// The last one is the fuel.
	if n := len(values) - 1; !slices.Equal(values[:n], wantValues[:n]) {
		t.Fatalf("%s: globals %v, brand-new %v", when, values, wantValues)
	}
}

// TestNoResidue: an event that looks for what events before it have left finds nothing, however often.
func TestNoResidue(t *testing.T) {
	events := 10_000
	if full() {
		events = 1_000_000
	}
	for _, pages := range []int32{1, 3} {
		t.Run(fmt.Sprint(pages), func(t *testing.T) {
			g, _, done := newGuest(t, guests.Residue(pages), setup(nil))
			defer done()
			if g.mode != rewound {
				t.Fatal(g.why)
			}
			before := bytes.Clone(g.arena.Bytes())
			clean := serve(t, g, nil)
			if clean.Status != wire.StatusOK || len(clean.Payload) != 16 {
				t.Fatalf("%+v", clean)
			}
			for i := range events {
				reset(t, g)
				if i%1000 == 0 {
					if !bytes.Equal(g.arena.Bytes(), before) {
						t.Fatalf("memory after %d events", i)
					}
				}
				if a := serve(t, g, nil); !bytes.Equal(a.Payload, clean.Payload) || a.Status != clean.Status || a.Pages != clean.Pages || a.Fuel != clean.Fuel {
					t.Fatalf("event %d: %+v, the first one %+v", i, a, clean)
				}
			}
		})
	}
}

// TestRandomness: two events from one snapshot share no random numbers. Without a way to reseed there is no rewinding, and
// one that fails ends it for good.
func TestRandomness(t *testing.T) {
	for _, c := range []struct {
		name   string
		module []byte
		mode   mode
	}{
		{"no reseed", guests.Seeded(false, 0), fresh},
		{"reseed", guests.Seeded(true, 0), rewound},
		{"reseed fails", guests.Seeded(true, 1), fresh},
		{"reseed traps", guests.Seeded(true, -1), fresh},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, _, done := newGuest(t, c.module, setup(nil))
			defer done()
			if g.mode != c.mode || (g.mode == fresh) != (g.why != "") {
				t.Fatalf("mode %d: %s", g.mode, g.why)
			}
			seen := map[string]bool{"\x00\x00\x00\x00\x00\x00\x00\x00": true}
			for range 50 {
				a := serve(t, g, nil)
				for _, drawn := range []string{string(a.Payload[:8]), string(a.Payload[8:])} {
					if seen[drawn] {
						t.Fatalf("%x was drawn before", drawn)
					}
					seen[drawn] = true
				}
				reset(t, g)
			}
		})
	}
}

// TestReseedFailsLater: an instance that cannot be reseeded any more is given up, and the event gets a new one.
func TestReseedFailsLater(t *testing.T) {
	g, _, done := newGuest(t, guests.Seeded(true, 0), setup(nil))
	defer done()
	first := serve(t, g, nil)
	reset(t, g)
	g.now.reseed = failing{g.now.reseed}
	second := serve(t, g, nil)
	if g.mode != fresh || !strings.Contains(g.why, "casemate_reseed failed") {
		t.Errorf("mode %d: %s", g.mode, g.why)
	}
	if second.Status != wire.StatusOK || bytes.Equal(second.Payload[:8], first.Payload[:8]) {
		t.Errorf("%+v after %+v", second, first)
	}
	reset(t, g)
	if i := slices.IndexFunc(g.arena.Bytes(), func(b byte) bool { return b != 0 }); i >= 0 {
		t.Errorf("byte %d of the memory is left", i)
	}
}

type failing struct{ api.Function }

func (failing) CallWithStack(context.Context, []uint64) error { return errors.New("no randomness") }

// TestStreams: what an event does to its descriptors is its own business.
func TestStreams(t *testing.T) {
	for fd := range int32(3) {
		g, _, done := newGuest(t, guests.Closer(fd), setup(nil))
		defer done()
		for range 3 {
			if a := serve(t, g, nil); string(a.Payload) != "hello" || a.Status != wire.StatusOK {
				t.Fatalf("descriptor %d: %+v", fd, a)
			}
			reset(t, g)
		}
		if g.mode != rewound {
			t.Error(g.why)
		}
	}
	g, _, done := newGuest(t, guests.Echo(), setup(nil))
	defer done()
	for _, text := range []string{"one", "", "three"} {
		if a := serve(t, g, []byte(text)); string(a.Payload) != text {
			t.Errorf("%q for %q", a.Payload, text)
		}
		reset(t, g)
	}
}

// TestEnds: a command that exits keeps its instance, one that traps loses it; neither shows in the next event.
func TestEnds(t *testing.T) {
	for name, c := range map[string]struct {
		module []byte
		status wire.Status
		same   bool
	}{
		"exit": {guests.Exit(3), wire.StatusExit, true}, "trap": {guests.Trap(), wire.StatusTrap, false},
		"memory": {guests.Grow(), wire.StatusMemory, false}, "fine": {guests.Hello(), wire.StatusOK, true},
	} {
		g, _, done := newGuest(t, c.module, setup(nil))
		defer done()
		if g.mode != rewound {
			t.Fatal(name, g.why)
		}
		for range 3 {
			before := g.now
			if a := serve(t, g, nil); a.Status != c.status {
				t.Errorf("%s: %+v", name, a)
			}
			reset(t, g)
			if (g.now == before) != c.same {
				t.Errorf("%s: the instance stayed: %v", name, g.now == before)
			}
		}
	}
}

// TestKept: an instance that is kept goes on where it was, until an event fails.
func TestKept(t *testing.T) {
	g, _, done := newGuest(t, guests.Residue(1), setup(func(s *wire.Setup) { s.Keep = true }))
	defer done()
	for i := range byte(5) {
		if a := serve(t, g, nil); a.Payload[0] != 7+i {
			t.Fatalf("event %d finds %d", i, a.Payload[0])
		}
		reset(t, g)
	}
	g.events = keptEvents
	reset(t, g)
	if a := serve(t, g, nil); a.Payload[0] != 7 {
		t.Errorf("after its last event it finds %d", a.Payload[0])
	}
	g.born = g.born.Add(-keptLife)
	reset(t, g)
	if a := serve(t, g, nil); a.Payload[0] != 7 {
		t.Errorf("after its life it finds %d", a.Payload[0])
	}
	g.now.handle = failing{g.now.handle}
	if a := serve(t, g, nil); a.Status != wire.StatusTrap {
		t.Fatalf("%+v", a)
	}
	reset(t, g)
	if a := serve(t, g, nil); a.Payload[0] != 7 {
		t.Errorf("after a failure it finds %d", a.Payload[0])
	}
}

// TestKeptInStrictness: an error document ends an instance only where nothing odd may carry over.
func TestKeptInStrictness(t *testing.T) {
	for _, strict := range []bool{false, true} {
		g, _, done := newGuest(t, guests.Reactor(true), setup(func(s *wire.Setup) { s.Keep, s.Strict = true, strict }))
		defer done()
		before := g.now
		if a := serve(t, g, []byte("x")); a.Status != wire.StatusFailed {
			t.Fatalf("%+v", a)
		}
		reset(t, g)
		if (g.now == before) == strict {
			t.Errorf("strict %v: the instance stayed: %v", strict, g.now == before)
		}
	}
}

// TestShellIsReplaced: the engine's own state does not grow for ever.
func TestShellIsReplaced(t *testing.T) {
	g, _, done := newGuest(t, guests.Residue(1), setup(nil))
	defer done()
	before := g.now
	serve(t, g, nil)
	g.fuel = shellFuel
	reset(t, g)
	if g.now != before {
		t.Fatal("replaced too soon")
	}
	serve(t, g, nil)
	reset(t, g)
	if g.now == before || g.fuel != 0 {
		t.Fatal("not replaced")
	}
	if a := serve(t, g, nil); a.Payload[0] != 7 || a.Payload[8] != 1 {
		t.Errorf("% x", a.Payload)
	}
}

// TestNoMemoryAtFirst: a memory that begins with nothing, grows, and has nothing again.
func TestNoMemoryAtFirst(t *testing.T) {
	g, _, done := newGuest(t, guests.Growing(), setup(nil))
	defer done()
	if g.mode != rewound {
		t.Fatal(g.why)
	}
	for range 3 {
		if a := serve(t, g, nil); a.Status != wire.StatusExit || a.Exit != 100 || a.Pages != 2 {
			t.Fatalf("%+v", a)
		}
		reset(t, g)
	}
}
