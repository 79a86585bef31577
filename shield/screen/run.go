package screen

import (
	"strconv"
	"strings"

	"casemate/shield/screen/confirm"
)

// txValue is a variable of the TX collection.
type txValue struct {
	s   string
	set bool
}

type named struct{ name, value string }

// seen is the value that matched last.
type seen struct {
	v     variable
	key   string
	value string
	raw   *text // before transformations; nil: no value of a request
}

// run is one evaluation. Runs are reused: nothing of one is read by the next.
type run struct {
	e         *Engine
	texts     []text // the current block; older blocks live as long as somebody points into them
	slots     []*text
	items     [variables][]item
	tx        []txValue
	extra     []named // TX variables under names made while running
	matched   seen
	seen      []seen // MATCHED_VARS
	hits      []Match
	wanted    []uint64 // rules to ask, by index
	removed   []*control
	forceBody bool
	processor string
	denied    bool
	exempt    Exempt
	work      int
	budget    int
	spent     bool // the budget ran out
}

func newRun(e *Engine) *run {
	return &run{e: e, tx: make([]txValue, len(e.initial)), wanted: make([]uint64, e.width()), texts: make([]text, 0, 128)}
}

// start takes a run for use.
func (e *Engine) start(o Options) *run {
	x := e.runs.Get().(*run)
	copy(x.tx, e.initial)
	x.exempt, x.budget = o.Exempt, o.Budget
	if x.budget <= 0 {
		x.budget = DefaultBudget
	}
	return x
}

// finish gives a run back, with nothing of its request in it.
func (e *Engine) finish(x *run) {
	for v := range x.items {
		clear(x.items[v])
		x.items[v] = x.items[v][:0]
	}
	clear(x.texts)
	clear(x.slots)
	clear(x.wanted)
	clear(x.tx)
	clear(x.seen)
	clear(x.extra)
	*x = run{e: e, texts: x.texts[:0], slots: x.slots[:0], items: x.items, tx: x.tx, wanted: x.wanted, seen: x.seen[:0], extra: x.extra[:0]}
	e.runs.Put(x)
}

// spend takes work units from the budget.
func (x *run) spend(n int) {
	if x.work += n; x.work > x.budget {
		x.spent = true
	}
}

// add puts a value into a variable.
func (x *run) add(v variable, in, key, value string) {
	n := len(x.e.chains)
	if cap(x.slots)-len(x.slots) < n {
		x.slots = make([]*text, 0, 64*n)
	}
	done := x.slots[len(x.slots) : len(x.slots)+n : len(x.slots)+n]
	x.slots = x.slots[:len(x.slots)+n]
	done[0] = x.textOf(value)
	x.items[v] = append(x.items[v], item{key: key, fold: lowerASCII(key), in: in, done: done})
}

// lowerASCII is strings.ToLower without a copy where nothing changes.
func lowerASCII(s string) string { return strings.ToLower(s) }

// prepare transforms the values of a variable and notes the rules that they make worth asking.
func (x *run) prepare(v variable, from int) {
	p := &x.e.plans[v]
	for i := from; i < len(x.items[v]); i++ {
		it := &x.items[v][i]
		var last *text
		for k, c := range p.chains {
			t := x.transformed(it, c)
			if !p.ends[k] || t == last || x.spent {
				continue
			}
			last = t
			x.scan(t)
			x.want(p, t)
			if p.lean {
				if lean := x.squeezed(t); lean != t {
					x.want(p, lean)
				}
			}
		}
	}
}

func (x *run) want(p *plan, t *text) {
	if t.asked == p {
		return
	}
	t.asked = p
	if t.exotic {
		for i := range x.wanted {
			x.wanted[i] = ^uint64(0)
		}
		return
	}
	for i := range p.bytes {
		if b := &p.bytes[i]; b.set.Meets(&t.bytes) {
			x.wanted[b.rule>>6] |= 1 << (b.rule & 63)
		}
	}
	for w, word := range t.found {
		for b := w << 6; word != 0; word, b = word>>1, b+1 {
			if word&1 != 0 {
				for i, rules := range p.lists[b] {
					x.wanted[i] |= rules
				}
			}
		}
	}
}

// phase asks the rules of a phase, in their order.
func (x *run) phase(n int) {
	rules := x.e.phases[n]
	for i := 0; i < len(rules) && !x.spent; i++ {
		r := rules[i]
		if r.filtered && x.wanted[r.index>>6]&(1<<(r.index&63)) == 0 || x.gone(r) {
			continue
		}
		x.seen = x.seen[:0]
		from := len(x.hits)
		if !x.whole(r) {
			x.hits = x.hits[:from]
			continue
		}
		x.denied = x.denied || r.deny
		if r.skip > 0 {
			i = r.skip - 1
		}
	}
}

