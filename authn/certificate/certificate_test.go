package certificate

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"casemate"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// signer is a certificate with its key.
type signer struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// issue makes a certificate; by nil signs itself.
func issue(t testing.TB, by *signer, bend func(*x509.Certificate)) *signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x := &x509.Certificate{SerialNumber: big.NewInt(noon.Unix()), Subject: pkix.Name{CommonName: "shop.partner.example"}, NotBefore: noon.Add(-time.Hour), NotAfter: noon.Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true}
	bend(x)
	parent, signing := x, crypto.Signer(key)
	if by != nil {
		parent, signing = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, x, parent, key.Public(), signing)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &signer{cert, key}
}

func authority(x *x509.Certificate) {
	x.IsCA, x.KeyUsage, x.ExtKeyUsage = true, x509.KeyUsageCertSign, nil
	x.Subject.CommonName = "an authority"
}

func client(x *x509.Certificate) {
	x.DNSNames = []string{"a.partner.example", "b.other.example"}
	x.URIs = []*url.URL{{Scheme: "spiffe", Host: "partner", Path: "/ns/shop"}}
	x.EmailAddresses = []string{"ops@partner.example"}
	x.IPAddresses = []net.IP{net.ParseIP("192.0.2.7")}
}

func text(s *signer) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.cert.Raw}))
}

