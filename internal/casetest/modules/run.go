package modules

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

// Page is the unit of memory.
const Page = 64 << 10

// ErrTrap says that a run ended in a trap.
var ErrTrap = errors.New("trap")

// Instance runs a module: slowly, with nothing in common with the engine and the rewriter.
type Instance struct {
	Memory []byte
	Fuel   int64 // used so far: one for every instruction that ran, and the lengths of what bulk instructions did
	m      *Module
	global []uint64
	table  []int
	gone   map[int64]bool // data that was dropped
	depth  int
}

// Instance makes one, and runs the module's start function.
func (m *Module) Instance() (*Instance, error) {
	in := &Instance{m: m, Memory: make([]byte, int(m.min)*Page), gone: map[int64]bool{}}
	for _, g := range m.globals {
		v := uint64(g.value)
		if g.typ == I32 {
			v = uint64(uint32(v))
		}
		in.global = append(in.global, v)
	}
	in.table = append(in.table, m.table...)
	for i, s := range m.segments {
		if !s.passive {
			copy(in.Memory[s.at:], s.data)
			in.gone[int64(i)] = true
		}
	}
	if m.start >= 0 {
		if _, err := in.call(m.start, nil); err != nil {
			return in, err
		}
	}
	return in, nil
}

// Globals are the values of the mutable globals, in order.
func (in *Instance) Globals() []uint64 {
	var out []uint64
	for i, g := range in.m.globals {
		if g.mutable {
			out = append(out, in.global[i])
		}
	}
	return out
}

// Call runs an exported function. The only error is ErrTrap; an export that is not there does nothing.
func (in *Instance) Call(export string, args ...uint64) ([]uint64, error) {
	for i, f := range in.m.funcs {
		if f.export == export {
			return in.call(i+in.m.imported(), args)
		}
	}
	return nil, nil
}

// Handle gives the instance an event, as the node does, and returns a copy of the answer.
func (in *Instance) Handle(event []byte) ([]byte, error) {
	at, err := in.Call("casemate_alloc", uint64(len(event)))
	if err != nil {
		return nil, err
	}
	copy(in.Memory[at[0]:], event)
	out, err := in.Call("casemate_handle", at[0], uint64(len(event)))
	if err != nil {
		return nil, err
	}
	from, n := out[0]>>32, out[0]&(1<<31-1)
	return append([]byte(nil), in.Memory[from:from+n]...), nil
}

// run is one call of a function.
type run struct {
	*Instance
	locals []uint64
	stack  []uint64
}

// leave is how a list of instructions ended: by its end, by a return, or by a branch out of so many blocks.
type leave int

const (
	atEnd    leave = -1
	byReturn leave = 1 << 20
)

func (in *Instance) call(index int, args []uint64) ([]uint64, error) {
	if index -= in.m.imported(); index < 0 {
		return []uint64{0}, nil // sched_yield
	}
	if in.depth++; in.depth > 100 {
		return nil, ErrTrap
	}
	defer func() { in.depth-- }()
	f := in.m.funcs[index]
	r := &run{Instance: in, locals: append(append([]uint64(nil), args...), make([]uint64, len(f.locals))...)}
	if _, err := r.list(f.body); err != nil {
		return nil, err
	}
	n := len(in.m.types[f.typ].results)
	return r.stack[len(r.stack)-n:], nil
}

func (r *run) pop() uint64 {
	v := r.stack[len(r.stack)-1]
	r.stack = r.stack[:len(r.stack)-1]
	return v
}

func (r *run) pop32() uint32 { return uint32(r.pop()) }

func (r *run) push(v uint64)   { r.stack = append(r.stack, v) }
func (r *run) push32(v uint32) { r.push(uint64(v)) }

func (r *run) list(code []instr) (leave, error) {
	for i := range code {
		how, err := r.one(&code[i])
		if err != nil || how != atEnd {
			return how, err
		}
	}
	return atEnd, nil
}

