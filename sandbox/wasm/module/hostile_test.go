package module

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"casemate"
	"casemate/internal/casetest/guests"
)

// TestPrepareRefuses: instructions that are not known, that two readers could take for different ones, and indices of what
// only the rewritten module has.
func TestPrepareRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		code []byte
		want string
	}{
		"the fuel":                 {guests.Code(opI64Const, 0, opGlobalSet, 0), "0x24"},
		"reading the fuel":         {guests.Code(opGlobalGet, 0, 0x1a), "0x23"},
		"a call beyond":            {guests.Code(opCall, 1), "0x10"},
		"a reference beyond":       {guests.Code(opRefFunc, 1, 0x1a), "0xd2"},
		"a local beyond":           {guests.Code(guests.Const(1), opLocalSet, 0), "0x21"},
		"a block of another type":  {guests.Code(opBlock, 1, opEnd), "block of type 1"},
		"an overlong type":         {guests.Code(opBlock, 0xc0, 0x7f, opEnd), "block of type"},
		"a long type of a block":   {guests.Code(opBlock, 0x80, 0x80, 0x80, 0x80, 0x80, 0, opEnd), "block of type"},
		"a tail call":              {guests.Code(0x12, 0), "0x12"},
		"exceptions":               {guests.Code(0x06, void, opEnd), "0x6"},
		"atomics":                  {guests.Code(0xfe, 3, 0), "0xfe"},
		"garbage collection":       {guests.Code(0xfb, 0, 0), "0xfb"},
		"relaxed SIMD":             {guests.Code(opVector, 0x80, 2, void, opEnd), "0xfd 0x80"},
		"an overlong SIMD":         {guests.Code(opVector, 0x8c, 0), "0xfd 0x8c"},
		"no such SIMD":             {guests.Code(opVector, 0x9a, 1), "0xfd 0x9a"},
		"an overlong 0xfc":         {guests.Code(opMisc, 0x8b, 0), "0xfc 0x8b"},
		"no such 0xfc":             {guests.Code(opMisc, 18, 0), "0xfc 0x12"},
		"another memory":           {guests.Code(0x3f, 1, 0x1a), "0x3f"},
		"two types of select":      {guests.Code(0x1c, 2, typeI32, typeI32), "0x1c"},
		"a null of another type":   {guests.Code(opRefNull, 0, 0x1a), "0xd0"},
		"a branch out of nothing":  {guests.Code(opBr, 1), "branch"},
		"an else alone":            {guests.Code(opElse), "else"},
		"an end too many":          {guests.Code(opEnd), "goes on"},
		"an end too few":           {guests.Code(opBlock, void), "instruction"},
		"a table of many branches": {guests.Code(opBrTable, 0xff, 0xff, 0xff, 0x7f), "0xe"},
	} {
		_, err := Prepare(guests.Module{Funcs: []guests.Func{{Export: ExportStart, Code: c.code}}, Min: 1}.Bytes())
		if e := casemate.AsError(err); err == nil || e.Code != casemate.Invalid || e.Hint == "" || !strings.Contains(e.Message, c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// TestPrepareRefusesSections: the same outside of code.
func TestPrepareRefusesSections(t *testing.T) {
	header, rest := "\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00", "\x0a\x04\x01\x02\x00\x0b"
	function, memory := "\x03\x02\x01\x00", "\x05\x03\x01\x00\x01"
	exports := "\x07\x13\x02\x06memory\x02\x00\x06_start\x00\x00"
	if _, err := Prepare([]byte(header + function + memory + exports + rest)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ module, want string }{
		"the fuel exported":     {header + function + memory + "\x07\x17\x03\x06memory\x02\x00\x06_start\x00\x00\x01g\x03\x00" + rest, "of global 0"},
		"a reserved name":       {header + function + memory + "\x07\x1f\x03\x06memory\x02\x00\x06_start\x00\x00\x09casemate:\x02\x00" + rest, "worker's own"},
		"the refill imported":   {header + "\x02\x13\x01\x08casemate\x06refill\x00\x00" + function + memory + exports + rest, "imports \"refill\""},
		"a start beyond":        {header + function + memory + exports + "\x08\x01\x01" + rest, "section 8"},
		"elements beyond":       {header + function + "\x04\x04\x01\x70\x00\x01" + memory + exports + "\x09\x07\x01\x00\x41\x00\x0b\x01\x01" + rest, "section 9"},
		"elements of a form":    {header + function + memory + exports + "\x09\x02\x01\x08" + rest, "of form 8"},
		"a typed table":         {header + function + "\x04\x05\x01\x63\x00\x00\x01" + memory + exports + rest, "type that is not supported, 0x63"},
		"a global of no type":   {header + function + memory + "\x06\x06\x01\x64\x00\x41\x00\x0b" + exports + rest, "global 0"},
		"a global of the fuel":  {header + function + memory + "\x06\x06\x01\x7e\x00\x23\x00\x0b" + exports + rest, "global 0"},
		"a computed global":     {header + function + memory + "\x06\x09\x01\x7f\x00\x41\x01\x41\x01\x6a\x0b" + exports + rest, "constant"},
		"data at the fuel":      {header + function + memory + exports + rest + "\x0b\x06\x01\x00\x23\x00\x0b\x00", "data 0"},
		"code for no function":  {header + function + memory + exports + "\x0a\x07\x02\x02\x00\x0b\x02\x00\x0b", "2 functions have code"},
		"locals of no type":     {header + function + memory + exports + "\x0a\x06\x01\x04\x01\x01\x64\x0b", "locals of function 0"},
		"too many locals":       {header + function + memory + exports + "\x0a\x08\x01\x06\x01\xd1\x86\x03\x7f\x0b", "50001 locals"},
		"a custom without name": {header + function + memory + exports + rest + "\x00\x02\x05x", "custom section"},
		"a typed parameter":     {"\x00asm\x01\x00\x00\x00\x01\x06\x01\x60\x02\x63\x00\x00" + function + memory + exports + rest, "type that is not supported, 0x63"},
	} {
		_, err := Prepare([]byte(c.module))
		if e := casemate.AsError(err); err == nil || e.Code != casemate.Invalid || e.Hint == "" || !strings.Contains(e.Message, c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// TestPrepareBoundsWhatItMakes: a small module cannot become a huge one, nor take much to read.
func TestPrepareBoundsWhatItMakes(t *testing.T) {
	size := 1 << 18
	if os.Getenv("CASEMATE_FULL") != "" {
		size = functionLimit
	}
	loops := bytes.Repeat([]byte{opLoop, void, 0x01, opEnd}, size/4-4)
	large := guests.Func{Code: loops}
	many := guests.Module{Funcs: []guests.Func{large, guests.Start(nil, 0)}, Min: 1}
	p, err := Prepare(many.Bytes())
	if err != nil || len(p.Code) > 8*len(loops) {
		t.Fatalf("%d bytes became %d: %v", len(loops), len(p.Code), err)
	}
	if large.Code = bytes.Repeat([]byte{0x01}, functionLimit); size == functionLimit {
		for range 5 {
			many.Funcs = append(many.Funcs, guests.Func{Code: loops})
		}
		if _, err = Prepare(many.Bytes()); err == nil || !strings.Contains(err.Error(), "when it is metered") {
			t.Errorf("six of them: %v", err)
		}
	}
	_, err = Prepare(guests.Module{Funcs: []guests.Func{large, guests.Start(nil, 0)}, Min: 1}.Bytes())
	if err == nil || !strings.Contains(err.Error(), "function 0 has 7654325 bytes") {
		t.Errorf("one that is too long: %v", err)
	}
}

// TestRewind: what keeps an instance from being rewound is found and said.
func TestRewind(t *testing.T) {
	fill := guests.Code(guests.Const(0), opRefNull, typeFuncref, guests.Const(1), opMisc, miscTableFill, 0)
	three := guests.Code(guests.Const(0), guests.Const(0), guests.Const(0))
	for name, c := range map[string]struct {
		code []byte
		want string
	}{
		"nothing":       {nil, ""},
		"memory":        {guests.Code(three, opMisc, miscMemoryFill, 0, guests.Const(1), opMemoryGrow, 0, 0x1a), ""},
		"reading":       {guests.Code(guests.Const(0), 0x25, 0, 0x1a, opMisc, miscTableSize, 0, 0x1a), ""},
		"table.set":     {guests.Code(guests.Const(0), opRefNull, typeFuncref, opTableSet, 0), "it changes its function table (table.set in function 1)"},
		"table.fill":    {fill, "it changes its function table (table.fill in function 1)"},
		"behind a jump": {guests.Code(opReturn, fill), "it changes its function table (table.fill in function 1)"},
		"table.grow":    {guests.Code(opRefNull, typeFuncref, guests.Const(1), opMisc, miscTableGrow, 0, 0x1a), "table.grow"},
		"table.copy":    {guests.Code(three, opMisc, miscTableCopy, 0, 0), "table.copy"},
		"table.init":    {guests.Code(three, opMisc, miscTableInit, 0, 0), "table.init"},
		"elem.drop":     {guests.Code(opMisc, miscElemDrop, 0), "it changes which initial data it has (elem.drop in function 1)"},
		"data.drop":     {guests.Code(opMisc, miscDataDrop, 0), "it changes which initial data it has (data.drop in function 1)"},
	} {
		p, err := Prepare(guests.Module{Funcs: []guests.Func{{}, {Export: ExportStart, Code: c.code}}, Min: 1, Tables: []byte{1, 0x70, 0, 1}}.Bytes())
		if err != nil || (c.want == "") != (p.Rewind == "") || !strings.Contains(p.Rewind, c.want) {
			t.Errorf("%s: %q %v, want %q", name, p.Rewind, err, c.want)
		}
	}
	header, rest := "\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00\x05\x03\x01\x00\x01", "\x07\x13\x02\x06memory\x02\x00\x06_start\x00\x00\x0a\x04\x01\x02\x00\x0b"
	for global, want := range map[string]string{
		"\x06\x06\x01\x7f\x01\x41\x00\x0b":                                                                 "",
		"\x06\x0b\x02\x7f\x00\x41\x00\x0b\x70\x01\xd0\x70\x0b":                                             "funcref, global 1",
		"\x06\x06\x01\x6f\x01\xd0\x6f\x0b":                                                                 "externref, global 0",
		"\x06\x16\x01\x7b\x01\xfd\x0c\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x0b": "v128, global 0",
		"\x06\x06\x01\x70\x00\xd0\x70\x0b":                                                                 "",
	} {
		p, err := Prepare([]byte(header + global + rest))
		if err != nil || (want == "") != (p.Rewind == "") || !strings.Contains(p.Rewind, want) {
			t.Errorf("%x: %q %v, want %q", global, p.Rewind, err, want)
		}
	}
}
