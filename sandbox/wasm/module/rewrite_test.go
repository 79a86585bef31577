package module

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"pgregory.net/rapid"

	"casemate/internal/casetest/guests"
	"casemate/internal/casetest/modules"
)

// grants is what the refill import added.
type grants struct{ step, total uint64 }

func (g *grants) used(m api.Module) int64 {
	return int64(g.total - m.ExportedGlobal(fuelExport).Get())
}

// engine compiles with a refill that counts in a *grants.
func engine(t testing.TB, config wazero.RuntimeConfig, g *grants) wazero.Runtime {
	return runtimeWith(t, config, func(_ context.Context, m api.Module, _ []uint64) {
		fuel, _ := m.ExportedGlobal(fuelExport).(api.MutableGlobal)
		if int64(fuel.Get()) >= 0 {
			t.Error("asked for fuel with some left")
		}
		fuel.Set(fuel.Get() + g.step)
		g.total += g.step
	})
}

// TestFuelIsExact: a prepared module does what the original does, by the memory, the globals and the answers of an independent
// interpreter, and uses as much fuel as that one counts. A run that traps is charged at least what it ran.
func TestFuelIsExact(t *testing.T) {
	ctx := context.Background()
	g := &grants{step: 1000}
	r := engine(t, wazero.NewRuntimeConfigCompiler(), g)
	exact, trapped, rewindable := 0, 0, 0
	check := func(t *rapid.T) {
		m := modules.Draw(t)
		p := prepare(t, m.Bytes())
		if p.Rewind == "" {
			rewindable++
		}
		code, err := r.CompileModule(ctx, p.Code)
		if err != nil {
			t.Fatalf("it became invalid: %v", err)
		}
		defer code.Close(ctx)
		*g = grants{step: rapid.Uint64Range(1, 20_000).Draw(t, "step")}
		mine, mineErr := m.Instance()
		there, err := r.InstantiateModule(ctx, code, wazero.NewModuleConfig().WithName("").WithStartFunctions())
		if (err == nil) != (mineErr == nil) {
			t.Fatalf("starting: %v wanted, %v got", mineErr, err)
		}
		if err != nil {
			return
		}
		defer there.Close(ctx)
		call := func(what string, want, got error) bool {
			if (got == nil) != (want == nil) {
				t.Fatalf("%s: %v wanted, %v got", what, want, got)
			}
			same(t, mine, there, p)
			used := g.used(there)
			switch {
			case got == nil && used != mine.Fuel:
				t.Fatalf("%s: %d fuel used, %d counted", what, used, mine.Fuel)
			case got != nil && used < mine.Fuel:
				t.Fatalf("%s trapped: %d fuel used, %d counted", what, used, mine.Fuel)
			case got != nil:
				trapped++
			default:
				exact++
			}
			return got == nil
		}
		if f := there.ExportedFunction(ExportInitialize); f != nil {
			_, want := mine.Call(ExportInitialize)
			_, err := f.Call(ctx)
			if !call("initialising", want, err) {
				return
			}
		}
		for _, event := range modules.DrawEvents(t) {
			want, wantErr := mine.Handle(event)
			got, err := handle(ctx, there, event)
			if !bytes.Equal(got, want) {
				t.Fatalf("%x wanted, %x got", want, got)
			}
			if !call("an event", wantErr, err) {
				return
			}
		}
	}
	for range 1 + 30*min(1, len(os.Getenv("CASEMATE_FULL"))) {
		rapid.Check(t, check)
	}
	t.Logf("%d runs exact, %d trapped, %d modules could be rewound", exact, trapped, rewindable)
	if exact < 3*trapped || rewindable == 0 {
		t.Error("hardly anything was compared")
	}
}

func same(t *rapid.T, want *modules.Instance, got api.Module, p Prepared) {
	if b, _ := got.Memory().Read(0, got.Memory().Size()); !bytes.Equal(b, want.Memory) {
		t.Fatal("the memory differs")
	}
	globals := want.Globals()
	if len(globals) != len(p.Globals) {
		t.Fatalf("%d globals, %d are exported", len(globals), len(p.Globals))
	}
	for i, name := range p.Globals {
		g, ok := got.ExportedGlobal(name).(api.MutableGlobal)
		if !ok || g.Get() != globals[i] {
			t.Fatalf("global %d: %d wanted, %v got", i, globals[i], g)
		}
	}
}

func handle(ctx context.Context, m api.Module, event []byte) ([]byte, error) {
	at, err := m.ExportedFunction(ExportAlloc).Call(ctx, uint64(len(event)))
	if err != nil {
		return nil, err
	}
	m.Memory().Write(uint32(at[0]), event)
	out, err := m.ExportedFunction(ExportHandle).Call(ctx, at[0], uint64(len(event)))
	if err != nil {
		return nil, err
	}
	b, _ := m.Memory().Read(uint32(out[0]>>32), uint32(out[0]))
	return bytes.Clone(b), nil
}

