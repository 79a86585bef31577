package api

import (
	"net/http"
	"sync"
	"time"
)

// Requests of one sandbox. A runtime asks twice an event and an extension once; whatever comes on top of that costs the
// node and not the sandbox, so a sandbox that asks without end waits for itself.
const (
	eventRequests = 32  // that an event is worth
	spareRequests = 200 // at once beside them, and per second
)

// pace is a token bucket over the requests of one sandbox.
type pace struct {
	mu   sync.Mutex
	left float64
	at   time.Time // of the last request
}

// earn adds what an event is worth.
func (p *pace) earn() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = min(max(p.left, 0)+eventRequests, spareRequests+eventRequests)
}

// spend takes one request, and says for how long it has to wait.
func (p *pace) spend(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.at.IsZero() {
		p.left = spareRequests
	} else if p.left < spareRequests {
		p.left = min(p.left+now.Sub(p.at).Seconds()*spareRequests, spareRequests)
	}
	p.at = now
	p.left--
	if p.left >= 0 {
		return 0
	}
	return time.Duration(-p.left / spareRequests * float64(time.Second))
}

// slow holds a request back that came too soon; false when nobody waits for its answer any more.
func (a *Server) slow(r *http.Request) bool {
	wait := a.pace.spend(a.now())
	if wait == 0 {
		return true
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
	case <-a.closed:
	}
	return false
}
