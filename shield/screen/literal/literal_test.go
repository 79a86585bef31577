package literal

import (
	"regexp/syntax"
	"strings"
	"testing"

	"casemate/shield/screen/transform"
	"pgregory.net/rapid"

	"regexp"
)

func holds(t *testing.T, clauses []Clause, s string) bool {
	t.Helper()
	bytes := transform.BytesOf(s)
	for _, c := range clauses {
		ok := bytes.Meets(&c.Bytes)
		for _, w := range c.Words {
			ok = ok || strings.Contains(lower(s), w)
		}
		if !ok {
			return false
		}
	}
	return true
}

// TestNeedNeverMissesAMatch is the one promise of the prefilter: what an expression matches fulfils every clause.
func TestNeedNeverMissesAMatch(t *testing.T) {
	expressions := []string{
		`(?i)union.*?select.*?from`, `(?i)(?:sleep\s*?\(.*?\)|benchmark\s*?\(.*?\,.*?\))`, `^(?:[^']*'|[^"]*"|[^` + "`" + `]*` + "`" + `)[\s\x0b]*;`,
		`(?i)\b(?:d(?:atabas|b_nam)e[^0-9A-Z_a-z]*\()`, `a?b?c`, `[a-z]+[0-9]{2,}x`, `(?:ab|cd|)ef`, `x*`, `é+`, `(?i)straße`, `[^\w]`, `(ab){2,3}c|d`,
	}
	for _, e := range expressions {
		parsed, err := syntax.Parse(e, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		clauses, squeezed := Need(parsed), NeedSqueezed(parsed)
		re := regexp.MustCompile(e)
		rapid.Check(t, func(rt *rapid.T) {
			s := rapid.StringMatching(`.{0,3}`).Draw(rt, "before") + rapid.StringMatching(e).Draw(rt, "match") + rapid.StringMatching(`.{0,3}`).Draw(rt, "after")
			if strings.ContainsAny(s, "\u212a\u017f") {
				return
			}
			if re.MatchString(s) && !holds(t, clauses, s) {
				rt.Fatalf("%q matches %q, which does not hold %v", e, s, clauses)
			}
			if re.MatchString(s) && !holds(t, squeezed, Squeeze(s)) {
				rt.Fatalf("%q matches %q, which squeezed does not hold %v", e, s, squeezed)
			}
		})
	}
}

func TestNeedFindsSomething(t *testing.T) {
	for e, want := range map[string]string{`(?i)union.*?select.*?from`: "select", `foo(?:bar|baz)qux`: "foobarqux", `x(?:abc|def)+y`: "abc"} {
		parsed, err := syntax.Parse(e, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, c := range Need(parsed) {
			for _, w := range c.Words {
				found = found || w == want
			}
		}
		if !found {
			t.Errorf("%q does not need %q: %v", e, want, Need(parsed))
		}
	}
}

// TestMatcherFindsWhatContainsFinds holds the automaton against the plain search.
func TestMatcherFindsWhatContainsFinds(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		words := rapid.SliceOfN(rapid.StringMatching(`[abc]{1,6}`), 1, 40).Draw(rt, "words")
		s := rapid.StringMatching(`[abcABC ]{0,60}`).Draw(rt, "value")
		var b Builder
		for i, w := range words {
			b.Add(uint16(i), w)
		}
		found := make([]uint64, 1)
		b.Build().Scan(s, found)
		for i, w := range words {
			if got, want := found[0]&(1<<i) != 0, strings.Contains(strings.ToLower(s), w); got != want {
				rt.Fatalf("%q in %q: %v, want %v", w, s, got, want)
			}
		}
	})
}
