package egress

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"casemate"
	"casemate/egress/peek"
	"casemate/internal/walls"
)

const (
	chunk       = peek.MaxHead // bytes copied at once, and kept back at most
	largeChunk  = 256 << 10    // for a download, where reads fill what they have
	largeChunks = 32           // of a node at once

	headTime = 20 * time.Second // for the rest of a request's head or of a TLS handshake's first message
	halfTime = 2 * time.Minute  // without a byte, after the other direction has ended
)

// accept takes connections to a granted port until the listener closes.
func (d *Door) accept(l net.Listener, number uint16) {
	for {
		c, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) || d.ctx.Err() != nil {
				return
			}
			select { // what the other side provoked, or no descriptor is left
			case <-d.ctx.Done():
				return
			case <-time.After(10 * time.Millisecond):
			}
			continue
		}
		d.take(c, number)
	}
}

// take serves one connection. The address that was dialled inside tells what for.
func (d *Door) take(c net.Conn, number uint16) {
	local, _ := netip.ParseAddrPort(c.LocalAddr().String()) // zero is no granted address
	at := netip.AddrPortFrom(local.Addr().Unmap(), number)
	if ep := d.inside[at]; ep != nil {
		d.serve(giving{c}, func() { ep.give(c) })
		return
	}
	if refused := d.judge(at); refused.Kind != "" {
		d.refuse(refused)
		reset(c)
		return
	}
	host, isName := d.names.name(at.Addr())
	if !isName {
		host = at.Addr().String()
	}
	r := &relay{door: d, in: c, host: host, port: number, target: target(host, number), answered: make(chan struct{})}
	r.stream = peek.Stream{Named: r.named, Nameless: !isName}
	r.ctx, r.cancel = context.WithCancel(d.ctx)
	if why := d.admit(r); why != "" {
		d.refuse(casemate.Effect{Kind: casemate.EffectConnect, Target: r.target, Reason: why})
		r.reset()
		return
	}
	d.serve(c, func() {
		r.do()
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.relays, r)
	})
}

// giving keeps serve from closing a connection that an endpoint has taken.
type giving struct{ net.Conn }

func (giving) Close() error { return nil }

// admit counts a connection in; otherwise it says why not.
func (d *Door) admit(r *relay) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.run.Load() == nil && !d.keep:
		return "the run has ended"
	case len(d.relays)+d.fetching >= d.bound.Connections:
		return reasonConnections
	}
	d.relays[r] = true
	return ""
}

// reset closes a connection so that the other side sees it broken, not ended.
func reset(c net.Conn) {
	if t, ok := c.(interface{ SetLinger(sec int) error }); ok {
		_ = t.SetLinger(0) // it is closed in any case
	}
	_ = c.Close() // nothing is written through it any more
}

// relay is one connection from inside, and its other half outside.
type relay struct {
	door   *Door
	host   string // name, or address where a network was granted
	port   uint16
	target string
	stream peek.Stream
	ctx    context.Context
	cancel context.CancelFunc

	in  net.Conn
	out net.Conn // nil before it is dialled

	first    []byte // of the server's answer, until it is told from a switch of protocols
	granted  bool   // valid when answered is closed
	answered chan struct{}
	half     atomic.Bool // one direction has ended
	hurried  bool        // a head must be complete in time

	mu  sync.Mutex // over out and cut, against reset
	cut bool
}

// do connects and copies until both directions have ended.
func (r *relay) do() {
	defer r.cancel()
	d := r.door
	if !d.await(r.ctx.Done()) {
		r.reset()
		return
	}
	out, err := d.egress.dials.connect(r.ctx, r.host, r.port, func(ip netip.Addr, special string) string { return d.against(ip, special, r.port) })
	if err != nil {
		r.reset()
		d.failed(r.ctx, r.target, r.port, err)
		return
	}
	if !r.joined(out) || !d.count(r.ctx.Done(), r.target, 1, 0, 0, "") {
		r.reset()
		return
	}
	var copying sync.WaitGroup
	copying.Go(func() { r.end(r.up(), out, r.in) })
	r.end(r.down(), r.in, out)
	copying.Wait()
	_ = out.Close() // both directions have ended
}

// failed records why a connection that was allowed did not come about.
func (d *Door) failed(ctx context.Context, to string, number uint16, err error) {
	var f *forbidden
	if errors.As(err, &f) {
		d.refuse(casemate.Effect{Kind: casemate.EffectConnect, Target: to, Reason: f.Error(), Grant: grantOf(f.ip.String(), number)})
		return
	}
	d.count(ctx.Done(), to, 1, 0, 0, failure(err))
}

// joined takes the outer half over; false, and it is closed, when the relay was reset meanwhile.
func (r *relay) joined(out net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cut {
		_ = out.Close() // nothing was written
		return false
	}
	r.out = out
	return true
}

// reset breaks both halves.
func (r *relay) reset() {
	r.cancel()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut = true
	reset(r.in)
	if r.out != nil {
		reset(r.out)
	}
}

