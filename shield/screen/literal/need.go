// Package literal finds out what a regular expression cannot match without, and looks for thousands of such literals in
// one pass over a value.
package literal

import (
	"regexp/syntax"
	"strings"
	"unicode/utf8"

	"casemate/shield/screen/transform"
)

// Clause is what must be in a value: one of the words (in ASCII lower case, compared without regard to case) or one of
// the bytes.
type Clause struct {
	Words []string
	Bytes transform.Set
}

// empty reports whether a clause asks for nothing that could be looked for.
func (c *Clause) empty() bool { return len(c.Words) == 0 && c.Bytes == transform.Set{} }

// Bounds on what is worked out: beyond them less is demanded, never more.
const (
	maxCross = 256  // strings that a concatenation may multiply into
	maxUnion = 4096 // strings of an alternation
	maxWord  = 24   // bytes of one string
	maxClass = 24   // characters of a class that are written out
	maxDepth = 400  // nesting of an expression
	enough   = 4    // clauses worth checking
	useless  = 8.0  // odds of a clause that is not
)

// Need is what every match of an expression holds: all of the clauses. None means that nothing is known. The letters
// K and S, which Unicode folds together with the Kelvin sign and the long s, count as ASCII: a caller treats a value with
// one of those two characters as a possible match.
func Need(re *syntax.Regexp) []Clause {
	return best((&reader{}).read(re.Simplify(), 0).all())
}

// NeedBytes is Need for an expression that is matched against a value as Latin-1: each of its characters is one byte.
func NeedBytes(re *syntax.Regexp) []Clause {
	return best((&reader{latin: true}).read(re.Simplify(), 0).all())
}

// Noise are the bytes that shells and the like pass over inside a word, and that expressions therefore allow between its
// letters: c"a't is cat.
const Noise = "\"')[\\^"

// Squeeze takes the noise out of a value.
func Squeeze(s string) string {
	return strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && strings.IndexByte(Noise, byte(r)) >= 0 {
			return -1
		}
		return r
	}, s)
}

// NeedSqueezed is what every value that the expression matches holds after Squeeze: the words that are hidden between
// noise. An optional part that begins with a dollar sign, which may hold anything, counts as absent; so each clause is
// fulfilled by a dollar sign as well.
func NeedSqueezed(re *syntax.Regexp) []Clause {
	r := &reader{squeeze: true}
	all := best(r.read(re.Simplify(), 0).all())
	for i := range all {
		for k := range r.guard {
			all[i].Bytes[k] |= r.guard[k]
		}
	}
	return all
}

// Odds is roughly how likely a value of some 40 bytes fulfils a clause, to choose between clauses.
func (c *Clause) Odds() float64 { return odds(c) }

// reader is the way in which an expression is read.
type reader struct {
	latin   bool
	squeeze bool
	guard   transform.Set // bytes without which a part that was left out cannot match
}

// info is what is known of a part: its strings, when they are few, else clauses.
type info struct {
	exact   []string // nil: not known; "" among them: it may match nothing
	clauses []Clause
}

func (i info) all() []Clause {
	if c := words(i.exact); !c.empty() {
		return append(i.clauses, c)
	}
	return i.clauses
}

func (x *reader) read(re *syntax.Regexp, depth int) info {
	if depth > maxDepth {
		return info{}
	}
	switch re.Op {
	case syntax.OpLiteral:
		return x.ofLiteral(re)
	case syntax.OpCharClass:
		return x.ofClass(re)
	case syntax.OpEmptyMatch, syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return info{exact: []string{""}}
	case syntax.OpCapture:
		return x.read(re.Sub[0], depth+1)
	case syntax.OpQuest, syntax.OpStar, syntax.OpPlus:
		return x.optional(re, depth)
	case syntax.OpRepeat:
		if re.Min > 0 {
			return info{clauses: x.read(re.Sub[0], depth+1).all()}
		}
	case syntax.OpConcat:
		return x.ofConcat(re, depth)
	case syntax.OpAlternate:
		return x.ofAlternate(re, depth)
	}
	return info{}
}

