package browser

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"casemate"
)

func show(h map[string][]string) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(h)) {
		b.WriteString(k + ": " + strings.Join(h[k], "|") + "\n")
	}
	return b.String()
}

func TestHeaders(t *testing.T) {
	const data = "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\nContent-Type: application/json\nCross-Origin-Resource-Policy: same-origin\nReferrer-Policy: strict-origin-when-cross-origin\n" +
		"X-Content-Type-Options: nosniff\nX-Frame-Options: DENY\n"
	const page = "Content-Security-Policy: frame-ancestors 'self'\nContent-Type: text/html; charset=utf-8\nReferrer-Policy: strict-origin-when-cross-origin\nX-Content-Type-Options: nosniff\nX-Frame-Options: SAMEORIGIN\n"
	h := leaving(rules(t, nil), map[string][]string{"Content-Type": {"application/json"}, "X-Powered-By": {"Express"}, "Server": {"x"}})
	if rules(t, nil).Headers(h, &Context{Host: "a.test", Status: 200}); show(h) != data {
		t.Error(show(h))
	}
	h = map[string][]string{"Content-Type": {"text/html; charset=utf-8"}}
	if rules(t, nil).Headers(h, &Context{Host: "a.test", Status: 200}); show(h) != page {
		t.Error(show(h))
	}
	off := map[string][]string{"Content-Type": {"text/html"}, "X-Powered-By": {"Express"}}
	h = leaving(rules(t, &casemate.Browser{HeadersOff: true}), off)
	if rules(t, &casemate.Browser{HeadersOff: true}).Headers(h, &Context{Host: "a.test", TLS: true, Status: 500, Known: true}); show(h) != show(off) {
		t.Error(show(h))
	}
}

// What a function says stays, and nothing contradicts what it says about frames.
func TestFunctionSaysItself(t *testing.T) {
	said := map[string][]string{"Content-Type": {"text/html"}, "Content-Security-Policy": {"frame-ancestors https://partner.test"}, "Referrer-Policy": {"origin"}, "X-Content-Type-Options": {"nosniff"}}
	h := maps.Clone(said)
	if rules(t, nil).Headers(h, &Context{Host: "a.test", Status: 200}); show(h) != show(said) {
		t.Error(show(h))
	}
	h = map[string][]string{"Content-Type": {"text/html"}, "X-Frame-Options": {"ALLOWALL"}}
	if rules(t, nil).Headers(h, &Context{Host: "a.test", Status: 200}); h["Content-Security-Policy"] != nil || h["X-Frame-Options"][0] != "ALLOWALL" {
		t.Error(show(h))
	}
	set := rules(t, &casemate.Browser{Set: map[string]string{"content-security-policy": "frame-ancestors https://partner.test", "x-own": "1"}, Omit: []string{"referrer-policy"}})
	h = map[string][]string{"Content-Type": {"application/json"}}
	set.Headers(h, &Context{Host: "a.test", Status: 200})
	if h["Content-Security-Policy"][0] != "frame-ancestors https://partner.test" || h["X-Frame-Options"] != nil || h["X-Own"][0] != "1" || h["Referrer-Policy"] != nil {
		t.Error(show(h))
	}
}

// What browsers load as a part of somebody's page goes on working there: no policy of ours is about it.
func TestAssetsAreLeftAlone(t *testing.T) {
	for _, ct := range []string{"image/png", "image/svg+xml", "text/css", "application/javascript", "text/javascript", "font/woff2", "application/pdf", "application/octet-stream", "application/wasm"} {
		h := map[string][]string{"Content-Type": {ct}}
		rules(t, nil).Headers(h, &Context{Host: "a.test", Status: 200})
		if h["Cross-Origin-Resource-Policy"] != nil || h["Content-Security-Policy"][0] != "frame-ancestors 'self'" {
			t.Errorf("%s: %s", ct, show(h))
		}
	}
	for _, ct := range []string{"Application/JSON; charset=utf-8", "application/problem+json", "text/plain", "text/csv; header=present"} {
		h := map[string][]string{"Content-Type": {ct}}
		if rules(t, nil).Headers(h, &Context{Host: "a.test", Status: 200}); h["Cross-Origin-Resource-Policy"] == nil {
			t.Errorf("%s: %s", ct, show(h))
		}
	}
}

func TestStrictTransport(t *testing.T) {
	for host, want := range map[string]bool{"shop.example.com": true, "localhost": false, "x.lambda-url.localhost": false, "127.0.0.1": false, "::1": false, "2001:db8::1": false, "": false, "a.cafe": true, "10.0.0.1": false, "abc.de": true} {
		for _, tls := range []bool{true, false} {
			h := map[string][]string{}
			rules(t, nil).Headers(h, &Context{Host: host, TLS: tls, Status: 200})
			if got := h["Strict-Transport-Security"] != nil; got != (want && tls) {
				t.Errorf("%q over TLS %v: %v", host, tls, got)
			}
		}
	}
}

