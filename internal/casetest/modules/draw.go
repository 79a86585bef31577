package modules

import (
	"pgregory.net/rapid"
)

// EventRoom is the most bytes of an event, and eventAt where casemate_alloc puts it.
const (
	EventRoom = 512
	eventAt   = 4096
)

// Bounds on what is drawn, so that every run ends soon.
const (
	helperCost = 4_000
	handleCost = 60_000
	maxPages   = 3
)

// Draw draws a module. It exports memory, casemate_alloc, casemate_handle and sometimes _initialize, and may have a start
// function; it takes events of at most EventRoom bytes. Some runs of some modules trap.
func Draw(t *rapid.T) *Module {
	d := &drawer{t: t, m: &Module{start: -1, min: 1, max: maxPages, yields: rapid.Bool().Draw(t, "imports")}}
	m := d.m
	for range d.n(5) {
		m.globals = append(m.globals, global{typ: d.typ(), mutable: !d.one(4), value: int64(d.n(1 << 20))})
	}
	d.data()
	helpers := 1 + d.n(5)
	for i := range helpers {
		if i == helpers/2 && i > 0 && d.one(2) {
			d.table(i)
		}
		d.helper()
	}
	if d.one(3) {
		d.entry("_initialize", nil, nil, helperCost)
	}
	if d.one(5) {
		m.start = d.entry("", nil, nil, helperCost)
	}
	m.funcs = append(m.funcs, function{typ: m.typeOf([]byte{I32}, []byte{I32}), export: "casemate_alloc", body: []instr{i32(eventAt)}})
	d.entry("casemate_handle", []byte{I32, I32}, []byte{I64}, handleCost)
	// Types of imports have to stand in the list before the bytes are written.
	m.typeOf(nil, []byte{I32})
	return m
}

// DrawEvents draws a sequence of events.
func DrawEvents(t *rapid.T) [][]byte {
	return rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 64), 1, 5).Draw(t, "events")
}

type label struct {
	loop    int // the local that counts, of a loop
	results int
}

// drawer writes one function after the other.
type drawer struct {
	t      *rapid.T
	m      *Module
	locals []byte // parameters first
	fixed  int    // locals from here on count loops
	busy   []bool // counters in use
	labels []label
	leaves []byte // results to return early with; nil: none may
	times  int64  // how often what is drawn now runs, at most
	spent  int64
	limit  int64
	inner  int // depth of expressions and blocks
}

func (d *drawer) n(below int) int      { return rapid.IntRange(0, below-1).Draw(d.t, "n") }
func (d *drawer) one(in int) bool      { return d.n(in) == 0 }
func (d *drawer) typ() byte            { return pick(d, I32, I64) }
func pick[T any](d *drawer, of ...T) T { return of[d.n(len(of))] }

func (d *drawer) data() {
	for range d.n(3) {
		d.m.segments = append(d.m.segments, segment{at: int32(d.n(Page - 64)), data: rapid.SliceOfN(rapid.Byte(), 0, 64).Draw(d.t, "data")})
	}
	if d.m.counted = d.one(3); d.m.counted {
		d.m.segments = append(d.m.segments, segment{passive: true, data: []byte("sixteen letters.")})
	}
}

// table makes a table of the functions so far.
func (d *drawer) table(functions int) {
	for range 1 + d.n(6) {
		f := d.n(functions) + d.m.imported()
		if d.one(20) {
			f = -1
		}
		d.m.table = append(d.m.table, f)
	}
}

func (d *drawer) helper() {
	var params []byte
	for range d.n(4) {
		params = append(params, d.typ())
	}
	var results []byte
	for range d.n(3) {
		results = append(results, d.typ())
	}
	d.begin(params, helperCost)
	d.leaves = append([]byte{}, results...)
	body := d.statements()
	for _, r := range results {
		body = append(body, d.expression(r)...)
	}
	d.finish("", params, results, body)
}

// entry draws a function that is called from outside. One with a result ends with the digest.
func (d *drawer) entry(export string, params, results []byte, limit int64) int {
	d.begin(params, limit)
	body := d.statements()
	body = append(body, d.statements()...)
	if results != nil {
		// What is drawn may leave early, but only out of the block.
		body = []instr{{op: 0x02, typ: -1, body: body}}
		body = append(body, d.digest()...)
	}
	return d.finish(export, params, results, body)
}

const counters = 4

func (d *drawer) begin(params []byte, limit int64) {
	d.locals = append([]byte(nil), params...)
	for range d.n(4) {
		d.locals = append(d.locals, d.typ())
	}
	d.fixed = len(d.locals)
	for range counters {
		d.locals = append(d.locals, I32)
	}
	d.busy = make([]bool, counters)
	d.times, d.spent, d.limit, d.inner, d.labels, d.leaves = 1, 0, limit, 0, d.labels[:0], nil
	d.labels = append(d.labels, label{loop: -1})
}

