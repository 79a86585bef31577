package policy

import (
	"testing"
	"time"

	"casemate"
)

// TestTrust: the role's own policy has to name the caller; what the caller's role may does not stand in for it.
func TestTrust(t *testing.T) {
	const role = "arn:aws:iam::000000000000:role/deployer"
	trust := func(effect casemate.PolicyEffect, form, who, action string, condition map[string]map[string][]string) casemate.Statement {
		return casemate.Statement{Effect: effect, Principal: map[string][]string{form: {who}}, Action: []string{action}, Resource: []string{role}, Condition: condition}
	}
	ci := casemate.Principal{Kind: casemate.KindToken, ID: "jwt/https://ci.example|repo:a", Account: "000000000000", Claims: map[string]string{"iss": "https://ci.example"}}
	user := casemate.Principal{Kind: casemate.KindAccess, ID: "user/ada", ARN: "arn:aws:iam::000000000000:user/ada", Account: "000000000000", Role: "clerk"}
	sub := map[string]map[string][]string{"StringEquals": {"ci.example:sub": {"repo:a"}}}
	for name, c := range map[string]struct {
		trust []casemate.Statement
		who   casemate.Principal
		want  casemate.Verdict
	}{
		"nobody is trusted":       {nil, user, casemate.Denied},
		"the user":                {[]casemate.Statement{trust(casemate.Allow, "AWS", user.ARN, "sts:AssumeRole", nil)}, user, casemate.Allowed},
		"the user's role":         {[]casemate.Statement{trust(casemate.Allow, "AWS", "arn:aws:iam::000000000000:role/clerk", "sts:AssumeRole", nil)}, user, casemate.Allowed},
		"the account":             {[]casemate.Statement{trust(casemate.Allow, "AWS", "arn:aws:iam::000000000000:root", "sts:AssumeRole", nil)}, user, casemate.Allowed},
		"another account":         {[]casemate.Statement{trust(casemate.Allow, "AWS", "arn:aws:iam::000000000001:root", "sts:AssumeRole", nil)}, user, casemate.Denied},
		"another user":            {[]casemate.Statement{trust(casemate.Allow, "AWS", "arn:aws:iam::000000000000:user/adam", "sts:AssumeRole", nil)}, user, casemate.Denied},
		"another action":          {[]casemate.Statement{trust(casemate.Allow, "AWS", user.ARN, "sts:AssumeRoleWithWebIdentity", nil)}, user, casemate.Denied},
		"denied by name":          {[]casemate.Statement{trust(casemate.Allow, "AWS", "arn:aws:iam::000000000000:root", "sts:AssumeRole", nil), trust(casemate.Deny, "AWS", user.ARN, "sts:AssumeRole", nil)}, user, casemate.Denied},
		"the issuer":              {[]casemate.Statement{trust(casemate.Allow, "Federated", "https://ci.example", "sts:AssumeRole", sub)}, ci, casemate.Allowed},
		"the issuer's ARN":        {[]casemate.Statement{trust(casemate.Allow, "Federated", "arn:aws:iam::000000000000:oidc-provider/ci.example", "sts:AssumeRole", sub)}, ci, casemate.Allowed},
		"the issuer elsewhere":    {[]casemate.Statement{trust(casemate.Allow, "Federated", "arn:aws:iam::000000000001:oidc-provider/ci.example", "sts:AssumeRole", sub)}, ci, casemate.Denied},
		"another issuer":          {[]casemate.Statement{trust(casemate.Allow, "Federated", "https://ci.example.org", "sts:AssumeRole", nil)}, ci, casemate.Denied},
		"another subject":         {[]casemate.Statement{trust(casemate.Allow, "Federated", "https://ci.example", "sts:AssumeRole", map[string]map[string][]string{"StringEquals": {"ci.example:sub": {"repo:b"}}})}, ci, casemate.Denied},
		"a user with such claims": {[]casemate.Statement{trust(casemate.Allow, "Federated", "https://ci.example", "sts:AssumeRole", nil)}, casemate.Principal{Kind: casemate.KindAccess, ID: "user/x", Account: "000000000000", Claims: ci.Claims}, casemate.Denied},
		"nobody":                  {[]casemate.Statement{trust(casemate.Allow, "AWS", "arn:aws:iam::000000000000:root", "sts:AssumeRole", nil)}, casemate.Principal{}, casemate.Denied},
	} {
		p := casemate.Policies{Resource: map[string][]casemate.Statement{}, Identity: map[string][]casemate.Statement{
			"clerk": {{Effect: casemate.Allow, Action: []string{"*"}, Resource: []string{"*"}}}}}
		if c.trust != nil {
			p.Resource[role] = c.trust
		}
		set, err := Compile(p)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		d := set.Trust(&casemate.AccessRequest{Principal: &c.who, Action: "sts:AssumeRole", Resource: role, Account: "000000000000",
			Context: map[string][]string{"ci.example:sub": {"repo:a"}}})
		if d.Verdict != c.want || d.Reason == "" {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// TestSessionsHaveKeysOfTheirOwn, which no context can stand in for.
func TestSessionsHaveKeysOfTheirOwn(t *testing.T) {
	allow := func(operator, key, value string) casemate.Statement {
		return casemate.Statement{Effect: casemate.Allow, Action: []string{"s3:GetObject"}, Resource: []string{"arn:aws:s3:::b/k"}, Condition: map[string]map[string][]string{operator: {key: {value}}}}
	}
	at := time.Date(2026, 11, 16, 9, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		s    casemate.Statement
		who  casemate.Principal
		want casemate.Verdict
	}{
		"its source identity": {allow("StringEquals", "aws:SourceIdentity", "ada"), casemate.Principal{SourceIdentity: "ada"}, casemate.Allowed},
		"another's":           {allow("StringEquals", "aws:SourceIdentity", "ada"), casemate.Principal{SourceIdentity: "eve"}, casemate.Denied},
		"none":                {allow("StringEquals", "aws:SourceIdentity", "ada"), casemate.Principal{}, casemate.Denied},
		"issued since":        {allow("DateGreaterThan", "aws:TokenIssueTime", "2026-11-16T08:00:00Z"), casemate.Principal{Issued: at}, casemate.Allowed},
		"issued before":       {allow("DateGreaterThan", "aws:TokenIssueTime", "2026-11-16T10:00:00Z"), casemate.Principal{Issued: at}, casemate.Denied},
		"never issued":        {allow("DateGreaterThan", "aws:TokenIssueTime", "2026-11-16T08:00:00Z"), casemate.Principal{}, casemate.Denied},
	} {
		set, err := Compile(casemate.Policies{Identity: map[string][]casemate.Statement{"r": {c.s}}})
		if err != nil {
			t.Fatal(err)
		}
		c.who.Kind, c.who.ID, c.who.Account, c.who.Role = casemate.KindSession, "session/r/x", "000000000000", "r"
		d := set.Decide(&casemate.AccessRequest{Principal: &c.who, Action: "s3:GetObject", Resource: "arn:aws:s3:::b/k", Account: "000000000000", Now: at,
			Context: map[string][]string{"aws:sourceidentity": {"ada"}, "aws:tokenissuetime": {"2026-11-16T09:00:00Z"}}})
		if d.Verdict != c.want {
			t.Errorf("%s: %+v", name, d)
		}
	}
}
