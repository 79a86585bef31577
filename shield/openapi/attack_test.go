package openapi

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"casemate"
)

// weak is what many documents are: open, untyped, without lengths. What works against it must fail against the shop's own.
const weak = `openapi: 3.1.0
paths:
  /orders:
    post:
      parameters: [{name: rest, in: query, schema: {type: object, additionalProperties: {}}}]
      requestBody: {content: {application/json: {}, "*/*": {}}}
      responses: {default: {description: any}}
`

// TestAttacksOnContracts: OWASP API3 and API8, and bodies that two readers read in two ways.
func TestAttacksOnContracts(t *testing.T) {
	shop, err := os.ReadFile("../../examples/orders/contract/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	open, closed := operation(t, weak, "POST /orders"), operation(t, string(shop), "POST /orders")
	const good = `{"customer":"O'Neil","items":[{"sku":"tea","quantity":2}],"note":"ship & select a table from there"}`
	for name, x := range map[string]struct {
		kind, query, body string
		both              bool // refused by the weak one as well: no document is needed
	}{
		"mass assignment":          {body: `{"customer":"a","items":[{"sku":"tea","quantity":2}],"role":"admin"}`},
		"mass assignment below":    {body: `{"customer":"a","items":[{"sku":"tea","quantity":2,"price":0}]}`},
		"prototype pollution":      {body: `{"customer":"a","items":[{"sku":"tea","quantity":2}],"__proto__":{"admin":true}}`},
		"operator for a text":      {body: `{"customer":{"$ne":null},"items":[{"sku":"tea","quantity":2}]}`},
		"operator for a number":    {body: `{"customer":"a","items":[{"sku":"tea","quantity":{"$gt":0}}]}`},
		"text for a number":        {body: `{"customer":"a","items":[{"sku":"tea","quantity":"1 or 1=1"}]}`},
		"statement in a code":      {body: `{"customer":"a","items":[{"sku":"tea'; drop table x--","quantity":1}]}`},
		"newline behind a pattern": {body: `{"customer":"a","items":[{"sku":"tea\n' or 1","quantity":1}]}`},
		"negative quantity":        {body: `{"customer":"a","items":[{"sku":"tea","quantity":-1}]}`},
		"fraction":                 {body: `{"customer":"a","items":[{"sku":"tea","quantity":1.5}]}`},
		"array for an object":      {body: `[{"customer":"a","items":[{"sku":"tea","quantity":2}]}]`},
		"null for a text":          {body: `{"customer":null,"items":[{"sku":"tea","quantity":2}]}`},
		"too many items":           {body: `{"customer":"a","items":[` + strings.Repeat(`{"sku":"tea","quantity":2},`, 60) + `{"sku":"tea","quantity":2}]}`},
		"long text":                {body: `{"customer":"` + strings.Repeat("a", 5000) + `","items":[{"sku":"tea","quantity":2}]}`},
		"unknown parameter":        {query: "debug=true", body: good},
		"another content type":     {kind: "text/plain", body: good},
		"a form instead":           {kind: "application/x-www-form-urlencoded", body: "customer=a&items[0][sku]=tea"},
		"XML instead":              {kind: "application/xml", body: `<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>`},
		"no body":                  {body: ``, both: true},
		"equal names":              {body: `{"customer":"a","items":[],"items":[{"sku":"tea","quantity":2}]}`, both: true},
		"equal names, one escaped": {body: `{"customer":"a","items":[{"sku":"tea","quantity":1,"\u0071uantity":99}]}`, both: true},
		"deep nesting":             {body: strings.Repeat(`{"customer":`, 5000), both: true},
		"huge number":              {body: `{"customer":"a","items":[{"sku":"tea","quantity":1e999999999}]}`, both: true},
		"number beyond double":     {body: `{"customer":"a","items":[{"sku":"tea","quantity":1e400}]}`, both: true},
		"invalid UTF-8":            {body: "{\"customer\":\"\xc0\xaf\",\"items\":[{\"sku\":\"tea\",\"quantity\":2}]}", both: true},
		"half a surrogate":         {body: `{"customer":"\ud800","items":[{"sku":"tea","quantity":2}]}`, both: true},
		"two documents":            {body: good + good, both: true},
		"byte order mark":          {body: "\xef\xbb\xbf" + good, both: true},
	} {
		x0 := &casemate.Exchange{ContentType: "application/json", Query: x.query, Body: []byte(x.body)}
		if x.kind != "" {
			x0.ContentType = x.kind
		}
		if _, err := open.Check(x0); (err != nil) != x.both {
			t.Errorf("%s: against the weak document: %v", name, err)
		}
		if _, err := closed.Check(x0); err == nil {
			t.Errorf("%s: works", name)
		} else if bytes.Contains([]byte(err.Error()), []byte("or 1")) {
			t.Errorf("%s: the error quotes it: %v", name, err)
		}
	}
	free, err := closed.Check(&casemate.Exchange{ContentType: "application/json", Body: []byte(good)})
	if err != nil || fields(free) != "body /customer=O'Neil; body /note=ship & select a table from there" {
		t.Errorf("an order: %q, %v", fields(free), err)
	}
}

func BenchmarkOperation(b *testing.B) {
	shop, err := os.ReadFile("../../examples/orders/contract/openapi.yaml")
	if err != nil {
		b.Fatal(err)
	}
	order, quote, show := operation(b, string(shop), "POST /orders"), operation(b, string(shop), "POST /prices"), operation(b, string(shop), "GET /prices/{sku}")
	for _, c := range []struct {
		name string
		op   *Operation
		x    casemate.Exchange
	}{
		{"90B", quote, casemate.Exchange{ContentType: "application/json", Body: []byte(`{"items":[{"sku":"tea","quantity":2},{"sku":"coffee","quantity":1},{"sku":"cup","quantity":12}]}`)}},
		{"free", order, casemate.Exchange{ContentType: "application/json", Body: []byte(`{"customer":"Ada","items":[{"sku":"tea","quantity":2}],"note":"by the back door, please, it is open"}`)}},
		{"path", show, casemate.Exchange{Params: map[string]string{"sku": "tea"}, Query: "currency=EUR"}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.op.Check(&c.x); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("answer", func(b *testing.B) {
		a := &casemate.Answer{Status: 200, Header: []casemate.HeaderLine{{Name: "content-type", Value: "application/json"}}, Body: []byte(`{"currency":"EUR","lines":[{"sku":"tea","quantity":2,"each":450,"net":900}],"net":900,"tax":171,"total":1071}`)}
		b.ReportAllocs()
		for b.Loop() {
			if err := quote.Answer(a); err != nil {
				b.Fatal(err)
			}
		}
	})
}
