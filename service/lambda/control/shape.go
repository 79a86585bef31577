package control

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"casemate"
)

//go:embed shapes.txt
var shapeTable string

// member is one member of a request, and what Lambda holds it to.
type member struct {
	name      string
	kind      byte
	required  bool
	low, high *float64 // of its length, or of its value when it is a number
	words     []string
	pattern   *pattern
	inner     []*member
}

// pattern is a regular expression as AWS writes it. What RE2 has no word for is held beside it.
type pattern struct {
	source   string
	compiled *regexp.Regexp
	nondigit bool // it is not made of digits alone
	dotless  bool // it does not end in a dot
}

// What AWS's patterns look ahead and behind for.
const (
	notDigits  = `(?!^[0-9]+$)`
	notDecimal = `(?!^\d+$)`
	notDot     = `(?<!\.)`
)

func newPattern(source string) (*pattern, error) {
	p := &pattern{source: source}
	p.nondigit = strings.Contains(source, notDigits) || strings.Contains(source, notDecimal)
	source = strings.ReplaceAll(strings.ReplaceAll(source, notDigits, ""), notDecimal, "")
	source, p.dotless = strings.CutSuffix(source, notDot)
	var err error
	p.compiled, err = regexp.Compile(`\A(?:` + source + `)\z`)
	return p, err
}

func (p *pattern) fits(s string) bool {
	return p.compiled.MatchString(s) && !(p.nondigit && strings.Trim(s, "0123456789") == "") && !(p.dotless && strings.HasSuffix(s, "."))
}

// shapes are the requests' members by operation.
type shapes map[string]*member

// readShapes reads the table. It is checked in, so an error is a mistake of ours.
func readShapes(table string) (shapes, error) {
	all := shapes{}
	var open []*member // those that the next line may be inside of, outermost first
	for line := range strings.Lines(table) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") {
			continue
		}
		text := strings.TrimLeft(line, " ")
		depth := len(line) - len(text)
		if depth == 0 {
			all[text] = &member{name: text, kind: 'o'}
			open = []*member{all[text]}
			continue
		}
		m, err := readMember(text)
		if err != nil || depth > len(open) {
			return nil, fmt.Errorf("reading %q: %w", line, err)
		}
		over := open[depth-1]
		over.inner = append(over.inner, m)
		open = append(open[:depth], m)
	}
	return all, nil
}

func readMember(text string) (*member, error) {
	m := &member{}
	name, rest, _ := strings.Cut(text, " ")
	kind, rest, _ := strings.Cut(rest, " ")
	bounds, rule, _ := strings.Cut(rest, " ")
	m.name = name
	kind, m.required = strings.CutSuffix(kind, "*")
	if len(kind) != 1 {
		return nil, fmt.Errorf("no kind %q", kind)
	}
	m.kind = kind[0]
	if bounds == "-" {
		bounds = ""
	}
	low, high, _ := strings.Cut(bounds, "..")
	var err error
	if m.low, err = number(low); err != nil {
		return nil, err
	}
	if m.high, err = number(high); err != nil {
		return nil, err
	}
	switch {
	case strings.HasPrefix(rule, "="):
		m.words = strings.Split(rule[1:], ",")
	case strings.HasPrefix(rule, "~"):
		m.pattern, err = newPattern(rule[1:])
	}
	return m, err
}

func number(s string) (*float64, error) {
	if s == "" {
		return nil, nil
	}
	n, err := strconv.ParseFloat(s, 64)
	return &n, err
}

// maxFaults bounds what one refusal says.
const maxFaults = 20

// reading is one request on its way through its shape.
type reading struct {
	faults []string // in Lambda's words
}

// read gives the members of a request that the operation has, and nothing else, once everything holds that its shape says. All
// that does not is told at once, as Lambda does. A member counts under its exact name alone.
func (s shapes) read(operation string, body []byte) (json.RawMessage, error) {
	shape := s[operation]
	if shape == nil {
		return nil, fmt.Errorf("reading a request of %s: it has no shape", operation)
	}
	var r reading
	known, err := r.object(shape, body, "")
	if err != nil {
		return nil, err
	}
	switch n := len(r.faults); {
	case n == 1:
		return nil, failure(casemate.Invalid, codeModel, "1 validation error detected: %s", r.faults[0])
	case n > 1:
		return nil, failure(casemate.Invalid, codeModel, "%d validation errors detected: %s", n, strings.Join(r.faults[:min(n, maxFaults)], "; "))
	}
	return known, nil
}

// serial refuses a value of another type.
func serial(path string) error {
	return failure(casemate.Invalid, codeSerial, "the member %s has another type", path)
}

