package sandbox

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"casemate"
	"casemate/sandbox/jail"
)

// atOnce is how many events a sandbox of a version is given at once. It is one but for what must be asked for: the events share
// memory, so isolation warm alone has it, and the runtime must ask for several, which the interpreters here do not.
func atOnce(v *casemate.Version) int {
	if v.Isolation != casemate.IsolationWarm || v.Runtime.Family() != "provided" {
		return 1
	}
	return min(v.AtOnce(), casemate.MaxAtOnce)
}

// shift is the events that a sandbox has in flight at once. Time is cut wherever one begins or ends: what the sandbox used and did
// in a stretch belongs to those that were in flight in it. What is measured is divided among them, so that the sum is what was
// used; what is seen is told in the record of each.
type shift struct {
	most     int
	places   int  // that runs have; under the pool's lock
	draining bool // it takes no more events; likewise

	fail sync.Once // over its end

	mu    sync.Mutex // over the rest: one cut at a time
	runs  []*run     // in flight, the oldest first
	since time.Time  // of this stretch
	late  []string   // events that passed their deadline and may still be worked on
}

// portion is what a run bears of what its sandbox used and did while it was in flight.
type portion struct {
	cpu    time.Duration
	wall   time.Duration
	peak   int64
	list   []casemate.Effect
	known  map[deed]int      // where in list
	more   casemate.Unlisted // effects that are not in it
	beside []string          // the other events
	late   []string          // of them those that were over, and not done
}

// sharer is a Door that lets several runs share it.
type sharer interface {
	Share(ls []*casemate.Launch) // as egress.Door
}

// cut ends a stretch, and begins the next one with the runs that change makes of those in flight.
func (i *instance) cut(clock func() time.Time, change func([]*run) []*run) time.Time {
	s := i.shift
	s.mu.Lock()
	defer s.mu.Unlock()
	now := clock()
	old := s.runs
	s.runs = change(slices.Clone(old))
	if len(old) > 0 {
		used := i.usage()
		i.opened(now)
		i.lead(s.runs) // records what the stretch let out
		s.divide(old, used, now.Sub(s.since), i.fx.take(now))
	} else {
		i.lead(s.runs) // what was before the first event is that event's, as its start is
	}
	s.since = now
	if len(s.runs) > 0 {
		i.observe()
	}
	return now
}

// lead says to the door whose sandbox it is.
func (i *instance) lead(runs []*run) {
	share, ok := i.door.(sharer)
	switch {
	case i.door == nil:
	case ok:
		ls := make([]*casemate.Launch, len(runs))
		for k, r := range runs {
			ls[k] = r.launch
		}
		share.Share(ls)
	case len(runs) > 0:
		i.door.Begin(runs[0].launch)
	default:
		i.door.Begin(nil)
	}
}

// part is the k-th of n parts whose sum is all.
func part[T ~int64](all T, n, k int) T {
	p := all / T(n)
	if T(k) < all%T(n) {
		p++
	}
	return p
}

// divide gives each run its part of a stretch. The caller holds the lock.
func (s *shift) divide(runs []*run, used jail.Usage, took time.Duration, fx []casemate.Effect) {
	n := len(runs)
	for k, r := range runs {
		p := &r.portion
		p.cpu += part(used.CPU, n, k)
		p.wall += part(took, n, k)
		p.peak = max(p.peak, used.PeakBytes)
		for _, o := range runs {
			if o != r {
				p.meet(&p.beside, o.launch.RequestID)
			}
		}
		for _, id := range s.late {
			if id != r.launch.RequestID {
				p.meet(&p.late, id)
			}
		}
	}
	for _, x := range fx {
		k := slices.IndexFunc(runs, func(r *run) bool { return x.Of != "" && r.launch.RequestID == x.Of })
		switch {
		case k >= 0:
			runs[k].portion.add(x, x.In, x.Out)
			continue
		case x.Of != "":
			x.Reason = with(x.Reason, "of event "+x.Of+", which is over")
		case n > 1:
			x.Reason = with(x.Reason, fmt.Sprintf("of one of the %d events in flight", n))
		}
		for k, r := range runs {
			r.portion.add(x, part(x.In, n, k), part(x.Out, n, k))
		}
	}
}

