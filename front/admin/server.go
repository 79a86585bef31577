package admin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	nethttp "net/http"
	"strings"
	"sync"
	"time"

	"casemate"
	"casemate/front/conn"
)

const (
	headerTime = 5 * time.Second
	idleTime   = 2 * time.Minute
	// stallTime is how long a peer may neither send nor take a byte of what it is in the middle of.
	stallTime = 30 * time.Second
	// slowest is how many bytes a second who sends a body must keep up with, beside stallTime: a call holds a connection, and
	// whoever signs in is nobody yet.
	slowest = 16 << 10
	// maxBody bounds an upload before the operation's own, smaller bound is known.
	maxBody = 512 << 20
)

// Config says what a Server needs. Handler and at least one of Socket and Addr are required.
type Config struct {
	Handler casemate.Handler
	Socket  string // path; its folder must be nobody else's (mode 0700) and is made when missing
	Addr    string // host:port of the TLS listener; empty: none
	// Certificate gives the certificate for Addr, as tls.Config.GetCertificate.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	MinTLS      uint16                // 0: TLS 1.2
	Limits      conn.Limits           // of connections to Addr
	Refused     func(casemate.Turned) // told about once a second how many of those were cut off or not taken; nil: nobody
	Pages       nethttp.Handler       // what browsers get on Addr at /signin and below; nil: nothing
	Clock       func() time.Time      // time.Now when nil
	Log         *slog.Logger          // nowhere when nil
}

// Server is the admin front. Make it with New, Start it once, Shutdown it once.
type Server struct {
	c      Config
	local  *nethttp.Server // nil when there is no socket
	remote *nethttp.Server // nil when there is no TLS listener
	guard  *conn.Guard     // of remote
	tally  *conn.Tally
	ctx    context.Context
	cancel context.CancelFunc
	serve  sync.WaitGroup
	heard  conn.Requests
	failed chan error

	streams    context.Context // ends with the first word of Shutdown: who follows something would follow for ever
	endStreams context.CancelFunc

	mu   sync.Mutex
	addr net.Addr
}

