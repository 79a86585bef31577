package deploy

import (
	"strings"
	"testing"

	"casemate"
)

func TestDeleteShowsWhatGoesAndTakesItAway(t *testing.T) {
	d, _ := deployer(t)
	apply(t, d, project(t, shop+"guardrails:\n  - {Effect: Deny, Action: \"casemate:Connect\", Resource: \"*\"}\n"))
	var asked []string
	guarded := d.Under(Guard{Beyond: func(_ string, what []string) error { asked = what; return nil }})
	out, err := guarded.Delete(t.Context(), DeleteRequest{App: "shop", DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	text := out.Plan.String()
	for _, want := range []string{"role clerk: ", "route POST /orders: leads to orders no more", "function price: is gone"} {
		if !strings.Contains(text, want) {
			t.Errorf("the plan does not say %q:\n%s", want, text)
		}
	}
	if out.Changed || d.cfg.Catalog.Snapshot().Function("price") == nil || strings.Join(asked, " ") != "guardrails" {
		t.Fatalf("a dry run changed something, or nobody was asked about the guardrail: %v", asked)
	}
	if _, err := d.For("other").Delete(t.Context(), DeleteRequest{App: "shop"}); casemate.CodeOf(err) != casemate.Forbidden {
		t.Errorf("who may delete another app deleted this one: %v", err)
	}
	if _, err := d.Delete(t.Context(), DeleteRequest{App: "shop", Expect: 7}); casemate.CodeOf(err) != casemate.Conflict {
		t.Errorf("another generation: %v", err)
	}
	if out, err = d.Delete(t.Context(), DeleteRequest{App: "shop", Expect: 1}); err != nil || !out.Changed {
		t.Fatal(out, err)
	}
	if d.cfg.Catalog.Snapshot().Function("price") != nil || d.cfg.Catalog.Snapshot().HasRole("clerk") {
		t.Error("something of it is left")
	}
	if _, err := d.Delete(t.Context(), DeleteRequest{App: "shop"}); casemate.CodeOf(err) != casemate.NotFound {
		t.Errorf("twice: %v", err)
	}
	if out := apply(t, d, project(t, shop)); !out.Changed || out.Generation != 1 {
		t.Errorf("deploying it again: %+v", out)
	}
}
