package openapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"slices"
	"strings"
	"unicode/utf8"

	"casemate"
	"casemate/shield/schema"
	"casemate/shield/text"
)

// Bounds of a form.
const (
	maxPairs = 1000
)

// part is how one property of a form is written.
type part struct {
	types []string // of a part of a multipart body; none: any
	json  bool
	style string // "form", or deepObject
	split string // of an array that is not exploded
}

// encode reads the encoding of a form's properties.
func (m *medium) encode(encoding map[string]any) error {
	m.parts = map[string]part{}
	for _, name := range slices.Sorted(maps.Keys(encoding)) {
		e, _ := encoding[name].(map[string]any)
		var p part
		for _, word := range slices.Sorted(maps.Keys(e)) {
			v := e[word]
			switch word {
			case "contentType":
				for t := range strings.SplitSeq(str(v), ",") {
					t = strings.ToLower(strings.TrimSpace(t))
					if _, err := kindOf(t); err != nil {
						return fmt.Errorf("encoding of %s: %w", name, err)
					}
					p.types = append(p.types, t)
				}
			case "style":
				p.style = str(v)
			case "explode":
				if v == false {
					p.split = ","
				}
			case "allowReserved":
			default:
				if !strings.HasPrefix(word, "x-") {
					return fmt.Errorf("encoding of %s: %s is not supported", name, word)
				}
			}
		}
		switch {
		case m.shape.Property(name) == nil:
			return fmt.Errorf("encoding names %s, which is no property", name)
		case p.style != "" && p.style != "form" && p.style != "deepObject" || p.style == "deepObject" && (p.split != "" || m.kind == mediaParts):
			return fmt.Errorf("encoding of %s: style %s is not supported", name, p.style)
		case len(p.types) == 1 && m.kind == mediaForm && p.types[0] != "application/json" && p.types[0] != "text/plain":
			return fmt.Errorf("encoding of %s: %s is not supported in a form", name, p.types[0])
		}
		p.json = len(p.types) == 1 && p.types[0] == "application/json"
		m.parts[name] = p
	}
	return nil
}

// form holds a body of application/x-www-form-urlencoded (https://url.spec.whatwg.org/#application/x-www-form-urlencoded).
func (m *medium) form(p schema.Place, contract string, data []byte) ([]casemate.Field, error) {
	f := form{m: m, place: p, object: map[string]any{}}
	for pair := range strings.SplitSeq(string(data), "&") {
		if pair == "" {
			continue
		}
		name, raw, _ := strings.Cut(pair, "=")
		name, fine := unescape(name)
		if !fine {
			return nil, f.bad("", "percent-encoding", "encode it as the standard says")
		}
		if err := f.pair(name, raw); err != nil {
			return nil, err
		}
	}
	return m.schema.Value(p, contract, f.object)
}

// form is a form as it is taken apart.
type form struct {
	m      *medium
	place  schema.Place
	object map[string]any
	n      int
}

func (f *form) bad(name, rule, hint string) error {
	field := f.place.Name
	if name != "" {
		field += text.Pointer([]string{name})
	}
	return &casemate.Error{Code: casemate.Invalid, Field: field, Rule: rule, Message: f.place.What + " breaks its contract: " + rule, Hint: hint}
}

// pair adds one.
func (f *form) pair(name, raw string) error {
	if f.n++; f.n > maxPairs {
		return &casemate.Error{Code: casemate.TooLarge, Rule: fmt.Sprintf("fields <= %d", maxPairs), Message: "the form has more fields than are taken", Hint: "send less"}
	}
	outer, rest, nested := strings.Cut(name, "[")
	if nested && f.m.parts[outer].style == "deepObject" {
		inner, ok := strings.CutSuffix(rest, "]")
		have, _ := f.object[outer].(map[string]any)
		if have == nil {
			have = map[string]any{}
			f.object[outer] = have
		}
		value, fine := unescape(raw)
		if _, twice := have[inner]; !ok || !fine || twice || strings.ContainsAny(inner, "[]") {
			return f.bad(outer, "style deepObject", "write it as name[part]=value, each once")
		}
		have[inner] = first(f.m.shape.Property(outer), inner, value)
		return nil
	}
	e, shape := f.m.parts[name], f.m.shape.Property(name)
	if shape == nil {
		shape = &schema.Shape{Most: -1}
	}
	if e.split != "" && shape.IsArray() {
		for raw := range strings.SplitSeq(raw, e.split) {
			if err := f.value(name, raw, shape, e); err != nil {
				return err
			}
		}
		return nil
	}
	return f.value(name, raw, shape, e)
}

