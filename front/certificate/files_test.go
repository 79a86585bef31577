package certificate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// writePair writes a certificate that signed itself, and its key.
func writePair(t *testing.T, dir, name string, serial int64) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "a"}, DNSNames: []string{"localhost"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, x, x, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func TestCertificateFilesAreServedAnewWhenTheyChange(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	cert, key := writePair(t, dir, "a", 1)
	f, err := OpenFiles(cert, key, func() time.Time { return now }, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	serial := func() int64 {
		c, err := f.GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		return c.Leaf.SerialNumber.Int64()
	}
	stamp := func(d time.Duration) { // a change within the file system's grain of time is told by its size alone
		for _, p := range []string{cert, key} {
			if err := os.Chtimes(p, now.Add(d), now.Add(d)); err != nil {
				t.Fatal(err)
			}
		}
	}
	writePair(t, dir, "a", 2)
	stamp(time.Second)
	if serial() != 1 {
		t.Error("the files are looked at in every handshake")
	}
	now = now.Add(lookEvery)
	if serial() != 2 {
		t.Error("the new certificate is not served")
	}
	if err := os.WriteFile(key, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	now = now.Add(lookEvery)
	if serial() != 2 {
		t.Error("a broken pair took the place of a good one")
	}
	if err := os.Remove(cert); err != nil {
		t.Fatal(err)
	}
	now = now.Add(lookEvery)
	if serial() != 2 {
		t.Error("a missing file took the place of a good one")
	}
	writePair(t, dir, "a", 3)
	now = now.Add(lookEvery)
	if serial() != 3 {
		t.Error("the repaired pair is not served")
	}
	if _, err := OpenFiles(cert, filepath.Join(dir, "none"), time.Now, slog.Default()); err == nil {
		t.Error("a pair without a key was opened")
	}
}
