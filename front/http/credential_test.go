package http

import (
	nethttp "net/http"
	"strings"
	"testing"

	"casemate"
)

// What a route's authorizer reads is nobody's credential anywhere else: it comes through without its text. Of two the one that can be
// ours proves the caller, and the other one is noted.
func TestCredentialKinds(t *testing.T) {
	const none, key, bearer, other = casemate.CredentialNone, casemate.CredentialKey, casemate.CredentialBearer, casemate.CredentialAuthorizer
	for name, c := range map[string]struct {
		auth, key []string
		kind      casemate.CredentialKind
		secret    string
		beside    string
	}{
		"nothing":                   {nil, nil, none, "", ""},
		"token":                     {[]string{"bearer a.b.c"}, nil, bearer, "a.b.c", ""},
		"key as bearer":             {[]string{"Bearer ck_a"}, nil, key, "ck_a", ""},
		"key":                       {nil, []string{"ck_a"}, key, "ck_a", ""},
		"basic":                     {[]string{"Basic YTpi"}, nil, other, "", ""},
		"bare word":                 {[]string{"allow"}, nil, other, "", ""},
		"empty":                     {[]string{""}, nil, other, "", ""},
		"the same key two ways":     {[]string{"Bearer ck_a"}, []string{"ck_a"}, key, "ck_a", ""},
		"another kind and key":      {[]string{"Basic YTpi"}, []string{"ck_a"}, key, "ck_a", "authorization"},
		"token and key":             {[]string{"Bearer a.b.c"}, []string{"ck_a"}, key, "ck_a", "authorization"},
		"no token and key":          {[]string{"Bearer a b"}, []string{"ck_a"}, key, "ck_a", "authorization"},
		"key and another's key":     {[]string{"Bearer ck_a"}, []string{"b"}, key, "ck_a", "x-api-key"},
		"token and another's key":   {[]string{"Bearer a.b.c"}, []string{"b"}, bearer, "a.b.c", "x-api-key"},
		"basic and another's key":   {[]string{"Basic YTpi"}, []string{"b"}, key, "b", "authorization"},
		"nothing and another's key": {nil, []string{"b"}, key, "b", ""},
	} {
		h := nethttp.Header{}
		if c.auth != nil {
			h["Authorization"] = c.auth
		}
		if c.key != nil {
			h["X-Api-Key"] = c.key
		}
		got, err := credential(h)
		if err != nil || got.Kind != c.kind || got.Secret != c.secret || got.Beside != c.beside {
			t.Errorf("%s: kind %q, beside %q, error %v", name, got.Kind, got.Beside, err)
		}
	}
}

// What came beside a key reaches the function where the route takes keys alone; the key never does.
func TestWhatComesBesideAKeyIsHandedOn(t *testing.T) {
	var encoded string
	var auth casemate.Auth
	_, addr := start(t, Config{Handler: app(func(e *casemate.Event) (*casemate.Result, error) {
		text, err := e.Encode(&casemate.Match{Route: &casemate.Route{ID: "GET /a", Auth: auth}}, &casemate.Principal{Kind: casemate.KindKey, ID: "key/ck_1"}, nil)
		encoded = string(text)
		return &casemate.Result{Payload: []byte(`{"statusCode":204}`)}, err
	})})
	for _, c := range []struct {
		kinds   []casemate.CredentialKind
		sent    string // in Authorization
		reaches bool
	}{
		{[]casemate.CredentialKind{casemate.CredentialKey}, "Bearer theirs", true},
		{[]casemate.CredentialKind{casemate.CredentialKey}, "Basic theirs", true},
		{[]casemate.CredentialKind{casemate.CredentialKey, casemate.CredentialBearer}, "Bearer theirs", false},
		{[]casemate.CredentialKind{casemate.CredentialKey, casemate.CredentialAuthorizer}, "Basic theirs", false},
	} {
		auth.Kinds, encoded = c.kinds, ""
		resp, _ := raw(t, addr, get("/a", "x-api-key: ck_secret", "Authorization: "+c.sent))
		if resp.StatusCode != 204 || strings.Contains(encoded, `"authorization":"`+c.sent+`"`) != c.reaches || strings.Contains(encoded, "ck_secret") {
			t.Errorf("%v, %s: status %d, event %s", c.kinds, c.sent, resp.StatusCode, encoded)
		}
	}
}
