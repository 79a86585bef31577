package text

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"casemate"
)

// Bounds limit a JSON text before anything is built from it. A zero field means the default, never "unlimited".
type Bounds struct {
	Depth        int // objects and arrays inside each other
	Members      int // of one object
	Items        int // of one array
	StringBytes  int // of one string, as sent; names count as strings
	NumberDigits int // characters of one number; the exponent has at most 3 digits whatever this says
	Tokens       int // values and names in all
}

// DefaultBounds fit any sane request of Lambda's 6 MB.
func DefaultBounds() Bounds {
	return Bounds{Depth: 32, Members: 1000, Items: 10_000, StringBytes: 6 << 20, NumberDigits: 64, Tokens: 200_000}
}

func (b Bounds) orDefault() Bounds {
	d := DefaultBounds()
	for _, f := range [...]struct{ have, want *int }{{&b.Depth, &d.Depth}, {&b.Members, &d.Members}, {&b.Items, &d.Items},
		{&b.StringBytes, &d.StringBytes}, {&b.NumberDigits, &d.NumberDigits}, {&b.Tokens, &d.Tokens}} {
		if *f.have <= 0 {
			*f.have = *f.want
		}
	}
	return b
}

// Scan reads body once, building nothing, and refuses everything that parsers behind it could read in two ways or choke
// on: broken JSON (RFC 8259), bad UTF-8, lone surrogates, two equal names in one object, trailing data (Invalid), and
// what is beyond the bounds (TooLarge). The error's Field is the JSON pointer of the place.
func Scan(body []byte, b Bounds) error {
	s := scanner{b: body, lim: b.orDefault()}
	s.frames, s.names = s.frameRoom[:0], s.nameRoom[:0]
	if err := s.value(); err != nil {
		return err
	}
	for len(s.frames) > 0 {
		if err := s.next(); err != nil {
			return err
		}
	}
	s.space()
	if s.i < len(s.b) {
		return s.broken("no data behind the value")
	}
	return nil
}

// frame is one open object or array.
type frame struct {
	object bool
	n      int                 // members or items begun
	base   int                 // where its names start in scanner.names
	seen   map[string]struct{} // its names, once there are many
}

// few is how many names are compared one by one before a map pays.
const few = 12

type scanner struct {
	b      []byte
	i      int
	lim    Bounds
	tokens int
	frames []frame
	names  [][]byte // of all open objects, as decoded

	frameRoom [8]frame
	nameRoom  [24][]byte
}

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

