// Package infer learns contracts from traffic: it looks at requests and answers, keeps what they have in common, and writes
// it as an OpenAPI 3.1 document that all of them pass. What it keeps are shapes: kinds, lengths, formats, names of members.
// Values are kept where they look like words of a fixed list, until there turn out to be many, and nowhere else. It is pure:
// no clock, no I/O.
package infer

import (
	"encoding/json"
	"math/big"
	"net/mail"
	"net/netip"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds of what is kept of one operation.
const (
	maxDepth = 16
	maxNodes = 2000
	maxNames = 100 // of one object; more are a map
	maxWords = 8   // of one list
	enough   = 20  // values, before what they have in common is taken for a rule
	often    = 5   // times that each word of a list was seen
)

// The formats that texts can have in common.
const (
	isUUID uint16 = 1 << iota
	isDate
	isTime
	isIPv4
	isEmail
	isNumber
	isBool
	allFormats = 1<<iota - 1
)

// The classes of characters in texts.
const (
	lower uint8 = 1 << iota
	upper
	digit
	dash
	underscore
	colon
	other
)

// shape is what the values at one place have in common.
type shape struct {
	seen                      int
	nulls, bools, ints, fracs int
	texts, arrays, objects    int
	negative                  bool
	big                       bool // beyond 53 bits
	minLen, maxLen            int
	formats                   uint16
	classes                   uint8
	words                     map[string]int // nil: not a list of words
	wordy                     bool
	private                   bool
	minItems, maxItems        int
	items                     *shape
	props                     map[string]*prop
	others                    *shape // of members whose names say nothing; nil: there were none
	open                      bool   // too deep, or too much: nothing is known below
}

type prop struct {
	shape *shape
	seen  int
}

// budget is how many shapes may still be made.
type budget struct{ left int }

func (b *budget) shape(name string) *shape {
	b.left--
	private := personal(name)
	return &shape{formats: allFormats, wordy: !private, private: private, open: b.left < 0}
}

// personal reports whether a name is one whose values are nobody's business.
func personal(name string) bool {
	name = strings.ToLower(name)
	for _, word := range [...]string{"name", "mail", "pass", "secret", "token", "key", "phone", "street", "city", "address", "birth", "user", "customer", "auth", "session", "iban", "card", "ssn", "note", "text", "comment", "title"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}

// see adds one value of text.Build's types.
func (s *shape) see(b *budget, v any, depth int) {
	s.seen++
	if s.open || depth > maxDepth {
		s.open = true
		return
	}
	switch v := v.(type) {
	case nil:
		s.nulls++
	case bool:
		s.bools++
	case json.Number:
		s.number(string(v))
	case string:
		s.text(v)
	case []any:
		s.array(b, v, depth)
	case map[string]any:
		s.object(b, v, depth)
	}
}

func (s *shape) number(v string) {
	r, ok := new(big.Rat).SetString(v)
	switch {
	case !ok:
		s.open = true
	case r.IsInt():
		s.ints++
	default:
		s.fracs++
	}
	if ok {
		s.negative = s.negative || r.Sign() < 0
		s.big = s.big || r.Num().BitLen() > 53
	}
}

// word is what may stand in a list: letters, as people name choices. A number or a token is none.
var word = regexp.MustCompile(`^[A-Za-z][A-Za-z_-]{0,19}$`)

func (s *shape) text(v string) {
	n := utf8.RuneCountInString(v)
	if s.texts == 0 || n < s.minLen {
		s.minLen = n
	}
	s.maxLen = max(s.maxLen, n)
	s.texts++
	s.formats &= formatsOf(v)
	for _, r := range v {
		s.classes |= classOf(r)
	}
	if !s.wordy {
		return
	}
	if _, known := s.words[v]; !known && (len(s.words) == maxWords || !word.MatchString(v)) {
		s.wordy, s.words = false, nil
		return
	}
	if s.words == nil {
		s.words = map[string]int{}
	}
	s.words[v]++
}

func classOf(r rune) uint8 {
	switch {
	case r >= 'a' && r <= 'z':
		return lower
	case r >= 'A' && r <= 'Z':
		return upper
	case r >= '0' && r <= '9':
		return digit
	case r == '-':
		return dash
	case r == '_':
		return underscore
	case r == ':':
		return colon
	}
	return other
}

var uuid = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)

// formatsOf is narrower than the checks of the same names, so that what it finds passes them.
func formatsOf(v string) (f uint16) {
	if len(v) > 100 {
		return 0
	}
	if uuid.MatchString(v) {
		f |= isUUID
	}
	if _, err := time.Parse(time.DateOnly, v); err == nil {
		f |= isDate
	}
	if _, err := time.Parse("2006-01-02T15:04:05Z07:00", v); err == nil && len(v) <= len("2006-01-02T15:04:05.000000000+00:00") && strings.IndexByte(v, ',') < 0 {
		f |= isTime
	}
	if a, err := netip.ParseAddr(v); err == nil && a.Is4() {
		f |= isIPv4
	}
	if a, err := mail.ParseAddress(v); err == nil && a.Address == v && plainMail.MatchString(v) {
		f |= isEmail
	}
	if json.Valid([]byte(v)) && v != "" && (v[0] == '-' || v[0] >= '0' && v[0] <= '9') && len(v) <= 18 && !strings.ContainsAny(v, "eE") {
		f |= isNumber
	}
	if v == "true" || v == "false" {
		f |= isBool
	}
	return f
}

var plainMail = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*@([a-z0-9]+(-[a-z0-9]+)*\.)+[a-z]{2,20}$`)

func (s *shape) array(b *budget, v []any, depth int) {
	if s.arrays == 0 || len(v) < s.minItems {
		s.minItems = len(v)
	}
	s.maxItems = max(s.maxItems, len(v))
	s.arrays++
	if s.items == nil {
		s.items = b.shape("")
		s.items.private = s.private
		s.items.wordy = !s.private
	}
	for _, x := range v {
		s.items.see(b, x, depth+1)
	}
}

// name is what the name of a member looks like. Others are keys of a map: they are not kept.
var name = regexp.MustCompile(`^[A-Za-z_$@][A-Za-z_.$@-]*[0-9]{0,3}$`)

func (s *shape) object(b *budget, v map[string]any, depth int) {
	s.objects++
	if s.props == nil {
		s.props = map[string]*prop{}
	}
	for key, x := range v {
		p := s.props[key]
		if p == nil && (len(s.props) >= maxNames || len(key) > 40 || !name.MatchString(key) || b.left <= 0) {
			if s.others == nil {
				s.others = b.shape("")
				s.others.wordy, s.others.private = false, true
			}
			s.others.see(b, x, depth+1)
			continue
		}
		if p == nil {
			p = &prop{shape: b.shape(key)}
			s.props[key] = p
		}
		p.seen++
		p.shape.see(b, x, depth+1)
	}
}