// New checks the configuration; nothing listens yet.
func New(c Config) (*Server, error) {
	switch {
	case c.Handler == nil:
		return nil, errors.New("configuring the admin front: no handler")
	case c.Socket == "" && c.Addr == "":
		return nil, errors.New("configuring the admin front: neither a socket nor an address")
	case c.Addr != "" && c.Certificate == nil:
		return nil, errors.New("configuring the admin front: an address needs a certificate")
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	s := &Server{c: c, failed: make(chan error, 2), tally: conn.NewTally(c.Refused)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.streams, s.endStreams = context.WithCancel(s.ctx)
	if c.Socket != "" {
		s.local = s.server(func(w nethttp.ResponseWriter, r *nethttp.Request) { s.hear(w, r, true) })
	}
	if c.Addr != "" {
		s.remote = s.server(func(w nethttp.ResponseWriter, r *nethttp.Request) {
			if p := r.URL.Path; c.Pages != nil && (p == "/signin" || strings.HasPrefix(p, "/signin/")) {
				c.Pages.ServeHTTP(w, r)
				return
			}
			s.hear(w, r, false)
		})
		s.remote.TLSConfig = &tls.Config{MinVersion: max(tls.VersionTLS12, c.MinTLS), GetCertificate: c.Certificate}
		if err := s.bound(); err != nil {
			return nil, fmt.Errorf("configuring the admin front: %w", err)
		}
	}
	return s, nil
}

// bound holds the TLS listener to the limits. Who may open the socket may end the node anyway.
func (s *Server) bound() (err error) {
	if s.guard, err = conn.New(s.c.Limits, s.c.Clock, s.tally); err != nil {
		return err
	}
	s.remote.ConnState, s.remote.HTTP2 = s.guard.State, &nethttp.HTTP2Config{MaxConcurrentStreams: 64, SendPingTimeout: idleTime, WriteByteTimeout: stallTime}
	return s.guard.HTTP2(s.ctx, s.remote, nil)
}

func (s *Server) server(h nethttp.HandlerFunc) *nethttp.Server {
	return &nethttp.Server{Handler: s.heard.Handler(h), DisableGeneralOptionsHandler: true, ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(s.c.Log.Handler(), slog.LevelDebug), BaseContext: func(net.Listener) context.Context { return s.ctx }}
}

// Start opens the socket and the TLS listener and returns when both hear; ctx bounds that only. A socket left behind by
// a node that was killed is replaced, one that a node answers on is not.
func (s *Server) Start(ctx context.Context) error {
	var socket, secure net.Listener
	var err error
	if s.local != nil {
		if socket, err = listenSocket(ctx, s.c.Socket); err != nil {
			return err
		}
	}
	if s.remote != nil {
		var lc net.ListenConfig
		if secure, err = lc.Listen(ctx, "tcp", s.c.Addr); err != nil {
			if socket != nil {
				socket.Close()
			}
			return &casemate.Error{Code: casemate.Unavailable, Field: "--admin", Message: "cannot " + err.Error(), Hint: "is another node running on this address? Port 0 takes a free one", Err: err}
		}
		s.mu.Lock()
		s.addr = secure.Addr()
		s.mu.Unlock()
		s.serve.Go(func() { s.tally.Keep(s.ctx) })
		s.serve.Go(func() { s.ended(s.remote.ServeTLS(s.guard.Listener(secure), "", "")) })
	}
	if socket != nil {
		s.serve.Go(func() { s.ended(s.local.Serve(socket)) })
	}
	return nil
}

func (s *Server) ended(err error) {
	if !errors.Is(err, nethttp.ErrServerClosed) {
		s.failed <- fmt.Errorf("serving the admin front: %w", err)
	}
}

// Failed gets an error when a listener breaks while the Server runs.
func (s *Server) Failed() <-chan error { return s.failed }

// Addr is the TLS listener's address, nil when there is none.
func (s *Server) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}

// Shutdown stops listening, ends streams, lets other operations finish until ctx ends, then cancels them. The socket is
// removed. It returns after the last handler has.
func (s *Server) Shutdown(ctx context.Context) error {
	s.endStreams()
	var errs []error
	for _, srv := range [...]*nethttp.Server{s.local, s.remote} {
		if srv == nil {
			continue
		}
		if err := srv.Shutdown(ctx); err != nil {
			s.cancel()
			srv.Close()
			errs = append(errs, fmt.Errorf("shutting down the admin front: %w", err))
		}
	}
	s.cancel()
	s.serve.Wait()
	s.heard.End()
	return errors.Join(errs...)
}

// credential is the caller's: a key or token when one was sent, and otherwise, on the socket, who the kernel says it is.
func credential(r *nethttp.Request, local bool) (casemate.Credential, error) {
	auth, keys := r.Header["Authorization"], r.Header["X-Api-Key"]
	if len(auth)+len(keys) > 1 {
		return casemate.Credential{}, invalid("authorization", "more than one credential was sent", "send one")
	}
	if len(keys) == 1 {
		return casemate.Credential{Kind: casemate.CredentialKey, Secret: strings.TrimSpace(keys[0])}, nil
	}
	if len(auth) == 1 {
		scheme, secret, _ := strings.Cut(auth[0], " ")
		secret = strings.TrimSpace(secret)
		if !strings.EqualFold(scheme, "Bearer") || secret == "" {
			return casemate.Credential{}, &casemate.Error{Code: casemate.Unauthenticated, Field: "authorization",
				Message: "the Authorization header is not a bearer credential", Hint: "send Authorization: Bearer <token or key>"}
		}
		if strings.HasPrefix(secret, "ck_") {
			return casemate.Credential{Kind: casemate.CredentialKey, Secret: secret}, nil
		}
		if strings.HasPrefix(secret, "cs_") {
			return casemate.Credential{Kind: casemate.CredentialSession, Secret: secret}, nil
		}
		return casemate.Credential{Kind: casemate.CredentialBearer, Secret: secret}, nil
	}
	if !local {
		return casemate.Credential{}, nil
	}
	uid, err := peerUID(r.RemoteAddr)
	if err != nil {
		return casemate.Credential{}, err
	}
	return casemate.Credential{Kind: casemate.CredentialPeer, UID: uid}, nil
}

func invalid(field, message, hint string) *casemate.Error {
	return &casemate.Error{Code: casemate.Invalid, Field: field, Message: message, Hint: hint}
}
