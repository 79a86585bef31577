package admin

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	nethttp "net/http"
	"net/url"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"casemate"
)

// Headers of answers, beside X-Request-Id.
const (
	headerRecord   = "X-Casemate-Record"   // id of the record
	headerFailure  = "X-Casemate-Failure"  // how an invoked function failed; the status stays 200
	headerExecuted = "X-Casemate-Executed" // version that ran
	headerTail     = "X-Casemate-Tail"     // last 4 KB of the run's log, base64
	headerCost     = "X-Casemate-Usage"    // casemate.Usage as JSON
	headerRefused  = "X-Casemate-Refused"  // how often it was refused something, and what first, escaped as in a query
	headerError    = "X-Casemate-Error"    // trailer of a stream that broke: casemate.ErrorBody
	typeLines      = "application/x-ndjson"
	typeJSON       = "application/json"
	prefix         = "/v1/"
	opInvoke       = "invoke"
	opHealth       = "health"
	invokeAction   = "lambda:InvokeFunction"
)

// call is one operation being heard and answered.
type call struct {
	s      *Server
	w      nethttp.ResponseWriter
	r      *nethttp.Request
	conn   *nethttp.ResponseController
	id     string
	stream *lines
	begun  bool // the answer has a status
}

func (s *Server) hear(w nethttp.ResponseWriter, r *nethttp.Request, local bool) {
	c := &call{s: s, w: w, r: r, conn: nethttp.NewResponseController(w), id: casemate.NewID()}
	w.Header().Set("X-Request-Id", c.id)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	defer c.close()
	op, ok := strings.CutPrefix(r.URL.Path, prefix)
	if ok && op == opHealth && r.Method == "GET" {
		c.write(nethttp.StatusOK, typeJSON, []byte(`{"status":"ok"}`))
		return
	}
	if !ok || !operation(op) {
		c.refuse(&casemate.Error{Code: casemate.NotFound, Message: "no such operation", Hint: "POST " + prefix + "<operation>"})
		return
	}
	if r.Method != "POST" {
		w.Header().Set("Allow", "POST")
		c.refuse(invalid("method", "operations are called with POST", "use POST"))
		return
	}
	e, err := c.event(op, local)
	if err != nil {
		c.refuse(err)
		return
	}
	ctx := r.Context()
	if e.Stream != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(s.streams, cancel)()
	}
	res, err := s.c.Handler(ctx, e)
	switch {
	case err != nil:
		c.refuse(err)
	case res == nil:
		c.refuse(errors.New("the handler gave neither a result nor an error"))
	default:
		c.answer(op, res)
	}
}

