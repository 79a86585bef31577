package http

import (
	"iter"
	"net"
	nethttp "net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"casemate"
	"casemate/browser"
	"casemate/front/conn"
	"casemate/lambda"
)

// refusal is a request that no Event was made of: an error, and the status where HTTP has a better one than its code.
type refusal struct {
	status int
	err    *casemate.Error
}

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

func refuse(status int, field, message, hint string) error {
	return &refusal{status, badRequest(field, message, hint)}
}

func badRequest(field, message, hint string) *casemate.Error {
	return &casemate.Error{Code: casemate.Invalid, Field: field, Message: message, Hint: hint}
}

// target is the request target, taken apart and found harmless.
type target struct {
	path, query string // still percent-encoded
	host        string // lower case, without port
	port        string
}

// check refuses what would be read differently by two readers, and what is over a limit. net/http has already refused
// malformed header lines, two lengths and bad chunks; wires.ambiguous sees the rest.
func (s *Server) check(r *nethttp.Request) (target, error) {
	t := target{path: r.URL.EscapedPath(), query: r.URL.RawQuery}
	if !r.URL.IsAbs() {
		t.path, t.query, _ = strings.Cut(r.RequestURI, "?")
	}
	switch r.Method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
	default:
		return t, refuse(nethttp.StatusMethodNotAllowed, "method", "this method is not served", "use GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS")
	}
	if len(r.RequestURI) > s.c.Limits.TargetBytes {
		return t, refuse(nethttp.StatusRequestURITooLong, "path", "the request target is longer than "+strconv.Itoa(s.c.Limits.TargetBytes)+" bytes", "send long values in the body")
	}
	if err := s.checkHeaders(r.Header); err != nil {
		return t, err
	}
	if err := checkFraming(r); err != nil {
		return t, err
	}
	host, port, err := splitHost(r.Host)
	if err != nil {
		return t, err
	}
	t.host, t.port = host, port
	if r.URL.IsAbs() && !s.own(host) {
		return t, badRequest("path", "this server is not a proxy", "send the path alone")
	}
	if err := checkPath(t.path); err != nil {
		return t, err
	}
	if err := s.checkQuery(t.query); err != nil {
		return t, err
	}
	if r.ContentLength > s.c.Limits.BodyBytes {
		return t, casemate.Errorf(casemate.TooLarge, "send less", "the body is larger than %d bytes", s.c.Limits.BodyBytes)
	}
	return t, nil
}

// checkHeaders bounds their number and refuses those that must stand alone but do not.
func (s *Server) checkHeaders(h nethttp.Header) error {
	n := 0
	for name, values := range h {
		n += len(values)
		for _, v := range values {
			if !utf8.ValidString(v) {
				return badRequest(strings.ToLower(name), "the header is not valid UTF-8", "encode it")
			}
		}
	}
	if n > s.c.Limits.HeaderCount {
		return refuse(nethttp.StatusRequestHeaderFieldsTooLarge, "headers", "more than "+strconv.Itoa(s.c.Limits.HeaderCount)+" header lines", "send fewer")
	}
	for _, name := range [...]string{"Content-Type", "Content-Encoding", "X-Amz-Tenant-Id"} {
		if len(h[name]) > 1 {
			return badRequest(strings.ToLower(name), "the header was sent twice", "send it once")
		}
	}
	if understood(strings.ToLower(h.Get("Content-Encoding")), h.Get("X-Amz-Content-Sha256")) {
		return nil
	}
	return refuse(nethttp.StatusUnsupportedMediaType, "content-encoding", "this content encoding is not understood", "use gzip, deflate or none")
}

// checkFraming refuses what net/http lets pass of a length and an expectation.
func checkFraming(r *nethttp.Request) error {
	if expect := r.Header["Expect"]; len(expect) > 1 || len(expect) == 1 && !strings.EqualFold(expect[0], "100-continue") {
		return refuse(nethttp.StatusExpectationFailed, "expect", "this expectation is not met", "send Expect: 100-continue, or none")
	}
	if r.ProtoMajor < 2 {
		return nil
	}
	if length := r.Header["Content-Length"]; len(length) > 1 || len(length) == 1 && length[0] != strconv.FormatInt(r.ContentLength, 10) {
		return badRequest("content-length", "the length was sent twice, or is no number", "send it once, or not at all")
	}
	return nil
}