func (d *drawer) finish(export string, params, results []byte, body []instr) int {
	d.m.funcs = append(d.m.funcs, function{typ: d.m.typeOf(params, results), locals: d.locals[len(params):], body: body, export: export,
		cost: d.spent + 20})
	return len(d.m.funcs) - 1 + d.m.imported()
}

// op counts an instruction and gives it.
func (d *drawer) op(op byte, imm ...int64) instr {
	d.spent += d.times
	in := instr{op: op, typ: -1}
	if len(imm) > 0 {
		in.imm = imm[0]
	}
	return in
}

func i32(v int64) instr { return instr{op: 0x41, imm: int64(int32(v)), typ: -1} }
func i64(v int64) instr { return instr{op: 0x42, imm: v, typ: -1} }

func join(parts ...any) []instr {
	var out []instr
	for _, p := range parts {
		switch p := p.(type) {
		case instr:
			out = append(out, p)
		case []instr:
			out = append(out, p...)
		}
	}
	return out
}

// variable draws a local of the type that may be written, or -1.
func (d *drawer) variable(typ byte) int64 {
	var of []int64
	for i, t := range d.locals[:d.fixed] {
		if t == typ {
			of = append(of, int64(i))
		}
	}
	if of == nil {
		return -1
	}
	return pick(d, of...)
}

func (d *drawer) globalOf(typ byte, written bool) int64 {
	var of []int64
	for i, g := range d.m.globals {
		if g.typ == typ && (g.mutable || !written) {
			of = append(of, int64(i))
		}
	}
	if of == nil {
		return -1
	}
	return pick(d, of...)
}

func (d *drawer) full() bool { return d.inner > 4 || d.spent+40*d.times > d.limit }

func (d *drawer) statements() []instr {
	var out []instr
	for range 1 + d.n(4) {
		if d.full() {
			break
		}
		d.inner++
		out = append(out, d.statement()...)
		d.inner--
	}
	return out
}

func (d *drawer) statement() []instr {
	switch d.n(18) {
	case 0, 1, 2:
		typ := d.typ()
		if v := d.variable(typ); v >= 0 {
			return join(d.expression(typ), d.op(0x21, v))
		}
	case 3, 4, 5:
		typ := d.typ()
		if g := d.globalOf(typ, true); g >= 0 {
			return join(d.expression(typ), d.op(0x24, g))
		}
	case 6, 7:
		if d.one(2) {
			return join(d.address(), d.expression(I32), d.op(pick[byte](d, 0x36, 0x3a, 0x3b), int64(d.n(64))))
		}
		return join(d.address(), d.expression(I64), d.op(pick[byte](d, 0x37, 0x3c, 0x3d, 0x3e), int64(d.n(64))))
	case 8, 9:
		return d.branches()
	case 10, 11:
		return d.loop()
	case 12:
		return d.within(label{loop: -1}, func() []instr { return []instr{{op: 0x02, typ: -1, body: d.statements()}} })
	case 13:
		return d.jump()
	case 14:
		return d.choice()
	case 15:
		return d.bulk()
	case 16:
		return d.rare()
	}
	return join(d.expression(d.typ()), d.op(0x1a))
}

// within draws what stands in a block.
func (d *drawer) within(l label, draw func() []instr) []instr {
	d.labels = append(d.labels, l)
	out := draw()
	d.labels = d.labels[:len(d.labels)-1]
	return out
}

func (d *drawer) branches() []instr {
	condition := d.condition()
	return join(condition, d.within(label{loop: -1}, func() []instr {
		in := d.op(0x04)
		in.body = append(d.statements(), d.away()...)
		if d.one(2) {
			in.other = join(d.statements(), d.op(0x01), d.away())
		}
		return []instr{in}
	}))
}

// loop counts one of the counters down to zero.
func (d *drawer) loop() []instr {
	c := -1
	for i, used := range d.busy {
		if !used {
			c = i
		}
	}
	turns := int64(1 + d.n(5))
	if c < 0 || d.spent+60*d.times*turns > d.limit {
		return nil
	}
	d.busy[c] = true
	local, before := int64(d.fixed+c), d.times
	out := join(i32(turns), d.op(0x21, local))
	d.times *= turns
	body := d.within(label{loop: int(local)}, func() []instr {
		b := d.statements()
		return append(b, d.again(local, 0)...)
	})
	d.busy[c], d.times = false, before
	return append(out, instr{op: 0x03, typ: -1, body: body})
}

