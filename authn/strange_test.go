package authn

import (
	"encoding/base64"
	"strings"
	"testing"

	"casemate"
)

// An open route hands a strange credential on. One of ours that comes in another wrapping than the one that we read, or beside a strange
// one, is no strange one: it would reach a function that may use it elsewhere.
func TestOursIsNeverHandedOn(t *testing.T) {
	c, s := newClock(), newECSigner(t, "k1")
	id := tokenIdentity(t, c, entry(t, s))
	_, key := newSecret()
	good := s.sign(t, s.head(), c.claims(nil))
	body := func(text string) string { return "e30." + base64.RawURLEncoding.EncodeToString([]byte(text)) + ".x" }
	issuer := entry(t, s).Issuer
	basic := func(text string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(text)) }
	session := sessionMark + strings.Repeat("a", sessionLen-len(sessionMark))
	r := &Routed{Identity: id}
	open := casemate.Auth{Open: &casemate.Exception{Reason: "a shop", Expires: c.Now().AddDate(0, 0, 1)}}
	verify := func(kind casemate.CredentialKind, auth, apiKey string) error {
		e := &casemate.Event{Credential: casemate.Credential{Kind: kind}, Header: func(name string) []string {
			return map[string][]string{"authorization": {auth}, "x-api-key": {apiKey}}[name]
		}}
		switch kind {
		case casemate.CredentialKey:
			e.Credential.Secret = apiKey
		case casemate.CredentialBearer:
			e.Credential.Secret = strings.TrimPrefix(auth, "Bearer ")
		}
		_, err := r.Verify(t.Context(), e, &casemate.Match{Route: &casemate.Route{Auth: open}})
		return err
	}
	for _, auth := range []string{key, "Token " + key, "Bearer\t" + key, "ApiKey CK_" + key[3:], `Token token="` + key + `"`, basic(key + ":"), basic("user:" + key), good, "JWT " + good, "DPoP " + good,
		basic("x-token:" + good), "aws4-hmac-sha256 Credential=A", "Token " + session} {
		if verify(casemate.CredentialAuthorizer, auth, "") == nil {
			t.Errorf("handed on: %s", auth)
		}
		if verify(casemate.CredentialKey, auth, "abc") == nil {
			t.Errorf("handed on beside a strange key: %s", auth)
		}
	}
	for _, token := range []string{body(`{"iss":"` + issuer + `","ISS":"x"}`), body(`{"iss":"` + issuer + `","iss":"x"}`), body(`{"iss":"x","iss":"` + issuer + `"}`), body(`{"iss":"` + issuer + `/"}`),
		body(`{"exp":"` + strings.Repeat("y", maxToken) + `","iss":"` + issuer + `"}`), good + ".a.b", strings.TrimSuffix(good, good[strings.LastIndexByte(good, '.'):]), session, `"` + key + `"`} {
		if verify(casemate.CredentialBearer, "Bearer "+token, "") == nil {
			t.Errorf("handed on: %.200s", token)
		}
	}
	for _, auth := range []string{"", "Basic dXNlcjpwYXNz", "Token abc", basic("ck_0123456789abcdef0123456789abcdef01234567:cs_0123456789abcdef0123456789abcdef01234567"), "Digest username=\"a\", realm=\"b\"", body(`{"iss":"https://elsewhere.example"}`),
		"a.b.c.d.e", "Token ck_short", strings.Repeat("ck_", 2000)} {
		if err := verify(casemate.CredentialAuthorizer, auth, ""); err != nil {
			t.Errorf("kept back: %s: %v", auth, err)
		}
	}
}

