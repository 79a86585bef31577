package module

// wazero (1.12) compiles a comparison that only a branch uses together with its operands. When one of them is the
// constant 0 and the other an i32.and or i64.and, it takes the flags of the and alone, whichever side the 0 stands on: on amd64
// 0 < (x & y) becomes (x & y) < 0, for all eight orders. By its source, the carry of an and is wrong besides on arm64, for the unsigned orders
// of (x & y) and 0. A local that was set to one of the two is the same to it. eq, ne and what is kept as a value come out right.
//
// So an order that may be one of these is written as the eqz of its inverse, which means the same and is compiled by itself.
// What cannot be one, as far as the two instructions before it tell, stays as it is: nearly all. The one kind that goes
// unnoticed is, on arm64, an unsigned order whose 0 comes out of a local.

// origin is where a value comes from, as far as it matters.
type origin struct {
	kind  originKind
	local uint32 // of originLocal
}

type originKind byte

const (
	originAny   originKind = iota // nothing is known
	originOther                   // neither of the two
	originZero                    // the constant
	originAnd
	originLocal // whatever the local holds
)

func (o origin) maybeZero() bool { return o.kind != originOther && o.kind != originAnd }

// orders are the values that the next instruction finds, and which locals may hold an and.
type orders struct {
	last, before origin
	stamp        uint32   // of this function
	anded        []uint32 // the stamp of the last function in which the local was set to what may be an and
}

// begin starts a function with so many locals.
func (o *orders) begin(locals uint32) {
	o.last, o.before = origin{}, origin{}
	o.stamp++
	if n := int(locals) - len(o.anded); n > 0 {
		o.anded = append(o.anded, make([]uint32, n)...)
	}
}

func (o *orders) maybeAnd(of origin) bool {
	return of.kind == originAny || of.kind == originAnd || of.kind == originLocal && o.anded[of.local] == o.stamp
}

// suspect says that the comparison op may be compiled wrongly, once all that its locals are set to is known.
func (o *orders) suspect(op byte, left, right origin) bool {
	unsigned := (op-firstOrder(op))&1 == 1
	return left.maybeZero() && o.maybeAnd(right) || unsigned && right.kind == originZero && o.maybeAnd(left)
}

// follow notes what one instruction leaves.
func (o *orders) follow(in *instruction) {
	switch op := in.op; {
	case op == opI32Const || op == opI64Const:
		o.before, o.last = o.last, origin{kind: originOther}
		if in.zero {
			o.last.kind = originZero
		}
	case op == opLocalGet:
		o.before, o.last = o.last, origin{kind: originLocal, local: in.index}
	case op == opGlobalGet:
		o.before, o.last = o.last, origin{kind: originOther}
	case op == opLocalSet || op == opLocalTee:
		if o.last.kind == originAny || o.last.kind == originAnd || o.last.kind == originLocal {
			o.anded[in.index] = o.stamp
		}
		if op == opLocalSet {
			o.last, o.before = o.before, origin{}
		}
	case op == opI32And || op == opI64And:
		o.last, o.before = origin{kind: originAnd}, origin{}
	case op >= 0x28 && op <= 0x35, op >= 0x45 && op <= 0xc4: // loads; comparisons, arithmetic, conversions
		o.last, o.before = origin{kind: originOther}, origin{}
	default:
		o.last, o.before = origin{}, origin{}
	}
}

// firstOrder gives the lt_s of op's type. The orders are lt, gt, le and ge, signed and unsigned in turn.
func firstOrder(op byte) byte {
	if op >= opI64LtS {
		return opI64LtS
	}
	return opI32LtS
}

// isOrder says that op is one of the sixteen orders of integers.
func isOrder(op byte) bool { return op >= opI32LtS && op-firstOrder(op) < 8 }

// inverse gives the order that holds where op does not.
func inverse(op byte) byte { return (op - firstOrder(op)) ^ 6 + firstOrder(op) }
