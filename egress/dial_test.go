package egress

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"casemate"
	"casemate/egress/peek"
)

func anything(netip.Addr, string) string { return "" }

// half is one end of a pipe that counts its closing.
type half struct {
	net.Conn
	closed *int
}

func (h half) Close() error { *h.closed++; return nil }

// The next address is tried when one is slow or has failed; all but one connection are closed.
func TestRaceOfAddresses(t *testing.T) {
	for name, c := range map[string]struct {
		slow, failing string
		want          string
		took          time.Duration
		closed        int
	}{
		"the first":      {"", "", "[2606::1]:8", 0, 0},
		"slow":           {"[2606::1]:8", "", "8.8.8.8:8", stagger, 0},
		"failing":        {"", "[2606::1]:8", "8.8.8.8:8", 0, 0},
		"slow and fails": {"[2606::1]:8", "8.8.8.8:8", "[2606::2]:8", 2 * stagger, 0},
		"all slow":       {"[2606::1]:8 8.8.8.8:8 [2606::2]:8", "", "", attemptTime + 2*stagger, 0},
		"all fail":       {"", "[2606::1]:8 8.8.8.8:8 [2606::2]:8", "", 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				closed := 0
				var mu sync.Mutex
				var dialled []string
				d := dialer{resolver: (&zone{}).point("a.example", "2606::1 2606::2 8.8.8.8"), dial: func(ctx context.Context, _, address string) (net.Conn, error) {
					mu.Lock()
					dialled = append(dialled, address)
					mu.Unlock()
					switch {
					case strings.Contains(c.failing, address):
						return nil, syscall.ECONNREFUSED
					case strings.Contains(c.slow, address):
						ctx, cancel := context.WithTimeout(ctx, attemptTime)
						defer cancel()
						<-ctx.Done()
						return nil, ctx.Err()
					}
					one, _ := net.Pipe()
					return half{reached{one, address}, &closed}, nil
				}}
				began := time.Now()
				conn, err := d.connect(t.Context(), "a.example", 8, anything)
				if took := time.Since(began); took != c.took {
					t.Errorf("took %v", took)
				}
				if (err != nil) != (c.want == "") || err == nil && conn.RemoteAddr().String() != c.want || closed != c.closed {
					t.Errorf("%v, %v, %d closed, dialled %q", conn, err, closed, dialled)
				}
			})
		})
	}
}

type reached struct {
	net.Conn
	at string
}

func (d reached) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(d.at)) }

func TestPinnedIsDialledAsItIs(t *testing.T) {
	var dialled []string
	d := dialer{pinned: map[string]netip.AddrPort{"a.example:443": netip.MustParseAddrPort("127.0.0.1:1")}, resolver: &zone{}, dial: func(_ context.Context, _, address string) (net.Conn, error) {
		dialled = append(dialled, address)
		return nil, syscall.ECONNREFUSED
	}}
	_, err := d.connect(t.Context(), "a.example", 443, func(netip.Addr, string) string { return "never asked" })
	_, other := d.connect(t.Context(), "a.example", 444, anything)
	if !errors.Is(err, syscall.ECONNREFUSED) || other == nil || !slices.Equal(dialled, []string{"127.0.0.1:1"}) {
		t.Errorf("%v, %v, dialled %q", err, other, dialled)
	}
}

func TestManyAddressesAreCut(t *testing.T) {
	var all []netip.Addr
	for i := range 50 {
		all = append(all, netip.AddrFrom4([4]byte{8, 8, 8, byte(i)}))
	}
	if got := interleave(all); len(got) != maxAttempts {
		t.Errorf("%d addresses", len(got))
	}
}

// A client that begins a handshake or a request and does not go on is cut off; one that says nothing may wait.
func TestSlowHead(t *testing.T) {
	for _, text := range []string{"\x16\x03\x01", "GET / HTTP/1.1\r\nHost: a.exa", "\x16"} {
		synctest.Test(t, func(t *testing.T) {
			e, _ := New(Config{Resolver: &zone{}})
			var rec recorder
			d, err := e.Door(opening(&rec, "a.example:80"))
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			client, in := net.Pipe()
			out, server := net.Pipe()
			defer client.Close()
			defer server.Close()
			go func() {
				b := make([]byte, 100)
				for {
					if _, err := server.Read(b); err != nil {
						return
					}
				}
			}()
			r := &relay{door: d, in: in, out: out, host: "a.example", port: 80, target: "a.example:80", answered: make(chan struct{})}
			r.stream = peek.Stream{Named: r.named}
			r.ctx, r.cancel = context.WithCancel(t.Context())
			defer r.cancel()
			began := time.Now()
			go func() {
				<-time.After(time.Hour)
				client.Write([]byte(text))
			}()
			err = r.up()
			if took := time.Since(began); !errors.Is(err, os.ErrDeadlineExceeded) || took != time.Hour+headTime {
				t.Errorf("%q: %v after %v", text, err, took)
			}
			out.Close()
			d.Begin(nil)
			if got := rec.effects(); len(got) > 1 || len(got) == 1 && !strings.HasPrefix(got[0], casemate.Allowed.String()) {
				t.Errorf("recorded %q", got)
			}
		})
	}
}

// oneWay is a pipe whose writing end can be closed alone.
type oneWay struct{ net.Conn }

func (oneWay) CloseWrite() error { return nil }

// When one direction has ended, the other may not stand still for ever.
func TestHalfOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, in := net.Pipe()
		defer client.Close()
		r := &relay{in: oneWay{in}}
		began := time.Now()
		r.end(nil, r.in, nil)
		_, err := r.in.Read(make([]byte, 1)) // as one that began before
		if took := time.Since(began); !errors.Is(err, os.ErrDeadlineExceeded) || took != halfTime {
			t.Errorf("%v after %v", err, took)
		}
		go client.Write([]byte("x"))
		if n, err := r.read(r.in, make([]byte, 1)); n != 1 {
			t.Errorf("%d, %v", n, err)
		}
		_, err = r.read(r.in, make([]byte, 1))
		if took := time.Since(began); !errors.Is(err, os.ErrDeadlineExceeded) || took != 2*halfTime {
			t.Errorf("%v after %v", err, took)
		}
	})
}
