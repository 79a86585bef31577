package conn

import (
	nethttp "net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
)

// net/http's Close leaves handlers behind; End waits for them, and takes no more.
func TestEndWaitsForTheLastHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q Requests
		let, done := make(chan struct{}), false
		h := q.Handler(nethttp.HandlerFunc(func(nethttp.ResponseWriter, *nethttp.Request) {
			<-let
			done = true
		}))
		go h.ServeHTTP(nil, nil)
		synctest.Wait()
		ended := make(chan struct{})
		go func() {
			q.End()
			close(ended)
		}()
		synctest.Wait()
		select {
		case <-ended:
			t.Fatal("it did not wait")
		default:
		}
		refused(t, h)
		close(let)
		<-ended
		if !done {
			t.Error("it ended before the handler did")
		}
		refused(t, h)
	})
}

func refused(t *testing.T, h nethttp.Handler) {
	t.Helper()
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, nil); w.Code != 503 || w.Header().Get("Connection") != "close" {
		t.Errorf("a late request: %d", w.Code)
	}
}
