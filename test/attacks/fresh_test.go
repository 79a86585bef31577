package attacks

import "testing"

// A second set, written without the first at hand and not tuned to what the detectors look for, though by a hand that had read them. What was found in the half
// that is looked at was mended by principle; the other half is what to expect of senders that nobody knows.
func TestFreshAttacks(t *testing.T) {
	cases, err := FreshAttacks()
	if err != nil {
		t.Fatal(err)
	}
	attacks(t, cases, []float64{0.98, 0.965})
}

// Likewise for what is harmless.
func TestFreshBenign(t *testing.T) {
	cases, err := FreshBenign()
	if err != nil {
		t.Fatal(err)
	}
	benign(t, cases, []float64{0.025, 0.025}) // texts that quote an attack as it is sent are refused
}
