package infer

import (
	"maps"
	"mime"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"casemate"
	"casemate/shield/text"
)

// Bounds of one operation.
const (
	maxParams = 50
	maxMedia  = 5
	maxStatus = 20
)

// Operation is what was seen of one operation. The zero Operation has seen nothing. It is not safe for concurrent use.
type Operation struct {
	Method, Path string // of the route
	Requests     int
	budget       budget
	begun        bool
	path         map[string]*shape
	query        map[string]*parameter
	openQuery    bool // more names than are kept, or names that say nothing
	bodies       map[string]*content
	bodiless     int
	otherBody    bool // of a type that is not learned
	untyped      bool // without a type
	answers      map[int]*answers
	otherStatus  bool
}

type parameter struct {
	shape *shape
	seen  int
	many  bool // sent several times
}

// content is a body of one media type.
type content struct {
	seen   int
	shape  *shape // of JSON and forms; nil: bytes, or text
	forms  bool
	broken bool // once it was not what its type says: nothing is held to it
	maxLen int
}

type answers struct {
	seen     int
	media    map[string]*content
	bodiless int
	unheld   bool // something was sent that a contract cannot promise
}

func (o *Operation) begin() {
	if o.begun {
		return
	}
	o.begun, o.budget.left = true, maxNodes
	o.path, o.query, o.bodies, o.answers = map[string]*shape{}, map[string]*parameter{}, map[string]*content{}, map[int]*answers{}
}

// Request adds a request that was let in.
func (o *Operation) Request(x *casemate.Exchange) {
	o.begin()
	o.Requests++
	for _, key := range slices.Sorted(maps.Keys(x.Params)) {
		if o.path[key] == nil {
			o.path[key] = o.budget.shape(key)
		}
		o.path[key].see(&o.budget, x.Params[key], 0)
	}
	o.seeQuery(x.Query)
	if len(x.Body) == 0 {
		o.bodiless++
		return
	}
	if x.ContentType == "" {
		o.untyped = true
		return
	}
	o.otherBody = !o.content(o.bodies, x.ContentType, x.Body) || o.otherBody
}

func (o *Operation) seeQuery(query string) {
	values := map[string][]any{}
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		key, raw, _ := strings.Cut(pair, "=")
		key, err := url.QueryUnescape(key)
		value, err2 := url.QueryUnescape(raw)
		if err != nil || err2 != nil || strings.ContainsAny(key, "[]") || !name.MatchString(key) || len(key) > 40 {
			o.openQuery = true
			continue
		}
		values[key] = append(values[key], value)
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		p := o.query[key]
		if p == nil && len(o.query) >= maxParams {
			o.openQuery = true
			continue
		}
		if p == nil {
			p = &parameter{shape: o.budget.shape(key)}
			o.query[key] = p
		}
		p.seen++
		p.many = p.many || len(values[key]) > 1
		for _, v := range values[key] {
			p.shape.see(&o.budget, v, 0)
		}
	}
}

// Answer adds an answer that was let out.
func (o *Operation) Answer(a *casemate.Answer) {
	o.begin()
	s := o.answers[a.Status]
	if s == nil {
		if len(o.answers) >= maxStatus {
			o.otherStatus = true
			return
		}
		s = &answers{media: map[string]*content{}}
		o.answers[a.Status] = s
	}
	s.seen++
	if len(a.Body) == 0 {
		s.bodiless++
		return
	}
	contentType := a.Get("content-type")
	if contentType == "" {
		contentType = "text/plain"
	}
	form := strings.HasPrefix(strings.ToLower(contentType), typeForm)
	s.unheld = form || !o.content(s.media, contentType, a.Body) || s.unheld
}

const typeForm = "application/x-www-form-urlencoded"

// content adds a body to those of its media type, and reports whether a contract can say something about it.
func (o *Operation) content(all map[string]*content, contentType string, body []byte) bool {
	media, params, err := mime.ParseMediaType(contentType)
	major, minor, _ := strings.Cut(media, "/")
	charset := params["charset"]
	json := media == "application/json" || media == "text/json" || strings.HasSuffix(minor, "+json")
	plain := json || media == typeForm || major == "text"
	switch {
	case err != nil, major == "", minor == "", major == "multipart", strings.HasSuffix(minor, "xml"), strings.Contains(media, "*"):
		return false
	case plain && charset != "" && !strings.EqualFold(charset, "utf-8"), plain && !utf8.Valid(body), json && text.Scan(body, text.Bounds{}) != nil:
		if all[media] != nil || len(all) < maxMedia {
			all[media] = &content{broken: true}
		}
		return false
	}
	c := all[media]
	if c == nil {
		if len(all) >= maxMedia {
			return false
		}
		c = &content{}
		all[media] = c
	}
	if c.broken {
		return false
	}
	c.seen++
	c.maxLen = max(c.maxLen, len(body))
	var v any
	switch {
	case json:
		v = text.Build(body)
	case media == typeForm:
		c.forms = true
		v = formOf(string(body))
	default:
		return true
	}
	if c.shape == nil {
		c.shape = o.budget.shape("")
	}
	c.shape.see(&o.budget, v, 0)
	return true
}

// formOf reads a form as an object of texts, and of lists of texts.
func formOf(body string) map[string]any {
	out := map[string]any{}
	for pair := range strings.SplitSeq(body, "&") {
		if pair == "" {
			continue
		}
		key, raw, _ := strings.Cut(pair, "=")
		key, err := url.QueryUnescape(key)
		value, err2 := url.QueryUnescape(raw)
		if err != nil || err2 != nil {
			continue
		}
		switch have := out[key].(type) {
		case nil:
			out[key] = value
		case string:
			out[key] = []any{have, value}
		case []any:
			out[key] = append(have, value)
		}
	}
	return out
}

func statusOf(code int) string { return strconv.Itoa(code) }
