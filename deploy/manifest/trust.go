package manifest

import (
	"fmt"
	"slices"
	"strings"

	"casemate"
)

// What a trust policy can be about (https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_update-role-trust-policy.html).
var trustActions = []string{"sts:assumerole", "sts:assumerolewithwebidentity", "sts:tagsession", "sts:setsourceidentity"}

// trust checks who may assume a role. It is a resource policy of the role itself: every statement names whom it trusts.
func (c *checker) trust(ptr, name string, own []Statement) {
	for i, s := range c.statements(ptr, "trust of role "+name, own, c.Place.RoleARN(name)) {
		at := fmt.Sprintf("%s/%d", ptr, i)
		if s.Effect == "" {
			continue // refused before
		}
		if len(s.Action) == 0 || slices.ContainsFunc(s.Action, func(a string) bool { return !slices.Contains(trustActions, strings.ToLower(a)) }) {
			c.bad(at, "Action: sts:AssumeRole, or sts:AssumeRoleWithWebIdentity", "a trust policy is about assuming the role, and about nothing else")
		}
		if s.Effect != casemate.Allow {
			continue
		}
		if s.Principal == nil {
			c.bad(at, "Principal: {AWS: arn:aws:iam::...:user/ci}, or {Federated: https://issuer}", "name whom the role trusts")
		}
		for form, who := range s.Principal {
			if slices.Contains(who, "*") && len(s.Condition) == 0 {
				c.bad(at, "name the principal, or add a condition", "the role trusts everybody (%s: *)", form)
			}
		}
		if len(s.Principal["Federated"]) > 0 && !heldTo(s, ":sub") {
			c.warn(at, "Condition: {StringEquals: {\"<issuer>:sub\": \"repo:org/name:ref:refs/heads/main\"}}", "every token of the issuer may assume the role %s: no condition on its subject", name)
		}
	}
}

// exchanged reports whether the tokens of an issuer have no role of their own, because a role trusts the issuer: they are
// exchanged for a session of that role, and are good for nothing else.
func (c *checker) exchanged(i *Issuer) bool {
	if i.RoleClaim != "" || i.Role != "" || len(i.Roles) > 0 {
		return false
	}
	host, _ := strings.CutPrefix(i.Issuer, "https://")
	for name, r := range c.Roles {
		for _, s := range r.Trust {
			parsed, err := s.Parse("", c.Place.RoleARN(name))
			if err != nil {
				continue // said elsewhere
			}
			for _, who := range parsed.Principal["Federated"] {
				if who == i.Issuer || strings.HasSuffix(who, ":oidc-provider/"+strings.TrimSuffix(host, "/")) {
					return true
				}
			}
		}
	}
	return false
}

// heldTo reports whether a statement has a condition on a key that ends like this.
func heldTo(s casemate.Statement, end string) bool {
	for _, keys := range s.Condition {
		for key := range keys {
			if strings.HasSuffix(strings.ToLower(key), end) {
				return true
			}
		}
	}
	return false
}
