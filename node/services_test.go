package node

import (
	"context"
	"strings"
	"testing"
	"time"

	"casemate"
)

// decider gives one decision.
type decider struct{ casemate.Decision }

func (d decider) Decide(*casemate.AccessRequest) casemate.Decision { return d.Decision }

func serviceDirectory(d casemate.Decision) *directory {
	dir := &directory{place: casemate.DefaultPlace, policy: func() (casemate.Decider, string) { return decider{d}, "p" },
		builtins: map[string]builtin{"keys.list": {action: "casemate:ListKeys", kind: "key"}}, services: (&node{}).operations()}
	dir.services["kms.Echo"] = &casemate.Operation{Service: "kms", Name: "Echo", Action: "kms:Echo", Body: 8,
		Resource: func(_ casemate.Place, body []byte) (string, error) {
			if len(body) == 0 {
				return "", &casemate.Error{Code: casemate.Invalid, Message: "which?", AWS: "ValidationException"}
			}
			return "arn:" + string(body), nil
		},
		Run: func(_ context.Context, l *casemate.Launch) (any, error) { return noted{string(l.Payload)}, nil }}
	return dir
}

type noted struct{ Echo string }

func (n noted) Effects() []casemate.Effect {
	return []casemate.Effect{{Kind: casemate.EffectService, Target: "noted " + n.Echo}}
}

func TestServicesAreReachedByFunctionsAndOperatorsAlone(t *testing.T) {
	d := serviceDirectory(casemate.Decision{})
	for _, c := range []struct {
		source casemate.Source
		name   string
		code   casemate.Code // Fault: found
	}{
		{casemate.SourceRun, "kms.Echo", casemate.Fault}, {casemate.SourceAdmin, "kms.Echo", casemate.Fault}, {casemate.SourceRun, "sts.GetCallerIdentity", casemate.Fault},
		{casemate.SourceRun, "keys.list", casemate.Forbidden}, // an operation of the platform is not a service
		{casemate.SourceRun, "sts.GetFederationToken", casemate.Forbidden}, {casemate.SourceRun, "s3.GetObject", casemate.Forbidden}, {casemate.SourceRun, ".", casemate.Forbidden},
		{casemate.SourceAdmin, "keys.list", casemate.Fault}, {casemate.SourceAdmin, "s3.GetObject", casemate.NotFound},
		{casemate.SourceHTTP, "kms.Echo", casemate.NotFound}, {casemate.SourceURL, "kms.Echo", casemate.NotFound},
		{casemate.SourceAsync, "kms.Echo", casemate.NotFound}, {"", "kms.Echo", casemate.NotFound},
	} {
		m, err := d.Resolve(&casemate.Event{Source: c.source, Target: casemate.Target{Builtin: c.name}, Payload: []byte("k")})
		if casemate.CodeOf(err) != c.code || (err == nil) != (m != nil) {
			t.Errorf("%s from %q: %+v, %v", c.name, c.source, m, err)
		}
	}
}

// TestThePolicyDecidesOnWhatTheBodyNames: whoever sends it, and however.
func TestThePolicyDecidesOnWhatTheBodyNames(t *testing.T) {
	d := serviceDirectory(casemate.Decision{})
	streamed := &casemate.Event{Source: casemate.SourceAdmin, Target: casemate.Target{Builtin: "kms.Echo"}, Resource: "arn:another", Body: strings.NewReader("k1"), Size: -1}
	for _, e := range []*casemate.Event{streamed, {Source: casemate.SourceRun, Target: casemate.Target{Builtin: "kms.Echo"}, Resource: "arn:another", Payload: []byte("k1")}} {
		m, err := d.Resolve(e)
		if err != nil || m.Resource != "arn:k1" || m.Action != "kms:Echo" || m.Version.Limits.Request != 8 || string(e.Payload) != "k1" || e.Body != nil {
			t.Errorf("%+v, %v", m, err)
		}
	}
	for name, e := range map[string]*casemate.Event{
		"nothing": {}, "too much": {Body: strings.NewReader("123456789")}, "encoded": {Payload: []byte("k"), ContentEncoding: "gzip"},
	} {
		e.Source, e.Target.Builtin = casemate.SourceAdmin, "kms.Echo"
		if m, err := d.Resolve(e); err == nil {
			t.Errorf("%s: %+v", name, m)
		}
	}
	res, err := d.run(t.Context(), &casemate.Launch{Version: &casemate.Version{Function: "kms.Echo"}, Event: &casemate.Event{}, Payload: []byte("k1"), Deadline: time.Now().Add(time.Minute)})
	if err != nil || string(res.Payload) != `{"Echo":"k1"}` || len(res.Effects) != 1 || res.Effects[0].Target != "noted k1" {
		t.Errorf("%+v, %v", res, err)
	}
}

// TestWhoAmINeedsNoGrant: and yet a statement that denies it holds.
func TestWhoAmINeedsNoGrant(t *testing.T) {
	for _, c := range []struct {
		name string
		in   casemate.Decision
		want casemate.Verdict
	}{
		{"sts.GetCallerIdentity", casemate.Decision{Layer: "default"}, casemate.Allowed},
		{"sts.GetCallerIdentity", casemate.Decision{Layer: "guardrail"}, casemate.Denied},
		{"sts.GetCallerIdentity", casemate.Decision{Layer: "identity", Statement: "no"}, casemate.Denied},
		{"sts.GetCallerIdentity", casemate.Decision{Verdict: casemate.Allowed, Layer: "identity"}, casemate.Allowed},
		{"kms.Echo", casemate.Decision{Layer: "default"}, casemate.Denied},
	} {
		m, err := serviceDirectory(c.in).Resolve(&casemate.Event{Source: casemate.SourceRun, Target: casemate.Target{Builtin: c.name}, Payload: []byte("k")})
		if err != nil || m.Policy.Decide(&casemate.AccessRequest{}).Verdict != c.want {
			t.Errorf("%s after %+v: %v", c.name, c.in, err)
		}
	}
	d := serviceDirectory(casemate.Decision{})
	d.policy = func() (casemate.Decider, string) { return nil, "" }
	if m, err := d.Resolve(&casemate.Event{Source: casemate.SourceRun, Target: casemate.Target{Builtin: "sts.GetCallerIdentity"}}); err != nil || m.Policy != nil {
		t.Errorf("no policy became one: %+v, %v", m, err)
	}
}
