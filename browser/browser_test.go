package browser

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"casemate"
)

func rules(t testing.TB, b *casemate.Browser) *Rules {
	t.Helper()
	r, err := Compile(b)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func shop() *casemate.CORS {
	return &casemate.CORS{Origins: []string{"https://example.com", "https://*.example.org", "http://localhost:3000", "https://xn--bcher-kva.example", "https://a.test:8443", "http://[::1]:8080"},
		Methods: []string{"GET", "POST"}, Headers: []string{"content-type", "x-api-key"}, Expose: []string{"x-request-id"}, Credentials: true, MaxAge: 10 * time.Minute}
}

// evil are origins that matched the allow-lists of others: by suffix, by prefix, by case, by what a parser forgives.
var evil = []string{"", "null", "NULL", "*", "https://example.com.evil.test", "https://evilexample.com", "https://example.com.", "https://EXAMPLE.com", "HTTPS://example.com",
	"http://example.com", "https://example.com:443", "https://example.com:8443", "https://user@example.com", "https://example.com@evil.test", "https://example.com/", "https://example.com?",
	"https://example.com#", " https://example.com", "https://example.com ", "https://example.com,https://evil.test", "https://example.com https://evil.test", "https://example.org",
	"https://.example.org", "https://a.b.example.org", "https://evilexample.org", "https://a.example.org.evil.test", "https://a.example.org:8443", "http://a.example.org",
	"https://a@b.example.org", "https://evil.test/.example.org", "https://evil.test#.example.org", "https://evil.test?.example.org", "https://evil.test\\.example.org", "https://A.example.org",
	"https://-a.example.org", "https://a-.example.org", "https://a%00.example.org", "https://a\x00.example.org", "https://bücher.example", "https://xn--bcher-kva.example.", "https://a.test", "https://a.test:08443",
	"https://a.test:84430", "http://localhost", "http://localhost:3001", "https://localhost:3000", "http://127.0.0.1:3000", "file://", "data:", "https://" + strings.Repeat("a", 64) + ".example.org"}

func TestOnlyNamedOriginsMayRead(t *testing.T) {
	r := rules(t, &casemate.Browser{CORS: shop()})
	for _, o := range []string{"https://example.com", "https://a.example.org", "https://a-1.example.org", "http://localhost:3000", "https://xn--bcher-kva.example", "https://a.test:8443", "http://[::1]:8080"} {
		h := map[string][]string{}
		if r.Answer(h, []string{o}); !slices.Equal(h["Access-Control-Allow-Origin"], []string{o}) || h["Access-Control-Allow-Credentials"][0] != "true" || h["Vary"][0] != "Origin" {
			t.Errorf("%s: %v", o, h)
		}
	}
	for _, o := range evil {
		h := map[string][]string{}
		if r.Answer(h, []string{o}); len(h) != 1 || h["Vary"][0] != "Origin" {
			t.Errorf("%q may read: %v", o, h)
		}
	}
	h := map[string][]string{}
	if r.Answer(h, []string{"https://example.com", "https://example.com"}); len(h) != 1 {
		t.Error("two Origin lines are an origin")
	}
}

// TestWeakenedMatchersFall shows that the list above is worth something: matchers as others had them let some of it in.
func TestWeakenedMatchersFall(t *testing.T) {
	for name, weak := range map[string]func(string) bool{
		"suffix":   func(o string) bool { return strings.HasSuffix(o, "example.com") },
		"prefix":   func(o string) bool { return strings.HasPrefix(o, "https://example.com") },
		"contains": func(o string) bool { return strings.Contains(o, ".example.org") },
		"no case":  func(o string) bool { return strings.EqualFold(o, "https://example.com") },
		"host": func(o string) bool {
			u, err := url.Parse(o)
			return err == nil && (u.Hostname() == "example.com" || strings.HasSuffix(u.Hostname(), ".example.org"))
		},
		"null": func(o string) bool { return o == "null" },
	} {
		if !slices.ContainsFunc(evil, weak) {
			t.Errorf("%s: no origin of the list gets by it", name)
		}
	}
}

// What a pattern lets in is one label below its name, whatever is drawn.
func TestPatternIsOneLabel(t *testing.T) {
	r := rules(t, &casemate.Browser{CORS: shop()})
	rapid.Check(t, func(t *rapid.T) {
		o := rapid.StringOfN(rapid.SampledFrom([]rune("htps:/.-@#?\\ aexmplorgcE0*")), 0, 40, -1).Draw(t, "origin")
		if rapid.Bool().Draw(t, "near") {
			o = "https://" + o + ".example.org"
		}
		checkOrigin(t, r, o)
	})
}

type failer interface{ Fatalf(string, ...any) }

// checkOrigin holds what is allowed to what a URL parser makes of it.
func checkOrigin(t failer, r *Rules, o string) {
	if !r.Allows([]string{o}) {
		return
	}
	u, err := url.Parse(o)
	if err != nil || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.Scheme+"://"+u.Host != o {
		t.Fatalf("%q is no origin", o)
	}
	host := u.Hostname()
	if _, parent, _ := strings.Cut(host, "."); parent != "example.org" && !slices.Contains(shop().Origins, o) {
		t.Fatalf("%q is allowed", o)
	}
}

func FuzzOrigin(f *testing.F) {
	for _, o := range evil {
		f.Add(o)
	}
	r := rules(f, &casemate.Browser{CORS: shop()})
	f.Fuzz(func(t *testing.T, o string) {
		checkOrigin(t, r, o)
		if CheckOrigin(o) == nil && o != "*" && strings.ContainsAny(o, " \t\r\n@#?\\%,;\"'") {
			t.Fatalf("%q may be configured", o)
		}
	})
}

func TestPreflight(t *testing.T) {
	ask := func(lines ...string) map[string][]string {
		h := map[string][]string{"Origin": {"https://example.com"}, "Access-Control-Request-Method": {"POST"}}
		for _, l := range lines {
			k, v, _ := strings.Cut(l, ": ")
			h[k] = []string{v}
		}
		return h
	}
	r := rules(t, &casemate.Browser{CORS: shop()})
	h := map[string][]string{}
	if err := r.Preflight(h, ask("Access-Control-Request-Headers: content-type,X-Api-Key")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"Access-Control-Allow-Origin": "https://example.com", "Access-Control-Allow-Methods": "GET, POST", "Access-Control-Allow-Headers": "content-type, x-api-key",
		"Access-Control-Allow-Credentials": "true", "Access-Control-Max-Age": "600"} {
		if len(h[name]) != 1 || h[name][0] != want {
			t.Errorf("%s: %q", name, h[name])
		}
	}
	twice := ask()
	twice["Access-Control-Request-Headers"] = []string{"content-type", "content-type"}
	for rule, asked := range map[string][]map[string][]string{
		"cors/origin": {ask("Origin: null"), ask("Origin: https://evil.test")},
		"cors/method": {ask("Access-Control-Request-Method: DELETE"), ask("Access-Control-Request-Method: post"), ask("Access-Control-Request-Method: *")},
		"cors/header": {ask("Access-Control-Request-Headers: x-other"), ask("Access-Control-Request-Headers: content-type, a b"), ask("Access-Control-Request-Headers: *"), twice,
			ask("Access-Control-Request-Headers: " + strings.Repeat("content-type,", 1000))},
		"cors/private-network": {ask("Access-Control-Request-Private-Network: true")},
	} {
		for _, a := range asked {
			h := map[string][]string{}
			err := r.Preflight(h, a)
			if e := casemate.AsError(err); err == nil || e.Code != casemate.Forbidden || e.Rule != rule || len(h) != 1 || h["Vary"] == nil {
				t.Errorf("%s: %v gives %v, %v", rule, a, h, err)
			}
		}
	}
	c := shop()
	c.Private, c.Methods = true, []string{"*"}
	h = map[string][]string{}
	if err := rules(t, &casemate.Browser{CORS: c}).Preflight(h, ask("Access-Control-Request-Private-Network: true", "Access-Control-Request-Method: DELETE")); err != nil || h["Access-Control-Allow-Private-Network"] == nil {
		t.Error(h, err)
	}
	h = map[string][]string{}
	wide := rules(t, &casemate.Browser{CORS: &casemate.CORS{Origins: []string{"*"}, Methods: []string{"GET"}, Headers: []string{"*"}}})
	if err := wide.Preflight(h, ask("Origin: null", "Access-Control-Request-Method: GET", "Access-Control-Request-Headers: authorization")); err != nil ||
		h["Access-Control-Allow-Origin"][0] != "*" || h["Access-Control-Allow-Headers"][0] != "authorization" {
		t.Error(h, err)
	}
}

// The function does not speak about origins where the route does, and caches are told to keep answers apart.
func TestRouteSpeaksForItsFunction(t *testing.T) {
	said := map[string][]string{"Access-Control-Allow-Origin": {"https://evil.test"}, "Access-Control-Allow-Credentials": {"true"}, "Vary": {"Accept"}}
	speaks := rules(t, &casemate.Browser{CORS: shop()})
	h := leaving(speaks, said)
	speaks.Answer(h, []string{"https://evil.test"})
	if len(h) != 1 || h["Vary"][0] != "Accept, Origin" {
		t.Error(h)
	}
	for _, v := range []string{"*", "Accept, origin", "Origin"} {
		h := map[string][]string{"Vary": {v}}
		if rules(t, &casemate.Browser{CORS: shop()}).Answer(h, nil); h["Vary"][0] != v {
			t.Error(h)
		}
	}
	h = leaving(rules(t, nil), said)
	if rules(t, nil).Answer(h, []string{"https://evil.test"}); !maps.EqualFunc(h, said, slices.Equal) {
		t.Error("without cors, what the function says passes:", h)
	}
}

// leaving are the headers of a function that leave.
func leaving(r *Rules, said map[string][]string) map[string][]string {
	h := map[string][]string{}
	for k, v := range said {
		if !r.Drops(strings.ToLower(k)) {
			h[k] = v
		}
	}
	return h
}

func TestCheck(t *testing.T) {
	for field, b := range map[string]*casemate.Browser{
		"cors/origins":                            {CORS: &casemate.CORS{Methods: []string{"GET"}}},
		"cors/credentials":                        {CORS: &casemate.CORS{Origins: []string{"*"}, Methods: []string{"GET"}, Credentials: true}},
		"cors/methods/0":                          {CORS: &casemate.CORS{Origins: []string{"*"}, Methods: []string{"OPTIONS"}}},
		"cors/methods":                            {CORS: &casemate.CORS{Origins: []string{"*"}}},
		"cors/headers/0":                          {CORS: &casemate.CORS{Origins: []string{"https://a.test"}, Methods: []string{"GET"}, Headers: []string{"*"}, Credentials: true}},
		"cors/expose/1":                           {CORS: &casemate.CORS{Origins: []string{"*"}, Methods: []string{"GET"}, Expose: []string{"x-a", "X-A"}}},
		"cors/max_age":                            {CORS: &casemate.CORS{Origins: []string{"*"}, Methods: []string{"GET"}, MaxAge: 25 * time.Hour}},
		"cors/origins/1":                          {CORS: &casemate.CORS{Origins: []string{"https://a.test", "*"}, Methods: []string{"GET"}}},
		"headers/mode":                            {HeadersOff: true, Omit: []string{"referrer-policy"}},
		"headers/omit/0":                          {Omit: []string{"set-cookie"}},
		"headers/set/set-cookie":                  {Set: map[string]string{"set-cookie": "a=b"}},
		"headers/set/X-A":                         {Set: map[string]string{"X-A": "b"}},
		"headers/set/x-a":                         {Set: map[string]string{"x-a": "b\r\nset-cookie: c"}},
		"headers/set/x-b":                         {Set: map[string]string{"x-b": "é"}},
		"headers/set/x-c":                         {Set: map[string]string{"x-c": ""}},
		"headers/set/x-frame-options":             {Set: map[string]string{"x-frame-options": "ALLOW-FROM https://a.test"}},
		"headers/set/x-content-type-options":      {Set: map[string]string{"x-content-type-options": "no-sniff"}},
		"headers/set/referrer-policy":             {Set: map[string]string{"referrer-policy": "never"}},
		"headers/set/strict-transport-security":   {Set: map[string]string{"strict-transport-security": "max-age=1y"}},
		"headers/set/access-control-allow-origin": {Set: map[string]string{"access-control-allow-origin": "*"}},
		"cookies/readable":                        {CookiesAsIs: true, Readable: []string{"a"}},
		"cookies/readable/0":                      {Readable: []string{"__Http-a"}},
	} {
		if err := Check(b); err == nil || casemate.AsError(err).Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, o := range append(slices.Clone(evil), "https://*", "https://*.com", "https://a.*.com", "http://*.example.org", "https://*a.example.org", "https://**.example.org", "https://a.test:0", "https://a.test:65536", "https://1.2.3", "javascript://a") {
		if o == "*" || slices.Contains(valid, o) {
			continue
		}
		if CheckOrigin(o) == nil {
			t.Errorf("%q may be configured", o)
		}
	}
	for _, o := range valid {
		if err := CheckOrigin(o); err != nil {
			t.Error(err)
		}
	}
	if err := Check(&casemate.Browser{CORS: shop(), Set: map[string]string{"strict-transport-security": Year + "; includeSubDomains", "content-security-policy": "default-src 'self'", "permissions-policy": "camera=()"},
		Omit: []string{"x-frame-options"}, Readable: []string{"XSRF-TOKEN"}}); err != nil {
		t.Error(err)
	}
}

// valid are well-formed origins, some of which stand in evil because nobody named them.
var valid = []string{"https://example.com", "http://example.com", "https://example.com:8443", "https://example.com.evil.test", "https://evilexample.com", "https://example.org", "https://a.b.example.org", "https://evilexample.org",
	"https://a.example.org.evil.test", "https://a.example.org:8443", "http://a.example.org", "https://a.test", "http://localhost", "http://localhost:3001", "https://localhost:3000", "http://127.0.0.1:3000", "capacitor://localhost",
	"https://*.example.org:8443", "https://[::1]:8443"}
