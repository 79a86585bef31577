package asyncapi

import (
	"fmt"
	"strings"
	"testing"

	"casemate"
	"casemate/shield/schema"
)

const v2 = `asyncapi: 2.6.0
channels:
  orders/placed:
    publish: {message: {$ref: "#/components/messages/orderPlaced"}}
  orders/all:
    subscribe: {message: {oneOf: [{$ref: "#/components/messages/orderPlaced"}, {name: orderGone, payload: {type: object, properties: {id: {type: integer}}}}]}}
components:
  messages:
    orderPlaced:
      name: OrderPlaced
      contentType: application/json
      headers: {type: object, required: [X-Tenant], properties: {X-Tenant: {type: string, pattern: "^[a-z]+$"}, X-Try: {type: integer}, X-Note: {type: string}}}
      payload:
        type: object
        required: [id]
        properties: {id: {type: string, format: uuid}, note: {type: string}, pair: {type: array, items: [{type: integer}, {type: string, enum: [a]}], additionalItems: false}}
        dependencies: {note: [id]}
`

const v3 = `asyncapi: 3.0.0
channels:
  placed:
    address: orders/placed
    messages:
      orderPlaced:
        payload: {schemaFormat: "application/schema+yaml;version=2020-12", schema: {type: object, properties: {id: {type: integer}}}}
`

func message(t testing.TB, doc, name string) *Message {
	t.Helper()
	d, err := schema.Read([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	m, err := Compile(d, name, "events.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMessages(t *testing.T) {
	const id = `"id":"b0b1f7c2-5a53-4a0e-9d3b-0c0f5be0a001"`
	for _, c := range []struct{ doc, name, body, rule string }{
		{v2, "orderPlaced", `{` + id + `}`, ""},
		{v2, "OrderPlaced", `{` + id + `,"pair":[1,"a"]}`, ""},
		{v2, "OrderPlaced", `{` + id + `,"pair":[1,"a",2]}`, "no more items"},
		{v2, "orderPlaced", `{` + id + `,"admin":true}`, "unknown member"},
		{v2, "orderPlaced", `{}`, "required"},
		{v2, "orderGone", `{"id":1}`, ""},
		{v2, "orderGone", `{"id":"1"}`, "type: integer"},
		{v3, "", `{"id":1}`, ""},
		{v3, "orderPlaced", `{"id":1,"x":1}`, "unknown member"},
		{v3, "orderPlaced", ``, "JSON: a JSON value"},
	} {
		_, err := message(t, c.doc, c.name).Check(&casemate.Exchange{Body: []byte(c.body)})
		if (err == nil) != (c.rule == "") || err != nil && casemate.AsError(err).Rule != c.rule {
			t.Errorf("%s %s: %v", c.name, c.body, err)
		}
	}
}

func TestMessageHeaders(t *testing.T) {
	const body = `{"id":"b0b1f7c2-5a53-4a0e-9d3b-0c0f5be0a001"}`
	m := message(t, v2, "orderPlaced")
	for name, c := range map[string]struct {
		lines map[string][]string
		want  string
	}{
		"good":    {map[string][]string{"X-Tenant": {"abc"}, "X-Try": {"3"}, "X-Note": {"' or 1"}, "User-Agent": {"x"}}, "[{header X-Note ' or 1}]"},
		"missing": {map[string][]string{}, "required"},
		"wrong":   {map[string][]string{"X-Tenant": {"abc"}, "X-Try": {"three"}}, "type: integer"},
		"twice":   {map[string][]string{"X-Tenant": {"a", "b"}}, "once"},
	} {
		free, err := m.Check(&casemate.Exchange{Body: []byte(body), Header: func(n string) []string { return c.lines[n] }})
		got := fmt.Sprintf("%s", free)
		if err != nil {
			got = casemate.AsError(err).Rule
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestMessagesRefused(t *testing.T) {
	for doc, says := range map[string]string{
		"asyncapi: 1.2.0": "another AsyncAPI",
		"asyncapi: 3.0.0": "no message",
		v2:                "2 messages",
		"asyncapi: 2.6.0\ncomponents: {messages: {a: {payload: {type: object}, traits: [{}]}}}":                              "traits",
		"asyncapi: 2.6.0\ncomponents: {messages: {a: {contentType: application/xml, payload: {}}}}":                          "content type",
		"asyncapi: 2.6.0\ncomponents: {messages: {a: {schemaFormat: application/vnd.apache.avro;version=1.9, payload: {}}}}": "schemaFormat",
		"asyncapi: 2.6.0\ncomponents: {messages: {a: {name: a}}}":                                                            "no payload",
		"asyncapi: 2.6.0\ncomponents: {messages: {a: {payload: {typ: object}}}}":                                             "typ",
		"asyncapi: 2.6.0\ncomponents: {messages: {a: {payload: {}, paylod: {}}}}":                                            "paylod",
	} {
		d, err := schema.Read([]byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		if _, err = Compile(d, "", "x"); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", doc, err)
		}
	}
}

func FuzzMessage(f *testing.F) {
	f.Add([]byte(v2), "orderPlaced", "abc", []byte(`{"id":"b0b1f7c2-5a53-4a0e-9d3b-0c0f5be0a001"}`))
	f.Add([]byte(v3), "", "", []byte(`{"id":1}`))
	f.Fuzz(func(t *testing.T, doc []byte, name, header string, body []byte) {
		d, err := schema.Read(doc)
		if err != nil {
			return
		}
		m, err := Compile(d, name, "fuzz")
		if err != nil {
			return
		}
		_, err = m.Check(&casemate.Exchange{Body: body, Query: header, Header: func(string) []string { return []string{header} }})
		if err != nil && casemate.CodeOf(err) != casemate.Invalid && casemate.CodeOf(err) != casemate.TooLarge {
			t.Fatal(err)
		}
	})
}
