package http

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"

	"casemate"
	"casemate/browser"
)

// shelf is one route with CORS, at /orders, for one method.
type shelf struct {
	t     *testing.T
	route *casemate.Route
	rules *browser.Rules
	knock error

	mu   sync.Mutex
	told []casemate.Preflight
}

func newShelf(t *testing.T) *shelf {
	b := &casemate.Browser{CORS: &casemate.CORS{Origins: []string{"https://app.test"}, Methods: []string{"PUT"}, Headers: []string{"x-api-key"}}}
	rules, err := browser.Compile(b)
	if err != nil {
		t.Fatal(err)
	}
	return &shelf{t: t, route: &casemate.Route{App: "shop", ID: "PUT /orders", Browser: b}, rules: rules}
}

func (s *shelf) Route(_, method, path string) (*casemate.Route, *browser.Rules) {
	if method == "PUT" && path == "/orders" {
		return s.route, s.rules
	}
	return nil, nil
}

func (s *shelf) Rules(*casemate.Route) *browser.Rules         { return s.rules }
func (s *shelf) Knock(_ context.Context, source string) error { return s.knock }

func (s *shelf) Tell(p casemate.Preflight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, p)
}

func (s *shelf) heard() []casemate.Preflight {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.told)
}

func ask(method, path string, lines ...string) string {
	return method + " " + path + " HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n" + strings.Join(append(lines, "\r\n"), "\r\n")
}

// TestPreflightsReachNobody: they are answered or refused here, told with the rule that refused them, and no event is made.
func TestPreflightsReachNobody(t *testing.T) {
	s := newShelf(t)
	_, addr := start(t, Config{Browsers: s, Handler: func(_ context.Context, e *casemate.Event) (*casemate.Result, error) {
		if e.Target.Path == "/orders" {
			t.Error("an event was made of a preflight")
		}
		return nil, casemate.Errorf(casemate.NotFound, "", "no such route")
	}})
	for _, c := range []struct {
		lines  []string
		status int
		rule   string
	}{
		{[]string{"Origin: https://app.test", "Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: x-api-key"}, 204, ""},
		{[]string{"Origin: https://app.test.evil.test", "Access-Control-Request-Method: PUT"}, 403, "cors/origin"},
		{[]string{"Origin: https://app.test", "Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: x-b"}, 403, "cors/header"},
	} {
		resp, _ := raw(t, addr, ask("OPTIONS", "/orders", c.lines...))
		allowed := resp.Header.Get("Access-Control-Allow-Origin") != ""
		told := s.heard()
		if resp.StatusCode != c.status || allowed != (c.status == 204) || len(told) == 0 || told[len(told)-1].Rule != c.rule || told[len(told)-1].Route != "PUT /orders" || resp.Header.Get("Vary") == "" {
			t.Errorf("%q: %d, %v, told %v", c.lines, resp.StatusCode, resp.Header, told)
		}
	}
	s.knock = &casemate.Error{Code: casemate.Exhausted, Message: "too many", Rule: "rate of source", Retry: 3}
	resp, _ := raw(t, addr, ask("OPTIONS", "/orders", "Origin: https://app.test", "Access-Control-Request-Method: PUT"))
	if told := s.heard(); resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "3" || told[len(told)-1].Rule != "rate of source" || resp.Header.Get("Access-Control-Allow-Methods") != "" {
		t.Errorf("%d, %v, told %v", resp.StatusCode, resp.Header, told)
	}
	n := len(s.heard())
	for _, q := range []string{ask("OPTIONS", "/other", "Origin: https://app.test", "Access-Control-Request-Method: PUT"), ask("OPTIONS", "/other", "Origin: https://app.test")} {
		if resp, _ := raw(t, addr, q); resp.StatusCode != 404 || len(s.heard()) != n {
			t.Errorf("%s: %d", q, resp.StatusCode)
		}
	}
}

// TestRefusalsCanBeRead: a page that may read answers may read why there is none, whatever refused it.
func TestRefusalsCanBeRead(t *testing.T) {
	for code, status := range map[casemate.Code]int{casemate.Unauthenticated: 401, casemate.Forbidden: 403, casemate.Exhausted: 429, casemate.Unavailable: 503, casemate.Fault: 500} {
		_, addr := start(t, Config{Browsers: newShelf(t), Handler: func(context.Context, *casemate.Event) (*casemate.Result, error) {
			return nil, casemate.Errorf(code, "", "no")
		}})
		for origin, may := range map[string]bool{"https://app.test": true, "https://evil.test": false} {
			resp, _ := raw(t, addr, ask("PUT", "/orders", "Origin: "+origin, "Content-Length: 0"))
			if got := resp.Header.Get("Access-Control-Allow-Origin") == origin; resp.StatusCode != status || got != may || resp.Header.Get("Vary") != "Origin" || resp.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%v for %s: %d, %v", code, origin, resp.StatusCode, resp.Header)
			}
		}
	}
}

// TestOneReadingOfCookies: what a contract, an authorizer and the screen see is what the function sees.
func TestOneReadingOfCookies(t *testing.T) {
	var seen, header, event []string
	_, addr := start(t, Config{Handler: app(func(e *casemate.Event) (*casemate.Result, error) {
		text, err := e.Encode(&casemate.Match{}, &casemate.Principal{}, nil)
		if err != nil {
			return nil, err
		}
		var v struct{ Cookies []string }
		if err := json.Unmarshal(text, &v); err != nil {
			return nil, err
		}
		event, header, seen = v.Cookies, e.Header("cookie"), nil
		for name, value := range e.Headers {
			if strings.EqualFold(name, "cookie") {
				seen = append(seen, value)
			}
		}
		return &casemate.Result{Payload: []byte(`"ok"`)}, nil
	})})
	resp, _ := raw(t, addr, ask("GET", "/", `Cookie: a=1; $Version=1; q="x; admin=1; b=2`, "Cookie: a=3; junk; c=\"4\""))
	const want = `a=1; admin=1; b=2; a=3; c="4"`
	if resp.StatusCode != 200 || strings.Join(header, "|") != want || strings.Join(seen, "|") != want || strings.Join(event, "; ") != want {
		t.Errorf("%d: %q, %q, %q", resp.StatusCode, header, seen, event)
	}
	if resp, _ := raw(t, addr, ask("GET", "/", "Cookie: "+strings.Repeat("a=1;", 300))); resp.StatusCode != 431 {
		t.Error(resp.StatusCode)
	}
}

// TestWeakCookiesAreNoted: what is left out of an answer stands in its record.
func TestWeakCookiesAreNoted(t *testing.T) {
	var notes []string
	_, addr := start(t, Config{Handler: func(_ context.Context, e *casemate.Event) (*casemate.Result, error) {
		r := &casemate.Result{Payload: []byte(`{"statusCode":200,"cookies":["__Host-a=b; Domain=x.test","c=d"],"headers":{"x-powered-by":"x","x-own":"y"}}`)}
		out, err := answered(e, func(*casemate.Event) (*casemate.Result, error) { return r, nil })
		notes = r.Notes
		return out, err
	}})
	resp, _ := raw(t, addr, ask("GET", "/"))
	if got := resp.Header.Values("Set-Cookie"); len(got) != 1 || got[0] != "c=d; HttpOnly; SameSite=Lax" || resp.Header.Get("X-Powered-By") != "" || resp.Header.Get("X-Own") != "y" || len(notes) != 1 {
		t.Errorf("%v, %q", resp.Header, notes)
	}
}
