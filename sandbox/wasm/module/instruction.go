package module

import "fmt"

// Instructions that the rewriter acts on (https://webassembly.github.io/spec/core/binary/instructions.html).
const (
	opUnreachable  = 0x00
	opBlock        = 0x02
	opLoop         = 0x03
	opIf           = 0x04
	opElse         = 0x05
	opEnd          = 0x0b
	opBr           = 0x0c
	opBrIf         = 0x0d
	opBrTable      = 0x0e
	opReturn       = 0x0f
	opCall         = 0x10
	opCallIndirect = 0x11
	opLocalGet     = 0x20
	opLocalSet     = 0x21
	opLocalTee     = 0x22
	opGlobalGet    = 0x23
	opGlobalSet    = 0x24
	opTableSet     = 0x26
	opMemoryGrow   = 0x40
	opI32Const     = 0x41
	opI64Const     = 0x42
	opF32Const     = 0x43
	opF64Const     = 0x44
	opI32Eqz       = 0x45
	opI32Ne        = 0x47
	opI32LtS       = 0x48
	opI64LtS       = 0x53
	opI64GeS       = 0x59
	opI32And       = 0x71
	opI64Sub       = 0x7d
	opI64Mul       = 0x7e
	opI64And       = 0x83
	opI64Shl       = 0x86
	opI64ShrU      = 0x88
	opI64ExtendU   = 0xad
	opRefNull      = 0xd0
	opRefFunc      = 0xd2
	opMisc         = 0xfc
	opVector       = 0xfd

	void = 0x40
)

// The second bytes after opMisc.
const (
	miscMemoryInit = 8
	miscDataDrop   = 9
	miscMemoryCopy = 10
	miscMemoryFill = 11
	miscTableInit  = 12
	miscElemDrop   = 13
	miscTableCopy  = 14
	miscTableGrow  = 15
	miscTableSize  = 16
	miscTableFill  = 17
)

// Value types.
const (
	typeI32       = 0x7f
	typeI64       = 0x7e
	typeF32       = 0x7d
	typeF64       = 0x7c
	typeV128      = 0x7b
	typeFuncref   = 0x70
	typeExternref = 0x6f
)

func isValueType(t byte) bool { return t >= typeV128 && t <= typeI32 || isReference(t) }
func isReference(t byte) bool { return t == typeFuncref || t == typeExternref }

// spaces are the sizes of a module's index spaces before it is rewritten. Rewriting adds to each of them, so that an index
// beyond them, which no valid module has, would come to name what the rewriter added: it is refused.
type spaces struct {
	types, functions, globals, locals uint32
}

// instruction is one instruction as the rewriter sees it.
type instruction struct {
	op      byte
	sub     byte     // the second byte after opMisc
	labels  []uint32 // where it may branch to; valid until the next one is read
	index   uint32   // the function of opCall and opRefFunc; the local of opLocalGet, opLocalSet and opLocalTee
	operand int      // offset of a function's index
	zero    bool     // opI32Const and opI64Const: of 0
}

// code reads the instructions of one function. It takes those of WebAssembly 2.0
// (https://www.w3.org/TR/wasm-core-2/), in exactly one encoding where compilers are known to read the others differently,
// so that nothing hides between two readings. Whether they fit together is left to the compiler.
type code struct {
	cursor
	size   int // of the whole body
	spaces spaces
	in     instruction // the last one read
}

func (c *code) at() int { return c.size - len(c.b) }

