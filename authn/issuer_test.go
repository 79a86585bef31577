package authn

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"casemate"
)

func TestIssuersAreCheckedAllOrNone(t *testing.T) {
	c, s := newClock(), newECSigner(t, "k1")
	id := tokenIdentity(t, c, entry(t, s))
	weak := newRSASigner(t, "weak", 1024)
	with := func(f func(*casemate.Issuer)) casemate.Issuer {
		e := entry(t, s)
		e.Issuer = "https://other.example"
		f(&e)
		return e
	}
	private := strings.Replace(jwks(t, s), `"kty":"EC"`, `"kty":"EC","d":"AA"`, 1)
	for name, e := range map[string]casemate.Issuer{
		"issuer empty":            with(func(e *casemate.Issuer) { e.Issuer = "" }),
		"issuer with a bar":       with(func(e *casemate.Issuer) { e.Issuer = "https://a|b" }),
		"audience missing":        with(func(e *casemate.Issuer) { e.Audience = nil }),
		"audience empty":          with(func(e *casemate.Issuer) { e.Audience = []string{""} }),
		"no keys":                 with(func(e *casemate.Issuer) { e.KeySet = "" }),
		"two sources of keys":     with(func(e *casemate.Issuer) { e.KeySetURL = "https://id.example/jwks" }),
		"no algorithm pinned":     with(func(e *casemate.Issuer) { e.Algorithms = nil }),
		"none":                    with(func(e *casemate.Issuer) { e.Algorithms = []string{"ES256", "none"} }),
		"HMAC":                    with(func(e *casemate.Issuer) { e.Algorithms = []string{"HS256"} }),
		"role claim, no roles":    with(func(e *casemate.Issuer) { e.Roles = nil }),
		"role and role claim":     with(func(e *casemate.Issuer) { e.Role = "clerk" }),
		"no role at all":          with(func(e *casemate.Issuer) { e.RoleClaim, e.Roles = "", nil }),
		"a role, and none":        with(func(e *casemate.Issuer) { e.Exchange = true }),
		"value mapped to nothing": with(func(e *casemate.Issuer) { e.Roles = map[string]string{"x": ""} }),
		"key set no JSON":         with(func(e *casemate.Issuer) { e.KeySet = "keys" }),
		"key set empty":           with(func(e *casemate.Issuer) { e.KeySet = `{"keys":[]}` }),
		"key set of encryption":   with(func(e *casemate.Issuer) { e.KeySet = strings.Replace(e.KeySet, `"sig"`, `"enc"`, 1) }),
		"private key published":   with(func(e *casemate.Issuer) { e.KeySet = private }),
		"shared key":              with(func(e *casemate.Issuer) { e.KeySet = `{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}` }),
		"kid twice":               with(func(e *casemate.Issuer) { e.KeySet = jwks(t, s, newECSigner(t, "k1")) }),
		"weak RSA":                with(func(e *casemate.Issuer) { e.KeySet = jwks(t, weak) }),
		"alg of another type":     with(func(e *casemate.Issuer) { e.KeySet = strings.Replace(e.KeySet, `"ES256"`, `"RS256"`, 1) }),
		"point off the curve":     with(func(e *casemate.Issuer) { e.KeySet = strings.Replace(e.KeySet, `"y":"`, `"y":"A`, 1) }),
		"key set name twice":      with(func(e *casemate.Issuer) { e.KeySet = strings.Replace(e.KeySet, `{"keys"`, `{"keys":[],"keys"`, 1) }),
		"URL over http":           with(func(e *casemate.Issuer) { e.KeySet, e.KeySetURL = "", "http://id.example/jwks" }),
		"URL to a file":           with(func(e *casemate.Issuer) { e.KeySet, e.KeySetURL = "", "file:///etc/passwd" }),
		"URL with a password":     with(func(e *casemate.Issuer) { e.KeySet, e.KeySetURL = "", "https://u:p@id.example/jwks" }),
		"loopback in the name":    with(func(e *casemate.Issuer) { e.KeySet, e.KeySetURL = "", "http://127.0.0.1.evil.example/jwks" }),
		"same audience twice":     with(func(e *casemate.Issuer) { e.Issuer = iss }),
	} {
		err := id.SetIssuers([]casemate.Issuer{entry(t, s), e})
		if got := casemate.AsError(err); got == nil || got.Code != casemate.Invalid || !strings.HasPrefix(got.Field, "issuers/1/") || got.Hint == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := byToken(id, s.sign(t, s.head(), c.claims(nil))); err != nil {
		t.Errorf("a refused change must change nothing: %v", err)
	}
}

func TestTwoEntriesOfOneIssuerAreToldApartByAudience(t *testing.T) {
	c, s := newClock(), newECSigner(t, "k1")
	a, b := entry(t, s), entry(t, s)
	b.App, b.Audience, b.RoleClaim, b.Roles, b.Role = "billing", []string{"billing"}, "", nil, "payer"
	id := tokenIdentity(t, c, a, b)
	for aud, role := range map[string]string{"orders": "clerk", "billing": "payer"} {
		p, err := byToken(id, s.sign(t, s.head(), c.claims(map[string]any{"aud": aud})))
		if err != nil || p.Role != role {
			t.Errorf("%s: %+v, %v", aud, p, err)
		}
	}
	p, err := byToken(id, s.sign(t, s.head(), c.claims(map[string]any{"aud": []string{"orders", "billing"}})))
	mustRefuse(t, "both at once", p, err)
}

// keyServer serves what a test puts in it.
type keyServer struct {
	*httptest.Server
	mu      sync.Mutex
	handler http.HandlerFunc
	hits    atomic.Int32
}

func newKeyServer(t *testing.T) *keyServer {
	k := &keyServer{}
	k.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k.hits.Add(1)
		k.mu.Lock()
		h := k.handler
		k.mu.Unlock()
		h(w, r)
	}))
	t.Cleanup(k.Close)
	return k
}

