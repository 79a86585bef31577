package wasm

import (
	"slices"
)

// Guests assembled by hand, so that the tests need no other compiler. Each is a few instructions; the text after // is
// what they do, in the names of the WebAssembly text format.

const (
	i32, i64 = 0x7f, 0x7e

	opUnreachable, opBlock, opLoop, opIf, opEnd, opBr, opBrIf, opReturn, opCall, opDrop = 0x00, 0x02, 0x03, 0x04, 0x0b, 0x0c, 0x0d, 0x0f, 0x10, 0x1a
	opGet, opSet, opTee                                                                 = 0x20, 0x21, 0x22
	opLoad, opStore, opStore64, opMemSize, opMemGrow, opConst, opConst64                = 0x28, 0x36, 0x37, 0x3f, 0x40, 0x41, 0x42
	opEqz, opEq, opNe, opGeU, opAdd, opMul, opShl64, opOr64, opExtendU                  = 0x45, 0x46, 0x47, 0x4f, 0x6a, 0x6c, 0x86, 0x84, 0xad
	void                                                                                = 0x40
)

type fn struct {
	imported string // WASI function, or empty
	export   string
	params   []byte
	results  []byte
	locals   int // of i32
	code     []byte
}

type guestModule struct {
	fns      []fn // imported ones first
	min, max uint32
	data     string // at address 16
	tables   []byte // whole section body, when not nil
}