func pin(s *signer) string {
	sum := sha256.Sum256(s.cert.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

func rule(ca *signer, san ...string) *casemate.Certificate {
	return &casemate.Certificate{App: "shop", Name: "partner", CA: text(ca), SAN: san, Role: "buyer"}
}

func TestWhoACertificateIs(t *testing.T) {
	ca := issue(t, nil, authority)
	between := issue(t, ca, authority)
	other := issue(t, nil, authority)
	good := issue(t, ca, client)
	deep := issue(t, between, client)
	self := issue(t, nil, client)
	chain := func(all ...*signer) (out [][]byte) {
		for _, s := range all {
			out = append(out, s.cert.Raw)
		}
		return out
	}
	pins := func(s ...string) *casemate.Certificate {
		return &casemate.Certificate{App: "shop", Name: "partner", Pins: s, Role: "buyer"}
	}
	both := rule(ca, "any")
	both.Pins = []string{pin(good)}
	for name, c := range map[string]struct {
		rule  *casemate.Certificate
		chain [][]byte
		want  string // the principal's name; "" is a refusal
	}{
		"by its name":               {rule(ca, "dns:a.partner.example"), chain(good), "dns:a.partner.example"},
		"by a star":                 {rule(ca, "dns:*.partner.example"), chain(good), "dns:a.partner.example"},
		"by another rule":           {rule(ca, "dns:x.example", "email:ops@partner.example"), chain(good), "email:ops@partner.example"},
		"by a URI":                  {rule(ca, "uri:spiffe://partner/*"), chain(good), "uri:spiffe://partner/ns/shop"},
		"by an address":             {rule(ca, "ip:192.0.2.7"), chain(good), "ip:192.0.2.7"},
		"any of the authority":      {rule(ca, "any"), chain(good), "dns:a.partner.example"},
		"through an intermediate":   {rule(ca, "any"), chain(deep, between), "dns:a.partner.example"},
		"pinned":                    {pins(pin(self)), chain(self), "sha256:" + pin(self)[:16]},
		"pinned and signed":         {both, chain(good), "dns:a.partner.example"},
		"nobody":                    {rule(ca, "any"), nil, ""},
		"no rule for names":         {rule(ca), chain(good), ""},
		"the zero rule":             {&casemate.Certificate{}, chain(good), ""},
		"other authority":           {rule(other, "any"), chain(good), ""},
		"itself":                    {rule(ca, "any"), chain(self), ""},
		"itself with the authority": {rule(ca, "any"), chain(self, ca), ""},
		"intermediate not sent":     {rule(ca, "any"), chain(deep), ""},
		"a name of the common name": {rule(ca, "dns:shop.partner.example"), chain(good), ""},
		"other name":                {rule(ca, "dns:*.else.example"), chain(good), ""},
		"not pinned":                {pins(pin(good)), chain(self), ""},
		"signed, not pinned":        {both, chain(issue(t, ca, client)), ""},
		"expired":                   {rule(ca, "any"), chain(issue(t, ca, func(x *x509.Certificate) { client(x); x.NotAfter = noon.Add(-time.Second) })), ""},
		"expired pin":               {pins(pin(self)), chain(issueWith(t, self, func(x *x509.Certificate) { client(x); x.NotAfter = noon.Add(-time.Second) })), ""},
		"not yet":                   {rule(ca, "any"), chain(issue(t, ca, func(x *x509.Certificate) { client(x); x.NotBefore = noon.Add(time.Minute) })), ""},
		"a server's": {rule(ca, "any"), chain(issue(t, ca, func(x *x509.Certificate) {
			client(x)
			x.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		})), ""},
		"a client that signs clients": {rule(ca, "any"), chain(issue(t, good, client), good), ""},
		"no certificate":              {rule(ca, "any"), [][]byte{[]byte("nonsense")}, ""},
		"a long chain":                {rule(ca, "any"), chain(good, ca, ca, ca, ca, ca, ca), ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := New(casemate.DefaultPlace, func() time.Time { return noon })
			for range 2 { // the second time from memory
				p, err := r.Verify(c.rule, c.chain)
				if c.want == "" {
					if err == nil || p != nil {
						t.Fatalf("was taken as %+v", p)
					}
					continue
				}
				if err != nil || p.ID != "certificate/shop/partner|"+c.want || p.Role != "buyer" || !p.Known() || p.Kind != casemate.KindCertificate {
					t.Fatalf("got %+v, %v; want %s", p, err, c.want)
				}
			}
		})
	}
}

// issueWith signs a certificate for a key that is there already.
func issueWith(t *testing.T, s *signer, bend func(*x509.Certificate)) *signer {
	t.Helper()
	x := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: noon.Add(-time.Hour), NotAfter: noon.Add(time.Hour)}
	bend(x)
	der, err := x509.CreateCertificate(rand.Reader, x, x, s.key.Public(), s.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &signer{cert, s.key}
}

// What is remembered does not outlive the certificate, and belongs to one rule.
func TestMemoryForgets(t *testing.T) {
	ca := issue(t, nil, authority)
	short := issue(t, ca, func(x *x509.Certificate) { client(x); x.NotAfter = noon.Add(10 * time.Second) })
	now := noon
	r := New(casemate.DefaultPlace, func() time.Time { return now })
	c, chain := rule(ca, "any"), [][]byte{short.cert.Raw}
	if _, err := r.Verify(c, chain); err != nil {
		t.Fatal(err)
	}
	for _, bend := range []func(*casemate.Certificate){
		func(c *casemate.Certificate) { c.SAN = []string{"dns:x.example.org"} },
		func(c *casemate.Certificate) { c.Pins = []string{strings.Repeat("0", 64)} },
		func(c *casemate.Certificate) { c.CA = text(issue(t, nil, authority)) },
	} {
		other := *c
		bend(&other)
		if p, err := r.Verify(&other, chain); err == nil {
			t.Errorf("a changed rule still takes %s", p.ID)
		}
	}
	now = noon.Add(11 * time.Second)
	if _, err := r.Verify(c, chain); err == nil {
		t.Error("an expired certificate is still taken")
	}
	for i := range 3 * maxKept {
		r.keep([32]byte{byte(i), byte(i >> 8)}, kept{until: now.Add(time.Hour)}, now)
	}
	if len(r.kept) > maxKept {
		t.Errorf("%d verdicts are kept", len(r.kept))
	}
}

func TestAuthorityIsCertificatesAlone(t *testing.T) {
	ca, leaf := issue(t, nil, authority), issue(t, nil, client)
	key := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")}))
	for name, bad := range map[string]string{"empty": "", "text": "hello", "a key": text(ca) + key, "a leaf": text(leaf), "cut": text(ca) + text(ca)[:80],
		"broken": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}))} {
		if _, err := Authority(bad); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if _, err := Authority(text(ca) + "\n" + text(issue(t, nil, authority))); err != nil {
		t.Error(err)
	}
}

