package debugger

import (
	"bufio"
	"context"
	"io"
	"net"
	"strings"
	"testing"

	"casemate"
)

// echo is a debugger that repeats what it hears, after a greeting.
func echo(t *testing.T, web bool) (*Port, func(say string) string) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.WriteString(c, "hello\n")
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
		}
	}()
	p, err := Open(t.Context(), Config{Addr: "127.0.0.1:0", Dial: func(ctx context.Context) (net.Conn, bool, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", l.Addr().String())
		return c, web, err
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p, func(say string) string {
		t.Helper()
		var d net.Dialer
		c, err := d.DialContext(t.Context(), "tcp", p.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, say); err != nil {
			t.Fatal(err)
		}
		_ = c.(*net.TCPConn).CloseWrite()
		got, _ := io.ReadAll(c) // a refusal is the end of the connection, by whatever means
		return string(got)
	}
}

func TestWhoIsLedIn(t *testing.T) {
	_, ask := echo(t, true)
	for head, in := range map[string]bool{
		"GET /json HTTP/1.1\r\nHost: 127.0.0.1:9229\r\n\r\n":                                                    true,
		"GET /json HTTP/1.1\r\nHost: localhost:9229\r\n\r\n":                                                    true,
		"GET /json HTTP/1.1\r\nHost: [::1]:9229\r\n\r\n":                                                        true,
		"GET /x HTTP/1.1\r\nHost: localhost\r\nOrigin: devtools://devtools\r\n\r\n":                             true,
		"GET /x HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost:3000\r\n\r\n":                           true,
		"GET /json HTTP/1.1\r\nHost: rebound.example.com:9229\r\n\r\n":                                          false,
		"GET /json HTTP/1.1\r\nHost: localhost.example.com\r\n\r\n":                                             false,
		"GET /json HTTP/1.1\r\n\r\n":                                                                            false,
		"GET /x HTTP/1.1\r\nHost: 127.0.0.1:9229\r\nUpgrade: websocket\r\nOrigin: https://evil.example\r\n\r\n": false,
		"GET /x HTTP/1.1\r\nHost: 127.0.0.1:9229\r\nOrigin: http://203.0.113.7\r\n\r\n":                         false,
		"GET /x HTTP/1.1\r\nHost: 127.0.0.1:9229\r\nOrigin: http://[2001:db8::1]:80\r\n\r\n":                    false,
		"GET /x HTTP/1.1\r\nHost: 127.0.0.1:9229\r\nOrigin: http://[::1]:3000\r\n\r\n":                          true,
		"GET /x HTTP/1.1\r\nHost: 127.0.0.1:9229\r\nOrigin: null\r\n\r\n":                                       false,
		"import os\n": false,
		"GET /x HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + strings.Repeat("x", 2*maxHead) + "\r\n\r\n": false,
	} {
		if got := ask(head); strings.Contains(got, "Host: ") != in || !in && got != "" {
			t.Errorf("%q: led in: %v", head, !in)
		}
	}
}

// TestPlainDebuggersHearNoBrowsers: text that a page posts to a port must not be taken for commands.
func TestPlainDebuggersHearNoBrowsers(t *testing.T) {
	_, ask := echo(t, false)
	if got := ask("p 6*7\nc\n"); got != "hello\np 6*7\nc\n" {
		t.Errorf("%q", got)
	}
	if got := ask("POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n__import__('os')\n"); strings.Contains(got, "import") {
		t.Errorf("%q", got)
	}
}

func TestNothingButLoopback(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "192.0.2.1:9229", "[::]:0", "example.com:9229", ""} {
		p, err := Open(t.Context(), Config{Addr: addr})
		if casemate.CodeOf(err) != casemate.Invalid {
			t.Errorf("%q: %v", addr, err)
		}
		if err == nil {
			p.Close()
		}
	}
}

// TestCloseEndsConnections: also one in which nobody speaks.
func TestCloseEndsConnections(t *testing.T) {
	p, _ := echo(t, false)
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "tcp", p.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || line != "hello\n" {
		t.Fatal(line, err)
	}
	p.Close()
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("it is open")
	}
}

func FuzzFirst(f *testing.F) {
	f.Add("GET /json HTTP/1.1\r\nHost: localhost\r\n\r\n", true)
	f.Fuzz(func(t *testing.T, s string, web bool) {
		head, err := first(bufio.NewReaderSize(strings.NewReader(s), maxHead), web)
		if err == nil && !strings.HasPrefix(s, string(head)) {
			t.Errorf("%q of %q", head, s)
		}
	})
}
