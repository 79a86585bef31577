package bundle

import (
	"maps"
	"slices"

	"casemate/catalog"
	"casemate/sam"
	"casemate/sam/template"
)

// Recalled is what a node knows that the next deploy of a template may leave unsaid.
type Recalled struct {
	Parameters map[string]string `json:"parameters,omitempty"` // values that the last deploy was given
	Kept       []string          `json:"kept,omitempty"`       // NoEcho parameters that the node has the value of
	Exports    map[string]string `json:"exports"`              // what Fn::ImportValue finds
}

// Around is what a translation finds beside the template.
type Around struct {
	At      func() sam.Address
	Exports map[string]string                                       // nil: not known
	Recall  func(stack string) (map[string]string, []string, error) // values, and names of those that only the node has
}

func (a *Around) address() sam.Address {
	if a == nil || a.At == nil {
		return sam.Address{}
	}
	return a.At()
}

// around is what the caller was told by the node.
func (q *Template) around() *Around {
	if q == nil || q.Recalled == nil {
		return nil
	}
	r := q.Recalled
	return &Around{Exports: r.Exports, Recall: func(string) (map[string]string, []string, error) { return r.Parameters, r.Kept, nil }}
}

// inputs are the parameters that were given, and of those that were not what the deploy before was given.
func (q *Template) inputs(t *template.Template, a *Around) (in template.Inputs, err error) {
	in.Parameters = maps.Clone(q.Parameters)
	if in.Parameters == nil {
		in.Parameters = map[string]string{}
	}
	if a == nil {
		return in, nil
	}
	in.Exports = a.Exports
	if a.Recall == nil {
		return in, nil
	}
	values, kept, err := a.Recall(q.Stack)
	for _, p := range t.Declared() {
		if _, given := in.Parameters[p.Name]; given {
			continue
		}
		if v, ok := values[p.Name]; ok {
			in.Parameters[p.Name] = v
		} else if slices.Contains(kept, p.Name) {
			in.Kept = append(in.Kept, p.Name)
		}
	}
	return in, err
}

// Memory is what an app is to remember of its template.
type Memory struct {
	catalog.Template
	Secret map[string]string // values of NoEcho parameters, by name
}

func remember(t *template.Template, in template.Inputs, out *sam.Translation) *Memory {
	m := &Memory{Template: catalog.Template{Parameters: map[string]string{}, Exports: out.Exports, Imports: out.Imports}, Secret: map[string]string{}}
	for _, p := range t.Declared() {
		if v, given := in.Parameters[p.Name]; given && p.NoEcho {
			m.Secret[p.Name] = v
		} else if given {
			m.Parameters[p.Name] = v
		}
	}
	return m
}
