package schema

import (
	"encoding/json"
	"math/big"
	"strconv"
	"unicode/utf8"

	"casemate"
	"casemate/shield/text"
)

// walker holds a text that Scan has taken to a node, and gathers what is left free.
type walker struct {
	b    []byte
	i    int
	in   string
	free []casemate.Field
	at   []step // where it stands
	over bool   // more is free than is told one by one
	any  node   // of a value that no schema says anything about
}

// step is one part of the pointer: a name as it stands in the text, or an index.
type step struct {
	name  []byte
	index int
}

func (w *walker) space() byte {
	for w.i < len(w.b) {
		switch c := w.b[w.i]; c {
		case ' ', '\t', '\n', '\r':
			w.i++
		default:
			return c
		}
	}
	return 0
}

// value reports whether the value here is what n takes, and goes behind it.
func (w *walker) value(n *node) bool {
	if n.never {
		return false
	}
	c := w.space()
	if n.forms != nil {
		f := n.form(kindAt(c))
		return f != nil && w.value(f)
	}
	start := w.i
	switch c {
	case '{':
		return n.of(isObject) && len(n.enums) == 0 && w.object(n)
	case '[':
		return n.of(isArray) && len(n.enums) == 0 && w.array(n)
	case '"':
		return n.of(isText) && w.text(n)
	case 't':
		w.i += len("true")
		return n.of(isBool) && n.word("true")
	case 'f':
		w.i += len("false")
		return n.of(isBool) && n.word("false")
	case 'n':
		w.i += len("null")
		return n.of(isNull) && n.word("null")
	}
	for w.i < len(w.b) && numeric(w.b[w.i]) {
		w.i++
	}
	return n.number(w.b[start:w.i])
}

// kindAt is the kind of the value that begins with c.
func kindAt(c byte) uint8 {
	switch c {
	case '{':
		return isObject
	case '[':
		return isArray
	case '"':
		return isText
	case 't', 'f':
		return isBool
	case 'n':
		return isNull
	}
	return isNumber
}

// form is the one that values of the kind have.
func (n *node) form(kind uint8) *node {
	for i := range n.forms {
		if n.forms[i].kinds&kind != 0 {
			return n.forms[i].node
		}
	}
	return nil
}

func numeric(c byte) bool {
	return c >= '0' && c <= '9' || c == '-' || c == '+' || c == '.' || c|0x20 == 'e'
}

func (n *node) of(kind uint8) bool { return n.types == 0 || n.types&kind != 0 }

// word holds true, false and null to the lists of values.
func (n *node) word(s string) bool {
	for _, list := range n.enums {
		found := false
		for _, e := range list {
			found = found || !e.text && e.of == s
		}
		if !found {
			return false
		}
	}
	return true
}

func (w *walker) object(n *node) bool {
	w.i++
	var seen uint64
	count := 0
	for {
		switch w.space() {
		case '}':
			w.i++
			return seen == n.required && count >= n.minProps && (n.maxProps < 0 || count <= n.maxProps)
		case ',':
			w.i++
			w.space()
		}
		raw, escaped := w.quoted()
		name := raw
		if escaped {
			name = text.Unquote(raw)
		}
		w.space()
		w.i++ // the colon
		count++
		m, known := n.props[string(name)]
		if known {
			seen |= m.required
		} else if n.sealed {
			return false
		} else if m.node = n.others; m.node == nil {
			m.node = &w.any
		}
		w.at = append(w.at, step{name: name})
		if !known { // a name that the caller chose
			w.leave(name)
		}
		if !w.value(m.node) {
			return false
		}
		w.at = w.at[:len(w.at)-1]
	}
}

func (w *walker) array(n *node) bool {
	w.i++
	items, count := n.items, 0
	if items == nil {
		items = &w.any
	}
	for {
		switch w.space() {
		case ']':
			w.i++
			return count >= n.minItems && (n.maxItems < 0 || count <= n.maxItems)
		case ',':
			w.i++
		}
		w.at = append(w.at, step{index: count})
		count++
		if !w.value(items) {
			return false
		}
		w.at = w.at[:len(w.at)-1]
	}
}

// quoted gives what is between the quotes here.
func (w *walker) quoted() (raw []byte, escaped bool) {
	w.i++
	start := w.i
	for w.b[w.i] != '"' {
		if w.b[w.i] == '\\' {
			escaped = true
			w.i++
		}
		w.i++
	}
	w.i++
	return w.b[start : w.i-1], escaped
}