// again goes to the head of a loop while its counter is above zero.
func (d *drawer) again(local, depth int64) []instr {
	d.spent += 5 * d.times
	return join(d.op(0x20, local), i32(1), d.op(0x6b), d.op(0x22, local), i32(0), d.op(0x4a), d.op(0x0d, depth))
}

// jump leaves a block, or goes on with a loop.
func (d *drawer) jump() []instr {
	depth := d.n(len(d.labels))
	l := d.labels[len(d.labels)-1-depth]
	switch {
	case depth == len(d.labels)-1:
		return d.back()
	case l.results > 0:
		return nil
	case l.loop >= 0:
		return d.again(int64(l.loop), int64(depth))
	case d.one(4):
		// What stands behind it never runs.
		return join(d.op(0x0c, int64(depth)), d.statements())
	default:
		return join(d.condition(), d.op(0x0d, int64(depth)))
	}
}

// away sometimes leaves a block at the end of an arm.
func (d *drawer) away() []instr {
	depth := d.n(len(d.labels))
	if l := d.labels[len(d.labels)-1-depth]; depth == len(d.labels)-1 || l.results > 0 || l.loop >= 0 || d.one(2) {
		return nil
	}
	return []instr{d.op(0x0c, int64(depth))}
}

// back returns from the function, sometimes.
func (d *drawer) back() []instr {
	if d.leaves == nil {
		return nil
	}
	in := d.op(0x04)
	condition := d.condition()
	d.within(label{loop: -1}, func() []instr {
		for _, r := range d.leaves {
			in.body = append(in.body, d.expression(r)...)
		}
		in.body = append(in.body, d.op(pick[byte](d, 0x0f, 0x0c), int64(len(d.labels)-1)))
		in.body = append(in.body, d.statements()...) // which never run
		return nil
	})
	return append(condition, in)
}

// choice is a br_table over nested blocks.
func (d *drawer) choice() []instr {
	n := 1 + d.n(3)
	table := d.op(0x0e)
	for range n + 1 {
		table.labels = append(table.labels, byte(d.n(n)))
	}
	for range n {
		d.labels = append(d.labels, label{loop: -1})
	}
	body := join(d.expression(I32), i32(int64(n)), d.op(0x71), table)
	for range n {
		d.labels = d.labels[:len(d.labels)-1]
		body = append([]instr{{op: 0x02, typ: -1, body: body}}, d.statements()...)
	}
	return body
}

func (d *drawer) bulk() []instr {
	length := func() []instr { return join(d.expression(I32), i32(0xff), d.op(0x71)) }
	d.spent += 40 * d.times
	in := d.op(0xfc)
	switch d.n(4) {
	case 0:
		in.sub = 10
		return join(d.address(), d.address(), length(), in)
	case 1:
		in.sub = 11
		return join(d.address(), d.expression(I32), length(), in)
	case 2:
		if !d.m.counted {
			return nil
		}
		in.sub, in.imm = 8, int64(len(d.m.segments)-1)
		return join(d.address(), i32(int64(d.n(8))), i32(int64(d.n(9))), in)
	default:
		if d.spent+Page/8*d.times > d.limit/2 {
			return nil
		}
		d.spent += Page / 8 * d.times
		return join(i32(int64(d.n(2))), d.op(0x40), d.op(0x1a))
	}
}

// rare are statements that trap, or that keep an instance from being rewound.
func (d *drawer) rare() []instr {
	if !d.one(4) {
		return []instr{d.op(0x01)}
	}
	d.spent += 10 * d.times
	guard := join(d.expression(I32), i32(15), d.op(0x71), d.op(0x45))
	in := d.op(0x04)
	drop := instr{op: 0xfc, sub: 9, imm: int64(len(d.m.segments) - 1), typ: -1}
	switch k := d.n(5); {
	case k == 0:
		in.body = []instr{d.op(0x00)}
	case k == 1 && d.m.counted:
		in.body = []instr{drop}
	case d.m.table == nil:
		return nil
	case k == 2:
		in.body = join(i32(int64(d.n(len(d.m.table)))), i32(int64(d.n(len(d.m.table)))), d.op(0x25), d.op(0x26))
	case k == 3:
		in.body = join(i32(0), instr{op: 0xd0, sub: 0, typ: -1}, i32(1), instr{op: 0xfc, sub: 17, typ: -1})
	default:
		in.body = join(i32(0), i32(int64(d.n(len(d.m.table)))), i32(1), instr{op: 0xfc, sub: 14, typ: -1})
	}
	return append(guard, in)
}

// address draws an address that is nearly always inside the memory.
func (d *drawer) address() []instr {
	if d.one(200) {
		return d.expression(I32)
	}
	return join(d.expression(I32), i32(pick[int64](d, 0xff, 0xff8, 0xfc00)), d.op(0x71))
}
