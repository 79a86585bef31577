package catalog

import (
	"maps"
	"slices"

	"casemate"
)

// checkMappings refuses event sources that do not hold together: each belongs to a function of the app, and calls it in a role
// of its own.
func (a *App) checkMappings() error {
	for id, m := range a.Mappings {
		if m == nil || m.ID != id || m.App != a.Name || a.Functions[m.Function] == nil || m.Batch < 1 || len(a.Roles[m.Role()].Statements) == 0 {
			return casemate.Errorf(casemate.Invalid, "deploy the app again", "app %s: the event source mapping %s is not its own", a.Name, id)
		}
	}
	for name, q := range a.Queues {
		if q == nil || q.DeadLetter != "" && a.Queues[q.DeadLetter] == nil {
			return casemate.Errorf(casemate.Invalid, "deploy the app again", "app %s: the queue %s has no dead-letter queue", a.Name, name)
		}
	}
	return nil
}

// Mappings lists every event source mapping, by its id.
func (s *Snapshot) Mappings() (all []*casemate.Mapping) {
	for _, a := range s.apps {
		all = slices.AppendSeq(all, maps.Values(a.Mappings))
	}
	slices.SortFunc(all, func(x, y *casemate.Mapping) int {
		if x.ID < y.ID {
			return -1
		}
		return 1
	})
	return all
}

// checkQueues refuses an app that declares a queue of another one.
func (b *builder) checkQueues(changed []*App) error {
	for _, a := range changed {
		for name := range a.Queues {
			for _, other := range b.Apps() {
				if other != a.Name && b.apps[other].Queues[name] != nil {
					return taken("queue", name, other)
				}
			}
		}
	}
	return nil
}
