package certificate

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"

	"casemate"
)

func TestAuthorityRenews(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	clock := func() time.Time { return now }
	open := func() (*Authority, string) {
		a, err := OpenAuthority(dir, clock, "*.lambda-url.localhost")
		if err != nil {
			t.Fatal(err)
		}
		return a, a.cert.SerialNumber.String()
	}
	a, first := open()
	leaf, _ := a.GetCertificate(nil)
	if again, _ := a.GetCertificate(nil); again != leaf {
		t.Error("a fresh leaf was replaced")
	}
	now = now.Add(leafLife - leafRenew + time.Minute)
	if again, _ := a.GetCertificate(nil); again == leaf {
		t.Error("a leaf near its end was kept")
	}
	if _, second := open(); second != first {
		t.Error("a living authority was replaced")
	}
	if _, err := OpenAuthority(dir, clock, "other.localdomain"); err != nil {
		t.Error(err)
	}
	if _, third := open(); third == first {
		t.Error("an authority that may not sign our names was kept")
	}
	if !a.cert.PermittedDNSDomainsCritical {
		t.Error("a client that does not know name constraints would ignore them")
	}
	_, fourth := open()
	now = now.Add(authorityLife - authorityRenew)
	if _, fifth := open(); fifth == fourth {
		t.Error("an authority near its end was kept")
	}
	if err := os.Chmod(filepath.Join(dir, authorityKeyFile), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenAuthority(dir, clock); casemate.CodeOf(err) != casemate.Unavailable {
		t.Errorf("a key that others may read was used: %v", err)
	}
}

// Trusting the development authority trusts it for this machine only.
func TestAuthorityCannotSpeakForOthers(t *testing.T) {
	a, err := OpenAuthority(t.TempDir(), time.Now, "*.lambda-url.localhost")
	if err != nil {
		t.Fatal(err)
	}
	a.names = []string{"bank.example.com"}
	leaf, err := a.sign(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	if _, err := leaf.Leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: "bank.example.com"}); err == nil {
		t.Error("a certificate for another host verified")
	}
}
