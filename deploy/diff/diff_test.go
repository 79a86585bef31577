package diff

import (
	"slices"
	"strings"
	"testing"
	"time"

	"casemate"
	"casemate/catalog"
)

// Whatever bounds callers, or keeps requests and answers clean, is in the plan when it changes; what is weaker comes first.
func TestPlanTellsWhatIsLoosened(t *testing.T) {
	app := func(change func(a *catalog.App, r *casemate.Route, v *casemate.Version)) *catalog.App {
		v := &casemate.Version{Function: "f", ID: "1", Number: 1}
		a := &catalog.App{Name: "shop", Generation: 1, Functions: map[string]*catalog.Function{"f": {Versions: []*casemate.Version{v}, Live: 1}}, Routes: []casemate.Route{{ID: "GET /f", Function: "f"}},
			Plans: map[string]*casemate.Plan{"basic": {Name: "basic", Limit: casemate.Limit{Day: 10}, Routes: map[string]casemate.Limit{"GET /f": {Day: 5}}}}, Roles: map[string]catalog.Role{"r": {Plan: "basic"}}}
		if change != nil {
			change(a, &a.Routes[0], v)
			if v.Spare > 0 || v.Limits.Reserved != nil || v.Screen != nil || v.Async.Retries > 0 || v.Limits.Day > 0 {
				v.ID = "2"
			}
		}
		return a
	}
	day := func(n int) time.Time { return time.Date(2027, 1, n, 0, 0, 0, 0, time.UTC) }
	four := 4
	type edit = func(a *catalog.App, r *casemate.Route, v *casemate.Version)
	except := func(until time.Time) edit {
		return func(_ *catalog.App, r *casemate.Route, _ *casemate.Version) {
			r.Screen.Except = []casemate.ScreenExcept{{Rule: "1", Field: "body/q", Exception: casemate.Exception{Reason: "SQL", Expires: until}}}
		}
	}
	for _, c := range []struct {
		was, is    edit
		want, back string
	}{
		{nil, func(_ *catalog.App, r *casemate.Route, _ *casemate.Version) { r.Screen.Mode = "tag" }, "  ~! route GET /f: screen: tag instead of block\n", "  ~  route GET /f: screen: block instead of tag\n"},
		{nil, func(_ *catalog.App, r *casemate.Route, _ *casemate.Version) { r.Screen.Profile = "crs" }, "  ~  route GET /f: screen profile: crs", "  ~! route GET /f: screen profile: casemate"},
		{nil, except(day(1)), "  +! route GET /f: rule 1 in body/q lets it pass until 2027-01-01: SQL", "  -  route GET /f: rule 1 in body/q has no exception"},
		{except(day(1)), except(day(9)), "  +! route GET /f: rule 1", "  +  route GET /f: rule 1"},
		{nil, func(_ *catalog.App, r *casemate.Route, _ *casemate.Version) { r.Leaks.Secrets = "off" }, "  ~! route GET /f: leaks of secrets: off instead of blocked or masked", "  ~  route GET /f: leaks of secrets"},
		{nil, func(_ *catalog.App, r *casemate.Route, _ *casemate.Version) { r.Leaks.Personal = "mask" }, "  ~  route GET /f: leaks of personal data: mask", "  ~! route GET /f: leaks of personal data: off"},
		{nil, func(_ *catalog.App, r *casemate.Route, _ *casemate.Version) { r.Leaks.Traces = "off" }, "  ~! route GET /f: leaks of traces", "  ~  route GET /f: leaks of traces"},
		{nil, func(_ *catalog.App, r *casemate.Route, _ *casemate.Version) { r.Total.Day = 3 }, "  ~  route GET /f over all callers: a day 3 instead of any number", "  ~! route GET /f over all callers: a day any number"},
		{nil, func(a *catalog.App, _ *casemate.Route, _ *casemate.Version) { a.Plans["basic"].Day = 20 }, "  ~! plan basic: a day 20 instead of 10", "  ~  plan basic"},
		{nil, func(a *catalog.App, _ *casemate.Route, _ *casemate.Version) { a.Plans["basic"].Routes = nil }, "  -! plan basic on GET /f: 5 a day", "  +  plan basic on GET /f: 5 a day"},
		{nil, func(a *catalog.App, _ *casemate.Route, _ *casemate.Version) { a.Plans = nil }, "  -  plan basic", "  +  plan basic: 10 a day"},
		{nil, func(a *catalog.App, _ *casemate.Route, _ *casemate.Version) {
			a.Roles = map[string]catalog.Role{"r": {}}
		}, "  ~! role r: plan none instead of basic", "  ~  role r: plan basic"},
		{nil, func(_ *catalog.App, _ *casemate.Route, v *casemate.Version) { v.Screen = &casemate.Screen{Mode: "off"} }, "  ~! function f: screen: off", "  ~  function f: screen: block"},
		{nil, func(_ *catalog.App, _ *casemate.Route, v *casemate.Version) { v.Spare = 2 }, "  ~! function f: provisioned 2 instead of 0", "  ~  function f: provisioned 0"},
		{nil, func(_ *catalog.App, _ *casemate.Route, v *casemate.Version) { v.Limits.Reserved = &four }, "  ~! function f: reserved_concurrency 4 instead of none", "function f: reserved_concurrency none instead of 4"},
		{nil, func(_ *catalog.App, _ *casemate.Route, v *casemate.Version) { v.Limits.Day = 5 }, "  ~  function f: a day 5", "  ~! function f: a day any number"},
		{nil, func(_ *catalog.App, _ *casemate.Route, v *casemate.Version) { v.Async.Retries = 2 }, "  ~! function f: retries 2", "  ~  function f: retries 0"},
	} {
		for _, way := range []struct {
			p    Changes
			want string
		}{{Of(app(c.was), app(c.is)), c.want}, {Of(app(c.is), app(c.was)), c.back}} {
			if !strings.Contains(way.p.String(), way.want) {
				t.Errorf("%s\nwant %q", way.p, way.want)
			}
		}
	}
	first := Of(app(nil), app(func(_ *catalog.App, r *casemate.Route, _ *casemate.Version) {
		r.Leaks = casemate.Leaks{Secrets: "block"}
		r.Screen.Mode = "off"
		r.Total.Day = 1
	}))
	if i := slices.IndexFunc(first, func(c Change) bool { return c.Wider }); i != 0 {
		t.Errorf("what is weaker does not come first: %+v", first)
	}
	if p := Of(app(nil), app(nil)); len(p) > 0 {
		t.Errorf("no change: %s", p)
	}
}