func (r *run) one(in *instr) (leave, error) {
	if in.op != 0x02 && in.op != 0x03 {
		r.Fuel++
	}
	switch op := in.op; {
	case op == 0x00:
		return atEnd, ErrTrap
	case op == 0x01:
	case op >= 0x02 && op <= 0x04:
		return r.block(in)
	case op == 0x0c:
		return leave(in.imm), nil
	case op == 0x0d:
		if r.pop32() != 0 {
			return leave(in.imm), nil
		}
	case op == 0x0e:
		n := uint32(len(in.labels) - 1)
		return leave(in.labels[min(n, r.pop32())]), nil
	case op == 0x0f:
		return byReturn, nil
	case op == 0x10 || op == 0x11:
		return atEnd, r.calls(in)
	case op >= 0x1a && op <= 0x24:
		r.variable(in)
	case op == 0x25 || op == 0x26 || op == 0xd0 || op == 0xd1 || op == 0xd2:
		return atEnd, r.reference(in)
	case op >= 0x28 && op <= 0x3e:
		return atEnd, r.access(in)
	case op == 0x3f:
		r.push32(uint32(len(r.Memory) / Page))
	case op == 0x40:
		r.grow()
	case op == 0x41:
		r.push32(uint32(in.imm))
	case op == 0x42:
		r.push(uint64(in.imm))
	case op == 0xfc:
		return atEnd, r.bulk(in)
	default:
		return atEnd, r.numeric(op)
	}
	return atEnd, nil
}

func (r *run) block(in *instr) (leave, error) {
	body := in.body
	if in.op == 0x04 && r.pop32() == 0 {
		body = in.other
	}
	var sig signature
	if in.typ >= 0 {
		sig = r.m.types[in.typ]
	}
	height := len(r.stack) - len(sig.params)
	for {
		how, err := r.list(body)
		if err != nil || how == atEnd || how == byReturn {
			return how, err
		}
		if how > 0 {
			return how - 1, nil
		}
		keep := len(sig.results)
		if in.op == 0x03 {
			keep = len(sig.params)
		}
		r.stack = append(r.stack[:height], r.stack[len(r.stack)-keep:]...)
		if in.op != 0x03 {
			return atEnd, nil
		}
	}
}

func (r *run) calls(in *instr) error {
	index := int(in.imm)
	var sig signature
	if in.op == 0x11 {
		sig = r.m.types[in.imm]
		at := r.pop32()
		if int(at) >= len(r.table) || r.table[at] < 0 {
			return ErrTrap
		}
		index = r.table[at]
		if f := index - r.m.imported(); r.m.funcs[f].typ != int(in.imm) {
			return ErrTrap
		}
	} else if f := index - r.m.imported(); f >= 0 {
		sig = r.m.types[r.m.funcs[f].typ]
	}
	n := len(r.stack) - len(sig.params)
	args := append([]uint64(nil), r.stack[n:]...)
	r.stack = r.stack[:n]
	out, err := r.call(index, args)
	r.stack = append(r.stack, out...)
	return err
}

func (r *run) variable(in *instr) {
	switch in.op {
	case 0x1a:
		r.pop()
	case 0x1b:
		c, b, a := r.pop32(), r.pop(), r.pop()
		if c == 0 {
			a = b
		}
		r.push(a)
	case 0x20:
		r.push(r.locals[in.imm])
	case 0x21:
		r.locals[in.imm] = r.pop()
	case 0x22:
		r.locals[in.imm] = r.stack[len(r.stack)-1]
	case 0x23:
		r.push(r.global[in.imm])
	case 0x24:
		r.global[in.imm] = r.pop()
	}
}

// reference works on function references, held as index+1, 0 for null.
func (r *run) reference(in *instr) error {
	switch in.op {
	case 0x25:
		at := r.pop32()
		if int(at) >= len(r.table) {
			return ErrTrap
		}
		r.push(uint64(r.table[at] + 1))
	case 0x26:
		v, at := r.pop(), r.pop32()
		if int(at) >= len(r.table) {
			return ErrTrap
		}
		r.table[at] = int(v) - 1
	case 0xd0:
		r.push(0)
	case 0xd1:
		v := r.pop()
		r.push32(truth(v == 0))
	case 0xd2:
		r.push(uint64(in.imm) + 1)
	}
	return nil
}

