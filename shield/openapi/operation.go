package openapi

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"casemate"
	"casemate/shield/schema"
	"casemate/shield/text"
)

// Operation is the contract of one operation of an OpenAPI document. It is safe for concurrent use.
type Operation struct {
	name         string // in messages
	Method, Path string // as the document names them
	base         string // path of the servers, "" where there is none or where they differ
	path         []*param
	query        []*param
	header       []*param
	cookie       []*param
	form         *param // the query parameter that takes what no other does; nil: unknown ones are refused
	body         *body  // nil: there must be none
	answers      map[string]*answer
	security     []scheme
	open         bool // the document asks for no credential
	said         bool // the document says something about credentials
	warnings     []string
}

// Warnings are what a person should know about the document and what becomes of it, in their order.
func (o *Operation) Warnings() []string { return o.warnings }

// reader reads one operation. Schemas are gathered and compiled together, those of each side at once.
type reader struct {
	doc     *schema.Document
	dialect schema.Dialect
	out     *Operation
	ptrs    [3][]string // by schema.Side
	then    [3][]func(*schema.Schema) error
}

// Compile makes the contract of what where names: an operation ("POST /orders", by its path in the document, with or without
// the path of its servers), or a JSON pointer to the schema of a JSON body. name stands in messages.
func Compile(doc *schema.Document, where, name string) (casemate.Contract, error) {
	version, _ := doc.Root["openapi"].(string)
	dialect := schema.OpenAPI31
	switch {
	case strings.HasPrefix(version, "3.0."):
		dialect = schema.OpenAPI30
	case !strings.HasPrefix(version, "3.1."):
		return nil, errors.New("this is another OpenAPI than 3.0 and 3.1, whose schemas mean other things")
	}
	if uri, ok := doc.Root["jsonSchemaDialect"].(string); ok {
		if d, err := schema.DialectOf(uri); err != nil || d != schema.Draft2020 && d != schema.OpenAPI31 || dialect == schema.OpenAPI30 {
			return nil, errors.New("jsonSchemaDialect is not JSON Schema 2020-12")
		}
	}
	method, path, operation := strings.Cut(where, " ")
	switch {
	case where == "":
		return nil, errors.New("an OpenAPI document needs an operation or a pointer")
	case !operation && where[0] != '/':
		return nil, fmt.Errorf("%q is neither a JSON pointer nor an operation", where)
	case !operation:
		return Body(doc, dialect, where, name)
	}
	r := &reader{doc: doc, dialect: dialect, out: &Operation{name: name, Method: method, answers: map[string]*answer{}}}
	if err := r.operation(method, path); err != nil {
		return nil, err
	}
	return r.out, r.compile()
}

// Operations lists the operations of a document, as Compile takes them.
func Operations(doc *schema.Document) (out []string) {
	paths, _ := doc.Root["paths"].(map[string]any)
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		item, _, err := doc.Object("/paths/" + schema.Escape(path))
		if err != nil {
			continue // compiling what is asked for says it
		}
		for _, method := range methods() {
			if item[strings.ToLower(method)] != nil {
				out = append(out, method+" "+path)
			}
		}
	}
	return out
}

// operation reads everything about one operation but its schemas.
func (r *reader) operation(method, path string) error {
	root := r.servers(r.doc.Root, "")
	item, at, err := r.doc.Object("/paths/" + schema.Escape(path))
	if err != nil && root != "" {
		if path = strings.TrimPrefix(path, root); path != "" {
			item, at, err = r.doc.Object("/paths/" + schema.Escape(path))
		}
	}
	op, _ := item[strings.ToLower(method)].(map[string]any)
	if err != nil || op == nil || !slices.Contains(methods(), method) {
		there := Operations(r.doc)
		return fmt.Errorf("there is no operation %q (of %d there are %q)", method+" "+path, len(there), there[:min(len(there), 8)])
	}
	r.out.Path, r.out.base = path, root
	for _, m := range [...]map[string]any{item, op} {
		if m["servers"] != nil {
			r.out.base = r.servers(m, at)
		}
	}
	here := at + "/" + strings.ToLower(method)
	if err := known(r.doc, op, here, "tags summary description externalDocs operationId parameters requestBody responses callbacks deprecated security servers"); err != nil {
		return err
	}
	if op["callbacks"] != nil {
		r.warn("%s: callbacks are not looked at: they describe what is called, not what calls", r.doc.Place(here+"/callbacks"))
	}
	if err := r.parameters(item, at, op, here); err != nil {
		return err
	}
	if err := r.request(op, here); err != nil {
		return err
	}
	if err := r.responses(op, here); err != nil {
		return err
	}
	return r.credentials(op, here)
}

