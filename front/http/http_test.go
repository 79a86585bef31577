package http

import (
	"bufio"
	"casemate/internal/casetest/fronttest"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"casemate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a server with one plain loopback listener; the test's end shuts it down and checks that it was idle.
func start(t *testing.T, c Config) (*Server, string) {
	t.Helper()
	if len(c.Listen) == 0 {
		c.Listen = []Listener{{Addr: "127.0.0.1:0"}}
	}
	s, err := New(c)
	fronttest.Serve(t, s, err)
	return s, s.Addrs()[0].String()
}

// app answers like a function would, with a match of a route of app "orders".
func app(res func(e *casemate.Event) (*casemate.Result, error)) casemate.Handler {
	return func(_ context.Context, e *casemate.Event) (*casemate.Result, error) { return answered(e, res) }
}

// answered reads what a function gave as the gate does.
func answered(e *casemate.Event, res func(e *casemate.Event) (*casemate.Result, error)) (*casemate.Result, error) {
	r, err := res(e)
	if err != nil || r == nil || r.Accepted || r.Failure != casemate.FailureNone {
		return r, err
	}
	out := *r
	if out.Answer, err = e.Decode(r); err != nil {
		return nil, &casemate.Error{Code: casemate.FunctionFailed, Message: "no response", Err: err}
	}
	return &out, nil
}

func ok(payload string) casemate.Handler {
	return app(func(*casemate.Event) (*casemate.Result, error) {
		return &casemate.Result{Payload: []byte(payload)}, nil
	})
}

// raw sends bytes on a connection of its own and reads one answer.
func raw(t *testing.T, addr, request string) (*nethttp.Response, string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return exchangeOn(t, conn, bufio.NewReader(conn), request)
}

func exchangeOn(t *testing.T, conn net.Conn, r *bufio.Reader, request string) (*nethttp.Response, string) {
	t.Helper()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	resp, err := nethttp.ReadResponse(r, &nethttp.Request{Method: method})
	if err != nil {
		t.Fatalf("reading the answer to %.80q: %v", request, err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil && !errors.Is(err, syscall.ECONNRESET) { // a server that cuts off a flood resets it
		t.Fatalf("reading the body of the answer to %.80q: %v", request, err)
	}
	return resp, string(body)
}

func get(path string, headers ...string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: api.test\r\n" + strings.Join(append(headers, "", ""), "\r\n")
}

func TestRequestBecomesEventAndAnswer(t *testing.T) {
	var seen *casemate.Event
	var encoded []byte
	_, addr := start(t, Config{Handler: app(func(e *casemate.Event) (*casemate.Result, error) {
		seen = e
		body, err := io.ReadAll(e.Body)
		if err != nil {
			return nil, err
		}
		m := &casemate.Match{Version: &casemate.Version{App: "orders", Account: "123456789012"},
			Route: &casemate.Route{ID: "POST /orders/{id}", App: "orders"}, Params: map[string]string{"id": "a/b"}}
		encoded, err = e.Encode(m, &casemate.Principal{Kind: casemate.KindKey, ID: "key/ck_1", Account: "123456789012"}, body)
		return &casemate.Result{Payload: []byte(`{"statusCode":201,"headers":{"x-mine":"1","x-amzn-requestid":"forged"},"cookies":["a=1","b=2"],"body":"made"}`)}, err
	})})
	resp, body := raw(t, addr, "POST /orders/a%2Fb?q=1&q=2 HTTP/1.1\r\nHost: API.test:99\r\nUser-Agent: probe\r\nx-api-key: ck_secret\r\n"+
		"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\ntracestate: v=1\r\nX-Amzn-RequestId: theirs\r\n"+
		"Content-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"a\":1}")
	if resp.StatusCode != 201 || body != "made" || resp.Header.Get("X-Mine") != "1" || len(resp.Header["Set-Cookie"]) != 2 ||
		resp.Header.Get("X-Content-Type-Options") != "nosniff" || resp.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("answer %d %v %q", resp.StatusCode, resp.Header, body)
	}
	id := resp.Header.Get("X-Amzn-Requestid")
	if len(id) != 36 || id != seen.ID || resp.Header.Get("X-Request-Id") != id {
		t.Errorf("request id %q, event %q", id, seen.ID)
	}
	want := casemate.Target{Host: "api.test", Method: "POST", Path: "/orders/a%2Fb"}
	if seen.Target != want || seen.Source != casemate.SourceHTTP || seen.Size != 7 || seen.SourceIP != "127.0.0.1" || seen.Attempt != 1 || seen.Async {
		t.Errorf("event %+v", seen)
	}
	if seen.Credential.Kind != casemate.CredentialKey || seen.Credential.Secret != "ck_secret" {
		t.Errorf("credential %v", seen.Credential)
	}
	if seen.Trace.TraceID != "4bf92f3577b34da6a3ce929d0e0e4736" || seen.Trace.ParentID != "00f067aa0ba902b7" || seen.Trace.State != "v=1" ||
		resp.Header.Get("Traceparent") != seen.Trace.Traceparent() {
		t.Errorf("trace %+v, answered %q", seen.Trace, resp.Header.Get("Traceparent"))
	}
	context := fmt.Sprint(seen.Context["aws:sourceip"], seen.Context["aws:securetransport"], seen.Context["aws:useragent"])
	if context != "[127.0.0.1] [false] [probe]" {
		t.Errorf("context %s", context)
	}
	var event struct {
		RouteKey, RawPath, RawQueryString, Body string
		Headers, PathParameters                 map[string]string
		RequestContext                          struct{ APIID, RequestID, AccountID, DomainName string }
	}
	if err := json.Unmarshal(encoded, &event); err != nil {
		t.Fatal(err)
	}
	if event.RouteKey != "POST /orders/{id}" || event.RawPath != "/orders/a%2Fb" || event.RawQueryString != "q=1&q=2" || event.Body != `{"a":1}` ||
		event.PathParameters["id"] != "a/b" || event.RequestContext.APIID != "orders" || event.RequestContext.RequestID != id ||
		event.RequestContext.AccountID != "123456789012" || event.RequestContext.DomainName != "api.test" || event.Headers["host"] != "API.test:99" {
		t.Errorf("event %s", encoded)
	}
	if strings.Contains(string(encoded), "ck_secret") || strings.Contains(string(encoded), "theirs") {
		t.Errorf("the function sees what is not its business: %s", encoded)
	}
}

func TestMalformedRequestsAreRefused(t *testing.T) {
	t.Parallel()
	_, addr := start(t, Config{Handler: func(context.Context, *casemate.Event) (*casemate.Result, error) {
		t.Error("a malformed request reached the handler")
		return nil, errors.New("unreachable")
	}, Limits: Limits{TargetBytes: 200, HeaderCount: 10, QueryParams: 3, BodyBytes: 100, HeaderBytes: 8 << 10}})
	cases := []struct {
		name, request string
		status        int
		field         string // empty: the answer is net/http's own
	}{
		{"method", "BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 405, "method"},
		{"trace method", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405, "method"},
		{"connect", "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 405, "method"},
		{"asterisk", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 400, "path"},
		{"no host", "GET / HTTP/1.1\r\n\r\n", 400, ""},
		{"no host in 1.0", "GET / HTTP/1.0\r\n\r\n", 400, "host"},
		{"two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, ""},
		{"bad host", "GET / HTTP/1.1\r\nHost: a$b\r\n\r\n", 400, "host"},
		{"proxy", "GET http://elsewhere.test/ HTTP/1.1\r\nHost: elsewhere.test\r\n\r\n", 400, "path"},
		{"long target", get("/" + strings.Repeat("a", 200)), 414, "path"},
		{"header flood", get("/", strings.Split(strings.TrimSuffix(strings.Repeat("A: b\r\n", 11), "\r\n"), "\r\n")...), 431, "headers"},
		{"header bytes", get("/", "A: "+strings.Repeat("a", 16<<10)), 431, ""},
		{"header name", get("/", "A b: c"), 400, ""},
		{"header utf-8", get("/", "A: \xff"), 400, "a"},
		{"nul", get("/", "A: b\x00"), 400, ""},
		{"dot dot", get("/a/../b"), 400, "path"}, {"dot", get("/./b"), 400, "path"},
		{"encoded dot dot", get("/a/%2e%2E/b"), 400, "path"}, {"encoded slash dot dot", get("/a/..%2fb"), 400, "path"},
		{"backslash dot dot", get("/a/..%5cb"), 400, "path"}, {"raw backslash", get("/a\\b"), 400, "path"},
		{"raw brace", get("/{a}"), 400, "path"}, {"raw utf-8", get("/\xc3\xa9"), 400, "path"}, {"fragment", get("/a#b"), 400, "path"},
		{"encoded nul", get("/%00"), 400, "path"}, {"encoded newline", get("/%0a"), 400, "path"}, {"encoded bad utf-8", get("/%ff"), 400, "path"},
		{"broken escape", get("/%zz"), 400, ""},
		{"query flood", get("/?a&b&c&d"), 400, "query"}, {"query escape", get("/?a=%z"), 400, "query"}, {"query utf-8", get("/?a=%ff"), 400, "query"},
		{"raw query", get("/?a=\xff"), 400, "query"},
		{"content types", get("/", "Content-Type: a/b", "Content-Type: c/d"), 400, "content-type"},
		{"content encoding", get("/", "Content-Encoding: br"), 415, "content-encoding"},
		{"declared size", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n", 413, "-"},
		{"two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400, ""},
		{"length list", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\na", 400, ""},
		{"length and chunks", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: identity\r\n\r\nabcd", 501, ""},
		{"odd coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501, ""},
		{"signed length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na", 400, ""},
		{"expectation", "POST / HTTP/1.1\r\nHost: a\r\nExpect: magic\r\nContent-Length: 1\r\n\r\n", 417, ""},
		{"two authorizations", get("/", "Authorization: Bearer a", "Authorization: Bearer a"), 400, "authorization"},
		{"two keys", get("/", "x-api-key: ck_a", "x-api-key: ck_a"), 400, "authorization"},
		{"different", get("/", "x-api-key: ck_a", "Authorization: Bearer ck_b"), 400, "x-api-key"},
		{"no token", get("/", "Authorization: Bearer"), 401, "authorization"},
		{"two words", get("/", "Authorization: Bearer a b"), 401, "authorization"},
		{"empty key", get("/", "x-api-key:"), 401, "x-api-key"},
	}
	for _, c := range cases {
		resp, body := raw(t, addr, c.request)
		if resp.StatusCode != c.status {
			t.Errorf("%s: status %d %s, want %d", c.name, resp.StatusCode, body, c.status)
			continue
		}
		if c.field == "" {
			continue
		}
		var e casemate.ErrorBody
		if err := json.Unmarshal([]byte(body), &e); err != nil {
			t.Errorf("%s: %q: %v", c.name, body, err)
		} else if c.field != "-" && e.Field != c.field || e.Message == "" || e.Hint == "" || e.RequestID != resp.Header.Get("X-Amzn-Requestid") {
			t.Errorf("%s: body %s", c.name, body)
		}
		if (resp.StatusCode == 401) != (resp.Header.Get("WWW-Authenticate") != "") {
			t.Errorf("%s: WWW-Authenticate %q with %d", c.name, resp.Header.Get("WWW-Authenticate"), resp.StatusCode)
		}
	}
}

// An ambiguous framing, the way to hide a second request from the first reader: refused, closed, nothing served.
func TestAmbiguousFramingIsRefusedAndCloses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var served []string
	s, plain := start(t, Config{Dir: dir, Listen: []Listener{{Addr: "127.0.0.1:0"}, {Addr: "127.0.0.1:0", TLS: true}}, Handler: app(func(e *casemate.Event) (*casemate.Result, error) {
		served = append(served, e.Target.Path)
		if e.Body == nil {
			return &casemate.Result{Payload: []byte(`"none"`)}, nil
		}
		return readAll(e)
	})})
	chunks := "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
	two := "GET /two HTTP/1.1\r\nHost: a\r\n\r\n"
	first := "POST /one HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"
	cases := []struct{ name, first, second, served string }{
		{"both", "", "POST /one HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n" + chunks + two, ""},
		{"both, odd case, bare line ends", "", "POST /one HTTP/1.1\nHost: a\ncONTENT-lENGTH: 4\nTransfer-Encoding: chunked\n\n0\r\n\r\n" + two, ""},
		{"length after", "", "POST /one HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + two, ""},
		{"both on a used connection", first, "POST /two HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n" + chunks + two, "/one"},
		{"pipelined chunks", "", first + "POST /two HTTP/1.1\r\nHost: a\r\n" + chunks, "/one"},
		{"chunks in HTTP/1.0", "", "POST /one HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n" + chunks + two, ""},
		{"chunks alone", "", "POST /one HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n" + chunks, "/one"},
		{"chunks alone on a used connection", first, "POST /two HTTP/1.1\r\nHost: a\r\n" + chunks, "/one /two"},
		{"chunks twice", "POST /one HTTP/1.1\r\nHost: a\r\n" + chunks, "POST /two HTTP/1.1\r\nHost: a\r\n" + chunks, "/one /two"},
	}
	for _, secure := range []bool{false, true} {
		for _, c := range cases {
			served = nil
			conn, err := net.Dial("tcp", plain)
			if secure {
				conn, err = tls.Dial("tcp", s.Addrs()[1].String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
			}
			if err != nil {
				t.Fatal(err)
			}
			r := bufio.NewReader(conn)
			if c.first != "" {
				if resp, _ := exchangeOn(t, conn, r, c.first); resp.StatusCode != 200 {
					t.Fatalf("%s: first answer %d", c.name, resp.StatusCode)
				}
			}
			good := strings.Contains(c.name, "alone") || strings.Contains(c.name, "twice")
			io.WriteString(conn, c.second)
			if good {
				if resp, err := nethttp.ReadResponse(r, nil); err != nil || resp.StatusCode != 200 {
					t.Errorf("%s, TLS %v: %v, %v", c.name, secure, resp, err)
				}
			} else if all, _ := io.ReadAll(r); strings.Count(string(all), " 400 Bad Request") != 1 || strings.Count(string(all), "HTTP/1.1 200") > 1 {
				t.Errorf("%s, TLS %v: %q", c.name, secure, all) // ReadAll ends with the connection, reset or not
			}
			conn.Close()
			if got := strings.Join(served, " "); got != c.served {
				t.Errorf("%s, TLS %v: served %q, want %q", c.name, secure, got, c.served)
			}
		}
	}
}

func TestPublicListenerNamesNoFunctionAndNoBuiltin(t *testing.T) {
	var seen casemate.Target
	_, addr := start(t, Config{Handler: app(func(e *casemate.Event) (*casemate.Result, error) {
		seen = e.Target
		return nil, casemate.Errorf(casemate.NotFound, "", "no such route")
	})})
	// GHSA-3g33-6vg6-27m8: a function was invocable by its name on the public listener.
	for _, path := range []string{"/2015-03-31/functions/orders/invocations", "/fission-function/orders", "/v1/deploy.apply", "/function/orders"} {
		seen = casemate.Target{}
		resp, _ := raw(t, addr, get(path))
		if resp.StatusCode != 404 || seen.Function != "" || seen.Builtin != "" || seen.Path != path {
			t.Errorf("%s: %d, target %+v", path, resp.StatusCode, seen)
		}
	}
	seen = casemate.Target{}
	for path, status := range map[string]int{"/.casemate/health": 200, "/.casemate/keys": 404, "/.casemate/": 404} {
		if resp, body := raw(t, addr, get(path)); resp.StatusCode != status || status == 200 && body != `{"status":"ok"}` {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
	if resp, _ := raw(t, addr, "POST /.casemate/health HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"); resp.StatusCode != 404 {
		t.Errorf("POST health: %d", resp.StatusCode)
	}
	if seen != (casemate.Target{}) {
		t.Errorf("a reserved path reached the handler: %+v", seen)
	}
}

func TestHandlerErrorsByCode(t *testing.T) {
	var code casemate.Code
	_, addr := start(t, Config{Handler: app(func(*casemate.Event) (*casemate.Result, error) {
		return nil, fmt.Errorf("in /srv/secret.go: %w", &casemate.Error{Code: code, Message: "said", Field: "/sku", Rule: "clerk#2", Hint: "ask", Retry: 7,
			Err: errors.New("canary-cause")})
	})})
	for _, code = range casemate.Codes() {
		resp, body := raw(t, addr, get("/"))
		want := fmt.Sprintf(`{"message":"said","code":%q,"field":"/sku","rule":"clerk#2","hint":"ask","retry":7,"requestId":%q}`,
			code, resp.Header.Get("X-Request-Id"))
		if code == casemate.FunctionFailed { // what a function did wrong is for its operator
			want = `{"message":"Internal server error"}`
		}
		if resp.StatusCode != code.HTTP() || body != want {
			t.Errorf("%s: %d %s, want %s", code, resp.StatusCode, body, want)
		}
		retry := code == casemate.Exhausted || code == casemate.Unavailable
		if retry && resp.Header.Get("Retry-After") != "7" || !retry && resp.Header.Get("Retry-After") != "" {
			t.Errorf("%s: Retry-After %q", code, resp.Header.Get("Retry-After"))
		}
		if (code == casemate.Unauthenticated) != (resp.Header.Get("WWW-Authenticate") != "") || resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: headers %v", code, resp.Header)
		}
	}
}

func TestUncodedErrorTellsNothing(t *testing.T) {
	_, addr := start(t, Config{Handler: app(func(*casemate.Event) (*casemate.Result, error) { return nil, errors.New("canary at /srv/x.go:12") })})
	resp, body := raw(t, addr, get("/"))
	if resp.StatusCode != 500 || strings.Contains(body, "canary") || !strings.Contains(body, "requestId") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

// Lambda checklist: 56, 57
func TestResults(t *testing.T) {
	var res *casemate.Result
	_, addr := start(t, Config{Handler: app(func(*casemate.Event) (*casemate.Result, error) { return res, nil })})
	trace := []byte(`{"errorMessage":"canary","trace":["at /var/task/x.js"]}`)
	cases := []struct {
		name   string
		res    *casemate.Result
		status int
		body   string
	}{
		{"inferred", &casemate.Result{Payload: []byte(`{"a":1}`)}, 200, `{"a":1}`},
		{"string", &casemate.Result{Payload: []byte(`"hello"`)}, 200, `hello`},
		{"no content", &casemate.Result{Payload: []byte(`{"statusCode":204,"body":"x"}`)}, 204, ""},
		{"not modified", &casemate.Result{Payload: []byte(`{"statusCode":304,"body":"x"}`)}, 304, ""},
		{"timeout", &casemate.Result{Failure: casemate.FailureTimeout, Payload: trace}, 504, `{"message":"Endpoint request timed out"}`},
		{"error", &casemate.Result{Failure: casemate.FailureHandled, Payload: trace}, 502, `{"message":"Internal server error"}`},
		{"memory", &casemate.Result{Failure: casemate.FailureMemory, Payload: trace, Detail: "canary"}, 502, `{"message":"Internal server error"}`},
		{"not JSON", &casemate.Result{Payload: []byte("canary")}, 502, `{"message":"Internal server error"}`},
		{"injection", &casemate.Result{Payload: []byte(`{"statusCode":200,"headers":{"a":"b\r\nset-cookie: c=d"}}`)}, 502, `{"message":"Internal server error"}`},
		{"empty", &casemate.Result{}, 502, `{"message":"Internal server error"}`},
	}
	for _, c := range cases {
		res = c.res
		resp, body := raw(t, addr, get("/"))
		if resp.StatusCode != c.status || body != c.body || resp.Header.Get("X-Request-Id") == "" {
			t.Errorf("%s: %d %s, want %d %s", c.name, resp.StatusCode, body, c.status, c.body)
		}
	}
	res = nil
	if resp, body := raw(t, addr, get("/")); resp.StatusCode != 500 || !strings.Contains(body, `"code":"Fault"`) {
		t.Errorf("no result: %d %s", resp.StatusCode, body)
	}
	res = &casemate.Result{Payload: []byte(`"hello"`)}
	if resp, body := raw(t, addr, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"); resp.StatusCode != 200 || body != "" || resp.Header.Get("Content-Length") != "5" {
		t.Errorf("HEAD: %d %q %v", resp.StatusCode, body, resp.Header)
	}
}

func TestAsync(t *testing.T) {
	_, addr := start(t, Config{Handler: app(func(e *casemate.Event) (*casemate.Result, error) {
		if !e.Async {
			return &casemate.Result{Payload: []byte(`"now"`)}, nil
		}
		return &casemate.Result{Accepted: true}, nil
	})})
	resp, body := raw(t, addr, get("/", "Prefer: wait=10, Respond-Async; x=y"))
	if resp.StatusCode != 202 || body != `{"requestId":"`+resp.Header.Get("X-Request-Id")+`"}` || resp.Header.Get("Preference-Applied") != "respond-async" {
		t.Errorf("%d %s %v", resp.StatusCode, body, resp.Header)
	}
	if resp, body = raw(t, addr, get("/", "Prefer: return=minimal")); resp.StatusCode != 200 || body != "now" {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

func TestFunctionURL(t *testing.T) {
	var seen *casemate.Event
	refuse := false
	_, addr := start(t, Config{Handler: app(func(e *casemate.Event) (*casemate.Result, error) {
		seen = e
		if refuse {
			return nil, casemate.Errorf(casemate.Forbidden, "canary", "canary may not")
		}
		event, err := e.Encode(&casemate.Match{Version: &casemate.Version{App: "orders"}, Route: &casemate.Route{App: "orders", URL: true}}, nil, nil)
		if !strings.Contains(string(event), `"routeKey":"$default"`) || !strings.Contains(string(event), `"apiId":"abc1"`) {
			t.Errorf("event %s", event)
		}
		return &casemate.Result{Payload: []byte(`{"statusCode":200,"body":"x"}`)}, err
	})})
	request := "GET /pa2%2Fth/1 HTTP/1.1\r\nHost: ABC1.lambda-url.localhost:3000\r\n\r\n"
	resp, _ := raw(t, addr, request)
	if resp.StatusCode != 200 || seen.Source != casemate.SourceURL || seen.Target.Host != "abc1.lambda-url.localhost" ||
		seen.Target.Path != "/pa2%2Fth/1" || resp.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%d %+v %v", resp.StatusCode, seen, resp.Header)
	}
	refuse = true
	resp, body := raw(t, addr, request)
	if resp.StatusCode != 403 || !strings.HasPrefix(body, `{"Message":"Forbidden. For troubleshooting`) || strings.Contains(body, "canary") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

func TestPanicAnswersAndKeepsTheConnection(t *testing.T) {
	var log strings.Builder
	_, addr := start(t, Config{Log: textLog(&log), Handler: app(func(e *casemate.Event) (*casemate.Result, error) {
		if e.Target.Path == "/panic" {
			panic("canary")
		}
		return &casemate.Result{Payload: []byte(`"fine"`)}, nil
	})})
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	if resp, body := exchangeOn(t, conn, r, get("/panic")); resp.StatusCode != 500 || strings.Contains(body, "canary") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if resp, body := exchangeOn(t, conn, r, get("/")); resp.StatusCode != 200 || body != "fine" {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if !strings.Contains(log.String(), "canary") || !strings.Contains(log.String(), "request=") {
		t.Errorf("log %q", log.String())
	}
}
