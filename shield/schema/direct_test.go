package schema

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"casemate"
	"casemate/shield/text"
)

// names are few, so that schemas and bodies meet.
var names = []string{"a", "b", "é", "__proto__", "x/y"}

// anySchema draws a schema, mostly of what a node knows.
func anySchema(t *rapid.T, depth int) any {
	if depth == 0 {
		return rapid.SampledFrom([]any{true, map[string]any{"type": "integer"}, map[string]any{"type": "string"}}).Draw(t, "leaf")
	}
	m := map[string]any{}
	for range rapid.IntRange(1, 3).Draw(t, "words") {
		switch rapid.IntRange(0, 17).Draw(t, "word") {
		case 0:
			m["type"] = rapid.SampledFrom([]any{"string", "object", "array", "integer", "number", "null", "boolean", []any{"string", "null"}, []any{"integer", "object"}}).Draw(t, "type")
		case 1, 2, 3:
			props := map[string]any{}
			for range rapid.IntRange(0, 3).Draw(t, "n") {
				props[rapid.SampledFrom(names).Draw(t, "name")] = anySchema(t, depth-1)
			}
			m["properties"] = props
		case 4:
			m["required"] = toAny(rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, 2, rapid.ID[string]).Draw(t, "required"))
		case 5:
			m["additionalProperties"] = anySchema(t, depth-1)
		case 6:
			m["items"] = anySchema(t, depth-1)
		case 7:
			m[rapid.SampledFrom([]string{"minItems", "maxItems", "minProperties", "maxProperties", "minLength", "maxLength"}).Draw(t, "count")] = json.Number(fmt.Sprint(rapid.IntRange(0, 3).Draw(t, "n")))
		case 8:
			m[rapid.SampledFrom([]string{"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}).Draw(t, "bound")] = json.Number(rapid.SampledFrom([]string{"0", "1", "-1", "1.5", "1e20", "3"}).Draw(t, "n"))
		case 9:
			m["multipleOf"] = json.Number(rapid.SampledFrom([]string{"2", "0.5", "1"}).Draw(t, "n"))
		case 10:
			m["enum"] = rapid.SampledFrom([]any{[]any{"a", "b"}, []any{"a", nil, true}, []any{json.Number("1"), "a"}}).Draw(t, "enum")
		case 11:
			m["const"] = rapid.SampledFrom([]any{"a", false, nil, json.Number("1")}).Draw(t, "const")
		case 12:
			m["pattern"] = rapid.SampledFrom([]string{"^[a-z]+$", "^[^<]*$", "b", "^(a|b)$"}).Draw(t, "pattern")
		case 13:
			m["format"] = rapid.SampledFrom([]string{"uuid", "date", "int32", "email", "byte", "float"}).Draw(t, "format")
		case 14:
			m["allOf"] = []any{anySchema(t, depth-1), anySchema(t, depth-1)}
		case 15:
			m["$ref"] = rapid.SampledFrom([]string{"#/$defs/s", "#/$defs/t"}).Draw(t, "ref")
		case 16:
			m[rapid.SampledFrom([]string{"anyOf", "oneOf"}).Draw(t, "choice")] = []any{anySchema(t, depth-1), anySchema(t, depth-1)}
		case 17:
			m["unevaluatedProperties"] = rapid.SampledFrom([]any{false, true, map[string]any{"type": "integer"}}).Draw(t, "unevaluated")
		}
	}
	return m
}

func toAny(in []string) []any {
	out := make([]any, len(in))
	for i, s := range in {
		out[i] = s
	}
	return out
}

// anyValue draws a value, as JSON with odd spellings.
func anyValue(t *rapid.T, depth int) string {
	kind := rapid.IntRange(0, 6).Draw(t, "kind")
	if depth == 0 {
		kind %= 5
	}
	switch kind {
	case 0:
		return rapid.SampledFrom([]string{`"a"`, `"b"`, `"\u0061"`, `""`, `"é"`, `"a'--"`, `"\"<"`, `"b0b1f7c2-5a53-4a0e-9d3b-0c0f5be0a001"`, `"2026-01-02"`, `"__proto__"`, `"aGk="`}).Draw(t, "text")
	case 1:
		return rapid.SampledFrom([]string{"0", "1", "2", "-1", "1.0", "1.5", "1e0", "1e20", "-0", "2147483648", "100000000000000000000", "3"}).Draw(t, "number")
	case 2, 3, 4:
		return rapid.SampledFrom([]string{"null", "true", "false", "[]", "{}"}).Draw(t, "word")
	case 5:
		var items []string
		for range rapid.IntRange(0, 3).Draw(t, "n") {
			items = append(items, anyValue(t, depth-1))
		}
		return "[" + strings.Join(items, " , ") + "]"
	}
	var members []string
	for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, 3, rapid.ID[string]).Draw(t, "names") {
		members = append(members, fmt.Sprintf("%q : %s", name, anyValue(t, depth-1)))
	}
	return "{ " + strings.Join(members, ",") + "}"
}

// TestNodeAgreesWithLibrary: a node takes what the library takes, and leaves free what the gatherer finds free.
func TestNodeAgreesWithLibrary(t *testing.T) {
	direct, taken := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		root := anySchema(t, 3)
		m, ok := root.(map[string]any)
		if !ok {
			return
		}
		m["$defs"] = map[string]any{"s": anySchema(t, 2), "t": anySchema(t, 1)}
		s, err := (&Document{Root: m}).Compile(Draft2020, Neither, "")
		if err != nil || s[0].hard {
			return // closing and the library refuse some, as they should
		}
		if s[0].fast == nil {
			return
		}
		direct++
		for range 12 {
			body := []byte(anyValue(t, 3))
			w := walker{b: body, in: "body", any: node{maxProps: -1, maxItems: -1, maxLen: -1}}
			got := w.value(s[0].fast)
			v := text.Build(body)
			if want := s[0].lib.Validate(v); got != (want == nil) {
				doc, _ := json.Marshal(m)
				t.Fatalf("%s\n%s: the node says %t, the library %v", doc, body, got, want)
			}
			if !got {
				continue
			}
			taken++
			g := gatherer{in: "body", left: 8 * maxWork}
			g.value([]*jsonschema.Schema{s[0].lib}, v)
			if a, b := sorted(w.free), sorted(g.free); !reflect.DeepEqual(a, b) {
				doc, _ := json.Marshal(m)
				t.Fatalf("%s\n%s: the node leaves %q, the gatherer %q", doc, body, a, b)
			}
		}
	})
	if direct < 10 || taken < 10 {
		t.Errorf("%d schemas, %d bodies were taken: too few to say anything", direct, taken)
	}
}

