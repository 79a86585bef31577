package egress

import (
	"net"
	"net/netip"
	"sync"

	"casemate"
)

// Endpoint is a service of the node that a sandbox reaches through its door: an address inside, served outside. One
// belongs to one door.
type Endpoint struct {
	// Address is IP:port inside, "169.254.100.3:80" or "127.0.0.1:2773"; every address is local there.
	Address string
	// Serve takes over the listener and returns at once, as Door.Serve does. Close of the listener ends it.
	Serve func(l net.Listener)
	// Env are variables of the sandbox: they win over the platform's.
	Env map[string]string
	// Begin, when set, says whose run it is from now on; nil: nobody's, and nothing may be answered until the next.
	Begin func(l *casemate.Launch)
	// Share, when set, says which runs go on at once, the oldest first; none is nobody's. nil: Begin hears of the oldest alone.
	Share func(ls []*casemate.Launch)
	// Close, when set, closes what Serve was given and returns when nothing of the endpoint runs any more.
	Close func()
}

// endpointListener gives an endpoint the connections that came in on a port that is granted as well.
type endpointListener struct {
	at    netip.AddrPort
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newEndpointListener(at netip.AddrPort) *endpointListener {
	return &endpointListener{at: at, conns: make(chan net.Conn), done: make(chan struct{})}
}

// Accept implements net.Listener.
func (l *endpointListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *endpointListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr implements net.Listener.
func (l *endpointListener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.at) }

// give hands a connection over, and closes it when nobody takes it any more.
func (l *endpointListener) give(c net.Conn) {
	select {
	case l.conns <- c:
	case <-l.done:
		_ = c.Close() // never served
	}
}
