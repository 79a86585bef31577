// Package authority is an ACME authority for tests: Let's Encrypt's own test server, Pebble, in this process. It takes every
// name to be at 127.0.0.1, and each may be told to fail.
package authority

import (
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"golang.org/x/net/dns/dnsmessage"
)

// Config is what a test chooses.
type Config struct {
	HTTPPort, TLSPort int               // where names are validated
	Nonces            string            // percentage of good nonces that are refused; "" is none
	EAB               map[string]string // accounts that must be bound, by key id; empty: any account
	Blocked           string            // a name that nothing is issued for
	Deny              func(w http.ResponseWriter, r *http.Request) bool
}

// Authority is one that runs until Close.
type Authority struct {
	*httptest.Server
	Down   atomic.Bool  // cuts every connection
	Orders atomic.Int64 // asked for, and not refused for their nonce
	hear   atomic.Pointer[http.Handler]
	issuer *ca.CAImpl
	dns    net.Listener
	work   sync.WaitGroup
}

// New starts one. Pebble is told by the environment of the process not to wait and not to reuse what it knows.
func New(c Config) (*Authority, error) {
	if c.Nonces == "" {
		c.Nonces = "0"
	}
	for name, value := range map[string]string{"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_AUTHZREUSE": "0", "PEBBLE_WFE_NONCEREJECT": c.Nonces} {
		if err := os.Setenv(name, value); err != nil {
			return nil, err
		}
	}
	a, quiet, keep := &Authority{}, log.New(io.Discard, "", 0), db.NewMemoryStore()
	for id, key := range c.EAB {
		if err := keep.AddExternalAccountKeyByID(id, key); err != nil {
			return nil, err
		}
	}
	if c.Blocked != "" {
		if err := keep.AddBlockedDomain(c.Blocked); err != nil {
			return nil, err
		}
	}
	var err error
	if a.dns, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	a.work.Go(a.resolver)
	a.issuer = ca.New(quiet, keep, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {Description: "default", ValidityPeriod: 90 * 24 * 3600}})
	front := wfe.New(quiet, keep, va.New(quiet, c.HTTPPort, c.TLSPort, true, a.dns.Addr().String(), keep), a.issuer, []string{"pebble.example"}, true, len(c.EAB) > 0, 0, 0)
	hear := front.Handler()
	a.hear.Store(&hear)
	a.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/order-plz" {
			w = &counted{w, &a.Orders}
		}
		switch {
		case a.Down.Load():
			panic(http.ErrAbortHandler)
		case c.Deny != nil && c.Deny(w, r):
		default:
			(*a.hear.Load()).ServeHTTP(w, r)
		}
	}))
	a.Config.ErrorLog = quiet
	a.StartTLS()
	return a, nil
}

// Close ends it.
func (a *Authority) Close() error {
	a.Server.Close()
	err := a.dns.Close()
	a.work.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Directory is its URL.
func (a *Authority) Directory() string { return a.URL + "/dir" }

// Roots are whom its own TLS certificate comes from.
func (a *Authority) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.Certificate())
	return pool
}

// Root is the root of what it issues, in PEM.
func (a *Authority) Root() []byte { return a.issuer.GetRootCert(0).PEM() }

// Become forgets everything, and is other from now on, at the same address.
func (a *Authority) Become(other *Authority) { a.hear.Store(other.hear.Load()) }

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

// resolver answers questions about names, over TCP, until it is closed.
func (a *Authority) resolver() {
	for {
		conn, err := a.dns.Accept()
		if err != nil {
			return
		}
		a.work.Go(func() {
			defer conn.Close()
			resolve(conn)
		})
	}
}

// resolve answers the one question of a connection; each is preceded by its length (RFC 1035 section 4.2.2). Addresses are
// 127.0.0.1, but those of names that begin with "nowhere.", which are none.
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
	if q := m.Questions[0]; q.Type == dnsmessage.TypeA && !strings.HasPrefix(q.Name.String(), "nowhere.") {
		m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 1}, Body: &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}}}}
	}
	if out, err := m.Pack(); err == nil {
		_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(out))), out...)) // one that went away needs none
	}
}
