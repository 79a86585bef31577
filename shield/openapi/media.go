package openapi

import (
	"fmt"
	"maps"
	"mime"
	"slices"
	"strings"
	"unicode/utf8"

	"casemate"
	"casemate/shield/schema"
)

// The kinds of media that a body can be.
type kind uint8

const (
	mediaBytes kind = iota // anything: bytes of a length
	mediaJSON
	mediaForm
	mediaParts
	mediaText
	mediaXML
)

// kindOf says how a media type, or a range of them, is read.
func kindOf(media string) (kind, error) {
	t, _, _ := strings.Cut(strings.ToLower(media), ";")
	t = strings.TrimSpace(t)
	major, minor, ok := strings.Cut(t, "/")
	switch {
	case !ok || major == "" || minor == "" || strings.ContainsAny(t, " ,") || strings.Contains(strings.TrimSuffix(minor, "*"), "*") || major == "*" && minor != "*":
		return 0, fmt.Errorf("%q is no media type", media)
	case t == "application/json", t == "text/json", strings.HasSuffix(minor, "+json"):
		return mediaJSON, nil
	case t == "application/x-www-form-urlencoded":
		return mediaForm, nil
	case t == "multipart/form-data":
		return mediaParts, nil
	case major == "multipart":
		return 0, fmt.Errorf("%s is not supported: take multipart/form-data", t)
	case t == "application/xml", t == "text/xml", strings.HasSuffix(minor, "+xml") && t != "image/svg+xml":
		return mediaXML, nil
	case major == "text":
		return mediaText, nil
	}
	return mediaBytes, nil
}

// body is what a request or an answer may hold, by media type.
type body struct {
	required bool
	media    []*medium // most exact first
}

// medium is one media type, or a range.
type medium struct {
	kind   kind
	of     string // "application/json", "image/*", "*/*"
	json   bool   // of is exactly application/json
	schema *schema.Schema
	shape  *schema.Shape
	parts  map[string]part
}

// request reads the body of an operation.
func (r *reader) request(op map[string]any, opAt string) error {
	if op["requestBody"] == nil {
		return nil
	}
	m, at, err := r.doc.Object(opAt + "/requestBody")
	if err != nil {
		return err
	}
	if err := known(r.doc, m, at, "description content required"); err != nil {
		return err
	}
	required, said := m["required"].(bool)
	b, err := r.content(schema.Request, m, at)
	if err != nil {
		return err
	}
	b.required = required || !said // the standard's default would let a body be left out by oversight
	if len(b.media) == 0 {
		return fmt.Errorf("%s: the body has no content", r.doc.Place(at))
	}
	r.out.body = b
	return nil
}

// content reads the media types of a body.
func (r *reader) content(side schema.Side, m map[string]any, at string) (*body, error) {
	all, ok := m["content"].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s: there is no content", r.doc.Place(at))
	}
	b := &body{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		here := at + "/content/" + schema.Escape(name)
		x, here, err := r.doc.Object(here)
		if err != nil {
			return nil, err
		}
		k, err := kindOf(name)
		if err == nil {
			err = known(r.doc, x, here, "schema example examples encoding")
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.doc.Place(here), err)
		}
		t, _, _ := strings.Cut(strings.ToLower(name), ";")
		d := &medium{kind: k, of: strings.TrimSpace(t)}
		d.json = d.of == "application/json"
		if err := r.medium(side, d, x, here); err != nil {
			return nil, fmt.Errorf("%s: %w", r.doc.Place(here), err)
		}
		b.media = append(b.media, d)
	}
	slices.SortStableFunc(b.media, func(a, b *medium) int { return strings.Count(a.of, "*") - strings.Count(b.of, "*") })
	return b, nil
}

// medium has the schema of one media type compiled, and looks whether it can be held to it.
func (r *reader) medium(side schema.Side, d *medium, x map[string]any, at string) error {
	encoding, _ := x["encoding"].(map[string]any)
	if x["encoding"] != nil && d.kind != mediaForm && d.kind != mediaParts {
		return fmt.Errorf("encoding is for forms")
	}
	if side == schema.Answer && (d.kind == mediaForm || d.kind == mediaParts) {
		return fmt.Errorf("answers of this type are not supported")
	}
	if d.kind == mediaXML {
		r.warn("%s: XML has no schema here that everybody reads alike: it is held to its form, and screened as free text", r.doc.Place(at))
		return nil
	}
	if x["schema"] == nil {
		if d.kind == mediaForm || d.kind == mediaParts {
			return fmt.Errorf("a form needs a schema")
		}
		if d.kind == mediaJSON {
			r.warn("%s: nothing is said about the JSON: any is taken", r.doc.Place(at))
		}
		return nil
	}
	r.schema(side, at+"/schema", func(s *schema.Schema) error {
		if d.schema = s; d.kind == mediaJSON {
			return nil
		}
		d.shape = s.Shape()
		switch {
		case d.kind == mediaBytes && strings.HasSuffix(d.of, "*") && !d.shape.Opaque && !d.shape.IsScalar():
			d.kind = mediaJSON // as generators write it; nothing else has such a schema
		case d.kind == mediaForm || d.kind == mediaParts:
			if !d.shape.IsObject() {
				return fmt.Errorf("the schema of a form must be type: object")
			}
			return d.encode(encoding)
		case d.kind == mediaBytes && !d.shape.Opaque && !d.shape.IsScalar():
			return fmt.Errorf("the schema of %s must be type: string, with format: binary and a maxLength", d.of)
		}
		return nil
	})
	return nil
}

