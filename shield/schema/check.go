package schema

import (
	"encoding/json"
	"strconv"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"casemate"
	"casemate/shield/text"
)

// Place says whose value is checked, for messages and fields.
type Place struct {
	What  string // "the body", "the query parameter sku"
	In    string // Field.In
	Name  string // Field.Name, and the error's Field; of a body the pointer follows it
	Plain bool   // nothing follows it
}

// Body is the place of a request's body.
func Body() Place { return Place{What: "the body", In: "body"} }

// JSON holds a JSON text to the schema, and gives the texts in it that the schema leaves free. It includes Scan with the
// default bounds. Free values share the memory of data.
func (s *Schema) JSON(p Place, contract string, data []byte) ([]casemate.Field, error) {
	if err := text.Scan(data, text.Bounds{}); err != nil {
		return nil, err
	}
	if s.fast != nil {
		w := walker{b: data, in: p.In, any: node{maxProps: -1, maxItems: -1, maxLen: -1}}
		var room [8]step
		w.at = room[:0]
		if w.value(s.fast) {
			if w.over {
				return []casemate.Field{{In: p.In, Name: p.Name, Value: data}}, nil
			}
			if p.Name != "" {
				for i := range w.free {
					w.free[i].Name = p.Name + w.free[i].Name
				}
			}
			return w.free, nil
		}
	}
	free, err := s.Value(p, contract, text.Build(data))
	if len(free) >= maxFree {
		free = []casemate.Field{{In: p.In, Name: p.Name, Value: data}}
	}
	return free, err
}

// Any takes every JSON text within the default bounds of text.Scan. All of it is free.
func Any(p Place, data []byte) ([]casemate.Field, error) {
	if err := text.Scan(data, text.Bounds{}); err != nil {
		return nil, err
	}
	w := walker{b: data, in: p.In, any: node{maxProps: -1, maxItems: -1, maxLen: -1}}
	w.value(&w.any)
	if w.over {
		return []casemate.Field{{In: p.In, Name: p.Name, Value: data}}, nil
	}
	return w.free, nil
}

// Value holds a value of Plain's types to the schema, and gives the texts in it that the schema leaves free.
func (s *Schema) Value(p Place, contract string, v any) ([]casemate.Field, error) {
	if s.fast != nil {
		if ok, closed := s.fast.scalar(v); ok {
			if closed {
				return nil, nil
			}
			return []casemate.Field{{In: p.In, Name: p.Name, Value: []byte(v.(string))}}, nil
		}
	}
	if s.hard {
		if err := within(s.lib, v); err != nil {
			return nil, err
		}
	}
	if err := s.lib.Validate(v); err != nil {
		return nil, violated(p, contract, err)
	}
	g := gatherer{in: p.In, name: p.Name, plain: p.Plain, left: 8 * maxWork}
	g.value([]*jsonschema.Schema{s.lib}, v)
	return g.free, nil
}

// scalar reports whether the node takes a text, a number or a word, and whether nothing of it is free. What is none of these
// it does not take.
func (n *node) scalar(v any) (ok, closed bool) {
	if n.never {
		return false, false
	}
	if n.forms != nil {
		if f := n.form(kindOf(v)); f != nil {
			return f.scalar(v)
		}
		return false, false
	}
	switch v := v.(type) {
	case string:
		return n.of(isText) && n.text([]byte(v)), n.closed
	case json.Number:
		return n.number([]byte(v)), true
	case bool:
		return n.of(isBool) && n.word(strconv.FormatBool(v)), true
	}
	return false, false
}
