package policy

import (
	"strings"

	"casemate"
	"casemate/policy/condition"
)

// Step is one statement that a decision looked at.
type Step struct {
	Layer     string                `json:"layer"`
	Statement string                `json:"statement"`
	Origin    string                `json:"origin,omitempty"`
	Effect    casemate.PolicyEffect `json:"effect"`
	Applies   bool                  `json:"applies"`
	Decides   bool                  `json:"decides,omitempty"`
	Why       string                `json:"why,omitempty"` // it does not apply
	// Could: with other values of Keys, and nothing else, it would apply.
	Could bool     `json:"could,omitempty"`
	Keys  []string `json:"keys,omitempty"` // condition keys that its resources and conditions depend on
}

// Explanation is a decision with all that led to it.
type Explanation struct {
	Decision casemate.Decision `json:"decision"`
	// Steps are in the order of evaluation: what denies in any layer, then what each layer that limits allows, then what the
	// role and the resource allow. A statement is in it once, at its place.
	Steps  []Step   `json:"steps"`
	Absent []string `json:"absent,omitempty"` // layers that are not there: they have no say
	More   int      `json:"more,omitempty"`   // statements beyond the bound of 5,000
}

// maxSteps bounds an explanation.
const maxSteps = 5000

// Explain is Decide, with every statement that was considered. It costs more than Decide and is for people.
func (s *Set) Explain(r *casemate.AccessRequest) Explanation {
	x := Explanation{Decision: s.Decide(r), Steps: []Step{}}
	e, _ := newEnv(r)
	if e == nil || s == nil {
		return x
	}
	layers, _ := s.layers(e)
	if layers == nil {
		return x
	}
	for i := range layers {
		if layers[i].table == nil {
			x.Absent = append(x.Absent, layers[i].name)
		}
	}
	for _, effect := range [...]casemate.PolicyEffect{casemate.Deny, casemate.Allow} {
		for i := range layers {
			e.direct = effect == casemate.Allow && layers[i].name == LayerResource && e.same()
			x.layer(e, &layers[i], effect)
		}
	}
	return x
}

func (x *Explanation) layer(e *env, l *layer, effect casemate.PolicyEffect) {
	if l.table == nil {
		return
	}
	for i := range l.table.statements {
		st := &l.table.statements[i]
		if st.effect != effect {
			continue
		}
		if len(x.Steps) == maxSteps {
			x.More++
			continue
		}
		step := Step{Layer: l.name, Statement: st.label, Origin: st.origin, Effect: st.effect, Applies: st.applies(e), Keys: st.keys().Names()}
		if !step.Applies {
			step.Why = st.short(e)
			step.Could = st.could(e)
		}
		d := &x.Decision
		step.Decides = step.Applies && d.Statement == st.label && d.Origin == st.origin && (d.Layer == l.name || d.Layer == LayerResource) &&
			(d.Verdict == casemate.Allowed) == (effect == casemate.Allow)
		x.Steps = append(x.Steps, step)
	}
}

// same reports that caller and resource belong to one account.
func (e *env) same() bool {
	return e.known && e.Principal.Account != "" && e.Principal.Account == e.Request.Account
}

// short says why a statement does not apply: the first of its parts that is in the way.
func (c *statement) short(e *env) string {
	switch {
	case !c.matchesAction(e.action):
		return "it is about other actions"
	case !c.matchesPrincipal(e):
		return "it is about other callers"
	case !c.matchesResource(e):
		loose := *c
		loose.effect = casemate.Deny
		if c.effect == casemate.Allow && loose.matchesResource(e) {
			return "a variable in its resource has no value here"
		}
		return "it is about other resources"
	}
	return c.obstacle(e)
}

// could reports whether the statement would apply to the same action, resource and caller for some values of its keys.
func (c *statement) could(e *env) bool {
	if !c.matchesAction(e.action) || !c.matchesPrincipal(e) {
		return false
	}
	blank := *e // nobody's values: every variable is open
	blank.Principal = &casemate.Principal{Kind: e.Principal.Kind, ID: e.Principal.ID, Account: e.Principal.Account, ARN: e.Principal.ARN}
	blank.Request = &casemate.AccessRequest{Principal: blank.Principal, Action: e.Request.Action, Resource: e.Request.Resource, Account: e.Request.Account, Now: e.Request.Now}
	loose := *c
	loose.effect = casemate.Deny
	if !loose.matchesResource(&blank) {
		return false
	}
	for i := range c.conditions {
		var open condition.Keys
		if open.Condition(&c.conditions[i]); len(open.Names()) == 0 && !c.accepts(c.conditions[i].Holds(&e.Env)) {
			return false
		}
	}
	return true
}

