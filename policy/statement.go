package policy

import (
	"fmt"
	"strings"

	"casemate"
	"casemate/policy/condition"
)

// env is one request while it is decided.
type env struct {
	condition.Env
	known   bool
	direct  bool   // account principals do not count for an Allow: they only delegate
	action  string // in lower case
	service string // action up to its colon
}

// statement is a casemate.Statement compiled.
type statement struct {
	label, origin string
	allows        string // the sentence of a decision that it makes
	effect        casemate.PolicyEffect
	principals    *principals // nil: the statement is for whoever the layer is for
	notPrincipal  bool
	actions       []condition.ActionPattern
	notAction     bool
	resources     []condition.ARNPattern
	notResource   bool
	conditions    []condition.Condition
}

// kind is where a statement stands; it decides whether a Principal belongs there.
type kind uint8

const (
	identityKind kind = iota
	resourceKind
)

// fault is what is wrong with a statement and where, relative to the statement.
type fault = condition.Fault

func faultf(field, format string, args ...any) *fault {
	return &fault{Field: field, Text: fmt.Sprintf(format, args...)}
}

// compile checks s and builds its matcher. Label names it where it has no Sid.
func compile(s *casemate.Statement, k kind, label string) (statement, *fault) {
	c := statement{label: label, origin: s.Origin, effect: s.Effect}
	if s.Sid != "" {
		if len(s.Sid) > 128 || strings.ContainsFunc(s.Sid, func(r rune) bool { return r < ' ' || r > '~' }) {
			return c, faultf("Sid", "is longer than 128 bytes or holds more than printable ASCII")
		}
		c.label = s.Sid
	}
	c.allows = c.label + " allows it"
	c.label = c.allows[:len(c.label)]
	if s.Effect != casemate.Allow && s.Effect != casemate.Deny {
		return c, faultf("Effect", "is %q: write Allow or Deny", string(s.Effect))
	}
	if f := c.addPrincipals(s, k); f != nil {
		return c, f
	}
	if f := c.addActions(s); f != nil {
		return c, f
	}
	if f := c.addResources(s); f != nil {
		return c, f
	}
	var f *fault
	c.conditions, f = condition.New(s.Condition)
	return c, f
}

// addPrincipals holds the rule that a Principal stands in resource policies, always, and nowhere else.
func (c *statement) addPrincipals(s *casemate.Statement, k kind) *fault {
	if k == identityKind {
		if s.Principal != nil || s.NotPrincipal != nil {
			return faultf("Principal", "belongs in a resource policy only: here the role says who")
		}
		return nil
	}
	field, list, ok := oneOf("Principal", s.Principal, "NotPrincipal", s.NotPrincipal, len(s.Principal), len(s.NotPrincipal))
	if !ok {
		return faultf(field, "exactly one of Principal and NotPrincipal must be there, and not empty")
	}
	c.notPrincipal = field == "NotPrincipal"
	if c.notPrincipal && s.Effect == casemate.Allow {
		return faultf(field, "would allow everybody else: it goes with Deny only")
	}
	var f *fault
	c.principals, f = newPrincipals(field, list)
	return f
}

// oneOf picks the one of two elements that is there; ok is false when neither or both are.
func oneOf[T any](a string, av T, b string, bv T, an, bn int) (string, T, bool) {
	if bn > 0 {
		return b, bv, an == 0
	}
	return a, av, an > 0
}

// addActions and addResources refuse empty lists: "no action" must not come to mean "any action".
func (c *statement) addActions(s *casemate.Statement) *fault {
	field, list, ok := oneOf("Action", s.Action, "NotAction", s.NotAction, len(s.Action), len(s.NotAction))
	if !ok {
		return faultf(field, "exactly one of Action and NotAction must be there, and not empty")
	}
	c.notAction = field == "NotAction"
	for i, text := range list {
		a, err := condition.ParseAction(text)
		if err != nil {
			return faultf(fmt.Sprintf("%s[%d]", field, i), "%q %v", text, err)
		}
		c.actions = append(c.actions, a)
	}
	return nil
}

func (c *statement) addResources(s *casemate.Statement) *fault {
	field, list, ok := oneOf("Resource", s.Resource, "NotResource", s.NotResource, len(s.Resource), len(s.NotResource))
	if !ok {
		return faultf(field, "exactly one of Resource and NotResource must be there, and not empty")
	}
	c.notResource = field == "NotResource"
	for i, text := range list {
		a, err := condition.ParseARN(text)
		if err != nil {
			return faultf(fmt.Sprintf("%s[%d]", field, i), "%q %v", text, err)
		}
		c.resources = append(c.resources, a)
	}
	return nil
}

// applies reports whether the statement takes part in the decision: an Allow when all of it holds, a Deny unless some
// part of it certainly does not.
func (c *statement) applies(e *env) bool {
	if !c.concerns(e) {
		return false
	}
	for i := range c.conditions {
		if !c.accepts(c.conditions[i].Holds(&e.Env)) {
			return false
		}
	}
	return true
}

// concerns is applies without the conditions.
func (c *statement) concerns(e *env) bool {
	return c.matchesAction(e.action) && c.matchesResource(e) && c.matchesPrincipal(e)
}

// matchesAction is exact: actions hold no variable, so there is nothing to be unsure of.
func (c *statement) matchesAction(action string) bool {
	for i := range c.actions {
		if ok, _ := c.actions[i].Match(nil, action); ok {
			return !c.notAction
		}
	}
	return c.notAction
}

// accepts is where the two effects fail closed, each in its own direction.
func (c *statement) accepts(o condition.Outcome) bool {
	return o == condition.Yes || o == condition.Unknown && c.effect == casemate.Deny
}

// matchesResource looks at every pattern, also after a hit: one that cannot be resolved disqualifies an Allow as a whole.
func (c *statement) matchesResource(e *env) bool {
	hit, resolved := false, true
	for i := range c.resources {
		ok, known := c.resources[i].Match(&e.Env, e.Request.Resource)
		resolved = resolved && known
		// An unresolved name in NotResource excepts nothing from a Deny; in Resource it may be any name.
		hit = hit || ok && (known || !c.notResource)
	}
	return hit != c.notResource && (resolved || c.effect == casemate.Deny)
}

// matchesPrincipal is true for the layers that say by themselves whom they are about.
func (c *statement) matchesPrincipal(e *env) bool {
	if c.principals == nil {
		return true
	}
	return c.principals.match(e, c.effect == casemate.Allow && e.direct) != c.notPrincipal
}
