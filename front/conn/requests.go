package conn

import (
	nethttp "net/http"

	"casemate/internal/work"
)

// Requests are those that a server answers. net/http's Close does not wait for them; who ends a server has to.
type Requests struct{ group work.Group }

// Handler is h for as long as the server lives; a request that comes later is refused, and its connection ends.
func (q *Requests) Handler(h nethttp.Handler) nethttp.Handler {
	return nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		if !q.group.Begin() {
			w.Header().Set("Connection", "close")
			w.WriteHeader(nethttp.StatusServiceUnavailable)
			return
		}
		defer q.group.Done()
		h.ServeHTTP(w, r)
	})
}

// End takes no further request and waits for those that run. Cancel their context before, and close their connections: it
// waits without a bound.
func (q *Requests) End() {
	q.group.End()
	q.group.Wait()
}