func sorted(list []casemate.Field) (out []string) {
	for _, f := range list {
		out = append(out, f.Name+"="+string(f.Value))
	}
	slices.Sort(out)
	return out
}

// TestFree: what is left free is found, and what is closed is not.
func TestFree(t *testing.T) {
	for _, c := range []struct{ doc, body, want string }{
		{`{"type":"string"}`, `"x"`, "=x"},
		{`{"type":"string","enum":["x"]}`, `"x"`, ""},
		{`{"type":"string","format":"uuid"}`, `"b0b1f7c2-5a53-4a0e-9d3b-0c0f5be0a001"`, ""},
		{`{"type":"string","format":"email"}`, `"a@b.c"`, "=a@b.c"},
		{`{"type":"string","format":"hostname"}`, `"localhost"`, "=localhost"},
		{`{"type":"string","pattern":"^[a-z0-9-]{1,9}$"}`, `"x-1"`, ""},
		{`{"type":"string","pattern":"^[a-z ]+$"}`, `"or"`, "=or"},
		{`{"type":"string","pattern":"[a-z]"}`, `"x'"`, "=x'"},
		{`{"type":"string","pattern":"(?m)^[a-z]+$"}`, `"x\n'"`, "=x\n'"},
		{`{"type":"string","pattern":"^[a-z]+$|'"}`, `"'"`, "='"},
		{`{"type":"string","pattern":"^(?:[a-z]+|[0-9]+)$"}`, `"x"`, ""},
		{`{"type":"string","pattern":"^[a-z_]+$"}`, `"__proto__"`, "=__proto__"},
		{`{"type":"string","pattern":"^[^']+$"}`, `"x"`, "=x"},
		{`{"type":"object"}`, `{"$ne":{"a":["x",1]}}`, "/$ne/a/0=x /$ne/a=a /$ne=$ne"},
		{`{"type":"object","properties":{"a":{"type":"integer"}},"additionalProperties":{"type":"string"}}`, `{"a":1,"b":"c"}`, "/b=b /b=c"},
		{`{"anyOf":[{"type":"integer"},{"type":"string","enum":["x"]}]}`, `"x"`, ""},
		{`{"anyOf":[{"type":"string"},{"type":"string","enum":["x"]}]}`, `"y"`, "=y"},
		{`{"oneOf":[{"type":"object","properties":{"k":{"const":"a"},"t":{"type":"string"}}},{"type":"object","properties":{"k":{"const":"b"},"t":{"enum":["q"]}}}]}`, `{"k":"b","t":"q"}`, ""},
		{`{"oneOf":[{"type":"object","properties":{"k":{"const":"a"},"t":{"type":"string"}}},{"type":"object","properties":{"k":{"const":"b"},"t":{"enum":["q"]}}}]}`, `{"k":"a","t":"q"}`, "/t=q"},
		{`{"allOf":[{"type":"string"},{"pattern":"^[a-z]+$"}]}`, `"x"`, ""},
		{`{"if":{"type":"string"},"then":{"enum":["x"]}}`, `"x"`, ""},
		{`{"type":"object","patternProperties":{"^[a-z]+$":{"type":"integer"}}}`, `{"k":1}`, ""},
		{`{"type":"object","propertyNames":{"enum":["k"]},"additionalProperties":true}`, `{"k":1}`, ""},
		{`{"type":"array","prefixItems":[{"enum":["a"]},{"type":"string"}]}`, `["a","b"]`, "/1=b"},
	} {
		s, err := compiled(c.doc)
		if err != nil {
			t.Errorf("%s: %v", c.doc, err)
			continue
		}
		free, err := s.JSON(Body(), "x", []byte(c.body))
		if got := strings.Join(sorted(free), " "); err != nil || got != c.want {
			t.Errorf("%s %s: %q, want %q (%v)", c.doc, c.body, got, c.want, err)
		}
	}
}

