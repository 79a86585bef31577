// Package aws is AWS's services for clients outside: what AWS_ENDPOINT_URL leads to. It hears requests that are signed as
// SDKs do, hands them to the corridor as events, and answers in the words of the service that was asked. One operation
// needs no signature, because its caller proves itself by a token: sts:AssumeRoleWithWebIdentity.
package aws

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	nethttp "net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"casemate"
	"casemate/front/conn"
	"casemate/service/wire"
)

// DefaultAddr is where the front listens unless it is told otherwise: the port that clients of local AWS services try.
const DefaultAddr = "127.0.0.1:4566"

// Bounds of the listener.
const (
	maxStreams = 64       // of one HTTP/2 connection
	maxCalls   = 64       // bodies that are read at once; more wait
	maxHeader  = 32 << 10 // a session token takes 12 KiB at most
	maxBody    = 6 << 20  // bytes of any body: Lambda's, the largest of the services here
	slack      = 64 << 10 // beyond that, so that who sends a little too much is told so in the service's words
	askBody    = 1 << 20  // of the body of an operation that says no bound
	tokenBody  = 64 << 10 // of a body whose sender has signed nothing
	headerTime = 5 * time.Second
	bodyTime   = 30 * time.Second
	placeTime  = 10 * time.Second
	writeTime  = 30 * time.Second
	idleTime   = 2 * time.Minute
)

// Config is what the front needs. Handler and Addr are required.
type Config struct {
	Handler     casemate.Handler
	Addr        string                                               // host:port; without a certificate the host must be a loopback address
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error) // nil: plain HTTP
	MinTLS      uint16                                               // 0: TLS 1.2
	Operations  map[string]*casemate.Operation                       // by ID
	Direct      map[string]wire.Direct                               // by service
	Place       casemate.Place                                       // zero: casemate.DefaultPlace
	Limits      conn.Limits                                          // of connections
	Refused     func(casemate.Turned)                                // told about once a second how many connections were cut off or not taken; nil: nobody
	Clock       func() time.Time                                     // nil: time.Now
	Log         *slog.Logger                                         // nil: nowhere
}

// Server is the front. Make it with New, Start it once, Shutdown it once.
type Server struct {
	*conn.Server
	c      Config
	calls  chan struct{}
	large  chan struct{}
	weight atomic.Int64 // bytes of heavy bodies in memory
	peers  peers
}

// New checks the configuration; nothing listens yet.
func New(c Config) (*Server, error) {
	if c.Handler == nil || c.Addr == "" {
		return nil, errors.New("configuring the AWS front: no handler, or no address")
	}
	if err := plain(&c); err != nil {
		return nil, err
	}
	if c.Place == (casemate.Place{}) {
		c.Place = casemate.DefaultPlace
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{c: c, calls: make(chan struct{}, maxCalls), large: make(chan struct{}, maxLarge), peers: peers{all: map[netip.Prefix]*peer{}}}
	h := &nethttp.Server{Handler: s, ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
		HTTP2: &nethttp.HTTP2Config{MaxConcurrentStreams: maxStreams, SendPingTimeout: idleTime, WriteByteTimeout: writeTime}}
	if c.Certificate != nil {
		h.TLSConfig = &tls.Config{MinVersion: max(tls.VersionTLS12, c.MinTLS), GetCertificate: c.Certificate}
	}
	var err error
	if s.Server, err = conn.NewServer(conn.Setup{Name: "the AWS front", HTTP: h, Limits: c.Limits, Refused: c.Refused, Clock: c.Clock, Log: c.Log}); err != nil {
		return nil, err
	}
	return s, nil
}

// plain refuses to speak without TLS where others could read along: session tokens and answers are in the clear.
func plain(c *Config) error {
	host, _, err := net.SplitHostPort(c.Addr)
	if err != nil {
		return &casemate.Error{Code: casemate.Invalid, Field: "--aws", Message: fmt.Sprintf("%q is no address", c.Addr), Hint: DefaultAddr, Err: err}
	}
	if ip, err := netip.ParseAddr(host); c.Certificate == nil && host != "localhost" && (err != nil || !ip.Unmap().IsLoopback()) {
		return &casemate.Error{Code: casemate.Invalid, Field: "--aws", Message: fmt.Sprintf("plain HTTP on %q: only a loopback address may speak without TLS", c.Addr), Hint: DefaultAddr}
	}
	return nil
}

// Start opens the listener; ctx bounds that only.
func (s *Server) Start(ctx context.Context) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", s.c.Addr)
	if err != nil {
		return &casemate.Error{Code: casemate.Unavailable, Field: "--aws", Message: "cannot " + err.Error(), Hint: "is another node running on this address? Choose with --aws; port 0 takes a free one, '' is off", Err: err}
	}
	s.Serve(l)
	return nil
}