// end passes on how one direction ended: an end as an end, for as long as the other still goes on, anything else as a
// broken connection.
func (r *relay) end(err error, to, from net.Conn) {
	w, ok := to.(interface{ CloseWrite() error })
	if err != nil || !ok || w.CloseWrite() != nil {
		r.reset()
		return
	}
	r.half.Store(true)
	_ = to.SetReadDeadline(time.Now().Add(halfTime)) // fails only when closed
}

// errRefused ends a connection whose bytes were not for its host; it is recorded.
var errRefused = errors.New("refused")

// up copies what the sandbox sends, as far as it is for the host that the connection was opened for.
func (r *relay) up() error {
	buf := r.door.egress.chunks.Get().(*[chunk]byte)
	defer r.door.egress.chunks.Put(buf)
	kept := 0
	for {
		r.headDeadline(kept)
		n, err := r.read(r.in, buf[kept:])
		if kept += n; n > 0 {
			passed, err := r.pass(buf[:kept])
			if err != nil {
				return err
			}
			kept = copy(buf[:], buf[passed:kept])
		}
		switch {
		case err == io.EOF && kept == 0:
			return nil
		case err != nil:
			return err
		}
	}
}

// headDeadline bounds how long bytes are kept back for those that complete them.
func (r *relay) headDeadline(kept int) {
	switch {
	case kept > 0 && !r.hurried:
		_ = r.in.SetReadDeadline(time.Now().Add(headTime)) // fails only when closed
	case kept == 0 && r.hurried:
		_ = r.in.SetReadDeadline(time.Time{}) // likewise
	}
	r.hurried = kept > 0
}

// pass sends on what the stream passes, and gives how much that was.
func (r *relay) pass(data []byte) (passed int, err error) {
	if !walls.Up {
		return r.out.Write(data)
	}
	for passed < len(data) {
		n, err := r.stream.Feed(data[passed:])
		switch {
		case err != nil:
			r.refuse(err)
			return 0, errRefused
		case n == 0 && !r.stream.Waiting():
			return passed, nil
		case n == 0:
			select {
			case <-r.answered:
			case <-r.ctx.Done():
				return 0, r.ctx.Err()
			}
			r.stream.Switch(r.granted)
			continue
		}
		if !r.door.count(r.ctx.Done(), r.target, 0, 0, int64(n), "") {
			return 0, errRefused
		}
		if _, err := r.out.Write(data[passed : passed+n]); err != nil {
			return 0, err
		}
		passed += n
	}
	return passed, nil
}

// refuse records that the bytes were for another host, or could not be read.
func (r *relay) refuse(err error) {
	e := casemate.Effect{Kind: casemate.EffectConnect, Target: r.target, Reason: err.Error()}
	var m *peek.Mismatch
	if errors.As(err, &m) {
		e.Reason += ": " + m.Host // no grant would allow it: a connection is for one name
	}
	r.door.refuse(e)
}

// down copies what comes from outside. What fills its buffer is a download, and gets one of the node's few large ones.
func (r *relay) down() error {
	e := r.door.egress
	small := e.chunks.Get().(*[chunk]byte)
	defer e.chunks.Put(small)
	buf, large := small[:], false
	defer func() {
		if large {
			<-e.large
		}
	}()
	answered := false
	defer func() {
		if !answered {
			close(r.answered)
		}
	}()
	for {
		n, err := r.read(r.out, buf)
		if n > 0 {
			if !answered && r.answer(buf[:n]) {
				answered = true
				close(r.answered)
			}
			if !r.door.count(r.ctx.Done(), r.target, 0, int64(n), 0, "") {
				return errRefused
			}
			if _, err := r.in.Write(buf[:n]); err != nil {
				return err
			}
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case n == len(buf) && !large:
			select {
			case e.large <- struct{}{}:
				buf, large = make([]byte, largeChunk), true
			default: // many download at once: each goes on with what it has
			}
		}
	}
}

// answer looks at the first bytes that the server sends: whether it changes the protocol (RFC 9110, section 15.2.2). It is
// true when that is known.
func (r *relay) answer(data []byte) bool {
	const switching = "HTTP/1.1 101 "
	r.first = append(r.first, data[:min(len(data), len(switching)-len(r.first))]...)
	r.granted = string(r.first) == switching
	return len(r.first) == len(switching)
}

// read reads once; after one direction has ended the other may not stand still for ever.
func (r *relay) read(c net.Conn, buf []byte) (int, error) {
	if r.half.Load() {
		_ = c.SetReadDeadline(time.Now().Add(halfTime)) // fails only when closed
	}
	return c.Read(buf)
}

// named says whether a host that the client names is the one that the connection is for. Behind an address of a granted
// network there may be any name that is granted.
func (r *relay) named(host string, number uint16) bool {
	if number != 0 && number != r.port {
		return false
	}
	if host == r.host {
		return true
	}
	return r.stream.Nameless && isName(host) && r.door.opening.Decide(host, r.port).Verdict == casemate.Allowed
}
