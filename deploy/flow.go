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
