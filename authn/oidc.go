package authn

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"casemate"
)

// Which tokens an issuer's entry takes.
const (
	tokensAccess = "access" // also "": every signed token that cannot be told to be something else
	tokensTyped  = "at+jwt" // access tokens of RFC 9068 alone
	tokensID     = "id"     // ID tokens of OpenID Connect
)

// configAge is how long an OpenID configuration is believed. One whose key set cannot be fetched is asked for again.
const configAge = time.Hour

// where is the address that an issuer's keys are found from; "" when they are in the entry itself.
func where(is *casemate.Issuer) string {
	if is.Discover {
		return strings.TrimSuffix(is.Issuer, "/") + "/.well-known/openid-configuration"
	}
	return is.KeySetURL
}

func sourcesOf(is *casemate.Issuer) (n int) {
	for _, has := range [...]bool{is.KeySet != "", is.KeySetURL != "", is.Discover} {
		if has {
			n++
		}
	}
	return n
}

// discoverable takes an issuer that OpenID Connect Discovery 1.0 section 4 can start from: an https address (or http on
// loopback) without query and fragment.
func discoverable(issuer string) bool {
	u, err := url.Parse(issuer)
	return err == nil && u.RawQuery == "" && !u.ForceQuery && checkURL(issuer) == nil
}

// fetch reads the key set, by way of the OpenID configuration where that says where it is.
func (s *source) fetch(ctx context.Context, client *http.Client, now time.Time) (*keySet, error) {
	at := s.url
	if s.issuer != "" {
		if s.keys == "" || now.Sub(s.told) >= configAge {
			keys, err := discover(ctx, client, s.url, s.issuer)
			if err != nil {
				return nil, err
			}
			s.keys, s.told = keys, now
		}
		at = s.keys
	}
	doc, err := get(ctx, client, at)
	var set *keySet
	if err == nil {
		set, err = parseKeySet(doc)
	}
	if err != nil {
		s.keys = ""
	}
	return set, err
}

// discover reads where an issuer's keys are. The configuration must be that issuer's to the letter (section 4.3): without
// that, whoever can have us ask them could vouch for somebody else.
func discover(ctx context.Context, client *http.Client, at, issuer string) (string, error) {
	doc, err := get(ctx, client, at)
	if err != nil {
		return "", fmt.Errorf("reading the OpenID configuration: %w", err)
	}
	m, err := parseObject(doc)
	if err != nil {
		return "", fmt.Errorf("reading the OpenID configuration: %w", err)
	}
	keys, _ := m["jwks_uri"].(string)
	if says, _ := m["issuer"].(string); says != issuer {
		return "", fmt.Errorf("the OpenID configuration is that of %.200q", says)
	}
	u, err := url.Parse(issuer)
	if err == nil {
		err = checkURL(keys)
	}
	if err != nil {
		return "", fmt.Errorf("the OpenID configuration names no key set: %w", err)
	}
	if strings.HasPrefix(keys, "http:") && !loopback(u.Hostname()) {
		return "", errors.New("the OpenID configuration of an issuer elsewhere names a key set on this machine")
	}
	return keys, nil
}

// admits holds a token against what its issuer's entry says about kind, client and scopes.
func (is *issuer) admits(tok *token) error {
	if err := is.kind(tok); err != nil {
		return err
	}
	c := &tok.claims
	if len(is.Clients) > 0 {
		named := 0
		for _, name := range [...]string{"azp", "client_id"} {
			v, has := c.top[name]
			if !has {
				continue
			}
			if text, ok := v.(string); !ok || !slices.Contains(is.Clients, text) {
				return fmt.Errorf("token was issued to another client (%s)", name)
			}
			named++
		}
		if named == 0 {
			return errors.New("token does not say which client it was issued to")
		}
	}
	if s := lacking(is.Scopes, c.scopes()); s != "" {
		return fmt.Errorf("token lacks scope %s", s)
	}
	return nil
}

// kind tells tokens apart that are made for different readers (RFC 8725 section 3.11, RFC 9068 section 4). A logout
// token is nobody's credential.
func (is *issuer) kind(tok *token) error {
	c, typed := &tok.claims, strings.TrimPrefix(strings.ToLower(tok.header.typ), "application/") == tokensTyped
	if c.top["events"] != nil {
		return errors.New("token tells of an event: it is no credential")
	}
	switch is.Tokens {
	case tokensTyped:
		if !typed {
			return errors.New("token is no access token of RFC 9068: its typ is not at+jwt")
		}
		for _, name := range [...]string{"sub", "client_id", "iat", "jti"} { // iss, aud and exp every token needs
			if c.top[name] == nil {
				return fmt.Errorf("token has no %s, which an access token of RFC 9068 needs", name)
			}
		}
	case tokensID:
		if typed {
			return errors.New("token is an access token, and ID tokens are taken")
		}
		azp, has := c.top["azp"]
		text, _ := azp.(string)
		if has && !slices.Contains(is.Audience, text) || !has && len(c.audience) > 1 { // OpenID Connect Core 1.0 section 3.1.3.7
			return errors.New("token was issued to somebody else (azp)")
		}
	default:
		if typed {
			return nil
		}
		for _, name := range [...]string{"nonce", "at_hash", "c_hash", "s_hash"} {
			if c.top[name] != nil {
				return fmt.Errorf("token is an ID token (%s), and access tokens are taken; say tokens: id where that is meant", name)
			}
		}
		if c.top["token_use"] == "id" || c.top["typ"] == "ID" || c.top["typ"] == "Refresh" || c.top["token_use"] == "refresh" {
			return errors.New("token says that it is no access token")
		}
	}
	return nil
}

// lacking is the first scope wanted that is not there, "" when all are. "a or b" is there when either is.
func lacking(wanted, has []string) string {
	for _, w := range wanted {
		if !slices.ContainsFunc(strings.Split(w, " or "), func(s string) bool { return slices.Contains(has, s) }) {
			return w
		}
	}
	return ""
}

// under is who a verified token belongs to, where a route asks for more. For another audience it is no credential at all;
// without the scope it is a good one that may not (RFC 6750 section 3.1, insufficient_scope).
func (v *verified) under(rule *casemate.TokenRule) (*casemate.Principal, error) {
	p := v.principal
	if rule == nil {
		return &p, nil
	}
	if len(rule.Audience) > 0 && !slices.ContainsFunc(v.audience, func(a string) bool { return slices.Contains(rule.Audience, a) }) {
		return nil, errors.New("token is for another audience than this route's")
	}
	if s := lacking(rule.Scopes, p.Scopes); s != "" {
		return nil, &casemate.Error{Code: casemate.Forbidden, Message: "the token lacks scope " + s, Rule: "scopes", Hint: "ask the issuer for a token with this scope"}
	}
	return &p, nil
}
