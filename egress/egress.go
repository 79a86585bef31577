// Package egress is the only way out of a sandbox. A sandbox's network namespace has loopback and nothing else, and
// every address in it is local; what an unmodified program dials or resolves lands on sockets that were opened inside
// and are served here, outside.
//
// A Door answers questions for granted names with an address of its own for each, so that the address of an accepted
// connection tells the name. The name is resolved and dialled outside, and the address that was checked is the address
// that is dialled. Everything else is refused and recorded.
package egress

import (
	"context"
	"crypto/x509"
	"errors"
	"net/netip"
	"sync"
	"time"

	"casemate"
)

// Resolver finds the addresses of a name outside; *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Config is what a node's way out needs. The zero value works, and lets nothing out that no policy allows.
type Config struct {
	Resolver Resolver // nil: the machine's own
	// Pinned are addresses that an operator gave by hand for "name:port", in place of resolving: they are dialled whatever
	// range they are in, when the policy allows the name.
	Pinned map[string]netip.AddrPort
	Roots  *x509.CertPool   // trusted by Fetch; nil: the machine's own
	Clock  func() time.Time // nil: time.Now
}

// Egress is the way out of a whole node. Its methods may be called from any goroutine. Close it when no sandbox runs any
// more.
type Egress struct {
	cfg    Config
	dials  dialer
	chunks sync.Pool     // of *[chunk]byte, for copying
	large  chan struct{} // one for each large chunk in use

	mu    sync.Mutex
	doors map[*Door]bool // nil when closed
}

// New makes a node's way out.
func New(cfg Config) (*Egress, error) {
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	for name, at := range cfg.Pinned {
		if _, _, ok := splitTarget(name); !ok || !at.IsValid() || at.Port() == 0 {
			return nil, errors.New("egress: pinned " + name + ": want NAME:PORT and an address with a port")
		}
	}
	e := &Egress{cfg: cfg, doors: map[*Door]bool{}, dials: dialer{resolver: cfg.Resolver, pinned: cfg.Pinned}}
	e.large = make(chan struct{}, largeChunks)
	e.chunks.New = func() any { return new([chunk]byte) }
	e.dials.fill()
	return e, nil
}

// Opening is what a door is made for.
type Opening struct {
	Version *casemate.Version
	// Grants of the function's role, from Grants: where to listen, and which networks were meant.
	Grants []Grant
	// Decide says whether the function may connect to a host: a name in lower case or an IP address. It is asked for every
	// question, every connection and every address in a range that is not public. nil refuses.
	Decide func(host string, port uint16) casemate.Decision
	// Record takes what the sandbox tried and did. It is called from several goroutines, not any more when Close has
	// returned, and must not block.
	Record func(casemate.Effect)
	// Endpoints are reachable inside beside the world. The door closes them, also one that could not be made.
	Endpoints []Endpoint
}

// Door makes the way out of one sandbox. It must be closed.
func (e *Egress) Door(o Opening) (*Door, error) {
	d, err := newDoor(e, o)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	open := e.doors != nil
	if open {
		e.doors[d] = true
	}
	e.mu.Unlock()
	if !open {
		d.Close() // and its endpoints, whose keys end with them
		return nil, errors.New("making a door: the node's way out is closed")
	}
	return d, nil
}

// Close closes every door that is left and returns when nothing of them runs any more.
func (e *Egress) Close() error {
	e.mu.Lock()
	doors := e.doors
	e.doors = nil
	e.mu.Unlock()
	for d := range doors {
		d.Close()
	}
	return nil
}

func (e *Egress) forget(d *Door) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.doors, d)
}
