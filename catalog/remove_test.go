package catalog

import (
	"testing"

	"casemate"
	"casemate/store"
)

func TestRemoveTakesEverythingOfAnAppAndNothingElse(t *testing.T) {
	s := store.Memory(clock)
	c := open(t, config(s))
	a, b := app("orders", 2, "GET /orders/{id}"), app("stock", 1, "GET /stock")
	a.Roles["clerk"] = Role{Statements: []casemate.Statement{{Effect: casemate.Allow, Action: []string{"x:y"}, Resource: []string{"*"}}}}
	a.Plans = map[string]*casemate.Plan{"basic": {Name: "basic", App: "orders", Limit: casemate.Limit{Day: 5}}}
	swap(t, c, a)
	swap(t, c, b)
	_, revision := c.Snapshot().App("orders")
	if err := c.Remove(t.Context(), "orders", revision+1, now); casemate.CodeOf(err) != casemate.Conflict {
		t.Fatalf("another revision: %v", err)
	}
	if err := c.CheckRemove(t.Context(), "orders", now); err != nil {
		t.Fatal(err)
	}
	if c.Snapshot().Function("orders-0") == nil {
		t.Fatal("a check took something away")
	}
	if err := c.Remove(t.Context(), "orders", revision, now); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]*Catalog{"at once": c, "after a restart": open(t, config(s))} {
		snap := c.Snapshot()
		if got := snap.Apps(); len(got) != 1 || got[0] != "stock" || snap.Function("orders-0") != nil || snap.HasRole("clerk") || snap.HasPlan("basic") || len(c.History("orders")) != 0 {
			t.Errorf("%s: something is left of it: %v", what, got)
		}
		if _, err := c.Resolve(get("GET", "/orders/7")); casemate.CodeOf(err) != casemate.NotFound {
			t.Errorf("%s: its route leads somewhere: %v", what, err)
		}
		if m, err := c.Resolve(get("GET", "/stock")); err != nil || len(m.Policy.(*stand).p.Identity["clerk"]) != 0 {
			t.Errorf("%s: the other app: %v", what, err)
		}
	}
	if err := c.Remove(t.Context(), "orders", 0, now); casemate.CodeOf(err) != casemate.NotFound {
		t.Errorf("twice: %v", err)
	}
	swap(t, c, app("orders", 1, "GET /orders/{id}"))
	if a, _ := c.Snapshot().App("orders"); a == nil || a.Generation != 1 {
		t.Errorf("a new app of the same name: %+v", a)
	}
}
