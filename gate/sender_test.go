package gate

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"casemate"
)

// sender is a rig whose caller proves itself by the body: "hi" is signed, nothing else is.
func sender(r *rig, done *[]bool) {
	r.who = func(casemate.Credential) (*casemate.Principal, error) {
		p := &casemate.Principal{Kind: casemate.KindWebhook, ID: "webhook/app/hook", Account: "1", Role: "hook"}
		p.Body = func(raw []byte) error {
			r.ask("signature")
			if string(raw) != "hi" {
				return &casemate.Error{Code: casemate.Unauthenticated, Message: "the signature is not valid"}
			}
			return nil
		}
		p.Done = func(ok bool) { *done = append(*done, ok) }
		return p, nil
	}
	find := r.find
	r.find = func(e *casemate.Event) (*casemate.Match, error) {
		m, err := find(e)
		m.Route = &casemate.Route{ID: "POST /x", App: "app", Auth: casemate.Auth{Kinds: []casemate.CredentialKind{casemate.CredentialWebhook}}}
		return m, err
	}
}

func hookEvent(body string) *casemate.Event {
	e := event()
	e.Credential, e.Body, e.Size = casemate.Credential{}, strings.NewReader(body), int64(len(body))
	return e
}

// A sender is nobody until its body is accepted, which is before anything looks into the body; it is told what came of it.
func TestSendersProveThemselvesByTheBody(t *testing.T) {
	r, done := newRig(), []bool{}
	sender(r, &done)
	if _, err := r.gate(t, nil).Handle(t.Context(), hookEvent("hi")); err != nil {
		t.Fatal(err)
	}
	if i, j, k := slices.Index(r.asked, "signature"), slices.Index(r.asked, "form"), slices.Index(r.asked, "run"); i < 0 || i > j || j > k || !slices.Equal(done, []bool{true}) {
		t.Errorf("%v, done %v", r.asked, done)
	}
	for name, x := range map[string]struct {
		body   string
		change func(r *rig)
		done   []bool
	}{
		"another body": {"ho", nil, nil},
		"refused form": {"hi", func(r *rig) { r.clean = func([]byte) ([]byte, error) { return nil, errors.New("no") } }, []bool{false}},
		"no right":     {"hi", func(r *rig) { r.decision = casemate.Decision{} }, nil},
		"no room":      {"hi", func(r *rig) { r.reserve = func(d casemate.Demand) error { return errors.New("no") } }, nil},
		"failed run":   {"hi", func(r *rig) { r.runner = fails }, []bool{false}},
		"broken run": {"hi", func(r *rig) {
			r.runner = func(context.Context, *casemate.Launch) (*casemate.Result, error) { return nil, errors.New("no") }
		}, []bool{false}},
		"panicking run": {"hi", func(r *rig) {
			r.runner = func(context.Context, *casemate.Launch) (*casemate.Result, error) { panic("no") }
		}, []bool{false}},
	} {
		r, done := newRig(), []bool(nil)
		sender(r, &done)
		if x.change != nil {
			x.change(r)
		}
		res, err := r.gate(t, nil).Handle(t.Context(), hookEvent(x.body))
		if err == nil && res.Failure == casemate.FailureNone {
			t.Errorf("%s: taken", name)
		}
		if !slices.Equal(done, x.done) {
			t.Errorf("%s: told %v", name, done)
		}
		if x.done == nil && slices.Contains(r.asked, "form") {
			t.Errorf("%s: the body was looked into", name)
		}
	}
}

func fails(context.Context, *casemate.Launch) (*casemate.Result, error) {
	return &casemate.Result{Failure: casemate.FailureHandled}, nil
}

// What a queue accepted counts as taken: the message is not to come again.
func TestQueuedMessagesAreTaken(t *testing.T) {
	r, done := newRig(), []bool{}
	sender(r, &done)
	e := hookEvent("hi")
	e.Async = true
	if res, err := r.gate(t, &memQueue{}).Handle(t.Context(), e); err != nil || !res.Accepted || !slices.Equal(done, []bool{true}) {
		t.Errorf("%+v, %v, told %v", res, err, done)
	}
}

// Who is not proven yet uses up the rate of its own network, not the sender's: a forger cannot shut a sender out.
func TestForgersUseUpTheirOwnRate(t *testing.T) {
	r, done := newRig(), []bool{}
	sender(r, &done)
	var names []string
	r.reserve = func(d casemate.Demand) error { names = append(names, d.Principal); return nil }
	for _, ip := range []string{"192.0.2.1", "2001:db8::1"} {
		e := hookEvent("ho")
		e.SourceIP = ip
		if _, err := r.gate(t, nil).Handle(t.Context(), e); err == nil {
			t.Fatal("taken")
		}
	}
	if !slices.Contains(names, "webhook/app/hook@192.0.2.1") || !slices.Contains(names, "webhook/app/hook@2001:db8::/64") || slices.Contains(names, "webhook/app/hook") {
		t.Error(names)
	}
}

