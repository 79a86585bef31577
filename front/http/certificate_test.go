package http

import (
	"context"
	"crypto/tls"
	"io"
	nethttp "net/http"
	"slices"
	"sync/atomic"
	"testing"

	"casemate"
	"casemate/internal/casetest/selfsigned"
)

// A client's certificate reaches the corridor when it is asked for, whole and unjudged; nobody is asked while no route
// takes one.
func TestClientCertificateIsHandedOn(t *testing.T) {
	for _, h2 := range []bool{true, false} {
		t.Run(map[bool]string{true: "HTTP/2", false: "HTTP/1.1"}[h2], func(t *testing.T) { handedOn(t, h2) })
	}
}

func handedOn(t *testing.T, h2 bool) {
	dir := t.TempDir()
	cert, key := selfsigned.WritePair(t, dir, "server", 1)
	mine, mineKey := selfsigned.WritePair(t, dir, "client", 2)
	pair, err := tls.LoadX509KeyPair(mine, mineKey)
	if err != nil {
		t.Fatal(err)
	}
	var ask atomic.Bool
	var chain [][]byte
	s, _ := start(t, Config{CertFile: cert, KeyFile: key, AskCertificate: ask.Load, Listen: []Listener{{Addr: "127.0.0.1:0", TLS: true}},
		Handler: app(func(e *casemate.Event) (*casemate.Result, error) {
			chain = e.Credential.Chain
			return &casemate.Result{Payload: []byte(`"ok"`)}, nil
		})})
	call := func(certs ...tls.Certificate) {
		t.Helper()
		// Who checks the server is not asked here: the certificate is made for this test.
		transport := &nethttp.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: certs}, ForceAttemptHTTP2: h2} //nolint:gosec
		defer transport.CloseIdleConnections()
		req, err := nethttp.NewRequestWithContext(context.Background(), "GET", "https://"+s.Addrs()[0].String()+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	if call(pair); len(chain) != 0 {
		t.Error("a certificate came that nobody asked for")
	}
	ask.Store(true)
	if call(pair); len(chain) != 1 || string(chain[0]) != string(pair.Certificate[0]) {
		t.Errorf("got %d certificates", len(chain))
	}
	if call(); len(chain) != 0 {
		t.Error("a client without a certificate has one")
	}
}

// TestHandshakesThatAreNotForHTTP: a validator gets the certificate of its challenge and nothing else, also while clients are
// asked for certificates; without a challenge its protocol is none of ours.
func TestHandshakesThatAreNotForHTTP(t *testing.T) {
	dir := t.TempDir()
	pair := func(name string, serial int64) *tls.Certificate {
		c, err := tls.LoadX509KeyPair(selfsigned.WritePair(t, dir, name, serial))
		if err != nil {
			t.Fatal(err)
		}
		return &c
	}
	site, challenge := pair("site", 1), pair("challenge", 2)
	var open atomic.Bool
	_, addr := start(t, Config{Listen: []Listener{{Addr: "127.0.0.1:0", TLS: true}}, AskCertificate: func() bool { return true }, Handler: ok(`"hi"`),
		TLS: TLS{Minimum: tls.VersionTLS13, Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return site, nil },
			Challenge: func(h *tls.ClientHelloInfo) *tls.Config {
				if !open.Load() || !slices.Contains(h.SupportedProtos, "acme-tls/1") {
					return nil
				}
				return &tls.Config{Certificates: []tls.Certificate{*challenge}, NextProtos: []string{"acme-tls/1"}, MinVersion: tls.VersionTLS12}
			}}})
	dial := func(serial int64, c *tls.Config) (answer string, err error) {
		c.InsecureSkipVerify = true //nolint:gosec // made for this test
		conn, err := tls.Dial("tcp", addr, c)
		if err != nil {
			return "", err
		}
		defer conn.Close()
		if got := conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64(); got != serial {
			t.Errorf("certificate %d, not %d", got, serial)
		}
		_, _ = io.WriteString(conn, get("/", "Connection: close")) // it may be closed by now
		text, _ := io.ReadAll(conn)
		return string(text), nil
	}
	validator := &tls.Config{NextProtos: []string{"acme-tls/1"}, ServerName: "localhost"}
	if _, err := dial(2, validator); err == nil {
		t.Error("a validator that nobody waits for was let in")
	}
	open.Store(true)
	if text, err := dial(2, validator); err != nil || text != "" {
		t.Errorf("%q, %v", text, err)
	}
	if text, err := dial(1, &tls.Config{NextProtos: []string{"http/1.1"}}); err != nil || text == "" {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := dial(1, &tls.Config{MaxVersion: tls.VersionTLS12}); err == nil {
		t.Error("TLS 1.2 below the minimum was taken")
	}
}
