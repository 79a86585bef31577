package http

import (
	"net"
	"net/netip"
	"sync"
)

// connCount counts open connections, in total and by peer.
type connCount struct {
	total, perPeer int

	mu      sync.Mutex
	open    int
	byPeer  map[netip.Prefix]int
	refused uint64
}

func newConnCount(total, perPeer int) *connCount {
	return &connCount{total: total, perPeer: perPeer, byPeer: make(map[netip.Prefix]int)}
}

// take reports whether one more connection of peer may stay.
func (c *connCount) take(peer netip.Prefix) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open >= c.total || c.byPeer[peer] >= c.perPeer {
		c.refused++
		return false
	}
	c.open++
	c.byPeer[peer]++
	return true
}

func (c *connCount) give(peer netip.Prefix) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open--
	if c.byPeer[peer]--; c.byPeer[peer] <= 0 {
		delete(c.byPeer, peer)
	}
}

// limitListener closes connections beyond the bounds at once: no byte of theirs is read, no goroutine made.
type limitListener struct {
	net.Listener
	count *connCount
}

// Accept gives the next connection that may stay.
func (l *limitListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		peer := peerOf(conn.RemoteAddr())
		if l.count.take(peer) {
			return &countedConn{Conn: conn, give: sync.OnceFunc(func() { l.count.give(peer) })}, nil
		}
		if t, ok := conn.(*net.TCPConn); ok {
			_ = t.SetLinger(0) // a reset leaves no socket behind in TIME_WAIT; if it fails, the close below still holds
		}
		conn.Close()
	}
}

type countedConn struct {
	net.Conn
	give func()
}

// Close closes the connection and hands its place back, once.
func (c *countedConn) Close() error {
	defer c.give()
	return c.Conn.Close()
}

// CloseWrite lets net/http finish an answer before it drops what a peer still sends.
func (c *countedConn) CloseWrite() error { return closeWrite(c.Conn) }

func closeWrite(conn net.Conn) error {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// peerOf is the address that a limit counts: one IPv4 address, or the /64 that one IPv6 host can choose from.
func peerOf(a net.Addr) netip.Prefix {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := t.AddrPort().Addr().Unmap().WithZone("")
	bits := 64
	if ip.Is4() {
		bits = 32
	}
	p, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
