package policy_test

import (
	"strings"
	"testing"
	"time"

	"casemate"
	"casemate/policy"
)

const home = "000000000000"

var noon = time.Date(2030, 6, 1, 12, 0, 0, 0, time.UTC)

func allow(action, resource string) casemate.Statement {
	return casemate.Statement{Effect: casemate.Allow, Action: []string{action}, Resource: []string{resource}}
}

func deny(action, resource string) casemate.Statement {
	s := allow(action, resource)
	s.Effect = casemate.Deny
	return s
}

func when(s casemate.Statement, operator, key string, values ...string) casemate.Statement {
	s.Condition = map[string]map[string][]string{operator: {key: values}}
	return s
}

func by(s casemate.Statement, form string, values ...string) casemate.Statement {
	s.Principal = map[string][]string{form: values}
	return s
}

func list(s ...casemate.Statement) []casemate.Statement { return s }

func roles(name string, s ...casemate.Statement) casemate.Policies {
	return casemate.Policies{Identity: map[string][]casemate.Statement{name: s}}
}

func clerk() *casemate.Principal {
	return &casemate.Principal{
		Kind: casemate.KindToken, ID: "jwt/idp|ann", ARN: "arn:aws:iam::" + home + ":user/ann", Account: home, Role: "clerk",
		Tags: map[string]string{"Team": "blue"}, Claims: map[string]string{"sub": "ann", "iss": "https://idp.example", "empty": ""},
		Scopes: []string{"orders:read", "orders:write"},
	}
}

func ask(p *casemate.Principal, action, resource string) *casemate.AccessRequest {
	return &casemate.AccessRequest{Principal: p, Action: action, Resource: resource, Account: home, Now: noon}
}

func mustCompile(t testing.TB, p casemate.Policies) *policy.Set {
	t.Helper()
	s, err := policy.Compile(p)
	if err != nil {
		t.Fatalf("compile: %v", err)
	}
	return s
}

const (
	object = "arn:aws:s3:::photos/ann/1.jpg"
	get    = "s3:GetObject"
)

