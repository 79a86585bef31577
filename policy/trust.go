package policy

import (
	"slices"
	"strings"

	"casemate"
)

// Trust says whether the policy of the resource itself names the caller: the trust policy of a role, without which nobody
// assumes it, whatever the caller's own role may. To name the account is enough here; Decide asks for the rest.
func (s *Set) Trust(r *casemate.AccessRequest) casemate.Decision {
	e, d := newEnv(r)
	if e == nil {
		return d
	}
	if s == nil {
		return refusal("no policy is in force")
	}
	l := layer{LayerResource, "the trust policy", s.resources[e.Request.Resource]}
	if l.table == nil {
		return casemate.Decision{Layer: LayerResource, Reason: "the role trusts nobody", Hint: "add trust: to the role in casemate.yaml"}
	}
	if st := l.table.find(e, casemate.Deny); st != nil {
		return denied(e, &l, st)
	}
	if st := l.table.find(e, casemate.Allow); st != nil {
		return allowed(&l, st)
	}
	return missing(e, &l, nil)
}

// provider is the last part of the ARN that IAM gives an OpenID provider, which stands for its issuer.
const provider = ":oidc-provider/"

// federatedBy reports whether one of names is the issuer: as the iss claim has it, or as the ARN of an OpenID provider of
// the account, which leaves out the scheme (https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_create_oidc.html).
func federatedBy(names []string, issuer, account string) bool {
	host, _ := strings.CutPrefix(issuer, "https://")
	return issuer != "" && (slices.Contains(names, issuer) || slices.Contains(names, "arn:aws:iam::"+account+provider+strings.TrimSuffix(host, "/")))
}
