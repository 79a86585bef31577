// Package pattern is the language of event patterns as Amazon EventBridge and Lambda's event source mappings have it: which
// events somebody wants to see
// (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html). It is pure.
package pattern

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"casemate"
)

// Bounds of a pattern.
const (
	MaxSize  = 4096 // bytes, as of Lambda's filters
	maxDepth = 32
	maxParts = 1000 // matchers and fields in all
)

// Pattern is one pattern, compiled. It is immutable and safe for concurrent use. A nil Pattern matches nothing.
type Pattern struct{ root *object }

// object must hold in all its fields, and in one of each list of alternatives.
type object struct {
	fields []field
	any    [][]*object
}

// field is one name: a leaf with what may stand there, or an object below.
type field struct {
	name   string
	leaf   []matcher
	nested *object
}

// Parse reads a pattern strictly. Errors are *casemate.Error of code Invalid with the place as JSON pointer in Field.
func Parse(doc []byte) (*Pattern, error) {
	if len(doc) > MaxSize {
		return nil, bad("", "it is longer than %d bytes", MaxSize)
	}
	p := &parser{json: json.NewDecoder(bytes.NewReader(doc))}
	p.json.UseNumber()
	v, err := p.value("", 0)
	if err != nil {
		return nil, err
	}
	if _, err := p.json.Token(); err != io.EOF {
		return nil, bad("", "something follows it")
	}
	m, ok := v.(*members)
	if !ok {
		return nil, bad("", "it is no JSON object")
	}
	root, err := p.object(m, "")
	if err != nil {
		return nil, err
	}
	return &Pattern{root}, nil
}

// bad is the refusal in Lambda's words, with what is wrong behind them.
func bad(at, format string, args ...any) error {
	return &casemate.Error{Code: casemate.Invalid, AWS: "InvalidParameterValueException", Field: at,
		Message: "Invalid filter pattern definition.", Hint: fmt.Sprintf(format, args...)}
}

// members is a JSON object in its order: a repeated name would hide another.
type members struct {
	names  []string
	values []any
}

// parser reads a document into members, lists, strings, numbers, bools and nil.
type parser struct {
	json  *json.Decoder
	parts int
}

func (p *parser) value(at string, depth int) (any, error) {
	t, err := p.json.Token()
	if err != nil {
		return nil, bad(at, "it is no JSON")
	}
	d, is := t.(json.Delim)
	if !is {
		return t, nil
	}
	if p.parts++; depth >= maxDepth || p.parts > maxParts {
		return nil, bad(at, "it nests too deeply, or has too many parts")
	}
	if d == '[' {
		list := []any{}
		for i := 0; p.json.More(); i++ {
			v, err := p.value(fmt.Sprintf("%s/%d", at, i), depth+1)
			if err != nil {
				return nil, err
			}
			if p.parts++; p.parts > maxParts {
				return nil, bad(at, "it has too many parts")
			}
			list = append(list, v)
		}
		_, err := p.json.Token()
		return list, closing(at, err)
	}
	m := &members{}
	seen := map[string]bool{}
	for p.json.More() {
		k, err := p.json.Token()
		name, ok := k.(string)
		if err != nil || !ok {
			return nil, bad(at, "it is no JSON")
		}
		below := at + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
		if seen[name] {
			return nil, bad(below, "the name stands there twice")
		}
		seen[name] = true
		v, err := p.value(below, depth+1)
		if err != nil {
			return nil, err
		}
		m.names, m.values = append(m.names, name), append(m.values, v)
	}
	_, err = p.json.Token()
	return m, closing(at, err)
}

func closing(at string, err error) error {
	if err != nil {
		return bad(at, "it is no JSON")
	}
	return nil
}

// object compiles one level.
func (p *parser) object(m *members, at string) (*object, error) {
	if len(m.names) == 0 {
		return nil, bad(at, "an empty object matches nothing")
	}
	o := &object{}
	for i, name := range m.names {
		below := at + "/" + name
		switch v := m.values[i].(type) {
		case []any:
			if list, ok := alternatives(name, v); ok {
				alts, err := p.alternatives(list, below)
				if err != nil {
					return nil, err
				}
				o.any = append(o.any, alts)
				continue
			}
			leaf, err := leafOf(v, below)
			if err != nil {
				return nil, err
			}
			o.fields = append(o.fields, field{name: name, leaf: leaf})
		case *members:
			nested, err := p.object(v, below)
			if err != nil {
				return nil, err
			}
			o.fields = append(o.fields, field{name: name, nested: nested})
		default:
			return nil, bad(below, "a value stands in a list: [\"value\"]")
		}
	}
	return o, nil
}

