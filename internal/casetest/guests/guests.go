// Package guests holds WebAssembly modules assembled by hand, so that tests and measurements need no other compiler. Each
// is a few instructions.
package guests

import (
	"cmp"
	"slices"
)

// The few types and instructions that are used
// (https://webassembly.github.io/spec/core/binary/instructions.html).
const (
	I32, I64 = 0x7f, 0x7e

	opUnreachable, opLoop, opIf, opEnd, opBr, opBrIf, opCall, opDrop = 0x00, 0x03, 0x04, 0x0b, 0x0c, 0x0d, 0x10, 0x1a

	opGet, opSet, opTee, opLoad, opStore, opMemGrow, opConst, opConst64 = 0x20, 0x21, 0x22, 0x28, 0x36, 0x40, 0x41, 0x42

	opEqz, opNe, opAdd, opShl64, opOr64, opExtendU = 0x45, 0x47, 0x6a, 0x86, 0x84, 0xad

	void = 0x40
)

// Func is one function: imported from WASI, or with code.
type Func struct {
	Imported string // function's name, or empty
	From     string // the module that it comes from; empty: WASI
	Export   string
	Params   []byte
	Results  []byte
	Locals   int // of i32
	Code     []byte
}

// Module is what the sections are made of.
type Module struct {
	Funcs    []Func // imported ones first
	Min, Max uint32
	Data     string // at address 16
	Tables   []byte // whole section body, when not nil
	Globals  []byte // likewise
	Segments []Segment
	Start    int // index of the start function; 0: none
}

// Segment is more initial data.
type Segment struct {
	At   int32
	Data []byte
}

// Bytes is the module in the binary format. The memory is exported as "memory".
func (g Module) Bytes() []byte {
	var types, imports, funcs, exports, code [][]byte
	exports = append(exports, append(name("memory"), 2, 0))
	for i, f := range g.Funcs {
		t := append([]byte{0x60}, append(vec(f.Params), vec(f.Results)...)...)
		types = append(types, t)
		if f.Imported != "" {
			imports = append(imports, slices.Concat(name(cmp.Or(f.From, "wasi_snapshot_preview1")), name(f.Imported), []byte{0, byte(i)}))
			continue
		}
		funcs = append(funcs, []byte{byte(i)})
		body := append([]byte{1, byte(f.Locals), I32}, append(f.Code, opEnd)...)
		code = append(code, append(appendU32(nil, uint32(len(body))), body...))
		if f.Export != "" {
			exports = append(exports, append(name(f.Export), 0, byte(i)))
		}
	}
	memory := appendU32([]byte{0}, g.Min)
	if g.Max > 0 {
		memory = appendU32(appendU32([]byte{1}, g.Min), g.Max)
	}
	out := []byte("\x00asm\x01\x00\x00\x00")
	out = append(out, section(1, types)...)
	out = append(out, section(2, imports)...)
	out = append(out, section(3, funcs)...)
	if g.Tables != nil {
		out = append(append(append(out, 4), appendU32(nil, uint32(len(g.Tables)))...), g.Tables...)
	}
	out = append(out, section(5, [][]byte{memory})...)
	if g.Globals != nil {
		out = append(append(append(out, 6), appendU32(nil, uint32(len(g.Globals)))...), g.Globals...)
	}
	out = append(out, section(7, exports)...)
	if g.Start > 0 {
		out = append(out, 8, 1, byte(g.Start))
	}
	out = append(out, section(10, code)...)
	var data [][]byte
	if g.Data != "" {
		data = append(data, append([]byte{0, opConst, 16, opEnd}, name(g.Data)...))
	}
	for _, s := range g.Segments {
		data = append(data, slices.Concat([]byte{0}, Const(s.At), []byte{opEnd}, vec(s.Data)))
	}
	return append(out, section(11, data)...)
}

func name(s string) []byte { return append(appendU32(nil, uint32(len(s))), s...) }
func vec(b []byte) []byte  { return append(appendU32(nil, uint32(len(b))), b...) }