func (s *scanner) peek() byte {
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

// value reads a scalar, or opens an object or array.
func (s *scanner) value() error {
	if s.tokens++; s.tokens > s.lim.Tokens {
		return s.beyond("values", s.lim.Tokens)
	}
	s.space()
	switch c := s.peek(); {
	case c == '"':
		_, _, err := s.text()
		return err
	case c == '{', c == '[':
		if len(s.frames) >= s.lim.Depth {
			return s.beyond("depth", s.lim.Depth)
		}
		s.i++
		s.frames = append(s.frames, frame{object: c == '{', base: len(s.names)})
		return nil
	case c == '-', c >= '0' && c <= '9':
		return s.number()
	case c == 't':
		return s.word("true")
	case c == 'f':
		return s.word("false")
	case c == 'n':
		return s.word("null")
	}
	return s.broken("a JSON value")
}

func (s *scanner) word(w string) error {
	if len(s.b)-s.i < len(w) || string(s.b[s.i:s.i+len(w)]) != w {
		return s.broken("a JSON value")
	}
	s.i += len(w)
	return nil
}

// next goes on in the innermost open container: its end, or its next member or item.
func (s *scanner) next() error {
	f := &s.frames[len(s.frames)-1]
	s.space()
	c, end := s.peek(), byte(']')
	if f.object {
		end = '}'
	}
	if c == end && s.i < len(s.b) {
		s.i++
		s.names = s.names[:f.base]
		s.frames = s.frames[:len(s.frames)-1]
		return nil
	}
	if f.n > 0 {
		if c != ',' {
			return s.broken("a comma or the end of the container")
		}
		s.i++
	}
	f.n++
	if f.object {
		return s.member(f)
	}
	if f.n > s.lim.Items {
		return s.beyond("items", s.lim.Items)
	}
	return s.value()
}

func (s *scanner) member(f *frame) error {
	if f.n > s.lim.Members {
		return s.beyond("members", s.lim.Members)
	}
	s.space()
	if s.peek() != '"' {
		return s.broken("a name in quotes")
	}
	if s.tokens++; s.tokens > s.lim.Tokens {
		return s.beyond("values", s.lim.Tokens)
	}
	raw, escaped, err := s.text()
	if err != nil {
		return err
	}
	if escaped {
		raw = Unquote(raw)
	}
	if s.known(f, raw) {
		s.names = append(s.names, raw)
		return s.fail(casemate.Invalid, "unique names", "a name stands twice in one object", "send each name once")
	}
	s.names = append(s.names, raw)
	s.space()
	if s.peek() != ':' {
		return s.broken("a colon")
	}
	s.i++
	return s.value()
}

// known reports whether the object already has the name; many names are kept in a map.
func (s *scanner) known(f *frame, name []byte) bool {
	mine := s.names[f.base:]
	if len(mine) < few {
		for _, n := range mine {
			if bytes.Equal(n, name) {
				return true
			}
		}
		return false
	}
	if f.seen == nil {
		f.seen = make(map[string]struct{}, 2*few)
		for _, n := range mine {
			f.seen[string(n)] = struct{}{}
		}
	}
	if _, ok := f.seen[string(name)]; ok {
		return true
	}
	f.seen[string(name)] = struct{}{}
	return false
}

// text reads a string and gives what is between its quotes, and whether it has escapes.
func (s *scanner) text() (raw []byte, escaped bool, err error) {
	s.i++
	start := s.i
	b := s.b
	for i := start; i < len(b); {
		c := b[i]
		switch {
		case c == '"':
			s.i = i + 1
			if i-start > s.lim.StringBytes {
				return nil, false, s.beyond("string bytes", s.lim.StringBytes)
			}
			return b[start:i], escaped, nil
		case c == '\\':
			escaped = true
			n := escapeLen(b[i:])
			if n == 0 {
				s.i = i
				return nil, false, s.broken("a valid escape")
			}
			i += n
		case c < ' ':
			s.i = i
			return nil, false, s.broken("no control character in a string")
		case c < utf8.RuneSelf:
			i++
		default:
			r, n := utf8.DecodeRune(b[i:])
			if r == utf8.RuneError && n == 1 {
				s.i = i
				return nil, false, s.broken("valid UTF-8")
			}
			i += n
		}
	}
	s.i = len(b)
	return nil, false, s.broken("the end of a string")
}

// escapeLen is the length of the escape at the start of b, 0 when it is none. A surrogate must come as a pair: half of
// one has no UTF-8, and parsers disagree on what to make of it.
func escapeLen(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		r, ok := hex4(b[2:])
		if !ok || r >= 0xdc00 && r < 0xe000 {
			return 0
		}
		if r < 0xd800 || r >= 0xe000 {
			return 6
		}
		if len(b) < 12 || b[6] != '\\' || b[7] != 'u' {
			return 0
		}
		if low, ok := hex4(b[8:]); ok && low >= 0xdc00 && low < 0xe000 {
			return 12
		}
	}
	return 0
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	return Hex(b[:4])
}