// next reads an instruction. What it does not know is an error.
func (c *code) next() error {
	in := &c.in
	in.op, in.labels = c.byte(), in.labels[:0]
	var err error
	switch op := in.op; {
	case op >= opBlock && op <= opIf:
		err = c.blockType()
	case op <= opElse, op == opEnd, op == opReturn, op == 0x1a, op == 0x1b, op >= 0x45 && op <= 0xc4, op == 0xd1: // no operands
	case op == opBr || op == opBrIf:
		c.in.labels = append(c.in.labels, c.u32())
	case op == opBrTable:
		c.table()
	case op == opCall || op == opRefFunc:
		in.operand = c.at()
		in.index = c.below(c.spaces.functions)
	case op == opCallIndirect:
		c.below(c.spaces.types)
		c.u32()
	case op == 0x1c: // select of a type
		c.require(c.byte() == 1 && isValueType(c.byte()))
	case op >= opLocalGet && op <= opLocalTee:
		in.index = c.below(c.spaces.locals)
	case op == opGlobalGet || op == opGlobalSet:
		c.below(c.spaces.globals)
	case op == 0x25 || op == opTableSet:
		c.u32()
	case op >= 0x28 && op <= 0x3e: // loads and stores
		c.u32()
		c.u32()
	case op == 0x3f || op == opMemoryGrow:
		c.zero()
	case op >= opI32Const && op <= opF64Const:
		in.zero = c.constant(op)
	case op == opRefNull:
		c.require(isReference(c.byte()))
	case op == opMisc:
		in.sub, err = c.misc()
	case op == opVector:
		err = c.vector()
	default:
		err = unknownf("%#x", op)
	}
	if c.bad {
		err = fmt.Errorf("instruction %#x", in.op)
	}
	return err
}

func unknownf(format string, args ...any) error {
	return refusedf("build for WebAssembly 2.0, without threads, tail calls, exceptions, garbage collection and relaxed SIMD",
		"the module has an instruction that is not supported, "+format, args...)
}

func (c *cursor) below(bound uint32) uint32 {
	v := c.u32()
	c.require(v < bound)
	return v
}

func (c *cursor) zero() { c.require(c.byte() == 0) }

// constant reads the operand of a constant, and says whether it is the integer 0.
func (c *cursor) constant(op byte) bool {
	switch op {
	case opI32Const:
		return c.s32() == 0
	case opI64Const:
		return c.s64() == 0
	case opF32Const:
		c.take(4)
	case opF64Const:
		c.take(8)
	}
	return false
}

// blockType reads nothing, one value type or the index of a type: a signed LEB128 of 33 bits, of which the negative ones
// are written in one byte.
func (c *code) blockType() error {
	if len(c.b) > 0 {
		if t := c.b[0]; t == void || isValueType(t) {
			c.byte()
			return nil
		}
	}
	start := c.at()
	if v := c.s64(); v < 0 || v >= int64(c.spaces.types) || c.at() > start+5 {
		return unknownf("a block of type %d", v)
	}
	return nil
}

func (c *code) table() {
	n := c.u32()
	if int64(n) >= int64(len(c.b)) { // each label takes a byte, and so does the default
		c.fail()
		return
	}
	for range n + 1 {
		c.in.labels = append(c.in.labels, c.u32())
	}
}

func (c *code) misc() (byte, error) {
	sub := c.byte()
	switch sub {
	case 0, 1, 2, 3, 4, 5, 6, 7: // truncations that saturate
	case miscMemoryInit:
		c.u32()
		c.zero()
	case miscMemoryCopy:
		c.zero()
		c.zero()
	case miscMemoryFill:
		c.zero()
	case miscTableInit, miscTableCopy:
		c.u32()
		c.u32()
	case miscDataDrop, miscElemDrop, miscTableGrow, miscTableSize, miscTableFill:
		c.u32()
	default:
		return sub, unknownf("0xfc %#x", sub)
	}
	return sub, nil
}

// vectorHoles are the numbers below 0x100 that no instruction has.
const vectorHoles = "\x9a\xa2\xa5\xa6\xaf\xb0\xb2\xb3\xb4\xbb\xc2\xc5\xc6\xcf\xd0\xd2\xd3\xd4\xe2\xee"

// vector reads an instruction of 128 bits. Its number is a LEB128, of which some compilers read the first byte only and
// take the second, 1, for a nop: a number that would be read as two different instructions is refused.
func (c *code) vector() error {
	sub := c.byte()
	if sub >= 0x80 && c.byte() != 1 {
		return unknownf("0xfd %#x", sub)
	}
	switch {
	case sub <= 0x0b, sub == 0x5c, sub == 0x5d:
		c.u32()
		c.u32()
	case sub == 0x0c, sub == 0x0d: // a constant, lanes to shuffle
		c.take(16)
	case sub >= 0x15 && sub <= 0x22: // one lane
		c.byte()
	case sub >= 0x54 && sub <= 0x5b:
		c.u32()
		c.u32()
		c.byte()
	case sub >= 0x80:
		for _, hole := range []byte(vectorHoles) {
			if sub == hole {
				return unknownf("0xfd %#x", sub)
			}
		}
	}
	return nil
}
