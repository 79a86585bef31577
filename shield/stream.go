package shield

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"casemate"
	"casemate/shield/detect"
	"casemate/shield/expand"
)

// Found is a structure that a detector found, and where.
type Found struct {
	detect.Finding
	In, Where string
}

// stream takes an event apart and has every piece looked at by the detectors.
type stream struct {
	x      *expand.Expander
	keep   bool // pieces are wanted as fields
	fields []casemate.Field
	found  []Found
	room   []detect.Finding
	give   func(*expand.Piece) error // s.piece, made once
}

// pieces gives what somebody outside wrote into an event and no contract closes, decoded to the bottom, and what the
// detectors found in it. keep asks for the fields; without them plain events cost next to nothing. free are the values of
// path, query and body that its contract leaves free; contracted says that there is one. An error says that the event holds more than can
// be looked at.
func pieces(m *casemate.Match, e *casemate.Event, body []byte, free []casemate.Field, contracted, keep bool) ([]casemate.Field, []Found, error) {
	s := &stream{x: expand.New(expand.Bounds{}), keep: keep}
	s.give = s.piece
	if err := s.request(m, e, contracted); err != nil {
		return s.fields, s.found, err
	}
	if e.ClientContext != "" {
		if err := s.value(casemate.Field{In: "client", Name: "context", Value: []byte(e.ClientContext)}, "application/json"); err != nil {
			return s.fields, s.found, err
		}
	}
	for i := range e.Fields {
		if err := s.value(e.Fields[i], ""); err != nil {
			return s.fields, s.found, err
		}
	}
	for i := range free {
		if in := free[i].In; in == "body" || in == "path" || in == "query" {
			if err := s.value(free[i], ""); err != nil {
				return s.fields, s.found, err
			}
		}
	}
	if contracted || len(body) == 0 {
		return s.fields, s.found, nil
	}
	err := s.value(casemate.Field{In: "body", Value: body}, e.ContentType)
	return s.fields, s.found, err
}

func (s *stream) value(f casemate.Field, media string) error { return s.x.Expand(f, media, s.give) }

func (s *stream) name(in, name string) error { return s.x.ExpandName(in, name, s.give) }

func (s *stream) piece(p *expand.Piece) error {
	if s.keep && p.Kind != expand.Bytes && !tame(p) {
		s.field(p)
	}
	s.room = detect.Detect(s.room[:0], p)
	for _, f := range s.room {
		s.found = append(s.found, Found{Finding: f, In: p.In, Where: p.Where()})
	}
	return nil
}

// tame reports whether no signature of an attack can match a piece: it is one word, or a header as browsers send it without
// a quote, bracket or escape.
func tame(p *expand.Piece) bool {
	if p.Has&^(expand.Minus|expand.Under|expand.Dot|expand.At) == 0 {
		return true
	}
	const telling = expand.Quote | expand.Angle | expand.Dollar | expand.Percent | expand.Backslash | expand.Open | expand.Paren | expand.Control | expand.Line | expand.High
	return p.In == "header" && p.Depth == 0 && p.Has&telling == 0 && ordinary(p.Last())
}

// field keeps a piece for rule sets. Theirs know paths as names of files and headers as those of browsers: a parameter of the
// path, and a header of somebody's own, is an argument as well.
func (s *stream) field(p *expand.Piece) {
	f := p.Field()
	switch {
	case p.In == "path" && f.Name != "":
		f.In = "param"
	case p.In == "header" && (p.Depth > 0 || !ordinary(f.Name)):
		s.fields = append(s.fields, f)
		f.In = "param"
	}
	s.fields = append(s.fields, f)
}

// ordinary reports whether a header is one that browsers and proxies send.
func ordinary(name string) bool {
	name = strings.ToLower(name)
	for _, p := range [...]string{"accept", "user-agent", "content-", "if-", "sec-", "cache-control", "pragma", "origin", "referer", "range", "dnt", "upgrade", "x-forwarded-", "forwarded", "via", "x-amz",
		"x-real-ip", "date", "expect", "te", "priority", "keep-alive", "tracestate", "x-request-id", "idempotency-key", "prefer", "access-control-"} {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// request gives path, query, cookies and header lines.
func (s *stream) request(m *casemate.Match, e *casemate.Event, contracted bool) error {
	if e.Target.Path != "" && (!contracted || len(m.Params) == 0) { // a contract says what is free in both
		if err := s.path(m, e.Target.Path); err != nil {
			return err
		}
	}
	if !contracted {
		if err := s.query(e.Query); err != nil {
			return err
		}
	}
	if e.Headers == nil {
		return nil
	}
	for name, value := range e.Headers {
		if err := s.header(name, value); err != nil {
			return err
		}
	}
	return nil
}

// path gives the parameters of the path, and all of it where it has none.
func (s *stream) path(m *casemate.Match, raw string) error {
	for _, name := range slices.Sorted(maps.Keys(m.Params)) {
		if err := s.value(casemate.Field{In: "path", Name: name, Value: []byte(m.Params[name])}, ""); err != nil {
			return err
		}
	}
	if len(m.Params) > 0 || m.Route != nil && raw == m.Route.Path {
		return nil
	}
	if err := s.value(casemate.Field{In: "path", Value: []byte(raw)}, ""); err != nil {
		return err
	}
	for part := range strings.SplitSeq(raw, "/") {
		if strings.ContainsAny(part, "%;|&$'(") {
			if err := s.value(casemate.Field{In: "path", Value: []byte(part)}, ""); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *stream) query(raw string) error {
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		name, value, _ := strings.Cut(pair, "=")
		name, value = unescape(name), unescape(value)
		if err := s.name("query", name); err != nil {
			return err
		}
		if value == "" {
			continue
		}
		if err := s.value(casemate.Field{In: "query", Name: name, Value: []byte(value)}, ""); err != nil {
			return err
		}
	}
	return nil
}

// unescape undoes one layer of percent encoding; what is broken stays as it is.
func unescape(s string) string {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s
	}
	if out, err := url.QueryUnescape(s); err == nil {
		return out
	}
	return strings.ReplaceAll(s, "+", " ")
}

// header gives a header line. Credentials are not looked at: they are checked for what they are, and no rule may note them.
func (s *stream) header(name, value string) error {
	switch strings.ToLower(name) {
	case "authorization", "proxy-authorization", "x-api-key", "x-amz-security-token", "content-length", "host", "connection", "accept-encoding", "traceparent", "content-encoding":
		return nil
	case "cookie":
		for part := range strings.SplitSeq(value, ";") {
			key, v, _ := strings.Cut(strings.TrimSpace(part), "=")
			if err := s.name("cookie", key); err != nil {
				return err
			}
			if err := s.value(casemate.Field{In: "cookie", Name: key, Value: []byte(unescape(strings.Trim(v, `"`)))}, ""); err != nil {
				return err
			}
		}
		return nil
	}
	return s.value(casemate.Field{In: "header", Name: name, Value: []byte(value)}, "")
}

// hostile makes a refusal of what was found, or nil where it adds up to less than detect.Sure.
func hostile(found []Found) error {
	sum := 0
	for i := range found {
		if sum += found[i].Score; sum >= detect.Sure {
			return &casemate.Error{Code: casemate.Invalid, Field: found[i].In + " " + found[i].Where, Rule: found[i].Rule,
				Message: "the request was refused: it looks like an attack (" + string(found[i].Class) + ")",
				Hint:    "if it is none, give the request id to the operator: a contract for the field, or an exception with a reason and an end, lets it pass"}
		}
	}
	return nil
}
