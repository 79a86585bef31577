package schema

import (
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"

	"casemate/shield/text"
)

// Document is a JSON or YAML document that schemas are compiled from. It is not changed by compiling.
type Document struct {
	Root  map[string]any // as Plain gives it
	lines *yaml.Node
}

// Read parses a document within the bounds of ParseYAML. A document that is not an object is an error.
func Read(data []byte) (*Document, error) {
	n, err := text.ParseYAML(data)
	if err != nil {
		return nil, err
	}
	v, err := text.Plain(n)
	if err != nil {
		return nil, err
	}
	root, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("the document is not an object")
	}
	return &Document{Root: root, lines: n}, nil
}

// Find resolves a JSON pointer.
func (d *Document) Find(ptr string) (any, bool) { return find(d.Root, ptr) }

// Object is what is at ptr, behind references to other places of the document, at most eight of them, with the pointer
// where it really is.
func (d *Document) Object(ptr string) (m map[string]any, at string, err error) {
	for range 8 {
		v, ok := find(d.Root, ptr)
		if m, _ = v.(map[string]any); !ok || m == nil {
			return nil, "", fmt.Errorf("there is no object at %s", d.Place(ptr))
		}
		ref, is := m["$ref"].(string)
		if !is {
			return m, ptr, nil
		}
		to, err := target(ref)
		if err != nil {
			return nil, "", fmt.Errorf("%s: %w", d.Place(ptr), err)
		}
		ptr = to
	}
	return nil, "", fmt.Errorf("%s: a reference leads to a reference, without end", d.Place(ptr))
}

// Place names a pointer for people: with its line, where it has one.
func (d *Document) Place(ptr string) string {
	if line := d.Line(ptr); line > 1 {
		return fmt.Sprintf("%s (line %d)", place(ptr), line)
	}
	return place(ptr)
}

// Line is the line of the deepest part of ptr that is there, counted from 1.
func (d *Document) Line(ptr string) int {
	n := d.lines
	if ptr == "" || n == nil {
		return 1
	}
	line := n.Line
	for _, tok := range strings.Split(ptr[1:], "/") {
		key, next := unescape(tok), (*yaml.Node)(nil)
		for i, c := range n.Content {
			if n.Kind == yaml.MappingNode && i%2 == 0 && c.Value == key {
				next, line = n.Content[i+1], c.Line
			}
			if n.Kind == yaml.SequenceNode && fmt.Sprint(i) == tok {
				next, line = c, c.Line
			}
		}
		if n = next; n == nil {
			break
		}
	}
	return line
}

// Escape writes a key as a token of a JSON pointer.
func Escape(key string) string { return escape(key) }

// copyOf is a deep copy of a tree of Plain.
func copyOf(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, x := range v {
			m[k] = copyOf(x)
		}
		return m
	case []any:
		l := make([]any, len(v))
		for i, x := range v {
			l[i] = copyOf(x)
		}
		return l
	}
	return v
}
