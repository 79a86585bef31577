package module

import "fmt"

// What a run costs, in fuel. Every instruction that runs costs 1; block, loop, else and end mark places and cost nothing.
// Those that work on a range cost its length besides: memory.fill, memory.copy and memory.init 1 for each whole 8 bytes,
// memory.grow as much for the pages that it really added, and table.fill, table.copy, table.init and table.grow 1 for each
// element. What imported functions do is theirs to charge.
//
// It is counted by the straight line: where one starts (a function, a loop, an arm, behind a conditional branch, at an end
// that is branched to) its whole length is taken from the fuel. So a run that returns was charged exactly what it ran,
// however it went; one that traps or exits was charged, in addition, what was left of the lines it stood in.
//
// Fuel is looked at where a run could otherwise go on for ever: in every loop, in every function that calls, and after
// charging for a range. A function without calls and loops is not looked at while it costs at most leafLimit.
const (
	bytesShift = 3  // 8 bytes cost 1
	pageShift  = 13 // 64 KiB at that price
	leafLimit  = 64
)

// The most locals and bytes of a function, the limits that browsers have
// (https://webassembly.github.io/spec/js-api/#limits), and of the code when it is rewritten: a loop around nothing becomes six
// times as long.
const (
	localLimit    = 50_000
	functionLimit = 7_654_321
	codeLimit     = 2 * SizeLimit
)

type editKind byte

const (
	editCharge editKind = iota // value fuel
	editCheck                  // value fuel, and look
	editIndex                  // another index
	editRange                  // before an instruction: the length on the stack, shifted right by value
	editLength                 // before memory.grow and table.grow: remember the length
	editGrown                  // behind them: charge the length, shifted left by value, if they did
	editOrder                  // value is an order of integers, of left and right
)

// edit is one change to a function: at an offset, a number of its bytes replaced.
type edit struct {
	at, cut     int
	kind        editKind
	value       uint64
	left, right origin
}

// frame is a block that is open.
type frame struct {
	op       byte
	live     bool // it can be entered
	targeted bool // its end can be branched to
}

// meter rewrites the functions of a module one by one.
type meter struct {
	spaces   spaces
	imported uint32 // functions; the refill import stands behind them
	fuel     uint32 // index of the global
	rewind   string
	function uint32 // the one that is read, counted with the imported ones

	body   []byte // the last one, for its room
	frames []frame
	edits  []edit
	orders orders
	line   int // the edit that charges for the straight line being read; -1 where nothing can run
	calls  bool
	ranges bool
}

// shift gives a function's index in the rewritten module.
func (m *meter) shift(index uint32) uint32 {
	if index >= m.imported {
		return index + 1
	}
	return index
}

// rewrite appends one function, size first, to out. body starts with its locals; parameters are how many it has.
func (m *meter) rewrite(out, body []byte, parameters uint32) ([]byte, error) {
	c := cursor{b: body}
	groups, total := c.u32(), uint64(parameters)
	if len(body) > functionLimit {
		return nil, refusedf("split the function", "function %d has %d bytes and the bound is %d", m.function, len(body), functionLimit)
	}
	start := c.b
	for range groups {
		total += uint64(c.u32())
		if t := c.byte(); c.bad || !isValueType(t) {
			return nil, fmt.Errorf("the locals of function %d", m.function)
		}
	}
	if c.bad {
		return nil, fmt.Errorf("the locals of function %d", m.function)
	}
	if total > localLimit {
		return nil, refusedf("split the function", "function %d has %d locals and the bound is %d", m.function, total, localLimit)
	}
	declared := start[:len(start)-len(c.b)]
	m.spaces.locals = uint32(total)
	if err := m.read(c.b); err != nil {
		return nil, err
	}
	b := m.body[:0]
	if m.ranges {
		b = append(appendU32(append(appendU32(b, groups+1), declared...), 2), typeI32)
	} else {
		b = append(appendU32(b, groups), declared...)
	}
	b = m.emit(b, c.b)
	m.body = b
	return append(appendU32(out, uint32(len(b))), b...), nil
}

