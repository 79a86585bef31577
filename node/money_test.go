package node

import (
	"strings"
	"testing"
	"time"

	"casemate"
	"casemate/catalog"
	"casemate/policy"
	"casemate/shield"
	"casemate/store"
)

// TestMayConnect: in doubt a function reaches the outside, and a budget holds the price of all its traffic.
func TestMayConnect(t *testing.T) {
	allow := func(actions ...string) casemate.Statement {
		return casemate.Statement{Effect: casemate.Allow, Action: actions, Resource: []string{"*"}}
	}
	deny := allow("casemate:Connect")
	deny.Effect = casemate.Deny
	for _, c := range []struct {
		list []casemate.Statement
		want bool
	}{
		{nil, false}, {[]casemate.Statement{allow("lambda:InvokeFunction", "secretsmanager:GetSecretValue")}, false}, {[]casemate.Statement{deny}, false},
		{[]casemate.Statement{allow("casemate:Connect")}, true}, {[]casemate.Statement{allow("CASEMATE:connect")}, true}, {[]casemate.Statement{allow("lambda:InvokeFunction"), allow("casemate:Con*")}, true},
		{[]casemate.Statement{allow("*")}, true}, {[]casemate.Statement{allow("casemate:Connec?")}, true}, {[]casemate.Statement{{Effect: casemate.Allow, NotAction: []string{"s3:*"}}}, true},
	} {
		if got := mayConnect(c.list); got != c.want {
			t.Errorf("%+v: %v", c.list, got)
		}
	}
}

// TestWhatALentRoleReaches: a function with a role that it was given through Lambda's API had no traffic held for it, and was shown to
// operators as one that may do nothing.
func TestWhatALentRoleReaches(t *testing.T) {
	c, err := catalog.Open(t.Context(), catalog.Config{Store: store.Memory(time.Now), Place: casemate.DefaultPlace, Contract: shield.Compile,
		Compile: func(p casemate.Policies) (casemate.Decider, error) { return policy.Compile(p) }})
	if err != nil {
		t.Fatal(err)
	}
	v := &casemate.Version{App: "shop", Function: "f", Number: 1, ID: strings.Repeat("a", 64), Code: strings.Repeat("b", 64), ARN: casemate.DefaultPlace.FunctionARN("f"),
		Account: casemate.DefaultPlace.Account, Runtime: "wasm", Role: catalog.ExecutionRole("f"), Limits: casemate.DefaultLimits()}
	reach := casemate.Statement{Effect: casemate.Allow, Action: []string{"casemate:Connect"}, Resource: []string{"*"}}
	a := &catalog.App{Name: "shop", Functions: map[string]*catalog.Function{"f": {Live: 1, Versions: []*casemate.Version{v}, Managed: &catalog.Managed{Role: "courier"}}},
		Roles: map[string]catalog.Role{v.Role: {}, "courier": {Statements: []casemate.Statement{reach}, Boundary: []casemate.Statement{reach}}}}
	if err := c.Swap(t.Context(), a, 0); err != nil {
		t.Fatal(err)
	}
	n := &node{catalog: c}
	if r := c.Snapshot().Role(v.Role); !n.reachesOutside(v) || len(r.Statements) != 1 || len(r.Boundary) != 1 {
		t.Errorf("%+v reaches nothing", r)
	}
	if stranger := (&casemate.Version{Role: "function/gone"}); !n.reachesOutside(stranger) {
		t.Error("in doubt it does")
	}
}

func TestMonths(t *testing.T) {
	if from, until, err := Month("2026-12"); err != nil || from.Format("2006-01-02") != "2026-12-01" || until.Format("2006-01-02") != "2027-01-01" {
		t.Errorf("%v to %v, %v", from, until, err)
	}
	for _, s := range []string{"2026", "2026-13", "may", "2026-5", "2026-05-01"} {
		if _, _, err := Month(s); casemate.CodeOf(err) != casemate.Invalid {
			t.Errorf("%q is a month, %v", s, err)
		}
	}
}
