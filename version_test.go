package casemate

import (
	"slices"
	"testing"
	"time"
)

// A function gets a credential of its own where nobody else may mean it: in no case the one that proved the caller, and none where the
// route reads another kind.
func TestCredentialsOfFunctions(t *testing.T) {
	const key, jwt = CredentialKey, CredentialBearer
	open := &Exception{Reason: "a shop", Expires: time.Unix(1, 0)}
	kinds := func(k ...CredentialKind) Auth { return Auth{Kinds: k} }
	nobody, holder, bearer := &Principal{}, &Principal{Kind: KindKey, ID: "key/ck_a"}, &Principal{Kind: KindToken, ID: "jwt/i|ann"}
	for name, c := range map[string]struct {
		auth Auth
		cred Credential
		p    *Principal
		want []string
	}{
		"nobody, open":                     {Auth{Open: open}, Credential{Kind: jwt}, nobody, []string{"authorization", "x-api-key"}},
		"no principal, open":               {Auth{Open: open}, Credential{Kind: jwt}, nil, []string{"authorization", "x-api-key"}},
		"nobody, open, keys are taken":     {Auth{Open: open, Kinds: []CredentialKind{key}}, Credential{Kind: jwt, Beside: "x-api-key"}, nobody, nil},
		"nobody":                           {Auth{}, Credential{Kind: key, Beside: "authorization"}, nobody, nil},
		"a key":                            {kinds(key), Credential{Kind: key}, holder, nil},
		"beside a key":                     {kinds(key), Credential{Kind: key, Beside: "authorization"}, holder, []string{"authorization"}},
		"beside a key, open":               {Auth{Open: open}, Credential{Kind: key, Beside: "authorization"}, holder, []string{"authorization"}},
		"beside a bearer's key":            {kinds(key), Credential{Kind: key, Beside: "x-api-key"}, holder, []string{"x-api-key"}},
		"beside a token":                   {kinds(jwt), Credential{Kind: jwt, Beside: "x-api-key"}, bearer, []string{"x-api-key"}},
		"beside a key, tokens are taken":   {kinds(jwt), Credential{Kind: key, Beside: "authorization"}, holder, nil},
		"beside a key, either is":          {kinds(key, jwt), Credential{Kind: key, Beside: "authorization"}, holder, nil},
		"beside a key, a webhook is taken": {kinds(key, CredentialWebhook), Credential{Kind: key, Beside: "authorization"}, holder, nil},
		"who an authorizer named":          {kinds(CredentialAuthorizer), Credential{Kind: key, Beside: "authorization"}, &Principal{Kind: KindAuthorizer, ID: "a"}, nil},
		"who an authorizer named, by key":  {kinds(key), Credential{Kind: key, Beside: "authorization"}, &Principal{Kind: KindAuthorizer, ID: "a"}, nil},
		"a certificate":                    {kinds(CredentialCertificate), Credential{Kind: jwt, Beside: "x-api-key"}, &Principal{Kind: KindCertificate, ID: "c"}, nil},
		"what runs later":                  {kinds(key), Credential{Kind: CredentialRun, Beside: "authorization"}, holder, nil},
	} {
		if got := c.auth.Own(&c.cred, c.p); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}
