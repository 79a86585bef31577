package openapi

import (
	"mime"
	"strings"

	"casemate"
	"casemate/shield/schema"
)

// Bare is a contract of JSON bodies alone.
type Bare struct {
	name   string
	schema *schema.Schema
}

// Body makes the contract of JSON bodies by the schema at ptr. Path and query are not in it: all of them is free.
func Body(doc *schema.Document, dialect schema.Dialect, ptr, name string) (*Bare, error) {
	s, err := doc.Compile(dialect, schema.Request, ptr)
	if err != nil {
		return nil, err
	}
	return &Bare{name: name, schema: s[0]}, nil
}

// Check implements casemate.Contract.
func (b *Bare) Check(x *casemate.Exchange) ([]casemate.Field, error) {
	if err := isJSON(x.ContentType); err != nil {
		return nil, err
	}
	free, err := b.schema.JSON(schema.Body(), b.name, x.Body)
	if err != nil {
		return nil, err
	}
	if len(x.Params) == 0 && x.Query == "" {
		return free, nil
	}
	return append(Loose(x), free...), nil
}

// Loose is what is free in the path and in the query where no contract speaks of them. A query that is not well encoded is
// one value, as it is.
func Loose(x *casemate.Exchange) (free []casemate.Field) {
	for name, value := range x.Params {
		free = append(free, casemate.Field{In: "path", Name: name, Value: []byte(value)})
	}
	c := checker{x: x}
	pairs, err := c.pairs()
	if err != nil {
		return append(free, casemate.Field{In: "query", Value: []byte(x.Query)})
	}
	for _, p := range pairs {
		value, ok := unescape(p.raw)
		if !ok {
			value = p.raw
		}
		name := printable(p.name)
		free = append(free, casemate.Field{In: "query", Name: name, Value: []byte(p.name)}, casemate.Field{In: "query", Name: name, Value: []byte(value)})
	}
	return free
}

// Answer implements casemate.Contract: answers are not in it.
func (b *Bare) Answer(*casemate.Answer) error { return nil }

func isJSON(contentType string) error {
	if contentType == "application/json" {
		return nil
	}
	e := &casemate.Error{Code: casemate.Invalid, Field: "Content-Type", Rule: "application/json",
		Hint: "send Content-Type: application/json"}
	if contentType == "" {
		e.Message = "the request names no content type"
		return e
	}
	kind, params, err := mime.ParseMediaType(contentType)
	if charset := params["charset"]; err != nil || kind != "application/json" || charset != "" && !strings.EqualFold(charset, "utf-8") {
		e.Message = "the content type is not the one of the contract"
		return e
	}
	return nil
}