// read finds the edits of one function.
func (m *meter) read(body []byte) error {
	m.frames = append(m.frames[:0], frame{op: opBlock, live: true})
	m.edits = append(m.edits[:0], edit{})
	m.line, m.calls, m.ranges = 0, false, false
	m.orders.begin(m.spaces.locals)
	c := code{cursor: cursor{b: body}, size: len(body), spaces: m.spaces}
	for len(m.frames) > 0 {
		start := c.at()
		err := c.next()
		if err == nil {
			err = m.instruction(&c.in, start, c.at())
		}
		if err != nil {
			return fmt.Errorf("function %d at byte %d: %w", m.function, start, err)
		}
	}
	if len(c.b) > 0 {
		return fmt.Errorf("function %d goes on behind its end", m.function)
	}
	total := uint64(0)
	for _, e := range m.edits {
		if e.kind <= editCheck {
			total += e.value
		}
	}
	if m.calls || total > leafLimit {
		m.edits[0].kind = editCheck
	}
	return nil
}

// instruction counts one, which stands from start to end.
func (m *meter) instruction(in *instruction, start, end int) error {
	if m.line >= 0 && in.op != opBlock && in.op != opLoop && in.op != opElse && in.op != opEnd {
		m.edits[m.line].value++
	}
	if isOrder(in.op) {
		m.edits = append(m.edits, edit{at: start, cut: 1, kind: editOrder, value: uint64(in.op), left: m.orders.before, right: m.orders.last})
	}
	m.orders.follow(in)
	for _, l := range in.labels {
		if int64(l) >= int64(len(m.frames)) {
			return fmt.Errorf("a branch out of %d blocks", l)
		}
		f := &m.frames[len(m.frames)-1-int(l)]
		f.targeted = f.targeted || m.line >= 0 && f.op != opLoop
	}
	switch in.op {
	case opBlock, opLoop, opIf:
		m.frames = append(m.frames, frame{op: in.op, live: m.line >= 0})
		if in.op == opLoop {
			m.begin(end, editCheck, m.line >= 0)
		} else if in.op == opIf {
			m.begin(end, editCharge, m.line >= 0)
		}
	case opElse:
		f := &m.frames[len(m.frames)-1]
		if f.op != opIf {
			return fmt.Errorf("an else without its if")
		}
		f.op, f.targeted = opElse, f.targeted || m.line >= 0
		m.begin(end, editCharge, f.live)
	case opEnd:
		m.end(end)
	case opBrIf:
		m.begin(end, editCharge, m.line >= 0)
	case opBr, opBrTable, opReturn, opUnreachable:
		m.line = -1
	case opCall, opRefFunc:
		m.calls = m.calls || in.op == opCall
		m.edits = append(m.edits, edit{at: in.operand, cut: end - in.operand, kind: editIndex, value: uint64(m.shift(in.index))})
	case opCallIndirect:
		m.calls = true
	case opTableSet:
		m.changes("table.set")
	case opMemoryGrow:
		m.grow(start, end, pageShift)
	case opMisc:
		m.misc(in.sub, start, end)
	}
	return nil
}

// begin starts a straight line at an offset, if anything can come there.
func (m *meter) begin(at int, kind editKind, live bool) {
	if m.line = -1; live {
		m.line = len(m.edits)
		m.edits = append(m.edits, edit{at: at, kind: kind})
	}
}

// end closes a block. The line that runs up to it goes on behind it, unless other lines come together there.
func (m *meter) end(at int) {
	f := m.frames[len(m.frames)-1]
	m.frames = m.frames[:len(m.frames)-1]
	switch {
	case f.op == opIf:
		m.begin(at, editCharge, f.live) // the missing arm comes here, at least
	case f.targeted || f.op == opElse && m.line >= 0:
		m.begin(at, editCharge, true)
	}
}

func (m *meter) misc(sub byte, start, end int) {
	switch sub {
	case miscMemoryInit, miscMemoryCopy, miscMemoryFill:
		m.lengthy(start, bytesShift)
	case miscDataDrop:
		m.changes("data.drop")
	case miscElemDrop:
		m.changes("elem.drop")
	case miscTableInit:
		m.changes("table.init")
		m.lengthy(start, 0)
	case miscTableCopy:
		m.changes("table.copy")
		m.lengthy(start, 0)
	case miscTableFill:
		m.changes("table.fill")
		m.lengthy(start, 0)
	case miscTableGrow:
		m.changes("table.grow")
		m.grow(start, end, 0)
	}
}

