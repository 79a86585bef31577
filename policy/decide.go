package policy

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"casemate"
	"casemate/policy/condition"
)

// The layers a decision can come from.
const (
	LayerEnvironment = "environment"

	LayerGuardrail = "guardrail"
	LayerBoundary  = "boundary"
	LayerSession   = "session"
	LayerIdentity  = "identity"
	LayerResource  = "resource"
	LayerDefault   = "default" // nothing allowed it: the one refusal that an open-route exception may stand in for
	LayerRequest   = "request" // the question itself was malformed
)

// layer is one list of statements that has a say in a request.
type layer struct {
	name  string
	what  string // for the reason
	table *table // nil: the layer is not there
}

// Decide answers r. What crosses environments is refused, and so is what an explicit Deny in any layer names. Then the guardrails, the boundary of the role and the scope of
// the principal must each allow, where they are set. Then, within one account, the role or the resource must allow;
// across accounts both. An empty Account of either side is never the same account.
func (s *Set) Decide(r *casemate.AccessRequest) casemate.Decision {
	e, d := newEnv(r)
	if e == nil {
		return d
	}
	if s == nil {
		return refusal("no policy is in force")
	}
	if d, no := s.environments.crosses(e); no {
		return d
	}
	layers, d := s.layers(e)
	if layers == nil {
		return d
	}
	// First pass: an explicit Deny anywhere ends it, also one in a layer that would not have been reached.
	for i := range layers {
		if t := layers[i].table; t != nil {
			if st := t.find(e, casemate.Deny); st != nil {
				return denied(e, &layers[i], st)
			}
		}
	}
	// Second pass: what only ever limits. A layer that is there and empty allows nothing, so an empty list refuses.
	for i := range layers[:3] {
		if l := &layers[i]; l.table != nil && l.table.find(e, casemate.Allow) == nil {
			return missing(e, l, layers[3:])
		}
	}
	d = grant(e, &layers[3], &layers[4])
	if d.Layer == LayerDefault && d.Verdict != casemate.Allowed && e.Principal.Kind == casemate.KindOperator {
		d.Hint = s.operatorHint(e)
	}
	return d
}

// newEnv makes the environment of a well-formed request; otherwise env is nil and the decision stands.
func newEnv(r *casemate.AccessRequest) (*env, casemate.Decision) {
	if r == nil {
		return nil, refusal("there is no request to decide on")
	}
	service, operation, ok := strings.Cut(r.Action, ":")
	if !ok || service == "" || operation == "" || len(r.Action) > 256 || strings.ContainsFunc(r.Action, notInAction) {
		return nil, refusal("the request names no action of the form service:Operation")
	}
	if r.Resource == "" || len(r.Resource) > 16<<10 || !utf8.ValidString(r.Resource) {
		return nil, refusal("the request names no resource, or one that is no valid text")
	}
	e := &env{Env: condition.Env{Request: r, Principal: &casemate.Principal{}}, action: strings.ToLower(r.Action)}
	e.service, _, _ = strings.Cut(e.action, ":")
	if r.Principal != nil {
		e.Principal, e.known = r.Principal, r.Principal.Known()
	}
	return e, casemate.Decision{}
}

// notInAction keeps wildcards and variables out of what is asked: they are for policies, and one in a request would read
// as a pattern in reasons and hints.
func notInAction(r rune) bool { return r <= ' ' || r > '~' || r == '*' || r == '?' || r == '$' }

// layers lists, in order of precedence, what has a say. A scope that does not compile refuses.
func (s *Set) layers(e *env) (*[5]layer, casemate.Decision) {
	ls := &[5]layer{
		{LayerGuardrail, "the guardrails", s.guardrails},
		{LayerBoundary, "the boundary", nil},
		{LayerSession, "the scope of the credential", nil},
		{LayerIdentity, "the role", nil},
		{LayerResource, "the policy of the resource", s.policyOf(e)},
	}
	// Nobody has no role, whatever the struct says: a role counts only behind a verified identity.
	if e.known && e.Principal.Role != "" {
		if r := s.roles[e.Principal.Role]; r != nil {
			ls[1].table, ls[3].table = r.boundary, r.identity
		}
	}
	// nil is "no scope", an empty list is "a scope that allows nothing"; the two must never be confused.
	if e.Principal.Scope != nil {
		list, err := compileList(e.Principal.Scope, identityKind, "Scope", "scope")
		if err != nil {
			d := refusal("the scope of the credential cannot be read: %v", err)
			d.Layer = LayerSession
			return nil, d
		}
		ls[2].table = unindexed(list)
	}
	return ls, casemate.Decision{}
}

// grant decides between the role and the resource once nothing forbids. It is AWS's logic for one account and for two
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html). Nobody, and services of the
// platform, have no role of their own: for them the resource alone speaks.
func grant(e *env, identity, resource *layer) casemate.Decision {
	var byRole, byResource *statement
	same := e.same()
	selfless := !e.known || strings.HasPrefix(e.Principal.ID, servicePrefix)
	if identity.table != nil {
		byRole = identity.table.find(e, casemate.Allow)
	}
	if resource.table != nil {
		e.direct = same
		byResource = resource.table.find(e, casemate.Allow)
	}
	switch {
	case byRole != nil && (same || byResource != nil):
		return allowed(identity, byRole)
	case byResource != nil && (same || selfless):
		return allowed(resource, byResource)
	case byRole != nil:
		return foreign(e, resource, byRole)
	}
	return missing(e, identity, []layer{*identity, *resource})
}

