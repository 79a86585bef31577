package diff

import (
	"slices"
	"strings"
	"testing"
	"time"

	"casemate"
	"casemate/catalog"
)

// planOf is what the plan says of routes, from one state to another.
func planOf(was, is casemate.Route) (said []Change) {
	c := comparer{}
	c.routes(&catalog.App{Routes: []casemate.Route{was}}, &catalog.App{Routes: []casemate.Route{is}})
	return c.changes
}

// Lambda checklist: 57
func TestPlanTellsOfTimeouts(t *testing.T) {
	r := casemate.Route{ID: "GET /a", Payload: "rest"}
	longer := r
	longer.Timeout = time.Minute
	if said := planOf(r, longer); len(said) != 1 || !strings.Contains(said[0].Text, "requests may take 1m0s") {
		t.Errorf("%+v", said)
	}
	if said := planOf(longer, r); len(said) != 1 || !strings.Contains(said[0].Text, "requests may take 29s") {
		t.Errorf("%+v", said)
	}
}

// A URL that Lambda's API made, and that a manifest takes away, stands with the permissions.
func TestPlanTellsOfURLsThatGo(t *testing.T) {
	c := comparer{}
	url := casemate.Route{ID: "$default", URL: true, Function: "f", Managed: &casemate.ManagedURL{}}
	c.routes(&catalog.App{Routes: []casemate.Route{url}}, &catalog.App{})
	if !slices.ContainsFunc(c.changes, func(x Change) bool {
		return x.Kind == KindPermission && strings.Contains(x.Text, "made through Lambda's API")
	}) {
		t.Errorf("%+v", c.changes)
	}
}
