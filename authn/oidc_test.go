package authn

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"casemate"
)

// configured serves an OpenID configuration beside the keys. issuer and keys "" mean the right ones.
func (k *keyServer) configured(t *testing.T, issuer, keys string, ss ...*signer) {
	doc := jwks(t, ss...)
	k.set(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/.well-known/openid-configuration":
			if issuer == "" {
				issuer = k.URL
			}
			if keys == "" {
				keys = k.URL + "/keys"
			}
			fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q,"id_token_signing_alg_values_supported":["HS256","none"]}`, issuer, keys)
		case "/keys":
			fmt.Fprint(w, doc)
		default:
			http.NotFound(w, r)
		}
	})
}

func discovered(t *testing.T, url string) casemate.Issuer {
	e := entry(t)
	e.KeySet, e.Issuer, e.Discover = "", url, true
	return e
}

func TestDiscovery(t *testing.T) {
	c, k, s := newClock(), newKeyServer(t), newECSigner(t, "k1")
	k.configured(t, "", "", s)
	id := tokenIdentity(t, c, discovered(t, k.URL))
	tok := func(s *signer, change map[string]any) string {
		change["iss"] = k.URL
		return s.sign(t, s.head(), c.claims(change))
	}
	for range 3 {
		if _, err := byToken(id, tok(s, map[string]any{})); err != nil {
			t.Fatal(err)
		}
	}
	if k.hits.Load() != 2 {
		t.Errorf("%d requests for one configuration and one key set", k.hits.Load())
	}
	next := newECSigner(t, "k2") // the key rotates; the configuration is still believed
	k.configured(t, "", "", next)
	c.Add(refreshGap)
	if _, err := byToken(id, tok(next, map[string]any{})); err != nil || k.hits.Load() != 3 {
		t.Errorf("after a rotation: %v, %d requests", err, k.hits.Load())
	}
	moved := newKeyServer(t) // the key set moves: its old place is gone, so the configuration is asked again
	moved.serve(t, next)
	k.configured(t, "", moved.URL+"/elsewhere", next)
	c.Add(configAge)
	id.trust.refresh(t.Context(), c.Now())
	if _, err := byToken(id, tok(next, map[string]any{"jti": "2"})); err != nil || moved.hits.Load() != 1 {
		t.Errorf("after a move: %v, %d requests", err, moved.hits.Load())
	}
}

// A configuration that is not the issuer's own vouches for nobody, whoever serves it.
func TestDiscoveryRefusals(t *testing.T) {
	s := newECSigner(t, "k1")
	for name, x := range map[string]struct{ issuer, keys string }{
		"another issuer":            {"https://login.example", ""},
		"issuer with a slash more":  {"SERVER/", ""},
		"no issuer":                 {"-", ""},
		"keys over http":            {"", "http://id.example/keys"},
		"keys in a file":            {"", "file:///etc/passwd"},
		"keys with a password":      {"", "https://u:p@id.example/keys"},
		"keys nowhere":              {"", "-"},
		"keys below a loopback lie": {"", "http://127.0.0.1.evil.example/keys"},
	} {
		c, k := newClock(), newKeyServer(t)
		k.configured(t, strings.ReplaceAll(x.issuer, "SERVER", k.URL), x.keys, s)
		id := tokenIdentity(t, c, discovered(t, k.URL))
		p, err := byToken(id, s.sign(t, s.head(), c.claims(map[string]any{"iss": k.URL})))
		if p != nil || casemate.CodeOf(err) != casemate.Unavailable {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	k := newKeyServer(t)
	k.configured(t, "https://id.example", "")
	if at, err := discover(t.Context(), http.DefaultClient, k.URL+"/.well-known/openid-configuration", "https://id.example"); err == nil {
		t.Errorf("an issuer elsewhere has us fetch %s on this machine", at)
	}
	for _, url := range []string{"http://id.example", "https://id.example/?a=b", "https://id.example/?", "https://id.example#x", "https://u:p@id.example", "id.example", "file:///x"} {
		if e := discovered(t, url); newTrust(Config{}).set([]casemate.Issuer{e}) == nil {
			t.Errorf("%s can be discovered", url)
		}
	}
	for name, change := range map[string]func(*casemate.Issuer){
		"discovery beside a key set":  func(e *casemate.Issuer) { e.KeySet = jwks(t, s) },
		"discovery beside an address": func(e *casemate.Issuer) { e.KeySetURL = "https://id.example/keys" },
		"kind unknown":                func(e *casemate.Issuer) { e.Tokens = "any" },
		"client empty":                func(e *casemate.Issuer) { e.Clients = []string{""} },
	} {
		e := discovered(t, "https://id.example")
		change(&e)
		if err := newTrust(Config{}).set([]casemate.Issuer{e}); casemate.CodeOf(err) != casemate.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Which of an issuer's tokens an entry takes. Every row is signed well and in time.
func TestKindsOfTokens(t *testing.T) {
	c, s := newClock(), newECSigner(t, "k1")
	full := map[string]any{"client_id": "web", "jti": "1"}
	with := func(more map[string]any) map[string]any {
		out := map[string]any{}
		for k, v := range full {
			out[k] = v
		}
		for k, v := range more {
			out[k] = v
		}
		return out
	}
	at, plain, none := `{"alg":"ES256","kid":"k1","typ":"at+jwt"}`, s.head(), `{"alg":"ES256","kid":"k1"}`
	for _, x := range []struct {
		name, head string
		claims     map[string]any
		access     bool // taken where access tokens are
		typed      bool // where RFC 9068 is asked for
		id         bool // where ID tokens are
	}{
		{"access token of RFC 9068", at, full, true, true, false},
		{"the same by its media type", `{"alg":"ES256","kid":"k1","typ":"application/AT+JWT"}`, full, true, true, false},
		{"without client_id", at, map[string]any{"jti": "1"}, true, false, false},
		{"without jti", at, map[string]any{"client_id": "web"}, true, false, false},
		{"access token of no type", none, full, true, false, true},
		{"ID token with a nonce", plain, map[string]any{"nonce": "n"}, false, false, true},
		{"ID token with at_hash", plain, map[string]any{"at_hash": "h"}, false, false, true},
		{"ID token with an empty nonce", plain, map[string]any{"nonce": ""}, false, false, true},
		{"ID token that says so", plain, map[string]any{"token_use": "id"}, false, false, true},
		{"Keycloak's ID token", plain, map[string]any{"typ": "ID"}, false, false, true},
		{"refresh token", plain, map[string]any{"typ": "Refresh"}, false, false, true},
		{"access token with a nonce of its own", at, with(map[string]any{"nonce": "n"}), true, true, false},
		{"logout token", plain, map[string]any{"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}}, false, false, false},
		{"ID token for somebody else", plain, map[string]any{"azp": "other"}, true, false, false},
		{"ID token for two, to whom", plain, map[string]any{"aud": []string{"orders", "x"}}, true, false, false},
		{"ID token for two, to us", plain, map[string]any{"aud": []string{"orders", "x"}, "azp": "orders"}, true, false, true},
		{"azp that is no text", plain, map[string]any{"azp": []string{"orders"}}, true, false, false},
	} {
		for tokens, want := range map[string]bool{"": x.access, tokensAccess: x.access, tokensTyped: x.typed, tokensID: x.id} {
			e := entry(t, s)
			e.Tokens = tokens
			p, err := byToken(tokenIdentity(t, c, e), s.sign(t, x.head, c.claims(x.claims)))
			if (err == nil) != want {
				t.Errorf("%s, tokens %q: %+v, %v", x.name, tokens, p, err)
			}
		}
	}
}

func TestClientsAndScopesOfAnIssuer(t *testing.T) {
	c, s := newClock(), newECSigner(t, "k1")
	for _, x := range []struct {
		name   string
		claims map[string]any
		want   bool
	}{
		{"azp", map[string]any{"azp": "web"}, true},
		{"client_id", map[string]any{"client_id": "app"}, true},
		{"both", map[string]any{"azp": "web", "client_id": "web"}, true},
		{"neither", nil, false},
		{"another", map[string]any{"azp": "evil"}, false},
		{"one of them another", map[string]any{"azp": "web", "client_id": "evil"}, false},
		{"a list", map[string]any{"azp": []string{"web"}}, false},
		{"without the scope", map[string]any{"azp": "web", "scope": "write"}, false},
		{"scope that contains it", map[string]any{"azp": "web", "scope": "read:all"}, false},
		{"scope in other case", map[string]any{"azp": "web", "scope": "READ"}, false},
		{"scp as a list", map[string]any{"azp": "web", "scope": nil, "scp": []string{"read"}}, true},
		{"no scope", map[string]any{"azp": "web", "scope": nil}, false},
	} {
		e := entry(t, s)
		e.Clients, e.Scopes = []string{"web", "app"}, []string{"read or admin"}
		if p, err := byToken(tokenIdentity(t, c, e), s.sign(t, s.head(), c.claims(x.claims))); (err == nil) != x.want {
			t.Errorf("%s: %+v, %v", x.name, p, err)
		}
	}
}

// A route may ask for more than its issuer does, for tokens seen before as for new ones.
func TestRulesOfARoute(t *testing.T) {
	c, s := newClock(), newECSigner(t, "k1")
	id := tokenIdentity(t, c, entry(t, s))
	tok := s.sign(t, s.head(), c.claims(map[string]any{"aud": []string{"orders", "x"}}))
	for range 2 {
		for _, x := range []struct {
			rule *casemate.TokenRule
			code casemate.Code
			ok   bool
		}{
			{nil, 0, true},
			{&casemate.TokenRule{Scopes: []string{"read", "write"}}, 0, true},
			{&casemate.TokenRule{Scopes: []string{"admin or write"}}, 0, true},
			{&casemate.TokenRule{Scopes: []string{"read", "admin"}}, casemate.Forbidden, false},
			{&casemate.TokenRule{Scopes: []string{"rea"}}, casemate.Forbidden, false},
			{&casemate.TokenRule{Audience: []string{"x"}}, 0, true},
			{&casemate.TokenRule{Audience: []string{"orders-2"}}, casemate.Unauthenticated, false},
		} {
			m := &casemate.Match{Route: &casemate.Route{Auth: casemate.Auth{Kinds: []casemate.CredentialKind{casemate.CredentialBearer}, Token: x.rule}}}
			p, err := id.Verify(t.Context(), &casemate.Event{Credential: casemate.Credential{Kind: casemate.CredentialBearer, Secret: tok}}, m)
			if (err == nil) != x.ok || err != nil && casemate.CodeOf(err) != x.code || err != nil && p != nil {
				t.Errorf("%+v: %+v, %v", x.rule, p, err)
			}
		}
	}
}

// A configuration that hangs or floods costs its bounds and no more.
func TestDiscoveryIsBounded(t *testing.T) {
	c, k, s := newClock(), newKeyServer(t), newECSigner(t, "k1")
	k.set(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":"https://id.example/%s"}`, k.URL, strings.Repeat("x", maxKeySet))
	})
	id := tokenIdentity(t, c, discovered(t, k.URL))
	p, err := byToken(id, s.sign(t, s.head(), c.claims(map[string]any{"iss": k.URL})))
	if p != nil || casemate.CodeOf(err) != casemate.Unavailable || k.hits.Load() != 1 {
		t.Errorf("%+v, %v, %d requests", p, err, k.hits.Load())
	}
	for range 20 { // nor does a flood of tokens make it ask again at once
		if p, err := byToken(id, s.sign(t, s.head(), c.claims(map[string]any{"iss": k.URL}))); p != nil || err == nil {
			t.Fatal("taken")
		}
	}
	if k.hits.Load() != 1 {
		t.Errorf("%d requests", k.hits.Load())
	}
	c.Add(time.Minute)
	k.configured(t, "", "", s)
	if _, err := byToken(id, s.sign(t, s.head(), c.claims(map[string]any{"iss": k.URL}))); err != nil {
		t.Errorf("mended: %v", err)
	}
}
