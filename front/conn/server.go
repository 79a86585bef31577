package conn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	nethttp "net/http"
	"sync"
	"time"

	"casemate"
)

// Setup is what a Server is made of. Name, HTTP and Log are required.
type Setup struct {
	Name    string                // of the front, as errors say it: "the AWS front"
	HTTP    *nethttp.Server       // its handler and bounds; with a TLSConfig it speaks TLS, and HTTP/2 under the guard
	Limits  Limits                // of connections
	Refused func(casemate.Turned) // told about once a second how many connections were cut off or not taken; nil: nobody
	Clock   func() time.Time      // nil: time.Now
	Log     *slog.Logger
}

// Server serves HTTP on one listener whose connections a Guard bounds. Make it with NewServer, Serve once, Shutdown once.
type Server struct {
	c      Setup
	secure bool
	guard  *Guard
	tally  *Tally
	ctx    context.Context // of every request
	cancel context.CancelFunc
	work   sync.WaitGroup
	heard  Requests
	failed chan error

	mu   sync.Mutex
	addr net.Addr
}

// NewServer checks the limits and puts the HTTP server under them; nothing is served yet.
func NewServer(c Setup) (*Server, error) {
	s := &Server{c: c, secure: c.HTTP.TLSConfig != nil, tally: NewTally(c.Refused), failed: make(chan error, 1)}
	var err error
	if s.guard, err = New(c.Limits, c.Clock, s.tally); err != nil {
		return nil, fmt.Errorf("configuring %s: %w", c.Name, err)
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	h := c.HTTP
	h.Handler = s.heard.Handler(h.Handler)
	h.DisableGeneralOptionsHandler, h.ConnState = true, s.guard.State
	h.ErrorLog, h.BaseContext = slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug), func(net.Listener) context.Context { return s.ctx }
	if s.secure {
		if err := s.guard.HTTP2(s.ctx, h, nil); err != nil {
			s.cancel()
			return nil, fmt.Errorf("configuring %s: %w", c.Name, err)
		}
	}
	return s, nil
}

// Serve hears what comes to l, which is the server's from now on. It does not wait.
func (s *Server) Serve(l net.Listener) {
	s.mu.Lock()
	s.addr = l.Addr()
	s.mu.Unlock()
	s.work.Go(func() { s.tally.Keep(s.ctx) })
	s.work.Go(func() {
		err := s.serve(s.guard.Listener(l))
		if !errors.Is(err, nethttp.ErrServerClosed) {
			s.failed <- fmt.Errorf("serving %s: %w", s.c.Name, err)
		}
	})
}

func (s *Server) serve(l net.Listener) error {
	if s.secure {
		return s.c.HTTP.ServeTLS(l, "", "")
	}
	return s.c.HTTP.Serve(l)
}

// Failed gets an error when the listener breaks while the Server runs.
func (s *Server) Failed() <-chan error { return s.failed }

// Addr is the listener's address, nil before Serve.
func (s *Server) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}

// Open says how many connections are open.
func (s *Server) Open() int { return s.guard.Open() }

// Shutdown stops listening, lets requests finish until ctx ends, then cancels them and cuts what is left. It returns after the
// last handler has.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.c.HTTP.Shutdown(ctx)
	s.cancel()
	if err != nil {
		_ = s.c.HTTP.Close() // what is left is cut
		err = fmt.Errorf("shutting down %s: %w", s.c.Name, err)
	}
	s.work.Wait()
	s.heard.End()
	return err
}