// changes notes what no rewinding brings back.
func (m *meter) changes(what string) {
	if m.rewind != "" {
		return
	}
	thing := "its function table"
	if what == "data.drop" || what == "elem.drop" {
		thing = "which initial data it has"
	}
	m.rewind = fmt.Sprintf("it changes %s (%s in function %d)", thing, what, m.function)
}

func (m *meter) lengthy(at int, shift uint64) {
	m.ranges = true
	m.edits = append(m.edits, edit{at: at, kind: editRange, value: shift})
}

func (m *meter) grow(start, end int, shift uint64) {
	m.ranges = true
	m.edits = append(m.edits, edit{at: start, kind: editLength}, edit{at: end, kind: editGrown, value: shift})
}

// emit appends the edited body.
func (m *meter) emit(out, body []byte) []byte {
	from := 0
	for _, e := range m.edits {
		out = append(out, body[from:e.at]...)
		from = e.at + e.cut
		switch e.kind {
		case editCharge, editCheck:
			if e.value > 0 {
				out = m.charge(out, e.value, e.kind == editCheck)
			}
		case editIndex:
			out = appendU32(out, uint32(e.value))
		case editLength:
			out = appendU32(append(out, opLocalTee), m.spaces.locals)
		case editRange:
			out = m.chargeRange(out, e.value)
		case editGrown:
			out = m.chargeGrown(out, e.value)
		case editOrder:
			out = m.order(out, byte(e.value), e.left, e.right)
		}
	}
	return append(out, body[from:]...)
}

// order appends a comparison, so that it is compiled rightly.
func (m *meter) order(out []byte, op byte, left, right origin) []byte {
	if m.orders.suspect(op, left, right) {
		return append(out, inverse(op), opI32Eqz)
	}
	return append(out, op)
}

func (m *meter) charge(out []byte, cost uint64, look bool) []byte {
	out = append(appendU32(append(out, opGlobalGet), m.fuel), opI64Const)
	out = append(appendS64(out, int64(cost)), opI64Sub)
	out = appendU32(append(out, opGlobalSet), m.fuel)
	if look {
		out = m.look(out)
	}
	return out
}

// look calls for more fuel when there is less than none. The call stands in the else: wazero takes the registers behind a
// meeting of lines from the one that it comes to first, and a call leaves everything on the stack. With the call in the then,
// fib in Go costs 17 % more instead of 8, and in some builds fib by hand 35.
func (m *meter) look(out []byte) []byte {
	out = appendU32(append(out, opGlobalGet), m.fuel)
	out = append(out, opI64Const, 0, opI64GeS, opIf, void, opElse, opCall)
	return append(appendU32(out, m.imported), opEnd)
}

// chargeRange charges for the i32 on top of the stack, shifted right, and leaves it there.
func (m *meter) chargeRange(out []byte, shift uint64) []byte {
	length := m.spaces.locals
	out = appendU32(append(out, opLocalTee), length)
	out = appendU32(append(out, opGlobalGet), m.fuel)
	out = append(appendU32(append(out, opLocalGet), length), opI64ExtendU, opI64Const, byte(shift), opI64ShrU, opI64Sub)
	return m.look(appendU32(append(out, opGlobalSet), m.fuel))
}

// chargeGrown charges for the length that editLength remembered, shifted left, unless the i32 on top of the stack is -1,
// which says that nothing grew; and leaves it there.
func (m *meter) chargeGrown(out []byte, shift uint64) []byte {
	length, result := m.spaces.locals, m.spaces.locals+1
	out = appendU32(append(out, opLocalSet), result)
	out = appendU32(append(out, opGlobalGet), m.fuel)
	out = append(appendU32(append(out, opLocalGet), length), opI64ExtendU, opI64Const, byte(shift), opI64Shl)
	out = append(appendU32(append(out, opLocalGet), result), opI32Const, 0x7f, opI32Ne, opI64ExtendU, opI64Mul, opI64Sub)
	out = m.look(appendU32(append(out, opGlobalSet), m.fuel))
	return appendU32(append(out, opLocalGet), result)
}