func (x *run) gone(r *rule) bool {
	for _, k := range x.removed {
		if k.kind == "tag" && k.marked[r.index>>6]&(1<<(r.index&63)) != 0 {
			return true
		}
	}
	return false
}

// whole asks a rule and all that is chained to it. What matched is put down under the chain's first rule.
func (x *run) whole(r *rule) bool {
	if !x.matches(r, r) {
		return false
	}
	for link := r.next; link != nil; link = link.next {
		if !x.matches(link, r) {
			return false
		}
	}
	return true
}

// matches asks one rule of all its targets, and does what it says for each value that matches.
func (x *run) matches(r, head *rule) bool {
	if r.op == nil {
		x.hit(r, head, seen{}, "")
		return true
	}
	any := false
	for i := range r.targets {
		t := &r.targets[i]
		if x.dropped(t.v, head) {
			continue
		}
		switch {
		case t.count:
			any = x.ask(r, head, seen{v: t.v, key: t.key}, "", x.fresh(strconv.Itoa(x.count(t)))) || any
		case t.v == vTX:
			any = x.askTX(r, head, t) || any
		case t.v == vMatchedVar:
			any = x.ask(r, head, seen{v: t.v}, "", x.fresh(x.matched.value)) || any
		case t.v == vMatchedVars:
			for _, s := range append([]seen(nil), x.seen...) {
				any = x.ask(r, head, seen{v: t.v, key: s.v.name() + ":" + s.key}, "", x.fresh(s.value)) || any
			}
		default:
			any = x.askItems(r, head, t) || any
		}
	}
	return any
}

func (v variable) name() string { n := names(); return n[v] }

func (x *run) dropped(v variable, head *rule) bool {
	for _, k := range x.removed {
		if k.kind == "target" && k.v == v && k.marked[head.index>>6]&(1<<(head.index&63)) != 0 {
			return true
		}
	}
	return false
}

func (x *run) askItems(r, head *rule, t *target) bool {
	any := false
	for i := range x.items[t.v] {
		it := &x.items[t.v][i]
		if !t.takes(it) || x.exempt != nil && x.exempt(head.id, it.in, it.key) {
			continue
		}
		who := seen{v: t.v, key: it.key, raw: it.done[0]}
		if r.prefixes == nil {
			any = x.ask(r, head, who, it.in, x.transformed(it, r.chain)) || any
			continue
		}
		var last *text
		for _, c := range r.prefixes {
			if step := x.transformed(it, c); step != last {
				last = step
				any = x.ask(r, head, who, it.in, step) || any
			}
		}
	}
	return any
}

// takes reports whether a target means an item.
func (t *target) takes(it *item) bool {
	name := it.fold
	if t.literal {
		name = it.key
	}
	if t.re != nil && !t.re.MatchString(name) || t.re == nil && t.key != "" && t.key != name {
		return false
	}
	for i := range t.except {
		e := &t.except[i]
		if e.re != nil && e.re.MatchString(it.fold) || e.re == nil && (e.key == "" || e.key == it.fold) {
			return false
		}
	}
	return true
}

func (x *run) askTX(r, head *rule, t *target) bool {
	if t.re == nil {
		if v := x.tx[t.slot]; v.set {
			return x.ask(r, head, seen{v: vTX, key: t.key}, "", x.chained(r, v.s))
		}
		return false
	}
	any := false
	for slot, name := range x.e.names {
		if x.tx[slot].set && t.re.MatchString(name) {
			any = x.ask(r, head, seen{v: vTX, key: name}, "", x.chained(r, x.tx[slot].s)) || any
		}
	}
	for i := 0; i < len(x.extra); i++ {
		if t.re.MatchString(x.extra[i].name) {
			any = x.ask(r, head, seen{v: vTX, key: x.extra[i].name}, "", x.chained(r, x.extra[i].value)) || any
		}
	}
	return any
}

// fresh is a text of a value that is no item.
func (x *run) fresh(s string) *text { return x.textOf(s) }

// chained is a value that is no item, transformed for a rule.
func (x *run) chained(r *rule, s string) *text {
	it := item{done: make([]*text, len(x.e.chains))}
	it.done[0] = x.textOf(s)
	return x.transformed(&it, r.chain)
}

