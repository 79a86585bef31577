// Package diff says in words what differs between two states of an app: who may what first, then its routes, functions and limits,
// and of each difference whether it lets somebody or something do more than before. It decides nothing and knows nothing but the two
// states: what a plan has to say besides, and what becomes of it, is of the room deploy.
package diff

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"

	"casemate"
	"casemate/catalog"
)

// The sections of a plan, in the order a person should read them: who may what comes first.
const (
	KindPermission = "permission"
	KindRoute      = "route"
	KindFunction   = "function"
	KindLimit      = "limit"
)

// Change is one difference between what is in force and what would be.
type Change struct {
	Kind    string `json:"kind"`
	Op      string `json:"op"` // add, remove, change
	Subject string `json:"subject"`
	Text    string `json:"text"`
	Wider   bool   `json:"wider,omitempty"` // it lets somebody or something do more than before

	Statement *casemate.Statement `json:"statement,omitempty"` // of a permission: what is decided on
}

// Changes are all of them, in the order of their kinds.
type Changes []Change

// String is the changes for a person, a section a kind: "+" comes, "-" goes, "~" changes, "!" lets more through than before.
func (l Changes) String() string {
	var b strings.Builder
	kind := ""
	for _, c := range l {
		if c.Kind != kind {
			kind = c.Kind
			fmt.Fprintf(&b, "%ss\n", kind)
		}
		sign := map[string]string{"add": "+", "remove": "-", "change": "~"}[c.Op]
		if c.Wider {
			sign += "!"
		}
		fmt.Fprintf(&b, "  %-2s %s: %s\n", sign, c.Subject, c.Text)
	}
	return b.String()
}

// comparer gathers what differs.
type comparer struct{ changes Changes }

func (c *comparer) say(kind, op, subject string, wider bool, format string, args ...any) {
	c.changes = append(c.changes, Change{Kind: kind, Op: op, Subject: subject, Text: fmt.Sprintf(format, args...), Wider: wider})
}

// Of lists what differs between two states of an app; current is nil for a new one. Both are only read. Within a kind, what lets
// more through than before stands first.
func Of(current, next *catalog.App) Changes {
	if current == nil {
		current = &catalog.App{}
	}
	c := &comparer{}
	for _, role := range union(current.Roles, next.Roles) {
		was, is := current.Roles[role], next.Roles[role]
		subject := "role " + role
		if fn, ok := strings.CutPrefix(role, catalog.ExecutionRole("")); ok {
			subject = "function " + fn + " may"
		} else if _, had := current.Roles[role]; !had && len(is.Statements) == 0 {
			c.say(KindPermission, "add", subject, false, "may nothing")
		}
		c.statements(subject, was.Statements, is.Statements)
		if len(was.Boundary) > 0 && len(is.Boundary) == 0 {
			c.say(KindPermission, "remove", subject, true, "has no boundary any more")
		} else if len(was.Boundary) == 0 && len(is.Boundary) > 0 {
			c.say(KindPermission, "add", subject, false, "gets a boundary")
		}
		c.statements(subject+" within its boundary", was.Boundary, is.Boundary)
		c.statements("trust of "+subject, was.Trust, is.Trust)
	}
	if current.Environment != next.Environment {
		c.say(KindPermission, "change", "app "+next.Name, current.Generation > 0, "belongs to environment %s instead of %s", cmp.Or(next.Environment, "none"), cmp.Or(current.Environment, "none"))
	}
	c.statements("guardrail of every app", current.Guardrails, next.Guardrails)
	for _, arn := range union(current.Resources, next.Resources) {
		c.statements("resource policy of "+arn[strings.LastIndexByte(arn, ':')+1:], current.Resources[arn], next.Resources[arn])
	}
	c.issuers(current.Issuers, next.Issuers)
	c.routes(current, next)
	for _, name := range union(current.Functions, next.Functions) {
		c.function(name, current.Functions[name], next.Functions[name])
	}
	c.plans(current, next)
	c.budgets(current.Budgets, next.Budgets)
	c.mappings(current, next)
	c.schedules(current, next)
	rank := map[string]int{KindPermission: 0, KindRoute: 1, KindFunction: 2, KindLimit: 3}
	sort.SliceStable(c.changes, func(i, j int) bool { // within a kind, what lets more through first
		a, b := &c.changes[i], &c.changes[j]
		if a.Kind != b.Kind || current.Generation == 0 {
			return rank[a.Kind] < rank[b.Kind]
		}
		return a.Wider && !b.Wider
	})
	return c.changes
}

// union is the names of both, sorted.
func union[V any](a, b map[string]V) []string {
	all := maps.Clone(a)
	if all == nil {
		all = map[string]V{}
	}
	maps.Copy(all, b)
	return slices.Sorted(maps.Keys(all))
}

// Text is a value as text that can be compared. Where a statement was written does not count.
func Text(v any) string {
	if s, ok := v.(casemate.Statement); ok {
		s.Origin = ""
		v = s
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}
