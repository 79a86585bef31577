package policy_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"casemate"
	"casemate/policy"
)

// An empty list of members let anybody delete anything: the engine asked nobody, and nobody said no. Here every list that can
// be empty is, one after the other and together, on every verb alike.
func TestGHSA_m8xg_8xg9_mxhm_EmptySetRefuses(t *testing.T) {
	nothing, none := []casemate.Statement{}, []string{}
	verbs := []string{"casemate:ReadApp", "casemate:CreateApp", "casemate:UpdateApp", "casemate:DeleteApp", "lambda:DeleteFunction", "s3:DeleteObject"}
	sets := map[string]casemate.Policies{
		"no policy at all": {}, "empty maps": {Identity: map[string][]casemate.Statement{}, Boundary: map[string][]casemate.Statement{}, Resource: map[string][]casemate.Statement{}},
		"empty role":             {Identity: map[string][]casemate.Statement{"clerk": nothing}},
		"empty boundary":         {Identity: roles("clerk", allow("*", "*")).Identity, Boundary: map[string][]casemate.Statement{"clerk": nothing}},
		"guardrails only deny":   {Identity: roles("clerk", allow("*", "*")).Identity, Guardrails: []casemate.Statement{deny("x:y", "*")}},
		"empty resource policy":  {Resource: map[string][]casemate.Statement{casemate.DefaultPlace.PlatformARN("app", "x"): nothing}},
		"role of another":        roles("boss", allow("*", "*")),
		"environment of nothing": {Environments: []casemate.Environment{{Name: "prod"}}},
	}
	for name, p := range sets {
		set := mustCompile(t, p)
		for _, verb := range verbs {
			if d := set.Decide(ask(clerk(), verb, casemate.DefaultPlace.PlatformARN("app", "x"))); d.Verdict == casemate.Allowed || d.Reason == "" {
				t.Errorf("%s: %s is allowed: %+v", name, verb, d)
			}
		}
	}
	// A scope that is there and empty allows nothing; one that is not there limits nothing.
	p := clerk()
	p.Scope = nothing
	if d := mustCompile(t, roles("clerk", allow("*", "*"))).Decide(ask(p, "s3:DeleteObject", "arn:aws:s3:::x")); d.Verdict == casemate.Allowed || d.Layer != policy.LayerSession {
		t.Errorf("an empty scope: %+v", d)
	}
	// And a statement with an empty list is no statement.
	for name, s := range map[string]casemate.Statement{
		"no action": {Effect: casemate.Allow, Action: none, Resource: []string{"*"}}, "no resource": {Effect: casemate.Allow, Action: []string{"*"}, Resource: none},
		"no value":     {Effect: casemate.Allow, Action: []string{"*"}, Resource: []string{"*"}, Condition: map[string]map[string][]string{"StringEquals": {"jwt:sub": none}}},
		"no condition": {Effect: casemate.Allow, Action: []string{"*"}, Resource: []string{"*"}, Condition: map[string]map[string][]string{"StringEquals": {}}},
		"no effect":    {Action: []string{"*"}, Resource: []string{"*"}},
	} {
		if _, err := policy.Compile(roles("clerk", s)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// An engine that skips a rule that it cannot evaluate fails open when that rule forbids (facts of threats, 3.5).
func TestErroringDenyRefuses(t *testing.T) {
	open := allow("*", "*")
	for name, d := range map[string]casemate.Statement{
		"number of a text":          when(deny("s3:*", "*"), "NumericLessThan", "s:n", "5"),
		"date of a text":            when(deny("s3:*", "*"), "DateLessThan", "s:date", "2030-01-01"),
		"address of a text":         when(deny("s3:*", "*"), "IpAddress", "aws:sourceip", "10.0.0.0/8"),
		"boolean of a text":         when(deny("s3:*", "*"), "Bool", "s:flag", "true"),
		"two values":                when(deny("s3:*", "*"), "StringEquals", "s:two", "a"),
		"variable without a value":  deny("s3:*", "arn:aws:s3:::${jwt:tenant}/*"),
		"variable with a slash":     deny("s3:*", "arn:aws:s3:::photos/${aws:PrincipalTag/path}/*"),
		"condition with a variable": when(deny("s3:*", "*"), "StringEquals", "s:two", "${jwt:tenant}"),
		"two tags of one name":      when(deny("s3:*", "*"), "StringEquals", "aws:PrincipalTag/dup", "x"),
	} {
		p := clerk()
		p.Tags = map[string]string{"path": "a/b", "dup": "1", "Dup": "2"}
		r := ask(p, "s3:GetObject", "arn:aws:s3:::photos/a/b/1.jpg")
		r.Context = map[string][]string{"s:n": {"many"}, "s:date": {"soon"}, "aws:sourceip": {"here"}, "s:flag": {"perhaps"}, "s:two": {"a", "b"}}
		if got := mustCompile(t, roles("clerk", open)).Decide(r); got.Verdict != casemate.Allowed {
			t.Fatalf("%s: refused without the deny: %+v", name, got)
		}
		if got := mustCompile(t, roles("clerk", open, d)).Decide(r); got.Verdict == casemate.Allowed || !strings.Contains(got.Reason, "denies") && !strings.Contains(got.Reason, "so it applies") {
			t.Errorf("%s: %+v", name, got)
		}
		d.Effect = casemate.Allow
		if got := mustCompile(t, roles("clerk", d)).Decide(r); got.Verdict == casemate.Allowed {
			t.Errorf("%s: allowed by what cannot be evaluated: %+v", name, got)
		}
	}
}

// The table of verb x resource x role is complete: what a grant says is what may be done, and nothing beside it, whichever
// way round it is asked. (Elsewhere a check stood on GET and was skipped on PUT and DELETE: CVE-2026-45730.)
func TestGHSA_m8xg_8xg9_mxhm_EveryVerbIsChecked(t *testing.T) {
	place := casemate.DefaultPlace
	kinds := map[string]string{
		"read table/orders": "arn:aws:dynamodb:us-east-1:000000000000:table/orders", "write table/orders": "arn:aws:dynamodb:us-east-1:000000000000:table/orders",
		"read secret/db": "arn:aws:secretsmanager:us-east-1:000000000000:secret:db-a1B2c3", "write secret/db": "arn:aws:secretsmanager:us-east-1:000000000000:secret:db-a1B2c3",
		"read object/orders": place.PlatformARN("object", "orders"), "write object/orders": place.PlatformARN("object", "orders"),
		"send queue/jobs": "arn:aws:sqs:us-east-1:000000000000:jobs", "receive queue/jobs": "arn:aws:sqs:us-east-1:000000000000:jobs",
		"read parameter/app": "arn:aws:ssm:us-east-1:000000000000:parameter/app", "write parameter/app": "arn:aws:ssm:us-east-1:000000000000:parameter/app",
		"publish topic/news": "arn:aws:sns:us-east-1:000000000000:news", "invoke price": place.FunctionARN("price"),
	}
	verbs := []string{"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:DeleteItem", "dynamodb:DeleteTable", "secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue",
		"secretsmanager:DeleteSecret", "casemate:ReadObject", "casemate:WriteObject", "casemate:Deploy", "sqs:SendMessage", "sqs:ReceiveMessage", "sqs:DeleteQueue", "sqs:GetQueueUrl",
		"ssm:GetParameter", "ssm:PutParameter", "sns:Publish", "sns:DeleteTopic", "lambda:InvokeFunction", "lambda:DeleteFunction", "iam:PassRole"}
	grants := slices.Sorted(maps.Keys(kinds))
	list := map[string][]casemate.Statement{}
	said := map[string]*casemate.Statement{}
	for _, g := range grants {
		s, err := policy.Grant(place, "orders", g, "here")
		if err != nil {
			t.Fatal(err)
		}
		list[g], said[g] = []casemate.Statement{s}, &s
	}
	set := mustCompile(t, casemate.Policies{Identity: list})
	cells := 0
	for _, role := range grants {
		for _, of := range grants {
			for _, verb := range verbs {
				p := clerk()
				p.Role = role
				want := slices.Contains(said[role].Action, verb) && kinds[of] == kinds[role]
				if d := set.Decide(ask(p, verb, kinds[of])); (d.Verdict == casemate.Allowed) != want {
					t.Errorf("%s: %s on %s: %+v", role, verb, kinds[of], d)
				}
				cells++
			}
		}
	}
	if want := len(grants) * len(grants) * len(verbs); cells != want || cells < 3000 {
		t.Error(fmt.Sprint(cells, " cells"))
	}
}
