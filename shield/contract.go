package shield

import (
	"errors"
	"fmt"
	"strings"

	"casemate"
	"casemate/shield/asyncapi"
	"casemate/shield/openapi"
	"casemate/shield/schema"
)

// Compile makes a contract out of a document, JSON or YAML: JSON Schema (2020-12, 2019-09, draft-07) with a JSON pointer
// ("" is the whole document), or OpenAPI 3.0 or 3.1 with an operation ("POST /orders"), all of which is then held to, or
// with a pointer to the schema of a JSON body, or AsyncAPI 2 or 3.0 with a message ("message orderPlaced"). name stands in
// messages.
//
// It is stricter than the standards where those fail open: an object that names properties takes no others unless the
// contract says additionalProperties or unevaluatedProperties; formats are asserted; unknown keywords and formats are
// errors; references never leave the document; patterns are RE2. Every error is an *casemate.Error of code Invalid.
func Compile(doc []byte, where string, name string) (casemate.Contract, error) {
	c, err := compile(doc, where, name)
	if err != nil {
		return nil, &casemate.Error{Code: casemate.Invalid, Field: name, Message: "reading the contract: " + err.Error(),
			Hint: "contracts are JSON Schema from draft-07, OpenAPI 3.0 and 3.1, AsyncAPI 2 and 3.0"}
	}
	return c, nil
}

func compile(data []byte, where, name string) (casemate.Contract, error) {
	doc, err := schema.Read(data)
	if err != nil {
		return nil, err
	}
	switch {
	case doc.Root["openapi"] != nil || doc.Root["swagger"] != nil:
		return openapi.Compile(doc, where, name)
	case doc.Root["asyncapi"] != nil:
		if message, ok := strings.CutPrefix(where, "message "); ok || where == "" {
			return asyncapi.Compile(doc, message, name)
		}
	case strings.HasPrefix(where, "message "):
		return nil, errors.New("a message needs an AsyncAPI document")
	case strings.Contains(where, " "):
		return nil, errors.New("an operation needs an OpenAPI document")
	case where != "" && where[0] != '/':
		return nil, fmt.Errorf("%q is neither a JSON pointer nor an operation", where)
	}
	uri, _ := doc.Root["$schema"].(string)
	dialect, err := schema.DialectOf(uri)
	if doc.Root["asyncapi"] != nil {
		dialect = schema.Draft7
	}
	if err != nil {
		return nil, err
	}
	return openapi.Body(doc, dialect, where, name)
}
