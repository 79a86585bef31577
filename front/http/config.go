package http

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	"casemate"
	"casemate/front/conn"
)

// DefaultDomain is the suffix of function URL hosts: <id>.lambda-url.localhost. Names below "localhost" are loopback
// everywhere (RFC 6761 section 6.3).
const DefaultDomain = "lambda-url.localhost"

// Listener is one address to hear on.
type Listener struct {
	Addr string // host:port, port 0 for any; without TLS the host must be a loopback address or "localhost"
	TLS  bool
}

// Limits bound what a peer may cost. A zero field means its default, never "unlimited".
type Limits struct {
	HeaderBytes    int           // request line and headers together; 16 KiB
	HeaderCount    int           // header lines; 100
	TargetBytes    int           // request target; 8 KiB
	QueryParams    int           // parts of the query string; 256
	BodyBytes      int64         // body as sent, before any decoding; 10 MiB. A function's own limit is usually lower
	Conn           conn.Limits   // of connections; their header time is HeaderTime, their frame time BodyTime
	HeaderTime     time.Duration // from the first byte to the last header, TLS handshake likewise; 5 s
	BodyTime       time.Duration // for the body, plus what Slowest gives what came; 20 s
	WriteTime      time.Duration // for the answer, plus what Slowest gives its length; 20 s
	IdleTime       time.Duration // between requests of one connection; 60 s
	Slowest        int           // bytes a second; whoever is slower than that is cut off when its fixed time is over; 32 KiB
	ConcurrentHTTP int           // streams of one HTTP/2 connection; 64
}

func (l Limits) withDefaults() (Limits, error) {
	for _, f := range []struct {
		v   *int
		def int
	}{{&l.HeaderBytes, 16 << 10}, {&l.HeaderCount, 100}, {&l.TargetBytes, 8 << 10}, {&l.QueryParams, 256}, {&l.ConcurrentHTTP, 64}, {&l.Slowest, 32 << 10}} {
		if *f.v < 0 {
			return l, fmt.Errorf("limits: %d is negative", *f.v)
		}
		if *f.v == 0 {
			*f.v = f.def
		}
	}
	for _, f := range []struct {
		v   *time.Duration
		def time.Duration
	}{{&l.HeaderTime, 5 * time.Second}, {&l.BodyTime, 20 * time.Second}, {&l.WriteTime, 20 * time.Second}, {&l.IdleTime, time.Minute}} {
		if *f.v < 0 {
			return l, fmt.Errorf("limits: %s is negative", *f.v)
		}
		if *f.v == 0 {
			*f.v = f.def
		}
	}
	if l.BodyBytes < 0 {
		return l, fmt.Errorf("limits: %d body bytes", l.BodyBytes)
	}
	if l.BodyBytes == 0 {
		l.BodyBytes = 10 << 20
	}
	l.Conn.HeaderTime, l.Conn.FrameTime = l.HeaderTime, l.BodyTime
	return l, nil
}

// Observation is what one exchange looked like from outside, for metrics and access logs. It names no caller.
type Observation struct {
	ID     string
	Source casemate.Source
	Method string
	Status int
	Bytes  int // of the answer's body
	Took   time.Duration
}

// Config says what a Server needs. Handler and Listen are required.
type Config struct {
	Handler  casemate.Handler
	Listen   []Listener
	CertFile string // PEM chain for TLS listeners, looked at again when it changes; with neither file the development authority in Dir is used
	KeyFile  string
	TLS      TLS
	// AskCertificate says, for each handshake, whether the peer is asked for a client certificate; nil: never.
	AskCertificate func() bool
	Dir            string // where the development authority keeps its key; made with mode 0700
	Domain         string // suffix of function URL hosts; DefaultDomain when empty
	Limits         Limits
	Clock          func() time.Time // time.Now when nil; deadlines on sockets always use the real time
	Log            *slog.Logger     // nowhere when nil; it never gets a body, a query string or a credential
	// Knock says how long a source (an IPv4 address, the /64 of an IPv6 one) has to wait before a request of it is worth
	// reading, 0 when it is now; nil: every request is read and goes to Handler. Refused is told,
	// about once a second, how many requests were not read and how many connections were cut off or not taken.
	Knock   func(now time.Time, source string, peer netip.Addr) time.Duration
	Refused func(casemate.Turned)
	Observe func(Observation) // after every exchange, in its goroutine; off when nil

	Browsers Browsers // what routes tell browsers; nil: the default, everywhere
}

func (c Config) withDefaults() (Config, error) {
	var err error
	if c.Handler == nil {
		return c, fmt.Errorf("no handler")
	}
	if len(c.Listen) == 0 {
		return c, fmt.Errorf("no address to listen on")
	}
	if c.Knock != nil && c.Refused == nil {
		return c, fmt.Errorf("who refuses unread requests has to tell of them")
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		return c, fmt.Errorf("a certificate needs its key, and a key its certificate")
	}
	for _, l := range c.Listen {
		if err = l.check(c); err != nil {
			return c, err
		}
	}
	if c.Limits, err = c.Limits.withDefaults(); err != nil {
		return c, err
	}
	if c.Domain == "" {
		c.Domain = DefaultDomain
	}
	c.Domain = "." + strings.ToLower(strings.Trim(c.Domain, "."))
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return c, nil
}

// check refuses plain HTTP where others could read along, and TLS without any way to a certificate.
func (l Listener) check(c Config) error {
	host, _, err := net.SplitHostPort(l.Addr)
	if err != nil {
		return fmt.Errorf("listen address %q: %w", l.Addr, err)
	}
	if l.TLS {
		if c.CertFile == "" && c.Dir == "" && c.TLS.Certificate == nil {
			return fmt.Errorf("listen address %q: TLS needs a certificate or a folder for the development authority", l.Addr)
		}
		return nil
	}
	if host == "localhost" {
		return nil
	}
	if ip, err := netip.ParseAddr(host); err != nil || !ip.Unmap().IsLoopback() {
		return &casemate.Error{Code: casemate.Invalid, Field: "listen", Message: fmt.Sprintf("plain HTTP on %q: only a loopback address may speak without TLS", l.Addr),
			Hint: "use 127.0.0.1, or turn TLS on for this address; --redirect is for callers of plain HTTP"}
	}
	return nil
}
