package schema

import (
	"strings"
	"testing"
)

func in(dialect Dialect, side Side, doc string) (*Schema, error) {
	d, err := Read([]byte(doc))
	if err != nil {
		return nil, err
	}
	s, err := d.Compile(dialect, side, "/s")
	if err != nil {
		return nil, err
	}
	return s[0], nil
}

// TestDialects: what the same words mean in other dialects.
func TestDialects(t *testing.T) {
	for _, c := range []struct {
		name         string
		dialect      Dialect
		side         Side
		doc          string
		take, refuse []string
	}{
		{"nullable", OpenAPI30, Neither, `{s: {type: string, nullable: true, maxLength: 2}}`, []string{`null`, `"a"`}, []string{`1`, `"abc"`}},
		{"nullable enum without null", OpenAPI30, Neither, `{s: {type: string, nullable: true, enum: [a]}}`, []string{`"a"`}, []string{`null`}},
		{"exclusive bound", OpenAPI30, Neither, `{s: {type: integer, minimum: 1, exclusiveMinimum: true, maximum: 9, exclusiveMaximum: false}}`, []string{`2`, `9`}, []string{`1`, `10`}},
		{"closed", OpenAPI30, Neither, `{s: {$ref: "#/a"}, a: {type: object, properties: {b: {type: string}}}}`, []string{`{"b":"x"}`}, []string{`{"c":1}`}},
		{"list of items", Draft7, Neither, `{s: {type: array, items: [{type: integer}, {type: string}], additionalItems: {type: boolean}}}`, []string{`[1,"a",true]`, `[1]`}, []string{`["a"]`, `[1,"a",1]`}},
		{"dependencies", Draft7, Neither, `{s: {properties: {a: {}, b: {}, c: {}}, dependencies: {a: [b], c: {required: [a]}}}}`, []string{`{"a":1,"b":2}`, `{"b":1}`}, []string{`{"a":1}`, `{"c":1}`}},
		{"2019-09", Draft2019, Neither, `{s: {type: object, properties: {a: {type: array, items: [{type: integer}], additionalItems: false}}, dependentRequired: {a: [b]}, required: []}}`, []string{`{}`}, []string{`{"a":[1]}`, `{"b":1}`}},
		{"readOnly", OpenAPI31, Request, `{s: {type: object, required: [id, n], properties: {id: {type: string, readOnly: true}, n: {type: string}}}}`, []string{`{"n":"a"}`}, []string{`{"n":"a","id":"1"}`, `{"id":"1"}`, `{}`}},
		{"readOnly answered", OpenAPI31, Answer, `{s: {type: object, required: [id], properties: {id: {type: string, readOnly: true}}}}`, []string{`{"id":"1"}`}, []string{`{}`}},
		{"readOnly behind a reference", OpenAPI30, Request, `{s: {allOf: [{$ref: "#/base"}, {required: [id, n], properties: {n: {type: string}}}]}, base: {type: object, required: [id], properties: {id: {$ref: "#/id"}}}, id: {type: string, readOnly: true}}`,
			[]string{`{"n":"a"}`}, []string{`{"n":"a","id":"1"}`}},
		{"readOnly below", OpenAPI31, Request, `{s: {type: array, items: {type: object, properties: {owner: {readOnly: true}, n: {type: integer}}}}}`, []string{`[{"n":1}]`}, []string{`[{"n":1,"owner":"eve"}]`}},
		{"writeOnly", OpenAPI31, Answer, `{s: {type: object, properties: {password: {type: string, writeOnly: true}, n: {type: string}}}}`, []string{`{"n":"a"}`}, []string{`{"password":"x"}`}},
		{"discriminator", OpenAPI31, Neither, `{s: {oneOf: [{$ref: "#/components/schemas/Cat"}, {$ref: "#/components/schemas/Dog"}], discriminator: {propertyName: kind, mapping: {kitty: "#/components/schemas/Cat", dog: Dog}}},
			components: {schemas: {Cat: {type: object, required: [kind], properties: {kind: {type: string}, lives: {type: integer}}}, Dog: {type: object, properties: {kind: {type: string}, bark: {type: string}}}}}}`,
			[]string{`{"kind":"kitty","lives":9}`, `{"kind":"Cat"}`, `{"kind":"dog","bark":"w"}`}, []string{`{"kind":"dog","lives":9}`, `{"lives":9}`, `{"kind":"bird"}`, `{"kind":"kitty","bark":"w"}`}},
		{"discriminator of 3.0", OpenAPI30, Neither, `{s: {oneOf: [{$ref: "#/components/schemas/Cat"}, {$ref: "#/components/schemas/Dog"}], discriminator: {propertyName: kind, mapping: {kitty: "#/components/schemas/Cat", dog: Dog}}},
			components: {schemas: {Cat: {type: object, required: [kind], properties: {kind: {type: string}, lives: {type: integer, nullable: true}}}, Dog: {type: object, properties: {kind: {type: string}, bark: {type: string}}}}}}`,
			[]string{`{"kind":"kitty","lives":null}`, `{"kind":"Cat"}`, `{"kind":"dog","bark":"w"}`}, []string{`{"kind":"dog","lives":9}`, `{"lives":9}`, `{"kind":"bird"}`, `{"kind":"kitty","bark":"w"}`}},
		{"inheritance", OpenAPI30, Neither, `{s: {$ref: "#/components/schemas/Cat"}, components: {schemas: {Pet: {type: object, required: [kind], discriminator: {propertyName: kind}, properties: {kind: {type: string}}},
			Cat: {allOf: [{$ref: "#/components/schemas/Pet"}, {type: object, properties: {lives: {type: integer}}}]}}}}`, []string{`{"kind":"Cat","lives":9}`}, []string{`{"lives":9}`, `{"kind":"Cat","bark":1}`}},
	} {
		s, err := in(c.dialect, c.side, c.doc)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		for _, body := range c.take {
			if _, err := s.JSON(Body(), "x", []byte(body)); err != nil {
				t.Errorf("%s: %s: %v", c.name, body, err)
			}
		}
		for _, body := range c.refuse {
			if _, err := s.JSON(Body(), "x", []byte(body)); err == nil {
				t.Errorf("%s: took %s", c.name, body)
			}
		}
	}
}