// allowed names the statement that let it through, for the record.
func allowed(l *layer, st *statement) casemate.Decision {
	return casemate.Decision{
		Verdict: casemate.Allowed, Layer: l.name, Statement: st.label, Origin: st.origin,
		Reason: st.allows,
	}
}

// denied names the statement that forbids. There is nothing to grant: the hint says so.
func denied(e *env, l *layer, st *statement) casemate.Decision {
	d := casemate.Decision{
		Layer: l.name, Statement: st.label, Origin: st.origin,
		Reason: fmt.Sprintf("%s in %s denies %s %s on %s", st.label, l.what, e.who(), e.Request.Action, show(e.Request.Resource)),
		Hint:   "an explicit Deny wins over every Allow: change or remove that statement",
	}
	if doubt := st.obstacle(e); doubt != "" {
		d.Reason += " (" + doubt + ", so it applies)"
	}
	return d
}

// missing is the refusal because a layer that must allow does not. Near misses come from the layers given.
func missing(e *env, l *layer, near []layer) casemate.Decision {
	d := casemate.Decision{Layer: l.name}
	switch l.name {
	case LayerIdentity:
		d.Layer = LayerDefault
		d.Reason = fmt.Sprintf("nothing allows %s %s on %s", e.who(), e.Request.Action, show(e.Request.Resource))
		d.Hint = hint(e)
	default:
		d.Reason = fmt.Sprintf("%s does not allow %s %s on %s", l.what, e.who(), e.Request.Action, show(e.Request.Resource))
		d.Hint = "allow it in " + l.what + " as well: " + statementText(e.Request.Action, e.Request.Resource)
		near = []layer{*l}
	}
	for i := range near {
		if st, why := near[i].nearest(e); st != nil {
			d.Statement, d.Origin = st.label, st.origin
			d.Reason += "; " + st.label + " would, but " + why
			break
		}
	}
	return d
}

// foreign is the refusal across accounts where only the caller's side agreed.
func foreign(e *env, resource *layer, byRole *statement) casemate.Decision {
	return casemate.Decision{
		Layer: LayerResource, Statement: byRole.label, Origin: byRole.origin,
		Reason: fmt.Sprintf("%s allows it, but %s belongs to account %q and %s does not allow %s",
			byRole.label, show(e.Request.Resource), e.Request.Account, resource.what, e.who()),
		Hint: "across accounts the owner must allow as well: add a statement with this Principal to " + resource.what,
	}
}

// refusal is the answer to a question that cannot be decided on. It names no layer that an exception could override.
func refusal(format string, args ...any) casemate.Decision {
	return casemate.Decision{Layer: LayerRequest, Reason: fmt.Sprintf(format, args...)}
}

// who names the caller for a sentence.
func (e *env) who() string {
	if e.known && e.Principal.Role != "" {
		return e.Principal.Name() + " (role " + e.Principal.Role + ")"
	}
	return e.Principal.Name()
}

// nearest finds the first Allow that only its conditions or variables kept from applying, and why. It looks at a bounded
// number of statements: a refusal stays cheap.
func (l *layer) nearest(e *env) (*statement, string) {
	if l.table == nil {
		return nil, ""
	}
	const most = 32
	for i := range l.table.statements[:min(len(l.table.statements), most)] {
		st := &l.table.statements[i]
		if st.effect != casemate.Allow || !st.matchesAction(e.action) || !st.matchesPrincipal(e) {
			continue
		}
		if st.matchesResource(e) {
			if why := st.obstacle(e); why != "" {
				return st, why
			}
			continue
		}
		loose := *st
		loose.effect = casemate.Deny // which takes an unresolved variable for any name
		if loose.matchesResource(e) {
			return st, "a variable in its resource has no value here"
		}
	}
	return nil, ""
}

// obstacle is the first condition that does not hold, as a clause.
func (c *statement) obstacle(e *env) string {
	for i := range c.conditions {
		switch c.conditions[i].Holds(&e.Env) {
		case condition.No:
			return "its condition " + c.conditions[i].String() + " does not hold"
		case condition.Unknown:
			return "its condition " + c.conditions[i].String() + " cannot be evaluated"
		}
	}
	return ""
}

// show shortens and quotes a name that came from outside: reasons end up in terminals, logs and answers, where a line break
// or an escape sequence must not act.
func show(name string) string {
	const most = 200
	if len(name) > most {
		cut := most
		for !utf8.RuneStart(name[cut]) {
			cut--
		}
		name = name[:cut] + "..."
	}
	for _, r := range name {
		if r < ' ' || r == 0x7f || r == 0x2028 || r == 0x2029 || r == '"' {
			return fmt.Sprintf("%q", name)
		}
	}
	return name
}
