package authn

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha512" // PS384 and PS512
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"casemate"
)

const (
	maxToken = 16 << 10
	leeway   = 60 * time.Second // of nbf and iat; exp has none
)

// header is the protected header of a compact JWS (RFC 7515), reduced to what is allowed in one.
type header struct{ alg, kid, typ string }

// token is a parsed, not yet verified one.
type token struct {
	header header
	claims claims
	iss    string
}

// verify runs the checks of RFC 8725 in the order of their cost; the signature comes last but for the clock.
// rule is what the route asks of tokens besides; it may be nil, and is looked at when all else holds.
func (t *trust) verify(ctx context.Context, raw string, now time.Time, rule *casemate.TokenRule) (*casemate.Principal, error) {
	if len(raw) > maxToken {
		return nil, errors.New("token too long")
	}
	sum := sha256.Sum256([]byte(raw))
	by := t.by.Load()
	if v := t.cache.get(sum, now, by); v != nil {
		return v.under(rule)
	}
	tok, err := parseToken(raw)
	if err != nil {
		return nil, err
	}
	is, err := choose((*by)[tok.iss], tok)
	if err != nil {
		return nil, err
	}
	set, key, err := t.find(ctx, is, tok.header, now)
	if err != nil {
		return nil, err
	}
	if err := checkSignature(raw, tok.header.alg, key); err != nil {
		return nil, err
	}
	expires, err := tok.claims.inForce(now)
	if err != nil {
		return nil, err
	}
	if err := is.admits(tok); err != nil {
		return nil, err
	}
	p, err := t.principal(is, tok, expires)
	if err != nil {
		return nil, err
	}
	v := verified{sum: sum, principal: *p, audience: tok.claims.audience, by: by, source: is.keys, set: set}
	t.cache.put(&v)
	return v.under(rule)
}

// parseToken takes a compact JWS with a claims set apart; nothing in it is believed yet.
func parseToken(raw string) (*token, error) {
	h, body, err := splitToken(raw)
	if err != nil {
		return nil, err
	}
	c, err := parseClaims(body)
	if err != nil {
		return nil, err
	}
	return &token{header: h, claims: c, iss: c.text["iss"]}, nil
}

// splitToken takes the compact form in canonical base64url only: one token has one spelling.
func splitToken(raw string) (header, []byte, error) {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 || parts[2] == "" {
		return header{}, nil, errors.New("not a signed compact token")
	}
	var body [3][]byte
	for i, p := range parts {
		b, err := base64.RawURLEncoding.Strict().DecodeString(p)
		if err != nil || strings.ContainsAny(p, "\r\n") { // the decoder skips line ends
			return header{}, nil, errors.New("token is not canonical base64url")
		}
		body[i] = b
	}
	h, err := parseHeader(body[0])
	return h, body[1], err
}

// parseHeader takes the members of an allow-list: whatever brings a key along (jku, jwk, x5u, x5c), changes how the
// token is read (crit, b64, zip, enc) or nests one token in another (cty) is not on it.
func parseHeader(b []byte) (header, error) {
	m, err := parseObject(b)
	if err != nil {
		return header{}, fmt.Errorf("token header: %w", err)
	}
	var h header
	for name, v := range m {
		s, ok := v.(string)
		if !ok {
			return header{}, errors.New("token header has a member that is no text")
		}
		switch name {
		case "alg":
			h.alg = s
		case "kid":
			if s == "" || len(s) > maxKid {
				return header{}, errors.New("token header has an unusable kid")
			}
			h.kid = s
		case "typ":
			h.typ = s
		case "x5t", "x5t#S256": // thumbprints: hints that nothing here follows
		default:
			return header{}, fmt.Errorf("token header has a member %.40q", name)
		}
	}
	kind := strings.TrimPrefix(strings.ToLower(h.typ), "application/")
	if _, typed := m["typ"]; typed && kind != "jwt" && kind != "at+jwt" {
		return header{}, errors.New("token is of another type")
	}
	if !slices.Contains(algorithms[:], h.alg) {
		return header{}, fmt.Errorf("token algorithm %.20q", h.alg)
	}
	return h, nil
}

// choose finds the one entry for this issuer that is meant: its audience and its algorithms.
func choose(candidates []*issuer, tok *token) (*issuer, error) {
	if len(candidates) == 0 {
		return nil, errors.New("token of an unknown issuer")
	}
	var found *issuer
	for _, is := range candidates {
		if slices.ContainsFunc(tok.claims.audience, func(a string) bool { return slices.Contains(is.Audience, a) }) {
			if found != nil {
				return nil, errors.New("token is for more than one audience here")
			}
			found = is
		}
	}
	switch {
	case found == nil:
		return nil, errors.New("token is for another audience")
	case !slices.Contains(found.Algorithms, tok.header.alg):
		return nil, errors.New("token is signed with another algorithm than pinned")
	}
	return found, nil
}

// checkSignature verifies with the one algorithm the header was checked to have. For PSS the library takes a salt of any
// length; RFC 7518 section 3.5 wants that of the hash.
func checkSignature(raw, alg string, key any) error {
	signed, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
	if err != nil {
		return errors.New("token cannot be read as signed")
	}
	if _, err := signed.Verify(key); err != nil {
		return errors.New("token signature does not verify")
	}
	hash, pss := map[string]crypto.Hash{"PS256": crypto.SHA256, "PS384": crypto.SHA384, "PS512": crypto.SHA512}[alg]
	if !pss {
		return nil
	}
	public, ok := key.(*rsa.PublicKey)
	if !ok {
		return errors.New("token signature needs an RSA key")
	}
	h := hash.New()
	h.Write([]byte(raw[:strings.LastIndexByte(raw, '.')]))
	salt := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
	if err := rsa.VerifyPSS(public, hash, h.Sum(nil), signed.Signatures[0].Signature, salt); err != nil {
		return errors.New("token signature has a salt of another length")
	}
	return nil
}

func (t *trust) principal(is *issuer, tok *token, expires time.Time) (*casemate.Principal, error) {
	sub := tok.claims.text["sub"]
	if !printable(sub, 256) {
		return nil, errors.New("token has no usable subject")
	}
	p := &casemate.Principal{
		Kind: casemate.KindToken, ID: tokenPrincipal + tok.iss + "|" + sub, Account: t.cfg.Place.Account, Role: is.Role, Plan: is.Plan,
		ARN:    "arn:aws:iam::" + t.cfg.Place.Account + ":oidc/" + url.PathEscape(tok.iss) + "/" + url.PathEscape(sub),
		Claims: tok.claims.text, Scopes: tok.claims.scopes(), Expires: expires,
	}
	if is.App != "" {
		p.Tags = map[string]string{"app": is.App}
	}
	if is.RoleClaim != "" {
		for _, v := range tok.claims.values(is.RoleClaim) {
			if role, ok := is.Roles[v]; ok {
				p.Role = role
				break
			}
		}
	}
	return p, nil
}
