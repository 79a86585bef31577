package queue

import (
	"maps"
	"slices"

	"casemate"
)

// Declarable refuses declared queues that Declare could not make: of a name that another app or another kind of queue has, or more than
// there is room for. What a disk says is found out by Declare alone.
func (r *Room) Declarable(app string, specs map[string]Spec) error {
	fresh := 0
	for _, name := range slices.Sorted(maps.Keys(specs)) {
		spec := specs[name]
		if err := CheckName(name, spec.FIFO); err != nil {
			return err
		}
		q, err := r.Queue(name)
		if err != nil {
			fresh++
			continue
		}
		if err := mayTake(q.Definition(), app, &spec); err != nil {
			return err
		}
	}
	if n := len(r.List("")) + fresh; fresh > 0 && n > r.cfg.Queues {
		return casemate.Errorf(casemate.Exhausted, "delete queues that nobody needs: casemate queue list", "there would be %d queues, and this node takes %d", n, r.cfg.Queues)
	}
	return nil
}

// mayTake refuses a declaration of a queue that is another app's, or of the other kind.
func mayTake(d *Definition, app string, spec *Spec) error {
	switch {
	case d.App != "" && d.App != app:
		return casemate.Errorf(casemate.Conflict, "choose another name", "the queue %s belongs to app %s", d.Name, d.App)
	case d.Spec.FIFO != spec.FIFO:
		return casemate.Errorf(casemate.Conflict, "choose another name, or delete the queue", "the queue %s is there and of the other kind", d.Name)
	}
	return nil
}

// Found reports whether a queue is there that no app declares, and that app was not the last to: messages of others may be in it.
func (r *Room) Found(app, name string) bool {
	q, err := r.Queue(name)
	if err != nil {
		return false
	}
	d := q.Definition()
	return d.App == "" && d.Was != app
}