// keys are those that the statement's resources and conditions depend on.
func (c *statement) keys() *condition.Keys {
	k := &condition.Keys{}
	for i := range c.resources {
		k.ARN(&c.resources[i])
	}
	for i := range c.conditions {
		k.Condition(&c.conditions[i])
	}
	if c.principals != nil {
		k.Principal(len(c.principals.federated) > 0)
	}
	return k
}

// Facts are the values of r that its decision may depend on beside action, resource, account, time, role and name of the
// caller: of every key that the layers refer to, and, where a resource policy speaks, who the caller is. nil where nothing
// does, at no cost. A scope is told of by its presence alone: FactScope.
func (s *Set) Facts(r *casemate.AccessRequest) []casemate.Fact {
	if s == nil || r == nil || !s.telling(r) {
		return nil
	}
	e, _ := newEnv(r)
	if e == nil {
		return nil
	}
	var list []casemate.Fact
	if e.Principal.Scope != nil {
		list = append(list, casemate.Fact{Key: FactScope, Values: []string{"true"}})
	}
	if e.known && e.Principal.Account != r.Account {
		list = append(list, casemate.Fact{Key: FactAccount, Values: []string{e.Principal.Account}})
	}
	tables := [...]*table{s.guardrails, nil, nil, s.policyOf(e)}
	if role := s.roles[e.Principal.Role]; role != nil && e.known {
		tables[1], tables[2] = role.identity, role.boundary
	}
	for _, t := range tables {
		if t != nil && t.keys != nil {
			list = t.keys.Facts(&e.Env, list)
		}
	}
	return list
}

// telling reports whether there is anything to tell about r, which on most nodes there never is.
func (s *Set) telling(r *casemate.AccessRequest) bool {
	p := r.Principal
	switch {
	case p != nil && (p.Scope != nil || p.Account != r.Account):
		return true
	case !s.conditional:
		return false
	case len(s.resources) > 0 || s.guardrails != nil && s.guardrails.keys != nil:
		return true
	case p == nil || s.roles[p.Role] == nil:
		return false
	}
	role := s.roles[p.Role]
	return role.identity != nil && role.identity.keys != nil || role.boundary != nil && role.boundary.keys != nil
}

// Facts that are no condition keys of policies.
const (
	FactScope   = "casemate:scoped"      // "true": the credential had a scope of its own
	FactAccount = "aws:principalaccount" // of a caller from another account
)

// policyOf is the resource policy of what is asked for: under its own name, under that of what holds it (a table, a bucket, a
// secret without its six random characters), or under the route that it came by.
func (s *Set) policyOf(e *env) *table {
	if s.attached != nil && e.Request.Resource == s.attachedTo {
		return s.attached
	}
	if len(s.resources) == 0 {
		return nil
	}
	name := e.Request.Resource
	if t := s.resources[name]; t != nil {
		return t
	}
	if e.Request.Route != "" {
		if t := s.resources[e.Request.Route]; t != nil {
			return t
		}
	}
	a, ok := condition.SplitARN(name)
	if !ok {
		return nil
	}
	head := name[:len(name)-len(a.Tail)]
	switch a.Head[2] {
	case "secretsmanager":
		if n := len(a.Tail) - 7; n > 0 && a.Tail[n] == '-' {
			return s.resources[head+a.Tail[:n]]
		}
	case "dynamodb":
		kind, rest, _ := strings.Cut(a.Tail, "/")
		table, _, _ := strings.Cut(rest, "/")
		return s.resources[head+kind+"/"+table]
	case "casemate":
		if kind, rest, _ := strings.Cut(a.Tail, "/"); kind == "object" {
			object, _, _ := strings.Cut(rest, "/")
			return s.resources[head+"object/"+object]
		}
	case "s3":
		bucket, _, _ := strings.Cut(a.Tail, "/")
		return s.resources[head+bucket]
	}
	return nil
}
