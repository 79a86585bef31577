package walls

import (
	"testing"
)

// TestRun looks whether everything is measured; figures of a busy machine say nothing.
func TestRun(t *testing.T) {
	if testing.Short() {
		t.Skip("it compiles a program")
	}
	res, err := Run(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Rows) != len(works) {
		t.Fatalf("%d rows", len(res.Rows))
	}
	for _, r := range res.Rows {
		if r.CPU.Floor <= 0 || r.CPU.Subject <= 0 || r.Wall.Ratio <= 0 {
			t.Errorf("%+v", r)
		}
		t.Logf("%-9s cpu %.3f (%.3f..%.3f) control %.3f, %.0f ns plain; wall %.3f control %.3f", r.Work, r.CPU.Ratio, r.CPU.Min, r.CPU.Max, r.CPU.Control, r.CPU.Floor, r.Wall.Ratio, r.Wall.Control)
	}
}
