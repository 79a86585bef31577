// Package certificate gives TLS listeners what they show: a pair of files that may be replaced while it is served, or the
// certificate of a development authority, which speaks for this machine alone.
package certificate

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
