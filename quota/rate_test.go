package quota_test

import (
	"fmt"
	"math"
	"testing"

	"casemate"
	"casemate/quota"
)

func TestParseRate(t *testing.T) {
	for text, want := range map[string]casemate.Rate{
		"10/s":            {PerSecond: 10, Burst: 10},
		"10/s burst 20":   {PerSecond: 10, Burst: 20},
		"5/m":             {PerSecond: 5.0 / 60, Burst: 5},
		"100/h":           {PerSecond: 100.0 / 3600, Burst: 100},
		"0.5/s":           {PerSecond: 0.5, Burst: 1},
		"0.000001/h":      {PerSecond: 0.000001 / 3600, Burst: 1},
		"1000000/s":       {PerSecond: 1e6, Burst: 1e6},
		"2.5/s burst 1":   {PerSecond: 2.5, Burst: 1},
		"1/s burst 10000": {PerSecond: 1, Burst: 10000},
	} {
		if got, err := quota.ParseRate(text); err != nil || got != want {
			t.Errorf("%q: got %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "10", "/s", "10/", "10/d", "10/S", "10 /s", "10/ s", " 10/s", "10/s ", "-1/s", "+1/s", "0/s", "0.0/s", "1e3/s", "0x10/s",
		"NaN/s", "Inf/s", "01/s", "1./s", ".5/s", "1.0000001/s", "1000001/s", "99999999/s", "1/s burst", "1/s burst ", "1/s burst 0",
		"1/s burst -1", "1/s burst +1", "1/s burst 01", "1/s burst 1.5", "1/s burst 10000001", "1/s  burst 2", "1/s burst 2 burst 3", "1_0/s",
		"１/s", "10/s\n", "10/s burst 20\x00",
	} {
		got, err := quota.ParseRate(text)
		if casemate.CodeOf(err) != casemate.Invalid || got != (casemate.Rate{}) {
			t.Errorf("%q is read as %v, %v", text, got, err)
		}
	}
}

func FuzzParseRate(f *testing.F) {
	for _, s := range []string{"10/s burst 20", "5/m", "100/h", "0.5/s", "1e9/s", "10/s burst 0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := quota.ParseRate(s)
		if err != nil {
			if casemate.CodeOf(err) != casemate.Invalid || r != (casemate.Rate{}) {
				t.Fatalf("%q: %v with %v", s, err, r)
			}
			return
		}
		if !(r.PerSecond > 0) || math.IsInf(r.PerSecond, 0) || r.Burst < 1 || r.Burst > 10_000_000 {
			t.Fatalf("%q: %v", s, r)
		}
		if again, err := quota.ParseRate(fmt.Sprintf("%s burst %d", cutBurst(s), r.Burst)); err != nil || again != r {
			t.Fatalf("%q: %v, then %v, %v", s, r, again, err)
		}
	})
}

func cutBurst(s string) string {
	for i := range s {
		if s[i] == ' ' {
			return s[:i]
		}
	}
	return s
}
