package conn

import (
	nethttp "net/http"
	"sync"
)

// Requests are those that a server answers. net/http's Close does not wait for them; who ends a server has to.
type Requests struct {
	mu      sync.Mutex
	ended   bool
	running sync.WaitGroup
}

// Handler is h for as long as the server lives; a request that comes later is refused, and its connection ends.
func (q *Requests) Handler(h nethttp.Handler) nethttp.Handler {
	return nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		if !q.begin() {
			w.Header().Set("Connection", "close")
			w.WriteHeader(nethttp.StatusServiceUnavailable)
			return
		}
		defer q.running.Done()
		h.ServeHTTP(w, r)
	})
}

func (q *Requests) begin() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		return false
	}
	q.running.Add(1)
	return true
}

// End takes no further request and waits for those that run. Cancel their context before, and close their connections: it
// waits without a bound.
func (q *Requests) End() {
	q.mu.Lock()
	q.ended = true
	q.mu.Unlock()
	q.running.Wait()
}
