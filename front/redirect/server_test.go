package redirect

import (
	"bufio"
	"io"
	"net"
	nethttp "net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"casemate"
	"casemate/front/conn"
	"casemate/internal/casetest/fronttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, change func(*Config)) string {
	t.Helper()
	return started(t, change).Addr().String()
}

func started(t *testing.T, change func(*Config)) *Server {
	t.Helper()
	c := Config{Addr: "127.0.0.1:0", Serves: func(host string) bool { return host == "shop.example.com" || host == "[::1]" },
		Answer: func(host, token string) string {
			if host == "shop.example.com" && token == "tok" {
				return "tok.print"
			}
			return ""
		}}
	if change != nil {
		change(&c)
	}
	s, err := New(c)
	return fronttest.Serve(t, s, err)
}

// ask sends what a test wrote and reads the one answer; the connection must end with it.
func ask(t *testing.T, addr, request string) (*nethttp.Response, string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	method, _, _ := strings.Cut(request, " ")
	a, err := nethttp.ReadResponse(r, &nethttp.Request{Method: method})
	if err != nil {
		t.Fatalf("%.60q: %v", request, err)
	}
	text, _ := io.ReadAll(a.Body)
	if rest, _ := io.ReadAll(r); len(rest) > 0 {
		t.Errorf("%.60q: a second answer: %.100q", request, rest)
	}
	return a, string(text)
}