func (w *walker) text(n *node) bool {
	raw, escaped := w.quoted()
	if escaped {
		raw = text.Unquote(raw)
	}
	if !n.text(raw) {
		return false
	}
	if !n.closed {
		w.leave(raw)
	}
	return true
}

// leave notes a value that is free.
func (w *walker) leave(value []byte) {
	if w.over = len(w.free) >= maxFree; w.over {
		return
	}
	if w.free == nil {
		w.free = make([]casemate.Field, 0, 4)
	}
	w.free = append(w.free, casemate.Field{In: w.in, Name: w.pointer(), Value: value})
}

func (w *walker) pointer() string {
	var room [64]byte
	b := room[:0]
	for _, s := range w.at {
		b = append(b, '/')
		if s.name == nil {
			b = strconv.AppendInt(b, int64(s.index), 10)
		} else if b = append(b, s.name...); !simple(s.name) {
			return w.careful()
		}
		if len(b) > 48 {
			return w.careful()
		}
	}
	return string(b)
}

// simple reports whether a name stands in a pointer as it is.
func simple(name []byte) bool {
	for _, c := range name {
		if c <= ' ' || c >= 0x7f || c == '/' || c == '~' {
			return false
		}
	}
	return true
}

// careful writes a pointer that is long, or holds what somebody chose.
func (w *walker) careful() string {
	toks := make([]string, len(w.at))
	for i, s := range w.at {
		if toks[i] = string(s.name); s.name == nil {
			toks[i] = strconv.Itoa(s.index)
		}
	}
	return text.Pointer(toks)
}

// text reports whether n takes a text, decoded.
func (n *node) text(s []byte) bool {
	for _, list := range n.enums {
		found := false
		for _, e := range list {
			found = found || e.text && e.of == string(s)
		}
		if !found {
			return false
		}
	}
	if n.minLen > 0 || n.maxLen >= 0 {
		if l := utf8.RuneCount(s); l < n.minLen || n.maxLen >= 0 && l > n.maxLen {
			return false
		}
	}
	for _, p := range n.patterns {
		if !p.Match(s) {
			return false
		}
	}
	for _, f := range n.formats {
		if f.Name == "uuid" {
			if !isUUID(s) {
				return false
			}
		} else if f.Validate(string(s)) != nil {
			return false
		}
	}
	return true
}

// isUUID reports whether s is a UUID in the form of RFC 9562 section 4.
func isUUID(s []byte) bool {
	if len(s) != 36 {
		return false
	}
	for i, c := range s {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (c == '-') || !dash && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
			return false
		}
	}
	return true
}

// number reports whether n takes a number, as it stands in the text.
func (n *node) number(s []byte) bool {
	if len(n.enums) > 0 || !n.of(isNumber) {
		return false
	}
	if i, ok := whole(s); ok {
		if !n.of(isInteger) {
			return false
		}
		for _, b := range n.bounds {
			if b.fits && !b.small64(i) || !b.fits && !b.big(new(big.Rat).SetInt64(i)) {
				return false
			}
		}
		for _, f := range n.formats {
			if f.Name == "int32" && i != int64(int32(i)) {
				return false
			}
		}
		return true
	}
	r, ok := new(big.Rat).SetString(string(s))
	if !ok || r.IsInt() && !n.of(isInteger) || !r.IsInt() && !n.of(isFraction) {
		return false
	}
	for _, b := range n.bounds {
		if !b.big(r) {
			return false
		}
	}
	for _, f := range n.formats {
		if f.Validate(json.Number(s)) != nil {
			return false
		}
	}
	return true
}

// whole reads a plain whole number that fits easily.
func whole(s []byte) (v int64, ok bool) {
	digits := s
	if len(s) > 0 && s[0] == '-' {
		digits = s[1:]
	}
	if len(digits) == 0 || len(digits) > 18 {
		return 0, false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		v = v*10 + int64(c-'0')
	}
	if len(digits) < len(s) {
		v = -v
	}
	return v, true
}

func (b *bound) small64(v int64) bool {
	switch {
	case b.multiple:
		return v%b.small == 0
	case b.exclusive && b.upper:
		return v < b.small
	case b.exclusive:
		return v > b.small
	case b.upper:
		return v <= b.small
	}
	return v >= b.small
}

func (b *bound) big(r *big.Rat) bool {
	if b.multiple {
		return new(big.Rat).Quo(r, b.rat).IsInt()
	}
	c := r.Cmp(b.rat)
	switch {
	case b.exclusive && b.upper:
		return c < 0
	case b.exclusive:
		return c > 0
	case b.upper:
		return c <= 0
	}
	return c >= 0
}
