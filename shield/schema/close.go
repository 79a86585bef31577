package schema

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Where a keyword's schemas apply.
type position uint8

const (
	nowhere   position = iota // not a schema
	child                     // to a part of the value: its own place, closed on its own
	inPlace                   // to the value itself: closed together with what holds it
	reversed                  // to decide something: never closed, or the decision would change
	shelf                     // to nothing until referred to
	outermost                 // to the value that is checked
)

type shape uint8

const (
	one shape = iota
	list
	named
)

type keyword struct {
	at position
	as shape
}

// keywords is every keyword of JSON Schema 2020-12 that is taken, with OpenAPI 3.1's annotations. A keyword that is not
// here is an error: it would check nothing, in silence.
func keywords() map[string]keyword {
	m := map[string]keyword{
		"properties": {child, named}, "patternProperties": {child, named}, "additionalProperties": {child, one},
		"unevaluatedProperties": {child, one}, "items": {child, one}, "prefixItems": {child, list},
		"unevaluatedItems": {child, one}, "propertyNames": {child, one},
		"allOf": {inPlace, list}, "anyOf": {inPlace, list}, "oneOf": {inPlace, list}, "then": {inPlace, one},
		"else": {inPlace, one}, "dependentSchemas": {inPlace, named},
		"if": {reversed, one}, "not": {reversed, one}, "contains": {reversed, one}, "contentSchema": {reversed, one},
		"$defs": {shelf, named}, "definitions": {shelf, named},
	}
	for _, k := range strings.Fields(`$ref $comment type enum const multipleOf maximum exclusiveMaximum minimum
		exclusiveMinimum maxLength minLength pattern maxItems minItems uniqueItems maxContains minContains maxProperties
		minProperties required dependentRequired format contentEncoding contentMediaType title description default
		deprecated readOnly writeOnly summary examples example discriminator xml externalDocs`) {
		m[k] = keyword{}
	}
	return m
}

// closer walks the schemas that are compiled and closes every object that names properties. Closing happens at the
// outermost schema of a place, with unevaluatedProperties, so that allOf and $ref still compose.
type closer struct {
	doc           *Document
	dialect       Dialect
	side          Side
	closed, plain map[string]any
	done          map[string]bool // places visited, by tree and pointer
	linked        map[string]int  // how many $refs of the closed tree lead to a place
	lonely        map[string]int  // how many of them stand alone at a place of their own
	later         []map[string]any
	words         map[string]keyword
}

// roots visits the schemas at ptrs and gives the schemas to compile.
func (c *closer) roots(ptrs []string) ([]map[string]any, error) {
	for _, tree := range [...]map[string]any{c.closed, c.plain} {
		delete(tree, "$schema") // the caller has read it
		delete(tree, "$id")     // references must stay inside, so the document needs no name
		delete(tree, "id")
	}
	tops := make([]map[string]any, len(ptrs))
	for i, ptr := range ptrs {
		s, ok := find(c.closed, ptr)
		if !ok {
			return nil, fmt.Errorf("there is nothing at %q", ptr)
		}
		if err := c.schema(s, ptr, outermost); err != nil {
			return nil, err
		}
		tops[i] = map[string]any{"$ref": closedURL + "#" + fragment(ptr)}
	}
	for i, ptr := range ptrs {
		s, _ := find(c.closed, ptr)
		if m, ok := s.(map[string]any); ok && c.open(m) {
			if c.linked[ptr] == c.lonely[ptr] {
				c.later = append(c.later, m)
			} else {
				tops[i]["unevaluatedProperties"] = false
			}
		}
	}
	for _, m := range c.later {
		c.shut(m)
	}
	return tops, nil
}

// alone reports whether a schema is a reference and nothing else that checks.
func alone(s map[string]any) bool {
	if _, ok := s["$ref"]; !ok {
		return false
	}
	for word := range s {
		if word != "$ref" && !annotation(word) {
			return false
		}
	}
	return true
}

// annotation reports whether a keyword says something and checks nothing.
func annotation(word string) bool {
	switch word {
	case "title", "description", "summary", "$comment", "default", "deprecated", "readOnly", "writeOnly", "example", "examples", "xml", "externalDocs":
		return true
	}
	return false
}

