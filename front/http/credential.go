package http

import (
	nethttp "net/http"
	"strings"

	"casemate"
)

const (
	keyPrefix     = "ck_" // what tells an API key from a token
	maxCredential = 8 << 10
)

// credential takes what the caller proves itself with: "Authorization: Bearer <token or key>" or "x-api-key: <key>".
// Sent twice, it must be the same. An Authorization header of another kind is for the route's authorizer, if it has one, and
// proves nothing anywhere else. Nothing is verified here, and nothing is taken from the URL, where logs would keep it.
func credential(h nethttp.Header) (casemate.Credential, error) {
	auth, keys := h["Authorization"], h["X-Api-Key"]
	if len(auth) > 1 || len(keys) > 1 {
		return casemate.Credential{}, badRequest("authorization", "more than one credential header of a kind", "send one")
	}
	var c casemate.Credential
	if len(auth) == 1 {
		scheme, secret, _ := strings.Cut(auth[0], " ")
		secret = strings.TrimSpace(secret)
		switch {
		case !strings.EqualFold(scheme, "Bearer"):
			c = casemate.Credential{Kind: casemate.CredentialAuthorizer}
		case !visible(secret):
			return c, &casemate.Error{Code: casemate.Unauthenticated, Field: "authorization", Message: "the Authorization header is not a bearer credential",
				Hint: "send Authorization: Bearer <token or key>"}
		case strings.HasPrefix(secret, keyPrefix):
			c = casemate.Credential{Kind: casemate.CredentialKey, Secret: secret}
		default:
			c = casemate.Credential{Kind: casemate.CredentialBearer, Secret: secret}
		}
	}
	if len(keys) == 1 {
		key := strings.TrimSpace(keys[0])
		if !visible(key) {
			return c, &casemate.Error{Code: casemate.Unauthenticated, Field: "x-api-key", Message: "x-api-key is empty or malformed", Hint: "send a key as casemate keys create printed it"}
		}
		if c.Kind != casemate.CredentialNone && c.Kind != casemate.CredentialAuthorizer && c.Secret != key {
			return casemate.Credential{}, badRequest("x-api-key", "Authorization and x-api-key say different things", "send one of them")
		}
		c = casemate.Credential{Kind: casemate.CredentialKey, Secret: key}
	}
	return c, nil
}

// visible reports whether s can be a credential at all: printable ASCII without spaces, of a sane length.
func visible(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return s != "" && len(s) <= maxCredential
}
