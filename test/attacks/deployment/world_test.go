package deployment

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path"
	"strings"
	"sync"
	"testing"
	"time"
)

// ledger is the world outside of a node: it counts what functions tell it, and answers for their partners. What is inside,
// it answers on another address.
type ledger struct {
	mu     sync.Mutex
	counts map[string]int64
	at     *httptest.Server // ledger.test and partner.test
	inside *httptest.Server // what nobody outside may reach
	door   http.Handler     // the node's own public door, for functions that come back in
}

func newLedger(t *testing.T) *ledger {
	l := &ledger{counts: map[string]int64{}}
	l.at = httptest.NewServer(l)
	l.inside = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.count("inside")
		fmt.Fprint(w, "inside-keeps-this")
	}))
	t.Cleanup(l.at.Close)
	t.Cleanup(l.inside.Close)
	return l
}

func (l *ledger) count(names ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range names {
		l.counts[name]++
	}
}

func (l *ledger) read(name string) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts[name]
}

// ServeHTTP implements http.Handler.
func (l *ledger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.Host, "ledger.test") {
		effect, whose, _ := strings.Cut(strings.Trim(r.URL.Path, "/"), "/")
		l.count("all", effect, effect+"/"+whose)
		return
	}
	if strings.HasPrefix(r.Host, "door.test") {
		l.door.ServeHTTP(w, r)
		return
	}
	switch r.URL.Path {
	case "/fair":
		fmt.Fprint(w, `{"price": 3}`)
	case "/away":
		http.Redirect(w, r, "http://inside.test/latest/meta-data/", http.StatusFound)
	case "/wrong":
		fmt.Fprint(w, `{"price": "<script>alert(document.domain)</script>"}`)
	case "/more":
		fmt.Fprint(w, `{"price": 3, "internal_cost": 1}`)
	case "/negative":
		fmt.Fprint(w, `{"price": -3}`)
	case "/broken":
		fmt.Fprint(w, `{"price": 3, "price": -1`)
	case "/secret":
		fmt.Fprint(w, "{\"note\": \"-----BEGIN RSA PRIVATE KEY-----\\n"+strings.Repeat("MIIEowIBAAKCAQEA7cansecretkeymaterial0123456789abcdef", 4)+"\\n-----END RSA PRIVATE KEY-----\"}")
	case "/large":
		_, _ = w.Write(make([]byte, 4<<20)) // the reader may end it
	default:
		fmt.Fprint(w, "hello from "+r.Host)
	}
}

// careless is a front before the weakened node that does what careless gateways do: it throws credentials away unread, cleans
// paths after the fact, believes headers about methods and paths, tells everything to everybody, and hides bodies' types.
func careless(t *testing.T, to string) http.Handler {
	t.Helper()
	target, err := url.Parse(to)
	must(t, err)
	proxy := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		p.SetURL(target)
		forget(p)
		respell(p)
	}, ModifyResponse: func(res *http.Response) error {
		if origin := res.Request.Header.Get("Origin"); origin != "" {
			res.Header.Set("Access-Control-Allow-Origin", origin)
			res.Header.Set("Access-Control-Allow-Credentials", "true")
		}
		res.Header.Set("Server", "careless/1.0.3 (internal)")
		return nil
	}, ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
		http.Error(w, err.Error(), http.StatusBadGateway)
	}}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodTrace {
			text, _ := httputil.DumpRequest(r, true) // of what was read
			_, _ = w.Write(text)
			return
		}
		if strings.HasPrefix(r.URL.Path, "/.") || strings.HasPrefix(r.URL.Path, "/metrics") {
			fmt.Fprint(w, "internal-metrics-of-the-platform")
			return
		}
		proxy.ServeHTTP(w, r)
	})
}

// forget takes away whatever could prove something, and passes on little else.
func forget(p *httputil.ProxyRequest) {
	kept := http.Header{}
	for _, name := range []string{"Accept", "Origin", "Prefer", "X-Again", "X-Depth", "Traceparent"} {
		if v := p.In.Header[name]; len(v) > 0 {
			kept[name] = v[:1]
		}
	}
	p.Out.Header = kept
	q := p.Out.URL.Query()
	for name := range q {
		if strings.HasPrefix(name, "X-Amz-") {
			q.Del(name)
		}
	}
	p.Out.URL.RawQuery = q.Encode()
	if p.In.ContentLength != 0 {
		kept.Set("Content-Type", "application/octet-stream")
	}
}