// open reports whether a schema names properties and says nothing about others.
func (c *closer) open(s map[string]any) bool {
	_, a := s["additionalProperties"]
	_, u := s["unevaluatedProperties"]
	return !a && !u && c.shaped(s, map[string]bool{})
}

// shaped reports whether s, or anything that applies in place with it, names properties.
func (c *closer) shaped(s any, seen map[string]bool) bool {
	m, ok := s.(map[string]any)
	if !ok {
		return false
	}
	if m["properties"] != nil || m["patternProperties"] != nil {
		return true
	}
	if ref, ok := m["$ref"].(string); ok && !seen[ref] {
		seen[ref] = true
		ptr, err := target(ref)
		if t, ok := find(c.closed, ptr); err == nil && ok && c.shaped(t, seen) {
			return true
		}
	}
	for word, sub := range m {
		if c.words[word].at != inPlace {
			continue
		}
		found := false
		_ = each(sub, c.words[word].as, func(s any, _ string) error {
			found = found || c.shaped(s, seen)
			return nil
		})
		if found {
			return true
		}
	}
	return false
}

// shut closes one schema. A reference that stands alone closes its target instead, when nothing composes with that; and
// without anything in place beside it additionalProperties says the same. Both are cheaper to check.
func (c *closer) shut(s map[string]any) {
	if ref, ok := s["$ref"].(string); ok && alone(s) {
		ptr, err := target(ref)
		t, found := find(c.closed, ptr)
		if m, ok := t.(map[string]any); err == nil && found && ok && c.linked[ptr] == c.lonely[ptr] && !alone(m) {
			if c.open(m) {
				c.shut(m)
			}
			return
		}
	}
	for _, word := range [...]string{"$ref", "allOf", "anyOf", "oneOf", "if", "then", "else", "dependentSchemas"} {
		if _, ok := s[word]; ok {
			s["unevaluatedProperties"] = false
			return
		}
	}
	s["additionalProperties"] = false
}

// schema visits s, which stands at ptr. In position child it is closed, in position reversed its references are led to
// the plain tree; position shelf means that s already is of the plain tree and is only checked.
func (c *closer) schema(s any, ptr string, at position) error {
	m, ok := s.(map[string]any)
	if !ok {
		if _, ok := s.(bool); ok {
			return nil
		}
		return fmt.Errorf("%s is not a schema", c.doc.Place(ptr))
	}
	key, other := "closed"+ptr, "reversed"+ptr
	switch at {
	case reversed:
		key, other = other, key
	case shelf:
		key, other = "plain"+ptr, ""
	}
	if other != "" && c.done[other] {
		return fmt.Errorf("%s decides something and is referred to as well: move it to $defs", c.doc.Place(ptr))
	}
	if !c.done[key] {
		c.done[key] = true
		if err := c.prepare(m, ptr, at); err != nil {
			return err
		}
		if err := c.parts(m, ptr, at); err != nil {
			return err
		}
	}
	if (at == child || at == outermost) && based(m) {
		return fmt.Errorf("%s: a discriminator needs oneOf or anyOf beside it, which names the forms", c.doc.Place(ptr))
	}
	if at == child && c.open(m) {
		c.later = append(c.later, m) // once it is known what else refers to it
	}
	return nil
}

