package decide

import "testing"

// The bench decides rightly, both ways; its figures are not looked at.
func TestMeasure(t *testing.T) {
	s, err := newSubject(200)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range s.requests {
		if !s.decide(r) || !s.scan(r) {
			t.Fatalf("request %d", i)
		}
		other := *r
		other.Resource = s.requests[(i+1)%len(s.requests)].Resource
		if s.decide(&other) || s.scan(&other) {
			t.Fatalf("request %d on another's", i)
		}
	}
}
