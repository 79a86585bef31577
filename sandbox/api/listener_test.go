package api

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"casemate"
	"casemate/lambda"
)

// served is a Server behind the listener that a sandbox has.
func served(t *testing.T) (*Server, *boundedListener, func() net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	api := New(func(casemate.Effect) {}, time.Now, Identity{})
	done := make(chan struct{})
	go func() { api.Serve(l); close(done) }()
	var bound *boundedListener
	for bound == nil { // until it serves
		api.lanes.mu.Lock()
		bound, _ = api.lanes.socket.(*boundedListener)
		api.lanes.mu.Unlock()
	}
	t.Cleanup(func() { api.Close(); <-done })
	return api, bound, func() net.Conn {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
}

// TestHeadersOfASandboxAreBoundedTogether: 31 connections with half a header each held 140 MB of the node.
func TestHeadersOfASandboxAreBoundedTogether(t *testing.T) {
	_, bound, dial := served(t)
	most := int64(0)
	for range 8 {
		c := dial()
		// The write breaks off when the node closes the connection, which is the point.
		_, _ = io.WriteString(c, "GET /2018-06-01/ping HTTP/1.1\r\nHost: x\r\nA: "+strings.Repeat("a", 1<<20))
		most = max(most, bound.headers.Load())
	}
	if most > maxHeaders+64<<10 {
		t.Errorf("%d bytes of headers are held", most)
	}
	// One long header after the other is nobody's harm.
	for range 4 {
		_, bound, dial := served(t)
		c := dial()
		in := bufio.NewReader(c)
		for range 3 {
			fmt.Fprintf(c, "GET /2018-06-01/ping HTTP/1.1\r\nHost: x\r\nA: %s\r\n\r\n", strings.Repeat("a", 900<<10))
			res, err := http.ReadResponse(in, nil)
			if err != nil || res.StatusCode != 200 {
				t.Fatalf("%v, %v", res, err)
			}
			_, _ = io.Copy(io.Discard, res.Body)
		}
		if n := bound.headers.Load(); n > 1<<20 {
			t.Errorf("%d bytes are still counted", n)
		}
	}
}

// TestOneInitErrorAtATime: each connection could send its own six megabytes, which were all read before the state was
// looked at.
func TestOneInitErrorAtATime(t *testing.T) {
	api, _, dial := served(t)
	post := func(c net.Conn, body string) {
		fmt.Fprintf(c, "POST %sruntime/init/error HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n%s", lambda.RuntimePrefix, body)
	}
	first, second := dial(), dial()
	post(first, "{")
	for failing := false; !failing; { // until the first one is being read
		api.mu.Lock()
		failing = api.failing
		api.mu.Unlock()
	}
	post(second, strings.Repeat(" ", 1000))
	res, err := http.ReadResponse(bufio.NewReader(second), nil)
	if err != nil || res.StatusCode != http.StatusForbidden {
		t.Fatalf("%v, %v", res, err)
	}
	io.WriteString(first, strings.Repeat(" ", 999))
	if res, err = http.ReadResponse(bufio.NewReader(first), nil); err != nil || res.StatusCode != http.StatusAccepted {
		t.Fatalf("%v, %v", res, err)
	}
}