func (r *reading) object(m *member, body []byte, path string) (json.RawMessage, error) {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(body, &raw); err != nil || raw == nil {
		return nil, serial(path)
	}
	var out bytes.Buffer
	out.WriteByte('{')
	for _, inner := range m.inner {
		at := under(path, inner.name)
		value, ok := raw[inner.name]
		if !ok || string(value) == "null" {
			if inner.required {
				r.fault("Value null at '" + at + "' failed to satisfy constraint: Member must not be null")
			}
			continue
		}
		value, err := r.value(inner, value, at)
		if err != nil {
			return nil, err
		}
		if out.Len() > 1 {
			out.WriteByte(',')
		}
		out.WriteString(strconv.Quote(inner.name) + ":")
		out.Write(value)
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// under is how Lambda names a member in a refusal: "environment.variables".
func under(path, name string) string {
	name = strings.ToLower(name[:1]) + name[1:]
	if path == "" {
		return name
	}
	return path + "." + name
}

func (r *reading) fault(text string) { r.faults = append(r.faults, text) }

// value checks one value and gives what of it is known.
func (r *reading) value(m *member, raw json.RawMessage, path string) (json.RawMessage, error) {
	switch m.kind {
	case 'o':
		return r.object(m, raw, path)
	case 'l':
		return r.list(m, raw, path)
	case 'm':
		return r.mapping(m, raw, path)
	case 'b':
		if s := string(raw); s != "true" && s != "false" {
			return nil, serial(path)
		}
	case 'B':
		if raw[0] != '"' {
			return nil, serial(path)
		}
	case 's', 't':
		var s string
		if json.Unmarshal(raw, &s) != nil {
			return nil, serial(path)
		}
		for _, broken := range m.text(s) {
			r.fault("Value '" + clip(s) + "' at '" + path + "' failed to satisfy constraint: " + broken)
		}
	case 'i', 'f':
		n, err := strconv.ParseFloat(string(raw), 64)
		if err != nil || m.kind == 'i' && n != float64(int64(n)) {
			return nil, serial(path)
		}
		for _, broken := range m.within(n, "value") {
			r.fault("Value '" + string(raw) + "' at '" + path + "' failed to satisfy constraint: " + broken)
		}
	}
	return raw, nil
}

// text lists what a text breaks.
func (m *member) text(s string) (broken []string) {
	broken = m.within(float64(utf8.RuneCountInString(s)), "length")
	if m.words != nil && !slices.Contains(m.words, s) {
		broken = append(broken, "Member must satisfy enum value set: ["+strings.Join(m.words, ", ")+"]")
	}
	if m.pattern != nil && !m.pattern.fits(s) {
		broken = append(broken, "Member must satisfy regular expression pattern: "+m.pattern.source)
	}
	return broken
}

func (m *member) within(n float64, what string) (broken []string) {
	if m.high != nil && n > *m.high {
		broken = append(broken, "Member must have "+what+" less than or equal to "+strconv.FormatFloat(*m.high, 'f', -1, 64))
	}
	if m.low != nil && n < *m.low {
		broken = append(broken, "Member must have "+what+" greater than or equal to "+strconv.FormatFloat(*m.low, 'f', -1, 64))
	}
	return broken
}

// list checks a list. What its texts break is told of the list as a whole.
func (r *reading) list(m *member, raw json.RawMessage, path string) (json.RawMessage, error) {
	var items []json.RawMessage
	if json.Unmarshal(raw, &items) != nil || items == nil {
		return nil, serial(path)
	}
	for _, broken := range m.within(float64(len(items)), "length") {
		r.fault("Value '" + clip(string(raw)) + "' at '" + path + "' failed to satisfy constraint: " + broken)
	}
	for i, item := range items {
		if inner := m.inner[0]; inner.kind == 's' {
			var s string
			if json.Unmarshal(item, &s) != nil {
				return nil, serial(path)
			}
			if broken := inner.text(s); len(broken) > 0 {
				r.fault("Value '[" + clip(s) + "]' at '" + path + "' failed to satisfy constraint: Member must satisfy constraint: [" + strings.Join(broken, ", ") + "]")
			}
			continue
		}
		var err error
		if items[i], err = r.value(m.inner[0], item, path+"."+strconv.Itoa(i+1)+".member"); err != nil {
			return nil, err
		}
	}
	return json.Marshal(items)
}

// mapping checks a map. Its keys and values may be secrets and are not repeated.
func (r *reading) mapping(m *member, raw json.RawMessage, path string) (json.RawMessage, error) {
	var items map[string]json.RawMessage
	if json.Unmarshal(raw, &items) != nil || items == nil {
		return nil, serial(path)
	}
	said := map[string]bool{}
	for key, item := range items {
		var broken []string
		if broken = m.inner[0].text(key); len(broken) > 0 && !said[broken[0]] {
			r.fault("Value at '" + path + "' failed to satisfy constraint: Map keys must satisfy constraint: [" + strings.Join(broken, ", ") + "]")
			said[broken[0]] = true
		}
		if m.inner[1].kind == 's' {
			var s string
			if json.Unmarshal(item, &s) != nil {
				return nil, serial(path)
			}
			broken = m.inner[1].text(s)
		} else if _, err := r.value(m.inner[1], item, path); err != nil {
			return nil, err
		}
		if len(broken) > 0 && !said["value "+broken[0]] {
			r.fault("Value at '" + path + "' failed to satisfy constraint: Map value must satisfy constraint: [" + strings.Join(broken, ", ") + "]")
			said["value "+broken[0]] = true
		}
	}
	return raw, nil
}