// first reads a text as the property of an object.
func first(of *schema.Shape, name, value string) any {
	shape := (*schema.Shape)(nil)
	if of != nil {
		shape = of.Property(name)
	}
	if shape == nil {
		return value
	}
	v, _ := shape.Scalar(value)
	return v
}

func (f *form) value(name, raw string, shape *schema.Shape, e part) error {
	s, fine := unescape(raw)
	if !fine {
		return f.bad(name, "percent-encoding", "encode it as the standard says")
	}
	return f.add(name, []byte(s), shape, e.json || shape.IsObject() || shape.IsArray() && shape.Items().IsObject())
}

// add puts one value into the object: JSON, or a text. Several of one name are the items of an array.
func (f *form) add(name string, data []byte, shape *schema.Shape, json bool) error {
	if json && shape.IsArray() && len(data) > 0 && data[0] == '[' {
		shape = &schema.Shape{Most: -1} // the whole array at once
	}
	one := shape
	if shape.IsArray() {
		one = shape.Items()
	}
	var v any
	if json {
		if err := text.Scan(data, text.Bounds{}); err != nil {
			e := casemate.AsError(err)
			return f.bad(name, e.Rule, e.Hint)
		}
		v = text.Build(data)
	} else if v, _ = one.Scalar(string(data)); !utf8.Valid(data) {
		return f.bad(name, "valid UTF-8", "send text in UTF-8")
	}
	return f.put(name, v, shape)
}

func (f *form) put(name string, v any, shape *schema.Shape) error {
	have, twice := f.object[name]
	if shape.IsArray() {
		list, _ := have.([]any)
		f.object[name] = append(list, v)
		return nil
	}
	if twice {
		return f.bad(name, "unique names", "send each name once")
	}
	f.object[name] = v
	return nil
}

// multipart holds a body of multipart/form-data (RFC 7578). Files are held to their sizes and types; their names and bytes
// are free.
func (m *medium) multipart(p schema.Place, contract, boundary string, data []byte) ([]casemate.Field, error) {
	f := form{m: m, place: p, object: map[string]any{}}
	if boundary == "" || len(boundary) > 70 {
		return nil, f.bad("", "boundary", "name the boundary in Content-Type")
	}
	if !bounded(bytes.TrimSuffix(data, []byte("\r\n")), "--"+boundary) {
		return nil, f.bad("", "multipart", "begin with the boundary, and end with it")
	}
	var files []casemate.Field
	for r := multipart.NewReader(bytes.NewReader(data), boundary); ; {
		part, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, f.bad("", "multipart", "send well-formed parts (RFC 7578)")
		}
		if f.n++; f.n > maxPairs {
			return nil, &casemate.Error{Code: casemate.TooLarge, Rule: fmt.Sprintf("parts <= %d", maxPairs), Message: "the form has more parts than are taken", Hint: "send less"}
		}
		more, err := f.part(part)
		if err != nil {
			return nil, err
		}
		files = append(files, more...)
	}
	free, err := m.schema.Value(p, contract, f.object)
	if err != nil {
		return nil, err
	}
	free = slices.DeleteFunc(free, func(x casemate.Field) bool { // what stood in for bytes
		return slices.ContainsFunc(files, func(y casemate.Field) bool { return x.Name == y.Name })
	})
	return append(free, files...), nil
}

