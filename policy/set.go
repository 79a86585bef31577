package policy

import (
	"fmt"
	"maps"
	"slices"

	"casemate"
)

// Set is everything in force, compiled. It is immutable, safe for concurrent use and a casemate.Decider. The zero Set
// refuses everything.
type Set struct {
	revision   string
	roles      map[string]*role
	resources  map[string]*table
	guardrails *table // nil: none is set
}

type role struct {
	identity *table
	boundary *table // nil: none is set
}

// Compile checks and indexes p. One bad statement fails the whole of it, with an *casemate.Error of code Invalid whose
// Field names the place: Identity[clerk][0].Condition.StringEqual. The caller may change p afterwards.
func Compile(p casemate.Policies) (*Set, error) {
	s := &Set{revision: p.Revision, roles: map[string]*role{}, resources: map[string]*table{}}
	for _, name := range slices.Sorted(maps.Keys(p.Identity)) {
		t, err := compileTable(p.Identity[name], identityKind, "Identity["+name+"]", "role "+name)
		if err != nil {
			return nil, err
		}
		s.roles[name] = &role{identity: t}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Boundary)) {
		t, err := compileTable(p.Boundary[name], identityKind, "Boundary["+name+"]", "boundary "+name)
		if err != nil {
			return nil, err
		}
		if s.roles[name] == nil {
			s.roles[name] = &role{identity: newTable(nil)}
		}
		s.roles[name].boundary = t
	}
	for _, name := range slices.Sorted(maps.Keys(p.Resource)) {
		t, err := compileTable(p.Resource[name], resourceKind, "Resource["+name+"]", "policy of "+name)
		if err != nil {
			return nil, err
		}
		s.resources[name] = t
	}
	if len(p.Guardrails) > 0 {
		t, err := compileTable(p.Guardrails, identityKind, "Guardrails", "guardrail")
		if err != nil {
			return nil, err
		}
		s.guardrails = t
	}
	return s, nil
}

// Revision is that of the Policies it was compiled from.
func (s *Set) Revision() string { return s.revision }

func compileTable(list []casemate.Statement, k kind, field, label string) (*table, error) {
	compiled := make([]statement, len(list))
	for i := range list {
		c, f := compile(&list[i], k, fmt.Sprintf("%s#%d", label, i))
		if f != nil {
			err := invalid(fmt.Sprintf("%s[%d].%s", field, i, f.Field), "%s", f.Text)
			err.Rule = list[i].Origin
			return nil, err
		}
		compiled[i] = c
	}
	return newTable(compiled), nil
}
