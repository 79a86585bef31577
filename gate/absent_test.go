package gate

import (
	"slices"
	"testing"

	"casemate"
)

// Who may not call a function hears the same of one that is there and of one that is not; who may is told.
func TestPolicyIsAskedBeforeANameIsKnown(t *testing.T) {
	for _, c := range []struct {
		absent  bool
		verdict casemate.Verdict
		want    casemate.Code
	}{
		{true, casemate.Denied, casemate.Forbidden}, {false, casemate.Denied, casemate.Forbidden}, {true, casemate.Allowed, casemate.NotFound},
	} {
		r := newRig()
		r.decision = casemate.Decision{Verdict: c.verdict, Layer: "default"}
		found := r.find
		r.find = func(e *casemate.Event) (*casemate.Match, error) {
			m, err := found(e)
			if m.Route = nil; c.absent {
				m = &casemate.Match{Action: m.Action, Resource: m.Resource, Policy: m.Policy, Absent: &casemate.Error{Code: casemate.NotFound, Message: "there is no function f"}}
			}
			return m, err
		}
		e := event()
		e.Target, e.Source = casemate.Target{Function: "f"}, casemate.SourceAWS
		_, err := r.gate(t, nil).Handle(t.Context(), e)
		if casemate.CodeOf(err) != c.want || slices.Contains(r.asked, "run") || len(r.closed) != 1 {
			t.Errorf("%+v: %v after %v", c, err, r.asked)
		}
	}
}
