package api

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"casemate/internal/walls"
)

// laneBuffer is what a connection holds of a request's head, in bytes; a longer one is net/http's. It is net/http's own, too,
// which bounds trailers by it.
const laneBuffer = 4 << 10

// inlineEvent is how long an event may be, in bytes, that whoever brings it writes himself where it fits into the socket.
const inlineEvent = 32 << 10

// lane is a connection as long as nothing comes over it but what every event takes: the next event is asked for, and answered.
// net/http spends on these two requests three times what the rest of the Runtime API does, most of it to watch for a client
// that goes away. A lane reads while an event is waited for, so it sees that, too; and the event is written by whoever brings
// it. The first request that is any other, or might be refused, makes the connection net/http's, with every byte of it unread.
type lane struct {
	api     *Server
	conn    *countedConn
	raw     syscall.RawConn // nil: it cannot be written to without waiting
	in      *bufio.Reader
	out     []byte
	waits   bool        // an event is to be written before anything else
	pending chan unsent // has that, once it is there; of one element
	extra   int         // line ends that may come too many, after an answer
}

// unsent is what is left to be written of an event.
type unsent struct{ head, payload []byte }

// lanes are those of one sandbox, and the way from there to net/http.
type lanes struct {
	mu     sync.Mutex
	closed bool
	socket net.Listener
	open   map[*lane]struct{}
	work   sync.WaitGroup
	passed chan net.Conn // on to net/http
	done   chan struct{} // the Server's closed
}

// Accept implements net.Listener for net/http.
func (s *lanes) Accept() (net.Conn, error) {
	select {
	case c := <-s.passed:
		return c, nil
	case <-s.done:
		return nil, net.ErrClosed
	}
}

// Addr implements net.Listener.
func (s *lanes) Addr() net.Addr { return s.socket.Addr() }

// Close implements net.Listener: it ends the socket and every lane, and does not wait for them.
func (s *lanes) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.socket != nil {
		s.socket.Close()
	}
	for l := range s.open {
		l.conn.Close()
	}
	return nil
}

// Serve serves connections of l, up to a bound, until Close. It may be called once.
func (a *Server) Serve(l net.Listener) {
	s := &a.lanes
	bound := &boundedListener{Listener: l}
	s.mu.Lock()
	if s.socket = bound; s.closed {
		bound.Close()
	}
	s.mu.Unlock()
	s.work.Go(func() { _ = a.http.Serve(s) }) // ends with Close
	for pause := time.Duration(0); ; {
		c, err := bound.Accept()
		if err == nil {
			a.follow(c)
			pause = 0
			continue
		}
		pause = max(5*time.Millisecond, min(2*pause, time.Second)) // as net/http does, above all for too many open files
		var brief interface{ Temporary() bool }
		if !errors.As(err, &brief) || !brief.Temporary() || !a.pause(pause) {
			break
		}
	}
	s.work.Wait()
}

// pause waits; false when the sandbox ends meanwhile.
func (a *Server) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-a.closed:
		return false
	}
}

// follow runs a lane for a connection.
func (a *Server) follow(c net.Conn) {
	counted, ok := c.(*countedConn)
	if !ok {
		c.Close()
		return
	}
	l := &lane{api: a, conn: counted, in: bufio.NewReaderSize(counted.Conn, laneBuffer), pending: make(chan unsent, 1)}
	if s, ok := counted.Conn.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			l.raw = raw
		}
	}
	s := &a.lanes
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		c.Close()
		return
	}
	s.open[l] = struct{}{}
	s.work.Go(l.run)
}

// run serves until a request comes that is not for a lane, the client goes, or the sandbox ends.
func (l *lane) run() {
	for {
		h, n, how := l.head()
		if n < 0 || !l.clear() {
			break
		}
		if how != whole {
			l.pass()
			return
		}
		if done, keep := l.serve(&h, n); !done {
			l.pass()
			return
		} else if !keep {
			break
		}
	}
	l.api.unpark(l)
	l.forget()
	l.conn.Close()
}

func (l *lane) forget() {
	s := &l.api.lanes
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, l)
}

