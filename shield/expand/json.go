package expand

import (
	"bytes"
	"unicode/utf8"
)

// maxNesting is how deep objects and arrays go inside each other before a text is called too much.
const maxNesting = 64

// reader walks JSON as the most forgiving of its readers would: what is broken ends it, and what was read until then was
// given out.
type reader struct {
	x     *Expander
	b     []byte
	i     int
	depth int
}

// json gives the names and texts of v. whole is false when v is no JSON, or not to its end: then it is a text as well.
func (x *Expander) json(v []byte) (whole bool, err error) {
	if x.used.Depth > 0 || len(x.piece.path) > 0 || x.piece.top != "" {
		if err := x.enter("json", 0); err != nil {
			return false, err
		}
		defer x.leave()
	}
	r := &reader{x: x, b: v}
	if v[0] == '"' { // a quoted text: nothing is lost by giving it as it is, too
		if n, _ := r.span(); n == len(bytes.TrimRight(v, " \t\r\n")) && n > 2 {
			_, err := r.value()
			return false, err
		}
		return false, nil
	}
	ok, err := r.value()
	r.space()
	return ok && r.i == len(r.b), err
}

func (r *reader) space() {
	for r.i < len(r.b) && (r.b[r.i] == ' ' || r.b[r.i] == '\t' || r.b[r.i] == '\n' || r.b[r.i] == '\r') {
		r.i++
	}
}

func (r *reader) next(c byte) bool {
	r.space()
	if r.i < len(r.b) && r.b[r.i] == c {
		r.i++
		return true
	}
	return false
}

func (r *reader) value() (ok bool, err error) {
	r.space()
	if r.i == len(r.b) {
		return false, nil
	}
	switch c := r.b[r.i]; c {
	case '{', '[':
		if r.depth++; r.depth > maxNesting {
			return false, r.x.beyond("objects and arrays inside each other", maxNesting)
		}
		r.i++
		if c == '{' {
			ok, err = r.object()
		} else {
			ok, err = r.array()
		}
		r.depth--
		return ok, err
	case '"':
		v, ok := r.text()
		if !ok {
			return false, nil
		}
		return true, r.x.value(v, Text)
	}
	return r.scalar(), nil
}

// scalar skips numbers and words; a single dash or letter soup is no JSON.
func (r *reader) scalar() bool {
	start := r.i
	for r.i < len(r.b) {
		c := r.b[r.i]
		if c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || c == '-' || c == '+' || c == '.' {
			r.i++
			continue
		}
		break
	}
	switch word := string(r.b[start:min(r.i, start+10)]); word {
	case "true", "false", "null", "NaN", "Infinity", "-Infinity":
		return true
	default:
		return len(word) > 0 && (word[0] >= '0' && word[0] <= '9' || len(word) > 1 && word[0] == '-' && word[1] >= '0' && word[1] <= '9')
	}
}

func (r *reader) object() (bool, error) {
	if r.next('}') {
		return true, nil
	}
	for {
		r.space()
		if r.i == len(r.b) || r.b[r.i] != '"' {
			return false, nil
		}
		name, ok := r.text()
		if !ok {
			return false, nil
		}
		if done, err := r.member(name); !done || err != nil {
			return false, err
		}
		if r.next(',') {
			continue
		}
		return r.next('}'), nil
	}
}

func (r *reader) member(name []byte) (bool, error) {
	x := r.x
	x.piece.path = append(x.piece.path, step{name: name})
	defer func() { x.piece.path = x.piece.path[:len(x.piece.path)-1] }()
	if Telling(name) {
		if err := x.value(name, Name); err != nil {
			return false, err
		}
	}
	if !r.next(':') {
		return false, nil
	}
	return r.value()
}

func (r *reader) array() (bool, error) {
	if r.next(']') {
		return true, nil
	}
	x := r.x
	for n := 0; ; n++ {
		x.piece.path = append(x.piece.path, step{item: n})
		ok, err := r.value()
		x.piece.path = x.piece.path[:len(x.piece.path)-1]
		if !ok || err != nil {
			return false, err
		}
		if r.next(',') {
			continue
		}
		return r.next(']'), nil
	}
}

// span is the length of the string at the reader, quotes included, and whether it holds escapes; 0 when it does not end.
func (r *reader) span() (n int, escaped bool) {
	for i := r.i + 1; i < len(r.b); i++ {
		switch r.b[i] {
		case '"':
			return i + 1 - r.i, escaped
		case '\\':
			escaped = true
			i++
		}
	}
	return 0, escaped
}

func (r *reader) text() ([]byte, bool) {
	n, escaped := r.span()
	if n == 0 {
		return nil, false
	}
	v := r.b[r.i+1 : r.i+n-1]
	r.i += n
	if escaped {
		v, _ = unescape(v, true)
	}
	return v, true
}

// Telling reports whether a name can be more than a name: one of plain letters and digits cannot, but for those that reach
// into the prototypes of JavaScript.
func Telling(name []byte) bool {
	if len(name) > 64 || !utf8.Valid(name) {
		return true
	}
	if Traits(name)&^(Minus|Under) != 0 {
		return true
	}
	switch string(name) {
	case "__proto__", "constructor", "prototype":
		return true
	}
	return false
}
