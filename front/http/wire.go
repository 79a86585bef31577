package http

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	nethttp "net/http"
	"net/netip"
	"sync"
	"time"

	"casemate/front/conn"
)

// wires are the HTTP/1 connections of one listener, by remote address, so that a handler can look at how its request was
// framed: net/http drops a Content-Length that came with chunks, and a Transfer-Encoding of HTTP/1.0, without a word.
type wires struct {
	limit  int     // bytes of one request's header block
	unread *unread // nil: every request is read
	ended  <-chan struct{}
	secure bool // they are below TLS

	mu   sync.Mutex
	open map[string]*wire
}

func newWires(limit int, u *unread, ended <-chan struct{}) *wires {
	return &wires{limit: limit, unread: u, ended: ended, open: make(map[string]*wire)}
}

// watch wraps a connection; nil when one with the same remote address is open (on another local address).
func (ws *wires) watch(c net.Conn) *wire {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	key := c.RemoteAddr().String()
	if ws.open[key] != nil {
		return nil
	}
	w := &wire{Conn: c, limit: ws.limit, unread: ws.unread, ended: ws.ended, peer: conn.Peer(c.RemoteAddr()), gone: func() {
		ws.mu.Lock()
		defer ws.mu.Unlock()
		delete(ws.open, key)
	}}
	w.gone, w.source = sync.OnceFunc(w.gone), conn.Source(w.peer)
	ws.open[key] = w
	return w
}

// ambiguous reports whether two readers could take r, or its body, to end at different places. A body in chunks that cannot
// be seen is taken to be ambiguous. HTTP/2 has one framing only. It gives r.TLS to requests of HTTP/1, client certificates
// included.
func (ws *wires) ambiguous(r *nethttp.Request) bool {
	if r.ProtoMajor != 1 {
		return false
	}
	ws.mu.Lock()
	w := ws.open[r.RemoteAddr]
	ws.mu.Unlock()
	if w != nil && ws.secure {
		r.TLS = w.state // net/http tells it of connections alone that it knows by their type
	}
	if w != nil && w.loose() {
		return true
	}
	if r.ProtoMinor > 0 && len(r.TransferEncoding) == 0 {
		return false
	}
	forbidden := "content-length"
	if r.ProtoMinor == 0 {
		forbidden = "transfer-encoding"
	}
	return w == nil || w.holds(r.Method+" "+r.RequestURI+" ", forbidden)
}

// spelling gives the names of r's headers as they were sent, by their canonical names, as far as they can be seen.
func (ws *wires) spelling(r *nethttp.Request) map[string]string {
	ws.mu.Lock()
	w := ws.open[r.RemoteAddr]
	ws.mu.Unlock()
	if w == nil {
		return nil
	}
	return w.spelled(r.Method + " " + r.RequestURI + " ")
}

// idle is net/http's ConnState hook: it marks where the next request begins.
func (ws *wires) idle(conn net.Conn, state nethttp.ConnState) {
	if w, ok := conn.(*wire); ok && state == nethttp.StateIdle {
		w.next()
	}
}

// wire keeps the header block of the request that is being served.
type wire struct {
	net.Conn
	limit  int
	gone   func()
	unread *unread
	ended  <-chan struct{}
	peer   netip.Addr
	source string
	state  *tls.ConnectionState // of a connection below TLS; never changed

	// Of refusals; the reader's own.
	said     []byte
	saidAt   int64
	saidRule string

	mu    sync.Mutex
	head  []byte // from the first byte of the request on, until the end of its header block has been seen
	whole bool   // it has
	early []byte // the byte by which net/http notices that a client is still there; it belongs to the next request
}

// Read implements net.Conn.
func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if n > 0 && w.unread != nil && w.fresh() {
		n, err = w.turned(p, n)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case n == 0:
	case w.whole && len(p) == 1:
		w.early = append(w.early, p[0])
	case !w.whole:
		from := max(len(w.head)-2, 0)
		w.head = append(w.head, p[:n]...)
		w.whole = blankLine(w.head[from:]) >= 0 || len(w.head) > w.limit
	}
	return n, err
}

// turned answers what is refused unread, for as long as there is nothing else.
func (w *wire) turned(p []byte, n int) (_ int, err error) {
	row := 0
	for n > 0 && w.unread.turn(w, p[:n]) {
		row++
		conn.Rest(row, w.ended)
		n, err = w.Conn.Read(p)
	}
	if row > 0 && n > 0 { // net/http takes this for the request that it waited for all the time
		_ = w.Conn.SetReadDeadline(time.Now().Add(w.unread.c.Limits.HeaderTime)) // fails only on a closed connection
	}
	return n, err
}

// fresh reports whether nothing of the next request was read yet.
func (w *wire) fresh() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.whole && len(w.head) == 0
}

// Close implements net.Conn.
func (w *wire) Close() error {
	defer w.gone()
	return w.Conn.Close()
}

