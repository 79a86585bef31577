package shield

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"casemate"
)

const orderSchema = `
$schema: https://json-schema.org/draft/2020-12/schema
$id: https://example.com/order
type: object
required: [id, items]
properties:
  id: {type: string, format: uuid}
  customer: {type: string, maxLength: 20, pattern: "^c-[0-9]+$"}
  paid: {type: boolean}
  items:
    type: array
    minItems: 1
    items: {$ref: "#/$defs/item"}
  extra: {type: object}
  labels: {type: object, properties: {a: {type: string}}, additionalProperties: {type: string}}
$defs:
  item:
    type: object
    required: [sku, quantity]
    properties:
      sku: {type: string}
      quantity: {type: integer, minimum: 1, maximum: 100}
      note: {type: string}
`

const order = `{"id":"b0b1f7c2-5a53-4a0e-9d3b-0c0f5be0a001","customer":"c-1001","items":[{"sku":"tea-42","quantity":2,"note":"gift"},{"sku":"cup-7","quantity":1}],"paid":true}`

func coded(t *testing.T, err error) *casemate.Error {
	t.Helper()
	var e *casemate.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v has no code", err)
	}
	return e
}

// check holds a body to a contract.
func check(c casemate.Contract, contentType string, body []byte) error {
	_, err := c.Check(&casemate.Exchange{Params: map[string]string{"id": "1"}, ContentType: contentType, Body: body})
	return err
}

