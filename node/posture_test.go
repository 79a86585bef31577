package node

import (
	"slices"
	"testing"
	"time"

	"casemate"
	"casemate/catalog"
)

// A route whose callers share a bound is not unlimited.
func TestPostureOfRates(t *testing.T) {
	for name, c := range map[string]struct {
		route casemate.Route
		want  bool
	}{
		"nothing":    {casemate.Route{}, true},
		"a rate":     {casemate.Route{Rate: casemate.Rate{PerSecond: 1}}, false},
		"a total":    {casemate.Route{Total: casemate.Limit{Rate: casemate.Rate{PerSecond: 1}}}, false},
		"a quota":    {casemate.Route{Total: casemate.Limit{Day: 1}}, false},
		"runs alone": {casemate.Route{Total: casemate.Limit{Concurrency: 1}}, true},
	} {
		c.route.Method, c.route.Auth.Kinds = "GET", []casemate.CredentialKind{casemate.CredentialKey}
		found := appPosture(&catalog.App{Name: "a", Routes: []casemate.Route{c.route}}, time.Now())
		if got := slices.ContainsFunc(found, func(f Finding) bool { return f.Kind == "unlimited" }); got != c.want {
			t.Errorf("%s: %+v", name, found)
		}
	}
}