// pass makes the connection net/http's, with all that was read of it.
func (l *lane) pass() {
	l.forget()
	ahead, _ := l.in.Peek(l.in.Buffered()) // what is buffered is always there
	l.conn.ahead = slices.Clone(ahead)
	select {
	case l.api.lanes.passed <- l.conn:
	case <-l.api.closed:
		l.conn.Close()
	}
}

// head waits for the next request. n is its head's length, -1 when the connection ended.
func (l *lane) head() (h head, n int, how reading) {
	for {
		b, _ := l.in.Peek(l.in.Buffered())
		for l.extra > 0 && len(b) > 0 {
			if l.extra--; b[0] != '\r' && b[0] != '\n' {
				l.extra = 0
				break
			}
			_, _ = l.in.Discard(1) // it is buffered
			b = b[1:]
		}
		if len(b) > 0 {
			if h, n, how = parseHead(b); how != more || len(b) == laneBuffer {
				return h, n, how
			}
		}
		_, err := l.in.Peek(len(b) + 1)
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded): // an event is here that did not fit, see deliver
			if !l.clear() {
				return h, -1, other
			}
		case len(b) > 0:
			return h, 0, other // net/http says what half a request is told
		default:
			return h, -1, other
		}
	}
}

// clear waits until an event that was asked for has been written: answers come in the order of their requests.
func (l *lane) clear() bool {
	if !l.waits {
		return true
	}
	select {
	case u := <-l.pending:
		l.waits = false
		return len(u.head)+len(u.payload) == 0 || l.conn.SetReadDeadline(time.Time{}) == nil && l.write(u)
	case <-l.api.closed:
		return false
	}
}

func (l *lane) write(u unsent) bool {
	for _, b := range [][]byte{u.head, u.payload} {
		if len(b) > 0 {
			if _, err := l.conn.Write(b); err != nil {
				return false
			}
		}
	}
	return true
}

// serve answers one request. done is false, and nothing of it read, when net/http is to do that.
func (l *lane) serve(h *head, n int) (done, keep bool) {
	if wait := l.api.pace.spend(l.api.now()); wait > 0 && !l.api.pause(wait) {
		return true, false
	}
	if h.post {
		return l.post(h, n)
	}
	return l.next(h, n)
}

// next is Server.next without a goroutine that waits.
func (l *lane) next(h *head, n int) (done, keep bool) {
	a := l.api
	a.mu.Lock()
	if a.several != nil || a.state == stateInitFail {
		a.mu.Unlock()
		return false, false
	}
	a.sawClient(h.agent)
	_, _ = l.in.Discard(n) // it is buffered
	a.toReady()
	if a.cur == nil {
		a.parked, l.waits = append(a.parked, l), true
		a.mu.Unlock()
		return true, true
	}
	inv := a.hand()
	a.mu.Unlock()
	l.out = appendEvent(l.out[:0], inv)
	return true, l.write(unsent{l.out, inv.payload})
}

// unpark forgets a lane that waited: nobody is there any more who could take an event.
func (a *Server) unpark(l *lane) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.parked = slices.DeleteFunc(a.parked, func(o *lane) bool { return o == l })
}

// deliver writes an event to a lane that waits for one. It never waits itself: a client that does not read must not keep whoever
// brings the event from its deadline. What does not fit is left to the lane, which is woken for it.
func (l *lane) deliver(inv *Invocation) {
	l.out = appendEvent(l.out[:0], inv)
	u := unsent{l.out, inv.payload}
	if l.raw != nil && len(inv.payload) <= inlineEvent {
		l.out = append(l.out, inv.payload...)
		if u = (unsent{head: l.out[l.try(l.out):]}); len(u.head) == 0 {
			l.pending <- u // there is room: it was taken before the lane could wait again
			return
		}
	}
	_ = l.conn.SetReadDeadline(time.Unix(1, 0)) // fails for a connection that is gone; first, for clear takes it back
	l.pending <- u
}

// try writes what fits at once.
func (l *lane) try(b []byte) (n int) {
	err := l.raw.Write(func(fd uintptr) bool {
		if k, err := syscall.Write(int(fd), b); err == nil {
			n = k
		}
		return true
	})
	if err != nil {
		return 0 // the lane finds out what is wrong
	}
	return n
}

