package shield

import (
	"strings"

	"casemate"
)

// Clean turns the bytes of a request into the body that may go on: decoded within the bound of its route and function,
// well-formed within the default bounds where it is JSON, and true to the contract of the match, when it has one. What
// invokes a function by name must be JSON, as Lambda wants it. The result is the body that the function receives, or
// the bytes that e.Encode starts from.
func Clean(m *casemate.Match, e *casemate.Event, raw []byte) (casemate.Cleaned, error) {
	if m == nil || m.Version == nil {
		return casemate.Cleaned{}, &casemate.Error{Code: casemate.Fault, Message: "there is nothing to run", Hint: "give the request id to the operator"}
	}
	body, err := Decode(e.ContentEncoding, raw, Limit(m))
	if err != nil {
		return casemate.Cleaned{}, err
	}
	switch {
	case m.Contract != nil:
		_, err = m.Contract.Check(&casemate.Exchange{Params: m.Params, Query: e.Query, Header: e.Header, Headers: e.Headers, ContentType: e.ContentType, Body: body})
	case len(body) > 0 && (isJSON(e.ContentType) || m.Route == nil && e.Target.Function != ""):
		err = Scan(body, Bounds{})
	}
	if err != nil {
		return casemate.Cleaned{}, err
	}
	return casemate.Cleaned{Body: body}, nil
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
