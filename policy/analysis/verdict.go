package analysis

import (
	"slices"
	"strings"

	"casemate"
	"casemate/policy"
)

// Verdict comes to a decision from the steps of an explanation alone, in the plain way of the documentation: one Deny that
// holds refuses; then guardrails, boundary and scope must each allow where they are there; then the role or the resource, or
// both across accounts. holds says which steps do. It gives the layer that decided, and agrees with the Decider when holds
// tells Step.Applies.
func Verdict(x *policy.Explanation, r *casemate.AccessRequest, holds func(*policy.Step) bool) (layer string, v casemate.Verdict) {
	if l := x.Decision.Layer; l == policy.LayerRequest || l == policy.LayerEnvironment {
		return l, casemate.Denied
	}
	allows := map[string]bool{}
	for i := range x.Steps {
		s := &x.Steps[i]
		if !holds(s) {
			continue
		}
		if s.Effect == casemate.Deny {
			return s.Layer, casemate.Denied
		}
		allows[s.Layer] = true
	}
	for _, l := range [...]string{policy.LayerGuardrail, policy.LayerBoundary, policy.LayerSession} {
		if !slices.Contains(x.Absent, l) && !allows[l] {
			return l, casemate.Denied
		}
	}
	p := r.Principal
	same := p.Known() && p.Account != "" && p.Account == r.Account
	selfless := !p.Known() || strings.HasPrefix(p.ID, "service/")
	identity, resource := allows[policy.LayerIdentity], allows[policy.LayerResource]
	switch {
	case identity && (same || resource):
		return policy.LayerIdentity, casemate.Allowed
	case resource && (same || selfless):
		return policy.LayerResource, casemate.Allowed
	case identity:
		return policy.LayerResource, casemate.Denied
	}
	return policy.LayerDefault, casemate.Denied
}
