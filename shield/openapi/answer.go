package openapi

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"casemate"
	"casemate/shield/schema"
)

// answer is what one status promises.
type answer struct {
	headers []*param
	body    *body // nil: nothing is said about it
}

// responses reads what the operation answers.
func (r *reader) responses(op map[string]any, opAt string) error {
	all, ok := op["responses"].(map[string]any)
	if !ok || len(all) == 0 {
		if r.dialect == schema.OpenAPI30 {
			return fmt.Errorf("%s: there are no responses", r.doc.Place(opAt))
		}
		r.warn("%s: no responses are described: answers are not checked", r.doc.Place(opAt))
		return nil
	}
	status := regexp.MustCompile(`^([1-5][0-9][0-9]|[1-5]XX|default)$`)
	for _, code := range slices.Sorted(maps.Keys(all)) {
		if strings.HasPrefix(code, "x-") {
			continue
		}
		at := opAt + "/responses/" + code
		if !status.MatchString(code) {
			return fmt.Errorf("%s: %q is no status: 200, 2XX, default", r.doc.Place(at), code)
		}
		m, at, err := r.doc.Object(at)
		if err != nil {
			return err
		}
		if err := known(r.doc, m, at, "description headers content links summary"); err != nil {
			return err
		}
		if r.out.answers[code], err = r.answer(m, at, code); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) answer(m map[string]any, at, code string) (*answer, error) {
	a := &answer{}
	headers, _ := m["headers"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		if strings.EqualFold(name, "Content-Type") {
			continue // the content says it
		}
		h, here, err := r.doc.Object(at + "/headers/" + schema.Escape(name))
		if err != nil {
			return nil, err
		}
		p := &param{name: strings.ToLower(name), in: "header", style: "simple", explode: h["explode"] == true, required: h["required"] == true,
			place: schema.Place{What: "the header " + name + " of the answer", In: "header", Name: name, Plain: true}}
		if err := known(r.doc, h, here, "description required deprecated style explode schema example examples content"); err != nil {
			return nil, err
		}
		ptr, err := r.valued(p, h, here)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.doc.Place(here), err)
		}
		a.headers = append(a.headers, p)
		r.schema(schema.Answer, ptr, func(s *schema.Schema) error { p.schema, p.shape = s, s.Shape(); return nil })
	}
	switch {
	case m["content"] == nil && !bodiless(code):
		r.warn("%s: nothing is said about the content of %s: it is not checked (content: {} says that there is none)", r.doc.Place(at), code)
	case m["content"] == nil:
	default:
		b, err := r.content(schema.Answer, m, at)
		if err != nil {
			return nil, err
		}
		a.body = b
	}
	return a, nil
}

// bodiless reports whether answers of this status have no content (RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5).
func bodiless(code string) bool { return code == "204" || code == "205" || code == "304" }

// find gives what is promised for a status: by its number, its class, or by default.
func (o *Operation) find(status int) *answer {
	code := fmt.Sprint(status)
	for _, key := range [...]string{code, code[:1] + "XX", "default"} {
		if a := o.answers[key]; a != nil {
			return a
		}
	}
	return nil
}

// Promises reports whether the document says anything about answers.
func (o *Operation) Promises() bool { return len(o.answers) > 0 }

// Answer implements casemate.Contract. A document that describes no responses promises nothing, and refuses nothing.
func (o *Operation) Answer(a *casemate.Answer) error {
	if len(o.answers) == 0 {
		return nil
	}
	promise := o.find(a.Status)
	if promise == nil {
		return unpromised(fmt.Sprintf("status %d", a.Status), "the contract "+o.name+" has no such answer")
	}
	c := checker{op: o, x: &casemate.Exchange{Header: func(name string) []string {
		if v := a.Get(name); v != "" {
			return []string{v}
		}
		return nil
	}}}
	for _, p := range promise.headers {
		if err := c.promised(p, a); err != nil {
			return broken(err)
		}
	}
	b := promise.body
	switch {
	case bodiless(fmt.Sprint(a.Status)):
		if len(a.Body) > 0 {
			return unpromised("no content", fmt.Sprintf("an answer of status %d has no content", a.Status))
		}
		return nil
	case b == nil || o.Method == "HEAD":
		return nil
	case len(b.media) == 0:
		if len(a.Body) > 0 {
			return unpromised("no content", "the contract "+o.name+" has no content here")
		}
		return nil
	}
	return broken(b.promised(o.name, a))
}

// promised holds one header of an answer. Cookies have lines of their own; what the platform sends itself need not be there.
func (c *checker) promised(p *param, a *casemate.Answer) error {
	if p.name != "set-cookie" {
		if platform(p.name) && a.Get(p.name) == "" {
			return nil
		}
		return c.header(p)
	}
	if p.required && len(a.Cookies) == 0 {
		return p.missing()
	}
	for _, cookie := range a.Cookies {
		if err := c.scalar(p, cookie); err != nil {
			return err
		}
	}
	return nil
}

// platform reports whether every answer has the header, whatever the function says.
func platform(name string) bool {
	switch name {
	case "x-request-id", "x-amzn-requestid", "traceparent", "x-content-type-options", "content-length", "date", "connection":
		return true
	}
	return false
}

// promised holds the content of an answer. One without a content type is text, as a route sends it.
func (b *body) promised(contract string, a *casemate.Answer) error {
	contentType := a.Get("content-type")
	if contentType == "" {
		contentType = "text/plain"
	}
	m, params, err := b.find(contentType)
	if err != nil {
		return err
	}
	_, err = m.check(schema.Place{What: "the answer", In: "answer"}, contract, contentType, params, a.Body)
	return err
}

func unpromised(rule, message string) error {
	return &casemate.Error{Code: casemate.FunctionFailed, Rule: rule, Message: "the function answered what its contract does not promise: " + message,
		Hint: "change the function, or describe the answer in the document"}
}

// broken turns what was said of a request into what is said of an answer.
func broken(err error) error {
	var e *casemate.Error
	if err == nil || !errors.As(err, &e) {
		return err
	}
	out := unpromised(e.Rule, e.Message).(*casemate.Error)
	out.Field = e.Field
	return out
}
