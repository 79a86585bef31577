package deploy

import (
	"slices"
	"time"

	"casemate"
	"casemate/deploy/manifest"
)

// step is the step that a route is of a flow; nil: it is none.
func step(m *manifest.Manifest, key string) *casemate.FlowStep {
	for name, f := range m.Flows {
		if i := slices.Index(f.Steps, key); i >= 0 {
			s := &casemate.FlowStep{App: m.App, Name: name, Step: i + 1, Steps: len(f.Steps), Again: slices.Contains(f.Again, key), Key: f.Key, Within: manifest.FlowTime}
			fill(&s.Within, time.Duration(f.Within))
			return s
		}
	}
	return nil
}

// keep is how long answers of a route are kept; nil: not at all.
func keep(c *manifest.Cache) *casemate.Keep {
	if c == nil {
		return nil
	}
	vary := slices.Compact(slices.Sorted(slices.Values(c.Vary)))
	return &casemate.Keep{TTL: time.Duration(c.TTL), Vary: vary, Shared: c.For == "everybody"}
}

// steps tells which order of calls a route newly belongs to, and how long its answers are kept. Leaving an order, and
// giving everybody the same answer, open something.
func (c *comparer) steps(k string, was, is casemate.Route) {
	switch f := is.Flow; {
	case textOf(was.Flow) == textOf(f):
	case f == nil:
		c.say(KindPermission, "remove", k, true, "no step of flow %s any more: it can be called at any time", was.Flow.Name)
	default:
		c.say(KindPermission, "change", k, was.Flow != nil, "flow %s: step %d of %d, told by %s, within %s", f.Name, f.Step, f.Steps, f.Key, f.Within)
	}
	switch x := is.Keep; {
	case textOf(was.Keep) == textOf(x):
	case x == nil:
		c.say(KindRoute, "change", k, false, "answers are kept no more")
	case x.Shared:
		c.say(KindPermission, "change", k, true, "answers are kept for %s, and callers get each other's", x.TTL)
	default:
		c.say(KindRoute, "change", k, false, "answers are kept for %s", x.TTL)
	}
}