// A forger whose body never ends holds no place of the function, and a sender that finds no room there may come again.
func TestForgersHoldNoPlaces(t *testing.T) {
	r, done := newRig(), []bool{}
	sender(r, &done)
	var demands []casemate.Demand
	r.reserve = func(d casemate.Demand) error { demands = append(demands, d); return nil }
	if _, err := r.gate(t, nil).Handle(t.Context(), hookEvent("ho")); err == nil {
		t.Fatal("taken")
	}
	for _, d := range demands {
		if d.Function != "" && !strings.HasPrefix(d.Function, "unproven webhook/") || d.Account != "" {
			t.Errorf("a forger held %+v", d)
		}
	}
	if last := demands[len(demands)-1]; last.Concurrency != unprovenPlaces || !strings.HasSuffix(last.Function, "@127.0.0.1") || r.settled != 1 {
		t.Errorf("%+v, %d given back", last, r.settled)
	}
	r.reserve = func(d casemate.Demand) error {
		if d.Function != "" && !strings.HasPrefix(d.Function, "unproven ") {
			return &casemate.Error{Code: casemate.Exhausted}
		}
		return nil
	}
	if _, err := r.gate(t, nil).Handle(t.Context(), hookEvent("hi")); casemate.CodeOf(err) != casemate.Exhausted || !slices.Equal(done, []bool{false}) {
		t.Errorf("%v, told %v", err, done)
	}
}

// Senders and authorizers come in where the route says so and nowhere else.
func TestRoutesTakeTheirSendersAlone(t *testing.T) {
	for _, x := range []struct {
		kind casemate.PrincipalKind
		sent casemate.CredentialKind
		take casemate.CredentialKind
		ok   bool
	}{
		{casemate.KindWebhook, casemate.CredentialNone, casemate.CredentialWebhook, true},
		{casemate.KindWebhook, casemate.CredentialBearer, casemate.CredentialWebhook, true},
		{casemate.KindWebhook, casemate.CredentialKey, casemate.CredentialKey, false},
		{casemate.KindWebhook, casemate.CredentialWebhook, casemate.CredentialAuthorizer, false},
		{casemate.KindAuthorizer, casemate.CredentialBearer, casemate.CredentialAuthorizer, true},
		{casemate.KindAuthorizer, casemate.CredentialBearer, casemate.CredentialBearer, false},
		{casemate.KindKey, casemate.CredentialKey, casemate.CredentialWebhook, false},
		{casemate.KindToken, casemate.CredentialBearer, casemate.CredentialAuthorizer, false},
	} {
		r := newRig()
		r.who = func(casemate.Credential) (*casemate.Principal, error) {
			return &casemate.Principal{Kind: x.kind, ID: "x", Account: "1", Role: "hook"}, nil
		}
		find := r.find
		r.find = func(e *casemate.Event) (*casemate.Match, error) {
			m, err := find(e)
			m.Route = &casemate.Route{ID: "POST /x", App: "app", Auth: casemate.Auth{Kinds: []casemate.CredentialKind{x.take}}}
			return m, err
		}
		e := event()
		e.Credential = casemate.Credential{Kind: x.sent}
		if _, err := r.gate(t, nil).Handle(t.Context(), e); (err == nil) != x.ok {
			t.Errorf("%s by %q where %q is taken: %v", x.kind, x.sent, x.take, err)
		}
	}
}

// The node's own question about an event does not knock again, and takes the rate of the network it is about.
func TestQuestionsAboutAnEvent(t *testing.T) {
	r := newRig()
	var all []casemate.Demand
	r.reserve = func(d casemate.Demand) error { all = append(all, d); return nil }
	find := r.find
	r.find = func(e *casemate.Event) (*casemate.Match, error) {
		m, err := find(e)
		m.Route = nil
		return m, err
	}
	e := &casemate.Event{Source: casemate.SourceAuthorizer, SourceIP: "192.0.2.1", Target: casemate.Target{Function: "warden"}, Payload: []byte("{}"),
		Credential: casemate.Credential{Kind: casemate.CredentialRun, As: &casemate.Principal{Kind: casemate.KindAuthorizer, ID: "authorizer/app/x"}}}
	r.who = func(c casemate.Credential) (*casemate.Principal, error) { return c.As, nil }
	if _, err := r.gate(t, nil).Handle(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if len(all) != 1 || all[0].Source != "" || all[0].Principal != "authorizer/app/x@192.0.2.1" {
		t.Errorf("%+v", all)
	}
}
