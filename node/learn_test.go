package node

import (
	"fmt"
	"testing"
	"time"

	"casemate"
	"casemate/shield/infer"
)

// TestSchoolEnds: a route is watched where and as long as somebody said, and no longer.
func TestSchoolEnds(t *testing.T) {
	var s school
	start := time.Unix(1_000_000, 0)
	m := &casemate.Match{Route: &casemate.Route{App: "shop", ID: "POST /orders", Path: "/orders"}}
	e := &casemate.Event{Target: casemate.Target{Method: "POST"}}
	seen := 0
	look := func(m *casemate.Match, at time.Duration) {
		s.with(m, e, start.Add(at), func(o *infer.Operation) { seen++; o.Request(&casemate.Exchange{}) })
	}
	look(m, 0)
	if err := s.watch("shop", "POST /orders", start, start.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	look(m, time.Minute)
	look(m, time.Hour)
	look(&casemate.Match{Route: &casemate.Route{App: "other", ID: "POST /orders"}}, time.Minute)
	look(&casemate.Match{}, time.Minute)
	if seen != 1 {
		t.Fatalf("%d events were looked at, not one", seen)
	}
	l, err := s.report("shop", "")
	if err != nil || len(l.Lessons) != 1 || l.Lessons[0].Requests != 1 {
		t.Errorf("%+v, %v", l, err)
	}
	if _, err := s.report("other", ""); casemate.CodeOf(err) != casemate.NotFound {
		t.Errorf("an app that was not watched: %v", err)
	}
	s.forget("shop", "POST /orders")
	look(m, time.Minute)
	if _, err := s.report("shop", ""); seen != 1 || casemate.CodeOf(err) != casemate.NotFound || s.active.Load() {
		t.Errorf("what is forgotten: %d, %v", seen, err)
	}
}

// TestSchoolIsBounded: so are its lessons.
func TestSchoolIsBounded(t *testing.T) {
	var s school
	for i := range maxLessons {
		if err := s.watch("shop", fmt.Sprint(i), time.Time{}, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.watch("shop", "0", time.Time{}, time.Time{}); err != nil {
		t.Errorf("again: %v", err)
	}
	if err := s.watch("shop", "one more", time.Time{}, time.Time{}); casemate.CodeOf(err) != casemate.Exhausted {
		t.Errorf("one more: %v", err)
	}
}
