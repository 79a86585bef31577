package shield

import (
	"fmt"
	"mime"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"casemate"
)

// The two forms of a contract document inside the compiler: closed is what is checked, plain is what stands under a
// negation or a condition, where closing would turn round.
const (
	closedURL = "mem:///closed"
	plainURL  = "mem:///plain"
	rootURL   = "mem:///root"
	dialect   = "https://json-schema.org/draft/2020-12/schema"
)

// contract is a compiled schema of JSON bodies.
type contract struct {
	name     string
	schema   *jsonschema.Schema
	optional bool // an empty body is taken
	hard     bool // what a body takes is counted first
}

// Compile makes the contract of a body out of a JSON Schema 2020-12 document, JSON or YAML, with a JSON pointer ("" is
// the whole document), or out of an OpenAPI 3.1 document with a pointer or an operation ("POST /orders": its request
// body as application/json). name stands in messages.
//
// It is stricter than the standards where those fail open: an object that names properties takes no others unless the
// contract says additionalProperties or unevaluatedProperties; formats are asserted; unknown keywords and formats are
// errors; references never leave the document; patterns are RE2. Every error is an *casemate.Error of code Invalid.
func Compile(doc []byte, pointer string, name string) (casemate.Contract, error) {
	c, err := compile(doc, pointer, name)
	if err != nil {
		return nil, &casemate.Error{Code: casemate.Invalid, Field: name, Message: "reading the contract: " + err.Error(),
			Hint: "contracts are JSON Schema 2020-12 or OpenAPI 3.1"}
	}
	return c, nil
}

func compile(doc []byte, pointer, name string) (*contract, error) {
	root, err := document(doc)
	if err != nil {
		return nil, err
	}
	plain, err := document(doc) // read twice: one is rewritten
	if err != nil {
		return nil, err
	}
	out := &contract{name: name}
	if pointer, out.optional, err = locate(root, pointer); err != nil {
		return nil, err
	}
	c := &closer{closed: root, plain: plain, done: map[string]bool{}, linked: map[string]int{}, lonely: map[string]int{}}
	top, err := c.root(pointer)
	if err != nil {
		return nil, err
	}
	if out.schema, err = assemble(root, plain, top); err != nil {
		return nil, fmt.Errorf("compiling: %w", err)
	}
	out.hard = hard(out.schema)
	return out, nil
}

func document(doc []byte) (any, error) {
	n, err := ParseYAML(doc)
	if err != nil {
		return nil, err
	}
	return Plain(n)
}

// noLoader refuses to fetch: a contract is the document that was deployed and nothing else.
type noLoader struct{}

// Load implements jsonschema.URLLoader.
func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("%s is outside the document", url)
}

func assemble(closed, plain any, top map[string]any) (*jsonschema.Schema, error) {
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.UseLoader(noLoader{})
	c.AssertFormat()
	for _, f := range formats() {
		c.RegisterFormat(f)
	}
	for _, r := range [...]struct {
		url string
		doc any
	}{{closedURL, closed}, {plainURL, plain}, {rootURL, top}} {
		if err := c.AddResource(r.url, r.doc); err != nil {
			return nil, err
		}
	}
	if len(top) == 1 { // a reference alone is what it refers to
		return c.Compile(top["$ref"].(string))
	}
	return c.Compile(rootURL)
}

// Check implements casemate.Contract for bodies of type application/json. It includes Scan with the default bounds.
func (c *contract) Check(x *casemate.Exchange) ([]casemate.Field, error) {
	return nil, c.body(x.ContentType, x.Body)
}

// Answer implements casemate.Contract.
func (c *contract) Answer(*casemate.Answer) error { return nil }

func (c *contract) body(contentType string, body []byte) error {
	if len(body) == 0 && c.optional {
		return nil
	}
	if err := c.media(contentType); err != nil {
		return err
	}
	if err := Scan(body, Bounds{}); err != nil {
		return err
	}
	value := build(body)
	if c.hard {
		if err := within(c.schema, value); err != nil {
			return err
		}
	}
	if err := c.schema.Validate(value); err != nil {
		return c.violation(err)
	}
	return nil
}

func (c *contract) media(contentType string) error {
	e := &casemate.Error{Code: casemate.Invalid, Field: "Content-Type", Rule: "application/json",
		Hint: "send Content-Type: application/json"}
	if contentType == "" {
		e.Message = "the request names no content type"
		return e
	}
	if contentType == "application/json" {
		return nil
	}
	kind, params, err := mime.ParseMediaType(contentType)
	if charset := params["charset"]; err != nil || kind != "application/json" || charset != "" && !strings.EqualFold(charset, "utf-8") {
		e.Message = "the content type is not the one of the contract"
		return e
	}
	return nil
}