// operation reports whether s can name one: words joined by dots and dashes, in lower case but for the operations of
// services ("secretsmanager.ListSecrets").
func operation(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '-' {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

func (c *call) event(op string, local bool) (*casemate.Event, error) {
	r := c.r
	cred, err := credential(r, local)
	if err != nil {
		return nil, err
	}
	q := r.URL.Query()
	for name := range q {
		if name != "resource" && name != "async" && name != "dry-run" && name != "tenant" && name != "idempotency-key" {
			return nil, invalid("query", "there is no such parameter", "resource, async, dry-run, tenant and idempotency-key are")
		}
	}
	if q.Has("idempotency-key") && q.Get("async") != "true" {
		return nil, invalid("idempotency-key", "it is for asynchronous events alone", "casemate invoke --async --idempotency-key KEY")
	}
	e := &casemate.Event{
		ID: c.id, Source: casemate.SourceAdmin, Target: casemate.Target{Builtin: op}, Resource: q.Get("resource"), Credential: cred,
		UserAgent: r.UserAgent(), Received: c.s.c.Clock(), Attempt: 1, Trace: trace(r.Header),
		Async: q.Get("async") == "true", DryRun: q.Get("dry-run") == "true", IdempotencyKey: q.Get("idempotency-key"),
		// A unix socket never leaves the machine: it is as safe from readers as TLS is.
		Context:     map[string][]string{"aws:securetransport": {"true"}},
		ContentType: r.Header.Get("Content-Type"), Size: r.ContentLength,
	}
	if op == opInvoke {
		e.Target = casemate.Target{Function: e.Resource}
		e.Action, e.Resource, e.Tenant = invokeAction, "", q.Get("tenant")
		if e.Target.Function == "" {
			return nil, invalid("resource", "which function?", "name it: /v1/invoke?resource=<function>")
		}
	}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil && !local {
		e.SourceIP = host
		e.Context["aws:sourceip"] = []string{host}
	}
	if e.UserAgent != "" {
		e.Context["aws:useragent"] = []string{e.UserAgent}
	}
	if r.ContentLength > maxBody {
		return nil, casemate.Errorf(casemate.TooLarge, "send less", "the body is larger than %d bytes", int64(maxBody))
	}
	if r.ContentLength != 0 {
		e.Body = &upload{r: r.Body, conn: c.conn, left: maxBody}
	}
	if r.Header.Get("Accept") == typeLines {
		c.stream = &lines{c: c}
		e.Stream = c.stream
	}
	return e, nil
}

func trace(h nethttp.Header) casemate.Trace {
	parent, _ := casemate.ParseTraceparent(h.Get("Traceparent"))
	return parent.Child()
}

// close turns a panic into an answer, and bounds what is left to read of a refused upload.
func (c *call) close() {
	if v := recover(); v != nil {
		c.s.c.Log.Error("panic while serving an operation", slog.String("request", c.id), slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
		c.refuse(errors.New("panic"))
	}
	_ = c.conn.SetReadDeadline(time.Now().Add(headerTime)) // fails only where there are no deadlines to set
}

func (c *call) refuse(err error) {
	e := casemate.AsError(err)
	if e.Code == casemate.Fault {
		c.s.c.Log.Error("operation failed", slog.String("request", c.id), slog.Any("error", err))
	}
	text, jerr := json.Marshal(e.Body(c.id))
	if jerr != nil { // strings and a code always encode
		text = []byte(`{"message":"internal error","code":"Fault"}`)
	}
	if c.begun {
		c.w.Header().Set(headerError, string(text))
		return
	}
	switch e.Code {
	case casemate.Unauthenticated:
		c.w.Header().Set("WWW-Authenticate", `Bearer realm="casemate"`)
	case casemate.Exhausted, casemate.Unavailable:
		c.w.Header().Set("Retry-After", strconv.Itoa(max(e.Retry, 1)))
	}
	c.write(e.Code.HTTP(), typeJSON, text)
}

func (c *call) answer(op string, res *casemate.Result) {
	h := c.w.Header()
	if id := cmp.Or(res.Again, res.Record); id != "" {
		h.Set(headerRecord, id)
	}
	switch {
	case c.begun:
		return
	case res.Accepted:
		c.write(nethttp.StatusAccepted, typeJSON, []byte(`{"requestId":"`+cmp.Or(res.Again, c.id)+`"}`))
		return
	case op != opInvoke && res.Failure != casemate.FailureNone:
		c.refuse(&casemate.Error{Code: casemate.FunctionFailed, Message: "the operation failed", Hint: "see the record of this request"})
		return
	}
	if op == opInvoke {
		c.describe(res)
	}
	kind, payload := res.ContentType, res.Payload
	if kind == "" {
		kind = typeJSON
	}
	if len(payload) == 0 {
		payload = []byte("null")
	}
	c.write(nethttp.StatusOK, kind, payload)
}

// describe tells the operator who invoked a function how the run went.
func (c *call) describe(res *casemate.Result) {
	h := c.w.Header()
	if res.Failure != casemate.FailureNone {
		h.Set(headerFailure, string(res.Failure))
	}
	if res.Executed != "" {
		h.Set(headerExecuted, res.Executed)
	}
	if len(res.Tail) > 0 {
		h.Set(headerTail, base64.StdEncoding.EncodeToString(res.Tail))
	}
	if cost, err := json.Marshal(res.Usage); err == nil {
		h.Set(headerCost, string(cost))
	}
	if first, n := refusals(res.Effects); n > 0 {
		h.Set(headerRefused, strconv.Itoa(n)+" "+url.QueryEscape(first))
	}
}

// refusals counts what a run tried and was not allowed, and gives the first in words.
func refusals(effects []casemate.Effect) (first string, n int) {
	for i := range effects {
		if e := &effects[i]; e.Verdict != casemate.Allowed {
			if n == 0 {
				first = e.Kind + " " + e.Target[:min(len(e.Target), 200)]
			}
			n += max(e.Count, 1)
		}
	}
	return first, n
}

func (c *call) write(status int, contentType string, text []byte) {
	h := c.w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(text)))
	c.begun = true
	_ = c.conn.SetWriteDeadline(time.Now().Add(stallTime + time.Duration(len(text)>>15)*time.Second)) // as above
	c.w.WriteHeader(status)
	if _, err := c.w.Write(text); err != nil {
		c.s.c.Log.Debug("the caller did not take its answer", slog.String("request", c.id), slog.Any("error", err))
	}
}

// lines is the answer of a streaming operation. Each write leaves at once; the first one commits to status 200, and an
// error after it goes into a trailer.
type lines struct{ c *call }

// Write implements io.Writer.
func (l *lines) Write(p []byte) (int, error) {
	c := l.c
	if !c.begun {
		c.begun = true
		c.w.Header().Set("Content-Type", typeLines)
		c.w.Header().Set("Trailer", headerError)
		c.w.WriteHeader(nethttp.StatusOK)
	}
	_ = c.conn.SetWriteDeadline(time.Now().Add(stallTime))
	n, err := c.w.Write(p)
	if err == nil {
		err = c.conn.Flush()
	}
	return n, err
}

// upload is a body that is read when the corridor asks for it, bounded in size, in the time between two bytes and in all: who
// sends a byte now and then is refused, too.
type upload struct {
	r     io.Reader
	conn  *nethttp.ResponseController
	left  int64
	start time.Time // of the first read
}

// until is when the next byte must be there.
func (u *upload) until(now time.Time) time.Time {
	if u.start.IsZero() {
		u.start = now
	}
	stalled, slow := now.Add(stallTime), u.start.Add(stallTime+time.Duration((maxBody-u.left)/slowest)*time.Second)
	if slow.Before(stalled) {
		return slow
	}
	return stalled
}

// Read implements io.Reader.
func (u *upload) Read(p []byte) (int, error) {
	_ = u.conn.SetReadDeadline(u.until(time.Now()))
	if int64(len(p)) > u.left+1 {
		p = p[:u.left+1]
	}
	n, err := u.r.Read(p)
	u.left -= int64(n)
	switch {
	case u.left < 0:
		return 0, casemate.Errorf(casemate.TooLarge, "send less", "the body is larger than %d bytes", int64(maxBody))
	case err == nil, err == io.EOF:
		_ = u.conn.SetReadDeadline(time.Time{})
		return n, err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return n, invalid("body", "the body stopped arriving, or arrives too slowly", "send it again")
	}
	return n, &casemate.Error{Code: casemate.Invalid, Field: "body", Message: "the body ended early", Hint: "send it again", Err: err}
}
