package sandbox

import (
	"context"
	"errors"
	"slices"
	"time"

	"casemate"
	"casemate/sandbox/jail"
)

// standing is a version whose sandboxes are kept initialised. All of it is under the pool's lock.
type standing struct {
	version *casemate.Version
	class   string      // key of its class; "" has none of its own
	ready   []*instance // initialised, and nobody's yet
	retry   time.Time   // not before this
}

// Prepare says that a version is in force: sandboxes for its runtime are made ahead, and Version.Spare sandboxes of its
// own are initialised and kept so, until Drop. It does not wait for any of that. A version that was dropped is kept again.
func (p *Pool) Prepare(v *casemate.Version) {
	family := v.Runtime.Family()
	if family != "nodejs" && family != "python" && family != "provided" {
		return
	}
	c, _ := p.guess(v)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mark(v.ID, false)
	if p.closed || p.inForce[v.ID] != nil {
		return
	}
	st := &standing{version: v, class: c.key}
	p.inForce[v.ID] = st
	if v.Spare > 0 {
		p.standing[v.ID] = st
	}
	if p.cfg.Spares > 0 {
		p.pins[c.key]++
		p.shelf(class{})
		p.shelf(c)
	}
	p.refill()
}

// withdraw undoes Prepare. The caller holds the lock.
func (p *Pool) withdraw(versionID string) {
	st := p.inForce[versionID]
	if st == nil {
		return
	}
	delete(p.inForce, versionID)
	delete(p.standing, versionID)
	if p.pins[st.class]--; p.pins[st.class] <= 0 {
		delete(p.pins, st.class)
	}
	for _, i := range st.ready {
		p.retire(i)
	}
	st.ready = nil
}

// guess is classOf before the code of a version is there.
func (p *Pool) guess(v *casemate.Version) (class, bool) {
	if v.Runtime.Family() == "provided" || v.Env["AWS_LAMBDA_EXEC_WRAPPER"] != "" {
		return class{}, false
	}
	pr, err := p.program(&need{version: v})
	if err != nil {
		return class{}, false // a run says so
	}
	return p.classOf(v, pr)
}

// shelf finds the place of a class, and makes one: at most maxShelves, and the one that was asked for longest ago makes
// room. The caller holds the lock.
func (p *Pool) shelf(c class) *shelf {
	s := p.shelves[c.key]
	if s == nil {
		if len(p.shelves) >= maxShelves {
			p.clearShelf()
		}
		s = &shelf{class: c}
		p.shelves[c.key] = s
	}
	s.used = p.cfg.Clock()
	return s
}

// clearShelf gives up the class that was asked for longest ago. The caller holds the lock.
func (p *Pool) clearShelf() {
	var oldest *shelf
	for _, s := range p.shelves {
		if s.key != "" && (oldest == nil || s.used.Before(oldest.used)) {
			oldest = s
		}
	}
	delete(p.shelves, oldest.key)
	for _, i := range oldest.ready {
		p.retire(i)
	}
}

// unshelve takes a waiting sandbox of a class, or nil, and has it replaced.
func (p *Pool) unshelve(c class) *instance {
	if p.cfg.Spares <= 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.refill()
	s := p.shelf(c)
	for len(s.ready) > 0 {
		i := s.ready[0]
		s.ready = s.ready[1:]
		if i.claim(); !i.dead() {
			return i
		}
		p.retire(i)
	}
	return nil
}

// rejected ends a waiting sandbox that could not be handed out. Where it is a wall that failed it would fail for the next
// one, too: none is made for a while.
func (p *Pool) rejected(i *instance, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var wall *jail.WallError
	if s := p.shelves[i.class]; s != nil && errors.As(err, &wall) {
		s.retry = p.cfg.Clock().Add(shelfRetry)
	}
	p.retire(i)
}

// lost has a sandbox replaced that ended while it was nobody's.
func (p *Pool) lost(i *instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	found := false
	take := func(list []*instance) []*instance {
		if k := slices.Index(list, i); k >= 0 {
			found = true
			return slices.Delete(list, k, k+1)
		}
		return list
	}
	for _, s := range p.shelves {
		s.ready = take(s.ready)
	}
	for _, st := range p.standing {
		st.ready = take(st.ready)
	}
	if found {
		p.retire(i)
		p.refill()
	}
}

// refill starts, when something is missing, the one goroutine that makes it. The caller holds the lock.
func (p *Pool) refill() {
	if p.filling || p.closed || p.missing() == nil {
		return
	}
	p.filling = true
	p.ending.Go(p.fill)
}

// Full reports whether everything is there that is made ahead, as far as it could be made.
func (p *Pool) Full() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.filling && p.missing() == nil
}

