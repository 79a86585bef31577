// Package confirm looks at a value that signatures took for an attack, and says whether it has the structure of one: SQL
// that breaks out of the place it would be put into, markup that runs code. What merely talks about SQL or HTML, or is a
// piece of it, has not. All of it is linear in the size of the value.
package confirm

import "strings"

// kind is what a token of SQL is.
type kind uint8

const (
	end kind = iota
	word
	number
	text // a string
	sign // an operator or a mark
	note // a comment
)

type token struct {
	kind kind
	s    string // lower case
	open bool   // of a string: it is not closed
}

// maxTokens is how far a value is read: an injection shows itself near its beginning.
const maxTokens = 400

// lex splits SQL. Comments between tokens are blanks, as attackers use them; /*!...*/ is what is in it.
func lex(s string) []token {
	var out []token
	for i := 0; i < len(s) && len(out) < maxTokens; {
		c := s[i]
		rest := s[i:]
		var t token
		n := 1
		switch {
		case c <= ' ' || c == 0xa0:
			i++
			continue
		case strings.HasPrefix(rest, "/*!"):
			i += 3
			for i < len(s) && s[i] >= '0' && s[i] <= '9' {
				i++
			}
			continue
		case strings.HasPrefix(rest, "*/"):
			i += 2
			continue
		case strings.HasPrefix(rest, "/*"):
			if at := strings.Index(rest[2:], "*/"); at >= 0 {
				i += at + 4
				continue
			}
			t, n = token{kind: note}, len(rest)
		case strings.HasPrefix(rest, "--"), c == '#':
			t, n = token{kind: note, s: rest[:1]}, lineEnd(rest)
		case c == '\'' || c == '"':
			n = quoted(rest)
			t = token{kind: text, s: strings.ToLower(strings.Trim(rest[:n], `'"`)), open: n == 1 || rest[n-1] != c}
		case c >= '0' && c <= '9' || c == '.' && len(rest) > 1 && rest[1] >= '0' && rest[1] <= '9':
			n = span(rest, "0123456789abcdefxABCDEFX.")
			t = token{kind: number, s: strings.ToLower(rest[:n])}
		case wordly(c) || c == '@' || c == '`' || c == '$':
			n = max(1, wordSpan(rest))
			t = token{kind: word, s: strings.ToLower(strings.Trim(rest[:n], "`"))}
		default:
			n = max(1, min(2, span(rest, "<>=!|&")))
			t = token{kind: sign, s: rest[:n]}
		}
		out = append(out, t)
		i += n
	}
	return out
}

func lineEnd(s string) int {
	if i := strings.IndexByte(s, '\n'); i >= 0 {
		return i + 1
	}
	return len(s)
}

// quoted is the length of the string at the start of s, which may not be closed.
func quoted(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case s[0]:
			if i+1 < len(s) && s[i+1] == s[0] {
				i++
				continue
			}
			return i + 1
		}
	}
	return len(s)
}

func span(s, set string) int {
	n := 0
	for n < len(s) && strings.IndexByte(set, s[n]) >= 0 {
		n++
	}
	return n
}

func wordly(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
}

func wordSpan(s string) int {
	n := 0
	for n < len(s) && (wordly(s[n]) || s[n] >= '0' && s[n] <= '9' || strings.IndexByte("@$.`", s[n]) >= 0) {
		n++
	}
	return n
}