func must(t testing.TB, doc, pointer string) casemate.Contract {
	t.Helper()
	c, err := Compile([]byte(doc), pointer, "order.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestContractTakesAndRefuses(t *testing.T) {
	c := must(t, orderSchema, "")
	const id = `"id":"b0b1f7c2-5a53-4a0e-9d3b-0c0f5be0a001"`
	const item = `"items":[{"sku":"t","quantity":1}]`
	for _, x := range []struct{ body, field, rule string }{
		{order, "", ""},
		{`{` + id + `,` + item + `,"extra":{"free":[1]},"labels":{"a":"x","b":"y"}}`, "", ""},
		{`{` + item + `}`, "/id", "required"},
		{`{` + id + `,` + item + `,"admin":true}`, "/admin", "unknown member"},
		{`{` + id + `,"items":[{"sku":"t","quantity":1,"price":0}]}`, "/items/0/price", "unknown member"},
		{`{` + id + `,"items":[{"sku":"t","quantity":101}]}`, "/items/0/quantity", "maximum: 100"},
		{`{` + id + `,"items":[{"sku":"t","quantity":1.5}]}`, "/items/0/quantity", "type: integer"},
		{`{` + id + `,"items":[]}`, "/items", "minItems: 1"},
		{`{` + id + `,` + item + `,"customer":"x"}`, "/customer", "pattern: ^c-[0-9]+$"},
		{`{` + id + `,` + item + `,"labels":{"b":1}}`, "/labels/b", "type: string"},
		{`{"id":"no uuid",` + item + `}`, "/id", "format: uuid"},
		{`[]`, "", "type: object"},
		{``, "", "JSON: a JSON value"},
		{`{"id":1,"id":2}`, "/id", "unique names"},
	} {
		err := check(c, "application/json", []byte(x.body))
		if x.rule == "" {
			if err != nil {
				t.Errorf("%s: %v", x.body, err)
			}
			continue
		}
		if err == nil {
			t.Errorf("%s: accepted", x.body)
			continue
		}
		e := coded(t, err)
		if e.Code != casemate.Invalid || e.Field != x.field || e.Rule != x.rule || e.Hint == "" {
			t.Errorf("%s: field %q rule %q hint %q", x.body, e.Field, e.Rule, e.Hint)
		}
	}
}

// Unknown members are refused wherever a contract names members, and composition still works.
func TestContractClosesAroundComposition(t *testing.T) {
	const base = `$defs: {base: {type: object, required: [a], properties: {a: {type: object, properties: {b: {}}}}}, free: {type: object}}` + "\n"
	for _, x := range []struct {
		schema string
		take   []string
		refuse []string
	}{
		{`allOf: [{$ref: "#/$defs/base"}, {properties: {c: {}}}]`,
			[]string{`{"a":{},"c":1}`, `{"a":{"b":1}}`}, []string{`{"a":{},"d":1}`, `{"a":{"x":1}}`, `{"c":1}`}},
		{`{$ref: "#/$defs/base", properties: {c: {}}}`, []string{`{"a":{},"c":1}`}, []string{`{"a":{},"d":1}`}},
		{`{$ref: "#/$defs/base"}`, []string{`{"a":{}}`}, []string{`{"a":{},"d":1}`, `{"a":{"x":1}}`}},
		{`{$ref: "#/$defs/free"}`, []string{`{"anything":1}`}, nil},
		{`oneOf: [{properties: {k: {const: 1}, x: {}}, required: [k]}, {properties: {k: {const: 2}, y: {}}, required: [k]}]`,
			[]string{`{"k":1,"x":0}`, `{"k":2,"y":0}`}, []string{`{"k":1,"y":0}`, `{"k":2,"z":0}`}},
		{`{properties: {k: {}}, if: {properties: {k: {const: 1}}}, then: {properties: {x: {}}}, else: {properties: {y: {}}}}`,
			[]string{`{"k":1,"x":0}`, `{"k":2,"y":0}`}, []string{`{"k":1,"y":0}`, `{"k":2,"z":0}`}},
		{`{properties: {k: {type: object, properties: {n: {}}}}, not: {properties: {k: {properties: {n: {const: 1}}, required: [n]}}, required: [k]}}`,
			[]string{`{"k":{"n":2}}`}, []string{`{"k":{"n":1}}`, `{"k":{"n":2,"m":1}}`}},
		{`{properties: {a: {}}, additionalProperties: true}`, []string{`{"a":1,"z":1}`}, nil},
		{`{allOf: [{$ref: "#/$defs/base"}], unevaluatedProperties: true}`, []string{`{"a":{},"z":1}`}, []string{`{"a":{"x":1}}`}},
		{`{properties: {a: {}, kid: {allOf: [{$ref: "#"}, {properties: {b: {}}}]}}}`,
			[]string{`{"a":1}`, `{"kid":{"a":1,"b":2}}`}, []string{`{"x":1}`, `{"b":1}`, `{"kid":{"x":1}}`}},
		{`{additionalProperties: {properties: {a: {}}}}`, []string{`{"z":{"a":1}}`}, []string{`{"z":{"b":1}}`}},
		{`{prefixItems: [{properties: {a: {}}}], items: false}`, []string{`[{"a":1}]`}, []string{`[{"b":1}]`, `[{"a":1},2]`}},
		{`{patternProperties: {"^x-": {properties: {a: {}}}}}`, []string{`{"x-1":{"a":1}}`}, []string{`{"y":1}`, `{"x-1":{"b":1}}`}},
		{`{contains: {properties: {a: {const: 1}}, required: [a]}}`, []string{`[{"a":1,"b":2}]`}, []string{`[{"a":2}]`}},
	} {
		doc := base + strings.TrimSpace(x.schema)
		if strings.HasPrefix(doc[len(base):], "{") {
			doc = "{" + strings.TrimSpace(base) + ", " + doc[len(base)+1:]
		}
		c, err := Compile([]byte(doc), "", "x")
		if err != nil {
			t.Errorf("%s: %v", x.schema, err)
			continue
		}
		for _, b := range x.take {
			if err := check(c, "application/json", []byte(b)); err != nil {
				t.Errorf("%s: %s: %v", x.schema, b, err)
			}
		}
		for _, b := range x.refuse {
			if check(c, "application/json", []byte(b)) == nil {
				t.Errorf("%s: took %s", x.schema, b)
			}
		}
	}
}

// A negation must stay as strict as its author wrote it: closing what it refers to would let more through.
func TestContractNegationUsesOpenForm(t *testing.T) {
	c := must(t, `
$defs: {bad: {properties: {user: {properties: {name: {const: root}}, required: [name]}}, required: [user]}}
not: {$ref: "#/$defs/bad"}
properties: {user: {additionalProperties: true, properties: {name: {type: string}}}}
`, "")
	if err := check(c, "application/json", []byte(`{"user":{"name":"eve","x":1}}`)); err != nil {
		t.Fatal(err)
	}
	for _, b := range []string{`{"user":{"name":"root"}}`, `{"user":{"name":"root","x":1}}`} {
		if check(c, "application/json", []byte(b)) == nil {
			t.Errorf("took %s", b)
		}
	}
}

const api = `
openapi: 3.1.0
info: {title: orders, version: "1"}
paths:
  /orders/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    post:
      requestBody: {$ref: "#/components/requestBodies/order"}
      responses: {200: {description: ok}}
    patch:
      requestBody:
        required: false
        content: {application/json: {schema: {$ref: "#/components/schemas/Order"}}}
    get: {responses: {200: {description: ok}}}
components:
  requestBodies:
    order: {required: true, content: {application/json: {schema: {$ref: "#/components/schemas/Order"}}}}
  schemas:
    Order:
      type: object
      required: [n]
      properties: {n: {type: integer, format: int32}, next: {$ref: "#/components/schemas/Order"}}
      example: {n: 1}
`

func TestContractOpenAPI(t *testing.T) {
	for _, where := range []string{"POST /orders/{id}", "/components/schemas/Order"} {
		c := must(t, api, where)
		for b, ok := range map[string]bool{`{"n":1}`: true, `{"n":1,"next":{"n":2}}`: true, `{"n":1,"x":2}`: false,
			`{"n":1,"next":{"n":2,"x":1}}`: false, `{"n":2147483648}`: false, `{"n":-2147483648}`: true, ``: false} {
			if err := check(c, "application/json; charset=UTF-8", []byte(b)); (err == nil) != ok {
				t.Errorf("%s: %s: %v", where, b, err)
			}
		}
	}
	if err := check(must(t, api, "PATCH /orders/{id}"), "", nil); err != nil {
		t.Errorf("an optional body is missing: %v", err)
	}
	for _, where := range []string{"", "PUT /orders/{id}", "POST /nothing", "orders", "/components/schemas/Nothing"} {
		if _, err := Compile([]byte(api), where, "api"); err == nil || casemate.CodeOf(err) != casemate.Invalid {
			t.Errorf("%q: %v", where, err)
		}
	}
}

func TestContractDocumentsRefused(t *testing.T) {
	for name, x := range map[string]struct{ doc, says string }{
		"remote ref":       {`{"$ref":"https://example.com/x.json"}`, "leaves the document"},
		"file ref":         {`{"properties":{"a":{"$ref":"file:///etc/passwd"}}}`, "leaves the document"},
		"relative ref":     {`{"$ref":"other.json#/a"}`, "leaves the document"},
		"remote under not": {`{"not":{"$ref":"https://example.com/x.json"}}`, "leaves the document"},
		"dangling ref":     {`{"$ref":"#/$defs/none"}`, "leads to nothing"},
		"anchor":           {`{"$ref":"#name"}`, "no JSON pointer"},
		"dynamic ref":      {`{"$dynamicRef":"#x"}`, "not taken"},
		"nested id":        {`{"properties":{"a":{"$id":"https://example.com/b"}}}`, "not taken"},
		"typo":             {`{"properties":{"a":{"maxLenght":3}}}`, "maxLenght"},
		"typo in a ref":    {`{"$ref":"#/$defs/a","$defs":{"a":{"minimun":3}}}`, "minimun"},
		"unknown format":   {`{"format":"credit-card"}`, "credit-card"},
		"nullable":         {`{"nullable":true}`, "nullable"},
		"old draft":        {`{"$schema":"http://json-schema.org/draft-04/schema#"}`, "$schema"},
		"next openapi":     {`{"openapi":"3.2.0","paths":{}}`, "3.1"},
		"swagger":          {`{"swagger":"2.0"}`, "3.1"},
		"lookahead":        {`{"pattern":"(?=x)y"}`, "RE2"},
		"bad type":         {`{"type":"strin"}`, "compiling"},
		"not an object":    {`[1]`, "not an object"},
		"alias":            {"a: &a {}\nb: *a", "anchors and aliases"},
		"duplicate":        {`{"type":"string","type":"object"}`, "second time"},
		"empty":            {"", "empty"},
		"utf-8":            {"a: \xff", "UTF-8"},
		"deep":             {strings.Repeat("[", 5000), "deeper"},
		"second document":  {"{}\n---\n{}", "second document"},
		"custom tag":       {"a: !!binary aGk=", "tag"},
		"hex number":       {"minimum: 0x10", "number"},
		"endless number":   {"minimum: 1e999999999", "number"},
		"half a negation":  {`{"not":{"$ref":"#/$defs/a"},"$defs":{"a":{"bogus":1}}}`, "bogus"},
		"ref to a negated": {`{"not":{"properties":{"a":{"$ref":"#/$defs/b"}}},"$ref":"#/not","$defs":{"b":{}}}`, "move it to $defs"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Compile([]byte(x.doc), "", "c.yaml")
			if err == nil {
				t.Fatal("accepted")
			}
			if e := coded(t, err); e.Code != casemate.Invalid || e.Field != "c.yaml" || !strings.Contains(e.Message, x.says) {
				t.Fatalf("%+v", e)
			}
		})
	}
}

