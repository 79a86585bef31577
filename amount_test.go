package casemate

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestParseMoney(t *testing.T) {
	for text, want := range map[string]Money{"0": 0, "5": 5 * Unit, "0.25": Unit / 4, "0.000000001": 1, "9223372036.854775807": math.MaxInt64, "007.50": 7*Unit + Unit/2,
		"1.0000000000000": Unit} {
		if got, err := ParseMoney(text); err != nil || got != want {
			t.Errorf("%s is %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "-1", "+1", "1e3", "NaN", "Inf", "1,000", "1_000", ".5", "5.", "0x10", "1.0000000001", "9223372036.854775808",
		"99999999999999999999", " 1", "1 ", "1.2.3", "١", "5 USD", "1.-5"} {
		if got, err := ParseMoney(text); err == nil || CodeOf(err) != Invalid {
			t.Errorf("%q is taken as %d, %v", text, got, err)
		}
	}
}

func FuzzParseMoney(f *testing.F) {
	f.Add("12.50")
	f.Add("-1e9")
	f.Fuzz(func(t *testing.T, s string) {
		m, err := ParseMoney(s)
		if err != nil {
			return
		}
		if again, err := ParseMoney(m.String()); m < 0 || err != nil || again != m {
			t.Fatalf("%q is %d, which reads back as %d, %v", s, m, again, err)
		}
	})
}

func TestMoneyAddsOrSaysNo(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		a, b := rapid.Int64().Draw(rt, "a"), rapid.Int64().Draw(rt, "b")
		sum, ok := Money(a).Plus(Money(b))
		wraps := (a+b > a) != (b > 0) && b != 0
		if ok == wraps || ok && sum != Money(a+b) {
			rt.Fatalf("%d + %d = %d, %v", a, b, sum, ok)
		}
	})
	if s := Money(math.MinInt64).String(); s != "-9223372036.854775808" {
		t.Error(s)
	}
}