func (x *run) count(t *target) int {
	if t.v == vTX {
		if t.key != "" && t.re == nil && x.tx[t.slot].set {
			return 1
		}
		return 0
	}
	n := 0
	for i := range x.items[t.v] {
		if t.takes(&x.items[t.v][i]) {
			n++
		}
	}
	return n
}

// ask puts a rule's question to one text.
func (x *run) ask(r, head *rule, who seen, in string, t *text) bool {
	if len(r.op.need)+len(r.op.lean) > 0 && !x.may(r.op, t) {
		return false
	}
	if x.spent || r.op.match(x, t, r.capture) == r.op.negated {
		return false
	}
	who.value = t.s
	x.hit(r, head, who, in)
	if who.raw != nil && x.e.confirmer != nil {
		x.hits[len(x.hits)-1].Confirmed = x.confirmed(head.class, who.raw) || who.raw != t && x.confirmed(head.class, t)
	}
	return true
}

// confirmed reports whether a text has the structure of the attack that a rule is about.
func (x *run) confirmed(class string, t *text) bool {
	switch class {
	case "sqli":
		return x.once(&t.sql, t, confirm.SQL)
	case "xss":
		return x.once(&t.markup, t, x.e.confirmer.Markup)
	case "injection-php", "injection-java", "injection-generic", "rce":
		return x.once(&t.code, t, x.e.confirmer.Code)
	case "lfi":
		return x.once(&t.path, t, x.e.confirmer.Path)
	}
	return false
}

// once asks a question of a text that was not asked before.
func (x *run) once(known *int8, t *text, ask func(string) bool) bool {
	if *known == 0 {
		x.spend(rxWork * len(t.s))
		if *known = -1; ask(t.s) {
			*known = 1
		}
	}
	return *known > 0
}

// hit does what a rule says for a value that matched.
func (x *run) hit(r, head *rule, who seen, in string) {
	if r.op != nil {
		x.matched = who
		x.seen = append(x.seen, who)
	}
	for i := range r.sets {
		x.assign(&r.sets[i])
	}
	for i := range r.controls {
		switch k := &r.controls[i]; k.kind {
		case "body":
			x.forceBody = true
		case "processor":
			x.processor = k.value
			x.single(vProcessor, k.value)
		default:
			x.removed = append(x.removed, k)
		}
	}
	x.hits = append(x.hits, Match{ID: head.id, Class: head.class, Severity: head.severity, Message: head.message, Variable: who.v.name(), In: in, Name: who.key})
}

func (x *run) matchedName() string {
	if x.matched.key == "" {
		return x.matched.v.name()
	}
	return x.matched.v.name() + ":" + x.matched.key
}

// assign does a setvar: "+n" and "-n" count.
func (x *run) assign(s *set) {
	slot, name := s.slot, ""
	if slot < 0 {
		name = strings.ToLower(s.name.expand(x))
		if known, ok := x.e.slots[name]; ok {
			slot = known
		}
	}
	old := x.lookup(slot, name)
	if s.remove {
		x.store(slot, name, txValue{})
		return
	}
	value := s.value.expand(x)
	if value != "" && (value[0] == '+' || value[0] == '-') {
		n, err := strconv.Atoi(value)
		if err != nil && len(value) > 1 {
			x.store(slot, name, txValue{value, true})
			return
		}
		was, err := strconv.Atoi(old.s)
		if err != nil && old.s != "" {
			return
		}
		value = strconv.Itoa(was + n)
	}
	x.store(slot, name, txValue{value, true})
}

func (x *run) lookup(slot int, name string) txValue {
	if slot >= 0 {
		return x.tx[slot]
	}
	for _, e := range x.extra {
		if e.name == name {
			return txValue{e.value, true}
		}
	}
	return txValue{}
}

func (x *run) store(slot int, name string, v txValue) {
	if slot >= 0 {
		x.tx[slot] = v
		return
	}
	for i := range x.extra {
		if x.extra[i].name == name {
			x.extra[i].value = v.s
			return
		}
	}
	x.extra = append(x.extra, named{name, v.s})
}

// single gives a variable its one value.
func (x *run) single(v variable, value string) {
	x.items[v] = x.items[v][:0]
	x.add(v, "", "", value)
}

// score is what the rules of a level and below added up.
func (x *run) score(slots [5]int) int {
	sum := 0
	for level := 1; level <= x.e.config.Paranoia; level++ {
		n, _ := strconv.Atoi(x.tx[slots[level]].s) // the rules count in integers
		sum += n
	}
	return sum
}
