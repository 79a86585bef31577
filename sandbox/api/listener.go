package api

import (
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync/atomic"
)

// Bounds of one sandbox at its Runtime API. A runtime needs one connection, an extension one more. A header may be long
// (runtimes describe their errors in one, up to 1 MB), but not on every connection at once: the memory is the node's.
const (
	maxConns   = 32
	maxHeaders = 2 << 20 // bytes of the headers that are being read or served, of all connections together
)

// boundedListener closes connections past maxConns as they come, and those whose headers are too much together.
type boundedListener struct {
	net.Listener
	open    atomic.Int32
	headers atomic.Int64
}

var errHeaders = errors.New("the headers of all connections are too long together")

func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.open.Add(1) <= maxConns {
			return &countedConn{Conn: c, of: l}, nil
		}
		l.open.Add(-1)
		c.Close()
	}
}

// countedConn counts what it reads while no request is served: that is a header, and it is held until its request ends.
type countedConn struct {
	net.Conn
	of     *boundedListener
	ahead  []byte // read of it before, and not used
	header atomic.Int64
	served atomic.Bool // what comes now is a body, which its reader bounds
	done   atomic.Bool
}

// Read implements net.Conn.
func (c *countedConn) Read(p []byte) (int, error) {
	n, err := copy(p, c.ahead), error(nil)
	if c.ahead = c.ahead[n:]; n == 0 {
		n, err = c.Conn.Read(p)
	}
	if n > 0 && !c.served.Load() {
		c.header.Add(int64(n))
		if c.of.headers.Add(int64(n)) > maxHeaders {
			return 0, errHeaders
		}
	}
	return n, err
}

// Close implements net.Conn.
func (c *countedConn) Close() error {
	if !c.done.Swap(true) {
		c.of.open.Add(-1)
		c.forget()
	}
	return c.Conn.Close()
}

func (c *countedConn) forget() { c.of.headers.Add(-c.header.Swap(0)) }

// follow is a server's ConnState hook: active is a request whose header has been read, idle the end of it.
func follow(conn net.Conn, state http.ConnState) {
	c, ok := conn.(*countedConn)
	if !ok {
		return
	}
	switch state {
	case http.StateActive:
		c.served.Store(true)
	case http.StateIdle:
		c.served.Store(false)
		c.forget()
	}
}

// quiet swallows net/http's own complaints: a sandbox must not be able to write to the node's log.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
