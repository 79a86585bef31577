package authn

import (
	"context"
	"encoding/base64"
	"maps"
	"net/http"
	"testing"

	"casemate"
)

// strangers stands for the rooms that a route names.
type strangers struct {
	asked string
	sent  bool
	told  map[string]string // headers
}

func (s *strangers) Sent(*casemate.Webhook, *casemate.Event) bool { return s.sent }

type hooks struct{ *strangers }

func (s hooks) Verify(context.Context, *casemate.Event, *casemate.Webhook) (*casemate.Principal, error) {
	s.asked += "webhook "
	return &casemate.Principal{Kind: casemate.KindWebhook, ID: "webhook/shop/hook"}, nil
}

type wardens struct{ *strangers }

func (s wardens) Verify(_ context.Context, e *casemate.Event, _ *casemate.Match, _ *casemate.Authorizer) (*casemate.Principal, error) {
	s.asked += "authorizer "
	if e.Headers != nil {
		s.told = maps.Collect(e.Headers)
	}
	return &casemate.Principal{Kind: casemate.KindAuthorizer, ID: "authorizer/shop/x|ada"}, nil
}

// Who looks at what: a credential that the route takes is looked at as what it is and by nobody else, so that a bad one is
// not good after all to somebody laxer.
func TestWhoLooksAtACredential(t *testing.T) {
	const key, jwt, hook, lambda = casemate.CredentialKey, casemate.CredentialBearer, casemate.CredentialWebhook, casemate.CredentialAuthorizer
	c, s := newClock(), newECSigner(t, "k1")
	id := tokenIdentity(t, c, entry(t, s))
	good := s.sign(t, s.head(), c.claims(nil))
	kinds := func(k ...casemate.CredentialKind) []casemate.CredentialKind { return k }
	for _, x := range []struct {
		name  string
		takes []casemate.CredentialKind
		sent  casemate.Credential
		sig   bool
		asked string
		known bool // somebody at all came of it
	}{
		{"nothing, where a webhook is taken", kinds(hook), casemate.Credential{}, false, "webhook ", true},
		{"a signature", kinds(hook), casemate.Credential{}, true, "webhook ", true},
		{"a signature beside a token that is not taken", kinds(hook), casemate.Credential{Kind: jwt, Secret: good}, true, "webhook ", true},
		{"a token where both are taken", kinds(jwt, hook), casemate.Credential{Kind: jwt, Secret: good}, true, "", true},
		{"a bad token where both are taken", kinds(jwt, hook), casemate.Credential{Kind: jwt, Secret: good + "x"}, true, "", false},
		{"a bad token where an authorizer is asked as well", kinds(jwt, lambda), casemate.Credential{Kind: jwt, Secret: "x"}, false, "", false},
		{"a token where an authorizer alone is asked", kinds(lambda), casemate.Credential{Kind: jwt, Secret: good}, false, "authorizer ", true},
		{"another credential", kinds(lambda), casemate.Credential{Kind: lambda}, false, "authorizer ", true},
		{"another credential where keys are taken", kinds(key), casemate.Credential{Kind: lambda}, false, "", false},
		{"another credential where nobody is asked", kinds(), casemate.Credential{Kind: lambda}, false, "", false},
		{"a made-up kind", kinds(key), casemate.Credential{Kind: hook}, false, "", false},
		{"both, with a signature", kinds(hook, lambda), casemate.Credential{}, true, "webhook ", true},
		{"both, without", kinds(hook, lambda), casemate.Credential{}, false, "authorizer ", true},
		{"nothing where keys are taken", kinds(key), casemate.Credential{}, true, "", false},
	} {
		o := &strangers{sent: x.sig}
		a := casemate.Auth{Kinds: x.takes}
		for _, k := range x.takes {
			switch k {
			case hook:
				a.Webhook = &casemate.Webhook{App: "shop", Name: "hook"}
			case lambda:
				a.Authorizer = &casemate.Authorizer{App: "shop", Name: "x"}
			}
		}
		r := &Routed{Identity: id, Webhooks: hooks{o}, Authorizers: wardens{o}}
		m := &casemate.Match{Route: &casemate.Route{Auth: a}}
		p, err := r.Verify(t.Context(), &casemate.Event{Credential: x.sent}, m)
		if o.asked != x.asked || (err == nil && p.Known()) != x.known {
			t.Errorf("%s: asked %q, %+v, %v", x.name, o.asked, p, err)
		}
		for _, e := range []*casemate.Event{{Credential: casemate.Credential{Kind: hook}}, {Credential: casemate.Credential{Kind: lambda}}} { // without a route, or a room
			if p, err := r.Verify(t.Context(), e, nil); err == nil {
				t.Errorf("%s: %q without a route is %+v", x.name, e.Credential.Kind, p)
			}
			if p, err := (&Routed{Identity: id}).Verify(t.Context(), e, m); err == nil {
				t.Errorf("%s: %q without a room is %+v", x.name, e.Credential.Kind, p)
			}
		}
	}
}

