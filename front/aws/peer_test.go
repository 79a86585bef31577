package aws

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"casemate"
	"casemate/front/conn"
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
		var turned atomic.Int32
		for range 2 * maxCalls {
			out, in := io.Pipe()
			slow = append(slow, in)
			done := send(ctx, "192.0.2.7:1", out)
			go func() {
				if code := <-done; code == http.StatusServiceUnavailable {
					turned.Add(1)
				}
			}()
		}
		synctest.Wait()
		if held := len(d.calls); held != maxPeer {
			t.Errorf("one network holds %d places of %d", held, maxCalls)
		}
		if code := <-send(t.Context(), "198.51.100.1:1", strings.NewReader("Action=GetCallerIdentity")); code != http.StatusOK {
			t.Errorf("another network: %d", code)
		}
		<-time.After(placeTime + time.Second) // of the bubble's clock
		synctest.Wait()
		if n := turned.Load(); n != 2*maxCalls-maxPeer {
			t.Errorf("%d were told to come again, of %d that waited", n, 2*maxCalls-maxPeer)
		}
		cancel() // the others go away
		for _, in := range slow {
			_ = in.CloseWithError(io.ErrUnexpectedEOF)
		}
		synctest.Wait()
		if len(d.peers.all) != 0 || len(d.calls) != 0 {
			t.Errorf("%d networks are remembered, %d places held", len(d.peers.all), len(d.calls))
		}
	})
}

// Calls that take long, as a receive that waits for a message does, keep nobody from being heard, whoever sends how many of them.
func TestCallsThatWaitShutNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		come := make(chan struct{})
		var waiting atomic.Int32
		s, err := New(Config{Addr: "127.0.0.1:0", Handler: func(context.Context, *casemate.Event) (*casemate.Result, error) {
			waiting.Add(1)
			<-come
			return &casemate.Result{Payload: []byte("{}")}, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		var asked sync.WaitGroup
		for range 2 * maxCalls {
			asked.Go(func() {
				r := httptest.NewRequest("POST", "/", strings.NewReader("Action=GetCallerIdentity"))
				r.Header.Set("Authorization", authorization("sts"))
				s.ServeHTTP(httptest.NewRecorder(), r)
			})
		}
		synctest.Wait()
		if n := waiting.Load(); n != 2*maxCalls || len(s.calls) != 0 {
			t.Errorf("%d of %d calls came through; %d places held", n, 2*maxCalls, len(s.calls))
		}
		close(come)
		asked.Wait()
	})
}

func TestBlocks(t *testing.T) {
	for addr, want := range map[string]string{"192.0.2.7:1": "192.0.2.0/24", "[::ffff:192.0.2.9]:1": "192.0.2.0/24", "[2001:db8:1:2::3%eth0]:1": "2001:db8:1::/48", "": "invalid Prefix"} {
		if got := conn.Network(conn.Address(addr)).String(); got != want {
			t.Errorf("%q: %s", addr, got)
		}
	}
}

// A body that stops keeps its connection no longer than its bound, with the answer long given.
func TestABodyThatStopsKeepsNoConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		near, far := net.Pipe()
		ln := &one{conn: make(chan net.Conn, 1), gone: make(chan struct{})}
		ln.conn <- far
		d.Serve(ln)
		text := "POST / HTTP/1.1\r\nHost: x\r\nAuthorization: " + authorization("sts") + "\r\nContent-Length: 30000\r\n\r\n"
		if _, err := near.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		var trickle sync.WaitGroup
		trickle.Go(func() {
			for { // a byte now and then
				if _, err := near.Write([]byte("a")); err != nil {
					return
				}
				<-time.After(time.Second)
			}
		})
		start := time.Now()
		if _, err := io.Copy(io.Discard, near); err != nil {
			t.Error(err)
		}
		if held := time.Since(start); held < bodyTime || held > bodyTime+5*time.Second {
			t.Errorf("held for %v", held)
		}
		near.Close()
		trickle.Wait()
		if err := d.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// one is a listener of one connection.
type one struct {
	conn chan net.Conn
	gone chan struct{}
	once sync.Once
}

func (l *one) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.gone:
		return nil, net.ErrClosed
	}
}
func (l *one) Close() error   { l.once.Do(func() { close(l.gone) }); return nil }
func (l *one) Addr() net.Addr { return &net.TCPAddr{} }
