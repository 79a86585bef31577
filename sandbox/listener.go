package sandbox

import (
	"io"
	"log"
	"net"
	"sync/atomic"
)

// maxConns of one sandbox to its Runtime API: a runtime needs one, an extension one more.
const maxConns = 32

// boundedListener closes connections past maxConns as they come.
type boundedListener struct {
	net.Listener
	open atomic.Int32
}

func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.open.Add(1) <= maxConns {
			return &countedConn{Conn: c, open: &l.open}, nil
		}
		l.open.Add(-1)
		c.Close()
	}
}

type countedConn struct {
	net.Conn
	open *atomic.Int32
	done atomic.Bool
}

func (c *countedConn) Close() error {
	if !c.done.Swap(true) {
		c.open.Add(-1)
	}
	return c.Conn.Close()
}

// quiet swallows net/http's own complaints: a sandbox must not be able to write to the node's log.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