func TestWhoMayKeepAnswers(t *testing.T) {
	for _, c := range []struct {
		status int
		known  bool
		header map[string][]string
		want   string
	}{
		{200, false, nil, ""}, {200, true, nil, "no-store"}, {404, true, nil, "no-store"}, {500, false, nil, "no-store"}, {404, false, nil, ""},
		{200, true, map[string][]string{"Cache-Control": {"max-age=60"}}, "max-age=60"}, {200, true, map[string][]string{"Expires": {"0"}}, ""},
		{200, true, map[string][]string{"Etag": {`"x"`}}, "private, no-cache"}, {304, true, map[string][]string{"Last-Modified": {"x"}}, "private, no-cache"},
	} {
		h := maps.Clone(c.header)
		if h == nil {
			h = map[string][]string{}
		}
		rules(t, nil).Headers(h, &Context{Host: "a.test", Status: c.status, Known: c.known})
		if got := strings.Join(h["Cache-Control"], "|"); got != c.want {
			t.Errorf("%d, known %v, %v: %q", c.status, c.known, c.header, got)
		}
	}
}

// Forged agrees with net/http.CrossOriginProtection, but for pages that the route's CORS lets in.
func TestForgedIsTheRuleOfTheLibrary(t *testing.T) {
	r := rules(t, &casemate.Browser{CORS: &casemate.CORS{Origins: []string{"https://app.test"}, Methods: []string{"POST"}}})
	var lib http.CrossOriginProtection
	if err := lib.AddTrustedOrigin("https://app.test"); err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH"} {
		for _, site := range []string{"", "same-origin", "same-site", "cross-site", "none", "junk"} {
			for _, origin := range []string{"", "null", "https://shop.test", "http://shop.test", "https://evil.test", "https://app.test", "https://shop.test.evil.test", "https://shop.testevil"} {
				q, err := http.NewRequest(method, "https://shop.test/x", nil)
				if err != nil {
					t.Fatal(err)
				}
				if site != "" {
					q.Header.Set("Sec-Fetch-Site", site)
				}
				if origin != "" {
					q.Header.Set("Origin", origin)
				}
				if got, want := r.Forged(method, "shop.test", q.Header.Values), lib.Check(q) != nil; got != want {
					t.Errorf("%s, %q, %q: %v, the library says %v", method, site, origin, got, want)
				}
			}
		}
	}
}

func TestAnyPortIsTheHost(t *testing.T) {
	none := rules(t, nil)
	for origin, forged := range map[string]bool{"https://shop.test:8443": false, "http://shop.test:80": false, "https://shop.test:80@evil.test": true, "https://shop.test:": false, "https://shop.test.": true, "https://a@shop.test": true, "file://shop.test": true} {
		if got := none.Forged("POST", "shop.test", http.Header{"Origin": {origin}}.Values); got != forged {
			t.Errorf("%s: %v", origin, got)
		}
	}
	if none.Forged("POST", "::1", http.Header{"Origin": {"https://[::1]:8443"}}.Values) || !none.Forged("POST", "", http.Header{"Origin": {"https://"}}.Values) {
		t.Error("an address in brackets, and no host")
	}
}

func TestTally(t *testing.T) {
	var all Tally
	for range 3 {
		all.Add(casemate.Preflight{Source: "a", Route: "GET /"})
	}
	for i := range 3 * maxTally {
		all.Add(casemate.Preflight{Source: string(rune('b' + i)), Rule: "cors/origin"})
	}
	got, sum := all.Take(), 0
	for _, p := range got {
		sum += p.Times
	}
	if len(got) > maxTally+1 || sum != 3+3*maxTally || len(all.Take()) != 0 {
		t.Error(len(got), sum)
	}
}

func TestNothingIsAllocated(t *testing.T) {
	x := bench(t)
	if n := testing.AllocsPerRun(100, func() { x.run() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

type load struct {
	r            *Rules
	h            map[string][]string
	ct, origin   []string
	cookies, set []string
	c            Context
}

func bench(t testing.TB) *load {
	return &load{r: rules(t, &casemate.Browser{CORS: shop()}), h: map[string][]string{}, ct: []string{"application/json"}, origin: []string{"https://a.example.org"}, cookies: []string{"a=b; session=abcdefghijkl; theme=dark"},
		set: []string{"a=b; Secure; HttpOnly; SameSite=Lax"}, c: Context{Host: "shop.example.com", TLS: true, Status: 200, Known: true}}
}

func (x *load) run() {
	clear(x.h)
	x.h["Content-Type"] = x.ct
	Cookies(x.cookies)
	x.r.SetCookies(x.set, true, false)
	x.r.Answer(x.h, x.origin)
	x.r.Headers(x.h, &x.c)
}

// BenchmarkAnswer is all that one exchange with CORS and cookies costs here; the default costs less.
func BenchmarkAnswer(b *testing.B) {
	x := bench(b)
	b.ReportAllocs()
	for b.Loop() {
		x.run()
	}
}

func BenchmarkDefault(b *testing.B) {
	x := bench(b)
	x.r = rules(b, nil)
	b.ReportAllocs()
	for b.Loop() {
		clear(x.h)
		x.h["Content-Type"] = x.ct
		x.r.Answer(x.h, nil)
		x.r.Headers(x.h, &x.c)
	}
}
