package template

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds of a template, before and after its aliases are expanded. CloudFormation takes 1 MB; a value is a scalar, a
// list or a mapping.
const (
	maxBytes  = 1 << 20
	maxDepth  = 64
	maxValues = 100_000
)

// text is the bytes of one file, with the place that was asked for last: places are asked for in order.
type text struct {
	file         string
	data         []byte
	offset       int // of the place below
	line, column int
}

// at gives the place of an offset that is not before the last one; columns count characters.
func (t *text) at(offset int) Position {
	for ; t.offset < min(offset, len(t.data)); t.offset++ {
		switch c := t.data[t.offset]; {
		case c == '\n':
			t.line, t.column = t.line+1, 0
		case utf8.RuneStart(c):
			t.column++
		}
	}
	return Position{t.file, t.line + 1, t.column + 1}
}

// reader is what the JSON and the YAML reader share: the bounds, and what was found.
type reader struct {
	found   Problems
	count   int
	stopped bool // by a bound: what follows is not read
}

// enter counts one value at a depth and reports whether it may be read.
func (r *reader) enter(at Position, depth int) bool {
	r.count++
	switch {
	case r.stopped:
	case depth > maxDepth:
		r.stop(at, "nested deeper than %d", maxDepth)
	case r.count > maxValues:
		r.stop(at, "more than %d values, aliases expanded", maxValues)
	}
	return !r.stopped
}

func (r *reader) stop(at Position, format string, args ...any) {
	if !r.stopped {
		r.stopped = true
		r.found.Add(at, "", "", format, args...)
	}
}

// jsonReader reads one JSON document that json.Valid has accepted.
type jsonReader struct {
	reader
	*text
	dec *json.Decoder
}

func parseJSON(t *text) (Value, Problems) {
	r := &jsonReader{text: t, dec: json.NewDecoder(bytes.NewReader(t.data))}
	r.dec.UseNumber()
	v := r.value(0)
	return v, r.found
}

// next gives the next token and where it begins.
func (r *jsonReader) next() (json.Token, Position) {
	from := int(r.dec.InputOffset())
	for from < len(r.data) && strings.IndexByte(" \t\r\n,:", r.data[from]) >= 0 {
		from++
	}
	at := r.at(from)
	tok, err := r.dec.Token()
	if err != nil {
		r.stop(at, "reading JSON: %v", err)
	}
	return tok, at
}

func (r *jsonReader) value(depth int) Value {
	tok, at := r.next()
	v := Value{At: at}
	if !r.enter(at, depth) {
		return v
	}
	switch tok := tok.(type) {
	case string:
		v.Kind, v.Text = String, tok
	case json.Number:
		v.Kind, v.Text = Number, tok.String()
	case bool:
		v.Kind, v.Text = Bool, strconv.FormatBool(tok)
	case json.Delim:
		if tok == '[' {
			r.list(&v, depth)
		} else {
			r.members(&v, depth)
		}
	}
	return v
}

func (r *jsonReader) list(v *Value, depth int) {
	v.Kind = List
	for !r.stopped && r.dec.More() {
		v.List = append(v.List, r.value(depth+1))
	}
	r.close()
}

func (r *jsonReader) members(v *Value, depth int) {
	v.Kind = Map
	seen := map[string]bool{}
	for !r.stopped && r.dec.More() {
		key, at := r.next()
		name, _ := key.(string)
		x := r.value(depth + 1)
		if seen[name] {
			r.found.Add(at, "", "keep one of them", "the key %q stands here a second time", name)
			continue
		}
		seen[name] = true
		v.Members = append(v.Members, Member{name, at, x})
	}
	r.close()
}

func (r *jsonReader) close() {
	if !r.stopped {
		r.next()
	}
}