// TestDialectsRefused: what a dialect does not have, or does not look at, is said.
func TestDialectsRefused(t *testing.T) {
	for _, c := range []struct {
		dialect   Dialect
		doc, says string
	}{
		{OpenAPI30, "s:\n  type: object\n  properties:\n    a: {const: 1}", "/s/properties/a (line 4): const is not OpenAPI 3.0"},
		{OpenAPI30, `{s: {type: [string, "null"]}}`, "list of types"},
		{OpenAPI30, `{s: {nullable: true}}`, "needs a type"},
		{OpenAPI30, `{s: {$ref: "#/a", maxLength: 3}, a: {}}`, "maxLength stands beside $ref"},
		{OpenAPI30, `{s: {exclusiveMinimum: 3}}`, "true or false"},
		{OpenAPI31, `{s: {type: string, nullable: true}}`, "nullable is OpenAPI 3.0"},
		{OpenAPI31, `{s: {discriminator: {propertyName: kind}}}`, "needs oneOf or anyOf"},
		{OpenAPI31, `{s: {$ref: "#/a"}, a: {discriminator: {propertyName: kind}}}`, "needs oneOf or anyOf"},
		{OpenAPI31, `{s: {oneOf: [{type: object}], discriminator: {propertyName: kind}}}`, "$ref alone"},
		{OpenAPI31, `{s: {oneOf: [{$ref: "#/a"}], discriminator: {propertyName: kind, mapping: {b: "#/b"}}}, a: {}, b: {}}`, "not among the forms"},
		{OpenAPI31, `{s: {oneOf: [{$ref: "#/a"}], discriminator: {}}, a: {}}`, "no propertyName"},
		{Draft2020, `{s: {oneOf: [{$ref: "#/a"}], discriminator: {propertyName: kind}}, a: {}}`, "discriminator is OpenAPI"},
		{Draft7, `{s: {prefixItems: []}}`, "not draft-07"},
		{Draft7, `{s: {$ref: "#/a", properties: {b: {}}}, a: {}}`, "properties stands beside $ref"},
		{Draft2020, `{s: {dependencies: {}}}`, "dependencies"},
		{Draft2020, `{s: {properties: []}}`, "properties is not what the keyword takes"},
	} {
		if _, err := in(c.dialect, Neither, c.doc); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %s", c.doc, err, c.says)
		}
	}
}
