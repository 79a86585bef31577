package certificate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"casemate"
)

const (
	authorityLife  = 2 * 365 * 24 * time.Hour
	authorityRenew = 60 * 24 * time.Hour
	leafLife       = 30 * 24 * time.Hour
	leafRenew      = 10 * 24 * time.Hour
	backdate       = time.Hour // for clocks that differ

	authorityKeyFile = "ca-key.pem"
	authorityFile    = "ca.pem"
)

// Authority is the development authority: it signs certificates for this machine's own names and for nothing else,
// because its own certificate is constrained to them (RFC 5280 section 4.2.1.10). Trusting its ca.pem therefore does
// not let it, or a thief of its key, speak for other hosts. Safe for concurrent use.
type Authority struct {
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	names []string
	clock func() time.Time

	mu   sync.Mutex
	leaf *tls.Certificate
}

// OpenAuthority loads the authority in dir, or makes one when there is none or it is about to expire: ca.pem for
// clients to trust, ca-key.pem with mode 0600. names are served besides localhost, the loopback addresses and the host's
// own name. The leaf certificate lives in memory only.
func OpenAuthority(dir string, clock func() time.Time, names ...string) (*Authority, error) {
	a := &Authority{names: append([]string{"localhost"}, names...), clock: clock}
	if host, err := os.Hostname(); err == nil && host != "" && !strings.ContainsAny(host, "*@ ") {
		a.names = append(a.names, strings.ToLower(host))
	}
	err := a.load(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !a.serves() {
		err = a.create(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the development authority: %w", err)
	}
	return a, nil
}

// serves reports whether the loaded authority lives long enough and may sign all of our names: a chain with one name
// outside the constraints verifies for none.
func (a *Authority) serves() bool {
	for _, n := range a.names {
		if !slices.Contains(a.cert.PermittedDNSDomains, strings.TrimPrefix(n, "*.")) {
			return false
		}
	}
	return a.clock().Add(authorityRenew).Before(a.cert.NotAfter)
}

func (a *Authority) load(dir string) error {
	path := filepath.Join(dir, authorityKeyFile)
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return &casemate.Error{Code: casemate.Unavailable, Message: "others may read the development authority's key",
			Hint: "delete " + authorityKeyFile + " and " + authorityFile + "; new ones are made at the next start"}
	}
	keyPEM, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	certPEM, err := os.ReadFile(filepath.Join(dir, authorityFile))
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return fmt.Errorf("%s and %s do not belong together: %w", authorityFile, authorityKeyFile, err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || !pair.Leaf.IsCA {
		return fmt.Errorf("%s is not an authority of ours", authorityFile)
	}
	a.cert, a.key = pair.Leaf, key
	return nil
}

func (a *Authority) create(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	t, err := template("Casemate development authority", a.clock(), authorityLife)
	if err != nil {
		return err
	}
	t.IsCA, t.BasicConstraintsValid, t.MaxPathLenZero = true, true, true
	t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	t.PermittedDNSDomainsCritical = true
	for _, n := range a.names {
		t.PermittedDNSDomains = append(t.PermittedDNSDomains, strings.TrimPrefix(n, "*."))
	}
	t.PermittedIPRanges = []*net.IPNet{{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)}, {IP: net.IPv6loopback, Mask: net.CIDRMask(128, 128)}}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return err
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	a.key = key
	// Old key out, certificate in, key in: a crash in between leaves no key, and the next start makes a new pair.
	if err := os.Remove(filepath.Join(dir, authorityKeyFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := writeFile(filepath.Join(dir, authorityFile), 0o644, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, authorityKeyFile), 0o600, &pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

// writeFile replaces a file in one step, with its mode from the first byte on.
func writeFile(path string, mode os.FileMode, block *pem.Block) error {
	tmp, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	err = errors.Join(tmp.Chmod(mode), pem.Encode(tmp, block), tmp.Sync(), tmp.Close())
	if err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// GetCertificate gives the leaf certificate, a new one when the old one is near its end; it is made for
// tls.Config.GetCertificate.
func (a *Authority) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.clock()
	if a.leaf != nil && now.Add(leafRenew).Before(a.leaf.Leaf.NotAfter) {
		return a.leaf, nil
	}
	leaf, err := a.sign(now)
	if err != nil {
		return nil, fmt.Errorf("signing the development certificate: %w", err)
	}
	a.leaf = leaf
	return leaf, nil
}

func (a *Authority) sign(now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t, err := template("Casemate development", now, leafLife)
	if err != nil {
		return nil, err
	}
	t.DNSNames, t.IPAddresses = a.names, []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	t.KeyUsage, t.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

func template(name string, now time.Time, life time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	return &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name, Organization: []string{"Casemate"}},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(life)}, nil
}