// optional reads x?, x* and x+.
func (x *reader) optional(re *syntax.Regexp, depth int) info {
	sub := x.read(re.Sub[0], depth+1)
	switch {
	case x.squeeze && x.absent(&sub):
		return info{exact: []string{""}}
	case re.Op == syntax.OpPlus:
		return info{clauses: sub.all()}
	case re.Op == syntax.OpQuest && sub.exact != nil:
		return info{exact: append([]string{""}, sub.exact...)}
	}
	return info{}
}

// absent reports whether a part leaves nothing in a squeezed value, or needs a dollar sign, which then is the guard.
func (x *reader) absent(sub *info) bool {
	if sub.exact != nil {
		return longest(sub.exact) == 0
	}
	dollar := transform.BytesOf("$")
	for i := range sub.clauses {
		if c := &sub.clauses[i]; len(c.Words) == 0 && c.Bytes == dollar {
			x.guard = merged(x.guard, dollar)
			return true
		}
	}
	return false
}

func merged(a, b transform.Set) transform.Set {
	return transform.Set{a[0] | b[0], a[1] | b[1], a[2] | b[2], a[3] | b[3]}
}

func (x *reader) ofLiteral(re *syntax.Regexp) info {
	parts, cur := []Clause{}, ""
	for _, r := range re.Rune {
		if r == utf8.RuneError || r >= utf8.RuneSelf && re.Flags&syntax.FoldCase != 0 {
			if c := words([]string{lower(cur)}); !c.empty() {
				parts = append(parts, c)
			}
			cur = ""
			parts = append(parts, Clause{Bytes: transform.Set{0, 0, ^uint64(0), ^uint64(0)}})
			continue
		}
		cur += x.spell(r)
	}
	if len(parts) > 0 {
		if c := words([]string{lower(cur)}); !c.empty() {
			parts = append(parts, c)
		}
		return info{clauses: parts}
	}
	return info{exact: []string{lower(cur)}}
}

// spell is a character as it stands in a value.
func (x *reader) spell(r rune) string {
	switch {
	case x.squeeze && strings.ContainsRune(Noise, r):
		return ""
	case x.latin && r < 256:
		return string([]byte{byte(r)})
	}
	return string(r)
}

// ofClass writes a small class out, and makes a set of bytes of a large one.
func (x *reader) ofClass(re *syntax.Regexp) info {
	n := 0
	for i := 0; i+1 < len(re.Rune); i += 2 {
		n += int(re.Rune[i+1]-re.Rune[i]) + 1
	}
	if n > 0 && n <= maxClass {
		seen := map[string]bool{}
		var exact []string
		for i := 0; i+1 < len(re.Rune); i += 2 {
			for r := re.Rune[i]; r <= re.Rune[i+1]; r++ {
				if r == utf8.RuneError {
					return x.bytesOf(re)
				}
				if s := lower(x.spell(r)); !seen[s] {
					seen[s] = true
					exact = append(exact, s)
				}
			}
		}
		return info{exact: exact}
	}
	return x.bytesOf(re)
}

func (x *reader) bytesOf(re *syntax.Regexp) info {
	var s transform.Set
	single := rune(utf8.RuneSelf)
	if x.latin {
		single = 256
	}
	for i := 0; i+1 < len(re.Rune); i += 2 {
		for r := re.Rune[i]; r <= min(re.Rune[i+1], single-1); r++ {
			s.Add(byte(r))
		}
		if re.Rune[i+1] >= utf8.RuneSelf && !x.latin {
			s[2], s[3] = ^uint64(0), ^uint64(0)
		}
	}
	if noise := transform.BytesOf(Noise); x.squeeze && s.Meets(&noise) {
		return info{}
	}
	return info{clauses: []Clause{{Bytes: s}}}
}

