package http

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// lookEvery is how often a handshake looks whether the files of a certificate are others.
const lookEvery = 5 * time.Second

// Files is a certificate and its key in files, which may be replaced while they are served: a handshake looks at them again
// when lookEvery has passed. A pair that cannot be loaded changes nothing, and is said in the log: the one before stays
// until there is a better one. Its methods may be called concurrently.
type Files struct {
	cert, key string
	clock     func() time.Time
	log       *slog.Logger

	mu     sync.Mutex
	loaded *tls.Certificate
	state  [2]stamp // of the files that were last tried
	next   time.Time
}

// stamp is how a file is told from the one that replaced it.
type stamp struct {
	size int64
	at   time.Time
}

// OpenFiles loads the pair for the first time; an error here means that there is nothing to serve.
func OpenFiles(cert, key string, clock func() time.Time, log *slog.Logger) (*Files, error) {
	f := &Files{cert: cert, key: key, clock: clock, log: log, state: stamps(cert, key), next: clock().Add(lookEvery)}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("loading the TLS certificate: %w", err)
	}
	f.loaded = &pair
	return f, nil
}

// GetCertificate is for tls.Config.
func (f *Files) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.clock()
	if now.Before(f.next) {
		return f.loaded, nil
	}
	f.next = now.Add(lookEvery)
	state := stamps(f.cert, f.key)
	if state == f.state {
		return f.loaded, nil
	}
	pair, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil { // half written, perhaps: it is tried again
		f.log.Error("the TLS certificate's files changed and cannot be loaded; the one before is served on", "err", err)
		return f.loaded, nil
	}
	f.loaded, f.state = &pair, state
	f.log.Info("serving a new TLS certificate", "until", pair.Leaf.NotAfter)
	return f.loaded, nil
}

// stamps of files; of one that cannot be looked at, the zero stamp.
func stamps(names ...string) (all [2]stamp) {
	for i, name := range names {
		if info, err := os.Stat(name); err == nil {
			all[i] = stamp{info.Size(), info.ModTime()}
		}
	}
	return all
}

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
		files, err := OpenFiles(c.CertFile, c.KeyFile, c.Clock, c.Log)
		if err != nil {
			return nil, err
		}
		t.GetCertificate = files.GetCertificate
	default:
		a, err := OpenAuthority(c.Dir, c.Clock, "*"+c.Domain)
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
