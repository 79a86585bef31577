package modules

// expression draws code that leaves one value of the type.
func (d *drawer) expression(typ byte) []instr {
	d.inner++
	defer func() { d.inner-- }()
	if d.full() {
		return d.leaf(typ)
	}
	switch d.n(16) {
	case 0, 1, 2, 3:
		return d.leaf(typ)
	case 4, 5, 6:
		return d.arithmetic(typ)
	case 7:
		return d.oneOperand(typ)
	case 8, 9:
		if typ == I32 {
			return join(d.address(), d.op(pick[byte](d, 0x28, 0x2c, 0x2d, 0x2e, 0x2f), int64(d.n(64))))
		}
		return join(d.address(), d.op(pick[byte](d, 0x29, 0x30, 0x31, 0x32, 0x33, 0x34, 0x35), int64(d.n(64))))
	case 10:
		return join(d.expression(typ), d.expression(typ), d.expression(I32), d.op(0x1b))
	case 11, 12:
		return d.call(typ)
	case 13:
		return d.either(typ)
	case 14:
		return d.early(typ)
	default:
		return d.through(typ)
	}
}

func constant(typ byte, v int64) instr {
	if typ == I32 {
		return i32(v)
	}
	return i64(v)
}

func (d *drawer) leaf(typ byte) []instr {
	d.spent += d.times
	switch d.n(4) {
	case 0:
		if g := d.globalOf(typ, false); g >= 0 {
			return []instr{{op: 0x23, imm: g, typ: -1}}
		}
	case 1, 2:
		if v := d.variable(typ); v >= 0 {
			return []instr{{op: 0x20, imm: v, typ: -1}}
		}
	case 3:
		if typ == I32 && d.one(4) {
			return []instr{{op: 0x3f, typ: -1}}
		}
	}
	if d.one(6) {
		return []instr{constant(typ, 0)}
	}
	return []instr{constant(typ, int64(d.n(1<<16))-100)}
}

// arithmetic joins two values; a divisor is nearly always odd.
func (d *drawer) arithmetic(typ byte) []instr {
	a, b := d.expression(typ), d.expression(typ)
	op, or := byte(0x6a), byte(0x72)
	if typ == I64 {
		op, or = 0x7c, 0x84
	}
	kind := byte(d.n(15))
	if kind >= 3 && kind <= 6 && !d.one(50) {
		b = join(b, constant(typ, 1), d.op(or))
	}
	return join(a, b, d.op(op+kind))
}

// condition draws what a branch goes by: often a comparison that nothing else uses, which engines compile with its operands.
func (d *drawer) condition() []instr {
	if !d.one(3) {
		return d.expression(I32)
	}
	typ := d.typ()
	and, eq := byte(0x71), byte(0x46)
	if typ == I64 {
		and, eq = 0x83, 0x51
	}
	a, b := d.leaf(typ), join(d.expression(typ), d.expression(typ), d.op(and))
	if d.one(3) {
		a, b = b, a
	}
	return join(a, b, d.op(eq+byte(d.n(10))))
}

// oneOperand counts bits, compares, or converts.
func (d *drawer) oneOperand(typ byte) []instr {
	if typ == I64 {
		if d.one(2) {
			return join(d.expression(I32), d.op(pick[byte](d, 0xac, 0xad)))
		}
		return join(d.expression(I64), d.op(pick[byte](d, 0x79, 0x7a, 0x7b, 0xc2, 0xc3, 0xc4)))
	}
	switch d.n(5) {
	case 0:
		return join(d.expression(I64), d.op(pick[byte](d, 0xa7, 0x50)))
	case 1:
		return join(d.expression(I64), d.expression(I64), d.op(0x51+byte(d.n(10))))
	case 2:
		return join(d.expression(I32), d.expression(I32), d.op(0x46+byte(d.n(10))))
	case 3:
		if d.m.table != nil {
			return join(i32(int64(d.n(len(d.m.table)))), d.op(0x25), d.op(0xd1))
		}
		fallthrough
	default:
		return join(d.expression(I32), d.op(pick[byte](d, 0x45, 0x67, 0x68, 0x69, 0xc0, 0xc1)))
	}
}