// respell makes of a request what somebody behind a gateway might make of it.
func respell(p *httputil.ProxyRequest) {
	for _, name := range []string{"X-Original-Url", "X-Rewrite-Url"} {
		if v := p.In.Header.Get(name); v != "" {
			p.Out.URL.Path = v
		}
	}
	for _, name := range []string{"X-Http-Method-Override", "X-Method-Override", "X-Http-Method"} {
		if v := p.In.Header.Get(name); v != "" {
			p.Out.Method = strings.ToUpper(v)
		}
	}
	p.Out.Method = strings.ToUpper(p.Out.Method)
	clean := p.Out.URL.Path
	for range 2 {
		if once, err := url.PathUnescape(clean); err == nil {
			clean = once
		}
	}
	clean, _, _ = strings.Cut(clean, ";")
	clean, _, _ = strings.Cut(clean, "\x00")
	clean = path.Clean("/" + strings.ToLower(strings.ReplaceAll(clean, `\`, "/")))
	p.Out.URL.Path, p.Out.URL.RawPath = strings.TrimSuffix(clean, ".json"), ""
	p.Out.Host = p.In.Host
	if v := p.In.Header.Get("X-Forwarded-Host"); v != "" {
		p.Out.Host = v
	}
}

// issuers are three login services: one that is trusted, one that is trusted with little, and one that was.
func issuers(t *testing.T) map[string]*Issuer {
	t.Helper()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	out := map[string]*Issuer{}
	for name, i := range map[string]*Issuer{"home": {Alg: "RS256", Key: rsaKey}, "other": {Alg: "EdDSA", Key: edKey}, "gone": {Alg: "ES256", Key: ecKey}} {
		i.KID = name + "-1"
		i.Claims = map[string]any{"iss": "https://" + name + ".example/", "aud": "shop", "sub": "ann"}
		der, err := x509.MarshalPKIXPublicKey(i.Key.Public())
		must(t, err)
		i.Public = pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		out[name] = i
	}
	return out
}

// keySet is an issuer's, as a JWK Set. RFC 7517, 7518.
func keySet(t *testing.T, i *Issuer) []byte {
	t.Helper()
	key := map[string]string{"use": "sig", "alg": i.Alg, "kid": i.KID}
	switch k := i.Key.Public().(type) {
	case *rsa.PublicKey:
		key["kty"], key["n"], key["e"] = "RSA", b64.EncodeToString(k.N.Bytes()), b64.EncodeToString(big.NewInt(int64(k.E)).Bytes())
	case ed25519.PublicKey:
		key["kty"], key["crv"], key["x"] = "OKP", "Ed25519", b64.EncodeToString(k)
	case *ecdsa.PublicKey:
		point, err := k.Bytes()
		must(t, err)
		key["kty"], key["crv"], key["x"], key["y"] = "EC", "P-256", b64.EncodeToString(point[1:33]), b64.EncodeToString(point[33:])
	}
	text, err := json.Marshal(map[string]any{"keys": []any{key}})
	must(t, err)
	return text
}

// authority signs certificates; nil signs itself.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
	der  [][]byte
}

func (a *authority) issue(t *testing.T, change func(*x509.Certificate)) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	must(t, err)
	x := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: "shop.partner.example"}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(time.Hour),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	change(x)
	parent, signer := x, crypto.Signer(key)
	var rest [][]byte
	if a != nil {
		parent, signer, rest = a.cert, a.key, a.der
	}
	der, err := x509.CreateCertificate(rand.Reader, x, parent, key.Public(), signer)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	return &authority{cert, key, append([][]byte{der}, rest...)}
}

func (a *authority) shown() tls.Certificate {
	return tls.Certificate{Certificate: a.der, PrivateKey: a.key}
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

func (a *authority) pin() string {
	sum := sha256.Sum256(a.cert.RawSubjectPublicKeyInfo)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// certificates are what clients show: good ones, and every kind of bad one.
func certificates(t *testing.T) (ca, build *authority, all map[string]tls.Certificate) {
	t.Helper()
	root := func(x *x509.Certificate) {
		x.IsCA, x.KeyUsage, x.ExtKeyUsage, x.Subject.CommonName = true, x509.KeyUsageCertSign, nil, "partner authority"
	}
	named := func(name string) func(*x509.Certificate) {
		return func(x *x509.Certificate) { x.DNSNames = []string{name} }
	}
	const good = "shop.partner.example"
	var none *authority
	ca = none.issue(t, root)
	foreign := none.issue(t, root) // the same name, another key
	build = none.issue(t, named("ci.example"))
	leaf := ca.issue(t, named(good))
	all = map[string]tls.Certificate{}
	for name, c := range map[string]*authority{
		"good": leaf, "build": build, "foreign": foreign.issue(t, named(good)), "self": none.issue(t, named(good)),
		"stranger": ca.issue(t, named("shop.else.example")), "suffix": ca.issue(t, named("partner.example.evil.example")), "deep": ca.issue(t, named("a.b.partner.example")),
		"star": ca.issue(t, named("*.partner.example")), "common": ca.issue(t, func(*x509.Certificate) {}),
		"mail":    ca.issue(t, func(x *x509.Certificate) { x.EmailAddresses = []string{"root@shop.partner.example"} }),
		"address": ca.issue(t, func(x *x509.Certificate) { x.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} }),
		"expired": ca.issue(t, func(x *x509.Certificate) { x.DNSNames, x.NotAfter = []string{good}, time.Now().Add(-time.Hour) }),
		"early":   ca.issue(t, func(x *x509.Certificate) { x.DNSNames, x.NotBefore = []string{good}, time.Now().Add(30*time.Minute) }),
		"server": ca.issue(t, func(x *x509.Certificate) {
			x.DNSNames, x.ExtKeyUsage = []string{good}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}),
		"chained": leaf.issue(t, named("forged.partner.example")), // a leaf that signs
	} {
		all[name] = c.shown()
	}
	return ca, build, all
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
