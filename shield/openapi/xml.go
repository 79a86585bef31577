package openapi

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"casemate"
	"casemate/shield/schema"
)

// maxElements is how deep elements may stand inside each other.
const maxElements = 64

// document holds a body to what every reader of XML 1.0 agrees on: one root, ends that match their starts, UTF-8, and no
// document type, in which entities and outside documents are declared (CWE-611, CWE-776). What it says is free text.
func document(p schema.Place, data []byte) ([]casemate.Field, error) {
	bad := func(rule, hint string) error {
		return &casemate.Error{Code: casemate.Invalid, Field: p.Name, Rule: rule, Message: p.What + " is no XML that is taken", Hint: hint}
	}
	if !utf8.Valid(data) {
		return nil, bad("valid UTF-8", "send the document in UTF-8")
	}
	d := xml.NewDecoder(bytes.NewReader(data))
	d.CharsetReader = func(charset string, r io.Reader) (io.Reader, error) {
		if strings.EqualFold(charset, "utf-8") || strings.EqualFold(charset, "us-ascii") {
			return r, nil
		}
		return nil, errors.New("another charset")
	}
	depth, roots := 0, 0
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, bad("well-formed XML", "send one document, in UTF-8, without entities of its own")
		}
		switch t := t.(type) {
		case xml.StartElement:
			if depth++; depth == 1 {
				roots++
			}
			if depth > maxElements {
				return nil, bad("elements inside each other <= 64", "nest it less deeply")
			}
		case xml.EndElement:
			depth--
		case xml.CharData:
			if depth == 0 && len(bytes.Trim(t, " \t\r\n\ufeff")) > 0 {
				return nil, bad("well-formed XML", "send one document")
			}
		case xml.Directive:
			return nil, bad("no document type", "leave <!DOCTYPE> and <!ENTITY> out")
		}
	}
	if roots != 1 {
		return nil, bad("well-formed XML", "send one document")
	}
	return []casemate.Field{{In: p.In, Name: p.Name, Value: data}}, nil
}
