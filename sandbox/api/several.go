package api

import (
	"net/http"
	"slices"
	"time"
)

// several is the state of a sandbox that takes several events at once, as under AWS_LAMBDA_MAX_CONCURRENCY: each /next gets an
// event of its own, and an answer finds its event by the request id alone. All of it is under the server's lock.
type several struct {
	most    int
	waiting []*Invocation        // offered, and no worker has taken them yet; the oldest first
	taken   map[string]*exchange // by request id, until they are withdrawn
	polling int                  // workers that wait in /next
	working int                  // those that have an event
	away    int                  // those that answered and have not asked again since
	workers int                  // the most that were there at once, as far as there may be
	back    chan struct{}        // closed when nobody is away; nil: nobody waits for that
}

// exchange is an event in the hands of a worker.
type exchange struct {
	inv     *Invocation
	reading bool // an answer to it is being read
	done    bool // it has its answer
}

// Several has the runtime be given up to so many events at once. It is called before Serve.
func (a *Server) Several(most int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.several = &several{most: most, taken: map[string]*exchange{}}
}

// Workers is how many events the runtime takes at once: as many as it was seen to ask for, within its bound.
func (a *Server) Workers() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.several == nil {
		return 1
	}
	return max(a.several.workers, 1)
}

// Withdraw ends an event of several: nobody is given it any more, and an answer to it is refused.
func (a *Server) Withdraw(inv *Invocation) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.several
	s.waiting = slices.DeleteFunc(s.waiting, func(o *Invocation) bool { return o == inv })
	if x := s.taken[inv.id]; x != nil && x.inv == inv {
		delete(s.taken, inv.id)
		if !x.done {
			s.working-- // who still works on it counts again when it asks
		}
	}
}

// Back is closed when every worker that answered an event has asked for the next one.
func (a *Server) Back() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.several
	if s.back == nil {
		s.back = make(chan struct{})
	}
	back := s.back
	s.settle()
	return back
}

// settle closes back when all are. The caller holds the lock.
func (s *several) settle() {
	if s.away == 0 && s.back != nil {
		close(s.back)
		s.back = nil
	}
}

// offerSeveral queues an event for the next worker. The caller holds the lock.
func (a *Server) offerSeveral(inv *Invocation) {
	a.several.waiting = append(a.several.waiting, inv)
	close(a.wake)
	a.wake = make(chan struct{})
}

// nextOfSeveral parks a worker until there is an event for it alone. The caller holds the lock, and it is released.
func (a *Server) nextOfSeveral(w http.ResponseWriter, r *http.Request) {
	s := a.several
	if a.state == stateStarted {
		a.state, a.asked = stateReady, true
		a.together()
	}
	if s.away > 0 { // a new one that is taken for one that comes back is made up for when that one asks
		s.away--
		s.settle()
	}
	s.polling++
	s.workers = min(max(s.workers, s.polling+s.working+s.away), s.most)
	for len(s.waiting) == 0 {
		wake := a.wake
		a.mu.Unlock()
		closed := false
		select {
		case <-wake:
		case <-a.closed:
			closed = true
		case <-r.Context().Done():
		}
		a.mu.Lock()
		if closed || r.Context().Err() != nil { // an event would be lost with its connection
			s.polling--
			a.mu.Unlock()
			if closed {
				http.Error(w, "closing", http.StatusGone)
			}
			return
		}
	}
	inv := s.waiting[0]
	s.waiting = slices.Delete(s.waiting, 0, 1)
	s.taken[inv.id] = &exchange{inv: inv}
	s.polling--
	s.working++
	a.mu.Unlock()
	writeEvent(w, inv)
}

// beginSeveral claims the event that an answer names, or writes the refusal. The caller holds the lock.
func (a *Server) beginSeveral(w http.ResponseWriter, id, verb, target string) *Invocation {
	x := a.several.taken[id]
	switch {
	case x == nil:
		a.stray(w, id, verb)
		return nil
	case x.done || x.reading:
		a.second(w, verb, target)
		return nil
	}
	x.reading = true
	return x.inv
}

// finish stores the answer to an event, once. The caller holds the lock.
func (s *several) finish(inv *Invocation, ans answer, now time.Time) {
	x := s.taken[inv.id]
	if x == nil || x.inv != inv || x.done {
		return // withdrawn meanwhile
	}
	x.done, x.reading = true, false
	s.working--
	s.away++
	inv.settle(ans, now)
}

// abandon lets a worker answer again after its answer broke off. The caller holds the lock.
func (s *several) abandon(inv *Invocation) {
	if x := s.taken[inv.id]; x != nil && x.inv == inv {
		x.reading = false
	}
}
