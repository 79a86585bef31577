package shield

import (
	"errors"
	"slices"
	"strconv"

	"casemate"
	"casemate/shield/leak"
)

// Kept looks for what must not leave in an answer to a request, and takes it out of r.Answer, or refuses the answer. What it
// did stands in r.Notes, by rule and place. An answer in an encoding that it cannot undo is not looked at.
func Kept(m *casemate.Match, e *casemate.Event, r *casemate.Result) error {
	if m.Route == nil {
		return keptByName(m, e, r)
	}
	if r.Answer == nil {
		return nil
	}
	rules, a := leakRules(m.Route.Leaks), r.Answer
	for i := range a.Header {
		value, found := leak.Value(a.Header[i].Value, rules)
		if err := noted(r, a.Header[i].Name, found); err != nil {
			return err
		}
		if value != a.Header[i].Value {
			a = changed(r)
			a.Header[i].Value = value
		}
	}
	plain, packed := a.Body, a.Get("content-encoding")
	if packed != "" {
		var err error
		if plain, err = Decode(packed, a.Body, casemate.DefaultLimits().Response); err != nil {
			return nil // as it came, or not what it says: no one can read it either
		}
	}
	body, found := leak.Body(plain, a.Status, a.Get("content-type"), rules)
	if err := noted(r, "body", found); err != nil || len(found.Notes) == 0 {
		return err
	}
	a = changed(r)
	a.Body = body
	a.Header = slices.DeleteFunc(a.Header, func(h casemate.HeaderLine) bool {
		return h.Name == "content-encoding" || h.Name == "etag" || h.Name == "content-md5" || h.Name == "digest" || h.Name == "repr-digest" || h.Name == "content-digest"
	})
	for i := range a.Header {
		if a.Header[i].Name == "content-length" {
			a.Header[i].Value = strconv.Itoa(len(body))
		}
	}
	return nil
}

// keptByName does the same for what a function answers to another function, or to an AWS SDK outside: by the function's own
// rules. Lambda gives such callers a function's error as it was thrown, so it is looked at as an error. Operators are
// given what there is, and nobody gets the answer of a queued event.
func keptByName(m *casemate.Match, e *casemate.Event, r *casemate.Result) error {
	if e == nil || e.Source != casemate.SourceRun && e.Source != casemate.SourceAWS || m.Version == nil || m.Version.Runtime.Family() == "builtin" {
		return nil
	}
	status := 200
	if r.Failure != casemate.FailureNone {
		status = 500
	}
	_, leaks := m.Version.ByName()
	body, found := leak.Body(r.Payload, status, "application/json", leakRules(leaks))
	if err := noted(r, "payload", found); err != nil {
		return err
	}
	r.Payload = body
	return nil
}

// changed gives an answer that may be changed: the one that was may be shared.
func changed(r *casemate.Result) *casemate.Answer {
	a := *r.Answer
	a.Header = slices.Clone(a.Header)
	r.Answer = &a
	return &a
}

func noted(r *casemate.Result, place string, found leak.Found) error {
	for _, n := range found.Notes {
		r.Notes = append(r.Notes, "answer: "+place+": "+n)
	}
	if found.Blocked == "" {
		return nil
	}
	return &casemate.Error{Code: casemate.FunctionFailed, Message: "the function's answer held something that must not leave", Rule: found.Blocked,
		Hint: "the record says what; the route's leaks say what is done about it", Err: errors.New("answer: " + place + ": " + found.Blocked)}
}

func leakRules(l casemate.Leaks) leak.Rules {
	act := func(s string) leak.Act {
		switch s {
		case "block":
			return leak.Block
		case "mask":
			return leak.Mask
		case "off":
			return leak.Off
		}
		return leak.Default
	}
	return leak.Rules{Secrets: act(l.Secrets), Personal: act(l.Personal), Traces: act(l.Traces)}
}