// find gives the most exact media type that takes a content type.
func (b *body) find(contentType string) (*medium, map[string]string, error) {
	if contentType == "application/json" {
		for _, m := range b.media {
			if m.json {
				return m, nil, nil
			}
		}
	}
	e := &casemate.Error{Code: casemate.Invalid, Field: "Content-Type", Rule: b.types(), Message: "the content type is not one of the contract", Hint: "send Content-Type: " + b.types()}
	if contentType == "" {
		e.Message = "the request names no content type"
		return nil, nil, e
	}
	t, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return nil, nil, e
	}
	major, _, _ := strings.Cut(t, "/")
	for _, m := range b.media {
		if m.of != t && m.of != major+"/*" && m.of != "*/*" {
			continue
		}
		if charset := params["charset"]; m.kind != mediaBytes && charset != "" && !strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "us-ascii") {
			e.Message = "the text is not UTF-8"
			return nil, nil, e
		}
		return m, params, nil
	}
	return nil, nil, e
}

func (b *body) types() string {
	names := make([]string, len(b.media))
	for i, m := range b.media {
		names[i] = m.of
	}
	return strings.Join(names, " or ")
}

// check holds the body of a request.
func (b *body) check(contract, contentType string, data []byte) ([]casemate.Field, error) {
	if len(data) == 0 && !b.required {
		return nil, nil
	}
	m, params, err := b.find(contentType)
	if err != nil {
		return nil, err
	}
	return m.check(schema.Body(), contract, contentType, params, data)
}

// check holds a body of this media type to its schema.
func (m *medium) check(p schema.Place, contract, contentType string, params map[string]string, data []byte) ([]casemate.Field, error) {
	switch m.kind {
	case mediaJSON:
		if m.schema == nil {
			return schema.Any(p, data)
		}
		return m.schema.JSON(p, contract, data)
	case mediaForm:
		return m.form(p, contract, data)
	case mediaXML:
		return document(p, data)
	case mediaParts:
		return m.multipart(p, contract, params["boundary"], data)
	case mediaText:
		if !utf8.Valid(data) {
			return nil, &casemate.Error{Code: casemate.Invalid, Field: "body", Rule: "valid UTF-8", Message: p.What + " is not UTF-8", Hint: "send text in UTF-8"}
		}
		if m.schema != nil && !m.shape.Opaque {
			return m.schema.Value(p, contract, string(data))
		}
	}
	if m.kind == mediaBytes && isJSONType(contentType) {
		if free, err := schema.Any(p, data); err != nil || m.schema == nil {
			return free, err
		}
	}
	if m.schema != nil {
		if err := sized(p, m.shape, data); err != nil {
			return nil, err
		}
	}
	if len(data) == 0 {
		return nil, nil
	}
	return []casemate.Field{{In: p.In, Name: p.Name, Value: data}}, nil
}

// isJSONType reports whether a content type is JSON: then it is held to the bounds of JSON whatever the document calls it.
func isJSONType(contentType string) bool {
	k, err := kindOf(contentType)
	return err == nil && k == mediaJSON
}

// sized holds bytes to the lengths of their schema.
func sized(p schema.Place, sh *schema.Shape, data []byte) error {
	switch {
	case len(data) < sh.Least:
		return &casemate.Error{Code: casemate.Invalid, Field: p.Name, Rule: fmt.Sprintf("minLength: %d", sh.Least), Message: p.What + " is shorter than its contract says", Hint: "send more"}
	case sh.Most >= 0 && len(data) > sh.Most:
		return &casemate.Error{Code: casemate.TooLarge, Field: p.Name, Rule: fmt.Sprintf("maxLength: %d", sh.Most), Message: p.What + " is larger than its contract says", Hint: "send less"}
	}
	return nil
}
