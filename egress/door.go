// Package egress is the only way out of a sandbox. A sandbox's network namespace has loopback and nothing else, and
// every address in it is local; what an unmodified program dials or resolves lands on sockets that were opened inside
// and are served here, outside.
//
// A Door grants no name: its resolver answers every question with "no such name" and records it.
package egress

import (
	"io"
	"net"
	"sync"
	"time"

	"casemate"
)

// resolver is where a sandbox asks for names; link-local, like the Runtime API's address next to it.
const resolver = "169.254.100.2:53"

// Bounds of one door.
const (
	maxSeen  = 64          // effects remembered, so that one run lists each once; further ones are told in one effect
	forget   = time.Second // a remembered effect is listed again after this, when nobody called Forget
	maxConns = 8           // TCP connections to the resolver at once
	idle     = 5 * time.Second
	burst    = 200 // questions answered at once, and per second: more only costs the asker time
)

// Reasons of the effects. They are shown to people and stable.
const (
	reasonName    = "no grant names this host"
	reasonAddress = "no grant names this address"
	reasonFlood   = "further attempts were not listed"
)

// Door is one sandbox's way out. Its methods may be called from any goroutine. Close it.
type Door struct {
	record func(casemate.Effect)
	clock  func() time.Time

	mu      sync.Mutex
	seen    map[string]time.Time
	flooded bool
	open    map[io.Closer]bool // what Close closes; nil when closed

	done   chan struct{}
	served sync.WaitGroup
}

// NewDoor makes a door that lets nothing out. record takes what the sandbox tried; it is called from several
// goroutines, not any more when Close has returned, and must not block.
func NewDoor(record func(casemate.Effect), clock func() time.Time) *Door {
	return &Door{record: record, clock: clock, seen: map[string]time.Time{}, open: map[io.Closer]bool{}, done: make(chan struct{})}
}

// Doorway is what the sandbox needs to come here.
func (d *Door) Doorway() casemate.Doorway {
	host, _, _ := net.SplitHostPort(resolver) // a constant
	return casemate.Doorway{Listen: []string{"udp " + resolver, "tcp " + resolver},
		Etc: map[string][]byte{"/etc/resolv.conf": []byte("nameserver " + host + "\noptions timeout:1 attempts:1\n")}}
}

// Serve takes over the i-th socket of Doorway.Listen and returns at once. A socket given to a closed door is closed.
func (d *Door) Serve(_ int, l net.Listener, c net.PacketConn) {
	if c != nil {
		d.serve(c, func() { d.packets(c) })
	}
	if l != nil {
		d.serve(l, func() { d.connections(l) })
	}
}

// OnConnect records an attempt to reach an address directly, and refuses it; it fits jail.Spec.OnConnect.
func (d *Door) OnConnect(network, address string) (pass bool) {
	d.tell("connect", address, reasonAddress+" ("+network+")")
	return false
}

// Begin begins a new run: what it tries is listed again even if the run before tried the same.
func (d *Door) Begin(*casemate.Launch) {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.seen)
	d.flooded = false
}

// Close closes every socket and returns when nothing of the door runs any more. Closing twice is no error.
func (d *Door) Close() {
	d.mu.Lock()
	open := d.open
	d.open = nil
	d.mu.Unlock()
	if open != nil {
		close(d.done)
	}
	for c := range open {
		_ = c.Close() // nothing is written through it any more
	}
	d.served.Wait()
}

// serve runs f, after which c is closed; Close closes it earlier and waits. false, and c closed, when the door is closed.
func (d *Door) serve(c io.Closer, f func()) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open == nil {
		_ = c.Close() // never served
		return false
	}
	d.open[c] = true
	d.served.Go(func() {
		f()
		_ = c.Close() // nothing is written through it any more
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.open, c)
	})
	return true
}

// tell records a refused attempt, once per run, and at most maxSeen different ones.
func (d *Door) tell(kind, target, reason string) {
	d.mu.Lock()
	now := d.clock()
	key := kind + " " + target
	at, known := d.seen[key]
	known = known && now.Sub(at) < forget
	if !known && len(d.seen) >= maxSeen {
		for k, at := range d.seen {
			if now.Sub(at) >= forget {
				delete(d.seen, k)
			}
		}
	}
	full := !known && len(d.seen) >= maxSeen
	silent := known || full && d.flooded
	if full {
		kind, target, reason = "flood", kind, reasonFlood
	}
	d.flooded = full || known && d.flooded
	if !known && !full {
		d.seen[key] = now
	}
	d.mu.Unlock()
	if !silent {
		d.record(casemate.Effect{At: now, Kind: kind, Target: target, Verdict: casemate.Denied, Reason: reason})
	}
}