func (x *reader) ofConcat(re *syntax.Regexp, depth int) info {
	var out []Clause
	cur, whole := []string{""}, true
	flush := func() {
		if c := words(cur); !c.empty() {
			out = append(out, c)
		}
		cur, whole = []string{""}, false
	}
	for _, sub := range re.Sub {
		i := x.read(sub, depth+1)
		switch {
		case i.exact == nil:
			flush()
			out = append(out, i.clauses...)
		case len(i.exact)*len(cur) > maxCross || longest(i.exact)+longest(cur) > maxWord:
			flush()
			cur = i.exact
		default:
			cur = cross(cur, i.exact)
		}
	}
	if whole {
		return info{exact: cur}
	}
	flush()
	return info{clauses: best(out)}
}

func (x *reader) ofAlternate(re *syntax.Regexp, depth int) info {
	var union Clause
	var exact []string
	whole, known := true, true
	for _, sub := range re.Sub {
		i := x.read(sub, depth+1)
		if i.exact == nil {
			whole = false
		}
		exact = append(exact, i.exact...)
		top := best(i.all())
		if len(top) == 0 {
			known = false
			continue
		}
		union.Words = append(union.Words, top[0].Words...)
		for k := range union.Bytes {
			union.Bytes[k] |= top[0].Bytes[k]
		}
	}
	switch {
	case whole && len(exact) <= maxUnion:
		return info{exact: exact}
	case known && len(union.Words) <= maxUnion:
		return info{clauses: []Clause{union}}
	}
	return info{}
}

func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

func longest(all []string) int {
	n := 0
	for _, s := range all {
		n = max(n, len(s))
	}
	return n
}

func cross(a, b []string) []string {
	out := make([]string, 0, len(a)*len(b))
	seen := make(map[string]bool, len(a)*len(b))
	for _, x := range a {
		for _, y := range b {
			if s := x + y; !seen[s] {
				seen[s] = true
				out = append(out, s)
			}
		}
	}
	return out
}

// words makes a clause of strings: those of one byte become bytes, those that hold another are dropped. With "" among
// them there is no clause.
func words(all []string) Clause {
	var c Clause
	for _, s := range all {
		switch {
		case s == "":
			return Clause{}
		case len(s) == 1:
			c.Bytes.Add(s[0])
			if s[0] >= 'a' && s[0] <= 'z' {
				c.Bytes.Add(s[0] - 'a' + 'A')
			}
		case len(s) > maxWord:
			c.Words = append(c.Words, s[:maxWord])
		default:
			c.Words = append(c.Words, s)
		}
	}
	return c
}

// best orders clauses by how rarely a value fulfils them, and keeps the few that are worth asking for.
func best(all []Clause) []Clause {
	kept := make([]Clause, 0, len(all))
	for _, c := range all {
		if c.empty() || odds(&c) > useless {
			continue
		}
		at := len(kept)
		for at > 0 && odds(&c) < odds(&kept[at-1]) {
			at--
		}
		kept = append(kept[:at], append([]Clause{c}, kept[at:]...)...)
	}
	return kept[:min(len(kept), enough)]
}

// odds is roughly how likely a value of some 40 bytes fulfils a clause.
func odds(c *Clause) float64 {
	p := 0.0
	for b := range 256 {
		if c.Bytes.Has(byte(b)) {
			p += 40 * frequency(byte(b))
		}
	}
	for _, w := range c.Words {
		q := 40.0
		for i := range len(w) {
			q *= frequency(w[i])
		}
		p += q
	}
	return p
}

// frequency is about how often a byte is seen in what people and programs send.
func frequency(b byte) float64 {
	switch {
	case strings.IndexByte("etaoinshr ", b) >= 0:
		return 0.06
	case b >= 'a' && b <= 'z':
		return 0.025
	case b >= 'A' && b <= 'Z':
		return 0.005
	case b >= '0' && b <= '9', strings.IndexByte(".,-/:_=", b) >= 0:
		return 0.012
	case b >= 0x80:
		return 0.0005
	case b < 0x20:
		return 0.0005
	}
	return 0.003
}