func (c *closer) parts(m map[string]any, ptr string, at position) error {
	for _, word := range slices.Sorted(maps.Keys(m)) { // in one order, so that a document always compiles to the same
		sub := m[word]
		k, known := c.words[word]
		switch {
		case strings.HasPrefix(word, "x-"):
			continue
		case word == "nullable":
			return fmt.Errorf(`%s: nullable is OpenAPI 3.0: write type: [string, "null"]`, c.doc.Place(ptr))
		case !known:
			return fmt.Errorf("%s: the keyword %q is not taken: it would check nothing", c.doc.Place(ptr), word)
		case word == "format" && !knownFormat(sub):
			return fmt.Errorf("%s: the format %v is not known: it would check nothing", c.doc.Place(ptr), sub)
		case word == "pattern" || word == "patternProperties":
			if err := patterns(sub); err != nil {
				return fmt.Errorf("%s: %w", c.doc.Place(ptr), err)
			}
			if word == "pattern" {
				continue
			}
		case word == "$ref":
			if err := c.follow(m, sub, ptr, at); err != nil {
				return err
			}
			continue
		case k.at == nowhere || k.at == shelf:
			continue
		}
		next := k.at
		if at == reversed || at == shelf {
			next = at
		}
		err := each(sub, k.as, func(s any, tok string) error {
			p := ptr + "/" + escape(word)
			if tok != "" {
				p += "/" + tok
			}
			return c.schema(s, p, next)
		})
		if errors.Is(err, errShape) {
			return fmt.Errorf("%s: %s is not what the keyword takes", c.doc.Place(ptr), word)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// follow visits what a $ref leads to.
func (c *closer) follow(m map[string]any, ref any, ptr string, at position) error {
	text, _ := ref.(string)
	to, err := target(text)
	if err != nil {
		return fmt.Errorf("%s: %w", c.doc.Place(ptr), err)
	}
	tree, next := any(c.closed), inPlace
	if at == reversed || at == shelf {
		tree, next = any(c.plain), shelf
	}
	s, ok := find(tree, to)
	if !ok {
		return fmt.Errorf("%s: $ref %q leads to nothing", c.doc.Place(ptr), text)
	}
	if at == reversed {
		m["$ref"] = plainURL + "#" + fragment(to)
	} else if at != shelf {
		c.linked[to]++
		if (at == child || at == outermost) && alone(m) {
			if base, ok := s.(map[string]any); ok && based(base) {
				return fmt.Errorf("%s: a discriminator needs oneOf or anyOf beside it, which names the forms", c.doc.Place(to))
			}
			c.lonely[to]++
		}
	}
	return c.schema(s, to, next)
}

var errShape = errors.New("not what the keyword takes")

// each calls f for every schema that a keyword holds, with its token below the keyword.
func each(sub any, as shape, f func(s any, tok string) error) error {
	switch v := sub.(type) {
	case map[string]any:
		if as == one {
			return f(v, "")
		}
		if as == named {
			for _, name := range slices.Sorted(maps.Keys(v)) {
				if err := f(v[name], escape(name)); err != nil {
					return err
				}
			}
			return nil
		}
	case []any:
		if as == list {
			for i, s := range v {
				if err := f(s, strconv.Itoa(i)); err != nil {
					return err
				}
			}
			return nil
		}
	case bool:
		if as == one {
			return nil
		}
	}
	return errShape
}

// target reads a $ref as a JSON pointer into the same document.
func target(ref string) (string, error) {
	frag, ok := strings.CutPrefix(ref, "#")
	if !ok {
		return "", fmt.Errorf("$ref %q leaves the document", ref)
	}
	ptr, err := url.PathUnescape(frag)
	if err != nil || ptr != "" && ptr[0] != '/' {
		return "", fmt.Errorf("$ref %q is no JSON pointer", ref)
	}
	return ptr, nil
}

func fragment(ptr string) string { return (&url.URL{Fragment: ptr}).EscapedFragment() }

func escape(key string) string {
	return strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1")
}

func unescape(tok string) string {
	return strings.ReplaceAll(strings.ReplaceAll(tok, "~1", "/"), "~0", "~")
}

func place(ptr string) string {
	if ptr == "" {
		return "the document"
	}
	return ptr
}

// find resolves a JSON pointer.
func find(v any, ptr string) (any, bool) {
	if ptr == "" {
		return v, true
	}
	if ptr[0] != '/' {
		return nil, false
	}
	for _, tok := range strings.Split(ptr[1:], "/") {
		switch x := v.(type) {
		case map[string]any:
			sub, ok := x[unescape(tok)]
			if !ok {
				return nil, false
			}
			v = sub
		case []any:
			i, err := strconv.Atoi(tok)
			if err != nil || i < 0 || i >= len(x) {
				return nil, false
			}
			v = x[i]
		default:
			return nil, false
		}
	}
	return v, true
}
