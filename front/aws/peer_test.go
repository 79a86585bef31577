package aws

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
)

// One network that sends bodies slowly and proves nothing leaves room for others, and takes no place while it waits.
func TestSlowPeersWaitBehindThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		ctx, cancel := context.WithCancel(t.Context())
		send := func(ctx context.Context, addr string, body io.Reader) chan int {
			r := httptest.NewRequest("POST", "/", body).WithContext(ctx)
			r.Header.Set("Authorization", authorization("sts"))
			r.Header.Set("Content-Type", form)
			r.RemoteAddr = addr
			done := make(chan int, 1)
			go func() {
				w := httptest.NewRecorder()
				d.ServeHTTP(w, r)
				done <- w.Code
			}()
			return done
		}
		var slow []*io.PipeWriter
		for range 2 * maxCalls {
			out, in := io.Pipe()
			slow = append(slow, in)
			send(ctx, "192.0.2.7:1", out)
		}
		synctest.Wait()
		if held := len(d.calls); held != maxPeer {
			t.Errorf("one network holds %d places of %d", held, maxCalls)
		}
		if code := <-send(t.Context(), "198.51.100.1:1", strings.NewReader("Action=GetCallerIdentity")); code != http.StatusOK {
			t.Errorf("another network: %d", code)
		}
		cancel() // those that wait go away
		for _, in := range slow {
			_ = in.CloseWithError(io.ErrUnexpectedEOF)
		}
		synctest.Wait()
		if len(d.peers.all) != 0 || len(d.calls) != 0 {
			t.Errorf("%d networks are remembered, %d places held", len(d.peers.all), len(d.calls))
		}
	})
}

func TestBlocks(t *testing.T) {
	for addr, want := range map[string]string{"192.0.2.7:1": "192.0.2.0/24", "[::ffff:192.0.2.9]:1": "192.0.2.0/24", "[2001:db8:1:2::3%eth0]:1": "2001:db8:1::/48", "": "invalid Prefix"} {
		if got := blockOf(addr).String(); got != want {
			t.Errorf("%q: %s", addr, got)
		}
	}
}
