package sample

import (
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// byFormat are texts of the formats that contracts may name; their hosts and addresses are those set aside for examples
// (RFC 2606, RFC 5737, RFC 3849).
func byFormat(format string) string {
	switch format {
	case "date-time":
		return "2030-01-31T12:00:00Z"
	case "date":
		return "2030-01-31"
	case "time":
		return "12:00:00Z"
	case "duration":
		return "PT1H"
	case "email", "idn-email":
		return "ada@example.com"
	case "hostname", "idn-hostname":
		return "www.example.com"
	case "ipv4":
		return "192.0.2.1"
	case "ipv6":
		return "2001:db8::1"
	case "uri", "url", "iri", "uri-reference", "iri-reference", "uri-template":
		return "https://example.com/"
	case "uuid":
		return "6f339620-cf58-4839-a915-d87581afc91c"
	case "json-pointer":
		return "/name"
	case "relative-json-pointer":
		return "0/name"
	case "regex":
		return "^a+$"
	case "byte":
		return "aGVsbG8="
	}
	return ""
}

// textOf is a text of a schema: by its format, its pattern, or any of the length it asks for.
func (m *maker) textOf(o map[string]any) string {
	least, most := count(o["minLength"], 0, maxText), count(o["maxLength"], maxText, maxText)
	format, _ := o["format"].(string)
	if s := byFormat(format); s != "" {
		return s
	}
	if o["contentEncoding"] == "base64" {
		return byFormat("byte")
	}
	if p, ok := o["pattern"].(string); ok {
		return m.matching(p, least, most)
	}
	s := "text"
	if n := utf8.RuneCountInString(s); n < least {
		s += strings.Repeat("x", least-n)
	}
	return s[:min(len(s), max(most, 0))]
}

// matching is a text of least to most characters that the pattern matches; "" where none was found.
func (m *maker) matching(pattern string, least, most int) string {
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil || !m.spend(len(pattern)) {
		return ""
	}
	program, err := syntax.Compile(tree.Simplify())
	if err != nil || !m.spend(len(program.Inst)) {
		return ""
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return ""
	}
	for _, more := range []int{0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128, 256} {
		w := writer{more: more}
		w.write(tree)
		s := w.String()
		if n := utf8.RuneCountInString(s); n < least && !strings.HasSuffix(pattern, "$") {
			s += strings.Repeat("x", least-n)
		}
		if !m.spend(len(program.Inst) * len(s) / perWork) {
			return ""
		}
		if n := utf8.RuneCountInString(s); n >= max(least, 1) && n <= most && re.MatchString(s) {
			return s
		}
	}
	return ""
}

// writer writes what a pattern matches, with more turns of each repetition than it must have.
type writer struct {
	strings.Builder
	more, steps int
}

func (w *writer) write(re *syntax.Regexp) {
	if w.steps++; w.Len() > maxText || w.steps > maxSteps {
		return
	}
	times := func(n int) {
		for range n {
			if w.steps > maxSteps {
				return
			}
			w.write(re.Sub[0])
		}
	}
	switch re.Op {
	case syntax.OpLiteral:
		w.WriteString(string(re.Rune))
	case syntax.OpCharClass:
		w.WriteRune(oneOf(re.Rune))
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		w.WriteByte('a')
	case syntax.OpStar:
		times(w.more)
	case syntax.OpPlus:
		times(1 + w.more)
	case syntax.OpQuest:
		times(min(w.more, 1))
	case syntax.OpRepeat:
		n := re.Min + w.more
		if re.Max >= 0 {
			n = min(n, re.Max)
		}
		times(n)
	case syntax.OpAlternate:
		w.write(re.Sub[0])
	default:
		for _, sub := range re.Sub {
			w.write(sub)
		}
	}
}

// oneOf is a rune of a class, which is pairs of bounds: one that people write, if there is any.
func oneOf(class []rune) rune {
	for _, want := range "aA1x0_-. " {
		for i := 0; i+1 < len(class); i += 2 {
			if class[i] <= want && want <= class[i+1] {
				return want
			}
		}
	}
	if len(class) == 0 {
		return 'a'
	}
	return class[0]
}
