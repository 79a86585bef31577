package schema

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Dialect is the language that schemas are written in. All are read as JSON Schema 2020-12; what means something else there
// is translated, and what cannot be is an error.
type Dialect uint8

// The dialects.
const (
	Draft2020 Dialect = iota
	Draft2019
	Draft7
	OpenAPI31
	OpenAPI30
)

// DialectOf reads a $schema. Drafts before 7 give words other meanings and are an error.
func DialectOf(uri string) (Dialect, error) {
	switch strings.TrimSuffix(uri, "#") {
	case "", "https://json-schema.org/draft/2020-12/schema":
		return Draft2020, nil
	case "https://spec.openapis.org/oas/3.1/dialect/base":
		return OpenAPI31, nil
	case "https://json-schema.org/draft/2019-09/schema":
		return Draft2019, nil
	case "http://json-schema.org/draft-07/schema", "https://json-schema.org/draft-07/schema":
		return Draft7, nil
	}
	return 0, fmt.Errorf("$schema is none of JSON Schema 2020-12, 2019-09 and draft-07")
}

func (d Dialect) api() bool { return d == OpenAPI30 || d == OpenAPI31 }

// prepare turns one schema, whatever its dialect and the side of its value, into 2020-12.
func (c *closer) prepare(m map[string]any, ptr string, at position) error {
	var err error
	switch c.dialect {
	case OpenAPI30:
		err = c.openAPI30(m)
	case Draft7, Draft2019:
		err = c.older(m)
	}
	if err == nil && m["discriminator"] != nil {
		err = c.discriminate(m)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.doc.Place(ptr), err)
	}
	if at != reversed && at != shelf {
		c.sided(m)
	}
	return nil
}

// lone refuses what stands beside a $ref in dialects that do not look at it.
func (c *closer) lone(m map[string]any) error {
	if m["$ref"] == nil {
		return nil
	}
	for _, word := range slices.Sorted(maps.Keys(m)) {
		k, known := c.words[word]
		checks := !annotation(word) && !strings.HasPrefix(word, "x-") && word != "$ref" && (!known || k.at != shelf)
		if checks {
			return fmt.Errorf("%s stands beside $ref, where it means nothing in this version: move both into allOf", word)
		}
	}
	return nil
}

// openAPI30 translates a schema object of OpenAPI 3.0 (https://spec.openapis.org/oas/v3.0.4.html#schema-object).
func (c *closer) openAPI30(m map[string]any) error {
	if err := c.lone(m); err != nil {
		return err
	}
	for _, word := range [...]string{"const", "if", "then", "else", "prefixItems", "patternProperties", "propertyNames", "contains", "$defs", "definitions",
		"dependentRequired", "dependentSchemas", "unevaluatedProperties", "unevaluatedItems", "examples", "contentEncoding", "contentMediaType"} {
		if _, there := m[word]; there {
			return fmt.Errorf("%s is not OpenAPI 3.0: say openapi: 3.1.0, or leave it out", word)
		}
	}
	if _, list := m["type"].([]any); list {
		return fmt.Errorf("a list of types is not OpenAPI 3.0: say openapi: 3.1.0, or nullable")
	}
	for _, p := range [...][2]string{{"exclusiveMinimum", "minimum"}, {"exclusiveMaximum", "maximum"}} {
		exclusive, there := m[p[0]]
		is, flag := exclusive.(bool)
		switch {
		case there && !flag:
			return fmt.Errorf("%s is true or false in OpenAPI 3.0", p[0])
		case is && m[p[1]] == nil:
			return fmt.Errorf("%s needs %s beside it", p[0], p[1])
		case is:
			m[p[0]] = m[p[1]]
			delete(m, p[1])
		case there:
			delete(m, p[0])
		}
	}
	return nullable(m)
}

// nullable takes null beside the type, which must be there (OpenAPI 3.0.3, proposal 2019-10-31). An enum still decides.
func nullable(m map[string]any) error {
	v, there := m["nullable"]
	if !there {
		return nil
	}
	yes, flag := v.(bool)
	kind, typed := m["type"].(string)
	switch {
	case !flag:
		return fmt.Errorf("nullable is true or false")
	case yes && !typed:
		return fmt.Errorf("nullable needs a type beside it")
	case yes:
		m["type"] = []any{kind, "null"}
	}
	delete(m, "nullable")
	return nil
}

// older translates draft-07 and 2019-09: lists of items, and in draft-07 dependencies and what stands beside $ref.
func (c *closer) older(m map[string]any) error {
	if c.dialect == Draft7 {
		if err := c.lone(m); err != nil {
			return err
		}
		for _, word := range [...]string{"$defs", "unevaluatedProperties", "unevaluatedItems", "dependentRequired", "dependentSchemas", "prefixItems", "minContains", "maxContains"} {
			if _, there := m[word]; there {
				return fmt.Errorf("%s is not draft-07", word)
			}
		}
	}
	if m["prefixItems"] != nil {
		return fmt.Errorf("prefixItems is JSON Schema 2020-12")
	}
	rest, there := m["additionalItems"]
	delete(m, "additionalItems") // means nothing without a list of items
	if list, is := m["items"].([]any); is {
		m["prefixItems"] = list
		delete(m, "items")
		if there {
			m["items"] = rest
		}
	}
	return dependencies(m)
}

