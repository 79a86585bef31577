package http

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	nethttp "net/http"
	"sync"
	"time"

	"casemate"
	"casemate/browser"
	"casemate/front/conn"
)

// Server is the HTTP front. Make it with New, Start it once and Shutdown it once.
type Server struct {
	c      Config
	ports  []*port
	guard  *conn.Guard
	tally  *conn.Tally
	unread *unread         // nil: every request is read
	ctx    context.Context // of every request; ends when Shutdown gives up waiting
	cancel context.CancelFunc
	serve  sync.WaitGroup
	heard  conn.Requests
	failed chan error
	plain  *browser.Rules // of what has no route

	mu    sync.Mutex
	addrs []net.Addr
}

// New checks the configuration and makes the certificate ready; nothing listens yet.
func New(c Config) (*Server, error) {
	c, err := c.withDefaults()
	if err != nil {
		var coded *casemate.Error
		if errors.As(err, &coded) {
			return nil, coded
		}
		return nil, fmt.Errorf("configuring the HTTP front: %w", err)
	}
	plain, err := browser.Compile(nil)
	if err != nil {
		return nil, fmt.Errorf("configuring the HTTP front: %w", err)
	}
	s := &Server{c: c, plain: plain, tally: conn.NewTally(c.Refused), failed: make(chan error, len(c.Listen))}
	if s.guard, err = conn.New(c.Limits.Conn, c.Clock, s.tally); err != nil {
		return nil, fmt.Errorf("configuring the HTTP front: %w", err)
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if c.Knock != nil {
		s.unread = newUnread(&s.c, s.tally)
	}
	var secure *tls.Config
	for _, l := range c.Listen {
		if l.TLS && secure == nil {
			if secure, err = tlsConfig(c); err != nil {
				return nil, err
			}
		}
		p := &port{s: s, listener: l, wires: newWires(c.Limits.HeaderBytes+8192, s.unread, s.ctx.Done())}
		p.http = s.server(p)
		if l.TLS {
			p.http.TLSConfig = secure.Clone()
			if err := s.guard.HTTP2(s.ctx, p.http, s.unread.away); err != nil {
				return nil, fmt.Errorf("configuring HTTP/2: %w", err)
			}
		}
		s.ports = append(s.ports, p)
	}
	return s, nil
}

// port is one listener with its connections.
type port struct {
	s        *Server
	listener Listener
	wires    *wires
	http     *nethttp.Server
}

// state is net/http's ConnState hook.
func (p *port) state(c net.Conn, state nethttp.ConnState) {
	p.s.guard.State(c, state)
	p.wires.idle(c, state)
}

func (s *Server) server(p *port) *nethttp.Server {
	c := s.c
	return &nethttp.Server{
		Handler:                      s.heard.Handler(nethttp.HandlerFunc(p.hear)),
		ConnState:                    p.state,
		DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout:            c.Limits.HeaderTime,
		IdleTimeout:                  c.Limits.IdleTime,
		MaxHeaderBytes:               max(c.Limits.HeaderBytes-4096, 1), // net/http allows 4096 bytes more than it is told
		ErrorLog:                     slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug),
		BaseContext:                  func(net.Listener) context.Context { return s.ctx },
		HTTP2: &nethttp.HTTP2Config{MaxConcurrentStreams: c.Limits.ConcurrentHTTP, SendPingTimeout: c.Limits.IdleTime,
			WriteByteTimeout: c.Limits.WriteTime},
	}
}

// Start listens on every address and returns when all of them are open; ctx bounds that only. When one cannot be
// opened, none stays open. The serving goroutines belong to the Server until Shutdown.
func (s *Server) Start(ctx context.Context) error {
	var lc net.ListenConfig
	opened := make([]net.Listener, 0, len(s.c.Listen))
	for _, l := range s.c.Listen {
		ln, err := lc.Listen(ctx, "tcp", l.Addr)
		if err == nil && !l.TLS && !loopback(ln.Addr()) {
			ln.Close()
			err = fmt.Errorf("listen on %s: it is no loopback address and has no TLS", ln.Addr())
		}
		if err != nil {
			for _, o := range opened {
				o.Close()
			}
			return &casemate.Error{Code: casemate.Unavailable, Field: "listen", Message: "cannot " + err.Error(),
				Hint: "is another node running on this address? Choose with --http and --https; port 0 takes a free one", Err: err}
		}
		opened = append(opened, s.guard.Listener(ln))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serve.Go(func() { s.tally.Keep(s.ctx) })
	for i, ln := range opened {
		s.addrs = append(s.addrs, ln.Addr())
		p := s.ports[i]
		if p.listener.TLS {
			ln = newSecureListener(ln, p.http.TLSConfig, p.wires, s.c.Limits.HeaderTime)
		} else {
			ln = &wireListener{ln, p.wires}
		}
		s.serve.Go(func() { p.serve(ln) })
	}
	return nil
}

func (p *port) serve(ln net.Listener) {
	if err := p.http.Serve(ln); !errors.Is(err, nethttp.ErrServerClosed) {
		p.s.failed <- fmt.Errorf("serving HTTP on %s: %w", ln.Addr(), err)
	}
}

// Failed gets an error when a listener breaks while the Server runs.
func (s *Server) Failed() <-chan error { return s.failed }

// Addrs are the addresses in the order of Config.Listen, with the ports that were chosen; empty before Start.
func (s *Server) Addrs() []net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]net.Addr(nil), s.addrs...)
}

// URLs are the same as base URLs: "http://127.0.0.1:3000".
func (s *Server) URLs() []string {
	var urls []string
	for i, a := range s.Addrs() {
		scheme := "http://"
		if s.c.Listen[i].TLS {
			scheme = "https://"
		}
		urls = append(urls, scheme+a.String())
	}
	return urls
}

// Shutdown stops listening, lets the running exchanges finish until ctx ends, then cancels them and closes their
// connections. It returns after the last handler has, and nil when none had to be cancelled.
func (s *Server) Shutdown(ctx context.Context) error {
	errs := make([]error, len(s.ports))
	var all sync.WaitGroup
	for i, p := range s.ports {
		all.Go(func() { errs[i] = p.http.Shutdown(ctx) })
	}
	all.Wait()
	s.cancel()
	err := errors.Join(errs...)
	if err != nil {
		for _, p := range s.ports {
			p.http.Close()
		}
		err = fmt.Errorf("shutting down the HTTP front: %w", err)
	}
	s.serve.Wait()
	s.heard.End()
	return err
}

func loopback(a net.Addr) bool {
	t, ok := a.(*net.TCPAddr)
	return ok && t.IP.IsLoopback()
}

// pace is the time that n bytes may take.
func (l *Limits) pace(fixed time.Duration, n int64) time.Duration {
	return fixed + time.Duration(n/int64(l.Slowest))*time.Second
}
