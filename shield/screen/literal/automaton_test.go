package literal

import (
	"regexp"
	"regexp/syntax"
	"testing"

	"pgregory.net/rapid"
)

// TestAutomatonIsRegexp holds the automaton against the library.
func TestAutomatonIsRegexp(t *testing.T) {
	for _, e := range []string{`(?sm)^a.*b$`, `(?sm)\bor\b.{1,3}=`, `(?i)k+ſ`, `(?sm)(?:^|;)\s*id\B`, `\Aab|b\z`, `[^a-z]x{2,4}`, `é|[à-ü]b`, `(?i)(?:a|ab)(?:c|bcd)(?:d*)$`, `(?m)^$`, ``, `[^\x00-\x7f]`} {
		parsed, err := syntax.Parse(e, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		a, err := NewAutomaton(parsed)
		if err != nil {
			t.Fatal(err)
		}
		re := regexp.MustCompile(e)
		rapid.Check(t, func(rt *rapid.T) {
			s := rapid.OneOf(rapid.StringMatching(`[abcdkxori;= \né]{0,12}`), rapid.String(), rapid.StringMatching(e),
				rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })).Draw(rt, "value")
			if got, want := a.Match(s), re.MatchString(s); got != want {
				rt.Fatalf("%q on %q: %v, want %v", e, s, got, want)
			}
		})
	}
}
