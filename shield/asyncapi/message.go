// Package asyncapi turns a message of an AsyncAPI document (2.0 to 2.6, 3.0) into a contract: its payload, and its headers
// where the event has any. What is not supported is an error when the document is read. It is pure: no clock, no I/O.
//
// The specification: https://www.asyncapi.com/docs/reference/specification/v3.0.0.
package asyncapi

import (
	"fmt"
	"maps"
	"mime"
	"slices"
	"strings"

	"casemate"
	"casemate/shield/openapi"
	"casemate/shield/schema"
)

// Message is the contract of one message. It is safe for concurrent use.
type Message struct {
	name    string // in messages
	payload *schema.Schema
	headers *schema.Schema // nil: nothing is said about them
	named   []string       // the headers that the schema names
	shape   *schema.Shape
}

// Compile makes the contract of a message: by its name in components, by the name or messageId that it gives itself, or the
// channel's name for it, where that is one message. "" is the only message of the document.
func Compile(doc *schema.Document, message, name string) (*Message, error) {
	version, _ := doc.Root["asyncapi"].(string)
	if !strings.HasPrefix(version, "2.") && !strings.HasPrefix(version, "3.0.") {
		return nil, fmt.Errorf("this is another AsyncAPI than 2 and 3.0")
	}
	m, at, err := find(doc, message)
	if err != nil {
		return nil, err
	}
	out := &Message{name: name}
	if err := out.read(doc, m, at); err != nil {
		return nil, fmt.Errorf("%s: %w", doc.Place(at), err)
	}
	return out, nil
}

// find looks for a message among those of the components and of the channels.
func find(doc *schema.Document, want string) (m map[string]any, at string, err error) {
	found := map[string]map[string]any{}
	add := func(ptr, key string) error {
		m, at, err := doc.Object(ptr)
		if err != nil {
			return err
		}
		title, _ := m["name"].(string)
		id, _ := m["messageId"].(string)
		if want == "" || want == key || want == title || want == id {
			found[at] = m
		}
		return nil
	}
	for _, ptr := range places(doc) {
		if err := add(ptr, ptr[strings.LastIndexByte(ptr, '/')+1:]); err != nil {
			return nil, "", err
		}
	}
	switch list := slices.Sorted(maps.Keys(found)); {
	case len(list) == 0 && want != "":
		return nil, "", fmt.Errorf("there is no message %q", want)
	case len(list) == 0:
		return nil, "", fmt.Errorf("the document has no message")
	case len(list) > 1 && want == "":
		return nil, "", fmt.Errorf("the document has %d messages: name one", len(list))
	case len(list) > 1:
		return nil, "", fmt.Errorf("several messages are called %q: %s", want, strings.Join(list, ", "))
	default:
		return found[list[0]], list[0], nil
	}
}