// call draws a call of a function before this one; what it gives besides a value of the type is dropped.
func (d *drawer) call(typ byte) []instr {
	var of []int
	for i, f := range d.m.funcs {
		if f.export == "" && i+d.m.imported() != d.m.start && d.spent+f.cost*d.times < d.limit && len(d.m.types[f.typ].results) > 0 {
			of = append(of, i)
		}
	}
	if of == nil || typ == I32 && d.m.yields && d.one(8) {
		if typ == I32 && d.m.yields {
			return []instr{d.op(0x10, 0)}
		}
		return d.leaf(typ)
	}
	i := pick(d, of...)
	f := d.m.funcs[i]
	sig := d.m.types[f.typ]
	d.spent += f.cost * d.times
	var out []instr
	for _, p := range sig.params {
		out = append(out, d.expression(p)...)
	}
	if at := d.inTable(i); at >= 0 && d.one(2) {
		out = join(out, i32(int64(at)), d.op(0x11, int64(f.typ)))
	} else {
		out = join(out, d.op(0x10, int64(i+d.m.imported())))
	}
	for range sig.results[1:] {
		out = append(out, d.op(0x1a))
	}
	switch have := sig.results[0]; {
	case have == typ:
		return out
	case typ == I32:
		return join(out, d.op(0xa7))
	default:
		return join(out, d.op(0xad))
	}
}

// inTable finds a function in the table, or sometimes any element, of which the type may be another.
func (d *drawer) inTable(function int) int {
	if d.one(30) && d.m.table != nil {
		// It may name a function that costs more: all of them cost at most helperCost.
		if d.spent+helperCost*d.times < d.limit {
			d.spent += helperCost * d.times
			return d.n(len(d.m.table))
		}
	}
	for at, f := range d.m.table {
		if f == function+d.m.imported() {
			return at
		}
	}
	return -1
}

// either is an if with a value.
func (d *drawer) either(typ byte) []instr {
	condition := d.expression(I32)
	in := d.op(0x04)
	in.typ = d.m.typeOf(nil, []byte{typ})
	d.within(label{loop: -1, results: 1}, func() []instr {
		in.body, in.other = d.expression(typ), d.expression(typ)
		return nil
	})
	return append(condition, in)
}

// early is a block that may be left with its value before its end.
func (d *drawer) early(typ byte) []instr {
	in := instr{op: 0x02, typ: d.m.typeOf(nil, []byte{typ})}
	in.body = d.within(label{loop: -1, results: 1}, func() []instr {
		return join(d.statements(), d.expression(typ), d.expression(I32), d.op(0x0d, 0), d.op(0x1a), d.expression(typ))
	})
	return []instr{in}
}

// through is a block, or a loop of one turn, with a parameter and a result.
func (d *drawer) through(typ byte) []instr {
	value := d.expression(typ)
	in := instr{op: pick[byte](d, 0x02, 0x03), typ: d.m.typeOf([]byte{typ}, []byte{typ})}
	in.body = d.within(label{loop: -1, results: 1}, func() []instr {
		op := byte(0x6a)
		if typ == I64 {
			op = 0x7c
		}
		return join(d.statements(), d.expression(typ), d.op(op))
	})
	return append(value, in)
}

// digest mixes the memory and the mutable globals, leaves the result at address 0 and answers it.
func (d *drawer) digest() []instr {
	h, p := int64(len(d.locals)), int64(len(d.locals)+1)
	d.locals = append(d.locals, I64, I32)
	mix := func(value ...instr) []instr {
		return join(instr{op: 0x20, imm: h}, value, instr{op: 0x85}, i64(0x100000001b3), instr{op: 0x7e}, i64(29), instr{op: 0x89},
			instr{op: 0x21, imm: h})
	}
	out := join(i64(0x0bf29ce484222325), instr{op: 0x21, imm: h})
	for i, g := range d.m.globals {
		if !g.mutable {
			continue
		}
		value := []instr{{op: 0x23, imm: int64(i)}}
		if g.typ == I32 {
			value = append(value, instr{op: 0xad})
		}
		out = append(out, mix(value...)...)
	}
	body := join(mix(instr{op: 0x20, imm: p}, instr{op: 0x29}),
		instr{op: 0x20, imm: p}, i32(8), instr{op: 0x6a}, instr{op: 0x22, imm: p},
		instr{op: 0x3f}, i32(16), instr{op: 0x74}, instr{op: 0x49}, instr{op: 0x0d})
	out = join(out, i32(8), instr{op: 0x21, imm: p}, instr{op: 0x03, typ: -1, body: body})
	return join(out, i32(0), instr{op: 0x20, imm: h}, instr{op: 0x37}, i64(8))
}