func TestContractContentType(t *testing.T) {
	c := must(t, orderSchema, "")
	for ct, ok := range map[string]bool{"application/json": true, "Application/JSON; charset=utf-8": true, "": false,
		"text/plain": false, "application/x-www-form-urlencoded": false, "application/json; charset=utf-16": false,
		"application/json;;;": false, "application/xml": false} {
		err := check(c, ct, []byte(order))
		if (err == nil) != ok {
			t.Errorf("%q: %v", ct, err)
		}
		if err != nil && coded(t, err).Field != "Content-Type" {
			t.Errorf("%q: %+v", ct, err)
		}
	}
}

// Other validators put the caller's own values into their texts, and from there they reach logs and pages.
func TestContractErrorHoldsNoValue(t *testing.T) {
	kinds := must(t, `{properties: {a: {enum: [x]}, b: {pattern: "^y$"}, c: {const: 1}, d: {format: email}, e: {maxLength: 2},
 f: {maximum: 3}, g: {multipleOf: 10}, h: {oneOf: [{type: integer}]}, i: {contains: {const: 1}}, j: {uniqueItems: true},
 k: {propertyNames: {maxLength: 1}}, l: {not: {}}, m: {type: object}}}`, "")
	body := `{"a":"hunter2","b":"hunter2","c":"hunter2","d":"hunter2","e":"hunter2","f":424242,"g":4242421,"h":"hunter2",
 "i":["hunter2"],"j":["hunter2","hunter2"],"k":{},"l":"hunter2","m":"hunter2"}`
	e := coded(t, check(kinds, "application/json", []byte(body)))
	all := fmt.Sprintf("%+v %v", *e, e.Err)
	if strings.Contains(all, "hunter2") || strings.Contains(all, "424242") {
		t.Fatal(all)
	}
	if !strings.Contains(e.Message, "and 2 more") || strings.Count(e.Message, "; ") != 10 {
		t.Fatal(e.Message)
	}
}