// Applications send their key to every route. A function that is asked who is calling gets no key of the platform's, unless it goes by it.
func TestAuthorizersGetNoKey(t *testing.T) {
	_, mine := newSecret()
	c, s := newClock(), newECSigner(t, "k1")
	token := s.sign(t, s.head(), c.claims(nil))
	in := func(place, name string) casemate.IdentitySource {
		return casemate.IdentitySource{In: place, Name: name}
	}
	for _, x := range []struct {
		auth, key       string
		source          casemate.IdentitySource
		toldAuth, toldK bool
	}{
		{"Bearer abc", mine, in("header", "authorization"), true, false},
		{"Bearer abc", mine, in("query", "x-api-key"), true, false},
		{"Bearer abc", mine, in("header", "x-api-key"), true, true},
		{"Bearer abc", "abc", in("header", "authorization"), true, true},
		{"Bearer " + mine, "abc", in("header", "x-tenant"), false, true},
		{"Basic " + base64.StdEncoding.EncodeToString([]byte("x:"+mine)), mine, in("query", "authorization"), false, false},
		{"Bearer " + mine, mine, in("header", "authorization"), true, false},
		{"Bearer " + token, token, in("header", "x-tenant"), true, false},
	} {
		h := map[string]string{"X-Api-Key": x.key, "Authorization": x.auth}
		e := &casemate.Event{Credential: casemate.Credential{Kind: casemate.CredentialKey, Secret: x.key, Beside: "authorization"}, Headers: maps.All(h),
			Header: func(name string) []string { return []string{h[http.CanonicalHeaderKey(name)]} }}
		o := &strangers{}
		m := &casemate.Match{Route: &casemate.Route{Auth: casemate.Auth{Kinds: []casemate.CredentialKind{casemate.CredentialAuthorizer},
			Authorizer: &casemate.Authorizer{App: "shop", Name: "x", Identity: []casemate.IdentitySource{x.source}}}}}
		_, err := (&Routed{Identity: tokenIdentity(t, c, entry(t, s)), Authorizers: wardens{o}}).Verify(t.Context(), e, m)
		_, toldAuth := o.told["Authorization"]
		if _, toldK := o.told["X-Api-Key"]; err != nil || toldK != x.toldK || toldAuth != x.toldAuth {
			t.Errorf("%.12q by %+v: told %v and %v, %v", x.auth, x.source, toldAuth, toldK, err)
		}
	}
}