func section(id byte, items [][]byte) []byte {
	if len(items) == 0 {
		return nil
	}
	body := appendU32(nil, uint32(len(items)))
	for _, i := range items {
		body = append(body, i...)
	}
	return append(append([]byte{id}, appendU32(nil, uint32(len(body)))...), body...)
}

// Const pushes an i32 constant (signed LEB128).
func Const(v int32) []byte { return append([]byte{opConst}, sleb(int64(v))...) }

func sleb(v int64) []byte {
	var b []byte
	for {
		low := byte(v & 0x7f)
		v >>= 7
		if v == 0 && low&0x40 == 0 || v == -1 && low&0x40 != 0 {
			return append(b, low)
		}
		b = append(b, low|0x80)
	}
}

// Code joins instructions, given as numbers, and pieces of code.
func Code(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			b = append(b, byte(p))
		case byte:
			b = append(b, p)
		case []byte:
			b = append(b, p...)
		}
	}
	return b
}

var (
	fdWrite = Func{Imported: "fd_write", Params: []byte{I32, I32, I32, I32}, Results: []byte{I32}}
	fdRead  = Func{Imported: "fd_read", Params: []byte{I32, I32, I32, I32}, Results: []byte{I32}}
)

// iovec stores {at, n} at address 0; io calls a WASI read or write with it and leaves the errno, the count at address 8.
func iovec(at, n []byte) []byte {
	return Code(Const(0), at, opStore, 2, 0, Const(4), n, opStore, 2, 0)
}

func io4(fd int32, f byte) []byte { return Code(Const(fd), Const(0), Const(1), Const(8), opCall, f) }

// Start is a function exported as _start.
func Start(body []byte, locals int) Func { return Func{Export: "_start", Locals: locals, Code: body} }

// Hello writes "hello".
func Hello() []byte { return Say("hello", 1) }

// Say writes the text to the descriptor.
func Say(text string, fd int32) []byte {
	body := Code(iovec(Const(16), Const(int32(len(text)))), io4(fd, 0), opDrop)
	return Module{Funcs: []Func{fdWrite, Start(body, 0)}, Min: 1, Data: text}.Bytes()
}

// Echo copies the event, until its end, to the answer.
func Echo() []byte {
	body := Code(opLoop, void,
		iovec(Const(1024), Const(32<<10)), io4(0, 1), opDrop,
		iovec(Const(1024), Code(Const(8), opLoad, 2, 0)), Const(8), opLoad, 2, 0, opIf, void,
		io4(1, 0), opDrop, opBr, 1, opEnd, opEnd)
	return Module{Funcs: []Func{fdWrite, fdRead, Start(body, 0)}, Min: 1}.Bytes()
}

// Loop never ends.
func Loop() []byte {
	return Module{Funcs: []Func{Start(Code(opLoop, void, opBr, 0, opEnd), 0)}, Min: 1}.Bytes()
}

// Trap traps.
func Trap() []byte {
	return Module{Funcs: []Func{Start(Code(opUnreachable), 0)}, Min: 1}.Bytes()
}

// Exit logs and exits with a status.
func Exit(status int32) []byte {
	exit := Func{Imported: "proc_exit", Params: []byte{I32}}
	body := Code(iovec(Const(16), Const(4)), io4(2, 0), opDrop, Const(status), opCall, 1)
	return Module{Funcs: []Func{fdWrite, exit, Start(body, 0)}, Min: 1, Data: "why\n"}.Bytes()
}

// Grow takes a page at a time until it gets none, then traps.
func Grow() []byte {
	body := Code(opLoop, void, Const(1), opMemGrow, 0, Const(-1), opNe, opBrIf, 0, opEnd, opUnreachable)
	return Module{Funcs: []Func{Start(body, 0)}, Min: 1}.Bytes()
}

// Random answers 16 random bytes.
func Random() []byte {
	random := Func{Imported: "random_get", Params: []byte{I32, I32}, Results: []byte{I32}}
	body := Code(Const(64), Const(16), opCall, 1, opDrop, iovec(Const(64), Const(16)), io4(1, 0), opDrop)
	return Module{Funcs: []Func{fdWrite, random, Start(body, 0)}, Min: 1}.Bytes()
}

