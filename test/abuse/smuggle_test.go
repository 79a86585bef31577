package abuse

import (
	"crypto/tls"
	_ "embed"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	front "casemate/front/http"
)

//go:embed data/http1.txt
var http1Table string

//go:embed data/http2.txt
var http2Table string

// rows reads a table: lines of quoted strings.
func rows(t *testing.T, table string) [][]string {
	t.Helper()
	var all [][]string
	for line := range strings.Lines(table) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		var row []string
		for rest := line; rest != ""; rest = strings.TrimLeft(rest, " ") {
			q, err := strconv.QuotedPrefix(rest)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			s, err := strconv.Unquote(q)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			row, rest = append(row, s), rest[len(q):]
		}
		all = append(all, row)
	}
	return all
}

// What may hold a second request is one request or none, over plain text and over TLS.
func TestSmugglingOverHTTP1(t *testing.T) {
	x := open(t, front.Limits{})
	for _, row := range rows(t, http1Table) {
		for _, secure := range []bool{false, true} {
			c, err := net.Dial("tcp", x.plain)
			if secure {
				c, err = tls.Dial("tcp", x.addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
			}
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(c, row[2]) // a server that has heard enough may hang up
			_ = c.(interface{ CloseWrite() error }).CloseWrite()
			answer, _ := io.ReadAll(c) // likewise
			c.Close()
			x.rest()
			var seen []string
			for _, s := range x.requests() {
				word := strings.SplitN(s, " ", 4)
				if word[1] != "a" {
					t.Errorf("%s, TLS %v: host %q", row[0], secure, word[1])
				}
				seen = append(seen, word[0]+" "+word[2]+" "+word[3])
			}
			if got := strings.Join(seen, "; "); got != row[1] {
				t.Errorf("%s, TLS %v: seen %q, want %q; answer %.60q", row[0], secure, got, row[1], answer)
			}
			if strings.Contains(string(answer), " 101 ") {
				t.Errorf("%s, TLS %v: the protocol was switched", row[0], secure)
			}
			if n := strings.Count(string(answer), "HTTP/1.1 200 "); n != len(seen) {
				t.Errorf("%s, TLS %v: %d seen, %d answered", row[0], secure, len(seen), n)
			}
		}
	}
}

func TestSmugglingOverHTTP2(t *testing.T) {
	x := open(t, front.Limits{})
	for _, row := range rows(t, http2Table) {
		p := x.dial(t)
		p.hbuf.Reset()
		fields := p.raw(row[3:])
		id := p.stream()
		_ = p.f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: fields, EndHeaders: true, EndStream: row[2] == ""}) // a server that has heard enough may hang up
		if row[2] != "" {
			_ = p.f.WriteData(id, true, []byte(row[2]))
		}
		p.settled(id)
		p.close()
		x.rest()
		if got := strings.Join(x.requests(), "; "); got != row[1] {
			t.Errorf("%s: seen %q, want %q", row[0], got, row[1])
		}
		p.mu.Lock()
		if good := row[1] != ""; good != (p.status[id] == "200") {
			t.Errorf("%s: status %q", row[0], p.status[id])
		}
		p.mu.Unlock()
	}
}

// A body that is longer than its length is dropped: the request that it belongs to may have been answered by then, and nothing of
// it becomes another.
func TestBodyBeyondItsLengthIsNoRequest(t *testing.T) {
	x := open(t, front.Limits{})
	p := x.dial(t)
	id := p.stream()
	if err := p.f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndHeaders: true, BlockFragment: p.raw([]string{":method", "POST", ":scheme", "https", ":authority", "a", ":path", "/a", "content-length", "0"})}); err != nil {
		t.Fatal(err)
	}
	if err := p.f.WriteData(id, true, []byte("GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	p.settled(id)
	p.close()
	x.honest(t)
	x.stop()
	x.rest()
	for _, s := range x.requests() {
		if s != "POST a /a " && s != "GET "+strings.Split(x.addr, ":")[0]+" /honest " {
			t.Errorf("seen %q", s)
		}
	}
}