func (k *keyServer) set(h http.HandlerFunc) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.handler = h
}

func (k *keyServer) serve(t *testing.T, ss ...*signer) {
	doc := jwks(t, ss...)
	k.set(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, doc) })
}

func urlEntry(t *testing.T, url string) casemate.Issuer {
	e := entry(t)
	e.KeySet, e.KeySetURL = "", url
	return e
}

func TestKeysRotate(t *testing.T) {
	c, k, old, next := newClock(), newKeyServer(t), newECSigner(t, "old"), newECSigner(t, "next")
	k.serve(t, old)
	id := tokenIdentity(t, c, urlEntry(t, k.URL))
	first := old.sign(t, old.head(), c.claims(nil))
	for range 3 {
		if _, err := byToken(id, first); err != nil {
			t.Fatal(err)
		}
	}
	if k.hits.Load() != 1 {
		t.Fatalf("%d fetches for one key", k.hits.Load())
	}
	k.serve(t, old, next)
	second := next.sign(t, next.head(), c.claims(nil))
	p, err := byToken(id, second)
	mustRefuse(t, "unknown kid so soon after a fetch", p, err)
	for i := range 50 { // a flood of unknown kids is one fetch per gap at most
		evil := newECSigner(t, fmt.Sprint("evil", i))
		p, err := byToken(id, evil.sign(t, evil.head(), c.claims(nil)))
		mustRefuse(t, "unknown kid", p, err)
	}
	if k.hits.Load() != 1 {
		t.Fatalf("a flood of unknown kids made %d fetches", k.hits.Load())
	}
	c.Add(refreshGap)
	if _, err := byToken(id, second); err != nil {
		t.Fatalf("the new key: %v", err)
	}
	if _, err := byToken(id, first); err != nil {
		t.Fatalf("the old key while it is published: %v", err)
	}
	k.serve(t, next)
	c.Add(refreshAge)
	id.trust.refresh(t.Context(), c.Now()) // what the keeper does every minute
	p, err = byToken(id, first)
	mustRefuse(t, "the old key once it is gone, though remembered", p, err)
	if _, err := byToken(id, second); err != nil {
		t.Fatal(err)
	}
}

func TestKeyServerMisbehaves(t *testing.T) {
	c, s := newClock(), newECSigner(t, "k1")
	other := newKeyServer(t)
	other.serve(t, s)
	doc := jwks(t, s)
	for name, h := range map[string]http.HandlerFunc{
		"status 500":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500); fmt.Fprint(w, doc) },
		"no JSON":         func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"endless":         func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat(" ", maxKeySet+1), doc) },
		"redirects away":  func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, http.StatusFound) },
		"redirects round": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/again", http.StatusFound) },
		"private key": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, strings.Replace(doc, `"kty"`, `"d":"AA","kty"`, 1))
		},
		"drops the caller": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		k := newKeyServer(t)
		k.set(h)
		id := tokenIdentity(t, c, urlEntry(t, k.URL))
		tok := s.sign(t, s.head(), c.claims(nil))
		if p, err := byToken(id, tok); p != nil || casemate.CodeOf(err) != casemate.Unavailable || casemate.AsError(err).Retry == 0 {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
		k.serve(t, s)
		c.Add(refreshGap)
		if _, err := byToken(id, tok); err != nil {
			t.Errorf("%s, then mended: %v", name, err)
		}
		k.set(h)
		c.Add(refreshAge)
		id.trust.refresh(t.Context(), c.Now())
		fresh := s.sign(t, s.head(), c.claims(nil))
		if _, err := byToken(id, fresh); err != nil {
			t.Errorf("%s, with keys at hand: %v", name, err)
		}
		c.Add(staleAge + time.Second)
		id.trust.refresh(t.Context(), c.Now())
		if p, err := byToken(id, s.sign(t, s.head(), c.claims(nil))); p != nil || casemate.CodeOf(err) != casemate.Unavailable {
			t.Errorf("%s, a day later: %+v, %v", name, p, err)
		}
	}
	if other.hits.Load() != 0 {
		t.Error("a redirect to another host was followed")
	}
}

func TestUnavailableKeysDoNotBetrayOtherTokens(t *testing.T) {
	c, k, s := newClock(), newKeyServer(t), newECSigner(t, "k1")
	k.set(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	id := tokenIdentity(t, c, urlEntry(t, k.URL))
	p, err := byToken(id, s.sign(t, s.head(), c.claims(map[string]any{"iss": "https://unknown.example"})))
	mustRefuse(t, "unknown issuer", p, err)
	if k.hits.Load() != 0 {
		t.Error("a token of another issuer made us fetch")
	}
}
