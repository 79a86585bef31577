package acme

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"casemate/internal/casetest/authority"
)

// newAuthority is Let's Encrypt's own test server, in this process.
func newAuthority(t *testing.T, c authority.Config) *authority.Authority {
	t.Helper()
	a, err := authority.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
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
