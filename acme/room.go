// Package acme gets the node's own certificates from an authority by ACME (RFC 8555), keeps them and renews them.
//
// Only names that the operator listed are ever asked for, one certificate each: no handshake makes the node ask. A
// certificate that cannot be renewed is served on, and what failed is said in the log, in Status and by casemate posture.
// Private keys lie in the node's vault, sealed; the store holds certificates and times alone.
package acme

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"casemate"
	"casemate/store"
)

// DefaultDirectory is Let's Encrypt's.
const DefaultDirectory = "https://acme-v02.api.letsencrypt.org/directory"

// maxNames bounds the names of one node: authorities bound the orders of an account, and one waits for the other.
const maxNames = 100

// Vault seals small values. Put of a name that is there is a Conflict, Get of one that is not NotFound; Drop of one that is
// not there is no error.
type Vault interface {
	Put(ctx context.Context, name string, value []byte) error
	Get(ctx context.Context, name string) ([]byte, error)
	Drop(ctx context.Context, name string) error
}

// Config is what the room needs. Store, Vault, Names and Clock are required, and so is that somebody agreed.
type Config struct {
	Store     store.Store
	Vault     Vault
	Names     []string       // the only ones that are asked for, as CheckName gives them
	Directory string         // URL of the authority's directory; "" is DefaultDirectory. https, or http on loopback
	Roots     *x509.CertPool // whom the authority's own TLS certificate must come from; nil: the machine's
	Email     string         // where the authority writes to; "" is nowhere
	Agreed    bool           // to the authority's terms of service
	EAB       *EAB           // nil: the authority wants none
	HTTP      bool           // somebody asks KeyAuthorization on port 80, so HTTP-01 may be tried as well
	ALPN      bool           // somebody asks Challenge on port 443, so TLS-ALPN-01 may be tried
	Clock     func() time.Time
	Log       *slog.Logger // nil: nowhere
}

// Room holds a node's certificates. It is safe for concurrent use.
type Room struct {
	cfg     Config
	kv      store.KV
	http    *http.Client
	slots   map[string]*slot // by name; never changed after Open
	answers answers
	turn    chan struct{} // who has it talks to the authority and writes
	stop    context.CancelFunc
	done    chan struct{} // nil before Start
}

// slot is one name.
type slot struct {
	name    string
	serving atomic.Pointer[tls.Certificate] // nil: there was none yet
	entry   atomic.Pointer[entry]           // whoever has the turn sets it
	rev     uint64                          // of entry in the store; whoever has the turn uses it
	tried   time.Time                       // likewise: when an operator last had it tried
}

// Open checks cfg and loads what was obtained before; it talks to nobody. A certificate that cannot be opened any more is
// said in the log, and obtained anew.
func Open(ctx context.Context, cfg Config) (*Room, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Directory == "" {
		cfg.Directory = DefaultDirectory
	}
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	r := &Room{cfg: cfg, http: client(cfg.Roots), slots: map[string]*slot{}, turn: make(chan struct{}, 1)}
	var err error
	if r.kv, err = cfg.Store.KV("acme"); err != nil {
		return nil, err
	}
	for _, name := range cfg.Names {
		s := &slot{name: name}
		if err := r.load(ctx, s); err != nil {
			return nil, err
		}
		r.slots[name] = s
	}
	return r, r.forget(ctx)
}

// Check says what is wrong with the names, the address and the directory, and whether anybody agreed.
func (c *Config) Check() error {
	bad := func(flag, message, hint string) error {
		return &casemate.Error{Code: casemate.Invalid, Field: flag, Message: message, Hint: hint}
	}
	if len(c.Names) == 0 || len(c.Names) > maxNames {
		return bad("--acme-domain", fmt.Sprintf("%d names; 1 to %d are possible", len(c.Names), maxNames), "--acme-domain shop.example.com")
	}
	for i, name := range c.Names {
		if clean, err := CheckName(name); err != nil || clean != name {
			return bad("--acme-domain", fmt.Sprintf("%q is no name that a certificate can be asked for", name), nameHint)
		}
		if slices.Contains(c.Names[:i], name) {
			return bad("--acme-domain", name+" stands there twice", "name it once")
		}
	}
	if !c.Agreed {
		return bad("--acme-agree", "nobody has agreed to the authority's terms of service", "read them (the authority's directory names them: "+c.Directory+") and add --acme-agree")
	}
	if !c.HTTP && !c.ALPN {
		return bad("--acme-domain", "the authority could reach no listener of this node", "give --https an address (TLS-ALPN-01), or --redirect (HTTP-01)")
	}
	if err := checkEmail(c.Email); err != nil {
		return err
	}
	return checkDirectory(c.Directory)
}

// Start begins to obtain and renew, in one goroutine that ends with Close; ctx gives its values only. The listeners that
// answer challenges should be open by then.
func (r *Room) Start(ctx context.Context) {
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r.stop, r.done = cancel, make(chan struct{})
	go func() {
		defer close(r.done)
		tick := time.NewTicker(time.Minute)
		defer tick.Stop()
		for run.Err() == nil {
			r.round(run)
			select {
			case <-run.Done():
			case <-tick.C:
			}
		}
	}()
}

// Close ends what Start began, and waits for it.
func (r *Room) Close() error {
	if r.done != nil {
		r.stop()
		<-r.done
	}
	r.http.CloseIdleConnections()
	return nil
}

// Serves reports whether name is one of those listed.
func (r *Room) Serves(name string) bool { return r.slots[name] != nil }

// GetCertificate is for tls.Config. A name that was not listed, and a client that names none, get an unrecognized_name
// alert (RFC 6066 section 3): nothing on the node says which names it has.
func (r *Room) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name, err := CheckName(hello.ServerName)
	if err != nil {
		return nil, nil
	}
	s := r.slots[name]
	if s == nil {
		return nil, nil
	}
	if c := s.serving.Load(); c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("there is no certificate for %s yet", name)
}

// Status is one name and its certificate.
type Status struct {
	Name     string    `json:"name"`
	Issuer   string    `json:"issuer,omitempty"`
	Serial   string    `json:"serial,omitempty"` // of the certificate, in hex
	Since    time.Time `json:"since,omitzero"`
	Until    time.Time `json:"until,omitzero"` // zero: there is no certificate
	Renew    time.Time `json:"renew,omitzero"` // when a new one is asked for
	Failures int       `json:"failures,omitempty"`
	Error    string    `json:"error,omitempty"` // of the last attempt, when it failed
	Next     time.Time `json:"next,omitzero"`   // when it is tried again
}

// Status gives every name, sorted.
func (r *Room) Status() []Status {
	out := make([]Status, 0, len(r.slots))
	for _, name := range slices.Sorted(maps.Keys(r.slots)) {
		s := r.slots[name]
		e := s.entry.Load()
		st := Status{Name: name, Failures: e.Failures, Error: e.Error, Next: e.Next}
		if c := s.serving.Load(); c != nil {
			st.Issuer, st.Serial = c.Leaf.Issuer.CommonName, c.Leaf.SerialNumber.Text(16)
			st.Since, st.Until, st.Renew = c.Leaf.NotBefore, c.Leaf.NotAfter, e.renew(c.Leaf)
		}
		out = append(out, st)
	}
	return out
}

// Directory is the authority that is asked.
func (r *Room) Directory() string { return r.cfg.Directory }

// place is where things of this authority lie: another one's certificates and accounts are no use.
func (r *Room) place() string {
	sum := sha256.Sum256([]byte(r.cfg.Directory))
	return hex.EncodeToString(sum[:8]) + "/"
}
