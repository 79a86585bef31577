package http

import (
	"errors"
	"log/slog"
	nethttp "net/http"
	"strings"
	"sync"
	"time"

	"casemate"
	"casemate/lambda"
)

// stream is an answer that is written while its function makes it. The peer's time is counted over the whole of it: what
// the peer lets wait, in all, may take as long as an answer of that length.
type stream struct {
	x *exchange

	mu      sync.Mutex // over these two
	begun   bool
	aborted bool

	mute  bool // there is no body: HEAD, 204, 304
	sent  int64
	stood time.Duration // that writes waited for the peer
}

var errAborted = errors.New("the answer is cut short")

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
	x := s.x
	h := x.w.Header()
	x.head(a)
	s.mute = x.r.Method == "HEAD" || a.Status == nethttp.StatusNoContent || a.Status == nethttp.StatusNotModified
	if a.Status != nethttp.StatusNoContent && a.Status != nethttp.StatusNotModified {
		h["Content-Type"] = []string{x.contentType(h)}
	}
	x.hold(h)
	x.dress(a.Status)
	x.status = a.Status
	return s.timed(0, func() error {
		x.w.WriteHeader(a.Status)
		return x.conn.Flush()
	})
}

// Write implements casemate.Stream.
func (s *stream) Write(p []byte) error {
	if s.mute {
		return nil
	}
	return s.timed(len(p), func() error {
		n, err := s.x.w.Write(p)
		if s.x.bytes += n; err != nil {
			return err
		}
		return s.x.conn.Flush()
	})
}

// timed writes n bytes in the time that is left to the peer.
func (s *stream) timed(n int, write func() error) error {
	now := time.Now()
	s.sent += int64(n)
	left := s.x.s.c.Limits.pace(s.x.s.c.Limits.WriteTime, s.sent) - s.stood
	if left <= 0 || !s.deadline(now.Add(left)) {
		return errAborted
	}
	err := write()
	s.stood += time.Since(now)
	s.deadline(time.Time{}) // what the function takes is not the peer's fault
	return err
}

// deadline bounds the next write; false when there is none any more.
func (s *stream) deadline(at time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.aborted {
		return false
	}
	s.begun = true
	_ = s.x.conn.SetWriteDeadline(at) // fails only where there are no deadlines to set
	return true
}

// Abort implements casemate.Stream.
func (s *stream) Abort() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.aborted = true; s.begun {
		_ = s.x.conn.SetWriteDeadline(time.Now()) // as above
	}
}

// ended reports whether the answer had begun, and cuts the connection where it did not come to its end: nothing else tells
// the caller.
func (s *stream) ended(res *casemate.Result, err error) bool {
	if s.x.status == 0 {
		return false
	}
	if err != nil || res == nil || res.Failure != casemate.FailureNone {
		s.x.cut = true
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