// CloseWrite passes on what net/http asks of a TCP or TLS connection.
func (w *wire) CloseWrite() error {
	if half, ok := w.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// NetConn is the connection below.
func (w *wire) NetConn() net.Conn { return w.Conn }

// next begins the next request.
func (w *wire) next() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if cap(w.head) > 4096 { // an idle connection keeps little
		w.head = nil
	}
	w.head = append(w.head[:0], w.early...)
	w.early, w.whole = w.early[:0], false
}

// holds reports whether the header block has the named line, or is not the one that begins with start.
func (w *wire) holds(start, name string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	head := bytes.TrimLeft(w.head, "\r\n") // net/http forgives empty lines in front
	end := blankLine(head)
	if end < 0 || !bytes.HasPrefix(head, []byte(start)) {
		return true
	}
	for line := range bytes.SplitSeq(head[:end], []byte("\n")) {
		key, _, _ := bytes.Cut(line, []byte(":"))
		if bytes.EqualFold(bytes.TrimSpace(key), []byte(name)) {
			return true
		}
	}
	return false
}

// spelled gives the names of the header block's lines that were not sent in their canonical case, by that; of a name that was sent
// in two ways, the first. It is nil where the block kept is not the one that begins with start. Nothing but the case of names is
// to be taken from it: which lines there are, and what they say, is what net/http read.
func (w *wire) spelled(start string) map[string]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	head := bytes.TrimLeft(w.head, "\r\n")
	end := blankLine(head)
	if end < 0 || !bytes.HasPrefix(head, []byte(start)) {
		return nil
	}
	names := map[string]string{}
	for line := range bytes.SplitSeq(head[:end], []byte("\n")) {
		key, _, colon := bytes.Cut(line, []byte(":"))
		if name := nethttp.CanonicalHeaderKey(string(key)); colon && names[name] == "" {
			names[name] = string(key)
		}
	}
	return names
}

// loose reports whether a line of the header block ends with a bare LF, or goes on in the next one: net/http takes both, others
// refuse them or read them otherwise (RFC 9112 sections 2.2 and 5.2).
func (w *wire) loose() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	head := bytes.TrimLeft(w.head, "\r\n")
	for {
		i := bytes.IndexByte(head, '\n')
		if i < 0 {
			return false
		}
		if i == 0 || head[i-1] != '\r' {
			return true
		}
		if head = head[i+1:]; len(head) == 0 || head[0] == '\r' { // the empty line; a bare CR is refused by net/http
			return false
		}
		if head[0] == ' ' || head[0] == '\t' {
			return true
		}
	}
}

// blankLine is where the line before the first empty line ends, -1 when there is none.
func blankLine(b []byte) int {
	for i, c := range b {
		if rest := b[i+1:]; c == '\n' && (bytes.HasPrefix(rest, []byte("\n")) || bytes.HasPrefix(rest, []byte("\r\n"))) {
			return i
		}
	}
	return -1
}

// wireListener watches plain connections.
type wireListener struct {
	net.Listener
	wires *wires
}

// Accept implements net.Listener.
func (l *wireListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if w := l.wires.watch(conn); w != nil {
			return w, nil
		}
		conn.Close()
	}
}

// secureListener makes TLS of connections before net/http sees them, so that HTTP/1 can be watched above the
// encryption. A slow handshake holds up nobody else. Its goroutines end with Close, which waits for them.
type secureListener struct {
	net.Listener
	config *tls.Config
	wires  *wires
	within time.Duration
	ready  chan net.Conn
	failed chan error
	ctx    context.Context
	cancel context.CancelFunc
	hands  sync.WaitGroup
}

func newSecureListener(ln net.Listener, config *tls.Config, ws *wires, within time.Duration) *secureListener {
	l := &secureListener{Listener: ln, config: config, wires: ws, within: within, ready: make(chan net.Conn), failed: make(chan error)}
	ws.secure = true
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.hands.Go(l.run)
	return l
}

func (l *secureListener) run() {
	for {
		conn, err := l.Listener.Accept()
		if err == nil {
			l.hands.Go(func() { l.shake(conn) })
			continue
		}
		select { // net/http decides whether to go on, and waits if so
		case l.failed <- err:
		case <-l.ctx.Done():
			return
		}
	}
}

// shake ends one handshake. HTTP/2 connections go on as they are: net/http knows them by their type.
func (l *secureListener) shake(conn net.Conn) {
	ctx, cancel := context.WithTimeout(l.ctx, l.within)
	defer cancel()
	t := tls.Server(conn, l.config)
	if t.HandshakeContext(ctx) != nil {
		conn.Close()
		return
	}
	var out net.Conn = t
	state := t.ConnectionState()
	switch state.NegotiatedProtocol {
	case "h2":
	case "", "http/1.1":
		w := l.wires.watch(t)
		if w == nil {
			conn.Close()
			return
		}
		w.state, out = &state, w
	default: // not for HTTP
		conn.Close()
		return
	}
	select {
	case l.ready <- out:
	case <-l.ctx.Done():
		out.Close()
	}
}

// Accept gives the next connection whose handshake is done.
func (l *secureListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.ready:
		return conn, nil
	case err := <-l.failed:
		return nil, err
	case <-l.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *secureListener) Close() error {
	l.cancel()
	err := l.Listener.Close()
	l.hands.Wait()
	return err
}
