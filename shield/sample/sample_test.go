package sample_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"casemate/shield"
	"casemate/shield/sample"
)

// held has the contract look at the sample that was made of it.
func held(doc []byte, where string) (*sample.Request, error) {
	c, err := shield.Compile(doc, where, "test")
	if err != nil {
		return nil, err
	}
	r, err := sample.Of(doc, where)
	if err != nil {
		return nil, err
	}
	_, err = c.Check(r.Exchange())
	return r, err
}

// TestSamplesPassTheirSchema: what is made of a schema is what the schema takes.
func TestSamplesPassTheirSchema(t *testing.T) {
	for schema, want := range map[string]string{
		`{"type":"object","required":["name","n"],"properties":{"name":{"type":"string"},"n":{"type":"integer"},"more":{"type":"string"}}}`: `{"n":1,"name":"text"}`,
		`{"type":"object","required":["a"],"properties":{"a":{"enum":["x","y"]},"b":{"default":"z"}}}`:                                      `{"a":"x"}`,
		`{"type":"object","required":["a"],"properties":{"a":{"type":"string","default":"z"}}}`:                                             `{"a":"z"}`,
		`{"type":"object","minProperties":2,"properties":{"a":{"type":"boolean"},"b":{"const":7},"c":{"type":"null"}}}`:                     `{"a":true,"b":7}`,
		`{"type":"string","minLength":9}`:                                             "",
		`{"type":"string","maxLength":2}`:                                             `"te"`,
		`{"type":"string","pattern":"^[A-Z]{2}-[0-9]{4,6}$","minLength":9}`:           `"AA-111111"`,
		`{"type":"string","pattern":"^(sku|item)_[a-z0-9]+$","minLength":12}`:         "",
		`{"type":"string","pattern":"^[^/<>]+$"}`:                                     "",
		`{"type":"string","format":"uuid"}`:                                           "",
		`{"type":"string","format":"date-time"}`:                                      "",
		`{"type":"string","format":"email"}`:                                          `"ada@example.com"`,
		`{"type":"integer","minimum":18,"multipleOf":5}`:                              `20`,
		`{"type":"integer","exclusiveMinimum":0}`:                                     `1`,
		`{"type":"integer","exclusiveMinimum":3,"maximum":4}`:                         `4`,
		`{"type":"number","exclusiveMaximum":0.5}`:                                    "",
		`{"type":"number","minimum":0,"maximum":0.25}`:                                `0.25`,
		`{"type":"integer","maximum":-3}`:                                             `-3`,
		`{"type":["null","integer"]}`:                                                 `1`,
		`{"type":"array","items":{"type":"integer"},"minItems":3,"uniqueItems":true}`: `[1,2,3]`,
		`{"type":"array","items":{"type":"string"}}`:                                  `["text"]`,
		`{"type":"array","items":{"enum":["a","b"]},"minItems":2,"uniqueItems":true}`: `["a","b"]`,
		`{"$ref":"#/$defs/a","$defs":{"a":{"type":"object","required":["b"],"properties":{"b":{"$ref":"#/$defs/b"}}},"b":{"type":"integer"}}}`:             `{"b":1}`,
		`{"type":"object","required":["kind","x"],"properties":{"kind":{"type":"string"},"x":{"anyOf":[{"type":"null"},{"type":"integer","minimum":5}]}}}`: `{"kind":"text","x":5}`,
		`{"type":"object","required":["next"],"properties":{"v":{"type":"integer"},"next":{"anyOf":[{"$ref":"#"},{"type":"integer"}]}}}`:                   "deep",
	} {
		schema = strings.Replace(schema, "{", `{"$schema":"https://json-schema.org/draft/2020-12/schema",`, 1)
		r, err := held([]byte(schema), "")
		if want == "deep" { // no end of it can be found: what matters is that one is
			if err == nil || r == nil || len(r.Body) > 1<<20 {
				t.Errorf("%s: %v", schema, err)
			}
			continue
		}
		if err != nil || r.ContentType != "application/json" || want != "" && string(r.Body) != want {
			t.Errorf("%s\n made %s, %v, expected %s", schema, r.Body, err, want)
		}
	}
}

const document = `
openapi: 3.0.3
info: {title: shop, version: "1"}
servers: [{url: "https://shop.example/v1"}]
paths:
  /orders/{id}:
    parameters: [{$ref: "#/components/parameters/Id"}]
    put:
      parameters:
        - {name: dry, in: query, required: true, schema: {type: boolean}}
        - {name: tag, in: query, required: true, schema: {type: array, items: {type: string, enum: [a]}}}
        - {name: unused, in: query, schema: {type: string}}
        - {name: X-Request, in: header, required: true, schema: {type: string, format: uuid}}
        - {name: cart, in: cookie, required: true, schema: {type: string, pattern: "^[a-z]{3}$"}}
      requestBody: {$ref: "#/components/requestBodies/Order"}
      responses: {"200": {description: ok}}
  /pets:
    post:
      requestBody:
        content:
          application/json:
            schema:
              discriminator: {propertyName: kind, mapping: {dog: "#/components/schemas/Dog"}}
              oneOf: [{$ref: "#/components/schemas/Dog"}, {$ref: "#/components/schemas/Cat"}]
      responses: {"200": {description: ok}}
  /shown:
    post:
      requestBody: {content: {application/json: {schema: {type: object, properties: {a: {type: integer}}}, examples: {one: {value: {a: 5}}}}}}
      responses: {"200": {description: ok}}
  /form:
    post:
      requestBody: {content: {application/x-www-form-urlencoded: {schema: {type: object, required: [n, s], properties: {n: {type: integer}, s: {type: string, example: a b}}}}}}
      responses: {"200": {description: ok}}
  /text:
    post:
      requestBody: {content: {text/plain: {schema: {type: string, minLength: 6}}}}
      responses: {"200": {description: ok}}
components:
  parameters:
    Id: {name: id, in: path, required: true, schema: {type: string, pattern: "^o-[0-9]+$"}}
  requestBodies:
    Order:
      required: true
      content:
        application/xml: {schema: {type: string}}
        application/json: {schema: {$ref: "#/components/schemas/Order"}}
  schemas:
    Base: {type: object, required: [id, sku], properties: {id: {type: string, readOnly: true}, sku: {type: string, example: tea}}}
    Order:
      allOf:
        - {$ref: "#/components/schemas/Base"}
        - {type: object, required: [quantity], properties: {quantity: {type: integer, minimum: 0, exclusiveMinimum: true}, note: {type: string, nullable: true}}}
    Dog: {type: object, required: [kind, bark], properties: {kind: {type: string, enum: [dog]}, bark: {type: boolean}}}
    Cat: {type: object, required: [kind], properties: {kind: {type: string, enum: [Cat]}}}
`