// URL is what AWS_ENDPOINT_URL should be; empty before Start.
func (s *Server) URL() string {
	addr := s.Addr()
	if addr == nil {
		return ""
	}
	if s.c.Certificate != nil {
		return "https://" + addr.String()
	}
	return "http://" + addr.String()
}

// ServeHTTP hears one request of an SDK.
func (s *Server) ServeHTTP(w nethttp.ResponseWriter, r *nethttp.Request) {
	conn := nethttp.NewResponseController(w)
	leave, ok := s.place(r)
	if !ok {
		_ = conn.SetReadDeadline(time.Now()) // what was not taken is not read, either; fails nowhere but in tests without a connection, so below
		w.Header().Set("Connection", "close")
		w.WriteHeader(nethttp.StatusServiceUnavailable) // SDKs try again
		return
	}
	free := sync.OnceFunc(func() { <-s.calls })
	defer free()
	_ = conn.SetReadDeadline(time.Now().Add(bodyTime))
	r.Body = &body{r.Body, conn, free}
	c := s.heard(r, leave)
	if c.leaveLarge != nil {
		defer c.leaveLarge()
	}
	if c.event != nil && c.direct.Streams != nil && c.direct.Streams(c.Signed) {
		c.out = newStream(c, w, conn)
		c.out.close = len(r.TransferEncoding) > 0 || c.unread
		c.event.Answering = c.out
	}
	reply, streamed := c.run(r.Context())
	if streamed {
		return
	}
	_ = conn.SetWriteDeadline(time.Now().Add(writeTime))
	for name, value := range reply.Header {
		w.Header().Set(name, value)
	}
	if len(r.TransferEncoding) > 0 || c.unread {
		w.Header().Set("Connection", "close") // two readers may disagree where such a body ends
	}
	w.WriteHeader(reply.Status)
	_, _ = w.Write(reply.Body) // a client that went away needs none
}

// place waits for a place among the bodies that are read: first of the peer's network, so that who waits behind its own takes
// none of all. Nobody waits for long: who does holds a connection. Whoever has been read holds no place: some calls take as long as
// their caller likes, and how many run at once is the corridor's to bound.
func (s *Server) place(r *nethttp.Request) (leave func(), ok bool) {
	ctx, cancel := context.WithTimeout(r.Context(), placeTime)
	defer cancel()
	if leave, ok = s.peers.enter(ctx, r.RemoteAddr); !ok {
		return nil, false
	}
	select {
	case s.calls <- struct{}{}:
		return leave, true
	case <-ctx.Done():
		leave()
		return nil, false
	}
}

// body lifts the bound of its time once it has ended, and gives its place back: the answer may take longer than the request did.
// One that never ends keeps the bound, so that net/http does not wait for the rest, either.
type body struct {
	io.ReadCloser
	conn *nethttp.ResponseController
	free func()
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		_ = b.conn.SetReadDeadline(time.Time{}) // as above
		b.free()
	}
	return n, err
}

// heard is hear, after which the network's place is free: what is verified next counts by its caller.
func (s *Server) heard(r *nethttp.Request, leave func()) *call {
	defer leave()
	return s.hear(r)
}

// secure reports whether a request came over TLS.
func secure(r *nethttp.Request) string {
	if r.TLS != nil {
		return "true"
	}
	return "false"
}

// limited reads a body to its bound.
func limited(r io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, &casemate.Error{Code: casemate.Invalid, Message: "the body could not be read", Err: err}
	}
	if int64(len(b)) > limit {
		return nil, casemate.Errorf(casemate.TooLarge, "send less", "the body is larger than %d bytes", limit)
	}
	return b, nil
}