// TestNamesAreKept: the trace of a trap still names the functions that it went through; names that cannot be read go.
func TestNamesAreKept(t *testing.T) {
	ctx := context.Background()
	r := newRuntime(t, wazero.NewRuntimeConfigCompiler())
	fail := guests.Func{Code: guests.Code(opUnreachable)}
	yield := guests.Func{Imported: "sched_yield", Results: []byte{guests.I32}}
	code := guests.Module{Funcs: []guests.Func{yield, fail, guests.Start(guests.Code(opCall, 1), 0)}, Min: 1}.Bytes()
	names := "\x04name\x00\x02\x01m\x01\x0f\x03\x00\x01y\x01\x04fail\x02\x03all\x02\x05\x01\x01\x01\x00\x00"
	for section, want := range map[string]string{names: "m.fail()", names[:len(names)-1]: ".$2()", "\x04name\x01\x03\x01\x09x": ".$2()"} {
		whole := append(append(bytes.Clone(code), sectionCustom, byte(len(section))), section...)
		m, err := r.InstantiateWithConfig(ctx, prepare(t, whole).Code, wazero.NewModuleConfig().WithName("").WithStartFunctions())
		if err != nil {
			t.Fatal(err)
		}
		if _, err = m.ExportedFunction(ExportStart).Call(ctx); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", section, err, want)
		}
	}
}

// TestCosts is the price list, by example.
func TestCosts(t *testing.T) {
	ctx := context.Background()
	g := &grants{step: 7}
	r := engine(t, wazero.NewRuntimeConfigCompiler(), g)
	zero, one, drop, nop := guests.Const(0), guests.Const(1), byte(0x1a), byte(0x01)
	for name, c := range map[string]struct {
		code []byte
		want int64
	}{
		"nothing":                 {nil, 0},
		"places":                  {guests.Code(opBlock, void, opLoop, void, opEnd, opEnd), 0},
		"three":                   {guests.Code(nop, one, drop), 3},
		"an arm not taken":        {guests.Code(zero, opIf, void, nop, nop, opEnd, nop), 3},
		"an arm taken":            {guests.Code(one, opIf, void, nop, nop, opEnd, nop), 5},
		"the other arm":           {guests.Code(zero, opIf, void, nop, nop, opElse, nop, opEnd), 3},
		"a way out":               {guests.Code(opBlock, void, one, opBrIf, 0, nop, opEnd, nop), 3},
		"a way back":              {guests.Code(opLoop, void, opLocalGet, 0, one, 0x6a, opLocalTee, 0, guests.Const(3), opI32Ne, opBrIf, 0, opEnd), 21},
		"behind a return":         {guests.Code(nop, opReturn, nop), 2},
		"a fill of 17 bytes":      {guests.Code(zero, zero, guests.Const(17), opMisc, miscMemoryFill, 0), 6},
		"a copy of 7 bytes":       {guests.Code(zero, zero, guests.Const(7), opMisc, miscMemoryCopy, 0, 0), 4},
		"two pages":               {guests.Code(guests.Const(2), opMemoryGrow, 0, drop), 3 + 2*8192},
		"pages that are not had":  {guests.Code(guests.Const(99), opMemoryGrow, 0, drop), 3},
		"three elements":          {guests.Code(zero, opRefNull, typeFuncref, guests.Const(3), opMisc, miscTableFill, 0), 7},
		"a table that grows":      {guests.Code(opRefNull, typeFuncref, guests.Const(5), opMisc, miscTableGrow, 0, drop), 9},
		"a table that grows less": {guests.Code(opRefNull, typeFuncref, guests.Const(1<<20), opMisc, miscTableGrow, 0, drop), 4},
		"a call":                  {guests.Code(opCall, 0, opCall, 0), 4},
	} {
		*g = grants{step: 7}
		m := guests.Module{Funcs: []guests.Func{{Code: []byte{nop}}, guests.Start(c.code, 1)}, Min: 1, Max: 3, Tables: []byte{1, 0x70, 0, 4}}
		i, err := r.InstantiateWithConfig(ctx, prepare(t, m.Bytes()).Code, wazero.NewModuleConfig().WithName("").WithStartFunctions())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err = i.ExportedFunction(ExportStart).Call(ctx); err != nil || g.used(i) != c.want {
			t.Errorf("%s: %d fuel, want %d; %v", name, g.used(i), c.want, err)
		}
	}
}
