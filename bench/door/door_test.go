package door

import (
	"os"
	"testing"
)

// TestMeasure keeps the bench alive; with CASEMATE_BENCH it prints figures.
func TestMeasure(t *testing.T) {
	reps := 1
	if os.Getenv("CASEMATE_BENCH") != "" {
		reps = 7
	}
	rows, err := Measure(t.Context(), reps, true)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) < len(parts)-1 {
		t.Fatalf("%d rows", len(rows))
	}
	for _, r := range rows {
		t.Logf("%+v", r)
		if r.Floor <= 0 || r.Subject <= 0 {
			t.Errorf("%+v", r)
		}
	}
}
