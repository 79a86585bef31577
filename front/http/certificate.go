package http

import (
	"crypto/tls"

	"casemate/front/certificate"
)

// TLS is what TLS listeners speak. The zero TLS is 1.2 and 1.3, with the certificate of Config's files or authority.
type TLS struct {
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error) // as tls.Config.GetCertificate; nil: Config's files, or its authority
	// Challenge gives the configuration of a handshake that is for something else than HTTP, nil for all others (those of
	// TLS-ALPN-01 validators are, RFC 8737). Such a connection is closed when its handshake is done.
	Challenge func(*tls.ClientHelloInfo) *tls.Config
	Minimum   uint16 // 0: TLS 1.2; lower ones are not to be had
}

func tlsConfig(c Config) (*tls.Config, error) {
	t := &tls.Config{MinVersion: max(tls.VersionTLS12, c.TLS.Minimum), NextProtos: []string{"h2", "http/1.1"}, GetCertificate: c.TLS.Certificate}
	switch {
	case t.GetCertificate != nil:
	case c.CertFile != "":
		files, err := certificate.OpenFiles(c.CertFile, c.KeyFile, c.Clock, c.Log)
		if err != nil {
			return nil, err
		}
		t.GetCertificate = files.GetCertificate
	default:
		a, err := certificate.OpenAuthority(c.Dir, c.Clock, "*"+c.Domain)
		if err != nil {
			return nil, err
		}
		t.GetCertificate = a.GetCertificate
	}
	return asking(t, c.AskCertificate, c.TLS.Challenge), nil
}

// asking is t, and a copy of it that asks for client certificates while ask says so. A certificate is asked for and its
// holder has to prove that the key is his; what it is worth is for the corridor to say, by the route. A session that was
// begun without asking is not resumed with it: the two have ticket keys of their own. challenge comes first.
func asking(t *tls.Config, ask func() bool, challenge func(*tls.ClientHelloInfo) *tls.Config) *tls.Config {
	with := t.Clone()
	with.ClientAuth = tls.RequestClientCert
	t.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if challenge != nil {
			if other := challenge(hello); other != nil {
				return other, nil
			}
		}
		if ask != nil && ask() {
			return with, nil
		}
		return nil, nil
	}
	return t
}