// Where nobody has to prove anything, a credential that is not the platform's is the function's own affair, and who sends it is nobody.
// One of the platform's own never turns into nobody's.
func TestStrangeCredentialsOnOpenRoutes(t *testing.T) {
	const key, jwt, lambda = casemate.CredentialKey, casemate.CredentialBearer, casemate.CredentialAuthorizer
	c, s := newClock(), newECSigner(t, "k1")
	id := tokenIdentity(t, c, entry(t, s))
	good := s.sign(t, s.head(), c.claims(nil))
	over := s.sign(t, s.head(), c.claims(map[string]any{"exp": c.Now().Unix() - 1}))
	foreign := s.sign(t, s.head(), c.claims(map[string]any{"iss": "https://elsewhere.example/"}))
	open := casemate.Auth{Open: &casemate.Exception{Reason: "a shop", Expires: c.Now().AddDate(0, 0, 1)}}
	taking := open
	taking.Kinds = []casemate.CredentialKind{key}
	for _, x := range []struct {
		name        string
		sent        casemate.Credential
		known, pass bool
	}{
		{"nothing", casemate.Credential{}, false, true},
		{"Basic", casemate.Credential{Kind: lambda}, false, true},
		{"a key of the function's", casemate.Credential{Kind: key, Secret: "abc"}, false, true},
		{"a word", casemate.Credential{Kind: jwt, Secret: "abc"}, false, true},
		{"a token of an issuer that is not trusted", casemate.Credential{Kind: jwt, Secret: foreign}, false, true},
		{"a word, and what came beside it unseen", casemate.Credential{Kind: jwt, Secret: "abc", Beside: "x-api-key"}, false, false},
		{"a token of one that is", casemate.Credential{Kind: jwt, Secret: good}, true, true},
		{"one that is over", casemate.Credential{Kind: jwt, Secret: over}, false, false},
		{"one that was changed", casemate.Credential{Kind: jwt, Secret: good + "x"}, false, false},
		{"a key of ours that does not hold", casemate.Credential{Kind: key, Secret: "ck_abc"}, false, false},
		{"a signature", casemate.Credential{Kind: casemate.CredentialAccess}, false, false},
		{"an operator's session", casemate.Credential{Kind: casemate.CredentialSession, Secret: "abc"}, false, false},
	} {
		r := &Routed{Identity: id}
		p, err := r.Verify(t.Context(), &casemate.Event{Credential: x.sent}, &casemate.Match{Route: &casemate.Route{Auth: open}})
		if (err == nil) != x.pass || p.Known() != x.known {
			t.Errorf("%s: %+v, %v", x.name, p, err)
		}
		if p, err := r.Verify(t.Context(), &casemate.Event{Credential: x.sent}, &casemate.Match{Route: &casemate.Route{Auth: taking}}); x.name != "nothing" && err == nil && !p.Known() {
			t.Errorf("%s, where keys are taken: nobody's", x.name)
		}
	}
}

// What was queued in somebody's name goes with them.
func TestQueuedEventsOfSendersThatWent(t *testing.T) {
	id := tokenIdentity(t, newClock())
	hook := &casemate.Principal{Kind: casemate.KindWebhook, ID: "webhook/shop/hook", Role: "hook"}
	ada := &casemate.Principal{Kind: casemate.KindAuthorizer, ID: "authorizer/shop/x|ada", Role: "member", Tags: map[string]string{"authorizer": "authorizer/shop/x"}}
	whole := casemate.Auth{Webhook: &casemate.Webhook{App: "shop", Name: "hook", Role: "hook"}, Authorizer: &casemate.Authorizer{App: "shop", Name: "x", Role: "member"}}
	for _, x := range []struct {
		name string
		auth casemate.Auth
		as   *casemate.Principal
		ok   bool
	}{
		{"webhook", whole, hook, true}, {"authorizer", whole, ada, true},
		{"no webhook any more", casemate.Auth{Authorizer: whole.Authorizer}, hook, false},
		{"no authorizer any more", casemate.Auth{Webhook: whole.Webhook}, ada, false},
		{"another webhook", casemate.Auth{Webhook: &casemate.Webhook{App: "shop", Name: "other", Role: "hook"}}, hook, false},
		{"another role", casemate.Auth{Webhook: &casemate.Webhook{App: "shop", Name: "hook", Role: "less"}}, hook, false},
		{"authorizer with another role", casemate.Auth{Authorizer: &casemate.Authorizer{App: "shop", Name: "x", Role: "less"}}, ada, false},
	} {
		m := &casemate.Match{Route: &casemate.Route{Auth: x.auth}}
		_, err := (&Routed{Identity: id}).Verify(t.Context(), &casemate.Event{Credential: casemate.Credential{Kind: casemate.CredentialRun, As: x.as}}, m)
		if (err == nil) != x.ok {
			t.Errorf("%s: %v", x.name, err)
		}
	}
}