// TestSamplesPassTheirOperation: likewise of operations, with all that they require and nothing else.
func TestSamplesPassTheirOperation(t *testing.T) {
	for where, want := range map[string]string{
		"PUT /orders/{id}":    `map[id:o-1] dry=true&tag=a map[Cookie:cart=aaa X-Request:6f339620-cf58-4839-a915-d87581afc91c] application/json {"quantity":1,"sku":"tea"}`,
		"PUT /v1/orders/{id}": "",
		"POST /pets":          `map[]  map[] application/json {"bark":true,"kind":"dog"}`,
		"POST /shown":         `map[]  map[] application/json {"a":5}`,
		"POST /form":          `map[]  map[] application/x-www-form-urlencoded n=1&s=a+b`,
		"POST /text":          `map[]  map[] text/plain textxx`,
	} {
		r, err := held([]byte(document), where)
		if err != nil {
			t.Errorf("%s: %v: %+v", where, err, r)
			continue
		}
		if got := fmt.Sprint(r.Params, " ", r.Query.Encode(), " ", r.Header, " ", r.ContentType, " ", string(r.Body)); want != "" && got != want {
			t.Errorf("%s: %s\nexpected %s", where, got, want)
		}
	}
	for _, where := range []string{"GET /pets", "GET /nowhere", "POST /", "message x"} {
		if r, err := sample.Of([]byte(document), where); err == nil {
			t.Errorf("%s: made %+v", where, r)
		}
	}
}

// TestSamplesAreBounded: a contract of some folder that a person tries can be anything; a sample of it is small all the same.
func TestSamplesAreBounded(t *testing.T) {
	const text, head = "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy", `{"$schema":"https://json-schema.org/draft/2020-12/schema",`
	big := strings.Repeat(text, 1000)
	doubled := head + `"$ref":"#/$defs/l11","$defs":{"l0":{"required":["` + strings.Repeat(`a","`, 20_000) + `b"]}`
	for i := range 11 {
		doubled += fmt.Sprintf(`,"l%d":{"allOf":[{"$ref":"#/$defs/l%d"},{"$ref":"#/$defs/l%d"}]}`, i+1, i, i)
	}
	for name, doc := range map[string]string{
		"fewer than none":        head + `"type":"array","items":{"type":"string"},"maxItems":-1}`,
		"more than an int holds": head + `"type":"array","items":{"type":"string"},"maxItems":1e300,"minItems":1e300}`,
		"members":                head + `"type":"object","minProperties":1e300}`,
		"texts":                  head + `"type":"string","minLength":1e300,"maxLength":-5}`,
		"numbers":                head + `"type":"number","multipleOf":1e-300,"minimum":1e300}`,
		"itself":                 head + `"$ref":"#"}`,
		"a value often":          head + `"type":"array","minItems":60,"items":{"type":"array","minItems":70,"items":{"default":"` + big + `"}}}`,
		"a name often":           head + `"type":"array","minItems":60,"items":{"type":"array","minItems":70,"items":{"type":"object","required":["` + big + `"]}}}`,
		"a pattern often":        head + `"type":"array","minItems":100,"items":{"type":"string","minLength":4000,"pattern":"^(` + strings.Repeat("(a?){999}", 50) + `a*)*b$"}}`,
		"required of required":   doubled + "}}",
	} {
		if r, err := sample.Of([]byte(doc), ""); err != nil || len(r.Body) > 2<<20 {
			t.Errorf("%s: %d bytes, %v", name, len(r.Body), err)
		}
	}
}

// FuzzSample: a sample ends, is small, and its body is JSON where it says so, whatever the document.
func FuzzSample(f *testing.F) {
	f.Add([]byte(document), "PUT /orders/{id}")
	f.Add([]byte(`{"allOf":[{"$ref":"#"},{"$ref":"#"}]}`), "")
	f.Add([]byte(`{"type":"array","minItems":100,"items":{"$ref":"#"}}`), "")
	f.Add([]byte(`{"type":"string","pattern":"((((a*)*)*)*)*b{1000}","minLength":3000}`), "")
	f.Fuzz(func(t *testing.T, doc []byte, where string) {
		r, err := sample.Of(doc, where)
		if err == nil && (len(r.Body) > 64<<20 || strings.HasPrefix(r.ContentType, "application/json") && !json.Valid(r.Body)) {
			t.Errorf("%d bytes of %s", len(r.Body), r.ContentType)
		}
	})
}
