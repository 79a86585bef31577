// Package modules draws random WebAssembly modules that are valid, always end, and use most of what WebAssembly 2.0 has but
// floating point: control flow with values, calls through tables, globals, memory that grows, bulk instructions. Each is a
// reactor whose answer is a digest of its memory, its globals and the event, so that whatever one event leaves for the next
// shows. Beside the bytes there is an interpreter of the same tree (run.go), which knows nothing of the binary format and counts
// what it runs: tests compare engines and rewritten code with it.
package modules

import (
	"slices"

	"casemate/internal/casetest/guests"
)

// Value types.
const (
	I32 = byte(guests.I32)
	I64 = byte(guests.I64)
)

const void = 0x40

// instr is an instruction, with those inside it when it is a block.
type instr struct {
	op, sub byte   // sub after 0xfc
	imm     int64  // constant, index, or offset of a memory access
	labels  []byte // of br_table
	typ     int    // of a block: index of its type, or -1
	body    []instr
	other   []instr // behind else
}

type signature struct{ params, results []byte }

type function struct {
	typ    int
	locals []byte
	body   []instr
	export string
	cost   int64 // no more fuel than this, when called once
}

type global struct {
	typ     byte
	mutable bool
	value   int64
}

type segment struct {
	at      int32
	data    []byte
	passive bool
}

// Module is a module as a tree.
type Module struct {
	types    []signature
	yields   bool // it imports sched_yield, as function 0
	funcs    []function
	globals  []global
	table    []int // function indices, -1 for none
	min, max uint32
	segments []segment
	start    int // function index, or -1
	counted  bool
}

func (m *Module) imported() int {
	if m.yields {
		return 1
	}
	return 0
}

// typeOf gives the index of a signature.
func (m *Module) typeOf(params, results []byte) int {
	for i, s := range m.types {
		if slices.Equal(s.params, params) && slices.Equal(s.results, results) {
			return i
		}
	}
	m.types = append(m.types, signature{params, results})
	return len(m.types) - 1
}

// Bytes is the module in the binary format.
func (m *Module) Bytes() []byte {
	out := []byte("\x00asm\x01\x00\x00\x00")
	out = append(out, list(1, m.types, func(s signature) []byte {
		return slices.Concat([]byte{0x60}, vec(s.params), vec(s.results))
	})...)
	if m.yields {
		out = append(out, section(2, slices.Concat([]byte{1}, vec([]byte("wasi_snapshot_preview1")), vec([]byte("sched_yield")),
			[]byte{0}, u(m.typeOf(nil, []byte{I32}))))...)
	}
	out = append(out, list(3, m.funcs, func(f function) []byte { return u(f.typ) })...)
	if m.table != nil {
		out = append(out, section(4, slices.Concat([]byte{1, 0x70, 0}, u(len(m.table))))...)
	}
	out = append(out, section(5, slices.Concat([]byte{1, 1}, u(int(m.min)), u(int(m.max))))...)
	out = append(out, list(6, m.globals, encodeGlobal)...)
	out = append(out, m.exports()...)
	if m.start >= 0 {
		out = append(out, section(8, u(m.start))...)
	}
	if m.table != nil {
		out = append(out, m.elements()...)
	}
	if m.counted {
		out = append(out, section(12, u(len(m.segments)))...)
	}
	out = append(out, list(10, m.funcs, encodeFunction)...)
	return append(out, list(11, m.segments, func(s segment) []byte {
		if s.passive {
			return append([]byte{1}, vec(s.data)...)
		}
		return slices.Concat([]byte{0}, guests.Const(s.at), []byte{0x0b}, vec(s.data))
	})...)
}

func (m *Module) exports() []byte {
	b := [][]byte{append(vec([]byte("memory")), 2, 0)}
	for i, f := range m.funcs {
		if f.export != "" {
			b = append(b, slices.Concat(vec([]byte(f.export)), []byte{0}, u(i+m.imported())))
		}
	}
	return list(7, b, func(e []byte) []byte { return e })
}

// elements fills the table: runs of functions as indices, or as expressions when there are holes.
func (m *Module) elements() []byte {
	if !slices.Contains(m.table, -1) {
		b := slices.Concat([]byte{1, 0}, guests.Const(0), []byte{0x0b}, u(len(m.table)))
		for _, f := range m.table {
			b = append(b, u(f)...)
		}
		return section(9, b)
	}
	b := slices.Concat([]byte{1, 4}, guests.Const(0), []byte{0x0b}, u(len(m.table)))
	for _, f := range m.table {
		if f < 0 {
			b = append(b, 0xd0, 0x70, 0x0b)
		} else {
			b = append(append(append(b, 0xd2), u(f)...), 0x0b)
		}
	}
	return section(9, b)
}

func encodeGlobal(g global) []byte {
	b := []byte{g.typ, 0, 0x41}
	if g.mutable {
		b[1] = 1
	}
	if g.typ == I64 {
		b[2] = 0x42
	}
	return append(append(b, signed(g.value)...), 0x0b)
}

func encodeFunction(f function) []byte {
	b := u(len(f.locals))
	for _, l := range f.locals {
		b = append(b, 1, l)
	}
	b = append(encode(b, f.body), 0x0b)
	return append(u(len(b)), b...)
}

func encode(b []byte, code []instr) []byte {
	for _, in := range code {
		b = append(b, in.op)
		switch op := in.op; {
		case op >= 0x02 && op <= 0x04:
			if in.typ < 0 {
				b = append(b, void)
			} else {
				b = append(b, signed(int64(in.typ))...)
			}
			b = encode(b, in.body)
			if in.other != nil {
				b = encode(append(b, 0x05), in.other)
			}
			b = append(b, 0x0b)
		case op == 0x0e:
			b = append(append(b, byte(len(in.labels)-1)), in.labels...)
		case op == 0x11:
			b = append(append(b, u(int(in.imm))...), 0)
		case op == 0x0c || op == 0x0d || op == 0x10 || op >= 0x20 && op <= 0x26 || op == 0xd2:
			b = append(b, u(int(in.imm))...)
		case op >= 0x28 && op <= 0x3e:
			b = append(append(b, 0), u(int(in.imm))...)
		case op == 0x3f || op == 0x40:
			b = append(b, 0)
		case op == 0xd0:
			b = append(b, 0x70)
		case op == 0x41 || op == 0x42:
			b = append(b, signed(in.imm)...)
		case op == 0xfc:
			b = append(b, in.sub)
			b = append(b, bulk(in)...)
		}
	}
	return b
}

// bulk gives the operands of an instruction after 0xfc.
func bulk(in instr) []byte {
	switch in.sub {
	case 8, 12:
		return append(u(int(in.imm)), 0)
	case 10:
		return []byte{0, 0}
	case 14:
		return []byte{0, 0}
	case 9, 13:
		return u(int(in.imm))
	default:
		return []byte{0}
	}
}

func list[T any](id byte, items []T, encode func(T) []byte) []byte {
	if len(items) == 0 {
		return nil
	}
	b := u(len(items))
	for _, i := range items {
		b = append(b, encode(i)...)
	}
	return section(id, b)
}

func section(id byte, body []byte) []byte {
	return append(append([]byte{id}, u(len(body))...), body...)
}

func vec(b []byte) []byte { return append(u(len(b)), b...) }

// u is an unsigned LEB128.
func u(v int) []byte {
	var b []byte
	for ; v >= 0x80; v >>= 7 {
		b = append(b, byte(v)|0x80)
	}
	return append(b, byte(v))
}

// signed is a signed LEB128.
func signed(v int64) []byte {
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