// alternatives tells $or from a field of that name: it is a list of two or more objects, none of which is a matcher.
func alternatives(name string, list []any) ([]*members, bool) {
	if name != "$or" || len(list) < 2 {
		return nil, false
	}
	var all []*members
	for _, v := range list {
		m, ok := v.(*members)
		if !ok || len(m.names) == 0 {
			return nil, false
		}
		for _, n := range m.names {
			if operators[n] {
				return nil, false
			}
		}
		all = append(all, m)
	}
	return all, true
}

func (p *parser) alternatives(list []*members, at string) ([]*object, error) {
	var all []*object
	for i, m := range list {
		o, err := p.object(m, fmt.Sprintf("%s/%d", at, i))
		if err != nil {
			return nil, err
		}
		all = append(all, o)
	}
	return all, nil
}

// Body is a value that is text or what the text holds, whichever a pattern asks for: a message's body. A pattern that looks
// inside needs JSON; one that compares text needs text that is no JSON object or list
// (https://docs.aws.amazon.com/lambda/latest/dg/with-sqs-filtering.html).
type Body struct {
	Text   string
	Inside any // decoded with json.Number; nil: it is no JSON object or list
}

// BodyOf makes a Body of text.
func BodyOf(text string) Body {
	b := Body{Text: text}
	if t := strings.TrimLeft(text, " \t\r\n"); t == "" || t[0] != '{' && t[0] != '[' {
		return b
	}
	if v, err := Decode([]byte(text)); err == nil {
		b.Inside = v
	}
	return b
}

// Decode reads an event as Match wants it.
func Decode(doc []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("reading an event: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("reading an event: something follows it")
	}
	return v, nil
}

// Match reports whether an event is one that p asks for. Its values are those of Decode, and Body.
func (p *Pattern) Match(event any) bool { return p != nil && p.root != nil && p.root.match(event) }

// match holds an object, or one of a list of objects, to all fields.
func (o *object) match(v any) bool {
	if b, ok := v.(Body); ok {
		if v = b.Inside; v == nil {
			return false // text, where JSON is asked for
		}
	}
	switch x := v.(type) {
	case map[string]any:
		return o.holds(x)
	case []any:
		for _, e := range x {
			if o.match(e) {
				return true
			}
		}
		return false
	}
	return o.absent()
}

func (o *object) holds(m map[string]any) bool {
	for i := range o.fields {
		f := &o.fields[i]
		v, there := m[f.name]
		switch {
		case f.nested != nil && !there:
			if !f.nested.absent() {
				return false
			}
		case f.nested != nil:
			if !f.nested.match(v) {
				return false
			}
		case !leafMatches(f.leaf, v, there):
			return false
		}
	}
	for _, alts := range o.any {
		ok := false
		for _, a := range alts {
			ok = ok || a.holds(m)
		}
		if !ok {
			return false
		}
	}
	return true
}

// absent reports whether the object holds where there is nothing: all of it asks that nothing is there.
func (o *object) absent() bool { return o.holds(nil) }

func leafMatches(leaf []matcher, v any, there bool) bool {
	if b, ok := v.(Body); ok {
		if v = b.Text; b.Inside != nil { // JSON, where text is asked for
			for _, m := range leaf {
				if e, is := m.(exists); is && bool(e) {
					return true
				}
			}
			return false
		}
	}
	for _, m := range leaf {
		if matches(m, v, there) {
			return true
		}
	}
	return false
}

// matches tries a value, and each of a list.
func matches(m matcher, v any, there bool) bool {
	if e, is := m.(exists); is {
		_, nested := v.(map[string]any) // it is about leaves
		return bool(e) == (there && !nested)
	}
	if !there {
		return false
	}
	if list, is := v.([]any); is {
		for _, e := range list {
			if matches(m, e, true) {
				return true
			}
		}
		return false
	}
	return m.match(v)
}
