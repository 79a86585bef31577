package policy

import (
	"slices"
	"strings"

	"casemate"
	"casemate/policy/condition"
)

// operatorHint is hint for a person who signed in. Its role is a set that no manifest can add a grant to, so the hint names
// the operator roles that allow the request, or says that none does.
func (s *Set) operatorHint(e *env) string {
	var able []string
	for name, r := range s.roles {
		one, ok := strings.CutPrefix(name, "operator/")
		if !ok || r.identity == nil || strings.ContainsAny(one, "+-") { // sets, and break-glass: they hold others
			continue
		}
		asked := env{Env: condition.Env{Request: e.Request, Principal: e.Principal}, known: e.known, action: e.action, service: e.service}
		if r.identity.find(&asked, casemate.Deny) == nil && r.identity.find(&asked, casemate.Allow) != nil {
			able = append(able, one)
		}
	}
	if len(able) == 0 {
		return "no operator role allows it: it takes a role of the manifest, with a key, or the node's own machine"
	}
	slices.Sort(able)
	who := strings.TrimPrefix(e.Principal.ID, "operator/")
	return "it takes the operator role " + strings.Join(able, " or ") + ": casemate operator set " + show(who) + " --roles, by who may give it"
}
