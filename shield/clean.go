package shield

import (
	"strings"

	"casemate"
)

// Judge decides on an event by what it holds: fields are the values that no contract closes, decoded to the bottom, found is
// what the detectors saw in them, over an error where the event holds more than can be looked at. What it gives are notes
// for the record, and an error that refuses the event.
type Judge func(m *casemate.Match, e *casemate.Event, fields []casemate.Field, found []Found, over error) (notes []string, err error)

// Cleaner is the shield, inbound. The zero Cleaner has no rule set: it refuses what the detectors are sure of, and what is
// too much to look at.
type Cleaner struct {
	Judge Judge // nil: as the zero Cleaner
}

// Clean turns the bytes of a request into the body that may go on: decoded within the bound of its route and function,
// well-formed within the default bounds where it is JSON, true to the contract of the match, when it has one, and free of
// attacks. What invokes a function by name must be JSON, as Lambda wants it. The result is the body that the function
// receives, or the bytes that e.Encode starts from.
func (c Cleaner) Clean(m *casemate.Match, e *casemate.Event, raw []byte) (casemate.Cleaned, error) {
	if m == nil || m.Version == nil {
		return casemate.Cleaned{}, &casemate.Error{Code: casemate.Fault, Message: "there is nothing to run", Hint: "give the request id to the operator"}
	}
	body, err := Decode(e.ContentEncoding, raw, Limit(m))
	if err != nil {
		return casemate.Cleaned{}, err
	}
	var free []casemate.Field
	switch {
	case m.Contract != nil:
		free, err = m.Contract.Check(&casemate.Exchange{Params: m.Params, Query: e.Query, Header: e.Header, Headers: e.Headers, ContentType: contentType(m, e), Body: body})
	case len(body) > 0 && (isJSON(e.ContentType) || m.Route == nil && e.Target.Function != ""):
		err = Scan(body, Bounds{StringBytes: max(DefaultBounds().StringBytes, int(Limit(m)))}) // code in base64 is one string
	}
	if err != nil {
		return casemate.Cleaned{}, err
	}
	notes, err := c.judge(m, e, body, free)
	if err != nil {
		return casemate.Cleaned{Notes: notes}, err
	}
	return casemate.Cleaned{Body: body, Notes: notes}, nil
}

// judge has what is free looked at. The platform's own operations read their bodies strictly, and are for operators.
func (c Cleaner) judge(m *casemate.Match, e *casemate.Event, body []byte, free []casemate.Field) ([]string, error) {
	if m.Version.Runtime.Family() == "builtin" {
		return nil, nil
	}
	fields, found, over := pieces(m, e, body, free, m.Contract != nil, c.Judge != nil)
	if c.Judge != nil {
		return c.Judge(m, e, fields, found, over)
	}
	if over != nil {
		return nil, over
	}
	return nil, hostile(found)
}

// contentType is that of the body. What invokes a function by name is JSON, whatever it says.
func contentType(m *casemate.Match, e *casemate.Event) string {
	if m.Route == nil {
		return "application/json"
	}
	return e.ContentType
}

// Limit is how many bytes a body may have, before and after decoding: the route's bound, within the function's.
func Limit(m *casemate.Match) int64 {
	limit := m.Version.Limits.Request
	if limit <= 0 {
		limit = casemate.DefaultLimits().Request
	}
	if m.Route != nil && m.Route.Request > 0 {
		limit = min(limit, m.Route.Request)
	}
	return limit
}

// isJSON reports whether a media type is JSON by RFC 6839: application/json, text/json, anything+json.
func isJSON(contentType string) bool {
	t, _, _ := strings.Cut(contentType, ";")
	t = strings.ToLower(strings.TrimSpace(t))
	return t == "application/json" || t == "text/json" || strings.HasSuffix(t, "+json")
}
