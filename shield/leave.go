package shield

import (
	"errors"

	"casemate"
)

// Promised holds what a function answered on a route to the contract of the route. Where the route only tags, a rule that it
// breaks is noted in r instead. An answer that did not come by a route, and one of a failed run, is nobody's promise.
func Promised(m *casemate.Match, r *casemate.Result) error {
	if m.Contract == nil || m.Route == nil || r.Answer == nil || m.Route.Answers == "off" {
		return nil
	}
	err := m.Contract.Answer(r.Answer)
	var e *casemate.Error
	if m.Route.Answers == "tag" && errors.As(err, &e) {
		note := "answer: " + e.Rule
		if e.Field != "" {
			note = "answer: " + e.Field + ": " + e.Rule
		}
		r.Notes = append(r.Notes, note)
		return nil
	}
	return err
}

// Leave is the shield, outbound: what the contract of a route does not promise is refused, and what must not leave is taken
// out or refused.
func Leave(m *casemate.Match, e *casemate.Event, _ *casemate.Principal, r *casemate.Result) error {
	if err := Promised(m, r); err != nil {
		return err
	}
	return Kept(m, e, r)
}
