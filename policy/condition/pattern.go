package condition

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxText bounds one pattern, in bytes. ARNs end at 2,048.
const maxText = 2048

type elementKind uint8

const (
	literal  elementKind = iota
	anyRun               // *
	anyOne               // ?
	variable             // ${key} or ${key, 'fallback'}
)

// element is one piece of a pattern. Text is the literal, or the fallback of a variable.
type element struct {
	kind     elementKind
	text     string
	key      key
	fallback bool
}

// Pattern is a parsed text. Plain ones are compared, others walked. The zero Pattern is the empty text.
type Pattern struct {
	elements []element
	plain    bool   // one literal, or nothing
	text     string // the literal of a plain pattern
	dynamic  bool   // holds a variable
}

// Parse reads text, at most 2,048 bytes of UTF-8, with its variables. With wild unset, * and ? are plain characters, as in
// StringEquals. The error is the end of a sentence that starts with the text.
func Parse(text string, wild bool) (Pattern, error) {
	es, err := parseElements(text, wild)
	if err != nil {
		return Pattern{}, err
	}
	return patternOf(es), nil
}

// patternOf classifies a list of elements once, so that matching does not.
func patternOf(es []element) Pattern {
	p := Pattern{elements: es}
	for _, e := range es {
		p.dynamic = p.dynamic || e.kind == variable
	}
	switch {
	case len(es) == 0:
		p.plain = true
	case len(es) == 1 && es[0].kind == literal:
		p.plain, p.text = true, es[0].text
	}
	return p
}

// Literal gives the text of a pattern without wildcards and variables.
func (p *Pattern) Literal() (string, bool) { return p.text, p.plain }

// Variable reports a pattern that is one variable and nothing else.
func (p *Pattern) Variable() bool { return len(p.elements) == 1 && p.elements[0].kind == variable }

// Match compares the whole of s. Resolved is false when a variable had no value; ok then tells whether some value fits.
func (p *Pattern) Match(e *Env, s string) (ok, resolved bool) { return p.match(e, s, inText) }

func (p *Pattern) match(e *Env, s string, at where) (ok, resolved bool) {
	if p.plain {
		return p.text == s, true
	}
	if !p.dynamic {
		return match(p.elements, s), true
	}
	es, resolved := e.resolve(p.elements, at)
	return match(es, s), resolved
}

// parseElements splits text into literals, wildcards and variables.
func parseElements(text string, wild bool) ([]element, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("is longer than %d bytes", maxText)
	}
	if !utf8.ValidString(text) {
		return nil, fmt.Errorf("is not valid UTF-8")
	}
	var es []element
	for text != "" {
		switch {
		case strings.HasPrefix(text, "${"):
			e, rest, err := parseVariable(text)
			if err != nil {
				return nil, err
			}
			es, text = push(es, e), rest
		case wild && text[0] == '*':
			es, text = push(es, element{kind: anyRun}), text[1:]
		case wild && text[0] == '?':
			es, text = push(es, element{kind: anyOne}), text[1:]
		default:
			n := literalEnd(text, wild)
			es, text = push(es, element{text: text[:n]}), text[n:]
		}
	}
	return es, nil
}

// literalEnd is the length of the plain run at the start of text, at least 1.
func literalEnd(text string, wild bool) int {
	for i := 1; i < len(text); i++ {
		if strings.HasPrefix(text[i:], "${") || wild && (text[i] == '*' || text[i] == '?') {
			return i
		}
	}
	return len(text)
}

// push appends e, joining neighbours that mean the same: two literals, or two stars.
func push(es []element, e element) []element {
	if n := len(es); n > 0 {
		last := &es[n-1]
		if e.kind == literal && last.kind == literal {
			last.text += e.text
			return es
		}
		if e.kind == anyRun && last.kind == anyRun {
			return es
		}
	}
	return append(es, e)
}

