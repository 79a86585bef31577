package aws

import (
	nethttp "net/http"

	"casemate"
	"casemate/front/conn"
)

// slowest is how many bytes a second who reads a streamed answer has to take, beside writeTime for all of it.
const slowest = 32 << 10

// stream is an answer in frames, which leave while the function makes what is in them.
type stream struct {
	c      *call
	out    conn.Answer
	header nethttp.Header
	head   map[string]string
	close  bool // two readers may disagree where the request's body ends
}

func newStream(c *call, w nethttp.ResponseWriter, to *nethttp.ResponseController) *stream {
	return &stream{c: c, out: conn.Answer{W: w, Conn: to, Fixed: writeTime, Slowest: slowest}, header: w.Header()}
}

// Head implements casemate.Stream: whatever a function answers is taken as it comes.
func (s *stream) Head(_ casemate.Opening, r *casemate.Result) (*casemate.Answer, int, error) {
	s.head = s.c.direct.Head(s.c.Signed, r)
	return &casemate.Answer{Status: nethttp.StatusOK}, 0, nil
}

// Begin implements casemate.Stream.
func (s *stream) Begin(a *casemate.Answer) error {
	for name, value := range s.head {
		s.header.Set(name, value)
	}
	s.header.Set("X-Amzn-Requestid", s.c.id)
	if s.close {
		s.header.Set("Connection", "close")
	}
	return s.out.Begin(a.Status)
}

// Write implements casemate.Stream.
func (s *stream) Write(p []byte) error { return s.out.Write(s.c.direct.Frame(p)) }

// Abort implements casemate.Stream.
func (s *stream) Abort() { s.out.Abort() }

// end says in the last frame what became of the run, where the answer had begun. What cannot be said ends the connection: a
// client that misses the last frame knows.
func (s *stream) end(res *casemate.Result, err error) bool {
	if !s.out.Begun() {
		return false
	}
	if err != nil {
		s.c.s.c.Log.Warn("a streamed answer was cut short", "request", s.c.id, "err", err)
		res = &casemate.Result{Failure: casemate.FailureHandled, Payload: []byte(`{"errorType":"Runtime.TruncatedResponse","errorMessage":"the answer was cut short"}`)}
	}
	if s.out.Write(s.c.direct.Last(s.c.Signed, res)) != nil {
		s.out.Abort() // net/http cannot write the end, either, and closes the connection
	}
	return true
}
