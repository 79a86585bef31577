package egress

import (
	"slices"

	"casemate"
)

// Share says which runs go on at once from now on, the oldest first: what the sandbox does belongs to one of them. None is
// Begin(nil). What was done since the last Share, or Begin, is recorded before it returns. Connections go on. Every run brings
// the traffic that one may have, and nobody knows which of them uses it: together they have no more than that times their number,
// and what was used does not come back with the next. Share must not be called by two at once, or together with Begin.
func (d *Door) Share(ls []*casemate.Launch) {
	var next *run
	if n := int64(len(ls)); n > 0 {
		left := int64(0)
		if last := d.run.Load(); last != nil && len(d.sharing) > 0 {
			left = last.close()
		}
		for _, l := range ls {
			if !slices.Contains(d.sharing, l) {
				left += d.bound.Traffic
			}
		}
		next = newRun(min(left, n*d.bound.Traffic))
	}
	d.sharing = slices.Clone(ls)
	d.turn(next)
	for i := range d.opening.Endpoints {
		switch x := &d.opening.Endpoints[i]; {
		case x.Share != nil:
			x.Share(ls)
		case x.Begin != nil && len(ls) > 0:
			x.Begin(ls[0])
		case x.Begin != nil:
			x.Begin(nil)
		}
	}
}

// close has nothing counted any more, and says how much traffic was left.
func (r *run) close() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	return r.left
}
