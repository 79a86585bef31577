package conn

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	nethttp "net/http"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"

	"casemate"
)

const (
	smallData = 64                     // bytes; a DATA frame of fewer moves nothing forward
	perAnswer = 8                      // idle frames that an answered stream gives back: priorities, acknowledgements
	perData   = 4                      // and a DATA frame that was sent: window updates, pings
	lastWords = 250 * time.Millisecond // how long a peer that is cut off gets to read why
	lastBytes = 256 << 10              // of what it still sends meanwhile are read and dropped
)

// Turn answers a request that is sure to be refused before it becomes an event, and reports whether it did.
type Turn func(w nethttp.ResponseWriter, r *nethttp.Request, source string, peer netip.Addr) bool

// HTTP2 has hs speak HTTP/2 under g's bounds to TLS connections that negotiated it. ctx is that of every request. turn may be
// nil. Call it once hs.TLSConfig is set, and before hs serves.
func (g *Guard) HTTP2(ctx context.Context, hs *nethttp.Server, turn Turn) error {
	if hs.ErrorLog == nil {
		hs.ErrorLog = log.New(io.Discard, "", 0)
	}
	// net/http speaks HTTP/2 to a *tls.Conn alone, and a connection whose frames are watched is none.
	//lint:ignore SA1019 there is no other way to hand it one
	speak := &http2.Server{}
	//lint:ignore SA1019 as above
	if err := http2.ConfigureServer(hs, speak); err != nil {
		return err
	}
	hs.TLSNextProto["h2"] = func(hs *nethttp.Server, c *tls.Conn, h nethttp.Handler) {
		s := g.session(ctx, c)
		//lint:ignore SA1019 as above
		speak.ServeConn(s, &http2.ServeConnOpts{Context: ctx, BaseConfig: hs, Handler: s.handler(h, turn)})
	}
	return nil
}

// session watches the frames of one HTTP/2 connection, above the encryption.
type session struct {
	*tls.Conn
	g      *Guard
	ctx    context.Context
	peer   netip.Addr
	source string
	prefix netip.Prefix
	row    atomic.Int32 // refusals without a request in between that was not

	// The reader's own.
	in     scanner
	open   bool      // a header block has begun and not ended
	blocks int       // its frames after the first
	until  time.Time // read deadline; zero: none
	spent  int       // bytes dropped after the end

	writing sync.Mutex
	out     scanner
	said    bool // GOAWAY

	mu     sync.Mutex
	last   uint32              // stream that the peer opened last
	asked  map[uint32]struct{} // streams that are open
	left   bool                // the connection is closed: none is
	resets allowance           // both counted since the connection began
	idle   allowance
	ended  bool
}

func (g *Guard) session(ctx context.Context, c *tls.Conn) *session {
	peer := Peer(c.RemoteAddr())
	prefix, _ := prefixes(peer)
	return &session{Conn: c, g: g, ctx: ctx, peer: peer, source: Source(peer), prefix: prefix, in: scanner{preface: prefaceBytes}, asked: map[uint32]struct{}{}}
}

// handler is h behind turn, for as long as the peer is not cut off: nothing begins for it then that was waiting for its turn.
func (s *session) handler(h nethttp.Handler, turn Turn) nethttp.Handler {
	return nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		if s.over() {
			w.WriteHeader(nethttp.StatusTooManyRequests)
			return
		}
		if turn != nil && turn(w, r, s.source, s.peer) {
			s.row.Add(1)
			return
		}
		s.row.Store(0)
		h.ServeHTTP(w, r)
	})
}

// Read implements net.Conn. The reader of frames asks for a head, then for its payload, so that a head is judged before
// anything of what follows it is read.
func (s *session) Read(p []byte) (int, error) {
	for {
		if s.over() {
			return 0, s.drain()
		}
		n, err := s.Conn.Read(p)
		for b := p[:n]; len(b) > 0; {
			f, rest, ok := s.in.next(b)
			if b = rest; ok && !s.heard(f) {
				return 0, s.drain()
			}
		}
		switch {
		case n > 0 || err == nil:
			return n, err
		case s.over():
			return 0, s.drain()
		case errors.Is(err, os.ErrDeadlineExceeded) && s.in.between() && !s.open:
			s.until = time.Time{} // it was a frame's, and the frame came: nobody has to send another
			if err = s.Conn.SetReadDeadline(s.until); err == nil {
				continue
			}
		case errors.Is(err, os.ErrDeadlineExceeded):
			s.begin("time for an HTTP/2 frame")
			return 0, s.drain()
		}
		return n, err
	}
}

