package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"os"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// certificateCommand makes a certificate and its key, NAME.pem and NAME.key: "certificate authority NAME",
// "certificate client NAME AUTHORITY DNS-NAME", and sets $PIN to the pin of its public key.
func certificateCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || args[0] == "client" && len(args) != 4 {
		ts.Fatalf("usage: certificate authority NAME | client NAME AUTHORITY DNS-NAME")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	x := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: args[1]}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		BasicConstraintsValid: true, IsCA: args[0] == "authority", KeyUsage: x509.KeyUsageDigitalSignature}
	parent, signer := x, key
	if x.IsCA {
		x.KeyUsage = x509.KeyUsageCertSign
	} else {
		x.DNSNames, x.ExtKeyUsage = []string{args[3]}, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		pair, err := tls.LoadX509KeyPair(ts.MkAbs(args[2]+".pem"), ts.MkAbs(args[2]+".key"))
		ts.Check(err)
		parent, signer = pair.Leaf, pair.PrivateKey.(*ecdsa.PrivateKey)
	}
	der, err := x509.CreateCertificate(rand.Reader, x, parent, key.Public(), signer)
	ts.Check(err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]+".pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]+".key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	ts.Check(err)
	sum := sha256.Sum256(public)
	ts.Setenv("PIN", "sha256:"+hex.EncodeToString(sum[:]))
}

// shown is the client certificate NAME.
func shown(ts *testscript.TestScript, name string) []tls.Certificate {
	pair, err := tls.LoadX509KeyPair(ts.MkAbs(name+".pem"), ts.MkAbs(name+".key"))
	ts.Check(err)
	return []tls.Certificate{pair}
}