func TestClean(t *testing.T) {
	c := must(t, orderSchema, "")
	v := &casemate.Version{Limits: casemate.Limits{Request: 1000}}
	route := &casemate.Route{Request: 300}
	body := []byte(order)
	for name, x := range map[string]struct {
		m    *casemate.Match
		e    casemate.Event
		raw  []byte
		code casemate.Code
		ok   bool
	}{
		"contract":              {&casemate.Match{Version: v, Route: route, Contract: c}, casemate.Event{ContentType: "application/json"}, body, 0, true},
		"gzip":                  {&casemate.Match{Version: v, Contract: c}, casemate.Event{ContentType: "application/json", ContentEncoding: "gzip"}, zipped(t, body), 0, true},
		"route bound":           {&casemate.Match{Version: v, Route: route}, casemate.Event{}, make([]byte, 301), casemate.TooLarge, false},
		"function bound":        {&casemate.Match{Version: v}, casemate.Event{}, make([]byte, 1001), casemate.TooLarge, false},
		"bad json":              {&casemate.Match{Version: v, Route: route}, casemate.Event{ContentType: "application/x+json;a=b"}, []byte(`{"a":1,"a":2}`), casemate.Invalid, false},
		"json by name":          {&casemate.Match{Version: v}, casemate.Event{Target: casemate.Target{Function: "f"}}, []byte(`{`), casemate.Invalid, false},
		"anything else":         {&casemate.Match{Version: v, Route: route}, casemate.Event{ContentType: "text/plain"}, []byte(`{`), 0, true},
		"no body":               {&casemate.Match{Version: v}, casemate.Event{Target: casemate.Target{Function: "f"}}, nil, 0, true},
		"nothing resolved":      {nil, casemate.Event{}, nil, casemate.Fault, false},
		"missing contract body": {&casemate.Match{Version: v, Contract: c}, casemate.Event{ContentType: "application/json"}, nil, casemate.Invalid, false},
	} {
		got, err := Cleaner{}.Clean(x.m, &x.e, x.raw)
		if x.ok != (err == nil) || err != nil && (casemate.CodeOf(err) != x.code || got.Body != nil) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func FuzzCompile(f *testing.F) {
	f.Add([]byte(orderSchema), "", []byte(order))
	f.Add([]byte(api), "POST /orders/{id}", []byte(`{"n":1}`))
	f.Fuzz(func(t *testing.T, doc []byte, pointer string, body []byte) {
		c, err := Compile(doc, pointer, "fuzz")
		if err != nil {
			if casemate.CodeOf(err) != casemate.Invalid {
				t.Fatal(err)
			}
			return
		}
		_ = check(c, "application/json", body)
	})
}

func BenchmarkContract(b *testing.B) {
	c := must(b, orderSchema, "")
	body := []byte(order)
	b.ReportAllocs()
	for b.Loop() {
		if err := check(c, "application/json", body); err != nil {
			b.Fatal(err)
		}
	}
}
