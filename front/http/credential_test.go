package http

import (
	nethttp "net/http"
	"testing"

	"casemate"
)

// What a route's authorizer reads is nobody's credential anywhere else: it comes through without its text.
func TestCredentialKinds(t *testing.T) {
	for name, c := range map[string]struct {
		header nethttp.Header
		kind   casemate.CredentialKind
		secret string
	}{
		"nothing":               {nethttp.Header{}, casemate.CredentialNone, ""},
		"token":                 {nethttp.Header{"Authorization": {"bearer a.b.c"}}, casemate.CredentialBearer, "a.b.c"},
		"key as bearer":         {nethttp.Header{"Authorization": {"Bearer ck_a"}}, casemate.CredentialKey, "ck_a"},
		"key":                   {nethttp.Header{"X-Api-Key": {"ck_a"}}, casemate.CredentialKey, "ck_a"},
		"basic":                 {nethttp.Header{"Authorization": {"Basic YTpi"}}, casemate.CredentialAuthorizer, ""},
		"bare word":             {nethttp.Header{"Authorization": {"allow"}}, casemate.CredentialAuthorizer, ""},
		"empty":                 {nethttp.Header{"Authorization": {""}}, casemate.CredentialAuthorizer, ""},
		"another kind and key":  {nethttp.Header{"Authorization": {"Basic YTpi"}, "X-Api-Key": {"ck_a"}}, casemate.CredentialKey, "ck_a"},
		"the same key two ways": {nethttp.Header{"Authorization": {"Bearer ck_a"}, "X-Api-Key": {"ck_a"}}, casemate.CredentialKey, "ck_a"},
	} {
		got, err := credential(c.header)
		if err != nil || got.Kind != c.kind || got.Secret != c.secret {
			t.Errorf("%s: kind %q, error %v", name, got.Kind, err)
		}
	}
}
