package http

import (
	"log/slog"
	nethttp "net/http"
	"strings"

	"casemate"
	"casemate/front/conn"
	"casemate/lambda"
)

// stream is an answer that is written while its function makes it.
type stream struct {
	x    *exchange
	out  conn.Answer
	mute bool // there is no body: HEAD, 204, 304
}

// Head implements casemate.Stream. HTTP/1.0 has no way to say that an answer ended early.
func (s *stream) Head(o casemate.Opening, r *casemate.Result) (*casemate.Answer, int, error) {
	if !s.x.r.ProtoAtLeast(1, 1) {
		return nil, 0, casemate.ErrWhole
	}
	if lambda.HasPrelude(o.ContentType) {
		a, body, err := lambda.ReadPrelude(r.Payload)
		if a != nil {
			s.x.harden(a, r)
		}
		return a, body, err
	}
	if !o.Declared {
		return nil, 0, casemate.ErrWhole
	}
	a, err := lambda.PlainHead(o.ContentType)
	return a, 0, err
}

// Begin implements casemate.Stream.
func (s *stream) Begin(a *casemate.Answer) error {
	x, h := s.x, s.x.w.Header()
	x.head(a)
	bare := a.Status == nethttp.StatusNoContent || a.Status == nethttp.StatusNotModified
	s.mute = bare || x.r.Method == "HEAD"
	if !bare {
		h["Content-Type"] = []string{x.contentType(h)}
	}
	x.hold(h)
	x.dress(a.Status)
	x.status = a.Status
	s.out.W, s.out.Conn, s.out.Fixed, s.out.Slowest = x.w, x.conn, x.s.c.Limits.WriteTime, x.s.c.Limits.Slowest
	return s.out.Begin(a.Status)
}

// Write implements casemate.Stream.
func (s *stream) Write(p []byte) error {
	if s.mute {
		return nil
	}
	s.x.bytes += len(p)
	return s.out.Write(p)
}

// Abort implements casemate.Stream.
func (s *stream) Abort() { s.out.Abort() }

// ended reports whether the answer had begun, and cuts the connection where it did not come to its end: nothing else tells
// the caller.
func (s *stream) ended(res *casemate.Result, err error) bool {
	if s.x.status == 0 {
		return false
	}
	if err != nil || res == nil || res.Failure != casemate.FailureNone {
		s.out.Abort() // net/http cannot write its end then, and closes the connection, or the stream of HTTP/2
		s.x.s.c.Log.Warn("a streamed answer was cut short", slog.String("request", s.x.id), slog.Any("error", err))
	}
	return true
}

// harden makes an answer's cookies safe.
func (x *exchange) harden(a *casemate.Answer, res *casemate.Result) {
	if len(a.Cookies) == 0 {
		return
	}
	var notes []string
	a.Cookies, notes = x.rules().SetCookies(a.Cookies, x.secure, strings.HasSuffix(x.target.host, x.s.c.Domain))
	res.Notes = append(res.Notes, notes[:min(len(notes), maxCookieNotes)]...)
}
