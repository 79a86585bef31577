package text

import (
	"encoding/json"
	"strings"
)

// Build makes the value of a JSON text that Scan has accepted: map[string]any, []any, string, json.Number, bool and nil.
// It checks nothing again, so it must see nothing else. Texts without escapes share the memory of body.
func Build(body []byte) any {
	b := &assembler{s: string(body)}
	return b.value()
}

type assembler struct {
	s string
	i int
}

// skip passes white space and gives the next byte.
func (b *assembler) skip() byte {
	for b.i < len(b.s) {
		switch c := b.s[b.i]; c {
		case ' ', '\t', '\n', '\r':
			b.i++
		default:
			return c
		}
	}
	return 0
}

func (b *assembler) value() any {
	switch b.skip() {
	case '{':
		return b.object()
	case '[':
		return b.array()
	case '"':
		return b.text()
	case 't':
		b.i += len("true")
		return true
	case 'f':
		b.i += len("false")
		return false
	case 'n':
		b.i += len("null")
		return nil
	}
	start := b.i
	for b.i < len(b.s) && strings.IndexByte("+-.eE0123456789", b.s[b.i]) >= 0 {
		b.i++
	}
	return json.Number(b.s[start:b.i])
}

func (b *assembler) object() any {
	m := map[string]any{}
	for b.i++; b.i < len(b.s); {
		switch b.skip() {
		case '}':
			b.i++
			return m
		case ',':
			b.i++
			b.skip()
		}
		name := b.text()
		b.skip()
		b.i++ // the colon
		m[name] = b.value()
	}
	return m
}

func (b *assembler) array() any {
	l := []any{}
	for b.i++; b.i < len(b.s); {
		switch b.skip() {
		case ']':
			b.i++
			return l
		case ',':
			b.i++
		}
		l = append(l, b.value())
	}
	return l
}

func (b *assembler) text() string {
	b.i++
	start, escaped := b.i, false
	for b.i < len(b.s) && b.s[b.i] != '"' {
		if b.s[b.i] == '\\' {
			escaped = true
			b.i++
		}
		b.i++
	}
	raw := b.s[start:min(b.i, len(b.s))]
	b.i++
	if escaped {
		return string(Unquote([]byte(raw)))
	}
	return raw
}
