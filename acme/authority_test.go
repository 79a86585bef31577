package acme

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"golang.org/x/net/dns/dnsmessage"
)

// authority is Let's Encrypt's own test server, in this process, which takes every name to be at 127.0.0.1.
type authority struct {
	*httptest.Server
	down   atomic.Bool
	orders atomic.Int64 // that were asked for, and not refused for their nonce
	hear   atomic.Pointer[http.Handler]
	deny   func(w http.ResponseWriter, r *http.Request) bool

	mu    sync.Mutex
	asked []string // paths
}

// terms are what tests choose of an authority.
type terms struct {
	nonces  string // percentage of good nonces that are refused; "" is none
	eab     map[string]string
	blocked string
	deny    func(w http.ResponseWriter, r *http.Request) bool
}

// newAuthority validates at the ports given.
func newAuthority(t *testing.T, httpPort, tlsPort int, how terms) *authority {
	t.Helper()
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	t.Setenv("PEBBLE_AUTHZREUSE", "0")
	if how.nonces == "" {
		how.nonces = "0"
	}
	t.Setenv("PEBBLE_WFE_NONCEREJECT", how.nonces)
	quiet := log.New(io.Discard, "", 0)
	keep := db.NewMemoryStore()
	for id, key := range how.eab {
		if err := keep.AddExternalAccountKeyByID(id, key); err != nil {
			t.Fatal(err)
		}
	}
	if how.blocked != "" {
		if err := keep.AddBlockedDomain(how.blocked); err != nil {
			t.Fatal(err)
		}
	}
	issuer := ca.New(quiet, keep, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {Description: "default", ValidityPeriod: 90 * 24 * 3600}})
	front := wfe.New(quiet, keep, va.New(quiet, httpPort, tlsPort, true, resolver(t), keep), issuer, []string{"pebble.example"}, true, len(how.eab) > 0, 0, 0)
	a, hear := &authority{deny: how.deny}, front.Handler()
	a.hear.Store(&hear)
	a.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.asked = append(a.asked, r.URL.Path)
		a.mu.Unlock()
		if r.URL.Path == "/order-plz" {
			w = &counted{w, &a.orders}
		}
		switch {
		case a.down.Load():
			panic(http.ErrAbortHandler)
		case a.deny != nil && a.deny(w, r):
		default:
			(*a.hear.Load()).ServeHTTP(w, r)
		}
	}))
	a.Server.Config.ErrorLog = quiet
	t.Cleanup(a.Close)
	return a
}

// counted counts answers.
type counted struct {
	http.ResponseWriter
	n *atomic.Int64
}

// WriteHeader implements http.ResponseWriter.
func (c *counted) WriteHeader(status int) {
	if status != http.StatusBadRequest {
		c.n.Add(1)
	}
	c.ResponseWriter.WriteHeader(status)
}

func (a *authority) directory() string { return a.URL + "/dir" }

func (a *authority) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.Certificate())
	return pool
}

// resolver answers every question for an IPv4 address with 127.0.0.1, over TCP.
func resolver(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	t.Cleanup(func() { l.Close(); work.Wait() })
	work.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			work.Go(func() { defer conn.Close(); resolve(conn) })
		}
	})
	return l.Addr().String()
}

// resolve answers the one question of a connection; each is preceded by its length (RFC 1035 section 4.2.2).
func resolve(conn net.Conn) {
	head := make([]byte, 2)
	if _, err := io.ReadFull(conn, head); err != nil {
		return
	}
	text := make([]byte, binary.BigEndian.Uint16(head))
	var m dnsmessage.Message
	if _, err := io.ReadFull(conn, text); err != nil || m.Unpack(text) != nil || len(m.Questions) != 1 {
		return
	}
	m.Response, m.Additionals = true, nil
	if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
		m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 1}, Body: &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}}}}
	}
	if out, err := m.Pack(); err == nil {
		_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(out))), out...))
	}
}

// listener is the node's TLS listener, as its fronts are: challenges have a configuration of their own.
type listener struct {
	net.Listener
	room atomic.Pointer[Room]
}

func listenTLS(t *testing.T) *listener {
	t.Helper()
	l := &listener{}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
		GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) { return l.room.Load().GetCertificate(h) },
		GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			return l.room.Load().Challenge(h), nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	l.Listener = ln
	var work sync.WaitGroup
	t.Cleanup(func() { ln.Close(); work.Wait() })
	work.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			work.Go(func() {
				defer conn.Close()
				_ = conn.(*tls.Conn).HandshakeContext(t.Context())
			})
		}
	})
	return l
}

func (l *listener) port() int { return l.Addr().(*net.TCPAddr).Port }

// shows is the certificate that a client gets for name.
func (l *listener) shows(t *testing.T, name string, protos ...string) (*x509.Certificate, error) {
	t.Helper()
	conn, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{ServerName: name, InsecureSkipVerify: true, NextProtos: protos}) // what is served is looked at by the caller
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0], nil
}
