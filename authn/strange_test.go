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
