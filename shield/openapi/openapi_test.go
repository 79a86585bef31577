package openapi

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"casemate"
	"casemate/shield/schema"
)

func operation(t testing.TB, doc, where string) *Operation {
	t.Helper()
	d, err := schema.Read([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	c, err := Compile(d, where, "api.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return c.(*Operation)
}

// of makes a document of one operation out of what stands in it, in YAML's flow style.
func of(version, op string) string {
	return "openapi: " + version + "\ninfo: {title: t, version: '1'}\npaths:\n  /x:\n    post: {" + op + "}\n"
}

func header(lines map[string][]string) func(string) []string {
	return func(name string) []string { return lines[strings.ToLower(name)] }
}

func fields(list []casemate.Field) string {
	var out []string
	for _, f := range list {
		out = append(out, fmt.Sprintf("%s %s=%s", f.In, f.Name, f.Value))
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}

const noAnswers = `, responses: {"200": {description: ok, content: {}}}`

// TestParameterStyles: every style of the specification's table, as it is written there.
func TestParameterStyles(t *testing.T) {
	const list, object = `{type: array, items: {type: string, enum: [blue, black, brown]}}`, `{type: object, properties: {R: {type: integer}, G: {type: integer}, B: {type: integer}}}`
	for _, c := range []struct {
		in, style, schema string
		explode           bool
		sent              string
		ok                bool
	}{
		{"query", "form", list, true, "color=blue&color=black", true},
		{"query", "form", list, true, "color=blue&color=red", false},
		{"query", "form", list, false, "color=blue,black", true},
		{"query", "form", list, false, "color=blue%2Cblack", false}, // an encoded comma is no delimiter
		{"query", "form", list, false, "color=blue&color=black", false},
		{"query", "form", object, true, "R=100&G=200&B=150", true},
		{"query", "form", object, true, "R=100&X=1", false},
		{"query", "form", object, false, "color=R,100,G,200,B,150", true},
		{"query", "form", object, false, "color=R,100,R,200", false},
		{"query", "form", object, false, "color=R", false},
		{"query", "spaceDelimited", list, false, "color=blue%20black+brown", true},
		{"query", "pipeDelimited", list, false, "color=blue|black%7Cbrown", true},
		{"query", "pipeDelimited", object, false, "color=R|100|G|200", true},
		{"query", "deepObject", object, true, "color[R]=100&color%5BG%5D=200", true},
		{"query", "deepObject", object, true, "color[R]=100&color[X]=200", false},
		{"query", "deepObject", object, true, "color[R]=100&color[R]=200", false},
		{"query", "deepObject", object, true, "color[R][S]=100", false},
		{"query", "deepObject", object, true, "color=1", false},
		{"path", "simple", list, false, "blue,black", true},
		{"path", "simple", object, true, "R=100,G=200", true},
		{"path", "simple", object, false, "R,100,G,200", true},
		{"path", "label", list, false, ".blue,black", true},
		{"path", "label", list, true, ".blue.black", true},
		{"path", "label", list, true, "blue", false},
		{"path", "label", object, true, ".R=100.G=200", true},
		{"path", "matrix", list, false, ";color=blue,black", true},
		{"path", "matrix", list, true, ";color=blue;color=black", true},
		{"path", "matrix", object, true, ";R=100;G=200", true},
		{"path", "matrix", object, false, ";color=R,100,G,200", true},
		{"path", "matrix", list, true, ";colour=blue", false},
		{"header", "simple", list, false, "blue, black", true},
		{"header", "simple", object, true, "R=100,G=200", true},
		{"cookie", "form", list, false, "blue,black", true},
		{"cookie", "form", list, false, "blue,red", false},
	} {
		path := "/x"
		if c.in == "path" {
			path = "/x/{color}"
		}
		doc := fmt.Sprintf("openapi: 3.1.0\npaths:\n  %s:\n    post: {parameters: [{name: color, in: %s, required: true, style: %s, explode: %t, schema: %s}]%s}\n",
			path, c.in, c.style, c.explode, c.schema, noAnswers)
		op := operation(t, doc, "POST "+path)
		x := &casemate.Exchange{}
		switch c.in {
		case "query":
			x.Query = c.sent
		case "path":
			x.Params = map[string]string{"color": c.sent}
		case "header":
			x.Header = header(map[string][]string{"color": {c.sent}})
		case "cookie":
			x.Header = header(map[string][]string{"cookie": {"a=b; color=" + c.sent}})
		}
		if _, err := op.Check(x); (err == nil) != c.ok {
			t.Errorf("%s %s explode=%t %q: %v", c.in, c.style, c.explode, c.sent, err)
		}
	}
}

const params = `openapi: 3.0.3
paths:
  /items/{id}:
    parameters:
      - {name: id, in: path, required: true, schema: {type: string, format: uuid}}
      - {name: page, in: query, schema: {type: string}}
    get:
      parameters:
        - {name: page, in: query, schema: {type: integer, minimum: 1, maximum: 50, default: 1}}
        - {name: q, in: query, schema: {type: string, maxLength: 20}}
        - {name: sort, in: query, schema: {type: string, enum: [up, down]}}
        - {name: flag, in: query, allowEmptyValue: true, schema: {type: boolean}}
        - {name: filter, in: query, content: {application/json: {schema: {type: object, properties: {name: {type: string}}}}}}
        - {name: X-Trace, in: header, schema: {type: string, pattern: "^[0-9a-f]{8}$"}}
        - {name: Accept, in: header, schema: {type: integer}}
        - {name: session, in: cookie, schema: {type: string, pattern: "^[a-z]+$"}}
      responses: {"200": {description: ok}}
`

func TestParameters(t *testing.T) {
	op := operation(t, params, "GET /items/{id}")
	const id = "b0b1f7c2-5a53-4a0e-9d3b-0c0f5be0a001"
	for _, c := range []struct {
		id, query   string
		header      map[string][]string
		field, rule string
		free        string
	}{
		{id: id},
		{id: id, query: "page=2&sort=up&flag", header: map[string][]string{"x-trace": {"0123abcd"}, "cookie": {"session=abc; other='; drop"}}},
		{id: id, query: "q=%27%20or+1", free: "query q=' or 1"},
		{id: id, query: "filter=%7B%22name%22%3A%22a%22%7D", free: "query filter/name=a"},
		{id: id, query: "filter=%7B%22nme%22%3A%22a%22%7D", field: "filter/nme", rule: "unknown member"},
		{id: "1 or 1", field: "id", rule: "format: uuid"},
		{id: id, query: "page=0", field: "page", rule: "minimum: 1"},
		{id: id, query: "page=x", field: "page", rule: "type: integer"},
		{id: id, query: "page=1e1", field: ""}, // ten, as JSON Schema reads numbers
		{id: id, query: "page=1&page=2", field: "page", rule: "once"},
		{id: id, query: "admin=true", field: "admin", rule: "unknown parameter"},
		{id: id, query: "Page=1", field: "Page", rule: "unknown parameter"},
		{id: id, query: "q=%ff", field: "q", rule: "percent-encoding"},
		{id: id, header: map[string][]string{"x-trace": {"xyz"}}, field: "X-Trace", rule: "pattern: ^[0-9a-f]{8}$"},
		{id: id, header: map[string][]string{"x-trace": {"0123abcd", "0123abcd"}}, field: "X-Trace", rule: "once"},
		{id: id, header: map[string][]string{"cookie": {"session=A"}}, field: "session", rule: "pattern: ^[a-z]+$"},
		{id: id, header: map[string][]string{"cookie": {"session=a; session=b"}}, field: "session", rule: "once"},
	} {
		free, err := op.Check(&casemate.Exchange{Params: map[string]string{"id": c.id}, Query: c.query, Header: header(c.header)})
		if c.rule == "" {
			if err != nil || fields(free) != c.free {
				t.Errorf("%q %v: %q, %v", c.query, c.header, fields(free), err)
			}
			continue
		}
		if e := casemate.AsError(err); err == nil || e.Code != casemate.Invalid || e.Field != c.field || e.Rule != c.rule {
			t.Errorf("%q %v: %+v", c.query, c.header, e)
		}
	}
	if free, err := op.Check(&casemate.Exchange{Params: map[string]string{"id": id, "more": "x"}}); err != nil || fields(free) != "path more=x" {
		t.Errorf("another parameter of the route: %q, %v", fields(free), err)
	}
	if len(op.Warnings()) != 2 || !strings.Contains(op.Warnings()[0], "Accept") {
		t.Errorf("%q", op.Warnings())
	}
}

// TestOpenQuery: a document opens its query in the standard's own words.
func TestOpenQuery(t *testing.T) {
	op := operation(t, of("3.1.0", `parameters: [{name: a, in: query, schema: {type: integer}}, {name: rest, in: query, schema: {type: object, additionalProperties: {type: string, maxLength: 3}}}]`+noAnswers), "POST /x")
	free, err := op.Check(&casemate.Exchange{Query: "a=1&b=x&c=y"})
	if err != nil || fields(free) != "query rest=b; query rest=c; query rest=x; query rest=y" {
		t.Errorf("%q, %v", fields(free), err)
	}
	if _, err := op.Check(&casemate.Exchange{Query: "a=1&b=long"}); err == nil {
		t.Error("took what the rest does not allow")
	}
}

func TestForm(t *testing.T) {
	op := operation(t, of("3.0.3", `requestBody: {required: true, content: {application/x-www-form-urlencoded: {schema: {type: object, required: [name],
      properties: {name: {type: string}, age: {type: integer}, kind: {type: string, enum: [a, b]}, tags: {type: array, items: {type: string}}, at: {type: object, properties: {x: {type: number}}}, deep: {type: object, properties: {y: {type: boolean}}}}},
      encoding: {deep: {style: deepObject, explode: true}}}}}`+noAnswers), "POST /x")
	for body, want := range map[string]string{
		"name=a+b&age=3&kind=a":           "body /name=a b",
		"name=a&tags=x&tags=y":            "body /name=a; body /tags/0=x; body /tags/1=y",
		"name=a&at=%7B%22x%22%3A1.5%7D":   "body /name=a",
		"name=a&deep[y]=true":             "body /name=a",
		"age=3":                           "! /name required",
		"name=a&age=x":                    "! /age type: integer",
		"name=a&name=b":                   "! /name unique names",
		"name=a&isAdmin=true":             "! /isAdmin unknown member",
		"name=a&at=%7B%22z%22%3A1%7D":     "! /at/z unknown member",
		"name=a&at=%7B%22x%22":            "! /at JSON: a colon",
		"name=a&deep[z]=true":             "! /deep/z unknown member",
		"name=%ff":                        "! /name percent-encoding",
		"name=a" + strings.Repeat("&", 9): "body /name=a",
	} {
		free, err := op.Check(&casemate.Exchange{ContentType: "application/x-www-form-urlencoded", Body: []byte(body)})
		got := fields(free)
		if err != nil {
			e := casemate.AsError(err)
			got = "! " + e.Field + " " + e.Rule
		}
		if got != want {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
	}
}

func parts(list ...string) []byte {
	var b strings.Builder
	for i := 0; i+1 < len(list); i += 2 {
		fmt.Fprintf(&b, "--B\r\n%s\r\n\r\n%s\r\n", list[i], list[i+1])
	}
	return []byte(b.String() + "--B--\r\n")
}

func TestMultipart(t *testing.T) {
	op := operation(t, of("3.1.0", `requestBody: {content: {multipart/form-data: {schema: {type: object, required: [note], properties: {note: {type: string, maxLength: 5},
     image: {type: string, format: binary, maxLength: 4}, files: {type: array, maxItems: 2, items: {type: string, format: binary}}, meta: {type: object, properties: {n: {type: integer}}}}},
     encoding: {image: {contentType: "image/png, image/jpeg"}}}}}`+noAnswers), "POST /x")
	const note, image = `Content-Disposition: form-data; name="note"`, `Content-Disposition: form-data; name="image"; filename="../a.png"`
	for _, c := range []struct {
		body []byte
		want string
	}{
		{parts(note, "hi"), "body /note=hi"},
		{parts(note, "hi", image+"\r\nContent-Type: image/png", "\xff\xfe"), "body /image/filename=../a.png; body /image=\xff\xfe; body /note=hi"},
		{parts(note, "hi", image+"\r\nContent-Type: image/png", "12345"), "! /image maxLength: 4"},
		{parts(note, "hi", image+"\r\nContent-Type: text/html", "1"), "! /image Content-Type: image/png or image/jpeg"},
		{parts(note, "hi", image, "1"), "! /image Content-Type: image/png or image/jpeg"},
		{parts(note, "hello!"), "! /note maxLength: 5"},
		{parts(note, "a", note, "b"), "! /note unique names"},
		{parts(note+`; filename="x"`, "a"), "! /note no file"},
		{parts(note, "a", `Content-Disposition: form-data; name="role"`, "admin"), "! /role unknown member"},
		{parts(note, "a", `Content-Disposition: form-data; name="meta"`+"\r\nContent-Type: application/json", `{"n":1}`), "body /note=a"},
		{parts(note, "a", `Content-Disposition: form-data; name="meta"`, `{"n":1,"n":2}`), "! /meta unique names"},
		{parts(note, "a", `Content-Disposition: form-data; name="files"; filename="1"`, "x", `Content-Disposition: form-data; name="files"; filename="2"`, "y"),
			"body /files/0=x; body /files/1=y; body /files/filename=1; body /files/filename=2; body /note=a"},
		{parts(note+"\r\nContent-Transfer-Encoding: base64", "aGk="), "! /note headers of a part"},
		{parts("Content-Type: text/plain", "hi"), "! body Content-Disposition"},
		{[]byte("--B\r\n" + note + "\r\n\r\nhi"), "! body multipart"},
		{slices.Concat(parts(note, "a"), parts(`Content-Disposition: form-data; name="role"`, "admin")), "! body multipart"}, // read on behind the end, by some
		{parts(`Content-Disposition: form-data; name="role"; name*=utf-8''note`, "a"), "! body Content-Disposition"},         // two names, for two readers
		{parts(note, "a", image+"; filename*=UTF-8''a.php\r\nContent-Type: image/png", "1"), "! body Content-Disposition"},
		{parts(note, "a", `Content-Disposition: form-data; name="files"; filename="a*b"`, "x"), "body /files/0=x; body /files/filename=a*b; body /note=a"},
		{nil, "! body multipart"},
	} {
		free, err := op.Check(&casemate.Exchange{ContentType: "multipart/form-data; boundary=B", Body: c.body})
		got := fields(free)
		if err != nil {
			e := casemate.AsError(err)
			if got = "! " + e.Field + " " + e.Rule; e.Field == "" {
				got = "! body " + e.Rule
			}
		}
		if got != c.want {
			t.Errorf("%q: %s, want %s", c.body, got, c.want)
		}
	}
}

func TestMediaTypes(t *testing.T) {
	op := operation(t, of("3.1.0", `requestBody: {required: true, content: {application/json: {schema: {type: object, properties: {a: {type: integer}}}}, text/plain: {schema: {type: string, maxLength: 3}},
     application/octet-stream: {schema: {type: string, format: binary, maxLength: 2}}, "image/*": {}, application/xml: {schema: {type: object}}}}`+noAnswers), "POST /x")
	for _, c := range []struct{ kind, body, want string }{
		{"application/json", `{"a":1}`, ""},
		{"application/json", `{"b":1}`, "! /b unknown member"},
		{"text/plain", "abc", "body =abc"},
		{"text/plain; charset=utf-8", "abcd", "! maxLength: 3"},
		{"text/plain; charset=utf-16", "a", "! Content-Type"},
		{"text/plain", "\xff", "! body valid UTF-8"},
		{"application/octet-stream", "\xff\x00", "body =\xff\x00"},
		{"application/octet-stream", "abc", "! maxLength: 2"},
		{"image/png", "x", "body =x"},
		{"image/x+json", `{"a":1,"a":2}`, "! /a unique names"},
		{"application/xml", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<a b=\"c\">d &amp; e<!-- f --></a>\n", "body =<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<a b=\"c\">d &amp; e<!-- f --></a>\n"},
		{"application/xml", "<!DOCTYPE a><a/>", "! no document type"},
		{"application/xml", `<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>`, "! no document type"},
		{"application/xml", "<a>&b;</a>", "! well-formed XML"},
		{"application/xml", "<a></b>", "! well-formed XML"},
		{"application/xml", "<a/><a/>", "! well-formed XML"},
		{"application/xml", "<a/>x", "! well-formed XML"},
		{"application/xml", "plain", "! well-formed XML"},
		{"application/xml", "<?xml version=\"1.0\" encoding=\"utf-7\"?><a/>", "! well-formed XML"},
		{"application/xml", "\xff\xfe<\x00a\x00/\x00>\x00", "! valid UTF-8"},
		{"application/xml", strings.Repeat("<a>", 65) + strings.Repeat("</a>", 65), "! elements inside each other <= 64"},
		{"text/html", "x", "! Content-Type"},
		{"", "x", "! Content-Type"},
	} {
		free, err := op.Check(&casemate.Exchange{ContentType: c.kind, Body: []byte(c.body)})
		got := fields(free)
		if err != nil {
			e := casemate.AsError(err)
			if got = "! " + strings.TrimSpace(e.Field+" "+e.Rule); e.Field == "Content-Type" {
				got = "! Content-Type"
			}
		}
		if got != c.want {
			t.Errorf("%s %q: %s, want %s", c.kind, c.body, got, c.want)
		}
	}
}

const answering = `openapi: 3.1.0
paths:
  /x:
    get:
      responses:
        "200":
          description: ok
          headers:
            X-Page: {required: true, schema: {type: integer}}
            X-Request-Id: {required: true, schema: {type: string}}
            Set-Cookie: {schema: {type: string, pattern: "HttpOnly"}}
          content:
            application/json:
              schema:
                type: object
                required: [id]
                properties: {id: {type: string, readOnly: true}, password: {type: string, writeOnly: true}}
        "204": {description: nothing}
        "404": {description: none}
        "410": {description: gone, content: {}}
        4XX: {description: bad, content: {text/plain: {schema: {type: string}}}}
    head: {responses: {"200": {description: ok, content: {application/json: {schema: {type: object, required: [id], properties: {id: {type: string}}}}}}}}
    post:
      requestBody: {content: {application/json: {schema: {type: object, required: [id, name], properties: {id: {type: string, readOnly: true}, name: {type: string}, password: {type: string, writeOnly: true}}}}}}
      responses: {default: {description: any, content: {application/json: {}}}}
`

func TestAnswers(t *testing.T) {
	lines := func(pairs ...string) (out []casemate.HeaderLine) {
		for i := 0; i+1 < len(pairs); i += 2 {
			out = append(out, casemate.HeaderLine{Name: pairs[i], Value: pairs[i+1]})
		}
		return out
	}
	json := lines("content-type", "application/json", "x-page", "1")
	for _, c := range []struct {
		where string
		a     casemate.Answer
		rule  string
	}{
		{"GET /x", casemate.Answer{Status: 200, Header: json, Body: []byte(`{"id":"1"}`)}, ""},
		{"GET /x", casemate.Answer{Status: 200, Header: json, Body: []byte(`{"id":"1","password":"x"}`)}, "must not be there"},
		{"GET /x", casemate.Answer{Status: 200, Header: json, Body: []byte(`{"id":"1","hash":"x"}`)}, "unknown member"},
		{"GET /x", casemate.Answer{Status: 200, Header: json, Body: []byte(`{}`)}, "required"},
		{"GET /x", casemate.Answer{Status: 200, Header: lines("content-type", "application/json"), Body: []byte(`{"id":"1"}`)}, "required"},
		{"GET /x", casemate.Answer{Status: 200, Header: lines("content-type", "application/json", "x-page", "one"), Body: []byte(`{"id":"1"}`)}, "type: integer"},
		{"GET /x", casemate.Answer{Status: 200, Header: lines("content-type", "text/html", "x-page", "1"), Body: []byte(`<p>`)}, "application/json"},
		{"GET /x", casemate.Answer{Status: 200, Header: lines("x-page", "1"), Body: []byte(`{"id":"1"}`)}, "application/json"},
		{"GET /x", casemate.Answer{Status: 200, Header: json, Body: []byte(`{"id":"1"}`), Cookies: []string{"a=b; HttpOnly", "c=d; HttpOnly"}}, ""},
		{"GET /x", casemate.Answer{Status: 200, Header: json, Body: []byte(`{"id":"1"}`), Cookies: []string{"a=b; HttpOnly", "c=d"}}, "pattern: HttpOnly"},
		{"GET /x", casemate.Answer{Status: 201, Body: []byte(`{}`)}, "status 201"},
		{"GET /x", casemate.Answer{Status: 500, Body: []byte(`stack`)}, "status 500"},
		{"GET /x", casemate.Answer{Status: 204}, ""},
		{"GET /x", casemate.Answer{Status: 204, Body: []byte("x")}, "no content"},
		{"GET /x", casemate.Answer{Status: 404, Body: []byte("anything")}, ""},
		{"GET /x", casemate.Answer{Status: 410, Body: []byte("anything")}, "no content"},
		{"GET /x", casemate.Answer{Status: 400, Body: []byte("bad")}, ""},
		{"HEAD /x", casemate.Answer{Status: 200, Header: json}, ""},
		{"POST /x", casemate.Answer{Status: 500, Header: json, Body: []byte(`{"any":1}`)}, ""},
		{"POST /x", casemate.Answer{Status: 500, Header: json, Body: []byte(`{"any":1,"any":2}`)}, "unique names"},
	} {
		err := operation(t, answering, c.where).Answer(&c.a)
		if c.rule == "" {
			if err != nil {
				t.Errorf("%s %d %s: %v", c.where, c.a.Status, c.a.Body, err)
			}
			continue
		}
		if e := casemate.AsError(err); err == nil || e.Code != casemate.FunctionFailed || e.Rule != c.rule {
			t.Errorf("%s %d %s: %+v", c.where, c.a.Status, c.a.Body, e)
		}
	}
}

// TestMassAssignment: OWASP API3:2023, what a caller must not set.
func TestMassAssignment(t *testing.T) {
	op := operation(t, answering, "POST /x")
	for body, ok := range map[string]bool{`{"name":"a","password":"p"}`: true, `{"name":"a","id":"7"}`: false, `{"name":"a","role":"admin"}`: false, `{"id":"7"}`: false} {
		if _, err := op.Check(&casemate.Exchange{ContentType: "application/json", Body: []byte(body)}); (err == nil) != ok {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// TestUnsupportedIsSaid: what a document asks for and nobody would look at is an error with its place.
func TestUnsupportedIsSaid(t *testing.T) {
	for op, says := range map[string]string{
		`parameters: [{name: a, in: body, schema: {}}]`:                                                                                                          "path, query, header or cookie",
		`parameters: [{name: a, in: query, style: matrix, schema: {type: string}}]`:                                                                              `style "matrix" is not for a parameter in query`,
		`parameters: [{name: a, in: query}]`:                                                                                                                     "give a schema",
		`parameters: [{name: a, in: query, schema: {}, colour: red}]`:                                                                                            `"colour" is not known`,
		`parameters: [{name: a, in: query, schema: {type: string}}, {name: a, in: query, schema: {type: string}}]`:                                               "second time",
		`parameters: [{name: a, in: cookie, schema: {type: array, items: {type: string}}}]`:                                                                      "explode: false alone",
		`parameters: [{name: a, in: query, content: {application/xml: {schema: {type: string}}}}]`:                                                               "not supported in a parameter",
		`parameters: [{name: a, in: path, required: true, schema: {type: string}}]`:                                                                              "the path has no {a}",
		`parameters: [{$ref: "other.yaml#/a"}]`:                                                                                                                  "leaves the document",
		`parameters: [{$ref: "#/paths/~1x/post/parameters/0"}]`:                                                                                                  "without end",
		`requestBody: {content: {multipart/mixed: {schema: {type: object}}}}`:                                                                                    "take multipart/form-data",
		`requestBody: {content: {multipart/form-data: {schema: {type: string}}}}`:                                                                                "must be type: object",
		`requestBody: {content: {application/pdf: {schema: {type: object}}}}`:                                                                                    "format: binary",
		`requestBody: {content: {application/json: {schema: {type: string, pattern: "(?=a)b"}}}}`:                                                                "look-ahead",
		`requestBody: {content: {application/json: {schema: {type: string, patern: a}}}}`:                                                                        "patern",
		`requestBody: {content: {application/x-www-form-urlencoded: {schema: {type: object, properties: {a: {type: string}}}, encoding: {b: {explode: true}}}}}`: "no property",
		`requestBody: {content: {application/x-www-form-urlencoded: {schema: {type: object, properties: {a: {type: string}}}, encoding: {a: {headers: {}}}}}}`:   "not supported",
		`responses: {"700": {description: x}}`:                                                                                                                   "no status",
		`responses: {"200": {description: x, contents: {}}}`:                                                                                                     `"contents" is not known`,
		`security: [{nobody: []}]`:   "no security scheme",
		`servers: [], parameter: []`: `"parameter" is not known`,
	} {
		if !strings.Contains(op, "responses") {
			op += noAnswers
		}
		d, err := schema.Read([]byte(of("3.1.0", op)))
		if err != nil {
			t.Fatalf("%s: %v", op, err)
		}
		_, err = Compile(d, "POST /x", "api")
		if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "/paths/~1x/post") && !strings.Contains(err.Error(), "/parameters") {
			t.Errorf("%s: %v, want %s", op, err, says)
		}
	}
}

func TestFits(t *testing.T) {
	const doc = `openapi: 3.1.0
servers: [{url: "https://a.example/v1"}, {url: /v1}]
security: [{key: []}]
components: {securitySchemes: {key: {type: apiKey, in: header, name: X-API-Key}}}
paths:
  /x/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get: {responses: {"200": {description: ok, content: {}}}}
    put: {security: [], responses: {"200": {description: ok, content: {}}}}
`
	key, token, open := casemate.Auth{Kinds: []casemate.CredentialKind{casemate.CredentialKey}}, casemate.Auth{Kinds: []casemate.CredentialKind{casemate.CredentialBearer}}, casemate.Auth{Open: &casemate.Exception{}}
	for _, c := range []struct {
		where          string
		route          casemate.Route
		errs, warnings string
	}{
		{"GET /x/{id}", casemate.Route{Method: "GET", Path: "/v1/x/{id}", Auth: key}, "", ""},
		{"GET /v1/x/{id}", casemate.Route{Method: "GET", Path: "/v1/x/{id}", Auth: key}, "", ""},
		{"GET /x/{id}", casemate.Route{Method: "GET", Path: "/x/{id}", Auth: key}, "", "the document says /v1/x/{id}"},
		{"GET /x/{id}", casemate.Route{Method: "GET", Path: "/v1/x/{key}", Auth: key}, "no {id}", ""},
		{"GET /x/{id}", casemate.Route{Method: "POST", Path: "/v1/x/{id}", Auth: key}, "takes POST", ""},
		{"GET /x/{id}", casemate.Route{Method: "GET", Path: "/v1/x/{id}", Auth: token}, "", "none of the credentials"},
		{"GET /x/{id}", casemate.Route{Method: "GET", Path: "/v1/x/{id}", Auth: open}, "", "open to everybody"},
		{"PUT /x/{id}", casemate.Route{Method: "PUT", Path: "/v1/x/{id}", Auth: key}, "", "asks for no credential"},
		{"PUT /x/{id}", casemate.Route{Method: "PUT", Path: "/v1/x/{id}", Auth: open}, "", ""},
	} {
		errs, warnings := operation(t, doc, c.where).Fits(&c.route)
		for _, x := range []struct {
			got  []string
			want string
		}{{errs, c.errs}, {warnings, c.warnings}} {
			if got := strings.Join(x.got, "; "); (got == "") != (x.want == "") || !strings.Contains(got, x.want) {
				t.Errorf("%s %s: %q, want %q", c.where, c.route.Path, got, x.want)
			}
		}
	}
	const root = "openapi: 3.1.0\npaths: {/: {get: {responses: {'200': {description: ok, content: {}}}}}}\n"
	for path, warned := range map[string]bool{"/": false, "$default": false, "/y": true} {
		if _, warnings := operation(t, root, "GET /").Fits(&casemate.Route{Method: "GET", Path: path, Auth: key}); (len(warnings) > 0) != warned {
			t.Errorf("%s: %q", path, warnings)
		}
	}
}

func FuzzOperation(f *testing.F) {
	f.Add([]byte(params), "GET /items/{id}", "page=1&q=x", "application/json", []byte(`{}`))
	f.Add([]byte(answering), "POST /x", "", "application/json", []byte(`{"name":"a"}`))
	f.Add([]byte(of("3.1.0", `requestBody: {content: {multipart/form-data: {schema: {type: object, properties: {a: {type: string}, b: {type: array, items: {type: string, format: binary}}}}}, application/x-www-form-urlencoded: {schema: {type: object, properties: {a: {type: array, items: {type: integer}}}}}}}`+noAnswers)),
		"POST /x", "a[b]=1", "multipart/form-data; boundary=B", parts(`Content-Disposition: form-data; name="b"; filename="x"`, "1"))
	f.Fuzz(func(t *testing.T, doc []byte, where, query, contentType string, body []byte) {
		d, err := schema.Read(doc)
		if err != nil {
			return
		}
		c, err := Compile(d, where, "fuzz")
		if err != nil {
			return
		}
		x := &casemate.Exchange{Params: map[string]string{"id": query}, Query: query, ContentType: contentType, Body: body,
			Header: func(string) []string { return []string{query} }}
		if _, err := c.Check(x); err != nil && casemate.CodeOf(err) != casemate.Invalid && casemate.CodeOf(err) != casemate.TooLarge {
			t.Fatal(err)
		}
		if err := c.Answer(&casemate.Answer{Status: 200, Body: body, Header: []casemate.HeaderLine{{Name: "content-type", Value: contentType}}}); err != nil && casemate.CodeOf(err) != casemate.FunctionFailed {
			t.Fatal(err)
		}
	})
}
