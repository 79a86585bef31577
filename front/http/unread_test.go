package http

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"casemate"
)

// door is a front whose sources are shut while shut is set.
type door struct {
	shut, handled atomic.Int64
	mu            sync.Mutex
	told          []casemate.Turned
}

func (d *door) config(h casemate.Handler) Config {
	return Config{Handler: func(ctx context.Context, e *casemate.Event) (*casemate.Result, error) {
		d.handled.Add(1)
		return h(ctx, e)
	}, Listen: []Listener{{Addr: "127.0.0.1:0"}}, Knock: func(time.Time, string, netip.Addr) time.Duration { return time.Duration(d.shut.Load()) },
		Refused: func(t casemate.Turned) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.told = append(d.told, t)
		}}
}

// times sums up what was told.
func (d *door) times(rule string) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, t := range d.told {
		if strings.HasPrefix(t.Rule, rule) {
			n += t.Times
		}
	}
	return n
}

func (d *door) start(t *testing.T, h casemate.Handler) (addr string, stop func()) {
	t.Helper()
	s, err := New(d.config(h))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return s.Addrs()[0].String(), stop
}

// talk sends text on one connection and reads an answer for each of statuses.
func talk(t *testing.T, conn net.Conn, in *bufio.Reader, text string, statuses ...int) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	for i, want := range statuses {
		r, err := nethttp.ReadResponse(in, nil)
		if err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil || r.StatusCode != want {
			t.Fatalf("answer %d: %d %s, %v; want %d", i, r.StatusCode, body, err, want)
		}
		if want == 429 && (!strings.Contains(string(body), "used up") || r.Header.Get("Retry-After") == "" || r.Header.Get("Date") == "") {
			t.Errorf("a refusal that explains nothing: %v %s", r.Header, body)
		}
	}
}

// TestRefusedUnread: while a source is shut, plain requests never reach the handler, whatever the connection did before; all
// of them are told of, and what comes after is served.
func TestRefusedUnread(t *testing.T) {
	d := &door{}
	addr, stop := d.start(t, func(ctx context.Context, e *casemate.Event) (*casemate.Result, error) {
		if d.shut.Load() > 0 { // what goes the long way is refused there
			return nil, casemate.Errorf(casemate.Exhausted, "wait", "too many requests: the rate of source is used up")
		}
		return ok(`"served"`)(ctx, e)
	})
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	get := "GET / HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: ck_a\r\n\r\n"
	post := "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}"
	talk(t, conn, in, get, 200)
	d.shut.Store(int64(time.Second))
	for range 20 {
		talk(t, conn, in, get, 429)
		talk(t, conn, in, post, 429)
	}
	talk(t, conn, in, get+post+get, 429, 429, 429)
	d.shut.Store(0)
	talk(t, conn, in, post, 200)
	stop()
	// The byte by which net/http watches a connection may be the first of a request: that one goes the long way.
	unread := d.times("rate of source 127.0.0.1")
	if n := int64(unread) + d.handled.Load(); n != 45 || unread == 0 {
		t.Errorf("%d of 45 requests are accounted for, %d of them unread", n, unread)
	}
}

// TestShutCredential: who used up its own rate is refused unread until it may come again; nobody else is.
func TestShutCredential(t *testing.T) {
	d := &door{}
	addr, stop := d.start(t, func(_ context.Context, e *casemate.Event) (*casemate.Result, error) {
		if e.Credential.Secret == "ck_flood" {
			err := casemate.Errorf(casemate.Exhausted, "wait", "too many requests: the rate of plan p is used up")
			err.Rule, err.Shut, err.Caller = "rate of plan p", time.Hour, "key/flood"
			return nil, err
		}
		return ok(`"served"`)(t.Context(), e)
	})
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	with := func(header string) string { return "GET /a HTTP/1.1\r\nHost: localhost\r\n" + header + "\r\n\r\n" }
	for range 20 {
		talk(t, conn, in, with("X-Api-Key: ck_flood"), 429)
		talk(t, conn, in, with("authorization: bearer ck_flood"), 429)
		talk(t, conn, in, with("X-Api-Key: ck_other"), 200)
		talk(t, conn, in, with("X-Api-Key: ck_flood2"), 200)
	}
	stop()
	unread := d.times("rate of plan p")
	if n := int64(unread) + d.handled.Load(); n != 80 || unread == 0 {
		t.Errorf("%d accounted for, %d of them unread", n, unread)
	}
	if d.told[0].Principal != "key/flood" || d.told[0].Source != "127.0.0.1" {
		t.Errorf("told of %+v", d.told[0])
	}
}

