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

// credential takes what the caller proves itself with: "Authorization: Bearer <token or key>" or "x-api-key: <key>". An
// Authorization header of another kind is for the route's authorizer, if it has one, and proves nothing anywhere else. Of two that differ, the
// caller proves itself with the one that has the form of a key of the platform, else with the token: what the other one may be,
// who knows the route says. Two keys are refused. Nothing is verified here, and nothing is taken from the URL, where logs would keep it.
func credential(h nethttp.Header) (casemate.Credential, error) {
	auth, keys := h["Authorization"], h["X-Api-Key"]
	if len(auth) > 1 || len(keys) > 1 {
		return casemate.Credential{}, badRequest("authorization", "more than one credential header of a kind", "send one")
	}
	key := ""
	if len(keys) == 1 {
		if key = strings.TrimSpace(keys[0]); !visible(key) {
			return casemate.Credential{}, &casemate.Error{Code: casemate.Unauthenticated, Field: "x-api-key", Message: "x-api-key is empty or malformed", Hint: "send a key as casemate keys create printed it"}
		}
	}
	if len(auth) == 0 {
		if key == "" {
			return casemate.Credential{}, nil
		}
		return casemate.Credential{Kind: casemate.CredentialKey, Secret: key}, nil
	}
	scheme, secret, _ := strings.Cut(auth[0], " ")
	secret = strings.TrimSpace(secret)
	switch bearer := strings.EqualFold(scheme, "Bearer"); {
	case key != "":
		return both(key, secret, bearer)
	case !bearer:
		return casemate.Credential{Kind: casemate.CredentialAuthorizer}, nil
	case !visible(secret):
		return casemate.Credential{}, &casemate.Error{Code: casemate.Unauthenticated, Field: "authorization", Message: "the Authorization header is not a bearer credential",
			Hint: "send Authorization: Bearer <token or key>"}
	}
	return borne(secret), nil
}

// both takes one of two credentials, and notes that the other one came along.
func both(key, secret string, bearer bool) (casemate.Credential, error) {
	switch {
	case bearer && secret == key:
		return casemate.Credential{Kind: casemate.CredentialKey, Secret: key}, nil
	case bearer && strings.HasPrefix(secret, keyPrefix) && strings.HasPrefix(key, keyPrefix):
		return casemate.Credential{}, badRequest("x-api-key", "Authorization and x-api-key say different things", "send one of them")
	case strings.HasPrefix(key, keyPrefix), !bearer, !visible(secret):
		return casemate.Credential{Kind: casemate.CredentialKey, Secret: key, Beside: "authorization"}, nil
	}
	c := borne(secret)
	c.Beside = "x-api-key"
	return c, nil
}

// borne is the credential that came as a bearer's.
func borne(secret string) casemate.Credential {
	if strings.HasPrefix(secret, keyPrefix) {
		return casemate.Credential{Kind: casemate.CredentialKey, Secret: secret}
	}
	return casemate.Credential{Kind: casemate.CredentialBearer, Secret: secret}
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