// parseVariable reads ${key}, ${key, 'fallback'} and the escapes ${*}, ${?} and ${$} at the start of text.
func parseVariable(text string) (element, string, error) {
	body := text[2:]
	for _, c := range [...]string{"*", "?", "$"} {
		if rest, ok := strings.CutPrefix(body, c+"}"); ok {
			return element{text: c}, rest, nil
		}
	}
	n := strings.IndexAny(body, ",}'")
	if n < 0 || body[n] == '\'' {
		return element{}, "", fmt.Errorf("has a variable without an end: write ${key} or ${key, 'default'}, or ${$} for a dollar sign")
	}
	name := strings.TrimRight(body[:n], " ")
	k, err := newKey(name)
	if err != nil {
		return element{}, "", err
	}
	if body[n] == '}' {
		return element{kind: variable, key: k}, body[n+1:], nil
	}
	quoted, ok := strings.CutPrefix(strings.TrimLeft(body[n+1:], " "), "'")
	if !ok {
		return element{}, "", fmt.Errorf("needs the default of ${%s, ...} in single quotes", name)
	}
	fallback, rest, ok := strings.Cut(quoted, "'")
	if rest = strings.TrimLeft(rest, " "); !ok || !strings.HasPrefix(rest, "}") {
		return element{}, "", fmt.Errorf("needs the default of ${%s, ...} closed by a quote and a brace", name)
	}
	return element{kind: variable, key: k, text: fallback, fallback: true}, rest[1:], nil
}

// match reports whether the whole of s fits es. Each star is matched once, to the left as far as it goes, which is exact
// for globs and never backtracks further than one run: the cost is at most len(s) times the longest run.
func match(es []element, s string) bool {
	run, rest, star := cutRun(es)
	used, ok := prefixOf(run, s)
	if !ok {
		return false
	}
	s = s[used:]
	if !star {
		return s == ""
	}
	for {
		run, rest, star = cutRun(rest)
		if !star {
			return suffixOf(run, s)
		}
		end := find(run, s)
		if end < 0 {
			return false
		}
		s = s[end:]
	}
}

// cutRun splits es at its first star. An unresolved variable is a star: only a Deny may see one (resolve).
func cutRun(es []element) (run, rest []element, star bool) {
	for i := range es {
		if es[i].kind == anyRun || es[i].kind == variable {
			return es[:i], es[i+1:], true
		}
	}
	return es, nil, false
}

// prefixOf says how many bytes at the start of s fit run, which holds no star.
func prefixOf(run []element, s string) (int, bool) {
	used := 0
	for i := range run {
		if run[i].kind == literal {
			if !strings.HasPrefix(s[used:], run[i].text) {
				return 0, false
			}
			used += len(run[i].text)
			continue
		}
		_, n := utf8.DecodeRuneInString(s[used:])
		if n == 0 {
			return 0, false
		}
		used += n
	}
	return used, true
}

// suffixOf reports whether s ends with run, walking backwards: the length of what ? stands for is known only there.
func suffixOf(run []element, s string) bool {
	for i := len(run) - 1; i >= 0; i-- {
		if run[i].kind == literal {
			rest, ok := strings.CutSuffix(s, run[i].text)
			if !ok {
				return false
			}
			s = rest
			continue
		}
		_, n := utf8.DecodeLastRuneInString(s)
		if n == 0 {
			return false
		}
		s = s[:len(s)-n]
	}
	return true
}

// find gives the end of the leftmost place in s that fits run, or -1.
func find(run []element, s string) int {
	if len(run) == 1 && run[0].kind == literal {
		if at := strings.Index(s, run[0].text); at >= 0 {
			return at + len(run[0].text)
		}
		return -1
	}
	for at := 0; at <= len(s); {
		if n, ok := prefixOf(run, s[at:]); ok {
			return at + n
		}
		_, n := utf8.DecodeRuneInString(s[at:])
		at += max(n, 1)
	}
	return -1
}