func splitHost(hostport string) (host, port string, err error) {
	host = hostport
	if h, p, e := net.SplitHostPort(hostport); e == nil {
		host, port = h, p
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if host == "" {
		return "", "", badRequest("host", "the Host header is missing", "send it")
	}
	for i := 0; i < len(host); i++ {
		c := host[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_' && c != ':' {
			return "", "", badRequest("host", "the Host header is no host name", "send the name you connected to")
		}
	}
	return host, port, nil
}

// own reports whether an absolute-form target names an address that this server listens on.
func (s *Server) own(host string) bool {
	ip, err := netip.ParseAddr(host)
	if err != nil && host != "localhost" {
		return false
	}
	for _, a := range s.Addrs() {
		if t, ok := a.(*net.TCPAddr); ok && (err == nil && t.AddrPort().Addr().Unmap() == ip.Unmap() || err != nil && t.IP.IsLoopback()) {
			return true
		}
	}
	return false
}

// checkPath takes only paths that every reader takes apart in the same way: RFC 3986 characters, valid UTF-8 without
// control characters behind the escapes, and no dot segment, however it is written.
func checkPath(raw string) error {
	if !strings.HasPrefix(raw, "/") {
		return badRequest("path", "the path does not start with a slash", "send an absolute path")
	}
	plain := true
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"#<>\^`+"`{|}", c) >= 0 {
			return badRequest("path", "the path holds a character that must be percent-encoded", "encode it")
		}
		plain = plain && c != '%' && c != '.'
	}
	if plain {
		return nil
	}
	path, err := url.PathUnescape(raw)
	if err != nil {
		return badRequest("path", "the path holds a broken percent-encoding", "write a percent sign as %25")
	}
	if !utf8.ValidString(path) || strings.ContainsFunc(path, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return badRequest("path", "the path holds invalid UTF-8 or a control character", "leave it out")
	}
	for segment := range strings.FieldsFuncSeq(path, func(r rune) bool { return r == '/' || r == '\\' }) {
		if segment == "." || segment == ".." {
			return badRequest("path", "the path holds a dot segment", "send the path it stands for")
		}
	}
	return nil
}

func (s *Server) checkQuery(raw string) error {
	if strings.Count(raw, "&") >= s.c.Limits.QueryParams {
		return badRequest("query", "more than "+strconv.Itoa(s.c.Limits.QueryParams)+" query parameters", "send them in the body")
	}
	for i := 0; i < len(raw); i++ {
		if c := raw[i]; c <= ' ' || c >= 0x7f || c == '#' {
			return badRequest("query", "the query string holds a character that must be percent-encoded", "encode it")
		}
	}
	if strings.IndexByte(raw, '%') < 0 {
		return nil
	}
	if q, err := url.QueryUnescape(raw); err != nil || !utf8.ValidString(q) {
		return badRequest("query", "the query string holds a broken percent-encoding or invalid UTF-8", "write a percent sign as %25")
	}
	return nil
}

// event makes the Event of a request. It reads no body.
func (s *Server) event(r *nethttp.Request, x *exchange) (*casemate.Event, error) {
	t, err := s.check(r)
	x.target = t
	if err != nil {
		return nil, err
	}
	if x.preflights() {
		return nil, nil
	}
	if strings.HasSuffix(t.host, s.c.Domain) {
		x.source = casemate.SourceURL
	}
	cred, err := proof(r, t)
	if err != nil {
		return nil, err
	}
	if err := x.cookies(); err != nil {
		return nil, err
	}
	e := &casemate.Event{
		ID: x.id, Source: x.source, Target: casemate.Target{Host: t.host, Method: r.Method, Path: t.path},
		Credential: cred, SourceIP: conn.SourceIP(r.RemoteAddr), UserAgent: r.UserAgent(), Received: x.received, Attempt: 1,
		Async: prefersAsync(r.Header["Prefer"]), Trace: x.trace,
		Context: map[string][]string{"aws:securetransport": {strconv.FormatBool(x.secure)}},
		// "identity" is the absence of an encoding (RFC 9110 section 8.4.1).
		ContentType: r.Header.Get("Content-Type"), ContentEncoding: encoding(r.Header), Size: r.ContentLength,
	}
	if e.Async { // of a call that is answered at once, the key is the function's affair
		e.IdempotencyKey = strings.Join(r.Header["Idempotency-Key"], ",")
	}
	if id := r.Header["X-Amz-Tenant-Id"]; len(id) == 1 {
		e.Tenant = id[0]
	}
	e.Header, e.Query, e.Headers, e.Decode = r.Header.Values, t.query, lines(r.Header), x.decode
	e.Spelled = x.spelled
	x.out.x, e.Answering = x, &x.out
	if r.TLS != nil {
		for _, c := range r.TLS.PeerCertificates {
			e.Credential.Chain = append(e.Credential.Chain, c.Raw)
		}
	}
	e.Context["aws:sourceip"] = []string{e.SourceIP}
	if e.UserAgent != "" {
		e.Context["aws:useragent"] = []string{e.UserAgent}
	}
	if r.ContentLength != 0 {
		x.body = &body{r: r.Body, conn: x.conn, limit: s.c.Limits.BodyBytes, declared: r.ContentLength, limits: &s.c.Limits, stream: r.ProtoMajor == 2}
		e.Body = x.body
	}
	if t.port == "" {
		t.port = map[bool]string{false: "80", true: "443"}[x.secure]
	}
	e.Encode = encoder(r, t, e, x)
	return e, nil
}

// lines is every header line of a request.
func lines(h nethttp.Header) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for name, values := range h {
			for _, v := range values {
				if !yield(name, v) {
					return
				}
			}
		}
	}
}

// encoder writes the function's event once the corridor knows who calls what.
func encoder(r *nethttp.Request, t target, e *casemate.Event, x *exchange) func(*casemate.Match, *casemate.Principal, []byte) ([]byte, error) {
	return func(m *casemate.Match, p *casemate.Principal, clean []byte) ([]byte, error) {
		x.match, x.told, x.known = m, nil, p.Known()
		h := &lambda.HTTPRequest{
			ID: e.ID, Method: r.Method, Protocol: r.Proto, RawPath: t.path, RawQuery: t.query, Host: r.Host, Domain: t.host,
			Header: r.Header, SourceIP: e.SourceIP, UserAgent: e.UserAgent, Secure: x.secure, Port: t.port,
			Received: e.Received, Trace: e.Trace, Params: m.Params, Principal: p, Spelled: e.Spelled,
		}
		if m.Route != nil {
			h.Own = m.Route.Auth.Own(&e.Credential, p)
		}
		if m.Version != nil {
			h.Account, h.API = m.Version.Account, m.Version.App
		}
		if m.Route != nil && !m.Route.URL {
			h.RouteKey, h.API, h.Payload, h.Stage, h.Revision = m.Route.ID, m.Route.App, m.Route.Payload, m.Route.Stage, m.Revision
		} else {
			h.API, _, _ = strings.Cut(t.host, ".")
		}
		if h.Payload != "" {
			return lambda.EncodeREST(h, clean), nil
		}
		return lambda.EncodeHTTP(h, clean), nil
	}
}

// spelled implements casemate.Event.Spelled: HTTP/2 has lower-case names alone (RFC 9113 section 8.2.1).
func (x *exchange) spelled(name string) string {
	if x.r.ProtoMajor >= 2 {
		return strings.ToLower(name)
	}
	if x.names == nil && x.wires != nil {
		if x.names = x.wires.spelling(x.r); x.names == nil {
			x.names = map[string]string{} // pipelined behind others: their names stay canonical
		}
	}
	if as := x.names[nethttp.CanonicalHeaderKey(name)]; as != "" {
		return as
	}
	return name
}

func encoding(h nethttp.Header) string {
	enc := strings.ToLower(h.Get("Content-Encoding"))
	if enc == "identity" {
		return ""
	}
	return enc
}

// prefersAsync looks for respond-async (RFC 7240 section 4.1).
func prefersAsync(values []string) bool {
	for _, v := range values {
		for p := range strings.SplitSeq(v, ",") {
			p, _, _ = strings.Cut(p, ";")
			if strings.EqualFold(strings.TrimSpace(p), "respond-async") {
				return true
			}
		}
	}
	return false
}

// trace is a new span: below the caller's when its traceparent is valid, a root otherwise. A tracestate that is too long
// to hand on (https://www.w3.org/TR/trace-context/#tracestate-limits) is dropped.
func trace(h nethttp.Header) casemate.Trace {
	if len(h["Traceparent"]) != 1 {
		return casemate.NewTrace()
	}
	parent, ok := casemate.ParseTraceparent(h["Traceparent"][0])
	if !ok {
		return casemate.NewTrace()
	}
	if state := strings.Join(h["Tracestate"], ","); len(state) <= 512 {
		parent.State = state
	}
	return parent.Child()
}

// exchange is one request with its answer.
type exchange struct {
	s        *Server
	w        nethttp.ResponseWriter
	r        *nethttp.Request
	wires    *wires            // of its listener
	names    map[string]string // of its headers, as sent; nil until somebody asked
	conn     *nethttp.ResponseController
	body     *body // nil when there is none, or nobody made an Event
	id       string
	source   casemate.Source
	secure   bool // came over TLS
	hangUp   bool // nothing more may be read from this connection
	trace    casemate.Trace
	received time.Time
	started  time.Time
	status   int // 0 until the answer began
	bytes    int

	target    target
	match     *casemate.Match // nil until the corridor found it
	told      *browser.Rules  // nil until somebody asked
	preflight bool
	known     bool // the caller proved who it is

	out stream
}
