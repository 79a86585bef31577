package sample

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"casemate"
	"casemate/shield/schema"
)

// Request is what a contract asks of a request, and no more.
type Request struct {
	Params      map[string]string // of the path, decoded
	Query       url.Values
	Header      map[string]string // cookies among them
	ContentType string            // "" where there is no body
	Body        []byte
}

// Exchange is the request as a contract checks it.
func (r *Request) Exchange() *casemate.Exchange {
	return &casemate.Exchange{Params: r.Params, Query: r.Query.Encode(), ContentType: r.ContentType, Body: r.Body, Headers: maps.All(r.Header), Header: func(want string) (out []string) {
		for name, value := range r.Header {
			if strings.EqualFold(name, want) {
				out = append(out, value)
			}
		}
		return out
	}}
}

// Of makes a request out of a document, JSON or YAML, and where in it a contract stands: an operation of OpenAPI ("POST
// /orders"), or a JSON pointer to the schema of a JSON body. Examples and defaults come before what types and formats say.
// A media type that cannot be made here, and a contract of another kind, is an error.
func Of(data []byte, where string) (*Request, error) {
	doc, err := schema.Read(data)
	if err != nil {
		return nil, fmt.Errorf("reading the contract: %w", err)
	}
	m := &maker{doc: doc}
	r := &Request{Params: map[string]string{}, Query: url.Values{}, Header: map[string]string{}}
	method, path, operation := strings.Cut(where, " ")
	if !operation {
		s, ok := doc.Find(where)
		if !ok || doc.Root["asyncapi"] != nil {
			return nil, errors.New("the contract is not that of a request")
		}
		r.ContentType, r.Body = jsonType, encode(m.value(s, 0))
		return r, nil
	}
	item := pathOf(doc, path)
	if item == "" {
		return nil, fmt.Errorf("there is no operation %q", where)
	}
	at := item + "/" + strings.ToLower(method)
	op, _, err := doc.Object(at)
	if err != nil {
		return nil, err
	}
	for _, ptr := range []string{item, at} {
		if err := m.params(r, ptr); err != nil {
			return nil, err
		}
	}
	if op["requestBody"] != nil {
		err = m.body(r, at+"/requestBody")
	}
	return r, err
}

// pathOf is the pointer to a path of the document, which may lack the path of its servers.
func pathOf(doc *schema.Document, path string) (ptr string) {
	paths, _ := doc.Root["paths"].(map[string]any)
	longest := ""
	for p := range paths {
		if strings.HasSuffix(path, p) && len(p) > len(longest) {
			longest, ptr = p, "/paths/"+schema.Escape(p)
		}
	}
	return ptr
}

// params makes the parameters that are required, and those of the path.
func (m *maker) params(r *Request, ptr string) error {
	holder, at, err := m.doc.Object(ptr)
	if err != nil {
		return err
	}
	list, _ := holder["parameters"].([]any)
	for i := range list {
		p, _, err := m.doc.Object(fmt.Sprintf("%s/parameters/%d", at, i))
		if err != nil {
			return err
		}
		name, _ := p["name"].(string)
		in, _ := p["in"].(string)
		if required, _ := p["required"].(bool); !required && in != "path" {
			continue
		}
		texts := plain(m.shown(p))
		switch in {
		case "path":
			r.Params[name] = strings.Join(texts, ",")
		case "query":
			if explode, ok := p["explode"].(bool); ok && !explode {
				texts = []string{strings.Join(texts, ",")}
			}
			r.Query[name] = texts
		case "header":
			r.Header[name] = strings.Join(texts, ",")
		case "cookie":
			r.Header["Cookie"] = strings.TrimPrefix(r.Header["Cookie"]+"; "+name+"="+url.QueryEscape(strings.Join(texts, ",")), "; ")
		}
	}
	return nil
}

const (
	jsonType = "application/json"
	formType = "application/x-www-form-urlencoded"
)

// body makes a body of the media type that is the easiest to write.
func (m *maker) body(r *Request, ptr string) error {
	b, _, err := m.doc.Object(ptr)
	if err != nil {
		return err
	}
	content, _ := b["content"].(map[string]any)
	types := slices.Sorted(maps.Keys(content))
	rank := func(t string) int {
		t, _, _ = strings.Cut(t, ";")
		switch {
		case t == jsonType:
			return 0
		case strings.HasSuffix(t, "+json"), t == "*/*", t == "application/*":
			return 1
		case t == formType:
			return 2
		case strings.HasPrefix(t, "text/") && t != "text/xml":
			return 3
		}
		return 4
	}
	slices.SortStableFunc(types, func(a, b string) int { return rank(a) - rank(b) })
	if len(types) == 0 {
		return nil
	}
	media, _ := content[types[0]].(map[string]any)
	v := m.shown(media)
	switch r.ContentType = strings.ReplaceAll(types[0], "*", "plain"); rank(types[0]) {
	case 0, 1:
		if strings.Contains(types[0], "*") {
			r.ContentType = jsonType
		}
		r.Body = encode(v)
	case 2:
		form := url.Values{}
		object, _ := v.(map[string]any)
		for name, x := range object {
			form[name] = plain(x)
		}
		r.Body = []byte(form.Encode())
	case 3:
		r.Body = []byte(strings.Join(plain(v), ","))
	default:
		return fmt.Errorf("no sample is made of %s", types[0])
	}
	return nil
}

// shown is the value of a parameter or media type: its example, the first of its examples, or what its schema takes.
func (m *maker) shown(p map[string]any) any {
	if v, ok := p["example"]; ok {
		return m.stands(v)
	}
	all, _ := p["examples"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if v, ok := m.follow(all[name])["value"]; ok {
			return m.stands(v)
		}
	}
	content, _ := p["content"].(map[string]any)
	for _, t := range slices.Sorted(maps.Keys(content)) {
		media, _ := content[t].(map[string]any)
		return string(encode(m.shown(media)))
	}
	return m.value(p["schema"], 0)
}

// plain is a value as parameters and forms write it: an array as several.
func plain(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		out := make([]string, 0, len(v))
		for _, x := range v {
			out = append(out, strings.Join(plain(x), ","))
		}
		return out
	}
	return []string{string(encode(v))}
}

// encode writes a value as JSON, without HTML's escapes: people read it.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return []byte("null")
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}