func dependencies(m map[string]any) error {
	v, there := m["dependencies"]
	if !there {
		return nil
	}
	all, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("dependencies is not an object")
	}
	names, schemas := map[string]any{}, map[string]any{}
	for name, d := range all {
		if _, list := d.([]any); list {
			names[name] = d
		} else {
			schemas[name] = d
		}
	}
	delete(m, "dependencies")
	if len(names) > 0 {
		m["dependentRequired"] = names
	}
	if len(schemas) > 0 {
		m["dependentSchemas"] = schemas
	}
	return nil
}

// based reports whether a schema is the base of others by its discriminator, and does not say of which.
func based(m map[string]any) bool {
	return m["discriminator"] != nil && m["oneOf"] == nil && m["anyOf"] == nil
}

// discriminate makes the discriminator decide: its property must be there, and each form is held to the values that mean it
// (https://spec.openapis.org/oas/v3.1.1.html#discriminator-object).
func (c *closer) discriminate(m map[string]any) error {
	d, _ := m["discriminator"].(map[string]any)
	name, _ := d["propertyName"].(string)
	switch {
	case !c.dialect.api():
		return fmt.Errorf("discriminator is OpenAPI: it would check nothing")
	case name == "":
		return fmt.Errorf("the discriminator has no propertyName")
	case based(m):
		return nil // reached through allOf: the form that holds it was chosen
	}
	values := map[string][]any{}
	if mapping, ok := d["mapping"].(map[string]any); ok {
		for _, value := range slices.Sorted(maps.Keys(mapping)) {
			to, _ := mapping[value].(string)
			if !strings.HasPrefix(to, "#") {
				to = "#/components/schemas/" + escape(to)
			}
			values[to] = append(values[to], value)
		}
	}
	used := 0
	for _, word := range [...]string{"oneOf", "anyOf"} {
		list, _ := m[word].([]any)
		for i, form := range list {
			alt, _ := form.(map[string]any)
			ref, _ := alt["$ref"].(string)
			if ref == "" || len(alt) != 1 {
				return fmt.Errorf("a form beside a discriminator must be a $ref alone")
			}
			if len(values[ref]) > 0 {
				used++
			}
			names := append(slices.Clone(values[ref]), unescape(ref[strings.LastIndexByte(ref, '/')+1:]))
			list[i] = map[string]any{"allOf": []any{alt, map[string]any{"required": []any{name}, "properties": map[string]any{name: map[string]any{"enum": unique(names)}}}}}
		}
	}
	if used < len(values) {
		return fmt.Errorf("the discriminator maps to a schema that is not among the forms")
	}
	return nil
}

func unique(in []any) (out []any) {
	for _, v := range in {
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

// sided takes the properties out that this side must not send, and out of what is required.
func (c *closer) sided(m map[string]any) {
	word := map[Side]string{Request: "readOnly", Answer: "writeOnly"}[c.side]
	if word == "" {
		return
	}
	gone := map[string]bool{}
	c.marked(m, word, gone, map[string]bool{})
	if len(gone) == 0 {
		return
	}
	if props, ok := m["properties"].(map[string]any); ok {
		for name := range props {
			if gone[name] {
				props[name] = false
			}
		}
	}
	spare(m, gone)
	all, _ := m["allOf"].([]any)
	for _, s := range all {
		if sub, ok := s.(map[string]any); ok {
			spare(sub, gone)
		}
	}
}

// spare takes names out of what a schema requires.
func spare(m map[string]any, gone map[string]bool) {
	if list, ok := m["required"].([]any); ok {
		m["required"] = slices.DeleteFunc(slices.Clone(list), func(v any) bool { name, _ := v.(string); return gone[name] })
	}
}

// marked gathers the properties that a schema, or what it composes, marks with word. It looks at the document as it was
// written.
func (c *closer) marked(m map[string]any, word string, names, seen map[string]bool) {
	props, _ := m["properties"].(map[string]any)
	for name, p := range props {
		if c.carries(p, word, 8) {
			names[name] = true
		}
	}
	follow := func(s any) {
		if sub, ok := s.(map[string]any); ok {
			c.marked(sub, word, names, seen)
		}
	}
	if ref, ok := m["$ref"].(string); ok && !seen[ref] {
		seen[ref] = true
		if ptr, err := target(ref); err == nil {
			s, _ := c.doc.Find(ptr)
			follow(s)
		}
	}
	all, _ := m["allOf"].([]any)
	for _, s := range all {
		follow(s)
	}
}

// carries reports whether a schema has the mark, itself or where it leads in place.
func (c *closer) carries(s any, word string, depth int) bool {
	m, ok := s.(map[string]any)
	if !ok || depth == 0 {
		return false
	}
	if m[word] == true {
		return true
	}
	if ref, ok := m["$ref"].(string); ok {
		if ptr, err := target(ref); err == nil {
			to, _ := c.doc.Find(ptr)
			if c.carries(to, word, depth-1) {
				return true
			}
		}
	}
	all, _ := m["allOf"].([]any)
	for _, sub := range all {
		if c.carries(sub, word, depth-1) {
			return true
		}
	}
	return false
}