func (g guestModule) bytes() []byte {
	var types, imports, funcs, exports, code [][]byte
	exports = append(exports, append(name("memory"), 2, 0))
	for i, f := range g.fns {
		t := append([]byte{0x60}, append(vec(f.params), vec(f.results)...)...)
		types = append(types, t)
		if f.imported != "" {
			imports = append(imports, slices.Concat(name(wasiModule), name(f.imported), []byte{0, byte(i)}))
			continue
		}
		funcs = append(funcs, []byte{byte(i)})
		body := append([]byte{1, byte(f.locals), i32}, append(f.code, opEnd)...)
		code = append(code, append(appendU32(nil, uint32(len(body))), body...))
		if f.export != "" {
			exports = append(exports, append(name(f.export), 0, byte(i)))
		}
	}
	memory := appendU32([]byte{0}, g.min)
	if g.max > 0 {
		memory = appendU32(appendU32([]byte{1}, g.min), g.max)
	}
	out := []byte("\x00asm\x01\x00\x00\x00")
	out = append(out, section(sectionType, types)...)
	out = append(out, section(sectionImport, imports)...)
	out = append(out, section(sectionFunction, funcs)...)
	if g.tables != nil {
		out = append(append(append(out, sectionTable), appendU32(nil, uint32(len(g.tables)))...), g.tables...)
	}
	out = append(out, section(sectionMemory, [][]byte{memory})...)
	out = append(out, section(sectionExport, exports)...)
	out = append(out, section(sectionCode, code)...)
	if g.data != "" {
		out = append(out, section(11, [][]byte{append([]byte{0, opConst, 16, opEnd}, name(g.data)...)})...)
	}
	return out
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

// c pushes an i32 constant (signed LEB128).
func c(v int32) []byte { return append([]byte{opConst}, sleb(int64(v))...) }

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

func code(parts ...any) []byte {
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
	fdWrite = fn{imported: "fd_write", params: []byte{i32, i32, i32, i32}, results: []byte{i32}}
	fdRead  = fn{imported: "fd_read", params: []byte{i32, i32, i32, i32}, results: []byte{i32}}
)

// iovec stores {at, n} at address 0; io calls a WASI read or write with it and leaves the errno, the count at address 8.
func iovec(at, n []byte) []byte {
	return code(c(0), at, opStore, 2, 0, c(4), n, opStore, 2, 0)
}

func io4(fd int32, f byte) []byte { return code(c(fd), c(0), c(1), c(8), opCall, f) }

func start(body []byte, locals int) fn { return fn{export: exportStart, locals: locals, code: body} }

// guestHello writes "hello".
func guestHello() []byte { return guestSay("hello", 1) }

// guestSay writes the text to the descriptor.
func guestSay(text string, fd int32) []byte {
	body := code(iovec(c(16), c(int32(len(text)))), io4(fd, 0), opDrop)
	return guestModule{fns: []fn{fdWrite, start(body, 0)}, min: 1, data: text}.bytes()
}

// guestEcho copies the event, until its end, to the answer.
func guestEcho() []byte {
	body := code(opLoop, void,
		iovec(c(1024), c(32<<10)), io4(0, 1), opDrop,
		iovec(c(1024), code(c(8), opLoad, 2, 0)), c(8), opLoad, 2, 0, opIf, void,
		io4(1, 0), opDrop, opBr, 1, opEnd, opEnd)
	return guestModule{fns: []fn{fdWrite, fdRead, start(body, 0)}, min: 1}.bytes()
}

// guestLoop never ends.
func guestLoop() []byte {
	return guestModule{fns: []fn{start(code(opLoop, void, opBr, 0, opEnd), 0)}, min: 1}.bytes()
}

// guestTrap traps.
func guestTrap() []byte {
	return guestModule{fns: []fn{start(code(opUnreachable), 0)}, min: 1}.bytes()
}

// guestExit logs and exits with a status.
func guestExit(status int32) []byte {
	exit := fn{imported: "proc_exit", params: []byte{i32}}
	body := code(iovec(c(16), c(4)), io4(2, 0), opDrop, c(status), opCall, 1)
	return guestModule{fns: []fn{fdWrite, exit, start(body, 0)}, min: 1, data: "why\n"}.bytes()
}

// guestGrow takes a page at a time until it gets none, then traps.
func guestGrow() []byte {
	body := code(opLoop, void, c(1), opMemGrow, 0, c(-1), opNe, opBrIf, 0, opEnd, opUnreachable)
	return guestModule{fns: []fn{start(body, 0)}, min: 1}.bytes()
}

// guestRandom answers 16 random bytes.
func guestRandom() []byte {
	random := fn{imported: "random_get", params: []byte{i32, i32}, results: []byte{i32}}
	body := code(c(64), c(16), opCall, 1, opDrop, iovec(c(64), c(16)), io4(1, 0), opDrop)
	return guestModule{fns: []fn{fdWrite, random, start(body, 0)}, min: 1}.bytes()
}

// guestFlood writes 32 KiB at a time to the descriptor until it is refused.
func guestFlood(fd int32) []byte {
	body := code(iovec(c(0), c(32<<10)), opLoop, void, io4(fd, 0), opEqz, opBrIf, 0, opEnd)
	return guestModule{fns: []fn{fdWrite, start(body, 0)}, min: 1}.bytes()
}

// guestCanary grows to the given number of pages, answers the sum of every word above 64 (0 in a fresh memory), and
// leaves a canary in all of them.
func guestCanary(pages int32) []byte {
	body := code(c(pages-1), opMemGrow, 0, opDrop,
		c(64), opSet, 0,
		opLoop, void,
		opGet, 1, opGet, 0, opLoad, 2, 0, opAdd, opSet, 1, // sum += *p
		opGet, 0, c(-0x21524111), opStore, 2, 0, // *p = 0xdeadbeef
		opGet, 0, c(4), opAdd, opTee, 0,
		c(pages*pageSize), opNe, opBrIf, 0, opEnd,
		c(16), opGet, 1, opStore, 2, 0,
		iovec(c(16), c(4)), io4(1, 0), opDrop)
	return guestModule{fns: []fn{fdWrite, start(body, 2)}, min: 1}.bytes()
}

// guestReactor answers the event itself; with fail it says that the answer is an error document.
func guestReactor(fail bool) []byte {
	alloc := fn{export: exportAlloc, params: []byte{i32}, results: []byte{i32}, code: c(4096)}
	result := code(opGet, 0, opExtendU, opConst64, 32, opShl64, opGet, 1, opExtendU, opOr64)
	if fail {
		result = code(result, opConst64, sleb(1<<31), opOr64)
	}
	handle := fn{export: exportHandle, params: []byte{i32, i32}, results: []byte{i64}, code: result}
	return guestModule{fns: []fn{alloc, handle}, min: 1}.bytes()
}