// TestDoubtfulIsRead: what is not beyond doubt one whole request is never answered unread, however shut its source is: a
// wrong guess at its end would let a caller smuggle one request in another.
func TestDoubtfulIsRead(t *testing.T) {
	for name, text := range map[string]string{
		"half a header":       "GET / HTTP/1.1\r\nHost: x\r\n",
		"half a body":         "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n{}",
		"chunks":              "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"two lengths":         "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
		"list of lengths":     "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2, 2\r\n\r\n{}",
		"signed length":       "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +2\r\n\r\n{}",
		"hex length":          "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x2\r\n\r\n{}",
		"long length":         "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0000000002\r\n\r\n{}",
		"empty length":        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n{}",
		"name with a space":   "POST / HTTP/1.1\r\nHost: x\r\nContent-Length : 2\r\n\r\n{}",
		"name after a space":  "POST / HTTP/1.1\r\nHost: x\r\n Content-Length: 2\r\n\r\n{}",
		"no name":             "GET / HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n",
		"no colon":            "GET / HTTP/1.1\r\nHost: x\r\ny\r\n\r\n",
		"bare line feed":      "GET / HTTP/1.1\nHost: x\n\n",
		"line feed in value":  "GET / HTTP/1.1\r\nHost: x\r\nA: b\nContent-Length: 5\r\n\r\n",
		"carriage return":     "GET / HTTP/1.1\r\nHost: x\r\nA: b\rContent-Length: 5\r\n\r\n",
		"expectation":         "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
		"upgrade":             "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\n\r\n",
		"close":               "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"named by connection": "GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, x\r\n\r\n",
		"head":                "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n",
		"connect":             "CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
		"old":                 "GET / HTTP/1.0\r\nHost: x\r\n\r\n",
		"new":                 "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"two keys":            "GET / HTTP/1.1\r\nHost: x\r\nX-Api-Key: a\r\nX-Api-Key: b\r\n\r\n",
		"key and token":       "GET / HTTP/1.1\r\nHost: x\r\nX-Api-Key: a\r\nAuthorization: Bearer b\r\n\r\n",
		"another scheme":      "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Basic eDp5\r\n\r\n",
		"empty":               "\r\n\r\n",
	} {
		if n, _ := request([]byte(text)); n != 0 {
			t.Errorf("%s: %d bytes taken for a request", name, n)
		}
	}
	plain := "POST /a HTTP/1.1\r\nHost: x\r\nX-Api-Key:  ck_1 \r\ncontent-length: 2\r\n\r\n{}"
	if n, key := request([]byte(plain + "GET")); n != len(plain) || string(key) != "ck_1" {
		t.Errorf("%d bytes and key %q", n, key)
	}
}

// FuzzUnread: whatever is taken for a whole request, net/http takes for one of the same length and credential.
func FuzzUnread(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\nHost: x\r\nX-Api-Key: a\r\n\r\n"))
	f.Add([]byte("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}GET / HTTP/1.1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, key := request(b)
		if n == 0 {
			return
		}
		if n > len(b) {
			t.Fatalf("%d of %d bytes", n, len(b))
		}
		in := bufio.NewReader(strings.NewReader(string(b[:n])))
		r, err := nethttp.ReadRequest(in)
		if err != nil {
			return // net/http would have answered 400 and closed
		}
		body, err := io.ReadAll(r.Body)
		if err != nil || in.Buffered() != 0 || int64(len(body)) != max(r.ContentLength, 0) {
			t.Fatalf("net/http reads another request: %v, %d left, body %d of %d", err, in.Buffered(), len(body), r.ContentLength)
		}
		if c, err := credential(r.Header); err == nil && len(key) > 0 && c.Secret != string(key) {
			t.Fatalf("key %q, net/http has %s", key, fmt.Sprintf("%q", c.Secret))
		}
	})
}
