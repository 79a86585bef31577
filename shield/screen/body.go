package screen

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
)

// Bounds on bodies.
const (
	maxDepth = 1024 // nesting of JSON
	maxParts = 1000 // of a multipart body
)

// body reads a request's body as its type says, into arguments, files and XML.
func (x *run) body(q *Request) {
	x.arg()
	if len(q.Body) == 0 {
		return
	}
	if x.processor == "" && x.forceBody {
		x.processor = "URLENCODED"
	}
	x.single(vProcessor, x.processor)
	var err error
	switch x.processor {
	case "URLENCODED":
		x.arguments(string(q.Body), "body")
		x.single(vBody, string(q.Body))
		x.single(vBodyLength, strconv.Itoa(len(q.Body)))
	case "JSON":
		err = x.json(q.Body)
	case "MULTIPART":
		err = x.multipart(q)
	case "XML":
		err = x.xml(q.Body)
	}
	if err != nil {
		x.single(vBodyError, "1")
	}
	x.arg()
}

// arg sums up the arguments.
func (x *run) arg() {
	sum := 0
	for i := range x.items[vArgs] {
		it := &x.items[vArgs][i]
		sum += len(it.key) + len(it.done[0].s)
	}
	x.single(vArgsSize, strconv.Itoa(sum))
}

// json reads the leaves as json.a.0.b; an array also has its length under its own name.
func (x *run) json(body []byte) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	w := jsonWalk{x: x, d: d}
	if err := w.value("json", 0); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one value")
	}
	return nil
}

type jsonWalk struct {
	x *run
	d *json.Decoder
	n int
}

func (w *jsonWalk) value(name string, depth int) error {
	if depth > maxDepth {
		return errors.New("too deep")
	}
	t, err := w.d.Token()
	if err != nil {
		return err
	}
	switch t := t.(type) {
	case json.Delim:
		return w.inside(t, name, depth)
	case string:
		w.leaf(name, t, depth)
	case json.Number:
		w.leaf(name, t.String(), depth)
	case bool:
		w.leaf(name, strconv.FormatBool(t), depth)
	case nil:
		w.leaf(name, "", depth)
	}
	return nil
}

// leaf takes a value; one that is the whole body is none.
func (w *jsonWalk) leaf(name, value string, depth int) {
	if w.n++; depth > 0 && w.n <= maxArguments {
		w.x.argument("body", name, value)
	}
}

func (w *jsonWalk) inside(open json.Delim, name string, depth int) error {
	n := 0
	for w.d.More() {
		key := strconv.Itoa(n)
		if open == '{' {
			t, err := w.d.Token()
			if err != nil {
				return err
			}
			key, _ = t.(string)
		}
		n++
		if err := w.value(name+"."+key, depth+1); err != nil {
			return err
		}
	}
	if open == '[' && n > 0 {
		w.leaf(name, strconv.Itoa(n), 1)
	}
	_, err := w.d.Token()
	return err
}

// xml reads what is between tags, and the values of attributes. Entities of the document's own are not expanded.
func (x *run) xml(body []byte) error {
	d := xml.NewDecoder(bytes.NewReader(body))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	n := 0
	for n <= maxArguments {
		t, err := d.Token()
		if t == nil {
			var broken *xml.SyntaxError
			if errors.Is(err, io.EOF) || errors.As(err, &broken) && broken.Msg == "unexpected EOF" {
				return nil
			}
			return err
		}
		switch t := t.(type) {
		case xml.StartElement:
			for _, a := range t.Attr {
				x.add(vXML, "body", "//@*", a.Value)
				n++
			}
		case xml.CharData:
			if s := strings.TrimSpace(string(t)); s != "" {
				x.add(vXML, "body", "/*", s)
				n++
			}
		}
	}
	return nil
}

// multipart reads the parts of a form: fields as arguments, files by their names.
func (x *run) multipart(q *Request) error {
	kind, params, err := mime.ParseMediaType(x.headerValue("content-type"))
	if err != nil || !strings.HasPrefix(kind, "multipart/") {
		x.single(vMultipartError, "1")
		return errors.New("no multipart body")
	}
	r := multipart.NewReader(bytes.NewReader(q.Body), params["boundary"])
	size := 0
	for range maxParts {
		p, err := r.NextPart()
		if errors.Is(err, io.EOF) && err == io.EOF { //nolint:errorlint // the end itself, not a body cut short
			break
		}
		if err != nil {
			x.single(vMultipartError, "1")
			return err
		}
		data, err := io.ReadAll(p)
		size += len(data)
		x.part(p, string(data))
		if err != nil {
			x.single(vMultipartError, "1")
			break
		}
	}
	x.single(vFilesSize, strconv.Itoa(size))
	return nil
}

func (x *run) headerValue(name string) string {
	for i := range x.items[vHeaders] {
		if it := &x.items[vHeaders][i]; it.fold == name {
			return it.done[0].s
		}
	}
	return ""
}

func (x *run) part(p *multipart.Part, data string) {
	name := p.FormName()
	for _, key := range sortedKeys(p.Header) {
		if len(p.Header[key]) > 1 {
			x.single(vMultipartError, "1")
		}
		for _, v := range p.Header[key] {
			x.add(vPartHeaders, "body", name, key+": "+v)
		}
	}
	files, bad := fileNames(p.Header.Get("Content-Disposition"))
	if bad {
		x.single(vMultipartError, "1")
	}
	for _, f := range files {
		x.add(vFiles, "body", "", f)
	}
	if len(files) == 0 {
		x.argument("body", name, data)
		return
	}
	x.add(vFilesNames, "body", "", name)
}

func sortedKeys(h textproto.MIMEHeader) []string {
	keys := make([]string, 0, len(h))
	for k := range h {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// fileNames are the names that a part claims: one, or two where filename and filename* differ. bad is a disposition
// that readers could understand in more than one way.
func fileNames(disposition string) (names []string, bad bool) {
	_, params, err := mime.ParseMediaType(disposition)
	if err != nil {
		return nil, disposition != ""
	}
	add := func(s string) {
		if s != "" && !slices.Contains(names, s) {
			names = append(names, s)
		}
	}
	lower := strings.ToLower(disposition)
	if i := strings.Index(lower, "filename*="); i >= 0 {
		raw, _, _ := strings.Cut(disposition[i+len("filename*="):], ";")
		raw = strings.TrimSpace(raw)
		if strings.HasPrefix(raw, `"`) {
			raw, bad = strings.Trim(raw, `"`), true
		}
		parts := strings.SplitN(raw, "'", 3)
		if len(parts) != 3 {
			add(params["filename"])
			return names, true
		}
		add(unescape(strings.ReplaceAll(parts[2], "+", "%2B")))
		bad = bad || strings.Contains(parts[2], "%") && badEscape(parts[2])
		if j := strings.Index(lower, "filename="); j >= 0 {
			plain, _, _ := strings.Cut(disposition[j+len("filename="):], ";")
			add(strings.Trim(strings.TrimSpace(plain), `"`))
		}
		return names, bad
	}
	add(params["filename"])
	return names, strings.Contains(lower, "filename*0") || strings.Contains(lower, "filename*1")
}
