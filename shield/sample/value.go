package sample

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"casemate/shield/schema"
)

// Bounds of one sample: schemas refer to themselves, and branch.
const (
	maxDepth = 24
	maxSteps = 5000
	maxItems = 100
	maxText  = 4096 // bytes

	maxWork = 1 << 20 // members that are put together, and bytes of what is shown as it stands
	perWork = 64      // steps of matching a pattern that are one of it
)

type maker struct {
	doc   *schema.Document
	steps int
	work  int
}

// spend reports whether there is still room for n more.
func (m *maker) spend(n int) bool {
	m.work += n
	return m.work <= maxWork
}

// stands is a value of the document, as often as there is room for it.
func (m *maker) stands(v any) any {
	if !m.spend(len(encode(v))) {
		return nil
	}
	return v
}

// follow is an object behind its references, nil where it is none.
func (m *maker) follow(v any) map[string]any {
	o, _ := v.(map[string]any)
	for range 8 {
		ref, ok := o["$ref"].(string)
		if !ok {
			return o
		}
		ptr, err := url.PathUnescape(strings.TrimPrefix(ref, "#"))
		if err != nil {
			return nil
		}
		to, _ := m.doc.Find(ptr)
		o, _ = to.(map[string]any)
	}
	return o
}

// value is one that the schema s ought to take; nil where nothing is known of it.
func (m *maker) value(s any, depth int) any {
	if m.steps++; depth > maxDepth || m.steps > maxSteps {
		return nil
	}
	o := m.whole(s, depth)
	for _, key := range []string{"const", "example", "default"} {
		if v, ok := o[key]; ok {
			return m.stands(v)
		}
	}
	for _, key := range []string{"examples", "enum"} {
		if list, _ := o[key].([]any); len(list) > 0 {
			return m.stands(list[0])
		}
	}
	switch typeOf(o) {
	case "object":
		return m.object(o, depth)
	case "array":
		return m.array(o, depth)
	case "string":
		return m.textOf(o)
	case "integer":
		return number(o, true)
	case "number":
		return number(o, false)
	case "boolean":
		return true
	case "null":
		return nil
	}
	return map[string]any{}
}

// whole is a schema with what it is made of: all of allOf, and the first of anyOf and oneOf that takes more than null.
func (m *maker) whole(s any, depth int) map[string]any {
	o := maps.Clone(m.follow(s))
	if o == nil {
		return map[string]any{}
	}
	parts, _ := o["allOf"].([]any)
	for _, key := range []string{"oneOf", "anyOf"} {
		list, _ := o[key].([]any)
		for _, x := range list {
			if m.steps++; m.steps > maxSteps || depth > maxDepth {
				return o
			}
			if part := m.whole(x, depth+1); part["type"] != "null" {
				parts = append(slices.Clip(parts), m.named(o, x, part))
				break
			}
		}
	}
	delete(o, "allOf")
	delete(o, "oneOf")
	delete(o, "anyOf")
	for _, p := range parts {
		if m.steps++; m.steps > maxSteps || depth > maxDepth {
			return o
		}
		part := m.whole(p, depth+1)
		if !m.spend(members(part) + members(o)) {
			return o
		}
		merge(o, part)
	}
	return o
}

// named is the part that was chosen, with the value that its discriminator names it by.
func (m *maker) named(o map[string]any, chosen any, part map[string]any) map[string]any {
	d, _ := o["discriminator"].(map[string]any)
	name, _ := d["propertyName"].(string)
	c, _ := chosen.(map[string]any)
	ref, _ := c["$ref"].(string)
	if name == "" || ref == "" {
		return part
	}
	tag := ref[strings.LastIndexByte(ref, '/')+1:]
	mapping, _ := d["mapping"].(map[string]any)
	for _, k := range slices.Sorted(maps.Keys(mapping)) {
		if mapping[k] == ref || mapping[k] == tag {
			tag = k
			break
		}
	}
	part = maps.Clone(part)
	properties, _ := part["properties"].(map[string]any)
	properties = maps.Clone(properties)
	if properties == nil {
		properties = map[string]any{}
	}
	properties[name] = map[string]any{"const": tag}
	part["properties"] = properties
	return part
}

// members counts what merge has to copy of a schema.
func members(o map[string]any) int {
	properties, _ := o["properties"].(map[string]any)
	required, _ := o["required"].([]any)
	return len(o) + len(properties) + len(required)
}

// merge adds to o what part says beyond it; of both are the properties and what is required.
func merge(o, part map[string]any) {
	for k, v := range part {
		switch have := o[k].(type) {
		case nil:
			o[k] = v
		case map[string]any:
			if more, ok := v.(map[string]any); ok && k == "properties" {
				both := maps.Clone(more)
				maps.Copy(both, have)
				o[k] = both
			}
		case []any:
			if more, ok := v.([]any); ok && k == "required" {
				o[k] = slices.Concat(have, more)
			}
		}
	}
}

