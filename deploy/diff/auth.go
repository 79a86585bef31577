package diff

import (
	"slices"
	"strings"
	"time"

	"casemate"
)

func (c *comparer) issuers(was, is []casemate.Issuer) {
	index := func(l []casemate.Issuer) map[string]string {
		m := map[string]string{}
		for _, i := range l {
			m[i.Issuer] += Text(i)
		}
		return m
	}
	old, fresh := index(was), index(is)
	for _, name := range union(old, fresh) {
		switch {
		case old[name] == "":
			c.say(KindPermission, "add", "issuer "+name, true, "its tokens are taken")
		case fresh[name] == "":
			c.say(KindPermission, "remove", "issuer "+name, false, "its tokens are taken no more")
		case old[name] != fresh[name]:
			c.say(KindPermission, "change", "issuer "+name, true, "its keys, algorithms, audience or roles are others")
		}
	}
}

// auth says who gets in, or does not any more: a permission, wherever it is written.
func (c *comparer) auth(k string, was, is casemate.Auth) {
	for _, kind := range is.Kinds {
		if !slices.Contains(was.Kinds, kind) {
			c.say(KindPermission, "add", k, len(was.Kinds) > 0, "takes %s", withArticle(credentialText(kind)))
		}
	}
	for _, kind := range was.Kinds {
		if !slices.Contains(is.Kinds, kind) {
			c.say(KindPermission, "remove", k, false, "takes no %s any more", credentialText(kind))
		}
	}
	switch {
	case is.Open != nil && (was.Open == nil || !was.Open.Expires.Equal(is.Open.Expires) || was.Open.Reason != is.Open.Reason):
		c.say(KindPermission, "add", k, was.Open == nil || is.Open.Expires.After(was.Open.Expires), "open to everybody until %s: %s", is.Open.Expires.Format(time.DateOnly), is.Open.Reason)
	case is.Open == nil && was.Open != nil:
		c.say(KindPermission, "remove", k, false, "open to everybody no more")
	}
}

// withArticle is a noun with a or an, by its first letter.
func withArticle(noun string) string {
	if noun != "" && strings.Contains("aeiou", noun[:1]) {
		return "an " + noun
	}
	return "a " + noun
}

func credentialText(k casemate.CredentialKind) string {
	if k == casemate.CredentialBearer {
		return "token"
	}
	if k == casemate.CredentialAccess {
		return "signature of AWS (sigv4)"
	}
	return string(k)
}

// asked tells what a route newly asks of tokens, which sender it takes and whom it asks. Every change of a sender or an
// authorizer can let somebody in.
func (c *comparer) asked(k string, was, is casemate.Auth) {
	var old, fresh casemate.TokenRule
	if was.Token != nil {
		old = *was.Token
	}
	if is.Token != nil {
		fresh = *is.Token
	}
	if Text(old) != Text(fresh) && slices.Contains(is.Kinds, casemate.CredentialBearer) {
		gone := func(was, is []string) bool {
			return slices.ContainsFunc(was, func(s string) bool { return !slices.Contains(is, s) })
		}
		wider := gone(old.Scopes, fresh.Scopes) || len(old.Audience) > 0 && (len(fresh.Audience) == 0 || gone(fresh.Audience, old.Audience))
		c.say(KindPermission, "change", k, wider, "a token needs scopes [%s], audience [%s]", strings.Join(fresh.Scopes, ", "), strings.Join(fresh.Audience, ", "))
	}
	if w := is.Webhook; w != nil && Text(w) != Text(was.Webhook) {
		c.say(KindPermission, "change", k, true, "takes webhook %s: %s, signed with %s, as role %s", w.Name, w.Scheme, strings.Join(w.Secrets, ", "), w.Role)
	}
	if x := is.Certificate; x != nil && Text(x) != Text(was.Certificate) {
		c.say(KindPermission, "change", k, true, "takes client certificates by rule %s, as role %s", x.Name, x.Role)
	}
	if x := is.Authorizer; x != nil && Text(x) != Text(was.Authorizer) {
		c.say(KindPermission, "change", k, true, "asks function %s who is calling, as role %s, and remembers it %s", x.Function, x.Role, x.TTL)
	}
}
