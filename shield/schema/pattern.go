package schema

import (
	"fmt"
	"maps"
	"regexp"
	"regexp/syntax"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// pattern is a regular expression of a contract, by RE2: no input makes it slow.
type pattern struct {
	*regexp.Regexp
	closed bool // what it matches, as a whole, holds letters, digits and - _ : + alone
}

func newPattern(s string) (jsonschema.Regexp, error) {
	re, err := regexp.Compile(s)
	if err != nil {
		return nil, err
	}
	tree, err := syntax.Parse(s, syntax.Perl)
	if err != nil {
		return nil, err
	}
	return &pattern{re, anchored(tree) && harmless(tree) && !re.MatchString("__proto__")}, nil
}

// anchored reports whether a match is the whole text.
func anchored(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpCapture:
		return anchored(re.Sub[0])
	case syntax.OpAlternate:
		for _, sub := range re.Sub {
			if !anchored(sub) {
				return false
			}
		}
		return true
	case syntax.OpConcat:
		n := len(re.Sub)
		return n >= 2 && re.Sub[0].Op == syntax.OpBeginText && re.Sub[n-1].Op == syntax.OpEndText
	}
	return false
}

// harmless reports whether nothing in it can match a character that means something to anybody's language.
func harmless(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpLiteral:
		for _, r := range re.Rune {
			if !plain(r, r) {
				return false
			}
		}
		return re.Flags&syntax.FoldCase == 0
	case syntax.OpCharClass:
		for i := 0; i+1 < len(re.Rune); i += 2 {
			if !plain(re.Rune[i], re.Rune[i+1]) {
				return false
			}
		}
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return false
	}
	for _, sub := range re.Sub {
		if !harmless(sub) {
			return false
		}
	}
	return true
}

// plain reports whether all runes from lo to hi are letters, digits or - _ : +.
func plain(lo, hi rune) bool {
	for _, r := range [...][2]rune{{'a', 'z'}, {'A', 'Z'}, {'0', '9'}, {'0', ':'}, {'-', '-'}, {'_', '_'}, {'+', '+'}} {
		if lo >= r[0] && hi <= r[1] {
			return true
		}
	}
	return false
}

// closes reports whether a text that the schema takes, as far as its own words go, can mean nothing to anybody's language:
// one of a list, of a format that is letters and digits, or of such a pattern. Names and addresses of hosts are not among
// them: a harmless text can be a harmful place.
func closes(s *jsonschema.Schema) bool {
	if s.Enum != nil || s.Const != nil {
		return true
	}
	if s.Format != nil {
		switch s.Format.Name {
		case "date", "date-time", "time", "duration", "period", "uuid", "semver":
			return true
		}
	}
	p, ok := s.Pattern.(*pattern)
	return ok && p.closed
}

// patterns refuses what RE2 does not have, in a pattern or in names that are patterns.
func patterns(v any) error {
	names := map[string]any{}
	if s, ok := v.(string); ok {
		names[s] = nil
	} else if m, ok := v.(map[string]any); ok {
		names = m
	}
	for _, s := range slices.Sorted(maps.Keys(names)) {
		if _, err := newPattern(s); err != nil {
			return fmt.Errorf("the pattern %q is not taken, %w: RE2 has no look-ahead, look-behind and back-reference", cut(s), err)
		}
	}
	return nil
}
