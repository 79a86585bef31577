package cold

import (
	"errors"
	"testing"
	"time"

	"casemate/bench/load"
)

func TestMeasureComparesInOneRun(t *testing.T) {
	r, err := Measure(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range r.Rows {
		t.Logf("%+v", row)
		if row.Wall.Floor <= 0 || row.Wall.Ratio <= 0 || row.Wall.Control <= 0 || row.CPU.Floor <= 0 || row.CPU.Ratio <= 0 {
			t.Errorf("row %+v", row)
		}
	}
	t.Log("left out:", r.LeftOut)
}

func TestRepeatTakesMediansInABBAOrder(t *testing.T) {
	ms := func(d int) func() (cost, error) {
		return func() (cost, error) {
			return cost{time.Duration(d) * time.Millisecond, time.Duration(2*d) * time.Millisecond}, nil
		}
	}
	row, err := repeat("x", ms(10), ms(15), 3)
	if err != nil || row.Wall != (load.Figure{Floor: 10, Subject: 15, Ratio: 1.5, Min: 1.5, Max: 1.5, Control: 1}) || row.CPU != (load.Figure{Floor: 20, Subject: 30, Ratio: 1.5, Min: 1.5, Max: 1.5, Control: 1}) {
		t.Errorf("%+v %v", row, err)
	}
	n := 0
	drift := func() (cost, error) { n++; return cost{wall: time.Duration(n) * time.Millisecond}, nil }
	if row, err = repeat("x", drift, ms(1), 1); err != nil || !row.Wall.Noisy {
		t.Errorf("a drifting floor was not noisy: %+v %v", row, err)
	}
	broken := func() (cost, error) { return cost{}, errors.New("no") }
	if _, err := repeat("x", ms(1), broken, 1); err == nil {
		t.Error("a failing start was measured")
	}
}