// Flood writes 32 KiB at a time to the descriptor until it is refused.
func Flood(fd int32) []byte {
	body := Code(iovec(Const(0), Const(32<<10)), opLoop, void, io4(fd, 0), opEqz, opBrIf, 0, opEnd)
	return Module{Funcs: []Func{fdWrite, Start(body, 0)}, Min: 1}.Bytes()
}

// Canary grows to the given number of pages, answers the sum of every word above 64 (0 in a fresh memory), and
// leaves a canary in all of them.
func Canary(pages int32) []byte {
	body := Code(Const(pages-1), opMemGrow, 0, opDrop,
		Const(64), opSet, 0,
		opLoop, void,
		opGet, 1, opGet, 0, opLoad, 2, 0, opAdd, opSet, 1, // sum += *p
		opGet, 0, Const(-0x21524111), opStore, 2, 0, // *p = 0xdeadbeef
		opGet, 0, Const(4), opAdd, opTee, 0,
		Const(pages*64<<10), opNe, opBrIf, 0, opEnd,
		Const(16), opGet, 1, opStore, 2, 0,
		iovec(Const(16), Const(4)), io4(1, 0), opDrop)
	return Module{Funcs: []Func{fdWrite, Start(body, 2)}, Min: 1}.Bytes()
}

// Reactor answers the event itself; with fail it says that the answer is an error document.
func Reactor(fail bool) []byte {
	alloc := Func{Export: "casemate_alloc", Params: []byte{I32}, Results: []byte{I32}, Code: Const(4096)}
	result := Code(opGet, 0, opExtendU, opConst64, 32, opShl64, opGet, 1, opExtendU, opOr64)
	if fail {
		result = Code(result, opConst64, sleb(1<<31), opOr64)
	}
	handle := Func{Export: "casemate_handle", Params: []byte{I32, I32}, Results: []byte{I64}, Code: result}
	return Module{Funcs: []Func{alloc, handle}, Min: 1}.Bytes()
}

// Residue is a reactor that answers what it finds (a global, the sum of some words of its memory, its size, a word of the
// page that it grows by) and then writes everywhere: to all of its pages, the global, and the page that it grew by.
func Residue(pages int32) []byte {
	const opGlobalGet, opGlobalSet, opMemSize, opMisc, opFill, opLt = 0x23, 0x24, 0x3f, 0xfc, 11, 0x49
	end := pages * 64 << 10
	body := Code(Const(128), opSet, 2,
		opLoop, void,
		opGet, 3, opGet, 2, opLoad, 2, 0, opAdd, opSet, 3,
		opGet, 2, Const(252), opAdd, opTee, 2, Const(end-4), opLt, opBrIf, 0, opEnd,
		Const(64), opGlobalGet, 0, opStore, 2, 0,
		Const(68), opGet, 3, opStore, 2, 0,
		Const(72), opMemSize, 0, opStore, 2, 0,
		Const(1), opMemGrow, 0, opDrop,
		Const(76), Const(end+100), opLoad, 2, 0, opStore, 2, 0,
		Const(128), Const(0xee), Const(end-128), opMisc, opFill, 0,
		Const(end), Const(0xdd), Const(64<<10), opMisc, opFill, 0,
		opGlobalGet, 0, Const(1), opAdd, opGlobalSet, 0,
		opConst64, sleb(64<<32|16))
	alloc := Func{Export: "casemate_alloc", Params: []byte{I32}, Results: []byte{I32}, Code: Const(0)}
	handle := Func{Export: "casemate_handle", Params: []byte{I32, I32}, Results: []byte{I64}, Locals: 2, Code: body}
	global := Code(1, I32, 1, Const(7), opEnd)
	return Module{Funcs: []Func{alloc, handle}, Min: uint32(pages), Data: "in the snapshot", Globals: global}.Bytes()
}