// widths of loads and stores, in bytes, from 0x28 on.
var widths = [...]int{4, 8, 4, 8, 1, 1, 2, 2, 1, 1, 2, 2, 4, 4, 4, 8, 4, 8, 1, 2, 1, 2, 4}

func (r *run) access(in *instr) error {
	width := widths[in.op-0x28]
	var value uint64
	if in.op >= 0x36 {
		value = r.pop()
	}
	at := uint64(r.pop32()) + uint64(in.imm)
	if at+uint64(width) > uint64(len(r.Memory)) {
		return ErrTrap
	}
	var b [8]byte
	if in.op >= 0x36 {
		binary.LittleEndian.PutUint64(b[:], value)
		copy(r.Memory[at:], b[:width])
		return nil
	}
	copy(b[:], r.Memory[at:at+uint64(width)])
	value = binary.LittleEndian.Uint64(b[:])
	spare := 64 - 8*width
	switch in.op {
	case 0x2c, 0x2e: // into 32 bits, with the sign
		value = uint64(uint32(int64(value<<spare) >> spare))
	case 0x30, 0x32, 0x34: // into 64 bits
		value = uint64(int64(value<<spare) >> spare)
	}
	r.push(value)
	return nil
}

func (r *run) grow() {
	n, old := r.pop32(), uint32(len(r.Memory)/Page)
	if uint64(old)+uint64(n) > uint64(r.m.max) {
		r.push32(^uint32(0))
		return
	}
	r.Fuel += int64(n) * Page / 8
	r.Memory = append(r.Memory, make([]byte, int(n)*Page)...)
	r.push32(old)
}

func (r *run) bulk(in *instr) error {
	switch in.sub {
	case 9:
		r.gone[in.imm] = true
		return nil
	case 16:
		r.push32(uint32(len(r.table)))
		return nil
	}
	n, b, at := uint64(r.pop32()), r.pop(), uint64(r.pop32())
	from := uint64(uint32(b))
	if in.sub == 14 || in.sub == 17 {
		return r.tableRange(in.sub, n, b, at)
	}
	r.Fuel += int64(n / 8)
	source := r.Memory
	if in.sub == 8 {
		source = r.m.segments[in.imm].data
		if r.gone[in.imm] {
			source = nil
		}
	}
	if at+n > uint64(len(r.Memory)) || in.sub != 11 && from+n > uint64(len(source)) {
		return ErrTrap
	}
	if in.sub == 11 {
		for i := range n {
			r.Memory[at+i] = byte(from)
		}
		return nil
	}
	copy(r.Memory[at:at+n], source[from:from+n])
	return nil
}

func (r *run) tableRange(sub byte, n, b, at uint64) error {
	r.Fuel += int64(n)
	if at+n > uint64(len(r.table)) || sub == 14 && uint64(uint32(b))+n > uint64(len(r.table)) {
		return ErrTrap
	}
	if sub == 14 {
		from := uint64(uint32(b))
		copy(r.table[at:at+n], r.table[from:from+n])
		return nil
	}
	for i := range n {
		r.table[at+i] = int(b) - 1
	}
	return nil
}

