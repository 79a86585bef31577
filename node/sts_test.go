package node

import (
	"encoding/json"
	"testing"

	"casemate"
	"casemate/policy"
	"casemate/service/sts"
)

// TestTrusting: who assumes a role needs the role's trust as well as leave, for the role and for what else the request asks.
func TestTrusting(t *testing.T) {
	const role = "arn:aws:iam::000000000000:role/reader"
	allow := func(form, who string, actions ...string) casemate.Statement {
		return casemate.Statement{Effect: casemate.Allow, Principal: map[string][]string{form: {who}}, Action: actions, Resource: []string{role}}
	}
	held := func(s casemate.Statement, key, value string) casemate.Statement {
		s.Condition = map[string]map[string][]string{"StringEquals": {key: {value}}}
		return s
	}
	user := &casemate.Principal{Kind: casemate.KindAccess, ID: "user/ada", ARN: "arn:aws:iam::000000000000:user/ada", Account: "000000000000", Role: "clerk"}
	wide := &casemate.Principal{Kind: casemate.KindAccess, ID: "user/root", ARN: "arn:aws:iam::000000000000:user/root", Account: "000000000000", Role: "wide"}
	token := func(iss string) *casemate.Principal {
		return &casemate.Principal{Kind: casemate.KindToken, ID: "jwt/x", Account: "000000000000", Claims: map[string]string{"iss": iss, "sub": "repo:a", "Sub": "repo:b", "multifactorauthpresent": "true"}}
	}
	plain := map[string]string{}
	tagged := map[string]string{"Tags.member.1.Key": "team", "Tags.member.1.Value": "blue"}
	sourced := map[string]string{"SourceIdentity": "ada"}
	for name, c := range map[string]struct {
		trust    []casemate.Statement
		who      *casemate.Principal
		federate bool
		ask      map[string]string
		want     casemate.Verdict
	}{
		"nobody is trusted":             {nil, wide, false, plain, casemate.Denied},
		"named":                         {[]casemate.Statement{allow("AWS", user.ARN, "sts:AssumeRole")}, user, false, plain, casemate.Allowed},
		"the account, without leave":    {[]casemate.Statement{allow("AWS", "arn:aws:iam::000000000000:root", "sts:AssumeRole")}, user, false, plain, casemate.Denied},
		"the account, with leave":       {[]casemate.Statement{allow("AWS", "arn:aws:iam::000000000000:root", "sts:AssumeRole")}, wide, false, plain, casemate.Allowed},
		"leave, and others are trusted": {[]casemate.Statement{allow("AWS", user.ARN, "sts:AssumeRole")}, wide, false, plain, casemate.Denied},
		"tags, not trusted with them":   {[]casemate.Statement{allow("AWS", user.ARN, "sts:AssumeRole")}, user, false, tagged, casemate.Denied},
		"tags":                          {[]casemate.Statement{allow("AWS", user.ARN, "sts:AssumeRole", "sts:TagSession")}, user, false, tagged, casemate.Allowed},
		"a source, not trusted with it": {[]casemate.Statement{allow("AWS", user.ARN, "sts:AssumeRole")}, user, false, sourced, casemate.Denied},
		"a source":                      {[]casemate.Statement{allow("AWS", user.ARN, "sts:AssumeRole", "sts:SetSourceIdentity")}, user, false, sourced, casemate.Allowed},
		"an external id":                {[]casemate.Statement{held(allow("AWS", user.ARN, "sts:AssumeRole"), "sts:ExternalId", "e1")}, user, false, map[string]string{"ExternalId": "e1"}, casemate.Allowed},
		"another external id":           {[]casemate.Statement{held(allow("AWS", user.ARN, "sts:AssumeRole"), "sts:ExternalId", "e1")}, user, false, map[string]string{"ExternalId": "e2"}, casemate.Denied},
		"no external id":                {[]casemate.Statement{held(allow("AWS", user.ARN, "sts:AssumeRole"), "sts:ExternalId", "e1")}, user, false, plain, casemate.Denied},
		"a token's subject":             {[]casemate.Statement{held(allow("Federated", "https://ci.example/", "sts:AssumeRoleWithWebIdentity"), "ci.example:sub", "repo:a")}, token("https://ci.example/"), true, plain, casemate.Allowed},
		"as the issuer writes itself":   {[]casemate.Statement{held(allow("Federated", "https://ci.example/", "sts:AssumeRoleWithWebIdentity"), "ci.example/:sub", "repo:a")}, token("https://ci.example/"), true, plain, casemate.Allowed},
		"another spelling of sub":       {[]casemate.Statement{held(allow("Federated", "https://ci.example/", "sts:AssumeRoleWithWebIdentity"), "ci.example:sub", "repo:b")}, token("https://ci.example/"), true, plain, casemate.Denied},
		"another issuer's subject":      {[]casemate.Statement{held(allow("Federated", "https://ci.example/", "sts:AssumeRoleWithWebIdentity"), "ci.example:sub", "repo:a")}, token("https://evil.example/"), true, plain, casemate.Denied},
		"an issuer called aws":          {[]casemate.Statement{held(allow("Federated", "https://aws", "sts:AssumeRoleWithWebIdentity"), "aws:MultiFactorAuthPresent", "true")}, token("https://aws"), true, plain, casemate.Denied},
		"a token for a user's door":     {[]casemate.Statement{allow("Federated", "https://ci.example/", "sts:AssumeRoleWithWebIdentity")}, token("https://ci.example/"), false, plain, casemate.Denied},
	} {
		p := casemate.Policies{Resource: map[string][]casemate.Statement{}, Identity: map[string][]casemate.Statement{"wide": {{Effect: casemate.Allow, Action: []string{"*"}, Resource: []string{"*"}}}}}
		if c.trust != nil {
			p.Resource[role] = c.trust
		}
		set, err := policy.Compile(p)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		o := sts.Operations(sts.Config{Place: casemate.DefaultPlace})[0]
		if c.federate {
			o = sts.Operations(sts.Config{Place: casemate.DefaultPlace})[1]
		}
		members := map[string]string{"RoleArn": role, "RoleSessionName": "build"}
		for k, v := range c.ask {
			members[k] = v
		}
		body, err := json.Marshal(members)
		if err != nil {
			t.Fatal(err)
		}
		d := trusting{set, &o, body}.Decide(&casemate.AccessRequest{Principal: c.who, Action: o.Action, Resource: role, Account: "000000000000"})
		if d.Verdict != c.want {
			t.Errorf("%s: %+v", name, d)
		}
		if open := (trusting{open{set}, &o, body}).Decide(&casemate.AccessRequest{Principal: c.who, Action: o.Action, Resource: role, Account: "000000000000"}); open.Verdict == casemate.Allowed {
			t.Errorf("%s: a policy that knows no trust lets it pass", name)
		}
	}
}
