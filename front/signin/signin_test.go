package signin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	nethttp "net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"casemate"
)

const home = "https://ops.example.com:8443"

// hall is a site before a handler that keeps what it was asked.
type hall struct {
	*Site
	seen   *casemate.Event
	asked  string
	answer string
	err    error
}

func stand(t testing.TB) *hall {
	t.Helper()
	h := &hall{answer: `{}`}
	s, err := New(Config{Handler: func(_ context.Context, e *casemate.Event) (*casemate.Result, error) {
		body, err := io.ReadAll(e.Body)
		if err != nil {
			return nil, err
		}
		h.seen, h.asked = e, string(body)
		return &casemate.Result{Payload: []byte(h.answer)}, h.err
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.At([]string{home}); err != nil {
		t.Fatal(err)
	}
	h.Site = s
	return h
}

// request is what the page's own script sends; change makes it another.
func request(action, body string, change func(r *nethttp.Request)) *nethttp.Request {
	r := httptest.NewRequest("POST", home+Path+"/"+action, strings.NewReader(body))
	r.Header = nethttp.Header{"Origin": {home}, "Content-Type": {"application/json"}, "Sec-Fetch-Site": {"same-origin"}, "Sec-Fetch-Mode": {"same-origin"}, "Sec-Fetch-Dest": {"empty"}, "User-Agent": {"browser"}}
	r.RemoteAddr = "192.0.2.7:1234"
	if change != nil {
		change(r)
	}
	return r
}

func (h *hall) do(r *nethttp.Request) *nethttp.Response {
	h.seen = nil
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t testing.TB, resp *nethttp.Response) string {
	t.Helper()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestPages(t *testing.T) {
	h := stand(t)
	for path, kind := range map[string]string{"/signin": "text/html", "/signin?code=ABCD-EFGH": "text/html", "/signin/page.js": "text/javascript", "/signin/page.css": "text/css"} {
		resp := h.do(httptest.NewRequest("GET", home+path, nil))
		if resp.StatusCode != 200 || !strings.HasPrefix(resp.Header.Get("Content-Type"), kind) {
			t.Errorf("%s: %d %s", path, resp.StatusCode, resp.Header.Get("Content-Type"))
		}
		for name, want := range map[string]string{"Content-Security-Policy": "frame-ancestors 'none'", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
			"Cache-Control": "no-store", "Cross-Origin-Opener-Policy": "same-origin"} {
			if !strings.Contains(resp.Header.Get(name), want) {
				t.Errorf("%s: %s is %q", path, name, resp.Header.Get(name))
			}
		}
	}
	for _, x := range [][2]string{{"POST", "/signin"}, {"DELETE", "/signin/page.js"}} {
		if resp := h.do(httptest.NewRequest(x[0], home+x[1], nil)); resp.StatusCode != 405 {
			t.Errorf("%s: %d", x, resp.StatusCode)
		}
	}
	for _, path := range []string{"/signin/", "/signin/../signin/x", "/signin/static/page.html", "/signin/who/x"} {
		if resp := h.do(httptest.NewRequest("GET", home+path, nil)); resp.StatusCode != 404 || h.seen != nil {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
}

// TestFilesKeepToThePolicy: nothing in the page needs what the policy does not allow.
func TestFilesKeepToThePolicy(t *testing.T) {
	for name, bad := range map[string]string{
		"page.html": `<style|style=|\son[a-z]+=|="javascript:|https?://|//[a-z]|<script>|<form[^>]*action`,
		"page.js":   `innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|localStorage|sessionStorage|document\.cookie|https?://|setTimeout\("`,
		"page.css":  `url\(|@import|https?://`,
	} {
		text, err := os.ReadFile("static/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if found := regexp.MustCompile(bad).Find(text); found != nil {
			t.Errorf("%s holds %q", name, found)
		}
	}
}

func TestActionBecomesEvent(t *testing.T) {
	h := stand(t)
	h.answer = `{"id":"operator/ada"}`
	resp := h.do(request("who", `{}`, func(r *nethttp.Request) { r.Header.Set("Cookie", sessionCookie+"=cs_secret") }))
	if resp.StatusCode != 200 || body(t, resp) != h.answer {
		t.Fatal(resp.StatusCode)
	}
	e := h.seen
	if e.Source != casemate.SourceAdmin || e.Target != (casemate.Target{Builtin: "whoami"}) || e.Credential.Kind != casemate.CredentialSession || e.Credential.Secret != "cs_secret" ||
		e.SourceIP != "192.0.2.7" || e.Context["aws:sourceip"][0] != "192.0.2.7" || e.Context["aws:securetransport"][0] != "true" || h.asked != "{}" {
		t.Errorf("%+v %s", e, h.asked)
	}
	// Who signs in is nobody, whatever cookie is there.
	h.do(request("passkey/begin", `{}`, func(r *nethttp.Request) { r.Header.Set("Cookie", sessionCookie+"=cs_secret") }))
	if h.seen.Credential.Kind != casemate.CredentialNone {
		t.Errorf("%v", h.seen.Credential)
	}
}

// TestTokensStayInCookies: an answer that opens a session shows the script everything but its secrets.
func TestTokensStayInCookies(t *testing.T) {
	for action, answer := range map[string]string{
		"passkey/finish": `{"token":"cs_canary","device":"dv_canary","session":{"id":"s1"}}`,
		"password":       `{"token":"cs_canary","device":"dv_canary","session":{"id":"s1"}}`,
		"complete":       `{"session":{"id":"s1"},"device":"dv_canary","token":"cs_canary"}`,
		"enrol/finish":   `{"token":"cs_canary","passkey":{"id":"pk"},"session":{"id":"s1"},"device":"dv_canary"}`,
	} {
		h := stand(t)
		h.answer = answer
		resp := h.do(request(action, `{}`, nil))
		text := body(t, resp)
		if resp.StatusCode != 200 || strings.Contains(text, "canary") || !strings.Contains(text, `"s1"`) {
			t.Errorf("%s: %d %s", action, resp.StatusCode, text)
		}
		found := map[string]bool{}
		for _, c := range resp.Cookies() {
			if c.Value == "" {
				continue
			}
			found[c.Name] = true
			if !strings.HasPrefix(c.Name, "__Host-") || !c.Secure || !c.HttpOnly || c.SameSite != nethttp.SameSiteStrictMode || c.Path != "/" || c.Domain != "" {
				t.Errorf("%s: cookie %+v", action, c)
			}
		}
		if !found[sessionCookie] || !found[deviceCookie] {
			t.Errorf("%s: %v", action, found)
		}
	}
	for _, answer := range []string{`{}`, `null`, `{"token":7}`, `{"token":"` + strings.Repeat("x", 600) + `"}`, `[]`, `"cs_canary"`} {
		h := stand(t)
		h.answer = answer
		if resp := h.do(request("password", `{}`, nil)); resp.StatusCode != 500 || strings.Contains(body(t, resp), "canary") || len(resp.Header["Set-Cookie"]) != 0 {
			t.Errorf("%s: %d", answer, resp.StatusCode)
		}
	}
}

func TestOtherSitesAreRefused(t *testing.T) {
	h := stand(t)
	for name, change := range map[string]func(r *nethttp.Request){
		"another origin":   func(r *nethttp.Request) { r.Header.Set("Origin", "https://evil.test") },
		"another port":     func(r *nethttp.Request) { r.Header.Set("Origin", "https://ops.example.com") },
		"no origin":        func(r *nethttp.Request) { r.Header.Del("Origin") },
		"null origin":      func(r *nethttp.Request) { r.Header.Set("Origin", "null") },
		"two origins":      func(r *nethttp.Request) { r.Header["Origin"] = []string{home, home} },
		"cross-site":       func(r *nethttp.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"same site":        func(r *nethttp.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") },
		"typed":            func(r *nethttp.Request) { r.Header.Set("Sec-Fetch-Site", "none") },
		"navigation":       func(r *nethttp.Request) { r.Header.Set("Sec-Fetch-Mode", "navigate") },
		"frame":            func(r *nethttp.Request) { r.Header.Set("Sec-Fetch-Dest", "iframe") },
		"form":             func(r *nethttp.Request) { r.Header.Set("Content-Type", "text/plain") },
		"no type":          func(r *nethttp.Request) { r.Header.Del("Content-Type") },
		"GET":              func(r *nethttp.Request) { r.Method = "GET" },
		"key":              func(r *nethttp.Request) { r.Header.Set("X-Api-Key", "ck_x") },
		"bearer":           func(r *nethttp.Request) { r.Header.Set("Authorization", "Bearer x") },
		"token in the URL": func(r *nethttp.Request) { r.URL.RawQuery = "token=cs_x" },
		"another host":     func(r *nethttp.Request) { r.Host = "evil.test" },
		"the address":      func(r *nethttp.Request) { r.Host = "127.0.0.1:8443" },
	} {
		resp := h.do(request("out", `{}`, func(r *nethttp.Request) {
			r.Header.Set("Cookie", sessionCookie+"=cs_secret")
			change(r)
		}))
		if h.seen != nil || resp.StatusCode < 400 || len(resp.Header["Set-Cookie"]) != 0 || resp.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %d", name, resp.StatusCode)
		}
	}
	// Browsers that say less are let in: the origin is there, and is the page's.
	if resp := h.do(request("out", `{}`, func(r *nethttp.Request) {
		for _, name := range []string{"Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest"} {
			r.Header.Del(name)
		}
	})); resp.StatusCode != 200 || h.seen == nil {
		t.Error(resp.StatusCode)
	}
}

func TestBodies(t *testing.T) {
	h := stand(t)
	for _, text := range []string{"", "null", "[]", `"x"`, "{", `{"a":1}{}`, `{"a":1,"a":2}`, `{"bound":"mine"}`, `{"device":"mine"}`, `{"Bound":"mine"}`, `{"bounD":"mine"}`, `{"a":}`, `{} x`, strings.Repeat("[", 1000)} {
		if resp := h.do(request("passkey/begin", text, nil)); resp.StatusCode != 400 || h.seen != nil {
			t.Errorf("%.20s: %d", text, resp.StatusCode)
		}
	}
	if resp := h.do(request("passkey/begin", `{"a":"`+strings.Repeat("x", maxBody)+`"}`, nil)); resp.StatusCode != 413 || h.seen != nil {
		t.Error(resp.StatusCode)
	}
}

// TestTabs: a browser is known by a random cookie from its first question on, and by nothing that the page says.
func TestTabs(t *testing.T) {
	h := stand(t)
	bound := func(resp *nethttp.Response) (said, cookie string) {
		var q struct{ Bound string }
		if err := json.Unmarshal([]byte(h.asked), &q); err != nil {
			t.Fatal(err)
		}
		for _, c := range resp.Cookies() {
			if c.Name == tabCookie {
				cookie = c.Value
			}
		}
		return q.Bound, cookie
	}
	first, set := bound(h.do(request("passkey/begin", `{}`, nil)))
	if first == "" || first != set {
		t.Fatalf("%q, %q", first, set)
	}
	again, set := bound(h.do(request("passkey/begin", `{}`, func(r *nethttp.Request) { r.Header.Set("Cookie", tabCookie+"="+first) })))
	if again != first || set != "" {
		t.Errorf("%q, %q", again, set)
	}
	other, _ := bound(h.do(request("passkey/begin", `{}`, nil)))
	planted, _ := bound(h.do(request("passkey/begin", `{}`, func(r *nethttp.Request) {
		r.Header.Set("Cookie", tabCookie+"="+first+"; "+tabCookie+"=planted")
	})))
	if other == first || planted == first || planted == "planted" {
		t.Errorf("%q, %q", other, planted)
	}
	h.do(request("password", `{"name":"ada"}`, func(r *nethttp.Request) { r.Header.Set("Cookie", deviceCookie+"=known") }))
	if !strings.Contains(h.asked, `"device":"known"`) {
		t.Error(h.asked)
	}
}

func TestErrorsTellNothing(t *testing.T) {
	h := stand(t)
	h.err = errors.New("canary")
	if resp := h.do(request("who", `{}`, nil)); resp.StatusCode != 500 || strings.Contains(body(t, resp), "canary") {
		t.Error(resp.StatusCode)
	}
	h.err = &casemate.Error{Code: casemate.Exhausted, Message: "slow down", Retry: 7, Err: errors.New("canary")}
	if resp := h.do(request("who", `{}`, nil)); resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "7" || strings.Contains(body(t, resp), "canary") {
		t.Error(resp.StatusCode)
	}
	s, err := New(Config{Handler: func(context.Context, *casemate.Event) (*casemate.Result, error) { panic("canary") }})
	if err != nil {
		t.Fatal(err)
	}
	h.Site = s
	if resp := h.do(request("who", `{}`, nil)); resp.StatusCode != 421 { // nowhere yet
		t.Error(resp.StatusCode)
	}
	if err := s.At([]string{home}); err != nil {
		t.Fatal(err)
	}
	if resp := h.do(request("who", `{}`, nil)); resp.StatusCode != 500 || strings.Contains(body(t, resp), "canary") {
		t.Error(resp.StatusCode)
	}
}

func TestSigningOutTakesTheCookie(t *testing.T) {
	h := stand(t)
	resp := h.do(request("out", `{}`, nil))
	if c := resp.Cookies(); len(c) != 1 || c[0].Name != sessionCookie || c[0].MaxAge >= 0 {
		t.Errorf("%+v", c)
	}
}

func FuzzQuestions(f *testing.F) {
	h := stand(f)
	f.Add(`{}`, "x=y")
	f.Add(`{"bound":"x"}`, tabCookie+"=x")
	f.Add(`{"a":{"b":[1,2]}}`, sessionCookie+"=a; "+sessionCookie+"=b")
	f.Fuzz(func(t *testing.T, text, cookies string) {
		h.do(request("passkey/finish", text, func(r *nethttp.Request) { r.Header.Set("Cookie", cookies) }))
		if h.seen == nil {
			return
		}
		var q map[string]json.RawMessage
		if err := json.Unmarshal([]byte(h.asked), &q); err != nil || q["bound"] == nil {
			t.Errorf("%q became %q", text, h.asked)
		}
	})
}