// typeOf is the type of a schema that says it, or by the keywords that it has.
func typeOf(o map[string]any) string {
	switch t := o["type"].(type) {
	case string:
		return t
	case []any:
		for _, x := range t {
			if s, _ := x.(string); s != "null" {
				return s
			}
		}
		return "null"
	}
	for _, kind := range []struct {
		name string
		keys []string
	}{{"object", []string{"properties", "required", "additionalProperties", "minProperties"}}, {"array", []string{"items", "prefixItems", "minItems"}},
		{"string", []string{"pattern", "format", "minLength", "maxLength"}}, {"number", []string{"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}}} {
		for _, k := range kind.keys {
			if o[k] != nil {
				return kind.name
			}
		}
	}
	return ""
}

// object has what is required of it, and more only as far as it must have more.
func (m *maker) object(o map[string]any, depth int) map[string]any {
	properties, _ := o["properties"].(map[string]any)
	out := map[string]any{}
	add := func(name string) {
		p, ok := properties[name]
		if !ok {
			p = o["additionalProperties"]
		}
		if only, _ := m.follow(p)["readOnly"].(bool); !only && m.spend(len(name)) {
			out[name] = m.value(p, depth+1)
		}
	}
	required, _ := o["required"].([]any)
	for _, x := range required {
		if name, ok := x.(string); ok {
			add(name)
		}
	}
	least := count(o["minProperties"], 0, maxItems)
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		if len(out) < least && out[name] == nil {
			add(name)
		}
	}
	for i := 1; len(out) < least && i <= maxItems; i++ {
		add(fmt.Sprintf("name%d", i))
	}
	return out
}

// array has one item, unless it must have more, or may have none.
func (m *maker) array(o map[string]any, depth int) []any {
	first, _ := o["prefixItems"].([]any)
	n := max(count(o["minItems"], 0, maxItems), len(first), 1)
	n = min(n, count(o["maxItems"], maxItems, maxItems), maxItems)
	if o["items"] == nil && len(first) == 0 && o["minItems"] == nil {
		n = 0
	}
	out := make([]any, 0, n)
	for i := range n {
		if i < len(first) {
			out = append(out, m.value(first[i], depth+1))
			continue
		}
		v := m.value(o["items"], depth+1)
		if unique, _ := o["uniqueItems"].(bool); unique && i > 0 {
			v = m.another(o["items"], v, i)
		}
		out = append(out, v)
	}
	return out
}

// another is a value that is not the one before it, where that is easy.
func (m *maker) another(s, v any, i int) any {
	if list, _ := m.whole(s, 0)["enum"].([]any); i < len(list) {
		return list[i]
	}
	switch v := v.(type) {
	case string:
		return v + strconv.Itoa(i)
	case json.Number:
		f, _ := v.Float64()
		return asNumber(f + float64(i))
	}
	return v
}

// count is a number of a schema that counts something, from 0 to most.
func count(v any, otherwise, most int) int {
	return int(max(0, min(amount(v, float64(otherwise)), float64(most))))
}

// amount is a number of a schema, otherwise where it has none.
func amount(v any, otherwise float64) float64 {
	switch v := v.(type) {
	case json.Number:
		if f, err := v.Float64(); err == nil {
			return f
		}
	case float64:
		return v
	case int:
		return float64(v)
	}
	return otherwise
}

// number is 1, or the nearest to it that is within the bounds.
func number(o map[string]any, integer bool) json.Number {
	step := amount(o["multipleOf"], 0)
	if step <= 0 && integer {
		step = 1
	}
	least, most := amount(o["minimum"], math.Inf(-1)), amount(o["maximum"], math.Inf(1))
	gap := step
	if gap <= 0 {
		gap = 0.5
	}
	if more, is := o["exclusiveMinimum"].(bool); is && more {
		least += gap / 2
	} else if x := amount(o["exclusiveMinimum"], math.Inf(-1)); x >= least {
		least = x + gap/2
	}
	if less, is := o["exclusiveMaximum"].(bool); is && less {
		most -= gap / 2
	} else if x := amount(o["exclusiveMaximum"], math.Inf(1)); x <= most {
		most = x - gap/2
	}
	f := min(max(1, least), most)
	if least > most {
		f = (least + most) / 2
	}
	if step > 0 {
		if f = math.Ceil(f/step) * step; f > most {
			f = math.Floor(most/step) * step
		}
	}
	return asNumber(f)
}

func asNumber(f float64) json.Number {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		f = 1
	}
	return json.Number(strconv.FormatFloat(f, 'f', -1, 64))
}