// Seeded is a reactor that draws 8 random bytes when it is initialised, and answers them and 8 more. With reseed it exports
// casemate_reseed, which draws them anew and returns a number; with a negative one it traps.
func Seeded(reseed bool, result int32) []byte {
	random := Func{Imported: "random_get", Params: []byte{I32, I32}, Results: []byte{I32}}
	draw := Code(Const(64), Const(8), opCall, 0, opDrop)
	alloc := Func{Export: "casemate_alloc", Params: []byte{I32}, Results: []byte{I32}, Code: Const(0)}
	handle := Func{Export: "casemate_handle", Params: []byte{I32, I32}, Results: []byte{I64},
		Code: Code(Const(72), Const(8), opCall, 0, opDrop, opConst64, sleb(64<<32|16))}
	funcs := []Func{random, {Export: "_initialize", Code: draw}, alloc, handle}
	if reseed {
		end := Const(result)
		if result < 0 {
			end = Code(opUnreachable)
		}
		funcs = append(funcs, Func{Export: "casemate_reseed", Results: []byte{I32}, Code: Code(draw, end)})
	}
	return Module{Funcs: funcs, Min: 1}.Bytes()
}

// Moody is Reactor, but for events that begin with an s: those it never ends.
func Moody() []byte {
	const opLoad8, opEq = 0x2d, 0x46
	alloc := Func{Export: "casemate_alloc", Params: []byte{I32}, Results: []byte{I32}, Code: Const(4096)}
	body := Code(opGet, 0, opLoad8, 0, 0, Const('s'), opEq, opIf, void, opLoop, void, opBr, 0, opEnd, opEnd,
		opGet, 0, opExtendU, opConst64, 32, opShl64, opGet, 1, opExtendU, opOr64)
	handle := Func{Export: "casemate_handle", Params: []byte{I32, I32}, Results: []byte{I64}, Code: body}
	return Module{Funcs: []Func{alloc, handle}, Min: 1}.Bytes()
}

// Growing has no memory at first, grows by two pages, and exits with 100 and what it had.
func Growing() []byte {
	exit := Func{Imported: "proc_exit", Params: []byte{I32}}
	body := Code(Const(2), opMemGrow, 0, Const(100), opAdd, opCall, 0)
	return Module{Funcs: []Func{exit, Start(body, 0)}}.Bytes()
}

// Initialised is Reactor with a body for _initialize.
func Initialised(body []byte) []byte {
	alloc := Func{Export: "casemate_alloc", Params: []byte{I32}, Results: []byte{I32}, Code: Const(0)}
	handle := Func{Export: "casemate_handle", Params: []byte{I32, I32}, Results: []byte{I64}, Code: Code(opConst64, 4)}
	return Module{Funcs: []Func{{Export: "_initialize", Code: body}, alloc, handle}, Min: 1}.Bytes()
}

// Sleep sleeps for some milliseconds, by poll_oneoff, and answers nothing.
func Sleep(ms int32) []byte {
	const opStore64 = 0x37
	poll := Func{Imported: "poll_oneoff", Params: []byte{I32, I32, I32, I32}, Results: []byte{I32}}
	// A subscription is 48 bytes: its kind at 8, 0 for a clock; the clock at 16, 1 for the monotonic one; the time at 24.
	body := Code(Const(64+16), Const(1), opStore, 2, 0,
		Const(64+24), opConst64, sleb(int64(ms)*1_000_000), opStore64, 3, 0,
		Const(64), Const(128), Const(1), Const(8), opCall, 0, opDrop)
	return Module{Funcs: []Func{poll, Start(body, 0)}, Min: 1}.Bytes()
}

// Closer answers "hello" and closes the descriptor.
func Closer(fd int32) []byte {
	closing := Func{Imported: "fd_close", Params: []byte{I32}, Results: []byte{I32}}
	body := Code(iovec(Const(16), Const(5)), io4(1, 0), opDrop, Const(fd), opCall, 1, opDrop)
	return Module{Funcs: []Func{fdWrite, closing, Start(body, 0)}, Min: 1, Data: "hello"}.Bytes()
}

func appendU32(b []byte, v uint32) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}