// Hex reads hexadecimal digits, in either case; of more than eight only the last count. Anything else among them is not ok.
func Hex(digits []byte) (r rune, ok bool) {
	for _, c := range digits {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// Unquote decodes the escapes of a string that text has accepted.
func Unquote(raw []byte) []byte {
	var v string
	if json.Unmarshal(append(append([]byte{'"'}, raw...), '"'), &v) != nil {
		return raw
	}
	return []byte(v)
}

// number reads a number. Its length and exponent are bounded because exact arithmetic on 1e999999999 never ends.
func (s *scanner) number() error {
	start := s.i
	if s.peek() == '-' {
		s.i++
	}
	if s.peek() == '0' {
		s.i++
	} else if s.digits() == 0 {
		return s.broken("a digit")
	}
	if s.peek() == '.' {
		s.i++
		if s.digits() == 0 {
			return s.broken("a digit")
		}
	}
	exp := 0
	if s.peek()|0x20 == 'e' {
		s.i++
		if c := s.peek(); c == '+' || c == '-' {
			s.i++
		}
		if exp = s.digits(); exp == 0 {
			return s.broken("a digit")
		}
	}
	if s.i-start > s.lim.NumberDigits {
		return s.beyond("number digits", s.lim.NumberDigits)
	}
	if exp > 3 {
		return s.beyond("exponent digits", 3)
	}
	if exp == 3 || s.i-start > 300 { // RFC 8259 section 6: others read infinity where IEEE 754 has no such number
		if f, _ := strconv.ParseFloat(string(s.b[start:s.i]), 64); math.IsInf(f, 0) {
			return s.fail(casemate.TooLarge, ruleDouble, "a number is larger than readers of JSON agree on", "send it as text")
		}
	}
	return nil
}

const ruleDouble = "number within IEEE 754 double"

func (s *scanner) digits() int {
	start := s.i
	for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
		s.i++
	}
	return s.i - start
}

func (s *scanner) broken(want string) error {
	if s.i >= len(s.b) {
		return s.fail(casemate.Invalid, "JSON: "+want, "the JSON text ends too early", "send the whole body")
	}
	return s.fail(casemate.Invalid, "JSON: "+want, fmt.Sprintf("the JSON text is broken at byte %d", s.i),
		"send well-formed JSON (RFC 8259) in UTF-8")
}

func (s *scanner) beyond(what string, limit int) error {
	return s.fail(casemate.TooLarge, fmt.Sprintf("%s <= %d", what, limit), "the JSON text has more "+what+" than are taken",
		"split the request")
}

func (s *scanner) fail(c casemate.Code, rule, message, hint string) error {
	return &casemate.Error{Code: c, Field: s.pointer(), Rule: rule, Message: message, Hint: hint}
}

// pointer is where the scanner stands. Names are the caller's own text: they are cut and made printable.
func (s *scanner) pointer() string {
	var toks []string
	for k, f := range s.frames {
		end := len(s.names)
		if k+1 < len(s.frames) {
			end = s.frames[k+1].base
		}
		switch {
		case f.n == 0:
		case !f.object:
			toks = append(toks, strconv.Itoa(f.n-1))
		case end-f.base == f.n: // the name of the member was read
			toks = append(toks, string(s.names[end-1]))
		}
	}
	return Pointer(toks)
}

// Bounds of a pointer in an error.
const (
	maxPointerTokens = 12
	maxPointerToken  = 48
)

// Pointer writes a JSON pointer (RFC 6901) that is safe to print: long ones are cut, control characters replaced.
func Pointer(toks []string) string {
	var b strings.Builder
	for i, t := range toks {
		if i == maxPointerTokens {
			b.WriteString("/...")
			break
		}
		if len(t) > maxPointerToken {
			t = strings.ToValidUTF8(t[:maxPointerToken], "") + "..."
		}
		b.WriteByte('/')
		for _, r := range t {
			switch {
			case r == '~':
				b.WriteString("~0")
			case r == '/':
				b.WriteString("~1")
			case strconv.IsPrint(r):
				b.WriteRune(r)
			default:
				b.WriteRune('\uFFFD')
			}
		}
	}
	return b.String()
}