func TestNameRules(t *testing.T) {
	for r, ok := range map[string]bool{"any": true, "dns:a.example": true, "dns:*.a.example": true, "uri:spiffe://x/y": true, "uri:spiffe://x/*": true, "email:a@b.example": true, "ip:2001:db8::1": true,
		"": false, "dns:": false, "dns:*": false, "dns:*.example": false, "dns:a*.example.org": false, "dns:*.*.example": false, "a.example.org": false, "cn:a": false, "uri:/x": false, "uri:spiffe://x/*/y": false,
		"uri:spiffe://*": false, "email:*@b.example": false, "ip:10.0.0.0/8": false, "ip:2001:db8:0::1": false} {
		if err := CheckName(r); (err == nil) != ok {
			t.Errorf("%q: %v", r, err)
		}
	}
	for _, c := range []struct {
		rule, name string
		ok         bool
	}{
		{"dns:*.a.example", "dns:x.a.example", true}, {"dns:*.a.example", "dns:x.y.a.example", false}, {"dns:*.a.example", "dns:a.example", false},
		{"dns:*.a.example", "dns:*.a.example", false}, {"dns:*.a.example", "dns:.a.example", false}, {"dns:A.example", "dns:a.example", true}, {"dns:a.example", "email:a.example", false},
		{"uri:spiffe://x/*", "uri:spiffe://x/a/b", true}, {"uri:spiffe://x/*", "uri:spiffe://x/", false}, {"uri:spiffe://x/*", "uri:spiffe://xy/a", false},
		{"uri:spiffe://x/a/*", "uri:spiffe://x/a/../b", false}, {"uri:spiffe://x/a/*", "uri:spiffe://x/a/%2e%2e/b", false}, {"uri:spiffe://x/*", "uri:spiffe://x//b", false},
		{"email:a@b.c", "email:A@b.c", false}, {"ip:10.0.0.1", "ip:10.0.0.1", true},
	} {
		if matches(c.rule, c.name) != c.ok {
			t.Errorf("%s takes %s: %v", c.rule, c.name, !c.ok)
		}
	}
}

// A rule for DNS names never takes a name with more or fewer labels than itself.
func TestStarIsOneLabel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		label := rapid.StringMatching(`[a-z0-9*.]{0,6}`)
		name := rapid.SliceOfN(label, 1, 5).Draw(t, "labels")
		is := strings.Join(name, ".")
		if matches("dns:*.p.example", "dns:"+is) && (strings.Count(is, ".") != 2 || !strings.HasSuffix(is, ".p.example") || strings.HasPrefix(is, "*")) {
			t.Fatalf("took %q", is)
		}
	})
}

func FuzzAuthority(f *testing.F) {
	f.Add("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----")
	f.Fuzz(func(t *testing.T, s string) {
		if p, err := Authority(s); (p == nil) == (err == nil) {
			t.Fatal("neither an authority nor an error")
		}
	})
}

func FuzzChain(f *testing.F) {
	f.Add([]byte("0"), []byte("1"))
	r := New(casemate.DefaultPlace, func() time.Time { return noon })
	c := &casemate.Certificate{App: "a", Name: "b", Pins: []string{strings.Repeat("0", 64)}}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if p, err := r.Verify(c, [][]byte{a, b}); err == nil {
			t.Fatalf("took %+v", p)
		}
	})
}
