package gate

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"casemate"
)

// TestOnePeerHasOneRate: who has an IPv6 network has 2^64 addresses, each of which had a rate of its own.
func TestOnePeerHasOneRate(t *testing.T) {
	for _, c := range []struct{ a, b, key string }{
		{"2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"}, {"fe80::1%eth0", "fe80::2", "fe80::/64"},
		{"192.0.2.1", "192.0.2.1", "192.0.2.1"}, {"::ffff:192.0.2.1", "192.0.2.1", "192.0.2.1"},
	} {
		var sources, callers []string
		r := newRig()
		r.reserve = func(d casemate.Demand) error {
			if d.Source != "" {
				sources = append(sources, d.Source)
			} else {
				callers = append(callers, d.Principal)
			}
			return nil
		}
		r.who = func(casemate.Credential) (*casemate.Principal, error) { return &casemate.Principal{}, nil }
		find := r.find
		r.find = func(e *casemate.Event) (*casemate.Match, error) {
			m, err := find(e)
			m.Route.Auth.Open = &casemate.Exception{Reason: "test", Expires: noon.AddDate(0, 0, 1)}
			return m, err
		}
		g := r.gate(t, nil)
		for _, ip := range []string{c.a, c.b} {
			e := event()
			e.SourceIP, e.Credential, e.Body = ip, casemate.Credential{}, strings.NewReader("hi")
			if _, err := g.Handle(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(sources, []string{c.key, c.key}) || !slices.Equal(callers, []string{"anonymous@" + c.key, "anonymous@" + c.key}) {
			t.Errorf("%s and %s are counted as %q and %q", c.a, c.b, sources, callers)
		}
	}
}

// TestWhoseCredentialIsShut: one caller beyond its rate shuts the credential that it sent for all who send it, from anywhere. That must be
// one which stands for that caller alone: not a token of the function's own, and not what came beside the proof.
func TestWhoseCredentialIsShut(t *testing.T) {
	key, bearer := casemate.Credential{Kind: casemate.CredentialKey, Secret: "a"}, casemate.Credential{Kind: casemate.CredentialBearer, Secret: "a"}
	for _, c := range []struct {
		kind casemate.PrincipalKind
		cred casemate.Credential
		want bool
	}{
		{casemate.KindKey, key, true}, {casemate.KindToken, bearer, true}, {casemate.Nobody, bearer, false}, {casemate.Nobody, key, false},
		{casemate.KindAuthorizer, bearer, false}, {casemate.KindAuthorizer, key, false}, {casemate.KindWebhook, key, false}, {casemate.KindCertificate, bearer, false},
		{casemate.KindKey, bearer, false},
	} {
		r := newRig()
		p := casemate.Principal{Kind: c.kind}
		if c.kind != casemate.Nobody {
			p.ID = "somebody"
		}
		r.who = func(casemate.Credential) (*casemate.Principal, error) { return &p, nil }
		var asked []bool
		r.reserve = func(d casemate.Demand) error {
			if d.Source == "" {
				asked = append(asked, d.Alone)
			}
			return nil
		}
		find := r.find
		r.find = func(e *casemate.Event) (*casemate.Match, error) {
			m, err := find(e)
			m.Route.Auth.Open = &casemate.Exception{Reason: "test", Expires: noon.AddDate(0, 0, 1)}
			return m, err
		}
		e := event()
		e.Credential, e.SourceIP = c.cred, "192.0.2.1"
		if _, err := r.gate(t, nil).Handle(t.Context(), e); err != nil || !slices.Equal(asked, []bool{c.want}) {
			t.Errorf("%q by %v: alone %v, %v", c.kind, c.cred, asked, err)
		}
	}
}

// TestGHSA_3g33_6vg6_27m8_NobodyLearnsNames: without a credential a name that exists and one that does not are told
// apart by nothing.
func TestGHSA_3g33_6vg6_27m8_NobodyLearnsNames(t *testing.T) {
	for _, target := range []casemate.Target{{Function: "f"}, {Builtin: "state"}} {
		r := newRig()
		r.who = func(casemate.Credential) (*casemate.Principal, error) { return &casemate.Principal{}, nil }
		e := event()
		e.Target, e.Source = target, casemate.SourceAdmin
		_, err := r.gate(t, nil).Handle(t.Context(), e)
		if casemate.CodeOf(err) != casemate.Unauthenticated || slices.Contains(r.asked, "what") || len(r.closed) != 1 {
			t.Errorf("%+v: %v after %v, %d records", target, err, r.asked, len(r.closed))
		}
	}
}

// TestRecordHoldsNothingOfARefusedBody: the names in a body are the caller's text as much as its values, a person's
// address as the key of a map for one.
func TestRecordHoldsNothingOfARefusedBody(t *testing.T) {
	r := newRig()
	r.clean = func([]byte) ([]byte, error) {
		return nil, &casemate.Error{Code: casemate.Invalid, Field: "/canary@example.com", Rule: "unknown member",
			Message: "the body breaks its contract: /canary@example.com: unknown member"}
	}
	if _, err := r.gate(t, nil).Handle(t.Context(), event()); casemate.AsError(err).Field != "/canary@example.com" {
		t.Errorf("the caller does not learn where: %v", err)
	}
	text := fmt.Sprintf("%+v", r.closed)
	if strings.Contains(text, "canary") || !strings.Contains(text, "unknown member") {
		t.Error(text)
	}
}
