package module

import (
	"bytes"
	"context"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"pgregory.net/rapid"

	"casemate/internal/casetest/guests"
)

func prepare(t interface{ Fatal(...any) }, code []byte) Prepared {
	p, err := Prepare(code)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// newRuntime has WASI, and a refill that adds a million.
func newRuntime(t testing.TB, config wazero.RuntimeConfig) wazero.Runtime {
	return runtimeWith(t, config, func(_ context.Context, m api.Module, _ []uint64) {
		fuel, _ := m.ExportedGlobal(fuelExport).(api.MutableGlobal)
		fuel.Set(fuel.Get() + 1e6)
	})
}

func runtimeWith(t testing.TB, config wazero.RuntimeConfig, refill api.GoModuleFunc) wazero.Runtime {
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, config)
	t.Cleanup(func() { _ = r.Close(ctx) })
	wasi_snapshot_preview1.MustInstantiate(ctx, r)
	_, err := r.NewHostModuleBuilder(ImportModule).NewFunctionBuilder().WithGoModuleFunction(refill, nil, nil).
		Export(ImportRefill).Instantiate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestPrepareKeepsMemory: a prepared module starts with the memory of the original, however its data lies.
func TestPrepareKeepsMemory(t *testing.T) {
	ctx := context.Background()
	r := newRuntime(t, wazero.NewRuntimeConfigInterpreter())
	memory := func(t *rapid.T, code []byte) ([]byte, error) {
		m, err := r.InstantiateWithConfig(ctx, code, wazero.NewModuleConfig().WithName("").WithStartFunctions())
		if err != nil {
			return nil, err
		}
		defer m.Close(ctx)
		b, ok := m.Memory().Read(0, m.Memory().Size())
		if !ok {
			t.Fatal("no memory")
		}
		return bytes.Clone(b), nil
	}
	rapid.Check(t, func(t *rapid.T) {
		rising := rapid.Bool().Draw(t, "rising")
		g := guests.Module{Funcs: []guests.Func{guests.Start(nil, 0)}, Min: 2}
		at := int32(0)
		for _, gap := range rapid.SliceOfN(rapid.Int32Range(0, 6000), 0, 30).Draw(t, "gaps") {
			data := rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "data")
			if at += gap; !rising {
				at = gap
			}
			g.Segments = append(g.Segments, guests.Segment{At: at, Data: data})
			at += int32(len(data))
		}
		code := g.Bytes()
		want, wantErr := memory(t, code)
		got, err := memory(t, prepare(t, code).Code)
		if (err == nil) != (wantErr == nil) || !bytes.Equal(got, want) {
			t.Fatalf("memory differs; %v, %v", err, wantErr)
		}
	})
}

func TestPrepareMerges(t *testing.T) {
	g := guests.Module{Funcs: []guests.Func{guests.Start(nil, 0)}, Min: 1}
	for i := range int32(500) {
		g.Segments = append(g.Segments, guests.Segment{At: 64 + 24*i, Data: []byte("0123456789abcdef")})
	}
	g.Segments = append(g.Segments, guests.Segment{At: 60_000, Data: []byte("far")})
	code := g.Bytes()
	if n, m := segments(t, code), segments(t, prepare(t, code).Code); n != 501 || m != 2 {
		t.Errorf("%d segments became %d, want 501 and 2", n, m)
	}
	if !bytes.Equal(prepare(t, code).Code, prepare(t, code).Code) {
		t.Error("preparing twice gives two results")
	}
	// Data that would grow too much, and data that instructions may name, stay as they are.
	wide := g
	wide.Segments = nil
	for i := range int32(15) {
		wide.Segments = append(wide.Segments, guests.Segment{At: 4000 * i, Data: []byte{1}})
	}
	if n := segments(t, prepare(t, wide.Bytes()).Code); n != 15 {
		t.Errorf("wide data became %d segments", n)
	}
	at := bytes.Index(code, []byte{sectionCode, 6, 1})
	numbered := append(append(bytes.Clone(code[:at]), sectionDataCount, 2, 0xf5, 3), code[at:]...)
	if n := segments(t, prepare(t, numbered).Code); n != 501 {
		t.Errorf("numbered data became %d segments", n)
	}
}

func segments(t *testing.T, code []byte) uint32 {
	c := &cursor{b: code[8:]}
	for len(c.b) > 0 && !c.bad {
		id := c.byte()
		body := &cursor{b: c.take(c.u32())}
		if id == sectionData {
			return body.u32()
		}
	}
	t.Fatal("no data")
	return 0
}
