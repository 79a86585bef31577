package gate

import (
	"context"
	"slices"
	"testing"
	"time"

	"casemate"
)

// TestPublicURLNeedsBothPermissions: of a URL that Lambda's API made, the exception opens the door alone; what may be done behind
// it the policy has to allow, twice, and it is told how the URL is open.
//
// Lambda checklist: 52
func TestPublicURLNeedsBothPermissions(t *testing.T) {
	for _, c := range []struct {
		url, call, managed, ok bool
	}{
		{true, true, true, true}, {true, false, true, false}, {false, true, true, false}, {false, false, true, false},
		{false, false, false, true}, // a manifest's exception stands in for what nobody allowed
	} {
		r := newRig()
		d := &deciding{verify: func(q *casemate.AccessRequest) casemate.Decision {
			if q.Context["lambda:functionurlauthtype"][0] != "NONE" || q.Context["lambda:invokedviafunctionurl"][0] != "true" {
				t.Errorf("decided on %v", q.Context)
			}
			if q.Action == "lambda:InvokeFunctionUrl" && c.url || q.Action == "lambda:InvokeFunction" && c.call {
				return casemate.Decision{Verdict: casemate.Allowed, Statement: q.Action}
			}
			return casemate.Decision{Layer: "default"}
		}}
		find := r.find
		r.find = func(e *casemate.Event) (*casemate.Match, error) {
			m, err := find(e)
			m.Policy, m.Action, m.Route.URL = d, "lambda:InvokeFunctionUrl", true
			m.Route.Auth = casemate.Auth{Open: &casemate.Exception{Reason: "test", Expires: noon.AddDate(0, 0, 1)}}
			if c.managed {
				m.Route.Managed, m.ObjectAction, m.Object = &casemate.ManagedURL{}, "lambda:InvokeFunction", m.Resource
			}
			return m, err
		}
		r.who = func(casemate.Credential) (*casemate.Principal, error) { return &casemate.Principal{}, nil }
		_, err := r.gate(t, nil).Handle(t.Context(), event())
		if (err == nil) != c.ok || slices.Contains(r.asked, "run") != c.ok || !c.ok && casemate.CodeOf(err) != casemate.Forbidden {
			t.Errorf("%+v: %v, asked %v", c, err, d.asked)
		}
	}
}

// TestCheckComesAfterThePolicy: who may not do what a request asks for is not told what is wrong with it.
func TestCheckComesAfterThePolicy(t *testing.T) {
	for _, allowed := range []bool{true, false} {
		r := newRig()
		find := r.find
		r.find = func(e *casemate.Event) (*casemate.Match, error) {
			m, err := find(e)
			m.Policy = &deciding{verify: func(*casemate.AccessRequest) casemate.Decision {
				if allowed {
					return casemate.Decision{Verdict: casemate.Allowed}
				}
				return casemate.Decision{Layer: "default"}
			}}
			return m, err
		}
		e := event()
		e.Check = func() error { return &casemate.Error{Code: casemate.Invalid, Message: "malformed"} }
		_, err := r.gate(t, nil).Handle(t.Context(), e)
		if want := map[bool]casemate.Code{true: casemate.Invalid, false: casemate.Forbidden}[allowed]; casemate.CodeOf(err) != want || slices.Contains(r.asked, "run") {
			t.Errorf("allowed %v: %v", allowed, err)
		}
	}
}

// TestUnsignedAtAURL: whoever sends no signature to a URL with AWS_IAM hears what AWS says, and nothing of the function.
//
// Lambda checklist: 51
func TestUnsignedAtAURL(t *testing.T) {
	for managed, want := range map[bool]casemate.Code{true: casemate.Forbidden, false: casemate.Unauthenticated} {
		r := newRig()
		find := r.find
		r.find = func(e *casemate.Event) (*casemate.Match, error) {
			m, err := find(e)
			m.Route.URL, m.Route.Auth = true, casemate.Auth{Kinds: []casemate.CredentialKind{casemate.CredentialAccess}}
			if managed {
				m.Route.Managed = &casemate.ManagedURL{}
			}
			return m, err
		}
		for _, known := range []bool{false, true} {
			r.who = func(casemate.Credential) (*casemate.Principal, error) {
				if known {
					return &casemate.Principal{Kind: casemate.KindKey, ID: "key/ck_1"}, nil
				}
				return &casemate.Principal{}, nil
			}
			if _, err := r.gate(t, nil).Handle(t.Context(), event()); casemate.CodeOf(err) != want || slices.Contains(r.asked, "run") {
				t.Errorf("managed %v, known %v: %v", managed, known, err)
			}
		}
	}
}

// TestAsyncByQualifier: how often an event is tried is what its qualifier was given, not what its version says.
func TestAsyncByQualifier(t *testing.T) {
	r, q := newRig(), &memQueue{}
	runs := 0
	r.runner = func(context.Context, *casemate.Launch) (*casemate.Result, error) {
		runs++
		return &casemate.Result{Failure: casemate.FailureHandled}, nil
	}
	find := r.find
	r.find = func(e *casemate.Event) (*casemate.Match, error) {
		m, err := find(e)
		m.Async = &casemate.AsyncPolicy{Retries: 0, MaxAge: time.Hour}
		return m, err
	}
	g := accept(t, r, q)
	q.drain(t, g, 10)
	if runs != 1 || len(q.delay) != 0 || len(q.dead) != 1 || q.dead[0].Condition != "RetriesExhausted" {
		t.Errorf("%d runs, delays %v, dead %+v", runs, q.delay, q.dead)
	}
}
