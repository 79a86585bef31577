package schema

import (
	"encoding/json"
	"math/big"
	"slices"
	"strconv"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// maxNodes bounds what direct makes of one schema.
const maxNodes = 4000

// node is everything that schemas say together about the value at one place. It decides over the bytes of a text that Scan
// has taken, without building anything. What a schema says that is not decided so (choices between values of one kind,
// negations, conditions, patterns of names, unique items) has no node, and the library decides alone.
type node struct {
	forms  []form // one of them, by the kind of the value: then the node says nothing else
	never  bool
	types  uint8    // of kinds; 0: any
	enums  [][]enum // one of each list
	closed bool     // a text that it takes is harmless

	props    map[string]member
	others   *node // what properties without a name of their own must be; nil: anything
	sealed   bool  // there are no others
	required uint64
	minProps int
	maxProps int // -1: no bound

	items    *node
	minItems int
	maxItems int

	minLen, maxLen int
	patterns       []*pattern
	formats        []*jsonschema.Format

	bounds []bound
}

// form is one of several that a value can have. No other takes values of its kinds.
type form struct {
	kinds uint8
	node  *node
}

type member struct {
	node     *node
	required uint64 // its bit
}

// enum is one value of a list: a text, or a word of JSON.
type enum struct {
	text bool
	of   string
}

// bound is a limit of a number.
type bound struct {
	rat       *big.Rat
	small     int64 // the same, where it is a whole number that fits
	fits      bool
	upper     bool
	exclusive bool
	multiple  bool
}

// The kinds of values.
const (
	isNull uint8 = 1 << iota
	isBool
	isInteger
	isFraction
	isText
	isArray
	isObject
	isNumber = isInteger | isFraction
)

// director makes nodes. A conjunction of schemas has one node, however often it comes up.
type director struct {
	known  map[string]*node
	ids    map[*jsonschema.Schema]int
	shapes shaper
	pick   map[*jsonschema.Schema]*jsonschema.Schema // which form was chosen, of the value that is looked at
	open   *jsonschema.Schema                        // a choice of that value that is not made yet
	bad    bool
}

// direct gives the node of a schema, or nil.
func direct(s *jsonschema.Schema) *node {
	d := &director{known: map[string]*node{}, ids: map[*jsonschema.Schema]int{}, shapes: shaper{left: maxShapes, kinds: map[*jsonschema.Schema]uint8{}}}
	n := d.node([]*jsonschema.Schema{s})
	if d.bad {
		return nil
	}
	return n
}

// together adds s, and what applies in place with it, to all.
func (d *director) together(all []*jsonschema.Schema, s *jsonschema.Schema) []*jsonschema.Schema {
	if s == nil || slices.Contains(all, s) {
		return all
	}
	d.bad = d.bad || choosy(s)
	if d.bad {
		return all
	}
	all = d.together(append(all, s), s.Ref)
	for _, sub := range s.AllOf {
		all = d.together(all, sub)
	}
	if len(s.AnyOf)+len(s.OneOf) > 0 {
		if form := d.pick[s]; form != nil {
			return d.together(all, form)
		}
		d.open = s
	}
	return all
}

// choosy reports whether a schema says what a node cannot.
func choosy(s *jsonschema.Schema) bool {
	return min(len(s.AnyOf), len(s.OneOf))+len(s.DependentSchemas)+len(s.PatternProperties)+len(s.PrefixItems)+len(s.DependentRequired)+len(s.Dependencies)+len(s.Extensions) > 0 ||
		s.Not != nil || s.If != nil || s.PropertyNames != nil || s.Contains != nil || s.UnevaluatedItems != nil || s.UniqueItems ||
		s.RecursiveRef != nil || s.DynamicRef != nil || s.ContentEncoding != nil || s.ContentMediaType != nil || s.Items != nil || s.AdditionalItems != nil || len(s.Required) > 64
}

// node gives the node of all schemas together, for a value that nothing is chosen for yet.
func (d *director) node(list []*jsonschema.Schema) *node {
	pick, open := d.pick, d.open
	d.pick = map[*jsonschema.Schema]*jsonschema.Schema{}
	n := d.chosen(list)
	d.pick, d.open = pick, open
	return n
}

// key names a conjunction.
func (d *director) key(all []*jsonschema.Schema) string {
	var key []byte
	add := func(s *jsonschema.Schema, end byte) {
		id, ok := d.ids[s]
		if !ok {
			id = len(d.ids)
			d.ids[s] = id
		}
		key = append(strconv.AppendInt(key, int64(id), 36), end)
	}
	for _, s := range all {
		add(s, ' ')
		if form := d.pick[s]; form != nil {
			add(form, '!')
		}
	}
	return string(key)
}

// chosen gives the node of all schemas together, with the choices that are made; those that are not are made here.
func (d *director) chosen(list []*jsonschema.Schema) *node {
	var all []*jsonschema.Schema
	d.open = nil
	for _, s := range list {
		all = d.together(all, s)
	}
	choice, key := d.open, d.key(all)
	if n := d.known[key]; n != nil {
		return n
	}
	n := &node{maxProps: -1, maxItems: -1, maxLen: -1}
	d.known[key] = n
	if d.bad = d.bad || len(d.known) > maxNodes; d.bad {
		return n
	}
	if choice != nil {
		d.forms(n, list, choice)
		return n
	}
	for _, s := range all {
		d.own(n, s)
	}
	d.object(n, all)
	var items []*jsonschema.Schema
	for _, s := range all {
		if s.Items2020 != nil {
			items = append(items, s.Items2020)
		}
	}
	if len(items) > 0 {
		n.items = d.node(items)
	}
	return n
}

// forms makes a choice, where each form has kinds of its own.
func (d *director) forms(n *node, list []*jsonschema.Schema, choice *jsonschema.Schema) {
	var seen uint8
	for _, s := range append(slices.Clone(choice.AnyOf), choice.OneOf...) {
		k := d.shapes.possible(s)
		if d.bad = d.bad || k == 0 || k&seen != 0; d.bad {
			return
		}
		seen |= k
		d.pick[choice] = s
		n.forms = append(n.forms, form{k, d.chosen(list)})
		delete(d.pick, choice)
	}
}

// own adds what one schema says about the value itself.
func (d *director) own(n *node, s *jsonschema.Schema) {
	n.never = n.never || s.Bool != nil && !*s.Bool
	if s.Types != nil {
		n.types = both(n.types, kinds(s.Types))
		n.never = n.never || n.types == 0
	}
	if s.Enum != nil {
		n.enums = append(n.enums, d.enum(s.Enum.Values))
	}
	if s.Const != nil {
		n.enums = append(n.enums, d.enum([]any{*s.Const}))
	}
	n.closed = n.closed || closes(s)
	atLeast(&n.minProps, s.MinProperties)
	atLeast(&n.minItems, s.MinItems)
	atLeast(&n.minLen, s.MinLength)
	atMost(&n.maxProps, s.MaxProperties)
	atMost(&n.maxItems, s.MaxItems)
	atMost(&n.maxLen, s.MaxLength)
	if p, ok := s.Pattern.(*pattern); ok {
		n.patterns = append(n.patterns, p)
	}
	if s.Format != nil {
		n.formats = append(n.formats, s.Format)
	}
	for _, b := range [...]struct {
		rat *big.Rat
		bound
	}{{s.Minimum, bound{}}, {s.ExclusiveMinimum, bound{exclusive: true}}, {s.Maximum, bound{upper: true}},
		{s.ExclusiveMaximum, bound{upper: true, exclusive: true}}, {s.MultipleOf, bound{multiple: true}}} {
		if b.rat != nil {
			b.bound.rat = b.rat
			b.small, b.fits = b.rat.Num().Int64(), b.rat.IsInt() && b.rat.Num().IsInt64()
			n.bounds = append(n.bounds, b.bound)
		}
	}
}

func both(have, want uint8) uint8 {
	if have == 0 {
		return want
	}
	return have & want
}

func atLeast(have, want *int) {
	if want != nil {
		*have = max(*have, *want)
	}
}

func atMost(have, want *int) {
	if want != nil && (*have < 0 || *want < *have) {
		*have = *want
	}
}

func kinds(t *jsonschema.Types) (k uint8) {
	for _, name := range t.ToStrings() {
		k |= map[string]uint8{"null": isNull, "boolean": isBool, "integer": isInteger, "number": isNumber, "string": isText, "array": isArray, "object": isObject}[name]
	}
	return k
}

// enum takes texts and words; a number has many spellings, and the rest is rare.
func (d *director) enum(values []any) (out []enum) {
	for _, v := range values {
		switch v := v.(type) {
		case string:
			out = append(out, enum{true, v})
		case bool, nil:
			word, _ := json.Marshal(v) // a word always encodes
			out = append(out, enum{false, string(word)})
		default:
			d.bad = true
		}
	}
	return out
}

// object adds what the schemas say about properties.
func (d *director) object(n *node, all []*jsonschema.Schema) {
	n.props = map[string]member{}
	for _, s := range all {
		for name := range s.Properties {
			n.props[name] = member{}
		}
		for _, name := range s.Required {
			n.props[name] = member{}
		}
	}
	for name := range n.props {
		m := member{node: &node{never: true}}
		if sub, sealed := d.parts(all, name, true); !sealed {
			m.node = d.node(sub)
		}
		n.props[name] = m
	}
	bits := 0
	for _, s := range all {
		for _, name := range s.Required {
			if m := n.props[name]; m.required == 0 && bits < 64 {
				m.required = 1 << bits
				n.required |= m.required
				n.props[name] = m
				bits++
			} else if m.required == 0 {
				d.bad = true
			}
		}
	}
	rest, sealed := d.parts(all, "", false)
	if n.sealed = sealed; !sealed && len(rest) > 0 {
		n.others = d.node(rest)
	}
}

// parts gives what the schemas say about the property, or that it must not be. Without named it is one that none of them
// has a name for.
func (d *director) parts(all []*jsonschema.Schema, name string, named bool) (out []*jsonschema.Schema, sealed bool) {
	for _, s := range all {
		if p, ok := s.Properties[name]; ok && named {
			out = append(out, p)
			continue
		}
		switch more := s.AdditionalProperties.(type) {
		case bool:
			sealed = sealed || !more
		case *jsonschema.Schema:
			out = append(out, more)
		}
	}
	for _, s := range all {
		if u := s.UnevaluatedProperties; u != nil && !d.evaluated(s, name, named) {
			out = append(out, u)
			sealed = sealed || u.Bool != nil && !*u.Bool
		}
	}
	return out, sealed
}

// evaluated reports whether s, or what applies in place with it, looks at the property by another word.
func (d *director) evaluated(s *jsonschema.Schema, name string, named bool) bool {
	for _, in := range d.together(nil, s) {
		if _, ok := in.Properties[name]; ok && named || in.AdditionalProperties != nil {
			return true
		}
		if in != s && in.UnevaluatedProperties != nil {
			d.bad = true
		}
	}
	return false
}
