package authn

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"casemate"
)

// Beginnings of credentials that are never strange: those of access keys' signatures, and of operators' sessions.
const (
	signatureMark = "aws4-"
	sessionMark   = "cs_"
	sessionLen    = 68
)

// strange reports a credential that nobody here issued or trusts the issuer of. Where a route is open it proves nothing to the
// platform and is the function's own affair: whoever sends it is nobody. What has the form of a credential of ours is never strange,
// so that a revoked key or an expired token does not turn into nobody's; and in no header that would be handed on, however it is wrapped.
func (id *Identity) strange(e *casemate.Event) bool {
	switch c := &e.Credential; c.Kind {
	case casemate.CredentialAuthorizer:
	case casemate.CredentialKey:
		if strings.HasPrefix(c.Secret, keyMark) || id.ours(c.Secret, true) {
			return false
		}
	case casemate.CredentialBearer:
		if id.ours(c.Secret, true) {
			return false
		}
	default:
		return false
	}
	if e.Header == nil {
		return e.Credential.Beside == ""
	}
	return !id.holdsOurs(e, "authorization", "x-api-key")
}

// holdsOurs reports a credential of the platform's in one of these headers.
func (id *Identity) holdsOurs(e *casemate.Event, names ...string) bool {
	for _, name := range names {
		for _, v := range e.Header(name) {
			if id.ours(v, true) {
				return true
			}
		}
	}
	return false
}

// question is e as an authorizer is told of it: without a key of the platform's, which an application may send everywhere, unless that is
// what the authorizer goes by. A token is what others may judge as well, and stays.
func (id *Identity) question(e *casemate.Event, a *casemate.Authorizer) *casemate.Event {
	if e.Headers == nil || e.Header == nil {
		return e
	}
	goesBy := func(name string) bool {
		return slices.Contains(a.Identity, casemate.IdentitySource{In: "header", Name: name})
	}
	key := func(v string) bool { return holds(v, true, func(string) bool { return false }) }
	var hidden []string
	if !goesBy("authorization") && slices.ContainsFunc(e.Header("authorization"), key) {
		hidden = append(hidden, "authorization")
	}
	if !goesBy("x-api-key") && id.holdsOurs(e, "x-api-key") {
		hidden = append(hidden, "x-api-key")
	}
	if hidden == nil {
		return e
	}
	told := *e
	told.Headers = func(yield func(name, value string) bool) {
		for n, v := range e.Headers {
			if !slices.Contains(hidden, strings.ToLower(n)) && !yield(n, v) {
				return
			}
		}
	}
	return &told
}

// aside refuses what came beside the credential that proved p, where it may be somebody else's proof: a bearer's on a route that reads
// another kind, too, and one of the platform's where the function would get it.
func (id *Identity) aside(e *casemate.Event, a *casemate.Auth, p *casemate.Principal) error {
	c := &e.Credential
	if c.Beside == "" {
		return nil
	}
	err := &casemate.Error{Code: casemate.Invalid, Field: c.Beside, Message: "two credentials came, and one alone may say who calls", Hint: "send one of them"}
	if e.Header == nil {
		return err
	}
	if own := a.Own(c, p); len(own) > 0 {
		if id.holdsOurs(e, own...) {
			return err
		}
		return nil
	}
	for _, v := range e.Header(c.Beside) {
		if scheme, _, _ := strings.Cut(v, " "); c.Beside != "authorization" || strings.EqualFold(scheme, "Bearer") {
			return err
		}
	}
	return nil // of another scheme: nobody reads it, and the function does not get it
}

// ours reports a credential of the platform's anywhere in a header: without a scheme, below one of another name, in quotes, as a
// password of Basic, and encoded likewise.
func (id *Identity) ours(text string, encoded bool) bool {
	return holds(text, encoded, func(word string) bool {
		return len(word) > len(signatureMark) && strings.EqualFold(word[:len(signatureMark)], signatureMark) ||
			len(word) == sessionLen && strings.HasPrefix(word, sessionMark) || id.trust.issued(word)
	})
}

// holds reports a key of the platform's anywhere in text, or a word of it that is one of those.
func holds(text string, encoded bool, those func(word string) bool) bool {
	for i := range text {
		if len(text)-i >= keyLen && strings.EqualFold(text[i:i+len(keyMark)], keyMark) {
			if _, err := keyID(keyMark + text[i+len(keyMark):i+keyLen]); err == nil {
				return true
			}
		}
	}
	apart := func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"',:;<>=()[]{}`, r) }
	for word := range strings.FieldsFuncSeq(text, apart) {
		switch {
		case those(word):
			return true
		case !encoded:
			continue
		}
		for _, alphabet := range [...]*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			if inner, err := alphabet.DecodeString(word); err == nil && holds(string(inner), false, those) {
				return true
			}
		}
	}
	return false
}

// issued reports a token that names an issuer that is trusted here, whatever else is wrong with it: its claims need not be those that a
// token may have, and its issuer's name may have a slash or capitals too many.
func (t *trust) issued(raw string) bool {
	_, rest, ok := strings.Cut(raw, ".")
	body, _, _ := strings.Cut(rest, ".")
	if !ok || body == "" {
		return false
	}
	data, err := base64.RawURLEncoding.DecodeString(strings.NewReplacer("+", "-", "/", "_").Replace(body))
	if err != nil {
		return false
	}
	d := json.NewDecoder(strings.NewReader(string(data)))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return false
	}
	for d.More() { // each member, for one name may stand twice
		name, err := d.Token()
		var v any
		if err != nil || d.Decode(&v) != nil {
			return false
		}
		if issuer, ok := v.(string); ok && name == "iss" && t.names(issuer) {
			return true
		}
	}
	return false
}

// names reports whether an issuer is trusted here, by a name that people take for the same.
func (t *trust) names(issuer string) bool {
	all := *t.by.Load()
	if len(all[issuer]) > 0 {
		return true
	}
	plain := func(s string) string {
		if u, err := url.Parse(s); err == nil {
			s = u.Scheme + "://" + u.Host + u.Path
		}
		return strings.TrimRight(s, "/")
	}
	for known, entries := range all {
		if len(entries) > 0 && strings.EqualFold(plain(known), plain(issuer)) {
			return true
		}
	}
	return false
}