// heard judges a frame of the peer by its head.
func (s *session) heard(f frame) bool {
	price := 0.0
	switch f.kind {
	case frameHeaders:
		s.pause()
		s.within(s.g.l.HeaderTime)
		s.open, s.blocks = f.flags&flagEndHeaders == 0, 0
		if rule := s.asks(f.stream); rule != "" {
			s.begin(rule)
			return false
		}
		return true
	case frameContinuation:
		if s.blocks++; s.blocks > s.g.l.Continuations {
			s.begin("HTTP/2 CONTINUATION frames")
			return false
		}
		s.open = s.open && f.flags&flagEndHeaders == 0
		return true
	case frameData:
		if f.length < smallData && f.flags&flagEndStream == 0 {
			price = 1
		}
	case frameReset:
		s.ends(f.stream)
		if !s.pay(&s.resets, s.g.l.Resets, 1) {
			s.begin("HTTP/2 reset allowance")
			return false
		}
		return true
	default: // PRIORITY, SETTINGS, PING, WINDOW_UPDATE, what nobody knows, and what is not for a client to send
		price = 1
	}
	if f.length > 0 {
		s.within(s.g.l.FrameTime)
	}
	if price > 0 && !s.pay(&s.idle, s.g.l.Idle, price) {
		s.begin("HTTP/2 idle frame allowance")
		return false
	}
	return true
}

// within bounds the time for what has begun to arrive. A deadline that is a second late is as good, and cheaper.
func (s *session) within(d time.Duration) {
	now := time.Now()
	if left := s.until.Sub(now); left >= d && left <= d+time.Second {
		return
	}
	s.until = now.Add(d + time.Second)
	_ = s.Conn.SetReadDeadline(s.until) // fails only on a closed connection, as the read will
}

func (s *session) pay(a *allowance, rate casemate.Rate, n float64) bool {
	now := s.g.clock()
	s.mu.Lock()
	defer s.mu.Unlock()
	return a.take(rate, now, n)
}

// pause leaves the next request of a peer that is refused again and again where it is for a moment.
func (s *session) pause() { Rest(int(s.row.Load()), s.ctx.Done()) }

// Write implements net.Conn. It counts what the server gave up and what it finished.
func (s *session) Write(p []byte) (int, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	n, err := s.Conn.Write(p)
	answered, broken, given := 0.0, 0.0, 0.0
	for b := p[:n]; len(b) > 0; {
		f, rest, ok := s.out.next(b)
		if b = rest; !ok {
			continue
		}
		switch {
		case f.kind == frameReset:
			s.ends(f.stream)
			if f.code != codeNone {
				broken++
			}
			continue
		case f.kind == frameData:
			given += perData
		case f.kind != frameHeaders:
			continue
		}
		if f.flags&flagEndStream != 0 {
			answered++
			s.ends(f.stream)
		}
	}
	if broken+answered+given > 0 && !s.settle(answered, broken, given+perAnswer*answered) && s.begin("HTTP/2 reset allowance") {
		_ = s.Conn.SetReadDeadline(time.Now()) // wakes the reader; fails only on a closed connection
	}
	if s.over() {
		s.bye()
	}
	return n, err
}

// settle reports whether what the server broke off is still within the peer's allowance.
func (s *session) settle(answered, broken, given float64) bool {
	now := s.g.clock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle.give(given)
	s.resets.give(answered)
	return broken == 0 || s.resets.take(s.g.l.Resets, now, broken)
}

func (s *session) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// begin marks the end of the session, once, and has it told.
func (s *session) begin(rule string) bool {
	s.mu.Lock()
	first := !s.ended
	s.ended = true
	s.mu.Unlock()
	if first {
		s.g.cut(s.prefix, s.peer, rule)
	}
	return first
}

// bye says GOAWAY, once, where a frame may stand. s.writing is held.
func (s *session) bye() {
	if s.said || !s.out.between() {
		return
	}
	s.mu.Lock()
	last := s.last
	s.mu.Unlock()
	s.said = true
	_ = s.Conn.SetWriteDeadline(time.Now().Add(lastWords)) // here and below: the connection ends anyway
	_, _ = s.Conn.Write(goAway(last, codeCalm))
}

// drain lets the peer read why: a connection that is closed with something unread takes back what was said. It ends like the
// peer's own end, so that whatever still runs for it is cancelled.
func (s *session) drain() error {
	_ = s.Conn.SetReadDeadline(time.Now().Add(lastWords))
	buf := make([]byte, 4096)
	for s.farewell(); s.spent < lastBytes; s.farewell() {
		n, err := s.Conn.Read(buf)
		if s.spent += n; err != nil {
			break
		}
	}
	s.spent = lastBytes
	s.farewell()
	_ = s.Close() // gives its streams back before the peer can see the end
	return io.EOF
}

// farewell is bye, if nobody is writing: a peer that does not even read needs no word.
func (s *session) farewell() {
	if s.writing.TryLock() {
		defer s.writing.Unlock()
		s.bye()
	}
}
