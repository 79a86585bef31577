package policy

import (
	"math"
	"slices"

	"casemate"
	"casemate/policy/condition"
)

// table is one list of statements with an index per effect. It is immutable once built.
type table struct {
	statements  []statement
	deny, allow index
	keys        *condition.Keys // that the statements depend on; nil: none
}

// index finds the statements that may match an action, then among them those that may match a resource.
type index struct {
	exact   map[string]*bucket // by literal action
	service map[string]*bucket // actions with a wildcard behind a literal service
	rest    *bucket            // wildcard services and NotAction
}

// bucket holds statement numbers. Small ones are walked; large ones are split by the literal prefix of the resource, so
// that one role with thousands of statements still costs a few look-ups.
type bucket struct {
	all      []int32
	prefixes map[string][]int32
	lengths  []int
}

// walked is how many statements are compared one by one; below it, hashing prefixes costs more.
const walked = 16

// few statements need no index: walking them touches less memory than finding them, and memory is what a decision among
// thousands of roles waits for.
const few = 4

// newTable builds both indexes.
func newTable(statements []statement) *table {
	t := &table{statements: statements}
	var keys condition.Keys
	for i := range statements {
		keys.Join(statements[i].keys())
	}
	if len(keys.Names()) > 0 {
		t.keys = &keys
	}
	if len(statements) <= few {
		return t
	}
	for i := range statements {
		x := &t.allow
		if statements[i].effect == casemate.Deny {
			x = &t.deny
		}
		x.add(int32(i), &statements[i])
	}
	for _, x := range [...]*index{&t.deny, &t.allow} {
		for _, b := range x.exact {
			b.split(statements)
		}
		for _, b := range x.service {
			b.split(statements)
		}
		if x.rest != nil {
			x.rest.split(statements)
		}
	}
	return t
}

// unindexed is newTable for a list that is asked once: building the index would cost more than it saves.
func unindexed(statements []statement) *table {
	t := &table{statements: statements}
	for i := range statements {
		if statements[i].effect == casemate.Deny {
			t.deny.rest = t.deny.rest.with(int32(i))
		} else {
			t.allow.rest = t.allow.rest.with(int32(i))
		}
	}
	return t
}

// add files a statement under every way that its actions can be asked for.
func (x *index) add(i int32, s *statement) {
	if s.notAction {
		x.rest = x.rest.with(i)
		return
	}
	for _, a := range s.actions {
		text, plain := a.Literal()
		switch {
		case plain:
			x.exact = put(x.exact, text, i)
		case a.Service != "":
			x.service = put(x.service, a.Service, i)
		default:
			x.rest = x.rest.with(i)
		}
	}
}

func put(m map[string]*bucket, name string, i int32) map[string]*bucket {
	if m == nil {
		m = map[string]*bucket{}
	}
	m[name] = m[name].with(i)
	return m
}

// with appends i once: two actions of one statement may land in the same bucket.
func (b *bucket) with(i int32) *bucket {
	if b == nil {
		b = &bucket{}
	}
	if n := len(b.all); n == 0 || b.all[n-1] != i {
		b.all = append(b.all, i)
	}
	return b
}

// split files by literal prefix: a pattern can match only names that start with it. NotResource matches almost everything
// and stands under the empty prefix.
func (b *bucket) split(statements []statement) {
	if len(b.all) <= walked {
		return
	}
	b.prefixes = map[string][]int32{}
	for _, i := range b.all {
		s := &statements[i]
		if s.notResource {
			b.file("", i)
			continue
		}
		for k := range s.resources {
			b.file(s.resources[k].Prefix(), i)
		}
	}
	slices.Sort(b.lengths)
}

func (b *bucket) file(prefix string, i int32) {
	list := b.prefixes[prefix]
	if n := len(list); n > 0 && list[n-1] == i {
		return
	}
	b.prefixes[prefix] = append(list, i)
	if !slices.Contains(b.lengths, len(prefix)) {
		b.lengths = append(b.lengths, len(prefix))
	}
}

// find gives the first statement of the effect that applies, in the order of the policy, or nil.
func (t *table) find(e *env, effect casemate.PolicyEffect) *statement {
	if len(t.statements) <= few {
		for i := range t.statements {
			if st := &t.statements[i]; st.effect == effect && st.applies(e) {
				return st
			}
		}
		return nil
	}
	x := &t.allow
	if effect == casemate.Deny {
		x = &t.deny
	}
	best := int32(math.MaxInt32)
	for _, b := range [...]*bucket{x.exact[e.action], x.service[e.service], x.rest} {
		if b != nil {
			best = t.scan(e, b, best)
		}
	}
	if best == math.MaxInt32 {
		return nil
	}
	return &t.statements[best]
}

// scan looks at the candidates that could beat best, the lowest number found so far.
func (t *table) scan(e *env, b *bucket, best int32) int32 {
	if b.prefixes == nil {
		return t.first(e, b.all, best)
	}
	resource := e.Request.Resource
	for _, n := range b.lengths {
		if n > len(resource) {
			break
		}
		best = t.first(e, b.prefixes[resource[:n]], best)
	}
	return best
}

// first relies on lists being in ascending order.
func (t *table) first(e *env, list []int32, best int32) int32 {
	for _, i := range list {
		if i >= best {
			break
		}
		if t.statements[i].applies(e) {
			return i
		}
	}
	return best
}
