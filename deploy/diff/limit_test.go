package diff

import (
	"strings"
	"testing"

	"casemate"
	"casemate/catalog"
)

// TestPlanTellsOfBudgets: a ceiling that goes or rises lets more be spent, and the plan says so.
func TestPlanTellsOfBudgets(t *testing.T) {
	app := func(bs ...casemate.Budget) *catalog.App {
		return &catalog.App{Name: "shop", Generation: 1, Budgets: bs}
	}
	b := func(amount casemate.Money, soft bool) casemate.Budget {
		return casemate.Budget{App: "shop", For: "app/shop", Per: "day", Amount: amount * casemate.Unit, Soft: soft, Origin: "casemate.yaml:9"}
	}
	moved := b(5, false)
	moved.Origin = "casemate.yaml:20"
	for _, c := range []struct {
		was, is *catalog.App
		want    string
	}{
		{app(), app(b(5, false)), "  +  budget shop: app/shop per day: 5.00\n"}, {app(b(5, false)), app(b(6, false)), "  ~! budget shop: app/shop per day: 6.00, was 5.00\n"},
		{app(b(5, false)), app(b(4, false)), "  ~  budget"}, {app(b(5, false)), app(), "  -! budget"}, {app(b(5, true)), app(), "  -  budget"},
	} {
		if p := Of(c.was, c.is); !strings.Contains(p.String(), c.want) || len(p) == 0 {
			t.Errorf("%s, want %q", p, c.want)
		}
	}
	if p := Of(app(b(5, false)), app(moved)); len(p) != 0 {
		t.Errorf("a line moved: %s", p)
	}
}
