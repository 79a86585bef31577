package http

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	nethttp "net/http"
	"strings"
	"testing"

	"casemate"
)

// mirror answers with the event that a function of a REST API gets.
func mirror(t *testing.T) casemate.Handler {
	return app(func(e *casemate.Event) (*casemate.Result, error) {
		body := []byte(nil)
		if e.Body != nil {
			var err error
			if body, err = io.ReadAll(e.Body); err != nil {
				t.Error(err)
			}
		}
		m := &casemate.Match{Version: &casemate.Version{}, Route: &casemate.Route{ID: "ANY /{proxy+}", App: "a", Payload: "rest"}}
		event, err := e.Encode(m, nil, body)
		if err != nil {
			t.Error(err)
		}
		said, err := json.Marshal(string(event))
		e.Decode = func(*casemate.Result) (*casemate.Answer, error) {
			return &casemate.Answer{Status: 200, Body: event}, err
		}
		return &casemate.Result{Payload: said}, err
	})
}

// names are those of a REST event's headers, with their values.
func names(t *testing.T, event string) map[string]string {
	t.Helper()
	var x struct{ Headers map[string]string }
	if err := json.Unmarshal([]byte(event), &x); err != nil {
		t.Fatalf("%v: %s", err, event)
	}
	return x.Headers
}

// Lambda checklist: 45
func TestRESTEventsKeepTheCaseOfNames(t *testing.T) {
	_, addr := start(t, Config{Handler: mirror(t)})
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	odd := "POST /a HTTP/1.1\r\nhOST: api.test\r\nx-lower: 1\r\nX-UPPER: 2\r\nX-MiXed: 3\r\nx-twice: 4\r\nX-Twice: 5\r\ncoOkie: a=b\r\nX-Plain: 6\r\nuser-agent: u\r\n" +
		"X-AMZN-fake: no\r\nx-forwarded-FOR: no\r\n"
	for name, request := range map[string]string{
		"length": odd + "Content-Length: 22\r\n\r\nX-Lower: no\r\n\r\nX-L: no",
		"chunks": odd + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
	} {
		_, event := exchangeOn(t, c, r, request)
		got := names(t, event)
		for as, value := range map[string]string{"x-lower": "1", "X-UPPER": "2", "X-MiXed": "3", "x-twice": "5", "coOkie": "a=b", "X-Plain": "6", "user-agent": "u", "Host": "api.test"} {
			if got[as] != value {
				t.Errorf("%s: %s is %q in %v", name, as, got[as], got)
			}
		}
		for as, value := range got {
			if value == "no" || strings.EqualFold(as, "x-lower") && as != "x-lower" || strings.EqualFold(as, "x-amzn-fake") {
				t.Errorf("%s: %s is %q", name, as, value)
			}
		}
		if got["X-Forwarded-For"] != "127.0.0.1" {
			t.Errorf("%s: forwarded for %q", name, got["X-Forwarded-For"])
		}
	}
	// The next request of the connection has names of its own; of a pipelined one they cannot be seen, and are canonical.
	_, event := exchangeOn(t, c, r, get("/b", "X-LOWER: 1"))
	if got := names(t, event); got["X-LOWER"] != "1" || got["x-lower"] != "" {
		t.Errorf("%v", got)
	}
	_, first := exchangeOn(t, c, r, get("/c", "x-one: 1")+get("/d", "x-one: 2", "x-two: 2"))
	if got := names(t, first); got["x-one"] != "1" {
		t.Errorf("%v", got)
	}
	_, second := exchangeOn(t, c, r, "")
	if got := names(t, second); got["X-One"] != "2" || got["X-Two"] != "2" {
		t.Errorf("pipelined: %v", got)
	}
}

// Lambda checklist: 45
func TestRESTEventsBelowTLS(t *testing.T) {
	_, addr := start(t, Config{Handler: mirror(t), Listen: []Listener{{Addr: "127.0.0.1:0", TLS: true}}, Dir: t.TempDir()})
	for _, c := range []struct {
		two  bool
		name string
	}{{false, "X-mIXED"}, {true, "x-mixed"}} { // HTTP/2 has no upper case
		client := &nethttp.Client{Transport: &nethttp.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: c.two}}
		req, err := nethttp.NewRequestWithContext(t.Context(), "GET", "https://"+addr+"/a", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header["X-mIXED"] = []string{"1"}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		event, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		client.CloseIdleConnections()
		if got := names(t, string(event)); err != nil || got[c.name] != "1" || (resp.ProtoMajor == 2) != c.two {
			t.Errorf("%s: %v, %v", resp.Proto, got, err)
		}
	}
}
