package node

import (
	"context"
	"testing"

	"casemate"
)

// A function that is not there is decided on like one that is: a caller without the grant learns nothing from the refusal.
func TestAbsentFunctionsAreDecidedOn(t *testing.T) {
	missing := &casemate.Error{Code: casemate.NotFound, Message: "there is no function"}
	d := &directory{place: casemate.DefaultPlace, policy: func() (casemate.Decider, string) { return nil, "p" },
		find: func(*casemate.Event) (*casemate.Match, error) { return nil, missing }}
	for _, source := range []casemate.Source{casemate.SourceAWS, casemate.SourceRun, casemate.SourceAdmin, casemate.SourceAsync} {
		for _, name := range []string{"gone", casemate.DefaultPlace.FunctionARN("gone")} {
			m, err := d.Resolve(&casemate.Event{Source: source, Target: casemate.Target{Function: name}})
			if err != nil || m.Absent != missing || m.Resource != casemate.DefaultPlace.FunctionARN("gone") || m.Action != "lambda:InvokeFunction" {
				t.Errorf("%s: %+v, %v", source, m, err)
			}
		}
	}
	if _, err := d.Resolve(&casemate.Event{Source: casemate.SourceHTTP, Target: casemate.Target{Path: "/gone"}}); err != missing {
		t.Errorf("a route: %v", err)
	}
}

func TestBuiltinsAreReachedByTheAdminFrontAlone(t *testing.T) {
	d := &directory{place: casemate.DefaultPlace, policy: func() (casemate.Decider, string) { return nil, "p" },
		builtins: map[string]builtin{"keys.list": {action: "casemate:ListKeys", kind: "key"}},
		find: func(*casemate.Event) (*casemate.Match, error) {
			return nil, casemate.Errorf(casemate.NotFound, "", "no")
		}}
	for _, source := range []casemate.Source{casemate.SourceHTTP, casemate.SourceURL, casemate.SourceAsync, ""} {
		e := &casemate.Event{Source: source, Target: casemate.Target{Builtin: "keys.list"}}
		if _, err := d.Resolve(e); casemate.CodeOf(err) != casemate.NotFound {
			t.Errorf("source %q reached a built-in: %v", source, err)
		}
	}
	m, err := d.Resolve(&casemate.Event{Source: casemate.SourceAdmin, Target: casemate.Target{Builtin: "keys.list"}})
	if err != nil || m.Action != "casemate:ListKeys" || m.Resource != "arn:aws:casemate:us-east-1:000000000000:key/*" {
		t.Errorf("got %+v, %v", m, err)
	}
	// Who may see one key only is not shown all of them for naming it.
	if _, err := d.Resolve(&casemate.Event{Source: casemate.SourceAdmin, Target: casemate.Target{Builtin: "keys.list"}, Resource: "clerk"}); casemate.CodeOf(err) != casemate.Invalid {
		t.Errorf("a decision on one thing for an operation on all: %v", err)
	}
	if _, err := d.Resolve(&casemate.Event{Source: casemate.SourceAdmin, Target: casemate.Target{Builtin: "keys.steal"}}); casemate.CodeOf(err) != casemate.NotFound {
		t.Errorf("an operation out of nowhere: %v", err)
	}
}

// TestQuestionCannotLeaveItsDecision: allowed on one thing, asking about another.
func TestQuestionCannotLeaveItsDecision(t *testing.T) {
	for _, c := range []struct {
		resource, name string
		ok             bool
	}{{"clerk", "clerk", true}, {"clerk", "operator", false}, {"clerk", "", false}, {"", "clerk", true}, {"*", "clerk", true}, {"", "", true},
		{"", "operator", false}, {"*", "operator", false}} { // a Deny on one thing holds when the caller names none
		may := func(_ *casemate.Launch, action, kind, name string) error {
			if action != "casemate:CreateKey" || kind != "key" || name != "clerk" {
				return casemate.Errorf(casemate.Forbidden, "", "denied")
			}
			return nil
		}
		err := covers(&casemate.Launch{Event: &casemate.Event{Resource: c.resource}}, may, "casemate:CreateKey", "key", c.name)
		if (err == nil) != c.ok || err != nil && casemate.CodeOf(err) != casemate.Forbidden {
			t.Errorf("%q and %q: %v", c.resource, c.name, err)
		}
	}
}

func TestQuestionsAreStrict(t *testing.T) {
	for body, ok := range map[string]bool{``: true, ` {"id":"x"} `: true, `{"id":"x","more":1}`: false, `{"id":1}`: false, `{"id":"x"} {}`: false, `[`: false} {
		if _, err := ask[IDQuestion](&casemate.Launch{Payload: []byte(body)}); (err == nil) != ok || err != nil && casemate.CodeOf(err) != casemate.Invalid {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestStreamNeedsAStream(t *testing.T) {
	b := stream("a", "k", func(context.Context, *casemate.Launch, struct{}, func(any) error) error { return nil })
	if _, err := b.run(t.Context(), &casemate.Launch{Version: &casemate.Version{}, Event: &casemate.Event{}}); casemate.CodeOf(err) != casemate.Invalid {
		t.Errorf("got %v", err)
	}
}