func TestDecideOrder(t *testing.T) {
	full := allow("*", "*")
	type edit func(p *casemate.Policies, r *casemate.AccessRequest)
	identity := func(s ...casemate.Statement) edit {
		return func(p *casemate.Policies, _ *casemate.AccessRequest) {
			p.Identity = map[string][]casemate.Statement{"clerk": s}
		}
	}
	boundary := func(s ...casemate.Statement) edit {
		return func(p *casemate.Policies, _ *casemate.AccessRequest) {
			p.Boundary = map[string][]casemate.Statement{"clerk": s}
		}
	}
	guard := func(s ...casemate.Statement) edit {
		return func(p *casemate.Policies, _ *casemate.AccessRequest) { p.Guardrails = s }
	}
	resource := func(s ...casemate.Statement) edit {
		return func(p *casemate.Policies, _ *casemate.AccessRequest) {
			p.Resource = map[string][]casemate.Statement{object: s}
		}
	}
	scope := func(s ...casemate.Statement) edit {
		return func(_ *casemate.Policies, r *casemate.AccessRequest) {
			r.Principal.Scope = append([]casemate.Statement{}, s...)
		}
	}
	account := func(a string) edit {
		return func(_ *casemate.Policies, r *casemate.AccessRequest) { r.Account = a }
	}
	nobody := func(_ *casemate.Policies, r *casemate.AccessRequest) { r.Principal = nil }
	role := "arn:aws:iam::" + home + ":role/clerk"
	for _, c := range []struct {
		name  string
		edits []edit
		want  casemate.Verdict
		layer string
	}{
		{"nothing is said", nil, casemate.Denied, "default"},
		{"empty identity", []edit{identity()}, casemate.Denied, "default"},
		{"role allows", []edit{identity(full)}, casemate.Allowed, "identity"},
		{"deny wins in the role", []edit{identity(full, deny("s3:*", "*"))}, casemate.Denied, "identity"},
		{"guardrail must allow", []edit{identity(full), guard(allow("sqs:*", "*"))}, casemate.Denied, "guardrail"},
		{"guardrail allows", []edit{identity(full), guard(allow("s3:*", "*"))}, casemate.Allowed, "identity"},
		{"guardrail denies", []edit{identity(full), guard(full, deny("s3:*", "*"))}, casemate.Denied, "guardrail"},
		{"guardrail alone grants nothing", []edit{guard(full)}, casemate.Denied, "default"},
		{"empty boundary allows nothing", []edit{identity(full), boundary()}, casemate.Denied, "boundary"},
		{"boundary must allow", []edit{identity(full), boundary(allow("sqs:*", "*"))}, casemate.Denied, "boundary"},
		{"boundary allows", []edit{identity(full), boundary(allow("s3:Get*", "*"))}, casemate.Allowed, "identity"},
		{"boundary alone grants nothing", []edit{boundary(full)}, casemate.Denied, "default"},
		{"boundary denies", []edit{identity(full), boundary(full, deny("*", object))}, casemate.Denied, "boundary"},
		{"empty scope allows nothing", []edit{identity(full), scope()}, casemate.Denied, "session"},
		{"scope must allow", []edit{identity(full), scope(allow("sqs:*", "*"))}, casemate.Denied, "session"},
		{"scope allows", []edit{identity(full), scope(allow(get, object))}, casemate.Allowed, "identity"},
		{"scope alone grants nothing", []edit{scope(full)}, casemate.Denied, "default"},
		{"scope denies", []edit{identity(full), scope(full, deny(get, "*"))}, casemate.Denied, "session"},
		{"scope that does not compile", []edit{identity(full), scope(casemate.Statement{Effect: "allow"})}, casemate.Denied, "session"},
		{"resource names the role", []edit{resource(by(full, "AWS", role))}, casemate.Allowed, "resource"},
		{"resource names another", []edit{resource(by(full, "AWS", role+"2"))}, casemate.Denied, "default"},
		{"resource names the user", []edit{resource(by(full, "AWS", clerk().ARN))}, casemate.Allowed, "resource"},
		{"resource names the issuer", []edit{resource(by(full, "Federated", "https://idp.example"))}, casemate.Allowed, "resource"},
		{"resource names everybody", []edit{resource(by(full, "*", "*"))}, casemate.Allowed, "resource"},
		{"account delegates only", []edit{resource(by(full, "AWS", home))}, casemate.Denied, "default"},
		{"root delegates only", []edit{resource(by(full, "AWS", "arn:aws:iam::"+home+":root"))}, casemate.Denied, "default"},
		{"resource denies the account", []edit{identity(full), resource(by(deny("*", "*"), "AWS", home))}, casemate.Denied, "resource"},
		{"resource under a boundary", []edit{boundary(), resource(by(full, "AWS", role))}, casemate.Denied, "boundary"},
		{"abroad the role is not enough", []edit{account("111111111111"), identity(full)}, casemate.Denied, "resource"},
		{"abroad the resource is not enough", []edit{account("111111111111"), resource(by(full, "AWS", role))}, casemate.Denied, "default"},
		{"abroad both", []edit{account("111111111111"), identity(full), resource(by(full, "AWS", home))}, casemate.Allowed, "identity"},
		{"no account is no account of ours", []edit{account(""), identity(full)}, casemate.Denied, "resource"},
		{"nobody", []edit{nobody, identity(full)}, casemate.Denied, "default"},
		{"nobody is not named by an account", []edit{nobody, resource(by(full, "AWS", home))}, casemate.Denied, "default"},
		{"nobody is named by the star", []edit{nobody, resource(by(full, "AWS", "*"))}, casemate.Allowed, "resource"},
		{"nobody under a guardrail", []edit{nobody, guard(allow("sqs:*", "*")), resource(by(full, "*", "*"))}, casemate.Denied, "guardrail"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var p casemate.Policies
			r := ask(clerk(), get, object)
			for _, e := range c.edits {
				e(&p, r)
			}
			d := mustCompile(t, p).Decide(r)
			if d.Verdict != c.want || d.Layer != c.layer {
				t.Fatalf("got %v by %q, want %v by %q: %s", d.Verdict, d.Layer, c.want, c.layer, d.Reason)
			}
			if d.Reason == "" || d.Verdict == casemate.Denied && d.Hint == "" && d.Layer != "session" {
				t.Fatalf("a decision without its reason or hint: %+v", d)
			}
		})
	}
}