// refillPause is what the run that took something gets before its successor is made: it has the processors first.
const refillPause = 10 * time.Millisecond

// fill makes what is missing, one after the other.
func (p *Pool) fill() {
	pause := time.NewTimer(refillPause)
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-p.ctx.Done():
	}
	for {
		p.mu.Lock()
		do := p.missing()
		if do == nil || p.closed {
			p.filling = false
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
		do()
	}
}

// missing is how to make the next sandbox that should be there and is not; nil when all are. The caller holds the lock.
func (p *Pool) missing() func() {
	now := p.cfg.Clock()
	for _, st := range p.standing {
		if p.lacks(st) && !now.Before(st.retry) && len(p.slots) < cap(p.slots) {
			return func() { p.provision(st) }
		}
	}
	for _, s := range p.shelves {
		if len(s.ready) < p.cfg.Spares && !now.Before(s.retry) && (p.pinned(s) || now.Sub(s.used) < p.cfg.IdleTimeout) {
			return func() { p.stock(s) }
		}
	}
	return nil
}

// lacks reports whether a version in force should have one more initialised sandbox. Under isolation warm those that
// run count as well: they come back. The caller holds the lock.
func (p *Pool) lacks(st *standing) bool {
	if p.starting[st.version.ID] {
		return false
	}
	have := len(st.ready)
	if st.version.Isolation == casemate.IsolationWarm {
		have = 0
		for i := range p.live {
			if i.version != nil && i.version.ID == st.version.ID && !i.stale {
				have++
			}
		}
	}
	return have < st.version.Spare
}

// pinned reports whether a version in force uses the class; the empty jail serves them all. The caller holds the lock.
func (p *Pool) pinned(s *shelf) bool { return p.pins[s.key] > 0 || s.key == "" && len(p.inForce) > 0 }

// stock starts one waiting sandbox of a class.
func (p *Pool) stock(s *shelf) {
	ctx, cancel := context.WithTimeout(p.ctx, bootTime)
	defer cancel()
	i, err := p.boot(ctx, s.class)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil { // a run of this class starts a fresh one, and its caller is told what is wrong
		s.retry = p.cfg.Clock().Add(shelfRetry)
		return
	}
	p.live[i] = struct{}{}
	if p.closed || p.shelves[s.key] != s {
		p.retire(i)
		return
	}
	i.mu.Lock()
	i.timers = []*time.Timer{time.AfterFunc(p.cfg.IdleTimeout, func() { p.expireSpare(s, i) })}
	i.mu.Unlock()
	s.ready = append(s.ready, i)
}

// expireSpare replaces a sandbox that waited too long.
func (p *Pool) expireSpare(s *shelf, i *instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if k := slices.Index(s.ready, i); k >= 0 && !p.closed {
		s.ready = slices.Delete(s.ready, k, k+1)
		p.retire(i)
		p.refill()
	}
}

// provision initialises one sandbox of a version.
func (p *Pool) provision(st *standing) {
	if !p.begin(st.version) {
		return
	}
	defer p.begun(st.version)
	select {
	case p.slots <- struct{}{}:
	default:
		return
	}
	v := st.version
	i, err := p.start(p.ctx, v, nil)
	if err == nil {
		p.enlist(i)
		i.logs.begin("", true)
		r := &run{pool: p, launch: &casemate.Launch{Version: v}, limits: limits(v), inst: i}
		if fail := r.await(p.ctx, r.limits.InitTimeout); fail == nil {
			i.ready = p.cfg.Clock().Sub(i.started)
			p.stand(st, i)
			return
		}
		p.end(i)
	} else {
		<-p.slots
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	st.retry = p.cfg.Clock().Add(shelfRetry)
}

// stand makes an initialised sandbox available to its version.
func (p *Pool) stand(st *standing, i *instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.inForce[st.version.ID] != st {
		p.retire(i)
		return
	}
	p.rest(i, p.lifetime(i.version), func() { p.expireReady(st, i) })
	st.ready = append(st.ready, i)
}

func (p *Pool) expireReady(st *standing, i *instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if k := slices.Index(st.ready, i); k >= 0 && !p.closed {
		st.ready = slices.Delete(st.ready, k, k+1)
		p.retire(i)
	}
}

// provisioned takes an initialised sandbox of a version, or nil, and has it replaced.
func (p *Pool) provisioned(v *casemate.Version) *instance {
	for {
		p.mu.Lock()
		st := p.standing[v.ID]
		if st == nil || len(st.ready) == 0 {
			p.mu.Unlock()
			return nil
		}
		i := st.ready[0]
		st.ready = st.ready[1:]
		p.refill()
		p.mu.Unlock()
		if i.thaw() == nil && !i.dead() && p.young(i) {
			return i
		}
		p.retire(i)
	}
}