func truth(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

func (r *run) numeric(op byte) error {
	switch {
	case op == 0x45:
		r.push32(truth(r.pop32() == 0))
	case op <= 0x4f:
		b, a := r.pop32(), r.pop32()
		r.push32(truth(compare(op-0x46, int64(int32(a)), int64(int32(b)), uint64(a), uint64(b))))
	case op == 0x50:
		r.push32(truth(r.pop() == 0))
	case op <= 0x5a:
		b, a := r.pop(), r.pop()
		r.push32(truth(compare(op-0x51, int64(a), int64(b), a, b)))
	case op <= 0x69:
		a := r.pop32()
		r.push32(uint32([]int{bits.LeadingZeros32(a), bits.TrailingZeros32(a), bits.OnesCount32(a)}[op-0x67]))
	case op <= 0x78:
		return r.binary32(op - 0x6a)
	case op <= 0x7b:
		a := r.pop()
		r.push(uint64([]int{bits.LeadingZeros64(a), bits.TrailingZeros64(a), bits.OnesCount64(a)}[op-0x79]))
	case op <= 0x8a:
		return r.binary64(op - 0x7c)
	default:
		r.convert(op)
	}
	return nil
}

func (r *run) convert(op byte) {
	a := r.pop()
	switch op {
	case 0xa7, 0xad:
		r.push32(uint32(a))
	case 0xac, 0xc4:
		r.push(uint64(int64(int32(a))))
	case 0xc0:
		r.push32(uint32(int32(int8(a))))
	case 0xc1:
		r.push32(uint32(int32(int16(a))))
	case 0xc2:
		r.push(uint64(int64(int8(a))))
	case 0xc3:
		r.push(uint64(int64(int16(a))))
	}
}

func compare(kind byte, a, b int64, ua, ub uint64) bool {
	switch kind {
	case 0:
		return ua == ub
	case 1:
		return ua != ub
	case 2:
		return a < b
	case 3:
		return ua < ub
	case 4:
		return a > b
	case 5:
		return ua > ub
	case 6:
		return a <= b
	case 7:
		return ua <= ub
	case 8:
		return a >= b
	default:
		return ua >= ub
	}
}

// binary32 and binary64: add, sub, mul, div_s, div_u, rem_s, rem_u, and, or, xor, shl, shr_s, shr_u, rotl, rotr.
func (r *run) binary32(kind byte) error {
	b, a := r.pop32(), r.pop32()
	if kind >= 3 && kind <= 6 {
		if b == 0 || kind == 3 && a == 1<<31 && b == ^uint32(0) {
			return ErrTrap
		}
	}
	switch kind {
	case 3:
		a = uint32(int32(a) / int32(b))
	case 5:
		a = uint32(int64(int32(a)) % int64(int32(b)))
	case 10:
		a <<= b & 31
	case 11:
		a = uint32(int32(a) >> (b & 31))
	case 12:
		a >>= b & 31
	case 13:
		a = bits.RotateLeft32(a, int(b&31))
	case 14:
		a = bits.RotateLeft32(a, -int(b&31))
	default:
		a = uint32(plain(kind, uint64(a), uint64(b)))
	}
	r.push32(a)
	return nil
}

func (r *run) binary64(kind byte) error {
	b, a := r.pop(), r.pop()
	if kind >= 3 && kind <= 6 {
		if b == 0 || kind == 3 && a == 1<<63 && b == ^uint64(0) {
			return ErrTrap
		}
	}
	switch kind {
	case 3:
		a = uint64(int64(a) / int64(b))
	case 5:
		if b == ^uint64(0) {
			a = 0
		} else {
			a = uint64(int64(a) % int64(b))
		}
	case 10:
		a <<= b & 63
	case 11:
		a = uint64(int64(a) >> (b & 63))
	case 12:
		a >>= b & 63
	case 13:
		a = bits.RotateLeft64(a, int(b&63))
	case 14:
		a = bits.RotateLeft64(a, -int(b&63))
	default:
		a = plain(kind, a, b)
	}
	r.push(a)
	return nil
}

// plain are the operations of which the low bits depend on the low bits only, and those on unsigned numbers.
func plain(kind byte, a, b uint64) uint64 {
	switch kind {
	case 0:
		return a + b
	case 1:
		return a - b
	case 2:
		return a * b
	case 4:
		return a / b
	case 6:
		return a % b
	case 7:
		return a & b
	case 8:
		return a | b
	default:
		return a ^ b
	}
}
