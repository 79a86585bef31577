package catalog

import (
	"maps"
	"math"

	"casemate"
)

// Plan gives the usage plan of a principal: its own, else that of its role; nil when it has none. A plan that does not
// exist is an error: who was to be limited is not let in without limits.
func (s *Snapshot) Plan(p *casemate.Principal) (*casemate.Plan, error) {
	name := p.Plan
	if name == "" {
		r, _, _ := s.written(p.Role)
		if name = r.Plan; name == "" {
			return nil, nil
		}
	}
	if plan := s.plans[name]; plan != nil {
		return plan, nil
	}
	e := casemate.Errorf(casemate.Exhausted, "ask the operator to deploy the plan again, or for another key", "the usage plan %q is not there any more", name)
	e.Rule, e.Retry = "plan "+name, 60
	return nil, e
}

// HasPlan reports whether a usage plan exists.
func (s *Snapshot) HasPlan(name string) bool { return s.plans[name] != nil }

// Plans lists every usage plan, by name. They must not be changed.
func (s *Snapshot) Plans() map[string]*casemate.Plan { return s.plans }

// plan takes over the plans of changed apps. A name belongs to one app.
func (b *builder) plan(old *Snapshot, changed []*App) error {
	b.plans = old.plans
	for _, a := range changed {
		if was := old.apps[a.Name]; len(a.Plans) == 0 && (was == nil || len(was.Plans) == 0) {
			continue
		}
		b.plans = maps.Clone(b.plans)
		if b.plans == nil {
			b.plans = map[string]*casemate.Plan{}
		}
		maps.DeleteFunc(b.plans, func(_ string, p *casemate.Plan) bool { return p.App == a.Name })
	}
	for _, a := range changed {
		for name, p := range a.Plans {
			if other := b.plans[name]; other != nil {
				return casemate.Errorf(casemate.Conflict, "choose another name", "the usage plan %q belongs to app %s", name, other.App)
			}
			b.plans[name] = p
		}
	}
	return nil
}

// checkLimits refuses limits that nobody can have meant: they would be taken for none.
func (a *App) checkLimits() error {
	bad := func(what string) error {
		return casemate.Errorf(casemate.Invalid, "deploy the app again", "app %s: the limits of %s are no limits", a.Name, what)
	}
	for name, p := range a.Plans {
		if p == nil || p.Name != name || p.App != a.Name || !sound(p.Limit) {
			return bad("plan " + name)
		}
		for route, l := range p.Routes {
			if !sound(l) {
				return bad("plan " + name + " on route " + route)
			}
		}
	}
	for i := range a.Routes {
		if !sound(a.Routes[i].Total) {
			return bad("route " + a.Routes[i].ID)
		}
	}
	for name, f := range a.Functions {
		for _, v := range f.Versions {
			if l := &v.Limits; l.Reserved != nil && *l.Reserved < 0 || l.Day < 0 || l.Month < 0 {
				return bad("function " + name)
			}
		}
	}
	return nil
}

func sound(l casemate.Limit) bool {
	rate := l.Rate == (casemate.Rate{}) || l.Rate.PerSecond > 0 && !math.IsInf(l.Rate.PerSecond, 0) && l.Rate.Burst > 0
	return rate && l.Concurrency >= 0 && l.Day >= 0 && l.Month >= 0
}