func with(reason, more string) string { return strings.TrimPrefix(reason+"; "+more, "; ") }

// maxBeside bounds the events that a record names beside its own.
const maxBeside = 64

func (p *portion) meet(list *[]string, id string) {
	if len(*list) < maxBeside && !slices.Contains(*list, id) {
		*list = append(*list, id)
	}
}

// add puts an effect in the run's record, with that part of its bytes. One that was cut into several is one there.
func (p *portion) add(x casemate.Effect, in, out int64) {
	x.In, x.Out = in, out
	d := deed{x.Kind, x.Target, x.Reason, x.Verdict}
	once := x.Kind != casemate.EffectService
	if k, ok := p.known[d]; ok && once {
		o := &p.list[k]
		o.Count, o.In, o.Out = max(o.Count, 1)+max(x.Count, 1), o.In+in, o.Out+out
		return
	}
	if len(p.list) >= maxEffects+maxWent {
		p.more.Add(x)
		return
	}
	if once {
		if p.known == nil {
			p.known = map[deed]int{}
		}
		p.known[d] = len(p.list)
	}
	p.list = append(p.list, x)
}

// effects are those of the run, with what it shared its sandbox with.
func (p *portion) effects(now time.Time) []casemate.Effect {
	list := p.more.On(p.list, now)
	if len(p.beside) > 0 {
		list = append(list, casemate.Effect{At: now, Kind: casemate.EffectBeside, Target: "events", Verdict: casemate.Allowed, Count: len(p.beside),
			Reason: "in flight in the same sandbox: " + strings.Join(p.beside, " ")})
	}
	if len(p.late) > 0 {
		list = append(list, casemate.Effect{At: now, Kind: casemate.EffectBeside, Target: "late events", Verdict: casemate.Allowed, Count: len(p.late),
			Reason: "past their deadline, and perhaps still at work in the same sandbox: " + strings.Join(p.late, " ")})
	}
	return list
}

// join takes a place in a sandbox that has events of a key in flight and takes more: the fullest, so that others can end. The
// caller holds the lock.
func (p *Pool) join(key string) *instance {
	var best *instance
	for _, i := range p.shared[key] {
		s := i.shift
		if p.closed || s.draining || i.stale || i.dead() || !p.young(i) || s.places >= min(s.most, i.api.Workers()) {
			continue
		}
		if best == nil || s.places > best.shift.places {
			best = i
		}
	}
	if best != nil {
		best.shift.places++
	}
	return best
}

// seat lets others join a sandbox that one run has for itself; of one that was joined nothing is left to do. The caller holds the
// lock.
func (p *Pool) seat(i *instance) {
	if slices.Contains(p.shared[i.key], i) {
		return
	}
	i.shift.places = 1
	p.shared[i.key] = append(p.shared[i.key], i)
}

// drain has nobody join any more. alone says whether the caller's event is the only one.
func (p *Pool) drain(i *instance) (alone bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i.shift.draining = true
	return i.shift.places == 1
}

// unseat gives a place back. last is true for who has to see what becomes of the sandbox.
func (p *Pool) unseat(i *instance) (last, draining bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i.shift.places--
	if last = i.shift.places == 0; last {
		left := slices.DeleteFunc(p.shared[i.key], func(o *instance) bool { return o == i })
		if p.shared[i.key] = left; len(left) == 0 {
			delete(p.shared, i.key)
		}
	}
	p.wake()
	return last, i.shift.draining
}

// waitBack waits until every worker asked for its next event; false when that took too long, or the runtime ended.
func (i *instance) waitBack(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-i.api.Back():
		return true
	case <-t.C:
	case <-i.exited:
	}
	return false
}
