package modules

import (
	"bytes"
	"context"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"pgregory.net/rapid"
)

// TestEnginesAgree: what is drawn is valid, ends within its bound, and does the same in an engine as in the interpreter here. It
// is wazero's interpreter: its compiler is wrong about some comparisons (sandbox/wasm/module/compare.go).
func TestEnginesAgree(t *testing.T) {
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	defer r.Close(ctx)
	wasi_snapshot_preview1.MustInstantiate(ctx, r)
	trapped, answered := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		m := Draw(t)
		code, err := r.CompileModule(ctx, m.Bytes())
		if err != nil {
			t.Fatalf("%v\n%x", err, m.Bytes())
		}
		defer code.Close(ctx)
		mine, mineErr := m.Instance()
		g, err := r.InstantiateModule(ctx, code, wazero.NewModuleConfig().WithName("").WithStartFunctions())
		if (err == nil) != (mineErr == nil) {
			t.Fatalf("starting: %v here, %v there", mineErr, err)
		}
		if err != nil {
			trapped++
			return
		}
		defer g.Close(ctx)
		if f := g.ExportedFunction("_initialize"); f != nil {
			_, err := f.Call(ctx)
			if _, mineErr := mine.Call("_initialize"); (err == nil) != (mineErr == nil) {
				t.Fatalf("_initialize: %v here, %v there", mineErr, err)
			}
			if err != nil {
				trapped++
				return
			}
		}
		for _, event := range DrawEvents(t) {
			before := mine.Fuel
			want, wantErr := mine.Handle(event)
			got, err := handle(ctx, g, event)
			if (err == nil) != (wantErr == nil) || !bytes.Equal(got, want) {
				t.Fatalf("%x %v here, %x %v there", want, wantErr, got, err)
			}
			if b, _ := g.Memory().Read(0, g.Memory().Size()); !bytes.Equal(b, mine.Memory) {
				t.Fatal("the memory differs")
			}
			if used := mine.Fuel - before; used > 3_000_000 {
				t.Fatalf("an event took %d", used)
			}
			if err != nil {
				trapped++
				return
			}
			answered++
		}
	})
	t.Logf("%d events answered, %d runs trapped", answered, trapped)
	if answered < 3*trapped {
		t.Error("most of what is drawn traps")
	}
}

func handle(ctx context.Context, m api.Module, event []byte) ([]byte, error) {
	at, err := m.ExportedFunction("casemate_alloc").Call(ctx, uint64(len(event)))
	if err != nil {
		return nil, err
	}
	m.Memory().Write(uint32(at[0]), event)
	out, err := m.ExportedFunction("casemate_handle").Call(ctx, at[0], uint64(len(event)))
	if err != nil {
		return nil, err
	}
	b, _ := m.Memory().Read(uint32(out[0]>>32), uint32(out[0]))
	return bytes.Clone(b), nil
}
