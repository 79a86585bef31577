package catalog

import (
	"strings"
	"testing"

	"casemate"
	"casemate/policy"
	"casemate/store"
)

// real compiles policies as the node does, with an operator that may change everything.
func real(s store.Store) Config {
	cfg := config(s)
	cfg.Compile = func(p casemate.Policies) (casemate.Decider, error) { return policy.Compile(p) }
	cfg.Base = casemate.Policies{Identity: map[string][]casemate.Statement{"operator": {{Effect: casemate.Allow, Action: []string{"casemate:*"}, Resource: []string{"*"}}}}}
	return cfg
}

func may(c *Catalog, role, action, resource string) bool {
	p := &casemate.Principal{Kind: casemate.KindKey, ID: "key/x", Role: role, Account: c.cfg.Place.Account}
	return c.Snapshot().Policy.Decide(&casemate.AccessRequest{Principal: p, Action: action, Resource: resource, Account: c.cfg.Place.Account}).Verdict == casemate.Allowed
}

func statement(effect casemate.PolicyEffect, action string) casemate.Statement {
	return casemate.Statement{Effect: effect, Action: []string{action}, Resource: []string{"*"}}
}

// What the organisation sets holds over every app, survives a restart, and cannot lock its owner out.
func TestGuardrailsOfTheOrganisation(t *testing.T) {
	s := store.Memory(clock)
	c := open(t, real(s))
	a := app("a", 1)
	a.Roles["clerk"] = Role{Statements: []casemate.Statement{statement(casemate.Allow, "*")}}
	swap(t, c, a)
	if !may(c, "clerk", "s3:GetObject", "arn:aws:s3:::x") {
		t.Fatal("nothing was in the way")
	}
	set := func(c *Catalog, list ...casemate.Statement) error {
		return c.SetGuardrails(t.Context(), &Guardrails{Statements: list, By: "uid/0"})
	}
	if err := set(c, statement(casemate.Deny, "s3:*")); err != nil {
		t.Fatal(err)
	}
	again := open(t, real(s))
	for _, c := range []*Catalog{c, again} {
		if may(c, "clerk", "s3:GetObject", "arn:aws:s3:::x") || !may(c, "clerk", "sqs:SendMessage", "arn:aws:sqs:us-east-1:000000000000:q") {
			t.Error("a guardrail that only denies denies that, and no more")
		}
		if g, err := c.Guardrails(t.Context()); err != nil || len(g.Statements) != 1 || g.By != "uid/0" {
			t.Errorf("%+v, %v", g, err)
		}
	}
	// A later deploy does not shake it off, whatever it allows.
	swap(t, again, app("b", 1))
	if may(again, "clerk", "s3:GetObject", "arn:aws:s3:::x") {
		t.Error("a deploy took the guardrails away")
	}
	// One that allows is a list of all there is; the operator's own acts must be in it.
	if err := set(again, statement(casemate.Allow, "sqs:*")); casemate.CodeOf(err) != casemate.Conflict || !strings.Contains(err.Error(), "could undo this") {
		t.Errorf("locked out: %v", err)
	}
	if err := set(again, statement(casemate.Allow, "sqs:*"), statement(casemate.Allow, "casemate:*")); err != nil {
		t.Fatal(err)
	}
	if may(again, "clerk", "s3:GetObject", "arn:aws:s3:::x") || !may(again, "clerk", "sqs:SendMessage", "arn:aws:sqs:us-east-1:000000000000:q") {
		t.Error("a guardrail that allows is all that may be allowed")
	}
	if err := set(again); err != nil || !may(again, "clerk", "s3:GetObject", "arn:aws:s3:::x") {
		t.Errorf("taken back: %v", err)
	}
	for _, action := range []string{ActionGuardrails, "casemate:Deploy", "casemate:*", "*"} {
		if err := set(again, statement(casemate.Deny, action)); casemate.CodeOf(err) != casemate.Conflict {
			t.Errorf("%s: %v", action, err)
		}
	}
}

// dev, staging and production do not reach each other, however wide a role is; what is in none is a part of its own.
func TestEnvironmentsAreKeptApart(t *testing.T) {
	c := open(t, real(store.Memory(clock)))
	for name, environment := range map[string]string{"shop": "prod", "shopdev": "dev", "tools": ""} {
		a := app(name, 1)
		a.Environment = environment
		a.Roles["r-"+name] = Role{Statements: []casemate.Statement{statement(casemate.Allow, "*")}}
		swap(t, c, a)
	}
	place := c.cfg.Place
	first := func(app string) string {
		a, _ := c.Snapshot().App(app)
		for fn := range a.Functions {
			return place.FunctionARN(fn)
		}
		return ""
	}
	at := ":" + place.Region + ":" + place.Account + ":"
	for _, x := range []struct{ resource, environment string }{
		{"arn:aws:secretsmanager" + at + "secret:prod/db-a1B2c3", "prod"}, {"arn:aws:secretsmanager" + at + "secret:dev/db", "dev"}, {"arn:aws:secretsmanager" + at + "secret:db", ""},
		{"arn:aws:secretsmanager" + at + "secret:production/db", ""}, {"arn:aws:ssm" + at + "parameter/prod/url", "prod"}, {"arn:aws:dynamodb" + at + "table/prod-orders", "prod"},
		{"arn:aws:dynamodb" + at + "table/dev.orders/index/x", "dev"}, {"arn:aws:s3:::prod-photos/dev/1.jpg", "prod"}, {"arn:aws:sqs" + at + "dev_jobs", "dev"},
		{place.PlatformARN("object", "prod/7"), "prod"}, {place.RouteARN("shop", "GET", "/x"), "prod"}, {place.RouteARN("tools", "GET", "/x"), ""},
		{first("shop"), "prod"}, {first("shopdev") + ":1", "dev"}, {first("tools"), ""}, {place.PlatformARN("app", "shop"), "prod"},
	} {
		for role, environment := range map[string]string{"r-shop": "prod", "r-shopdev": "dev", "r-tools": ""} {
			if got := may(c, role, "lambda:InvokeFunction", x.resource); got != (environment == x.environment) {
				t.Errorf("%s on %s: %t", role, x.resource, got)
			}
		}
	}
	for _, role := range []string{"r-shop", "r-tools"} {
		if !may(c, role, "casemate:Connect", place.PlatformARN("host", "prod.example:443")) {
			t.Error("a host is in no environment")
		}
	}
	if !may(c, "operator", "casemate:Deploy", place.PlatformARN("app", "shop")) {
		t.Error("an operator keeps all of them")
	}
}
