package manifest

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"casemate/shield"
)

var update = flag.Bool("update", false, "write the published schema anew")

// object keeps the order of the fields, so that the published schema reads like the types.
type object map[string]any

const (
	durationLike = `^[0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h)([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))*$`
	sizeLike     = `^[1-9][0-9]*(B|[KMG]i?B)?$`
	rateLike     = `^[0-9]+(\.[0-9]+)?/[smh]( burst [0-9]+)?$`
)

// schemaOf describes a type as the decoder takes it.
func schemaOf(t reflect.Type, tag reflect.StructTag) object {
	out := object{}
	if doc := tag.Get("doc"); doc != "" {
		out["description"] = doc
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t {
	case reflect.TypeFor[Duration]():
		return with(out, object{"type": "string", "pattern": durationLike})
	case reflect.TypeFor[Size]():
		return with(out, object{"type": "string", "pattern": sizeLike})
	case reflect.TypeFor[Cores]():
		return with(out, object{"type": "string", "pattern": `^[0-9]{1,3}(\.[0-9]{1,2})?$`})
	case reflect.TypeFor[Child]():
		return with(out, object{"type": "string", "pattern": `^/[^\s]+( sha256:[0-9a-f]{64})?$`})
	case reflect.TypeFor[Layer]():
		return with(out, object{"type": "string", "pattern": `^([^:]*|[A-Za-z0-9_-]{1,140}:[1-9][0-9]{0,8}|arn:aws:lambda:[a-z0-9-]{1,32}:[0-9]{12}:layer:[A-Za-z0-9_-]{1,140}:[1-9][0-9]{0,8})$`})
	case reflect.TypeFor[OneOrMore]():
		one := object{"type": "string", "pattern": secretLike}
		return with(out, object{"oneOf": []any{one, object{"type": "array", "minItems": 1, "maxItems": 8, "items": one}}})
	case reflect.TypeFor[Rate]():
		return with(out, object{"type": "string", "pattern": rateLike})
	case reflect.TypeFor[Statement]():
		return with(out, object{"type": "object", "required": []string{"Effect"}})
	case reflect.TypeFor[RuleID]():
		return with(out, object{"anyOf": []any{object{"type": "integer", "minimum": 900000, "maximum": 999999}, object{"type": "string", "pattern": "^([0-9]{6}|casemate/[a-z-]+)$"}}})
	case reflect.TypeFor[Date]():
		return with(out, object{"type": "string"})
	case reflect.TypeFor[RouteAuth]():
		return with(out, object{"oneOf": []any{
			object{"type": "array", "minItems": 1, "items": object{"type": "string", "pattern": kindLike}},
			object{"type": "object", "required": []string{"none"}, "additionalProperties": false, "properties": object{"none": object{
				"type": "object", "required": []string{"reason", "expires"}, "additionalProperties": false, "properties": object{
					"reason":  object{"type": "string", "minLength": 3, "description": "why anybody may call this"},
					"expires": object{"type": "string", "description": "day on which the route closes, at most a year ahead: 2027-01-31"}}}}},
		}})
	}
	switch t.Kind() {
	case reflect.Struct:
		return with(out, structOf(t))
	case reflect.Map:
		values := schemaOf(t.Elem(), "")
		like := tag.Get("like")
		if like == "" {
			return with(out, object{"type": "object", "additionalProperties": values})
		}
		return with(out, object{"type": "object", "propertyNames": object{"pattern": like}, "additionalProperties": values})
	case reflect.Slice:
		items := schemaOf(t.Elem(), reflect.StructTag(`one:"`+tag.Get("one")+`" like:`+strconv.Quote(tag.Get("like"))))
		return with(out, object{"type": "array", "minItems": 1, "items": items})
	case reflect.Int:
		low, _ := strconv.Atoi(tag.Get("min"))
		high, _ := strconv.Atoi(tag.Get("max"))
		return with(out, object{"type": "integer", "minimum": low, "maximum": high})
	}
	if one := strings.Fields(tag.Get("one")); len(one) > 0 {
		return with(out, object{"enum": one})
	}
	if like := tag.Get("like"); like != "" {
		return with(out, object{"type": "string", "pattern": like})
	}
	return with(out, object{"type": "string", "minLength": 1})
}

func structOf(t reflect.Type) object {
	props, required := object{}, []string{}
	for i := range t.NumField() {
		f := t.Field(i)
		key := f.Tag.Get("key")
		if key == "" {
			continue
		}
		props[key] = schemaOf(f.Type, f.Tag)
		if _, need := f.Tag.Lookup("need"); need {
			required = append(required, key)
		}
	}
	out := object{"type": "object", "additionalProperties": false, "properties": props}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

func with(a, b object) object {
	for k, v := range b {
		a[k] = v
	}
	return a
}

func published(t *testing.T) []byte {
	t.Helper()
	s := schemaOf(reflect.TypeFor[Manifest](), "")
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "casemate.yaml"
	s["description"] = "What an app of Casemate is: its functions, who may call them, and what they may do."
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(s); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// The published schema is what the types say. `go test ./deploy/manifest -update` writes it anew.
func TestPublishedSchemaAgreesWithTypes(t *testing.T) {
	want := published(t)
	if *update {
		if err := os.WriteFile("casemate.schema.json", want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(Schema(), want) {
		t.Fatal("casemate.schema.json is not what the types say: go test ./deploy/manifest -update")
	}
}

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("mem:///casemate", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("mem:///casemate")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// An editor that follows the schema must not call a good manifest bad, nor miss an unknown key.
func TestSchemaJudgesLikeParse(t *testing.T) {
	s := compiled(t)
	full, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	check := func(text string) error {
		n, err := shield.ParseYAML([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		v, err := shield.Plain(n)
		if err != nil {
			t.Fatal(err)
		}
		return s.Validate(v)
	}
	if err := check(string(full)); err != nil {
		t.Errorf("the full manifest: %v", err)
	}
	for _, c := range bad {
		if !c.schema {
			continue
		}
		if check(c.text) == nil {
			t.Errorf("%s: the schema takes it", c.name)
		}
	}
}

// full.yaml has every key once, so that no key is without an example and a test.
func TestFullManifestHasEveryKey(t *testing.T) {
	full, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var walk func(t reflect.Type) []string
	walk = func(t reflect.Type) (keys []string) {
		for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct {
			return nil
		}
		for i := range t.NumField() {
			if k := t.Field(i).Tag.Get("key"); k != "" {
				keys = append(append(keys, k), walk(t.Field(i).Type)...)
			}
		}
		return keys
	}
	for _, k := range walk(reflect.TypeFor[Manifest]()) {
		if !bytes.Contains(full, []byte(k+":")) {
			t.Errorf("full.yaml has no %s", k)
		}
	}
}