func TestAnswers(t *testing.T) {
	addr := start(t, nil)
	const host = "Host: shop.example.com\r\n"
	for what, c := range map[string]struct {
		request string
		status  int
		to      string
	}{
		"get":                   {"GET /a%2Fb?q=1&r=%0d HTTP/1.1\r\n" + host + "\r\n", 301, "https://shop.example.com/a%2Fb?q=1&r=%0d"},
		"head":                  {"HEAD / HTTP/1.1\r\n" + host + "\r\n", 301, "https://shop.example.com/"},
		"case, dot and port":    {"GET / HTTP/1.1\r\nHost: SHOP.example.com.:80\r\n\r\n", 301, "https://shop.example.com/"},
		"IPv6":                  {"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 301, "https://[::1]/"},
		"post keeps its method": {"POST /x HTTP/1.1\r\n" + host + "Content-Length: 5\r\n\r\nhello", 308, "https://shop.example.com/x"},
		"endless body":          {"POST /x HTTP/1.1\r\n" + host + "Content-Length: 1000000000\r\n\r\n", 308, "https://shop.example.com/x"},
		"body as a request":     {"POST /x HTTP/1.1\r\n" + host + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /y HTTP/1.1\r\n" + host + "\r\n", 308, "https://shop.example.com/x"},
		"pipelined":             {"GET /x HTTP/1.1\r\n" + host + "\r\nGET /y HTTP/1.1\r\n" + host + "\r\n", 301, "https://shop.example.com/x"},
		"path of two slashes":   {"GET //evil.example/x HTTP/1.1\r\n" + host + "\r\n", 301, "https://shop.example.com//evil.example/x"},
		"another host":          {"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421, ""},
		"a longer host":         {"GET / HTTP/1.1\r\nHost: shop.example.com.evil.example\r\n\r\n", 421, ""},
		"user before the host":  {"GET / HTTP/1.1\r\nHost: shop.example.com@evil.example\r\n\r\n", 400, ""},
		"path in the host":      {"GET / HTTP/1.1\r\nHost: shop.example.com/x\r\n\r\n", 400, ""},
		"port that is none":     {"GET / HTTP/1.1\r\nHost: shop.example.com:x\r\n\r\n", 421, ""},
		"no host":               {"GET / HTTP/1.0\r\n\r\n", 421, ""},
		"two hosts":             {"GET / HTTP/1.1\r\n" + host + "Host: evil.example\r\n\r\n", 400, ""},
		"absolute, elsewhere":   {"GET http://evil.example/ HTTP/1.1\r\n" + host + "\r\n", 421, ""},
		"absolute, here":        {"GET http://shop.example.com/ HTTP/1.1\r\n" + host + "\r\n", 400, ""},
		"tunnel":                {"CONNECT shop.example.com:443 HTTP/1.1\r\n" + host + "\r\n", 400, ""},
		"options of all":        {"OPTIONS * HTTP/1.1\r\n" + host + "\r\n", 400, ""},
		"bearer":                {"GET / HTTP/1.1\r\n" + host + "Authorization: Bearer x\r\n\r\n", 403, ""},
		"key":                   {"GET / HTTP/1.1\r\n" + host + "X-Api-Key: ck_x\r\n\r\n", 403, ""},
		"presigned":             {"GET /?X-Amz-Signature=0 HTTP/1.1\r\n" + host + "\r\n", 403, ""},
		"long target":           {"GET /" + strings.Repeat("a", maxTarget) + " HTTP/1.1\r\n" + host + "\r\n", 400, ""},
		"large headers":         {"GET / HTTP/1.1\r\n" + host + "X: " + strings.Repeat("a", 3*maxHeader) + "\r\n\r\n", 431, ""},
		"challenge":             {"GET /.well-known/acme-challenge/tok HTTP/1.1\r\n" + host + "\r\n", 200, ""},
		"another challenge":     {"GET /.well-known/acme-challenge/other HTTP/1.1\r\n" + host + "\r\n", 404, ""},
		"no token":              {"GET /.well-known/acme-challenge/ HTTP/1.1\r\n" + host + "\r\n", 404, ""},
		"challenge by post":     {"POST /.well-known/acme-challenge/tok HTTP/1.1\r\n" + host + "\r\n", 404, ""},
		"challenge elsewhere":   {"GET /.well-known/acme-challenge/tok HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421, ""},
	} {
		t.Run(what, func(t *testing.T) {
			a, text := ask(t, addr, c.request)
			if a.StatusCode != c.status || a.Header.Get("Location") != c.to {
				t.Errorf("%d to %q, want %d to %q", a.StatusCode, a.Header.Get("Location"), c.status, c.to)
			}
			if (text == "tok.print") != (c.status == 200) {
				t.Errorf("it says %q", text)
			}
			if a.Header.Get("Strict-Transport-Security") != "" {
				t.Error("a promise that anybody on the way could have made") // RFC 6797 section 7.2
			}
		})
	}
}

func TestPortOfHTTPS(t *testing.T) {
	addr := start(t, func(c *Config) { c.Port = "8443" })
	for host, want := range map[string]string{"shop.example.com": "https://shop.example.com:8443/x", "[::1]": "https://[::1]:8443/x"} {
		if a, _ := ask(t, addr, "GET /x HTTP/1.1\r\nHost: "+host+"\r\n\r\n"); a.Header.Get("Location") != want {
			t.Errorf("%s: %s", host, a.Header.Get("Location"))
		}
	}
}

// TestConnectionsAreBounded: of those that open connections and say nothing, so many are let in and no more, and that is told.
func TestConnectionsAreBounded(t *testing.T) {
	told := make(chan casemate.Turned, 64)
	s := started(t, func(c *Config) {
		c.Limits = conn.Limits{Total: 8, Source: 4}
		c.Refused = func(r casemate.Turned) { told <- r }
	})
	away := make(chan struct{}, 20)
	for range 20 {
		c, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			away <- struct{}{}
			continue
		}
		t.Cleanup(func() { c.Close() })
		go func() { _, _ = c.Read(make([]byte, 1)); away <- struct{}{} }()
	}
	for range 16 {
		<-away
	}
	if n := s.Open(); n > 4 {
		t.Errorf("%d connections are open", n)
	}
	select {
	case r := <-told:
		if r.Times < 1 || r.Source != "127.0.0.1" {
			t.Errorf("%+v", r)
		}
	case <-t.Context().Done():
	case <-time.After(time.Minute):
		t.Error("nobody was turned away")
	}
}

// FuzzHost: whatever a Host header says, a redirect goes to a name that is served, or nowhere.
func FuzzHost(f *testing.F) {
	for _, s := range []string{"shop.example.com", "shop.example.com:80", "[::1]:80", "shop.example.com@evil", "shop.example.com\\@evil", "::1", "shop.example.com:80:80", "SHOP.EXAMPLE.COM.", "ſhop.example.com"} {
		f.Add(s, "/a", "q")
	}
	s, err := New(Config{Addr: "x", Serves: func(host string) bool { return host == "shop.example.com" || host == "[::1]" }})
	if err != nil {
		f.Fatal(err)
	}
	defer s.Shutdown(f.Context())
	f.Fuzz(func(t *testing.T, header, path, query string) {
		host, ok := s.host(header)
		if !ok {
			return
		}
		to := url.URL{Scheme: "https", Host: host, Path: "/" + path, RawQuery: query}
		back, err := url.Parse(to.String())
		if err == nil && (back.Scheme != "https" || back.Host != "shop.example.com" && back.Host != "[::1]") {
			t.Errorf("%q leads to %q", header, to.String())
		}
	})
}
