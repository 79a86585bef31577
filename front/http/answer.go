package http

import (
	"encoding/json"
	"errors"
	"log/slog"
	nethttp "net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"casemate"
	"casemate/lambda"
)

const (
	reserved   = "/.casemate/" // paths that no route can take
	healthPath = reserved + "health"
	typeJSON   = "application/json"
	// drainBytes is how much of an unread body is worth reading to keep a connection.
	drainBytes = 16 << 10
	// drainTime is how long net/http may wait for it: without a bound, a peer that stops sending would keep its place.
	drainTime = 2 * time.Second
)

// hear serves one request from its headers to its answer.
func (p *port) hear(w nethttp.ResponseWriter, r *nethttp.Request) {
	s := p.s
	x := &exchange{s: s, secure: p.listener.TLS, wires: p.wires, w: w, r: r, conn: nethttp.NewResponseController(w), id: casemate.NewID(), source: casemate.SourceHTTP,
		trace: trace(r.Header), received: s.c.Clock(), started: time.Now()}
	id := []string{x.id}
	h := w.Header()
	h["X-Amzn-Requestid"], h["X-Request-Id"] = id, id
	h["Traceparent"] = []string{x.trace.Traceparent()}
	defer x.close()
	if p.wires.ambiguous(r) {
		x.hangUp = true
		x.refuse(badRequest("transfer-encoding", "the body has two framings, or a header line does not end with CRLF", "send Content-Length or Transfer-Encoding, not both, no pipelined chunks, and no folded lines"))
		return
	}
	if strings.HasPrefix(r.URL.Path, reserved) {
		x.platform()
		return
	}
	e, err := s.event(r, x)
	if err != nil {
		x.refuse(err)
		return
	}
	if e == nil { // answered
		return
	}
	res, err := s.c.Handler(r.Context(), e)
	if s.unread != nil && err != nil {
		if c := casemate.AsError(err); c.Shut > 0 {
			s.unread.close(&e.Credential, c.Caller, c)
		}
	}
	switch {
	case x.out.ended(res, err):
	case err != nil:
		x.refuse(err)
	case res == nil:
		x.refuse(errors.New("the handler gave neither a result nor an error"))
	default:
		x.answer(res)
	}
}

