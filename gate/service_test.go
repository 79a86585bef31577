package gate

import (
	"encoding/json"
	"testing"

	"casemate"
)

// serviceRig is a corridor in which a function calls a service.
func serviceRig() (*rig, *casemate.Event) {
	r := newRig()
	r.who = func(casemate.Credential) (*casemate.Principal, error) {
		return &casemate.Principal{Kind: casemate.KindRun, ID: "function/f", Account: "1", Role: "function/f"}, nil
	}
	v := &casemate.Version{App: "casemate", Function: "kms.Echo", ARN: "arn:op", Account: "1", Runtime: "builtin", Limits: casemate.DefaultLimits()}
	r.find = func(*casemate.Event) (*casemate.Match, error) {
		return &casemate.Match{Version: v, Action: "kms:Echo", Resource: "arn:k", Policy: r}, nil
	}
	return r, &casemate.Event{ID: "e2", Parent: "e1", Chain: "e0", Depth: 1, Source: casemate.SourceRun, Target: casemate.Target{Builtin: "kms.Echo"}, Payload: []byte("{}"),
		Credential: casemate.Credential{Kind: casemate.CredentialSigned, Signed: &casemate.Signed{}}}
}

func TestServiceCallsPassTheWholeCorridor(t *testing.T) {
	r, e := serviceRig()
	var asked casemate.Demand
	r.reserve = func(d casemate.Demand) error { asked = d; return nil }
	res, err := r.gate(t, nil).Handle(t.Context(), e)
	if err != nil || string(res.Payload) != "got {}" {
		t.Fatalf("%+v %v", res, err)
	}
	if asked.Principal != "function/f" || asked.Route != "services" || asked.Function != "" { // a rate, and no place among the runs
		t.Errorf("asked for %+v", asked)
	}
	rec := r.closed[0]
	if rec.Parent != "e1" || rec.Chain != "e0" || rec.Source != casemate.SourceRun || rec.Principal != "function/f" || rec.Action != "kms:Echo" || rec.Resource != "arn:k" || !rec.Outcome.OK {
		t.Errorf("%+v", rec)
	}
}

// TestFunctionsComeByTheirOwnDoor: a signature elsewhere, or anything else at the door, is refused whoever it verifies as.
func TestFunctionsComeByTheirOwnDoor(t *testing.T) {
	for name, change := range map[string]func(*casemate.Event){
		"a signature on a route":         func(e *casemate.Event) { e.Source = casemate.SourceHTTP },
		"a signature at the admin API":   func(e *casemate.Event) { e.Source = casemate.SourceAdmin },
		"a signature from the queue":     func(e *casemate.Event) { e.Source = casemate.SourceAsync },
		"a key at the door":              func(e *casemate.Event) { e.Credential.Kind = casemate.CredentialKey },
		"a peer at the door":             func(e *casemate.Event) { e.Credential.Kind = casemate.CredentialPeer },
		"a continued event at the door":  func(e *casemate.Event) { e.Credential.Kind = casemate.CredentialRun },
		"nothing at the door":            func(e *casemate.Event) { e.Credential.Kind = casemate.CredentialNone },
		"a route, asked for at the door": func(e *casemate.Event) { e.Target = casemate.Target{Path: "/x", Method: "POST"} },
	} {
		r, e := serviceRig()
		change(e)
		if _, err := r.gate(t, nil).Handle(t.Context(), e); casemate.CodeOf(err) != casemate.Unauthenticated || len(r.closed) != 1 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLoopsOfFunctionsEnd: at the depth that AWS Lambda ends them at, queued or not.
func TestLoopsOfFunctionsEnd(t *testing.T) {
	for depth, ok := range map[int]bool{1: true, casemate.MaxDepth: true, casemate.MaxDepth + 1: false} {
		r, e := serviceRig()
		e.Depth = depth
		_, err := r.gate(t, nil).Handle(t.Context(), e)
		if (err == nil) != ok || err != nil && casemate.AsError(err).AWS != "RecursiveInvocationException" {
			t.Errorf("depth %d: %v", depth, err)
		}
	}
	r, e := serviceRig()
	v := &casemate.Version{App: "app", Function: "f", ARN: "arn:f", Account: "1", Runtime: "wasm", Limits: casemate.DefaultLimits()}
	r.find = func(*casemate.Event) (*casemate.Match, error) { return &casemate.Match{Version: v, Policy: r}, nil }
	e.Depth, e.Async, e.Target = 7, true, casemate.Target{Function: "f"}
	q := &memQueue{}
	if _, err := r.gate(t, q).Handle(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	d, err := q.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var kept queued
	if err := json.Unmarshal(d.Data, &kept); err != nil || kept.event(1).Depth != 7 || kept.event(1).Parent != "e1" || kept.event(1).Chain != "e0" {
		t.Errorf("queued as %+v, %v", kept, err)
	}
}