func methods() []string {
	return []string{"GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE"}
}

func (r *reader) warn(format string, args ...any) {
	r.out.warnings = append(r.out.warnings, fmt.Sprintf(format, args...))
}

// schema has the schema at ptr compiled for a side, and handed over then.
func (r *reader) schema(side schema.Side, ptr string, then func(*schema.Schema) error) {
	r.ptrs[side] = append(r.ptrs[side], ptr)
	r.then[side] = append(r.then[side], then)
}

func (r *reader) compile() error {
	for side, ptrs := range r.ptrs {
		if len(ptrs) == 0 {
			continue
		}
		all, err := r.doc.Compile(r.dialect, schema.Side(side), ptrs...)
		if err != nil {
			return err
		}
		for i, s := range all {
			if err := r.then[side][i](s); err != nil {
				return fmt.Errorf("%s: %w", r.doc.Place(ptrs[i]), err)
			}
		}
	}
	return r.arrange()
}

// servers gives the path that all servers of an object have in common. Variables make it unknown.
func (r *reader) servers(m map[string]any, at string) string {
	list, _ := m["servers"].([]any)
	base, known := "", false
	for i, s := range list {
		server, _ := s.(map[string]any)
		url, _ := server["url"].(string)
		if _, rest, ok := strings.Cut(url, "://"); ok {
			_, path, _ := strings.Cut(rest, "/")
			url = "/" + path
		}
		url = strings.TrimSuffix(url, "/")
		if strings.Contains(url, "{") || known && url != base {
			r.warn("%s: the servers have no path in common: routes are not compared with it", r.doc.Place(fmt.Sprintf("%s/servers/%d", at, i)))
			return ""
		}
		base, known = url, true
	}
	return base
}

// known refuses words of an object that are not known, and would say something that nobody heard.
func known(doc *schema.Document, m map[string]any, at, words string) error {
	for word := range m {
		if !strings.HasPrefix(word, "x-") && !slices.Contains(strings.Fields(words), word) {
			return fmt.Errorf("%s: %q is not known here: it would mean nothing", doc.Place(at), word)
		}
	}
	return nil
}

// Check implements casemate.Contract: path, query, headers, cookies and body. What it gives is what is free in the path, the
// query, the parameters of header and cookie that the document names, and the body; other headers are the caller's.
func (o *Operation) Check(x *casemate.Exchange) ([]casemate.Field, error) {
	c := checker{op: o, x: x}
	if err := c.parameters(); err != nil {
		return nil, err
	}
	if o.body == nil {
		if len(x.Body) > 0 {
			return nil, &casemate.Error{Code: casemate.Invalid, Field: "body", Rule: "no body", Message: "the contract has no body here", Hint: "send none"}
		}
		return c.free, nil
	}
	free, err := o.body.check(o.name, x.ContentType, x.Body)
	if err != nil {
		return nil, err
	}
	if len(c.free) == 0 {
		return free, nil
	}
	return append(c.free, free...), nil
}

// printable makes a name that somebody chose safe to print.
func printable(name string) string {
	return strings.TrimPrefix(strings.NewReplacer("~1", "/", "~0", "~").Replace(text.Pointer([]string{name})), "/")
}
