package module

import (
	"bytes"
	"context"
	"testing"

	"github.com/tetratelabs/wazero"
	"pgregory.net/rapid"

	"casemate"
	"casemate/internal/casetest/guests"
	"casemate/internal/casetest/modules"
)

// FuzzPrepare: nothing panics; a refusal is a *casemate.Error; what compiles, compiles when it is prepared, with the exports and
// the memory that Inspect said, and what does not compile does not become valid by it.
func FuzzPrepare(f *testing.F) {
	for _, m := range [][]byte{guests.Hello(), guests.Echo(), guests.Reactor(true), guests.Grow(), guests.Canary(2), fibGuest(), hashGuest(),
		guests.Module{Funcs: []guests.Func{guests.Start(nil, 0)}, Min: 1, Max: 9, Tables: []byte{1, 0x70, 1, 1, 2}}.Bytes()} {
		f.Add(m)
	}
	drawn := rapid.Custom(func(t *rapid.T) []byte { return modules.Draw(t).Bytes() })
	for i := range 20 {
		f.Add(drawn.Example(i))
	}
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	f.Cleanup(func() { _ = r.Close(ctx) })
	f.Fuzz(func(t *testing.T, module []byte) {
		info, inspectErr := Inspect(module)
		p, err := Prepare(module)
		if err != nil {
			if e := casemate.AsError(err); e.Code != casemate.Invalid && e.Code != casemate.TooLarge {
				t.Fatalf("refused with %s: %v", e.Code, err)
			}
			return
		}
		if inspectErr != nil {
			t.Fatalf("prepared although it was refused: %v", inspectErr)
		}
		original, originalErr := r.CompileModule(ctx, module)
		prepared, err := r.CompileModule(ctx, p.Code)
		if (err == nil) != (originalErr == nil) && !bytes.Contains(module, []byte("name")) { // names are read leniently
			t.Fatalf("before: %v; prepared: %v", originalErr, err)
		}
		if originalErr == nil {
			_ = original.Close(ctx)
		}
		if err != nil {
			return
		}
		defer prepared.Close(ctx)
		exports := prepared.ExportedFunctions()
		if info.Kind == Command && exports[ExportStart] == nil || info.Kind == Reactor && exports[ExportHandle] == nil {
			t.Fatalf("%s without its exports", info.Kind)
		}
		if mem := prepared.ExportedMemories()["memory"]; mem == nil || mem.Min() != info.MinPages {
			t.Fatalf("memory %v, Inspect said %d", mem, info.MinPages)
		}
	})
}

// FuzzCode is FuzzPrepare for one function's code, in a module that has everything that code can speak of.
func FuzzCode(f *testing.F) {
	const before = "\x00asm\x01\x00\x00\x00" +
		"\x01\x0f\x03\x60\x00\x00\x60\x01\x7f\x01\x7f\x60\x02\x7e\x7b\x01\x7e" + // types
		"\x03\x03\x02\x00\x01" + "\x04\x07\x02\x70\x00\x04\x6f\x00\x04" + "\x05\x04\x01\x01\x01\x02" +
		"\x06\x0b\x02\x7f\x01\x41\x00\x0b\x7e\x00\x42\x00\x0b" + // globals
		"\x07\x13\x02\x06memory\x02\x00\x06_start\x00\x00" +
		"\x09\x08\x01\x00\x41\x00\x0b\x02\x00\x01" + "\x0c\x01\x01"
	code := func(body []byte) []byte {
		second := "\x04\x00\x20\x00\x0b"
		n := appendU32(nil, uint32(len(body)))
		all := appendU32(append([]byte(before), sectionCode), uint32(1+len(n)+len(body)+len(second)))
		all = append(append(append(append(all, 2), n...), body...), second...)
		return append(all, "\x0b\x04\x01\x01\x01x"...)
	}
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	f.Cleanup(func() { _ = r.Close(ctx) })
	for _, seed := range [][]byte{
		{0, opEnd}, {1, 2, typeV128, opLoop, void, opEnd, opEnd}, {0, opMisc, miscDataDrop, 0, opEnd},
		guests.Code(0, guests.Const(1), opIf, void, opCall, 0, opElse, opReturn, opEnd, opEnd),
		guests.Code(0, guests.Const(0), guests.Const(0), guests.Const(9), opMisc, miscMemoryCopy, 0, 0, opEnd),
		guests.Code(0, guests.Const(0), guests.Const(0), opCallIndirect, 1, 0, 0x1a, opEnd),
		guests.Code(0, opBlock, void, guests.Const(0), opBrTable, 2, 0, 1, 0, opEnd, opEnd),
		guests.Code(0, opVector, 0x0c, make([]byte, 16), opVector, 0x80, 1, 0x1a, opEnd),
		guests.Code(0, guests.Const(0), opVector, 0x00, 4, 0, opVector, 0x15, 3, 0x1a, opEnd),
		guests.Code(0, opRefFunc, 1, opRefNull, typeFuncref, guests.Const(1), 0x1c, 1, typeFuncref, 0xd1, 0x1a, opEnd),
		guests.Code(0, guests.Const(1), opBlock, 1, opMemoryGrow, 0, opEnd, 0x1a, opEnd),
		guests.Code(0, opI64Const, 1, opF64Const, make([]byte, 8), opF32Const, make([]byte, 4), 0x1a, 0x1a, 0x1a, opEnd),
	} {
		if _, err := r.CompileModule(ctx, code(seed)); err != nil {
			f.Fatalf("the seed %x: %v", seed, err)
		}
		if _, err := Prepare(code(seed)); err != nil {
			f.Fatalf("the seed %x: %v", seed, err)
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		module := code(body)
		p, err := Prepare(module)
		if err != nil {
			return
		}
		_, originalErr := r.CompileModule(ctx, module)
		if _, err = r.CompileModule(ctx, p.Code); (err == nil) != (originalErr == nil) {
			t.Fatalf("before: %v; prepared: %v", originalErr, err)
		}
	})
}
