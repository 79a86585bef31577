package expand

import (
	"bytes"
)

// looksForm reports whether all of v is name=value pairs.
func looksForm(v []byte) bool {
	if v[0] == '-' { // --config=/etc/app.yaml is an option
		return false
	}
	pairs := 0
	for part := range bytes.SplitSeq(v, []byte("&")) {
		eq := bytes.IndexByte(part, '=')
		if eq <= 0 || eq > 64 || eq == len(part)-1 && pairs == 0 && len(v) == len(part) { // "abc=" is base64 as well
			return false
		}
		for _, c := range part[:eq] {
			if c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || bytes.IndexByte([]byte("_-.[]$%:"), c) >= 0 {
				continue
			}
			return false
		}
		if rest := part[eq+1:]; len(rest) > 0 && len(bytes.Trim(rest, "=")) == 0 {
			return false
		}
		pairs++
	}
	return pairs > 0
}

// form gives the names and values of an application/x-www-form-urlencoded text.
func (x *Expander) form(v []byte) error {
	for part := range bytes.SplitSeq(v, []byte("&")) {
		name, value, _ := bytes.Cut(part, []byte("="))
		name, value = unform(name), unform(value)
		if err := x.pair(name, value); err != nil {
			return err
		}
	}
	return nil
}

func (x *Expander) pair(name, value []byte) error {
	x.piece.path = append(x.piece.path, step{name: name})
	defer func() { x.piece.path = x.piece.path[:len(x.piece.path)-1] }()
	if Telling(name) {
		if err := x.value(name, Name); err != nil {
			return err
		}
	}
	return x.value(value, Text)
}

func unform(v []byte) []byte {
	if bytes.IndexByte(v, '+') >= 0 {
		v = bytes.ReplaceAll(v, []byte("+"), []byte(" "))
	}
	if out, ok := unpercent(v); ok {
		return out
	}
	return v
}
