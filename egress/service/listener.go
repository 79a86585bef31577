package service

import (
	"net"
	"net/http"
	"slices"
	"sync"
)

// bounded hands out at most n connections at once. When all are taken it closes the one that has been idle for longest, as
// clients that a function makes anew for each event leave them behind; when none is idle, more wait in the kernel's backlog.
type bounded struct {
	net.Listener
	places chan struct{}
	done   chan struct{}
	once   sync.Once

	mu      sync.Mutex
	idle    []net.Conn // oldest first
	waiting bool       // somebody would take the place of an idle one
}

func newBounded(l net.Listener, n int) *bounded {
	return &bounded{Listener: l, places: make(chan struct{}, n), done: make(chan struct{})}
}

// Accept implements net.Listener.
func (b *bounded) Accept() (net.Conn, error) {
	c, err := b.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if !b.enter() {
		_ = c.Close() // never served
		return nil, net.ErrClosed
	}
	return &placed{Conn: c, leave: sync.OnceFunc(func() { <-b.places })}, nil
}

// enter takes a place, an idle connection's if need be; false when the listener closes first.
func (b *bounded) enter() bool {
	select {
	case b.places <- struct{}{}:
		return true
	default:
	}
	b.mu.Lock()
	b.waiting = true
	if len(b.idle) > 0 {
		_ = b.idle[0].Close() // nothing is under way on it
		b.idle = b.idle[1:]   // its server may take a while to notice; closed twice it gives no second place
	}
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.waiting = false
	}()
	select {
	case b.places <- struct{}{}:
		return true
	case <-b.done:
		return false
	}
}

// state follows a connection; it fits http.Server.ConnState.
func (b *bounded) state(c net.Conn, s http.ConnState) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.idle = slices.DeleteFunc(b.idle, func(o net.Conn) bool { return o == c })
	if s != http.StateIdle {
		return
	}
	if b.waiting {
		_ = c.Close() // likewise
		return
	}
	b.idle = append(b.idle, c)
}

// Close implements net.Listener; it ends an Accept that waits for a place.
func (b *bounded) Close() error {
	b.once.Do(func() { close(b.done) })
	return b.Listener.Close()
}

// placed gives its place back when it is closed.
type placed struct {
	net.Conn
	leave func()
}

// Close implements net.Conn.
func (p *placed) Close() error {
	defer p.leave()
	return p.Conn.Close()
}