// TestFreeIsBounded: a text with more free values than are told one by one is free as a whole, whoever decides.
func TestFreeIsBounded(t *testing.T) {
	body := []byte("[" + strings.Repeat(`"x",`, 9_999) + `"y"]`)
	for _, doc := range []string{`{"type":"array"}`, `{"anyOf":[{"type":"array"}]}`} {
		s, err := compiled(doc)
		if err != nil {
			t.Fatal(err)
		}
		if free, err := s.JSON(Body(), "x", []byte(`["x","y"]`)); err != nil || len(free) != 2 {
			t.Errorf("%s: %d free, %v", doc, len(free), err)
		}
		nested := []byte("[" + string(body) + "," + string(body) + "]")
		if free, err := s.JSON(Body(), "x", nested); err != nil || len(free) != 1 || string(free[0].Value) != string(nested) {
			t.Errorf("%s: %d free, %v", doc, len(free), err)
		}
	}
}

// TestChoicesAreHeldToABound: what cannot be afforded is free, never closed.
func TestChoicesAreHeldToABound(t *testing.T) {
	s, err := compiled(`{"anyOf":[{"enum":["x"]}]}`)
	if err != nil {
		t.Fatal(err)
	}
	for left, want := range map[int]int{1000: 0, 0: 1} {
		g := gatherer{in: "body", left: left}
		if g.value([]*jsonschema.Schema{s.lib}, "x"); len(g.free) != want {
			t.Errorf("with %d left: %v", left, g.free)
		}
	}
}

// TestChoicesByKind: a choice between kinds of values is decided over the bytes; one between forms of a kind is not.
func TestChoicesByKind(t *testing.T) {
	for doc, fast := range map[string]bool{
		`{"anyOf":[{"type":"string"},{"type":"null"}]}`: true,
		`{"type":"object","properties":{"a":{"oneOf":[{"$ref":"#/$defs/i"},{"type":"null"}]}},"$defs":{"i":{"type":"object","properties":{"n":{"type":"integer"}}}}}`: true,
		`{"anyOf":[{"type":"integer"},{"type":"number"}]}`: false,
		`{"anyOf":[{"type":"string"},{}]}`:                 false,
		`{"anyOf":[{"type":"string"},{"enum":["a",1]}]}`:   false,
	} {
		s, err := compiled(doc)
		if err != nil || (s.fast != nil) != fast {
			t.Errorf("%s: %v, fast: %t", doc, err, err == nil && s.fast != nil)
		}
	}
	s, err := compiled(`{"type":"object","properties":{"a":{"oneOf":[{"$ref":"#/$defs/i"},{"type":"null"}]}},"$defs":{"i":{"type":"object","properties":{"n":{"type":"integer"}}}}}`)
	if err != nil {
		t.Fatal(err)
	}
	for body, ok := range map[string]bool{`{"a":null}`: true, `{"a":{"n":1}}`: true, `{"a":{"n":1,"m":2}}`: false, `{"a":1}`: false, `{"b":null}`: false} {
		w := walker{b: []byte(body), in: "body", any: node{maxProps: -1, maxItems: -1, maxLen: -1}}
		if w.value(s.fast) != ok {
			t.Errorf("%s: %t", body, !ok)
		}
	}
}
