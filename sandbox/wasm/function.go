package wasm

import (
	"sync"
	"sync/atomic"
	"time"

	"casemate"
)

// place is what has workers of its own: a version, and one of its tenants where those are kept apart.
type place struct{ version, tenant string }

// function is the queue of one place: its workers, and the runs that wait for one.
type function struct {
	pool    *Pool
	version *casemate.Version
	max     int
	running atomic.Int64 // runs that want a worker or have one; the pool's lock is held when it leaves 0
	used    time.Time    // by the last run; under the pool's lock

	mu      sync.Mutex
	all     []*link
	growing bool
	waiting []waiter
	mean    time.Duration // of the last runs
	closed  error
	fresh   string // why events get fresh instances, as the last worker that spoke of it said
	known   bool   // one did
}

// keeps says whether a version's instances are kept between events.
func keeps(v *casemate.Version) bool {
	return v.Isolation == casemate.IsolationWarm || v.Isolation == casemate.IsolationTenant
}

func fits(v *casemate.Version) error {
	if v == nil || v.ID == "" || v.Runtime.Family() != "wasm" {
		return casemate.Errorf(casemate.Fault, "", "the wasm pool got no wasm version")
	}
	return nil
}

var (
	errDropped = casemate.Errorf(casemate.Unavailable, "send it again", "the version was retired while the event waited")
	errTenants = casemate.Errorf(casemate.Exhausted, "send it again in a moment", "too many tenants have events at the same time")
)

// enter finds or makes the queue for a run, which counts itself out when it is done. A tenant's queue is nobody else's;
// when there are too many, the one that was not used for longest goes, with its workers.
func (p *Pool) enter(l *casemate.Launch) (*function, error) {
	if err := fits(l.Version); err != nil {
		return nil, err
	}
	at := place{version: l.Version.ID}
	if l.Version.Isolation == casemate.IsolationTenant {
		if at.tenant = l.Partition; at.tenant == "" {
			return nil, casemate.Errorf(casemate.Fault, "", "an event of a function with isolation tenant came without a tenant")
		}
	}
	f, old, err := p.find(at, l.Version, true)
	if old != nil {
		old.close(errDropped)
	}
	return f, err
}

// find finds or makes a queue, and gives the one that had to go for it, which the caller closes.
func (p *Pool) find(at place, v *casemate.Version, run bool) (f, old *function, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, nil, errClosed
	}
	if f = p.functions[at]; f == nil {
		if at.tenant != "" {
			if old, err = p.makeRoom(at.version); err != nil {
				return nil, nil, err
			}
		}
		f = &function{pool: p, version: v, max: p.cfg.MaxWorkers, mean: slowStart}
		p.functions[at] = f
	}
	if run {
		f.running.Add(1)
		f.used = p.cfg.Clock()
	}
	return f, old, nil
}

// makeRoom takes a tenant's queue out if the version has as many as it may. p.mu is held.
func (p *Pool) makeRoom(version string) (old *function, err error) {
	count, at := 0, place{}
	for k, f := range p.functions {
		if k.version != version || k.tenant == "" {
			continue
		}
		count++
		if f.running.Load() == 0 && (old == nil || f.used.Before(old.used)) {
			old, at = f, k
		}
	}
	switch {
	case count < p.cfg.MaxTenants:
		return nil, nil
	case old == nil:
		return nil, errTenants
	}
	delete(p.functions, at)
	return old, nil
}

// of gives the queues of a version.
func (p *Pool) of(version string) map[place]*function {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := map[place]*function{}
	for at, f := range p.functions {
		if at.version == version {
			out[at] = f
		}
	}
	return out
}

func (p *Pool) all() []*function {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]*function, 0, len(p.functions))
	for _, f := range p.functions {
		out = append(out, f)
	}
	return out
}

// Rewind says why the events of a version get a fresh instance each, rather than one that is returned to its state after
// initialisation; the empty reason says that they are rewound, or kept as the version asks for. It is known once a worker
// of the version was started; a later worker may find a reason that the first did not.
func (p *Pool) Rewind(versionID string) (reason string, known bool) {
	for _, f := range p.of(versionID) {
		f.mu.Lock()
		if f.known {
			reason, known = f.fresh, true
		}
		f.mu.Unlock()
		if reason != "" {
			break
		}
	}
	return reason, known
}

// Drop ends the workers of a version that is no longer in use. Runs that are under way come to their end.
func (p *Pool) Drop(versionID string) {
	for at, f := range p.of(versionID) {
		p.mu.Lock()
		delete(p.functions, at)
		p.mu.Unlock()
		f.close(errDropped)
	}
}