// bounded says whether data begins with the boundary's line, and ends with the first line that closes it. What stands before and behind is
// nothing to us, and something to other readers: PHP goes on reading parts.
func bounded(data []byte, line string) bool {
	end := []byte("\n" + line + "--")
	return string(data) == line+"--" || bytes.HasPrefix(data, []byte(line)) && bytes.HasSuffix(data, end) && bytes.Index(data, end) == len(data)-len(end)
}

// encoded says whether a parameter of a well-formed header is one of RFC 2231: continued, or in a character set of its own.
func encoded(header string) bool {
	quoted := false
	for i := 0; i < len(header); i++ {
		switch c := header[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == '*' && !quoted:
			return true
		}
	}
	return false
}

// part takes one part in. A file gives its name and its bytes.
func (f *form) part(p *multipart.Part) ([]casemate.Field, error) {
	params, err := f.disposition(p)
	if err != nil {
		return nil, err
	}
	name := params["name"]
	data, err := io.ReadAll(p)
	if err != nil {
		return nil, f.bad(name, "multipart", "send well-formed parts (RFC 7578)")
	}
	e, shape := f.m.parts[name], f.m.shape.Property(name)
	if shape == nil {
		shape = &schema.Shape{Most: -1}
	}
	contentType := p.Header.Get("Content-Type")
	if !typed(e.types, contentType) {
		return nil, f.bad(name, "Content-Type: "+strings.Join(e.types, " or "), "send a part of this type")
	}
	at := f.place.Name + text.Pointer([]string{name})
	file, isFile := params["filename"]
	one := shape
	if shape.IsArray() {
		one = shape.Items()
	}
	if !one.Opaque {
		if isFile {
			return nil, f.bad(name, "no file", "send the value without a file name")
		}
		return nil, f.add(name, data, shape, e.json || one.IsObject())
	}
	if err := sized(schema.Place{What: "the part " + printable(name), Name: at}, one, data); err != nil {
		return nil, err
	}
	if f.m.shape.Property(name) != nil {
		if err := f.put(name, strings.Repeat("a", len(data)), shape); err != nil {
			return nil, err
		}
	} else {
		f.object[name] = "" // the schema says that it is unknown
	}
	out := []casemate.Field{{In: f.place.In, Name: at, Value: data}}
	if list, ok := f.object[name].([]any); ok {
		out[0].Name += fmt.Sprintf("/%d", len(list)-1)
	}
	if isFile {
		out = append(out, casemate.Field{In: f.place.In, Name: at + "/filename", Value: []byte(file)})
	}
	return out, nil
}

// disposition is what a part says of itself: its name, and that of a file. Its headers are held to what readers agree about.
func (f *form) disposition(p *multipart.Part) (map[string]string, error) {
	disposition := p.Header.Get("Content-Disposition")
	kind, params, err := mime.ParseMediaType(disposition)
	name := params["name"]
	if err == nil && encoded(disposition) { // RFC 7578 section 4.2: not here. Readers that know name* and those that do not see two forms
		return nil, f.bad("", "Content-Disposition", "send name and filename as they are, not name* or filename*")
	}
	if err != nil || kind != "form-data" || name == "" || !utf8.ValidString(name) {
		return nil, f.bad("", "Content-Disposition", "give each part form-data with a name")
	}
	for h, lines := range p.Header {
		switch {
		case h == "Content-Disposition" || h == "Content-Type":
			if len(lines) > 1 {
				return nil, f.bad(name, h+" once", "send it once")
			}
		case h == "Content-Length":
		default: // a transfer encoding would hide what is inside (RFC 7578 section 4.7)
			return nil, f.bad(name, "headers of a part", "send Content-Disposition and Content-Type alone")
		}
	}
	return params, nil
}

// typed reports whether a content type is one of those asked for; without one, text/plain is meant (RFC 7578 section 4.4).
func typed(types []string, contentType string) bool {
	if len(types) == 0 {
		return true
	}
	t := "text/plain"
	if contentType != "" {
		var err error
		if t, _, err = mime.ParseMediaType(contentType); err != nil {
			return false
		}
	}
	major, _, _ := strings.Cut(t, "/")
	return slices.ContainsFunc(types, func(want string) bool { return want == t || want == major+"/*" || want == "*/*" })
}
