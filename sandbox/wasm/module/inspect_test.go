package module

import (
	"bytes"
	"strings"
	"testing"

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

func TestInspectReseed(t *testing.T) {
	alloc := guests.Func{Export: ExportAlloc, Params: []byte{guests.I32}, Results: []byte{guests.I32}, Code: guests.Const(4096)}
	handle := guests.Func{Export: ExportHandle, Params: []byte{guests.I32, guests.I32}, Results: []byte{guests.I64}, Code: guests.Code(0x42, 0)}
	reseed := guests.Func{Export: ExportReseed, Results: []byte{guests.I32}, Code: guests.Const(0)}
	of := func(f ...guests.Func) (Info, error) { return Inspect(guests.Module{Funcs: f, Min: 1}.Bytes()) }
	if info, err := of(alloc, handle); err != nil || info.Reseed {
		t.Errorf("without: %+v %v", info, err)
	}
	if info, err := of(alloc, handle, reseed); err != nil || !info.Reseed {
		t.Errorf("with: %+v %v", info, err)
	}
	reseed.Results, reseed.Code = nil, nil
	if _, err := of(alloc, handle, reseed); err == nil || !strings.Contains(err.Error(), "casemate_reseed has the wrong type") {
		t.Errorf("of another type: %v", err)
	}
}

// TestInspectOwnImports: of Casemate's own functions two may be imported, of their type only.
func TestInspectOwnImports(t *testing.T) {
	for name, module := range map[string][]byte{"command": guests.Fetcher(), "reactor": guests.FetchReactor(nil)} {
		info, err := Inspect(module)
		if err != nil || !strings.HasSuffix(strings.Join(info.Imports, " "), "casemate.http_send casemate.http_read") {
			t.Errorf("%s: %+v, %v", name, info, err)
		}
		if p, err := Prepare(module); err != nil || p.Rewind != "" {
			t.Errorf("%s: %+v, %v", name, p.Rewind, err)
		}
	}
	i64 := []byte{guests.I64}
	for name, f := range map[string]guests.Func{
		"imports \"refill\"":                     {Imported: ImportRefill},
		"imports \"http_opens\"":                 {Imported: "http_opens"},
		"casemate.http_send with the wrong type": {Imported: ImportSend, Params: i64, Results: i64},
		"casemate.http_read with the wrong type": {Imported: ImportRead, Params: []byte{guests.I32, guests.I32}, Results: i64},
	} {
		f.From = ImportModule
		m := guests.Module{Funcs: []guests.Func{f, guests.Start(nil, 0)}, Min: 1}.Bytes()
		if _, err := Inspect(m); err == nil || casemate.CodeOf(err) != casemate.Invalid || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := Prepare(m); err == nil {
			t.Errorf("%s: it was prepared", name)
		}
	}
	global := bytes.Replace(guests.Fetcher(), []byte("http_read\x00"), []byte("http_read\x01"), 1)
	if _, err := Inspect(global); err == nil {
		t.Error("a table named http_read was imported")
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
