package http

import (
	"bufio"
	"bytes"
	"io"
	"net"
	nethttp "net/http"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"casemate"
)

// Whatever bytes arrive, building an event neither panics nor lets an ambiguous path through.
func FuzzRequest(f *testing.F) {
	for _, seed := range []string{
		get("/orders/a%2Fb?q=1", "x-api-key: ck_a", "Prefer: respond-async", "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
		"POST http://a/%2e%2e/x HTTP/1.1\r\nHost: [::1]:80\r\nAuthorization: Bearer a.b.c\r\nContent-Length: 1\r\n\r\na",
		"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "GET /%25 HTTP/1.0\r\n\r\n",
	} {
		f.Add(seed)
	}
	c, err := Config{Handler: ok("1"), Listen: []Listener{{Addr: "127.0.0.1:0"}}}.withDefaults()
	if err != nil {
		f.Fatal(err)
	}
	s := &Server{c: c}
	f.Fuzz(func(t *testing.T, in string) {
		r, err := nethttp.ReadRequest(bufio.NewReader(strings.NewReader(in)))
		if err != nil {
			return
		}
		x := &exchange{s: s, r: r, id: "id", source: casemate.SourceHTTP, trace: trace(r.Header), received: time.Unix(1, 0)}
		e, err := s.event(r, x)
		if err != nil {
			if e := casemate.AsError(err); e.Code == casemate.Fault || e.Message == "" {
				t.Fatalf("%q: uncoded refusal %v", in, err)
			}
			return
		}
		path, err := url.PathUnescape(e.Target.Path)
		if err != nil || !strings.HasPrefix(path, "/") || !utf8.ValidString(path) || strings.ContainsAny(path, "\x00\r\n") ||
			strings.Contains(strings.ReplaceAll(path, `\`, "/")+"/", "/../") {
			t.Fatalf("path %q of %q passed: %v", path, in, err)
		}
		if e.Target.Host == "" || e.Target.Host != strings.ToLower(e.Target.Host) || e.Target.Function != "" || e.Target.Builtin != "" {
			t.Fatalf("target %+v", e.Target)
		}
		if e.Credential.Kind != casemate.CredentialNone && !visible(e.Credential.Secret) {
			t.Fatal("a credential that cannot be one passed")
		}
		m := &casemate.Match{Version: &casemate.Version{}, Route: &casemate.Route{}}
		if _, err := e.Encode(m, nil, nil); err != nil {
			t.Fatal(err)
		}
	})
}

// A header block with both framings is always seen, and one without never is, however it is cut into reads.
func FuzzWire(f *testing.F) {
	f.Add("Content-Length: 1\r\nA: b", 3)
	f.Add("A: b\ncontent-LENGTH:2", 1)
	f.Add("X-Content-Length: 1", 7)
	f.Fuzz(func(t *testing.T, headers string, cut int) {
		if strings.Contains(headers, "\n\n") || strings.Contains(headers, "\n\r\n") || strings.HasPrefix(headers, "\n") || strings.HasPrefix(headers, "\r") || len(headers) > 1000 {
			return
		}
		ours, theirs := net.Pipe()
		defer ours.Close()
		w := newWires(1<<12, nil, nil).watch(ours)
		go func() {
			defer theirs.Close()
			io.WriteString(theirs, "POST / HTTP/1.1\r\n"+headers+"\r\nZ: z\r\n\r\nContent-Length: body")
		}()
		size := 2 + (cut&0x7fffffff)%64
		for buf := make([]byte, size); ; {
			if _, err := w.Read(buf); err != nil {
				break
			}
		}
		want := false
		for line := range strings.SplitSeq(headers, "\n") {
			key, _, _ := strings.Cut(line, ":")
			want = want || strings.EqualFold(string(bytes.TrimSpace([]byte(key))), "content-length")
		}
		if got := w.holds("POST / ", "content-length"); got != want {
			t.Fatalf("%q: %v, want %v", headers, got, want)
		}
	})
}
