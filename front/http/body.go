package http

import (
	"errors"
	"io"
	nethttp "net/http"
	"os"
	"time"

	"casemate"
)

// body is a request body that nobody has asked for yet. The first Read starts its clock and, where the client waits for
// it, makes net/http send "100 Continue": a refused request never gets that far. It gives a coded error when the body is
// too large, too slow or cut short.
type body struct {
	r        io.ReadCloser
	conn     *nethttp.ResponseController
	limit    int64
	declared int64 // -1 when it is not
	limits   *Limits
	stream   bool // of HTTP/2, where a deadline for writing ends the stream

	start time.Time
	read  int64
	err   error // sticky
	late  bool
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	now := time.Now()
	if b.start.IsZero() {
		b.start = now
		if !b.stream {
			_ = b.conn.SetWriteDeadline(now.Add(b.limits.BodyTime)) // for "100 Continue"; a connection without deadlines is a test's
		}
	}
	_ = b.conn.SetReadDeadline(b.start.Add(b.limits.pace(b.limits.BodyTime, b.read)))
	if left := b.limit - b.read; int64(len(p)) > left+1 {
		p = p[:left+1]
	}
	n, err := b.r.Read(p)
	b.read += int64(n)
	switch {
	case b.read > b.limit:
		b.err = casemate.Errorf(casemate.TooLarge, "send less", "the body is larger than %d bytes", b.limit)
		return 0, b.err
	case err == io.EOF || err == nil && b.read == b.declared:
		b.err = io.EOF // net/http lifts the deadline with the body's end: the wait for the answer is not the peer's fault
		return n, err
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.late = true
		b.err = &casemate.Error{Code: casemate.Invalid, Field: "body", Message: "the body did not arrive in time", Hint: "send it faster, or in parts"}
		return n, b.err
	case err != nil:
		b.err = &casemate.Error{Code: casemate.Invalid, Field: "body", Message: "the body ended early or is badly framed", Hint: "send the whole body", Err: err}
		return n, b.err
	}
	return n, nil
}

// whole reports whether nothing of the body is left on the connection.
func (b *body) whole() bool { return b == nil || b.err == io.EOF }
