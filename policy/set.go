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

	environments *environments // nil: all is one

	attached   *table // of one resource whose policy is kept with it; see With
	attachedTo string

	conditional bool // some statement depends on what a request brings along, or some resource has a policy
}

type role struct {
	identity *table // nil: it grants nothing
	boundary *table // nil: none is set
}

// Compile checks and indexes p. One bad statement fails the whole of it, with an *casemate.Error of code Invalid whose
// Field names the place: Identity[clerk][0].Condition.StringEqual. The caller may change p afterwards.
func Compile(p casemate.Policies) (*Set, error) {
	s := &Set{revision: p.Revision, roles: map[string]*role{}}
	shared := newPool()
	identity, err := compileTables(p.Identity, identityKind, "Identity", "role ", shared)
	if err != nil {
		return nil, err
	}
	boundary, err := compileTables(p.Boundary, identityKind, "Boundary", "boundary ", shared)
	if err != nil {
		return nil, err
	}
	if s.resources, err = compileTables(p.Resource, resourceKind, "Resource", "policy of ", shared); err != nil {
		return nil, err
	}
	for name, t := range identity {
		s.roles[name] = &role{identity: t, boundary: boundary[name]}
	}
	for name, t := range boundary {
		if s.roles[name] == nil {
			s.roles[name] = &role{boundary: t}
		}
	}
	s.environments = newEnvironments(p.Environments)
	s.conditional = len(s.resources) > 0
	for _, tables := range [...]map[string]*table{identity, boundary} {
		for _, t := range tables {
			s.conditional = s.conditional || t.keys != nil
		}
	}
	if len(p.Guardrails) > 0 {
		s.guardrails, err = compileTable(p.Guardrails, identityKind, "Guardrails", "guardrail", shared)
	}
	if err != nil {
		return nil, err
	}
	s.conditional = s.conditional || s.guardrails != nil && s.guardrails.keys != nil
	return s, nil
}

// Revision is that of the Policies it was compiled from.
func (s *Set) Revision() string { return s.revision }

// compileTables goes by name, so that of two mistakes the same one is told every time.
func compileTables(lists map[string][]casemate.Statement, k kind, field, label string, shared *pool) (map[string]*table, error) {
	tables := make(map[string]*table, len(lists))
	for _, name := range slices.Sorted(maps.Keys(lists)) {
		t, err := compileTable(lists[name], k, field+"["+name+"]", label+name, shared)
		if err != nil {
			return nil, err
		}
		tables[name] = t
	}
	return tables, nil
}

func compileTable(list []casemate.Statement, k kind, field, label string, shared *pool) (*table, error) {
	compiled, err := compileList(list, k, field, label)
	if err != nil {
		return nil, err
	}
	for i := range compiled {
		shared.take(&compiled[i], &list[i])
	}
	return newTable(compiled), nil
}

// compileList checks and compiles. Field is where the list stands, for the error; label names statements without a Sid.
func compileList(list []casemate.Statement, k kind, field, label string) ([]statement, error) {
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
	return compiled, nil
}