// A key beside somebody's token: the key proves who calls, and the token reaches the function where it is none of the platform's and no
// other kind of the route may mean it. Two never give more than one.
func TestWhatComesBesideAProof(t *testing.T) {
	const key, jwt, lambda = casemate.CredentialKey, casemate.CredentialBearer, casemate.CredentialAuthorizer
	c, s := newClock(), newECSigner(t, "k1")
	id := tokenIdentity(t, c, entry(t, s))
	mine, k, err := id.CreateKey(t.Context(), KeyRequest{Name: "till", Role: "clerk", By: "test"})
	if err != nil {
		t.Fatal(err)
	}
	_, theirs := newSecret()
	good := s.sign(t, s.head(), c.claims(nil))
	over := s.sign(t, s.head(), c.claims(map[string]any{"exp": c.Now().Unix() - 1}))
	foreign := s.sign(t, s.head(), c.claims(map[string]any{"iss": "https://elsewhere.example/"}))
	basic := func(text string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(text)) }
	owner, ann := keyPrincipal+k.ID, tokenPrincipal+entry(t, s).Issuer+"|"
	type taken = []casemate.CredentialKind
	byKey, byToken := casemate.Credential{Kind: key, Secret: mine}, casemate.Credential{Kind: jwt, Secret: good}
	for _, x := range []struct {
		name      string
		takes     taken
		cred      casemate.Credential
		auth, api string
		who       string // how its id begins; "": refused
		own       string // header that the function gets
	}{
		{"a foreign token", taken{key}, byKey, "Bearer " + foreign, mine, owner, "authorization"},
		{"a word", taken{key}, byKey, "Bearer abc", mine, owner, "authorization"},
		{"a password", taken{key}, byKey, basic("ann:secret"), mine, owner, "authorization"},
		{"a foreign token, open", nil, byKey, "Bearer " + foreign, mine, owner, "authorization"},
		{"a foreign key", taken{jwt}, byToken, "Bearer " + good, "abc", ann, "x-api-key"},
		{"a token of ours", taken{key}, byKey, "Bearer " + good, mine, "", ""},
		{"one that is over", taken{key}, byKey, "Bearer " + over, mine, "", ""},
		{"one in another wrapping", taken{key}, byKey, "DPoP " + good, mine, "", ""},
		{"another's key as a password", taken{key}, byKey, basic("x:" + theirs), mine, "", ""},
		{"a token of ours, open", nil, byKey, "Bearer " + good, mine, "", ""},
		{"a key of ours beside a token", taken{jwt}, byToken, "Bearer " + good, "(" + theirs, "", ""},
		{"a bad key beside a good token", taken{key, jwt}, casemate.Credential{Kind: key, Secret: theirs}, "Bearer " + good, theirs, "", ""},
		{"a good key beside a good token", taken{key, jwt}, byKey, "Bearer " + good, mine, "", ""},
		{"a good key beside a foreign token, where tokens are taken, too", taken{key, jwt}, byKey, "Bearer " + foreign, mine, "", ""},
		{"a good key beside what the authorizer may mean", taken{key, lambda}, byKey, "Bearer " + foreign, mine, "", ""},
		{"a password where tokens are taken, too", taken{key, jwt}, byKey, basic("ann:secret"), mine, owner, ""},
		{"a bad key", taken{key}, casemate.Credential{Kind: key, Secret: theirs}, "Bearer " + foreign, theirs, "", ""},
		{"a token of ours beside a foreign key, open", nil, casemate.Credential{Kind: key, Secret: "abc"}, basic("x:" + good), "abc", "", ""},
	} {
		x.cred.Beside = "authorization"
		if x.cred.Kind == jwt {
			x.cred.Beside = "x-api-key"
		}
		a := casemate.Auth{Kinds: x.takes}
		if x.takes == nil {
			a.Open = &casemate.Exception{Reason: "a shop", Expires: c.Now().AddDate(0, 0, 1)}
		}
		e := &casemate.Event{Credential: x.cred, Header: func(name string) []string {
			return map[string][]string{"authorization": {x.auth}, "x-api-key": {x.api}}[name]
		}}
		p, err := (&Routed{Identity: id}).Verify(t.Context(), e, &casemate.Match{Route: &casemate.Route{Auth: a}})
		if (err == nil) != (x.who != "") || err == nil && !strings.HasPrefix(p.ID, x.who) {
			t.Errorf("%s: %+v, %v", x.name, p, err)
			continue
		}
		if got := strings.Join(a.Own(&x.cred, p), " "); err == nil && got != x.own {
			t.Errorf("%s: the function gets %q", x.name, got)
		}
		if e.Header = nil; err == nil {
			if p, err := (&Routed{Identity: id}).Verify(t.Context(), e, &casemate.Match{Route: &casemate.Route{Auth: a}}); err == nil {
				t.Errorf("%s: unseen it is %+v", x.name, p)
			}
		}
	}
}

// FuzzOurs: whatever the headers of strangers say, it ends, and what a key of ours is in is not strange.
func FuzzOurs(f *testing.F) {
	_, key := newSecret()
	f.Add("Basic dXNlcjpwYXNz")
	f.Add("a.b.c")
	id := &Identity{trust: &trust{}}
	id.trust.by.Store(&map[string][]*issuer{})
	f.Fuzz(func(t *testing.T, text string) {
		id.ours(text, true)
		if !id.ours(text+" "+key, true) {
			t.Errorf("%q hides a key", text)
		}
	})
}
