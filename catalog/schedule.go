package catalog

import (
	"cmp"
	"maps"
	"slices"

	"casemate"
)

// checkSchedules refuses schedules that do not hold together: each belongs to a function of the app, and calls it in a role of
// its own.
func (a *App) checkSchedules() error {
	for name, s := range a.Schedules {
		if s == nil || s.Name != name || s.App != a.Name || a.Functions[s.Function] == nil || s.When == "" || len(a.Roles[s.Role()].Statements) == 0 {
			return casemate.Errorf(casemate.Invalid, "deploy the app again", "app %s: the schedule %s is not its own", a.Name, name)
		}
	}
	return nil
}

// Schedules lists every schedule, by app and name.
func (s *Snapshot) Schedules() (all []*casemate.Schedule) {
	for _, a := range s.apps {
		all = slices.AppendSeq(all, maps.Values(a.Schedules))
	}
	slices.SortFunc(all, func(x, y *casemate.Schedule) int { return cmp.Compare(x.ID(), y.ID()) })
	return all
}
