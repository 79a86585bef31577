package module

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"

	"casemate"
	"casemate/internal/casetest/guests"
)

func TestInspect(t *testing.T) {
	info, err := Inspect(guests.Echo())
	if err != nil || info.Kind != Command || info.MinPages != 1 || strings.Join(info.Imports, " ") != "fd_write fd_read" ||
		strings.Join(info.Exports, " ") != "memory _start" {
		t.Errorf("echo: %+v %v", info, err)
	}
	if info, err := Inspect(guests.Reactor(false)); err != nil || info.Kind != Reactor {
		t.Errorf("reactor: %+v %v", info, err)
	}
}

func TestInspectRefuses(t *testing.T) {
	hello := guests.Hello()
	edit := func(f func(b []byte) []byte) []byte { return f(bytes.Clone(hello)) }
	startOf := func(f guests.Func) []byte { return guests.Module{Funcs: []guests.Func{f}, Min: 1}.Bytes() }
	handle := guests.Func{Export: ExportHandle, Params: []byte{guests.I32, guests.I32}, Results: []byte{guests.I64}, Code: guests.Code(0x42, 0)}
	for name, c := range map[string]struct {
		module []byte
		want   string
	}{
		"nothing":           {nil, "not a WebAssembly module"},
		"text":              {[]byte("(module)        "), "not a WebAssembly module"},
		"an ELF file":       {[]byte("\x7fELF\x02\x01\x01\x00"), "not a WebAssembly module"},
		"component":         {[]byte("\x00asm\x0d\x00\x01\x00"), "component (WASI 0.2"},
		"version 2":         {edit(func(b []byte) []byte { b[4] = 2; return b }), "unknown version"},
		"no sections":       {hello[:8], "exports neither"},
		"cut short":         {hello[:len(hello)-3], "malformed"},
		"trailing garbage":  {append(bytes.Clone(hello), 7), "malformed"},
		"section twice":     {append(bytes.Clone(hello), 5, 3, 1, 0, 1), "malformed"},
		"endless leb128":    {append(bytes.Clone(hello[:8]), 1, 0x80, 0x80, 0x80, 0x80, 0x80, 0), "malformed"},
		"huge count":        {append(bytes.Clone(hello[:8]), 1, 5, 0xff, 0xff, 0xff, 0xff, 0x0f), "malformed"},
		"foreign import":    {bytes.Replace(hello, []byte(WASI), []byte("wasi_snapshot_preview2"), 1), "preview2"},
		"unknown function":  {bytes.Replace(hello, []byte("fd_write"), []byte("fd_wrote"), 1), "fd_wrote"},
		"bad UTF-8":         {bytes.Replace(hello, []byte("fd_write"), []byte("fd_writ\xff"), 1), "malformed"},
		"_start with a sum": {startOf(guests.Func{Export: ExportStart, Params: []byte{guests.I32}}), "_start has the wrong type"},
		"handle alone":      {startOf(handle), "without casemate_alloc"},
		"both": {guests.Module{Funcs: []guests.Func{handle, {Export: ExportStart}, {Export: ExportInitialize}}, Min: 1}.Bytes(),
			"exports both"},
		"alloc of nothing": {guests.Module{Funcs: []guests.Func{handle, {Export: ExportAlloc}}, Min: 1}.Bytes(), "casemate_alloc has the wrong type"},
		"hidden memory":    {bytes.Replace(hello, []byte("memory"), []byte("nemory"), 1), "exports no memory"},
		"no entry":         {bytes.Replace(hello, []byte("_start"), []byte("_stort"), 1), "exports neither"},
		"5 GiB of memory":  {guests.Module{Funcs: []guests.Func{guests.Start(nil, 0)}, Min: 80_000}.Bytes(), "malformed"},
		"huge table": {guests.Module{Funcs: []guests.Func{guests.Start(nil, 0)}, Min: 1, Tables: guests.Code(1, 0x70, 0, appendU32(nil, 1<<20))}.Bytes(),
			"table starts with"},
		"oversized": {append(bytes.Clone(hello), make([]byte, SizeLimit)...), "bound is"},
	} {
		_, err := Inspect(c.module)
		e := casemate.AsError(err)
		if err == nil || e.Code != casemate.Invalid && e.Code != casemate.TooLarge || !strings.Contains(e.Message, c.want) || e.Hint == "" {
			t.Errorf("%s: %v (%+v), want %q", name, err, e, c.want)
		}
	}
}

// FuzzInspect: what Inspect takes and wazero compiles has the exports and the memory that Inspect said; nothing panics.
func FuzzInspect(f *testing.F) {
	for _, m := range [][]byte{guests.Hello(), guests.Echo(), guests.Reactor(true), guests.Grow(), guests.Canary(2),
		guests.Module{Funcs: []guests.Func{guests.Start(nil, 0)}, Min: 1, Max: 9, Tables: []byte{1, 0x70, 1, 1, 2}}.Bytes()} {
		f.Add(m)
	}
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	f.Cleanup(func() { _ = r.Close(ctx) })
	f.Fuzz(func(t *testing.T, module []byte) {
		info, err := Inspect(module)
		if err != nil {
			return
		}
		prepared, err := Prepare(module)
		if err != nil {
			return
		}
		m, err := r.CompileModule(ctx, prepared.Code)
		if err != nil {
			return
		}
		defer m.Close(ctx)
		exports := m.ExportedFunctions()
		if info.Kind == Command && exports[ExportStart] == nil || info.Kind == Reactor && exports[ExportHandle] == nil {
			t.Fatalf("%s without its exports", info.Kind)
		}
		if mem := m.ExportedMemories()["memory"]; mem == nil || mem.Min() != info.MinPages {
			t.Fatalf("memory %v, Inspect said %d", mem, info.MinPages)
		}
	})
}
