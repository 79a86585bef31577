package wasm

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"

	"casemate"
)

func TestInspect(t *testing.T) {
	info, err := Inspect(guestEcho())
	if err != nil || info.Kind != Command || info.MinPages != 1 || strings.Join(info.Imports, " ") != "fd_write fd_read" ||
		strings.Join(info.Exports, " ") != "memory _start" {
		t.Errorf("echo: %+v %v", info, err)
	}
	if info, err := Inspect(guestReactor(false)); err != nil || info.Kind != Reactor {
		t.Errorf("reactor: %+v %v", info, err)
	}
}

func TestInspectRefuses(t *testing.T) {
	hello := guestHello()
	edit := func(f func(b []byte) []byte) []byte { return f(bytes.Clone(hello)) }
	startOf := func(f fn) []byte { return guestModule{fns: []fn{f}, min: 1}.bytes() }
	handle := fn{export: exportHandle, params: []byte{i32, i32}, results: []byte{i64}, code: code(opConst64, 0)}
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
		"section twice":     {append(bytes.Clone(hello), section(sectionMemory, [][]byte{{0, 1}})...), "malformed"},
		"endless leb128":    {append(bytes.Clone(hello[:8]), 1, 0x80, 0x80, 0x80, 0x80, 0x80, 0), "malformed"},
		"huge count":        {append(bytes.Clone(hello[:8]), 1, 5, 0xff, 0xff, 0xff, 0xff, 0x0f), "malformed"},
		"foreign import":    {bytes.Replace(hello, []byte(wasiModule), []byte("wasi_snapshot_preview2"), 1), "preview2"},
		"unknown function":  {bytes.Replace(hello, []byte("fd_write"), []byte("fd_wrote"), 1), "fd_wrote"},
		"bad UTF-8":         {bytes.Replace(hello, []byte("fd_write"), []byte("fd_writ\xff"), 1), "malformed"},
		"_start with a sum": {startOf(fn{export: exportStart, params: []byte{i32}}), "_start has the wrong type"},
		"handle alone":      {startOf(handle), "without casemate_alloc"},
		"both": {guestModule{fns: []fn{handle, {export: exportStart}}, min: 1}.bytes(),
			"exports both"},
		"alloc of nothing": {guestModule{fns: []fn{handle, {export: exportAlloc}}, min: 1}.bytes(), "casemate_alloc has the wrong type"},
		"hidden memory":    {bytes.Replace(hello, []byte("memory"), []byte("nemory"), 1), "exports no memory"},
		"no entry":         {bytes.Replace(hello, []byte("_start"), []byte("_stort"), 1), "exports neither"},
		"5 GiB of memory":  {guestModule{fns: []fn{start(nil, 0)}, min: 80_000}.bytes(), "malformed"},
		"huge table": {guestModule{fns: []fn{start(nil, 0)}, min: 1, tables: code(1, 0x70, 0, appendU32(nil, 1<<20))}.bytes(),
			"table starts with"},
		"oversized": {append(bytes.Clone(hello), make([]byte, ModuleLimit)...), "bound is"},
	} {
		_, err := Inspect(c.module)
		e := casemate.AsError(err)
		if err == nil || e.Code != casemate.Invalid && e.Code != casemate.TooLarge || !strings.Contains(e.Message, c.want) || e.Hint == "" {
			t.Errorf("%s: %v (%+v), want %q", name, err, e, c.want)
		}
	}
}

// TestTablesCannotGrow: memory outside of the linear one has a bound as well.
func TestTablesCannotGrow(t *testing.T) {
	// (table 1 funcref), and a _start that grows it by tableLimit and traps when that worked.
	body := code(0xd0, 0x70, c(tableLimit), 0xfc, 15, 0, c(-1), opNe, opIf, void, opUnreachable, opEnd)
	g := guestModule{fns: []fn{start(body, 0)}, min: 1, tables: []byte{1, 0x70, 0, 1}}
	b := newBed(t, nil)
	if r := b.run(b.version("tables", g.bytes()), ""); r.Failure != "" {
		t.Fatalf("a table grew past its bound: %s", r.Detail)
	}
	g.fns[0].code = code(0xd0, 0x70, c(tableLimit-1), 0xfc, 15, 0, c(-1), opEq, opIf, void, opUnreachable, opEnd)
	if r := b.run(b.version("tables-2", g.bytes()), ""); r.Failure != "" {
		t.Fatalf("a table did not grow up to its bound: %s", r.Detail)
	}
	if m := guestHello(); !bytes.Equal(limitTables(m), m) {
		t.Error("a module without tables was changed")
	}
}

// FuzzInspect: what Inspect takes and wazero compiles has the exports and the memory that Inspect said; nothing panics.
func FuzzInspect(f *testing.F) {
	for _, m := range [][]byte{guestHello(), guestEcho(), guestReactor(true), guestGrow(), guestCanary(2),
		guestModule{fns: []fn{start(nil, 0)}, min: 1, max: 9, tables: []byte{1, 0x70, 1, 1, 2}}.bytes()} {
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
		m, err := r.CompileModule(ctx, limitTables(module))
		if err != nil {
			return
		}
		defer m.Close(ctx)
		exports := m.ExportedFunctions()
		if info.Kind == Command && exports[exportStart] == nil || info.Kind == Reactor && exports[exportHandle] == nil {
			t.Fatalf("%s without its exports", info.Kind)
		}
		if mem := m.ExportedMemories()["memory"]; mem == nil || mem.Min() != info.MinPages {
			t.Fatalf("memory %v, Inspect said %d", mem, info.MinPages)
		}
	})
}
