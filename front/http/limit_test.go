package http

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	nethttp "net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"casemate"
	"casemate/front/conn"
)

func textLog(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

func readAll(e *casemate.Event) (*casemate.Result, error) {
	if _, err := io.ReadAll(e.Body); err != nil {
		return nil, err
	}
	return &casemate.Result{Payload: []byte(`"read"`)}, nil
}

func TestConfigIsRefused(t *testing.T) {
	h := ok(`1`)
	here := []Listener{{Addr: "127.0.0.1:0"}}
	cases := map[string]Config{
		"no handler":       {Listen: here},
		"nowhere":          {Handler: h},
		"every interface":  {Handler: h, Listen: []Listener{{Addr: ":8080"}}},
		"unspecified":      {Handler: h, Listen: []Listener{{Addr: "0.0.0.0:8080"}}},
		"unspecified v6":   {Handler: h, Listen: []Listener{{Addr: "[::]:8080"}}},
		"public":           {Handler: h, Listen: []Listener{{Addr: "192.0.2.1:8080"}}},
		"name":             {Handler: h, Listen: []Listener{{Addr: "example.com:80"}}},
		"no port":          {Handler: h, Listen: []Listener{{Addr: "127.0.0.1"}}},
		"TLS without cert": {Handler: h, Listen: []Listener{{Addr: "127.0.0.1:0", TLS: true}}},
		"cert without key": {Handler: h, Listen: here, CertFile: "x"},
		"missing cert":     {Handler: h, Listen: []Listener{{Addr: "127.0.0.1:0", TLS: true}}, CertFile: "/nonexistent", KeyFile: "/nonexistent"},
		"negative limit":   {Handler: h, Listen: here, Limits: Limits{Conn: conn.Limits{Total: -1}}},
		"negative time":    {Handler: h, Listen: here, Limits: Limits{IdleTime: -1}},
		"negative body":    {Handler: h, Listen: here, Limits: Limits{BodyBytes: -1}},
	}
	for name, c := range cases {
		if _, err := New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for _, addr := range []string{"127.0.0.1:0", "127.9.9.9:0", "[::1]:0", "localhost:0"} {
		if _, err := New(Config{Handler: h, Listen: []Listener{{Addr: addr}}}); err != nil {
			t.Errorf("%s: %v", addr, err)
		}
	}
}

func TestStartOpensAllOrNothing(t *testing.T) {
	_, addr := start(t, Config{Handler: ok(`1`)})
	free, err := net.Listen("tcp", "127.93.17.5:0") // where nobody else takes ports from
	if err != nil {
		t.Fatal(err)
	}
	first := free.Addr().String()
	free.Close()
	s, err := New(Config{Handler: ok(`1`), Listen: []Listener{{Addr: first}, {Addr: addr}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(context.Background()); casemate.CodeOf(err) != casemate.Unavailable {
		t.Errorf("started on a taken address: %v", err)
	}
	again, err := net.Listen("tcp", first)
	if err != nil {
		t.Fatalf("the first address stayed open: %v", err)
	}
	again.Close()
}

func TestConnectionsBeyondTheBoundAreClosed(t *testing.T) {
	began := time.Now() // and no time passes: who has waited for a second makes room
	_, addr := start(t, Config{Handler: ok(`1`), Limits: Limits{Conn: conn.Limits{Source: 2, Rate: casemate.Rate{PerSecond: 1, Burst: 1 << 40}}}, Clock: func() time.Time { return began }})
	var held []net.Conn
	for range 2 {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if resp, _ := exchangeOn(t, conn, bufio.NewReader(conn), get("/")); resp.StatusCode != 200 {
			t.Fatalf("status %d", resp.StatusCode)
		}
		held = append(held, conn)
	}
	third, err := net.Dial("tcp", addr)
	if err == nil {
		defer third.Close()
		io.WriteString(third, get("/"))
		if n, err := third.Read(make([]byte, 1)); err == nil {
			t.Errorf("a third connection got %d bytes", n)
		}
	}
	held[0].Close()
	for { // the server sees the end of a connection in its own time
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			continue
		}
		io.WriteString(conn, get("/"))
		resp, err := nethttp.ReadResponse(bufio.NewReader(conn), nil)
		conn.Close()
		if err == nil {
			resp.Body.Close()
			return
		}
	}
}

func TestBodyLimits(t *testing.T) {
	_, addr := start(t, Config{Handler: app(readAll), Limits: Limits{BodyBytes: 10}})
	post := "POST / HTTP/1.1\r\nHost: a\r\n"
	cases := []struct {
		name, request string
		status        int
	}{
		{"fits", post + "Content-Length: 10\r\n\r\n0123456789", 200},
		{"chunks fit", post + "Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n5\r\n01234\r\n0\r\n\r\n", 200},
		{"chunks do not", post + "Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n6\r\n012345\r\n0\r\n\r\n", 413},
		{"bad chunk", post + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
	}
	for _, c := range cases {
		if resp, body := raw(t, addr, c.request); resp.StatusCode != c.status {
			t.Errorf("%s: %d %s", c.name, resp.StatusCode, body)
		}
	}
}

func TestHalfSentBody(t *testing.T) {
	_, addr := start(t, Config{Handler: app(readAll)})
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234")
	conn.(*net.TCPConn).CloseWrite()
	all, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(all), "HTTP/1.1 400 ") || !strings.Contains(string(all), "ended early") {
		t.Errorf("%q, %v", all, err)
	}
}

func TestSlowPeersAreCut(t *testing.T) {
	t.Parallel()
	const soon = 50 * time.Millisecond
	_, late := start(t, Config{Handler: app(readAll), Limits: Limits{HeaderTime: soon}})
	_, addr := start(t, Config{Handler: app(readAll), Limits: Limits{HeaderTime: time.Hour, BodyTime: soon, IdleTime: soon}})
	_, idle := start(t, Config{Handler: app(readAll), Limits: Limits{HeaderTime: time.Hour, IdleTime: soon}})
	for _, c := range []struct{ addr, sent, answer string }{ // what is sent before the peer falls silent -> what the answer holds
		{late, "GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ", ""},
		{addr, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0", "HTTP/1.1 408 "},
		{addr, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n", "HTTP/1.1 408 "},
		{idle, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n0", "HTTP/1.1 200 "},
		{addr, "BREW / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234", "HTTP/1.1 405 "},
		{addr, "BREW / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n", "HTTP/1.1 405 "},
	} {
		t.Run(c.answer, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", c.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			io.WriteString(conn, c.sent)
			all, err := io.ReadAll(conn) // ends only because the server cuts the connection
			if err != nil || !strings.Contains(string(all), c.answer) {
				t.Errorf("%q: %q, %v", c.sent, all, err)
			}
		})
	}
}

func TestContinueIsSentOnlyWhenTheHandlerReads(t *testing.T) {
	admit := true
	_, addr := start(t, Config{Handler: app(func(e *casemate.Event) (*casemate.Result, error) {
		if !admit {
			return nil, casemate.Errorf(casemate.Forbidden, "", "no")
		}
		return readAll(e)
	})})
	for _, admit = range []bool{true, false} {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(conn)
		io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
		line, err := r.ReadString('\n')
		want := "HTTP/1.1 403 Forbidden\r\n"
		if admit {
			want = "HTTP/1.1 100 Continue\r\n"
		}
		if line != want || err != nil {
			t.Errorf("admit %v: %q, %v", admit, line, err)
		}
		if admit {
			r.ReadString('\n')
			if resp, body := exchangeOn(t, conn, r, "12345"); resp.StatusCode != 200 || body != "read" {
				t.Errorf("%d %s", resp.StatusCode, body)
			}
		}
		conn.Close()
	}
}

// net/http reads one byte ahead while a handler runs. It belongs to the next request, whose framing is judged by it.
func TestWireKeepsTheByteReadAhead(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	w := newWires(1<<10, nil, nil).watch(ours)
	read := func(sent string, size int) {
		t.Helper()
		done := make(chan struct{})
		go func() { io.WriteString(theirs, sent); close(done) }()
		for left := len(sent); left > 0; {
			n, err := w.Read(make([]byte, size))
			if err != nil {
				t.Fatal(err)
			}
			left -= n
		}
		<-done
	}
	read("POST /1 HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", 64)
	read("P", 1)
	w.next()
	read("OST /2 HTTP/1.1\r\nHost: a\r\n\r\n", 64)
	if w.holds("POST /2 ", "content-length") {
		t.Errorf("the second request was taken for the first, or not known: %q", w.head)
	}
}

// A small unread body does not cost a refused caller its connection, a large one does.
func TestRefusedBodies(t *testing.T) {
	_, addr := start(t, Config{Handler: app(func(*casemate.Event) (*casemate.Result, error) {
		return nil, casemate.Errorf(casemate.Exhausted, "", "slow down")
	})})
	for size, closes := range map[int]bool{100: false, drainBytes + 1: true} {
		resp, err := nethttp.Post("http://"+addr+"/", "text/plain", strings.NewReader(strings.Repeat("a", size)))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 429 || resp.Close != closes {
			t.Errorf("%d bytes: %d, close %v", size, resp.StatusCode, resp.Close)
		}
	}
	nethttp.DefaultClient.CloseIdleConnections()
}

// The body's deadline ends with the body: a run may take longer than a body.
func TestRunOutlivesTheBodyDeadline(t *testing.T) {
	release := make(chan struct{})
	_, addr := start(t, Config{Limits: Limits{BodyTime: time.Millisecond}, Handler: func(ctx context.Context, e *casemate.Event) (*casemate.Result, error) {
		if _, err := io.ReadFull(e.Body, make([]byte, e.Size)); err != nil {
			return nil, err
		}
		timer := time.NewTimer(50 * time.Millisecond)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-timer.C:
			close(release)
			return &casemate.Result{Answer: &casemate.Answer{Status: 200, Body: []byte("done")}}, nil
		}
	}})
	resp, body := raw(t, addr, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n01234")
	<-release
	if resp.StatusCode != 200 || body != "done" {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

func TestShutdownLetsRunningExchangesFinish(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	s, err := New(Config{Listen: []Listener{{Addr: "127.0.0.1:0"}}, Handler: func(context.Context, *casemate.Event) (*casemate.Result, error) {
		close(entered)
		<-release
		return &casemate.Result{Answer: &casemate.Answer{Status: 200, Body: []byte("finished")}}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", s.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, get("/"))
	<-entered
	done := make(chan error)
	go func() { done <- s.Shutdown(context.Background()) }()
	for { // the listener closes first
		c, err := net.Dial("tcp", s.Addrs()[0].String())
		if err != nil {
			break
		}
		c.Close()
	}
	close(release)
	resp, err := nethttp.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 || string(body) != "finished" {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestShutdownCancelsWhatDoesNotFinish(t *testing.T) {
	entered, left := make(chan struct{}), make(chan error, 1)
	s, err := New(Config{Listen: []Listener{{Addr: "127.0.0.1:0"}}, Handler: func(ctx context.Context, _ *casemate.Event) (*casemate.Result, error) {
		close(entered)
		<-ctx.Done()
		left <- ctx.Err()
		return nil, ctx.Err()
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", s.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, get("/"))
	<-entered
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("shutdown: %v", err)
	}
	<-left
}

func TestDevelopmentTLS(t *testing.T) {
	dir := t.TempDir()
	s, addr := start(t, Config{Handler: ok(`"secure"`), Dir: dir, Listen: []Listener{{Addr: "127.0.0.1:0", TLS: true}}})
	if !strings.HasPrefix(s.URLs()[0], "https://127.0.0.1:") {
		t.Errorf("URLs %v", s.URLs())
	}
	info, err := os.Stat(filepath.Join(dir, "ca-key.pem"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("key file %v, %v", info, err)
	}
	ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	for _, name := range []string{"127.0.0.1", "::1", "localhost", "abc.lambda-url.localhost"} {
		for _, proto := range []string{"h2", "http/1.1"} {
			conn, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: pool, ServerName: name, NextProtos: []string{proto}})
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if got := conn.ConnectionState().NegotiatedProtocol; got != proto {
				t.Errorf("protocol %q, want %q", got, proto)
			}
			conn.Close()
		}
	}
	if _, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: pool, ServerName: "example.com"}); err == nil {
		t.Error("the certificate speaks for example.com")
	}
	if _, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 was accepted")
	}
	tr := &nethttp.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	defer tr.CloseIdleConnections()
	resp, err := (&nethttp.Client{Transport: tr}).Post("https://"+addr+"/", "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.ProtoMajor != 2 || string(body) != "secure" {
		t.Errorf("%s %s", resp.Proto, body)
	}
}

func TestObserve(t *testing.T) {
	seen := make(chan Observation, 1)
	_, addr := start(t, Config{Handler: ok(`"four"`), Observe: func(o Observation) { seen <- o }})
	resp, _ := raw(t, addr, get("/"))
	o := <-seen
	if o.ID != resp.Header.Get("X-Request-Id") || o.Status != 200 || o.Bytes != 4 || o.Method != "GET" || o.Source != casemate.SourceHTTP {
		t.Errorf("%+v", o)
	}
}
