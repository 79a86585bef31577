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
)

// Server is the HTTP front. Make it with New, Start it once and Shutdown it once.
type Server struct {
	c      Config
	http   *nethttp.Server
	conns  *connCount
	ctx    context.Context // of every request; ends when Shutdown gives up waiting
	cancel context.CancelFunc
	serve  sync.WaitGroup
	failed chan error

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
	s := &Server{c: c, conns: newConnCount(c.Limits.Connections, c.Limits.PeerConns), failed: make(chan error, len(c.Listen))}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.http = &nethttp.Server{
		Handler:                      nethttp.HandlerFunc(s.hear),
		DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout:            c.Limits.HeaderTime,
		IdleTimeout:                  c.Limits.IdleTime,
		MaxHeaderBytes:               max(c.Limits.HeaderBytes-4096, 1), // net/http allows 4096 bytes more than it is told
		ErrorLog:                     slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug),
		BaseContext:                  func(net.Listener) context.Context { return s.ctx },
		HTTP2:                        &nethttp.HTTP2Config{MaxConcurrentStreams: c.Limits.ConcurrentHTTP, SendPingTimeout: c.Limits.IdleTime, WriteByteTimeout: c.Limits.WriteTime},
	}
	for _, l := range c.Listen {
		if !l.TLS || s.http.TLSConfig != nil {
			continue
		}
		if s.http.TLSConfig, err = tlsConfig(c); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func tlsConfig(c Config) (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	if c.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("loading the TLS certificate: %w", err)
		}
		t.Certificates = []tls.Certificate{cert}
		return t, nil
	}
	a, err := OpenAuthority(c.Dir, c.Clock, "*"+c.Domain)
	if err != nil {
		return nil, err
	}
	t.GetCertificate = a.GetCertificate
	return t, nil
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
			err = fmt.Errorf("%s is not a loopback address and has no TLS", ln.Addr())
		}
		if err != nil {
			for _, o := range opened {
				o.Close()
			}
			return &casemate.Error{Code: casemate.Unavailable, Field: "listen", Message: "cannot listen on " + l.Addr,
				Hint: "is another node running on this address?", Err: err}
		}
		opened = append(opened, &limitListener{Listener: ln, count: s.conns})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, ln := range opened {
		s.addrs = append(s.addrs, ln.Addr())
		s.serve.Go(func() { s.serveOn(ln, s.c.Listen[i].TLS) })
	}
	return nil
}

func (s *Server) serveOn(ln net.Listener, secure bool) {
	var err error
	if secure {
		err = s.http.ServeTLS(ln, "", "")
	} else {
		err = s.http.Serve(ln)
	}
	if !errors.Is(err, nethttp.ErrServerClosed) {
		s.failed <- fmt.Errorf("serving HTTP on %s: %w", ln.Addr(), err)
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
// connections. It returns nil when none had to be cancelled.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	s.cancel()
	if err != nil {
		s.http.Close()
		err = fmt.Errorf("shutting down the HTTP front: %w", err)
	}
	s.serve.Wait()
	return err
}

func loopback(a net.Addr) bool {
	t, ok := a.(*net.TCPAddr)
	return ok && t.IP.IsLoopback()
}

// paceBytes is the slowest a peer may be once its fixed time is used up, in bytes a second.
const paceBytes = 32 << 10

// pace is the time that n bytes may take.
func pace(fixed time.Duration, n int64) time.Duration {
	return fixed + time.Duration(n/paceBytes)*time.Second
}