// post takes an answer that is wanted; any other is net/http's.
func (l *lane) post(h *head, n int) (done, keep bool) {
	a := l.api
	inv := a.claim(h)
	if inv == nil {
		return false, false
	}
	verb, contentType, errorType := "response", string(h.contentType), string(h.errorType)
	if string(h.verb) == "error" {
		verb = "error"
	}
	_, _ = l.in.Discard(n) // it is buffered
	l.extra = 4            // as net/http takes them: some clients end a body with one
	body := newLaneBody(l.in, h.length)
	data, over, err := readBody(body, h.length, inv.limit)
	switch {
	case err != nil:
		a.abandon(inv)
		return true, false
	case over:
		text := a.tooLarge(inv)
		closing := ""
		if !body.ended {
			closing = "Connection: close\r\n"
		}
		_, err := l.conn.Write([]byte("HTTP/1.1 413 Request Entity Too Large\r\nContent-Type: application/json\r\nContent-Length: " +
			strconv.Itoa(len(text)) + "\r\n" + closing + "\r\n" + text))
		return true, err == nil && body.ended
	}
	a.finish(inv, readAnswer(verb, contentType, errorType, body.trailer, data))
	_, err = l.conn.Write([]byte("HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n" + acceptedText))
	return true, err == nil
}

// claim is begin for an answer that nothing is wrong with; nil for any other.
func (a *Server) claim(h *head) *Invocation {
	a.mu.Lock()
	defer a.mu.Unlock()
	inv := a.cur
	if inv == nil || walls.Up && inv.id != string(h.id) || a.state != stateRunning || a.reading || inv.stream != nil || h.length > inv.limit {
		return nil
	}
	a.sawClient(h.agent)
	a.reading = true
	return inv
}

// laneBody is the body of an answer: of a declared length, or in chunks, with trailers. net/http reads them in the same way.
type laneBody struct {
	in      *bufio.Reader
	from    io.Reader
	left    int64 // of a declared length
	chunked bool
	ended   bool
	trailer http.Header
}

func newLaneBody(in *bufio.Reader, length int64) *laneBody {
	b := &laneBody{in: in, from: in, left: length, chunked: length < 0}
	if b.chunked {
		b.from = httputil.NewChunkedReader(in)
	}
	return b
}

// Read implements io.Reader.
func (b *laneBody) Read(p []byte) (n int, err error) {
	switch {
	case b.ended:
		return 0, io.EOF
	case b.chunked:
		if n, err = b.from.Read(p); err == io.EOF {
			err = b.trailers()
		}
		return n, err
	case b.left == 0:
		b.ended = true
		return 0, io.EOF
	}
	n, err = b.from.Read(p[:min(int64(len(p)), b.left)])
	if b.left -= int64(n); err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

var errTrailer = errors.New("the trailers of an answer are no trailers")

// trailers reads what follows the last chunk, which the buffer bounds. io.EOF is the end.
func (b *laneBody) trailers() error {
	for n := 2; ; n++ {
		text, err := b.in.Peek(max(n, min(b.in.Buffered(), laneBuffer)))
		switch {
		case len(text) >= 2 && string(text[:2]) == "\r\n":
			_, _ = b.in.Discard(2) // it is buffered
			b.ended = true
			return io.EOF
		case bytes.Contains(text, []byte("\r\n\r\n")):
			header, err := textproto.NewReader(b.in).ReadMIMEHeader()
			if err != nil {
				return errTrailer
			}
			b.trailer, b.ended = http.Header(header), true
			return io.EOF
		case err != nil:
			return errTrailer
		}
		n = len(text)
	}
}

// appendEvent writes the head of an answer that hands an event over. Headers stand in net/http's order, and are made of one line
// each as there: what a caller has a say in ends up in some of them.
func appendEvent(b []byte, inv *Invocation) []byte {
	b = append(b, "HTTP/1.1 200 OK\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(inv.payload)), 10)
	b = append(b, "\r\nContent-Type: application/json\r\n"...)
	for _, f := range inv.fields() {
		b = appendField(b, f.name, f.value)
	}
	return append(b, "\r\n"...)
}

func appendField(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(append(b, name...), ": "...)
	for _, c := range []byte(textproto.TrimString(value)) {
		if c == '\r' || c == '\n' {
			c = ' '
		}
		b = append(b, c)
	}
	return append(b, "\r\n"...)
}