// close ends every exchange, with an answer even after a panic.
func (x *exchange) close() {
	if v := recover(); v != nil {
		x.s.c.Log.Error("panic while serving a request", slog.String("request", x.id), slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
		if x.status == 0 { // an answer that had begun is cut by net/http, because its length does not come out
			x.refuse(errors.New("panic"))
		}
		x.out.Abort()
	}
	if x.unread() {
		_ = x.conn.SetReadDeadline(time.Now().Add(drainTime)) // fails only where there are no deadlines to set
	}
	if x.s.c.Observe != nil {
		x.s.c.Observe(Observation{ID: x.id, Source: x.source, Method: x.r.Method, Status: x.status, Bytes: x.bytes, Took: time.Since(x.started)})
	}
}

// unread reports whether part of the request is still on the connection.
func (x *exchange) unread() bool {
	if x.body != nil {
		return !x.body.whole()
	}
	return x.r.ContentLength != 0
}

// platform answers the node's own paths. Liveness says that the process serves, and nothing else about it.
func (x *exchange) platform() {
	if x.r.URL.Path != healthPath || x.r.Method != "GET" && x.r.Method != "HEAD" {
		x.refuse(&casemate.Error{Code: casemate.NotFound, Message: "no such route", Hint: "paths below " + reserved + " belong to the platform"})
		return
	}
	x.write(nethttp.StatusOK, typeJSON, []byte(`{"status":"ok"}`))
}

// refuse answers an error by its code. Only what a coded error says for its caller leaves; the cause is logged.
func (x *exchange) refuse(err error) {
	e := casemate.AsError(err)
	status := e.Code.HTTP()
	var r *refusal
	if errors.As(err, &r) && r.status != 0 {
		status = r.status
	}
	if x.body != nil && x.body.late {
		status = nethttp.StatusRequestTimeout
	}
	if status >= 500 {
		x.s.c.Log.Error("request failed", slog.String("request", x.id), slog.Int("status", status), slog.Any("error", err), slog.Any("cause", e.Err))
	} else {
		x.s.c.Log.Debug("request refused", slog.String("request", x.id), slog.Int("status", status),
			slog.String("code", e.Code.String()), slog.String("rule", e.Rule)) // not the message: it may name what stands in the body
	}
	h := x.w.Header()
	h["Cache-Control"] = []string{"no-store"}
	switch status {
	case nethttp.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Bearer realm="casemate"`)
	case nethttp.StatusMethodNotAllowed:
		h.Set("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
	case nethttp.StatusTooManyRequests, nethttp.StatusServiceUnavailable:
		h.Set("Retry-After", strconv.Itoa(max(e.Retry, 1)))
		if status == nethttp.StatusTooManyRequests {
			h["Ratelimit"] = []string{spentLimit(e)}
		}
	}
	if e.Code == casemate.FunctionFailed { // why a function failed is for its operator
		x.s.c.Log.Warn("function answered with something that does not leave", slog.String("request", x.id), slog.Any("error", err), slog.Any("cause", e.Err))
		x.write(status, typeJSON, []byte(lambda.BodyInternal))
		return
	}
	if x.source == casemate.SourceURL && e.Code == casemate.Forbidden {
		x.write(status, typeJSON, []byte(lambda.BodyURLForbidden))
		return
	}
	text, err := json.Marshal(x.said(e))
	if err != nil { // strings and a code always encode
		text = []byte(lambda.BodyInternal)
	}
	x.write(status, typeJSON, text)
}

// answer writes what a run gave. Why a function failed is for its operator; the caller learns that it did.
func (x *exchange) answer(res *casemate.Result) {
	x.known = res.Principal.Known()
	switch {
	case res.Accepted:
		x.w.Header().Set("Preference-Applied", "respond-async")
		x.write(nethttp.StatusAccepted, typeJSON, []byte(`{"requestId":"`+x.accepted(res)+`"}`))
		return
	case res.Failure == casemate.FailureTimeout:
		x.write(nethttp.StatusGatewayTimeout, typeJSON, []byte(lambda.BodyTimeout))
		return
	case res.Failure != casemate.FailureNone:
		x.write(nethttp.StatusBadGateway, typeJSON, []byte(lambda.BodyInternal))
		return
	}
	resp := res.Answer
	if resp == nil {
		x.refuse(errors.New("the handler gave no answer"))
		return
	}
	h := x.w.Header()
	allowances(h, &res.Room)
	x.head(resp)
	x.write(resp.Status, x.contentType(h), resp.Body)
}

// head sets the header lines and cookies of an answer.
func (x *exchange) head(a *casemate.Answer) {
	h, rules := x.w.Header(), x.rules()
	for _, line := range a.Header {
		if rules.Drops(line.Name) {
			continue
		}
		h[nethttp.CanonicalHeaderKey(line.Name)] = []string{line.Value}
	}
	if len(a.Cookies) > 0 {
		h["Set-Cookie"] = a.Cookies
	}
}

// hold ends the connection with this answer where the rest of the request is not worth reading.
func (x *exchange) hold(h nethttp.Header) {
	long := x.r.ContentLength < 0 || x.r.ContentLength > drainBytes
	if x.r.ProtoMajor == 1 && (x.hangUp || long && x.unread()) {
		h["Connection"] = []string{"close"}
	}
}

// contentType is the function's, or what AWS uses without one: JSON from a function URL, text from a route.
func (x *exchange) contentType(h nethttp.Header) string {
	if ct := h.Get("Content-Type"); ct != "" {
		return ct
	}
	if x.source == casemate.SourceURL {
		return typeJSON
	}
	return "text/plain; charset=utf-8"
}

// write sends the whole answer. A peer that reads too slowly loses its connection.
func (x *exchange) write(status int, contentType string, text []byte) {
	h := x.w.Header()
	if status != nethttp.StatusNoContent && status != nethttp.StatusNotModified {
		h["Content-Type"] = []string{contentType}
		h["Content-Length"] = []string{strconv.Itoa(len(text))}
	}
	x.hold(h)
	x.dress(status)
	_ = x.conn.SetWriteDeadline(time.Now().Add(x.s.c.Limits.pace(x.s.c.Limits.WriteTime, int64(len(text))))) // as above
	x.status, x.bytes = status, len(text)
	x.w.WriteHeader(status)
	if status == nethttp.StatusNoContent || status == nethttp.StatusNotModified {
		return
	}
	if _, err := x.w.Write(text); err != nil && x.r.Method != "HEAD" {
		x.s.c.Log.Debug("the caller did not take its answer", slog.String("request", x.id), slog.Any("error", err))
	}
}
