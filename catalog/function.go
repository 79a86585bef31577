package catalog

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"casemate"
)

// Latest is the qualifier of the version in force, published or not.
const Latest = "$LATEST"

// Managed is what Lambda's API writes about a function beside its versions.
type Managed struct {
	Aliases map[string]*Alias `json:"aliases,omitempty"`
	Tags    map[string]string `json:"tags,omitempty"`
	Role    string            `json:"role,omitempty"`  // the role whose statements and boundary it has instead of those of its own execution role
	Notes   map[int]string    `json:"notes,omitempty"` // descriptions that versions were published with, by number
	Edits   int               `json:"edits,omitempty"` // counts changes, so that no two states have the same revision

	Named map[string]int `json:"named,omitempty"` // numbers of the versions that the manifest has a name for

	Standing *Standing `json:"standing,omitempty"`
}

// Manages is what Lambda's API wrote about the function. Its maps are not to be changed.
func (f *Function) Manages() Managed {
	if f.Managed == nil {
		return Managed{}
	}
	return *f.Managed
}

// Manage is what Lambda's API writes about the function of a cloned app, to be changed. It counts one more change.
func (f *Function) Manage() *Managed {
	if f.Managed == nil {
		f.Managed = &Managed{}
	}
	f.Managed.Edits++
	return f.Managed
}

// Alias is a name for one version, or for two of which each gets its share of the events
// (https://docs.aws.amazon.com/lambda/latest/dg/configuring-alias-routing.html).
type Alias struct {
	Version     int             `json:"version"`           // 0: the one in force, $LATEST
	Weights     map[int]float64 `json:"weights,omitempty"` // share of the events, 0..1, of at most one other version; the rest is Version's
	Description string          `json:"description,omitempty"`
	Edits       int             `json:"edits,omitempty"`
	Declared    bool            `json:"declared,omitempty"` // the manifest has it: it goes when it is not there any more
	Follows     bool            `json:"follows,omitempty"`  // it leads to the version in force, also after a rollback
}

// Published gives a version that has been published by its number, nil when there is none.
func (f *Function) Published(n int) *casemate.Version {
	if v := f.Number(n); v != nil && !v.Draft() {
		return v
	}
	return nil
}

// Latest is the version in force.
func (f *Function) Latest() *casemate.Version { return f.Number(f.Live) }

// Qualified gives the version that a qualifier means for the event of this id: "" and $LATEST are the one in force, a number
// is a published version, and an alias leads where it points. Of an alias with weights the id alone decides, so that an event
// that is tried again runs the version that it ran before. nil when there is none.
func (f *Function) Qualified(qualifier, id string) *casemate.Version {
	if qualifier == "" || qualifier == Latest {
		return f.Latest()
	}
	if a := f.Manages().Aliases[qualifier]; a != nil {
		if a.Version == 0 {
			return f.Latest()
		}
		return f.Published(a.pick(id))
	}
	n, err := strconv.Atoi(qualifier)
	if err != nil || strconv.Itoa(n) != qualifier {
		return nil
	}
	return f.Published(n)
}

// Aliased reports whether an alias, or a name of the manifest, leads to a version.
func (f *Function) Aliased(n int) bool {
	for _, named := range f.Manages().Named {
		if named == n {
			return true
		}
	}
	for _, a := range f.Manages().Aliases {
		if _, weighted := a.Weights[n]; a.Version == n || weighted {
			return true
		}
	}
	return false
}

// pick is the version that an alias gives the event of this id.
func (a *Alias) pick(id string) int {
	if len(a.Weights) == 0 {
		return a.Version
	}
	sum := sha256.Sum256([]byte(id))
	at := float64(binary.BigEndian.Uint64(sum[:])>>11) / (1 << 53) // 0 <= at < 1
	for _, n := range slices.Sorted(maps.Keys(a.Weights)) {
		if at -= a.Weights[n]; at < 0 {
			return n
		}
	}
	return a.Version
}

// Revision changes with everything that Lambda's API can write about the version in force.
func (f *Function) Revision() string {
	v := f.Latest()
	if v == nil {
		return ""
	}
	return revision("function", v.ARN, f.Manages().Edits, v.Number, v.ID, v.Created.UnixNano())
}

// RevisionOf is the revision of a published version, and Revision of the one in force under the name $LATEST.
func (f *Function) RevisionOf(v *casemate.Version, qualifier string) string {
	if qualifier == "" || qualifier == Latest {
		return f.Revision()
	}
	return revision("version", v.ARN, v.Number, v.ID)
}

// Revision changes with every write of the alias.
func (a *Alias) Revision(arn, name string) string {
	return revision("alias", arn, name, a.Edits, a.Version, a.Weights, a.Description)
}

// revision is a UUID made of what it stands for.
func revision(parts ...any) string {
	b := sha256.Sum256(fmt.Append(nil, parts...)) // maps print sorted
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// Clone copies an app so that functions, aliases, roles, routes and policies may be changed. Versions are shared: they are
// never changed, only replaced.
func (a *App) Clone() *App {
	c := *a
	c.Functions, c.Roles, c.Plans, c.Resources = maps.Clone(a.Functions), maps.Clone(a.Roles), maps.Clone(a.Plans), maps.Clone(a.Resources)
	c.Routes, c.Guardrails, c.Issuers = slices.Clone(a.Routes), slices.Clone(a.Guardrails), slices.Clone(a.Issuers)
	c.Budgets, c.LeftOut = slices.Clone(a.Budgets), slices.Clone(a.LeftOut)
	c.Queues, c.Mappings, c.Schedules = maps.Clone(a.Queues), maps.Clone(a.Mappings), maps.Clone(a.Schedules)
	for name, f := range c.Functions {
		if f == nil {
			continue
		}
		own := *f
		own.Versions = slices.Clone(f.Versions)
		if f.Managed != nil {
			m := *f.Managed
			m.Aliases, m.Tags, m.Standing, m.Named = maps.Clone(m.Aliases), maps.Clone(m.Tags), m.Standing.clone(), maps.Clone(m.Named)
			own.Managed = &m
		}
		c.Functions[name] = &own
	}
	return &c
}

// checkAliases refuses aliases that lead nowhere.
func (f *Function) checkAliases() bool {
	for name, a := range f.Manages().Aliases {
		if a == nil || name == "" || name == Latest || a.Version != 0 && f.Published(a.Version) == nil || len(a.Weights) > 1 || a.Version == 0 && len(a.Weights) > 0 {
			return false
		}
		if _, err := strconv.Atoi(name); err == nil {
			return false
		}
		for n, w := range a.Weights {
			if n == a.Version || f.Published(n) == nil || math.IsNaN(w) || w < 0 || w > 1 {
				return false
			}
		}
	}
	return true
}

// Find gives a function and the app that it belongs to; nil when there is none. It must not be changed.
func (s *Snapshot) Find(name string) (*Function, string) {
	if f, ok := s.functions.get(name); ok {
		return f, f.app()
	}
	return nil, ""
}

// Page lists the names of at most limit functions behind after, sorted, and whether more follow.
func (s *Snapshot) Page(after string, limit int) (names []string, more bool) {
	for i := range s.functions.parts {
		for name := range s.functions.parts[i] {
			if name > after {
				names = append(names, name)
			}
		}
	}
	slices.SortFunc(names, cmp.Compare)
	if len(names) > limit {
		return names[:limit:limit], true
	}
	return names, false
}

// Parse reads what Lambda calls a function by: a name, a partial ARN or a whole one, with a qualifier or without.
func (s *Snapshot) Parse(text string) (name, qualifier string, err error) {
	return parseFunction(s.place, text)
}
