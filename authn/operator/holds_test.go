package operator

import (
	"testing"
	"time"

	"casemate"
)

// What was verified once is looked at again as long as it lasts: Holds says no where Verify would give less.
func TestHolds(t *testing.T) {
	lasting := func(change func(n *node, id string)) bool {
		n := start(t)
		_, o := n.add("ada", RoleView, RoleAudit)
		p, err := n.Verify(o.Token, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := n.Holds(p); err != nil {
			t.Fatal(err)
		}
		change(n, o.Session.ID)
		return n.Holds(p) == nil
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for what, change := range map[string]func(n *node, id string){
		"revoked": func(n *node, id string) { must(n.Revoke(t.Context(), id)) },
		"removed": func(n *node, _ string) { must(n.Remove(t.Context(), socket, "ada")) },
		"idle":    func(n *node, _ string) { n.clock.Advance(DefaultIdle) },
		"less roles": func(n *node, _ string) {
			_, err := n.SetRoles(t.Context(), socket, "ada", []string{RoleView})
			must(err)
		},
		"another's": func(n *node, id string) { must(n.Revoke(t.Context(), id)); n.add("bob", RoleView, RoleAudit) },
		"reset factors": func(n *node, _ string) {
			_, _, err := n.Reset(t.Context(), socket, "ada", Reset{Factors: true})
			must(err)
		},
	} {
		if lasting(change) {
			t.Errorf("%s: it holds", what)
		}
	}
	if !lasting(func(n *node, _ string) { n.clock.Advance(time.Minute) }) {
		t.Error("nothing happened, and it does not hold")
	}
	n := start(t)
	_, o := n.add("ada", RoleView)
	_, err := n.BreakGlass(t.Context(), o.Session.ID, "the hall is on fire", time.Minute)
	must(err)
	p, err := n.Verify(o.Token, nil)
	must(err)
	n.clock.Advance(time.Minute)
	if n.Holds(p) == nil {
		t.Error("what the broken glass opened outlasts it")
	}
	if n.Holds(&casemate.Principal{Kind: casemate.KindOperator, ID: "operator/ada", Role: p.Role}) == nil {
		t.Error("it holds without a session")
	}
}

// After a start, who waits is refused as slowly as who is looked at: only names that exist still wait then.
func TestTheFirstRefusalTakesItsTime(t *testing.T) {
	now := time.Unix(1e9, 0)
	h := newHasher(func() time.Time { now = now.Add(time.Second); return now }, 64)
	if took := time.Duration(h.usual.Load()); took != time.Second {
		t.Errorf("it lingers for %v", took)
	}
}
