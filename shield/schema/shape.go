package schema

import (
	"encoding/json"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"casemate/shield/text"
)

// Shape is what a schema says about the kinds of a value and of its parts: as much as it takes to read texts that have no
// types of their own, parameters and forms, as values.
type Shape struct {
	kinds  uint8 // 0: any
	props  map[string]*Shape
	others *Shape // of properties that have no name; nil: there are none
	items  *Shape
	Opaque bool // bytes, not text: format binary, or nothing said at all
	Least  int  // length of a text
	Most   int  // -1: no bound
}

// Bounds of a Shape: a parameter has two levels, a form three. What is beyond is any.
const (
	maxShape  = 4
	maxShapes = 5000
)

// shaper makes one Shape.
type shaper struct {
	left  int
	kinds map[*jsonschema.Schema]uint8 // 0 while it is looked at, and for any
}

// Shape gives the shape of the schema.
func (s *Schema) Shape() *Shape {
	h := &shaper{left: maxShapes, kinds: map[*jsonschema.Schema]uint8{}}
	return h.shape([]*jsonschema.Schema{s.lib}, maxShape)
}

// around adds s, and everything that can apply in place with it, to all.
func around(all []*jsonschema.Schema, s *jsonschema.Schema) []*jsonschema.Schema {
	if s == nil || slices.Contains(all, s) {
		return all
	}
	all = append(all, s)
	beside(s, func(sub *jsonschema.Schema) {
		if sub != s.Not && sub != s.If {
			all = around(all, sub)
		}
	})
	return all
}

func (h *shaper) shape(list []*jsonschema.Schema, depth int) *Shape {
	sh := &Shape{Most: -1}
	if h.left--; depth == 0 || h.left < 0 {
		return sh
	}
	var all, items, rest []*jsonschema.Schema
	for _, s := range list {
		all = around(all, s)
		sh.kinds |= h.possible(s)
	}
	said, closed, props := false, false, map[string][]*jsonschema.Schema{}
	for _, s := range all {
		said = said || s.Types != nil || s.Enum != nil || s.Const != nil || s.Pattern != nil || s.Format != nil || s.Properties != nil || s.Items2020 != nil
		sh.Opaque = sh.Opaque || s.Format != nil && s.Format.Name == "binary"
		atLeast(&sh.Least, s.MinLength)
		atMost(&sh.Most, s.MaxLength)
		for name, p := range s.Properties {
			props[name] = append(props[name], p)
		}
		for _, p := range s.PatternProperties {
			rest = append(rest, p)
		}
		for _, more := range [...]any{s.AdditionalProperties, s.UnevaluatedProperties} {
			switch more := more.(type) {
			case bool:
				closed = closed || !more
			case *jsonschema.Schema:
				if more != nil && (more.Bool == nil || *more.Bool) {
					rest = append(rest, more)
				}
				closed = closed || more != nil && more.Bool != nil && !*more.Bool
			}
		}
		if s.Items2020 != nil {
			items = append(items, s.Items2020)
		}
	}
	sh.Opaque = sh.Opaque || !said
	sh.props = make(map[string]*Shape, len(props))
	for name, p := range props {
		sh.props[name] = h.shape(p, depth-1)
	}
	if len(rest) > 0 || !closed {
		sh.others = h.shape(rest, depth-1)
	}
	sh.items = h.shape(items, depth-1)
	return sh
}

// possible gives the kinds that a schema can take, 0 for any.
func (h *shaper) possible(s *jsonschema.Schema) (k uint8) {
	if k, known := h.kinds[s]; known {
		return k
	}
	h.kinds[s] = 0
	defer func() { h.kinds[s] = k }()
	if s.Types != nil {
		k = kinds(s.Types)
	}
	narrow := func(more uint8) {
		if more != 0 {
			k = both(k, more)
		}
	}
	if s.Const != nil {
		narrow(kindOf(*s.Const))
	}
	if s.Enum != nil {
		var any uint8
		for _, v := range s.Enum.Values {
			any |= kindOf(v)
		}
		narrow(any)
	}
	if s.Ref != nil {
		narrow(h.possible(s.Ref))
	}
	for _, sub := range s.AllOf {
		narrow(h.possible(sub))
	}
	for _, list := range [...][]*jsonschema.Schema{s.AnyOf, s.OneOf} {
		var any uint8
		for _, sub := range list {
			one := h.possible(sub)
			if one == 0 {
				any = 0
				break
			}
			any |= one
		}
		narrow(any)
	}
	return k
}

func kindOf(v any) uint8 {
	switch v.(type) {
	case nil:
		return isNull
	case bool:
		return isBool
	case string:
		return isText
	case []any:
		return isArray
	case map[string]any:
		return isObject
	}
	return isNumber
}

// IsArray and IsObject say which way a parameter is written. What can be both is an object.
func (sh *Shape) IsArray() bool { return sh.kinds&isArray != 0 && sh.kinds&isObject == 0 }

// IsObject reports whether the value can be an object.
func (sh *Shape) IsObject() bool { return sh.kinds&isObject != 0 }

// IsScalar reports whether the value can be nothing but a text, a number or a word.
func (sh *Shape) IsScalar() bool { return sh.kinds != 0 && sh.kinds&(isArray|isObject) == 0 }

// Items is the shape of the items of an array.
func (sh *Shape) Items() *Shape { return orOpen(sh.items) }

// Property is the shape of a property, nil where there is none of this name.
func (sh *Shape) Property(name string) *Shape {
	if p := sh.props[name]; p != nil {
		return p
	}
	return sh.others
}

// Names reports whether the property has a name of its own; Open whether there are others.
func (sh *Shape) Names(name string) bool { return sh.props[name] != nil }

// Open reports whether properties may be there that have no name in the schema.
func (sh *Shape) Open() bool { return sh.others != nil }

func orOpen(sh *Shape) *Shape {
	if sh == nil {
		return &Shape{Most: -1}
	}
	return sh
}

// Scalar reads a text as the first of number, word and text that the shape has and that it can be. second is the other
// reading where it is a text as well, else nil.
func (sh *Shape) Scalar(s string) (v, second any) {
	if sh.kinds&isText != 0 || sh.kinds == 0 {
		second = s
	}
	switch {
	case sh.kinds&isNumber != 0 && isNumeric(s):
		return json.Number(s), second
	case sh.kinds&isBool != 0 && (s == "true" || s == "false"):
		return s == "true", second
	case sh.kinds&isNull != 0 && s == "" && second == nil:
		return nil, nil
	}
	return s, nil
}

// isNumeric reports whether s is a number of JSON within the bounds of text.Scan.
func isNumeric(s string) bool {
	return s != "" && (s[0] == '-' || s[0] >= '0' && s[0] <= '9') && text.Scan([]byte(s), text.Bounds{}) == nil
}
