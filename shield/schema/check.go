package schema

import (
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
			if p.Name != "" {
				for i := range w.free {
					w.free[i].Name = p.Name + w.free[i].Name
				}
			}
			return w.free, nil
		}
	}
	return s.Value(p, contract, text.Build(data))
}

// Value holds a value of Plain's types to the schema, and gives the texts in it that the schema leaves free.
func (s *Schema) Value(p Place, contract string, v any) ([]casemate.Field, error) {
	if s.hard {
		if err := within(s.lib, v); err != nil {
			return nil, err
		}
	}
	if err := s.lib.Validate(v); err != nil {
		return nil, violated(p, contract, err)
	}
	g := gatherer{in: p.In, name: p.Name, plain: p.Plain}
	g.value([]*jsonschema.Schema{s.lib}, v)
	return g.free, nil
}
