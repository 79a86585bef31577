package schema

import (
	"fmt"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"casemate"
	"casemate/shield/text"
)

// A schema may look at one part of a body along many ways: each anyOf of two that lead on doubles them, and one that
// refers to itself doubles them with every level of the body. Below easyWays a contract is held as it is; beyond, the work
// is counted for each body first, up to maxWork.
const (
	easyWays = 64
	maxWork  = 200_000 // schemas applied to parts of one body
)

// ways bounds along how many ways a schema can come to look at one part of any body.
type ways struct {
	known map[wayKey]int
	open  map[*jsonschema.Schema]bool // being looked at, for the same part
}

type wayKey struct {
	schema *jsonschema.Schema
	depth  int // -1: of the value itself
}

// most is that bound for the value itself and for its parts, depth levels down at most.
func (w *ways) most(s *jsonschema.Schema, depth int) int {
	n := w.sum(s, -1)
	if depth > 0 {
		n = max(n, w.sum(s, depth))
	}
	return n
}

// sum adds up what looks at the value itself (depth -1), or at the part below it that is looked at most. A schema that
// applies to the same value again without end has no bound: that is more than easyWays.
func (w *ways) sum(s *jsonschema.Schema, depth int) int {
	k := wayKey{s, depth}
	if n, ok := w.known[k]; ok {
		return n
	}
	if w.open[s] {
		return easyWays + 1
	}
	w.open[s] = true
	n := 1
	if depth >= 0 {
		n = w.parts(s, depth)
	}
	beside(s, func(c *jsonschema.Schema) { n = min(n+w.sum(c, depth), easyWays+1) })
	delete(w.open, s)
	w.known[k] = n
	return n
}

func (w *ways) parts(s *jsonschema.Schema, depth int) int {
	deeper := &ways{known: w.known, open: map[*jsonschema.Schema]bool{}}
	one, all := 0, 0
	below(s, func(c *jsonschema.Schema, together bool) {
		if m := deeper.most(c, depth-1); together {
			all = min(all+m, easyWays+1)
		} else {
			one = max(one, m)
		}
	})
	return min(one+all, easyWays+1)
}

// hard reports whether bodies exist that the schema would take too long for.
func hard(s *jsonschema.Schema) bool {
	w := &ways{known: map[wayKey]int{}, open: map[*jsonschema.Schema]bool{}}
	return w.most(s, text.DefaultBounds().Depth) > easyWays
}

// beside hands out the schemas that s applies to the same value.
func beside(s *jsonschema.Schema, do func(*jsonschema.Schema)) {
	for _, c := range [...]*jsonschema.Schema{s.Ref, s.Not, s.If, s.Then, s.Else} {
		if c != nil {
			do(c)
		}
	}
	for _, list := range [...][]*jsonschema.Schema{s.AllOf, s.AnyOf, s.OneOf} {
		for _, c := range list {
			do(c)
		}
	}
	for _, c := range s.DependentSchemas {
		do(c)
	}
}

// below hands out the schemas that s applies to parts of its value; together says that one part can get it and others.
func below(s *jsonschema.Schema, do func(c *jsonschema.Schema, together bool)) {
	for _, c := range s.Properties {
		do(c, false)
	}
	for _, c := range s.PatternProperties {
		do(c, true)
	}
	for _, c := range s.PrefixItems {
		do(c, false)
	}
	additional, _ := s.AdditionalProperties.(*jsonschema.Schema)
	for _, c := range [...]*jsonschema.Schema{additional, s.Items2020} {
		if c != nil {
			do(c, false)
		}
	}
	for _, c := range [...]*jsonschema.Schema{s.UnevaluatedProperties, s.UnevaluatedItems, s.Contains} {
		if c != nil {
			do(c, true)
		}
	}
}

// work counts what holding a body against a schema takes, up to a bound.
type work struct{ left int }

// within reports whether it stays within maxWork. The count is the same walk with nothing checked, so that what is too
// much is known before it was done.
func within(s *jsonschema.Schema, v any) error {
	w := &work{left: maxWork}
	if w.count(s, v) {
		return nil
	}
	return &casemate.Error{Code: casemate.TooLarge, Rule: fmt.Sprintf("work <= %d", maxWork),
		Message: "holding the body against its contract takes too long", Hint: "nest it less deeply"}
}

func (w *work) count(s *jsonschema.Schema, v any) bool {
	if w.left--; w.left < 0 {
		return false
	}
	ok := true
	also := func(c *jsonschema.Schema, v any) { ok = ok && (c == nil || w.count(c, v)) }
	beside(s, func(c *jsonschema.Schema) { also(c, v) })
	switch v := v.(type) {
	case map[string]any:
		additional, _ := s.AdditionalProperties.(*jsonschema.Schema)
		for name, part := range v {
			also(s.Properties[name], part)
			for _, c := range s.PatternProperties {
				also(c, part)
			}
			also(additional, part)
			also(s.UnevaluatedProperties, part)
		}
	case []any:
		for i, part := range v {
			if i < len(s.PrefixItems) {
				also(s.PrefixItems[i], part)
			}
			also(s.Items2020, part)
			also(s.Contains, part)
			also(s.UnevaluatedItems, part)
		}
	}
	return ok
}
