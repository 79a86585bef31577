// Package redirect is the listener on plain HTTP that serves nothing: it sends callers to https, and answers authorities
// that want to know whether a name is this node's (HTTP-01, RFC 8555 section 8.3). No body is read, no event made, nothing
// forwarded; every connection ends with its first answer.
package redirect

import (
	"context"
	"errors"
	"log/slog"
	"net"
	nethttp "net/http"
	"net/url"
	"strings"
	"time"

	"casemate"
	"casemate/front/conn"
)

// Bounds of the listener.
const (
	maxHeader  = 8 << 10
	maxTarget  = 4 << 10
	headerTime = 5 * time.Second
	writeTime  = 5 * time.Second
)

const challengePath = "/.well-known/acme-challenge/"

// Config is what the listener needs. Addr and Serves are required.
type Config struct {
	Addr   string
	Serves func(host string) bool // whether a host, in lower case and without its port, is this node's: others are sent nowhere
	Port   string                 // of https, as callers see it; "" is 443
	// Answer is what an authority wants to read on this host for a token; "": nobody asked for it. nil: nobody ever does.
	Answer  func(host, token string) string
	Refused func(casemate.Turned) // is told of connections that are turned away, about once a second; nil: nobody is
	Limits  conn.Limits           // of connections
	Clock   func() time.Time
	Log     *slog.Logger // nil: nowhere
}

// Server is the listener. Make it with New, Start it once, Shutdown it once.
type Server struct {
	*conn.Server
	c Config
}

// New checks the configuration; nothing listens yet.
func New(c Config) (*Server, error) {
	if c.Addr == "" || c.Serves == nil {
		return nil, errors.New("configuring the redirecting listener: no address, or nobody who knows the names")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Limits.Total == 0 {
		c.Limits.Total = 512
	}
	if c.Limits.Source == 0 {
		c.Limits.Source = 64
	}
	s := &Server{c: c}
	h := &nethttp.Server{Handler: s, ReadHeaderTimeout: headerTime, ReadTimeout: headerTime, WriteTimeout: writeTime, MaxHeaderBytes: maxHeader}
	h.SetKeepAlivesEnabled(false)
	var err error
	if s.Server, err = conn.NewServer(conn.Setup{Name: "the redirecting listener", HTTP: h, Limits: c.Limits, Refused: c.Refused, Clock: c.Clock, Log: c.Log}); err != nil {
		return nil, err
	}
	return s, nil
}

// Start opens the listener; ctx bounds that only.
func (s *Server) Start(ctx context.Context) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", s.c.Addr)
	if err != nil {
		return &casemate.Error{Code: casemate.Unavailable, Field: "--redirect", Message: "cannot " + err.Error(), Hint: "is another server on this address? Ports below 1024 may need CAP_NET_BIND_SERVICE", Err: err}
	}
	s.Serve(l)
	return nil
}

// ServeHTTP answers one request, from its first line and headers alone.
func (s *Server) ServeHTTP(w nethttp.ResponseWriter, r *nethttp.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	host, ok := s.host(r.Host)
	switch {
	case !ok:
		say(w, nethttp.StatusMisdirectedRequest, "this host is not served here")
	case r.URL.Scheme != "" || r.URL.Host != "" || !strings.HasPrefix(r.RequestURI, "/") || len(r.RequestURI) > maxTarget || r.Method == nethttp.MethodConnect:
		say(w, nethttp.StatusBadRequest, "not a path")
	case strings.HasPrefix(r.URL.Path, challengePath):
		s.challenge(w, r, host)
	case carriesSecret(r):
		say(w, nethttp.StatusForbidden, "credentials were sent without encryption: they are not sent on, and should be revoked. Call https://"+host)
	default:
		s.send(w, r, host)
	}
}

// challenge answers an authority, and nobody else.
func (s *Server) challenge(w nethttp.ResponseWriter, r *nethttp.Request, host string) {
	text := ""
	if s.c.Answer != nil && r.Method == nethttp.MethodGet && r.URL.RawQuery == "" {
		text = s.c.Answer(host, strings.TrimPrefix(r.URL.Path, challengePath))
	}
	if text == "" {
		say(w, nethttp.StatusNotFound, "nobody asked for this")
		return
	}
	say(w, nethttp.StatusOK, text)
}

// send sends a caller to the same place on https. A method other than GET and HEAD must not become GET on the way, so it
// gets 308 (RFC 9110 section 15.4.9); what was sent with it went unread.
func (s *Server) send(w nethttp.ResponseWriter, r *nethttp.Request, host string) {
	to := url.URL{Scheme: "https", Host: host, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery, ForceQuery: r.URL.ForceQuery}
	if s.c.Port != "" && s.c.Port != "443" {
		to.Host = net.JoinHostPort(strings.Trim(host, "[]"), s.c.Port)
	}
	status := nethttp.StatusPermanentRedirect
	if r.Method == nethttp.MethodGet || r.Method == nethttp.MethodHead {
		status = nethttp.StatusMovedPermanently
	}
	w.Header().Set("Location", to.String())
	say(w, status, "")
}

// host is a Host header as names are compared, when it is one that is served.
func (s *Server) host(header string) (string, bool) {
	host := header
	if h, port, err := net.SplitHostPort(header); err == nil {
		if port == "" || strings.Trim(port, "0123456789") != "" {
			return "", false
		}
		host = h
		if strings.Contains(h, ":") {
			host = "[" + h + "]"
		}
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "" || strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789-._[]:") != "" {
		return "", false
	}
	return host, s.c.Serves(host)
}

// carriesSecret reports whether a request holds what only its caller may know. Sending it on would hide from its sender that
// everybody on the way has read it.
func carriesSecret(r *nethttp.Request) bool {
	for _, name := range [...]string{"Authorization", "Proxy-Authorization", "X-Api-Key", "X-Amz-Security-Token"} {
		if len(r.Header.Values(name)) > 0 {
			return true
		}
	}
	return strings.Contains(strings.ToLower(r.URL.RawQuery), "x-amz-signature=")
}

func say(w nethttp.ResponseWriter, status int, text string) {
	w.WriteHeader(status)
	if text != "" {
		_, _ = w.Write([]byte(text)) // a caller that went away needs none
	}
}