// Messages lists names that Compile finds one message by.
func Messages(doc *schema.Document) (out []string) {
	for _, ptr := range places(doc) {
		m, _, err := doc.Object(ptr)
		if err != nil {
			continue // compiling what is asked for says it
		}
		for _, name := range [...]any{ptr[strings.LastIndexByte(ptr, '/')+1:], m["name"], m["messageId"]} {
			text, _ := name.(string)
			if _, _, err := find(doc, text); text != "" && err == nil {
				out = append(out, text)
				break
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// places are the pointers where messages can be.
func places(doc *schema.Document) (out []string) {
	below := func(ptr string) []string {
		v, _ := doc.Find(ptr)
		m, _ := v.(map[string]any)
		return slices.Sorted(maps.Keys(m))
	}
	for _, key := range below("/components/messages") {
		out = append(out, "/components/messages/"+schema.Escape(key))
	}
	for _, channel := range below("/channels") {
		at := "/channels/" + schema.Escape(channel)
		for _, key := range below(at + "/messages") { // 3.0
			out = append(out, at+"/messages/"+schema.Escape(key))
		}
		for _, way := range [...]string{"publish", "subscribe"} { // 2.x
			ptr := at + "/" + way + "/message"
			v, ok := doc.Find(ptr)
			m, _ := v.(map[string]any)
			if !ok {
				continue
			}
			if list, several := m["oneOf"].([]any); several {
				for i := range list {
					out = append(out, fmt.Sprintf("%s/oneOf/%d", ptr, i))
				}
				continue
			}
			out = append(out, ptr)
		}
	}
	return out
}

// read compiles what a message says.
func (o *Message) read(doc *schema.Document, m map[string]any, at string) error {
	for word := range m {
		if !strings.HasPrefix(word, "x-") && !slices.Contains(words(), word) {
			return fmt.Errorf("%q is not known in a message: it would mean nothing", word)
		}
	}
	if m["traits"] != nil {
		return fmt.Errorf("traits are not supported: write what they say into the message")
	}
	if t, ok := m["contentType"].(string); ok {
		kind, _, err := mime.ParseMediaType(t)
		if err != nil || kind != "application/json" && !strings.HasSuffix(kind, "+json") {
			return fmt.Errorf("the content type %q is not supported: take application/json", t)
		}
	}
	if m["payload"] == nil {
		return fmt.Errorf("the message has no payload")
	}
	format, _ := m["schemaFormat"].(string)
	var err error
	if o.payload, err = compiled(doc, m["payload"], at+"/payload", format); err != nil {
		return err
	}
	if m["headers"] == nil {
		return nil
	}
	if o.headers, err = compiled(doc, m["headers"], at+"/headers", format); err != nil {
		return err
	}
	o.shape = o.headers.Shape()
	h, _, err := doc.Object(at + "/headers")
	if err != nil {
		return err
	}
	props, _ := h["properties"].(map[string]any)
	if o.named = slices.Sorted(maps.Keys(props)); len(o.named) == 0 {
		return fmt.Errorf("the headers name no properties")
	}
	return nil
}

func words() []string {
	return strings.Fields("messageId headers payload correlationId schemaFormat contentType name title summary description tags externalDocs bindings examples traits")
}

// compiled compiles a schema, which in 3.0 may stand beside its format.
func compiled(doc *schema.Document, v any, at, format string) (*schema.Schema, error) {
	if m, ok := v.(map[string]any); ok && m["schemaFormat"] != nil && m["schema"] != nil {
		format, _ = m["schemaFormat"].(string)
		at += "/schema"
	}
	dialect, err := dialectOf(format)
	if err != nil {
		return nil, err
	}
	s, err := doc.Compile(dialect, schema.Neither, at)
	if err != nil {
		return nil, err
	}
	return s[0], nil
}

// dialectOf reads a schemaFormat. AsyncAPI's own schemas are draft-07.
func dialectOf(format string) (schema.Dialect, error) {
	kind, rest, _ := strings.Cut(format, ";")
	switch {
	case format == "", strings.HasPrefix(kind, "application/vnd.aai.asyncapi"):
		return schema.Draft7, nil
	case strings.HasPrefix(kind, "application/schema+"):
		_, version, _ := strings.Cut(rest, "version=")
		switch version {
		case "draft-07":
			return schema.Draft7, nil
		case "2019-09", "draft/2019-09":
			return schema.Draft2019, nil
		case "2020-12", "draft/2020-12":
			return schema.Draft2020, nil
		}
	case strings.HasPrefix(kind, "application/vnd.oai.openapi"):
		if strings.Contains(rest, "version=3.1") {
			return schema.OpenAPI31, nil
		}
		return schema.OpenAPI30, nil
	}
	return 0, fmt.Errorf("the schemaFormat %q is not supported", format)
}

// Check implements casemate.Contract. Headers are held where the event has any; what is free in those that the document
// names is given, the others are the caller's.
func (o *Message) Check(x *casemate.Exchange) ([]casemate.Field, error) {
	var free []casemate.Field
	if o.headers != nil && x.Header != nil {
		values := map[string]any{}
		for _, name := range o.named {
			lines := x.Header(name)
			switch {
			case len(lines) > 1:
				return nil, &casemate.Error{Code: casemate.Invalid, Field: name, Rule: "once", Message: "the header " + name + " was sent twice", Hint: "send it once"}
			case len(lines) == 1:
				if values[name] = lines[0]; o.shape.Property(name) != nil {
					values[name], _ = o.shape.Property(name).Scalar(lines[0])
				}
			}
		}
		var err error
		if free, err = o.headers.Value(schema.Place{What: "the header", In: "header"}, o.name, values); err != nil {
			return nil, err
		}
		for i := range free {
			free[i].Name = strings.TrimPrefix(free[i].Name, "/")
		}
	}
	more, err := o.payload.JSON(schema.Body(), o.name, x.Body)
	if err != nil {
		return nil, err
	}
	if len(x.Params) > 0 || x.Query != "" {
		free = append(free, openapi.Loose(x)...)
	}
	return append(free, more...), nil
}

// Answer implements casemate.Contract: a message has no answer.
func (o *Message) Answer(*casemate.Answer) error { return nil }