func TestNotPrincipal(t *testing.T) {
	s := deny("*", "*")
	s.NotPrincipal = map[string][]string{"AWS": {"arn:aws:iam::" + home + ":role/clerk"}}
	p := roles("clerk", allow("*", "*"))
	p.Identity["guest"] = p.Identity["clerk"]
	p.Resource = map[string][]casemate.Statement{object: {s}}
	set := mustCompile(t, p)
	if d := set.Decide(ask(clerk(), get, object)); d.Verdict != casemate.Allowed {
		t.Fatalf("the excepted role is denied: %+v", d)
	}
	guest := clerk()
	guest.Role = "guest"
	if d := set.Decide(ask(guest, get, object)); d.Verdict != casemate.Denied || d.Layer != "resource" {
		t.Fatalf("another role gets through: %+v", d)
	}
	s.Effect = casemate.Allow
	p.Resource[object] = list(s)
	if _, err := policy.Compile(p); casemate.CodeOf(err) != casemate.Invalid {
		t.Fatalf("Allow with NotPrincipal compiles: %v", err)
	}
}

func TestMalformedRequestsRefuse(t *testing.T) {
	set := mustCompile(t, roles("clerk", allow("*", "*")))
	for _, r := range []*casemate.AccessRequest{
		nil, {}, ask(clerk(), "", object), ask(clerk(), "s3", object), ask(clerk(), "s3:", object), ask(clerk(), ":Get", object),
		ask(clerk(), "s3:*", object), ask(clerk(), get, ""), ask(clerk(), get, "arn:\xff"), ask(&casemate.Principal{Role: "clerk"}, get, object),
	} {
		if d := set.Decide(r); d.Verdict != casemate.Denied || d.Reason == "" || (d.Layer == "request") != (r == nil || r.Principal == nil || r.Principal.Kind != "") {
			t.Errorf("%+v: %+v", r, d)
		}
	}
	var none *policy.Set
	if d := none.Decide(ask(clerk(), get, object)); d.Verdict != casemate.Denied {
		t.Error("a nil set allows")
	}
	if d := (&policy.Set{}).Decide(ask(clerk(), get, object)); d.Verdict != casemate.Denied {
		t.Error("the zero set allows")
	}
}

// An empty member list must refuse, whatever the verb (Nuclio CVE-2026-45730, GHSA-m8xg-8xg9-mxhm).
func TestGHSA_m8xg_8xg9_mxhm_EmptyListsRefuse(t *testing.T) {
	empty := list()
	for name, p := range map[string]casemate.Policies{
		"nothing":        {},
		"empty identity": {Identity: map[string][]casemate.Statement{"clerk": empty}},
		"empty boundary": {Identity: map[string][]casemate.Statement{"clerk": {allow("*", "*")}}, Boundary: map[string][]casemate.Statement{"clerk": empty}},
		"empty resource": {Resource: map[string][]casemate.Statement{object: empty}},
	} {
		set := mustCompile(t, p)
		for _, verb := range []string{"s3:GetObject", "s3:PutObject", "s3:DeleteObject", "casemate:deploy"} {
			if d := set.Decide(ask(clerk(), verb, object)); d.Verdict != casemate.Denied {
				t.Errorf("%s: %s is allowed: %+v", name, verb, d)
			}
		}
	}
}

func TestReasons(t *testing.T) {
	s := allow("dynamodb:GetItem", "arn:aws:dynamodb:us-east-1:"+home+":table/${jwt:tenant}")
	s.Sid, s.Origin = "ReadOwn", "casemate.yaml:12"
	p := roles("clerk", s, when(allow("sqs:*", "*"), "StringEquals", "aws:PrincipalTag/team", "red"))
	set := mustCompile(t, p)
	d := set.Decide(ask(clerk(), "dynamodb:GetItem", "arn:aws:dynamodb:us-east-1:"+home+":table/orders"))
	if d.Statement != "ReadOwn" || d.Origin != "casemate.yaml:12" || !strings.Contains(d.Reason, "variable") ||
		!strings.Contains(d.Hint, `"read table/orders"`) {
		t.Errorf("unresolved variable: %+v", d)
	}
	d = set.Decide(ask(clerk(), "sqs:SendMessage", "arn:aws:sqs:us-east-1:"+home+":jobs"))
	if d.Statement != "role clerk#1" || !strings.Contains(d.Reason, "StringEquals on aws:PrincipalTag/team does not hold") ||
		!strings.Contains(d.Hint, `"send queue/jobs"`) {
		t.Errorf("condition: %+v", d)
	}
	d = set.Decide(ask(nil, "kms:Decrypt", "arn:aws:kms:us-east-1:"+home+":key/\x1b[2J"))
	if strings.ContainsRune(d.Reason+d.Hint, 0x1b) || !strings.Contains(d.Hint, "credential") || !strings.Contains(d.Hint, `"Action":"kms:Decrypt"`) {
		t.Errorf("control characters or no hint: %+v", d)
	}
}
