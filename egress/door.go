package egress

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"casemate"
	"casemate/internal/walls"
)

// resolver is where a sandbox asks for names; link-local, like the Runtime API's address next to it.
const resolver = "169.254.100.2:53"

// Bounds of one door.
const (
	maxSeen  = 64          // different refusals that one run lists; further ones are told in one effect
	maxHosts = 64          // hosts that one run's traffic is told apart for; others are one effect
	forget   = time.Second // a remembered refusal is listed again after this, within the same run
	maxConns = 8           // TCP connections to the resolver at once
	idle     = 5 * time.Second
	burst    = 200 // questions answered at once, and per second: more only costs the asker time
)

// Reasons of the effects. They are shown to people and stable.
const (
	reasonName        = "no grant names this host"
	reasonPort        = "no grant names this port of the host"
	reasonUnopened    = "granted, but not open in this sandbox: 9001 is the Runtime API's, there are 64 ports at most, and a newer grant needs a newer sandbox"
	reasonAddress     = "no grant names this address"
	reasonFlood       = "further attempts were not listed"
	reasonConnections = "the limit of connections at once was reached"
	reasonTraffic     = "the limit of traffic of one run was reached"
	reasonNames       = "too many names were asked for"
	others            = "(others)"
)

// Door is one sandbox's way out. Its methods may be called from any goroutine. Close it.
//
// Until the first Begin the sandbox initialises: what it does then is told in its first run.
type Door struct {
	egress    *Egress
	opening   Opening
	ports     []port
	listen    []listening // as in Doorway.Listen
	inside    map[netip.AddrPort]*endpointListener
	keep      bool // connections outlive a run
	bound     casemate.Limits
	names     names
	ctx       context.Context // ends when the door closes
	cancel    context.CancelFunc
	run       atomic.Pointer[run] // nil between runs
	served    sync.WaitGroup
	transport transport

	sharing []*casemate.Launch // of the last Share, which is not called by two at once

	mu       sync.Mutex
	begun    chan struct{} // closed while there is a run
	seen     map[string]time.Time
	flooded  bool
	open     map[io.Closer]bool // what Close closes; nil when closed
	relays   map[*relay]bool
	fetching int // exchanges of Fetch under way
}

// listening is one socket inside and who serves it: a granted port, an endpoint, or the resolver when both are unset.
type listening struct {
	text     string
	port     uint16
	endpoint *Endpoint
}

func newDoor(e *Egress, o Opening) (*Door, error) {
	if o.Version == nil || o.Record == nil {
		return nil, errors.New("making a door: a version and a place for its effects are needed")
	}
	if o.Decide == nil {
		o.Decide = func(string, uint16) casemate.Decision { return casemate.Decision{} }
	}
	if !walls.Up {
		o.Decide = func(string, uint16) casemate.Decision { return casemate.Decision{Verdict: casemate.Allowed} }
	}
	d := &Door{egress: e, opening: o, ports: portsOfAll(o.Grants), inside: map[netip.AddrPort]*endpointListener{}, bound: o.Version.Limits,
		keep:  o.Version.Isolation == casemate.IsolationWarm || o.Version.Isolation == casemate.IsolationTenant,
		begun: make(chan struct{}), seen: map[string]time.Time{}, open: map[io.Closer]bool{}, relays: map[*relay]bool{}}
	d.bound.Connections = or(d.bound.Connections, casemate.DefaultLimits().Connections)
	d.bound.Traffic = or(d.bound.Traffic, casemate.DefaultLimits().Traffic)
	d.ctx, d.cancel = context.WithCancel(context.Background())
	d.transport.fill(d)
	d.run.Store(newRun(d.bound.Traffic))
	close(d.begun)
	if err := d.lay(); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

func or[T int | int64](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}

// lay plans the sockets. A granted port takes every address, those of endpoints and of the resolver too: their
// connections are handed on.
func (d *Door) lay() error {
	d.listen = []listening{{text: "udp " + resolver}}
	taken := map[uint16]bool{}
	for _, p := range d.ports {
		any := netip.IPv4Unspecified()
		if p.six {
			any = netip.IPv6Unspecified()
		}
		d.listen = append(d.listen, listening{text: "tcp " + netip.AddrPortFrom(any, p.number).String(), port: p.number})
		taken[p.number] = true
	}
	own := &Endpoint{Address: resolver, Serve: func(l net.Listener) { d.serve(l, func() { d.connections(l) }) }}
	env := map[string]bool{}
	for i := range append([]Endpoint{*own}, d.opening.Endpoints...) {
		ep := own
		if i > 0 {
			ep = &d.opening.Endpoints[i-1]
		}
		at, err := netip.ParseAddrPort(ep.Address)
		if err != nil || ep.Serve == nil || d.inside[at] != nil {
			return fmt.Errorf("making a door: endpoint %q: want an address of its own and somebody to serve it", ep.Address)
		}
		for name := range ep.Env {
			if env[name] {
				return fmt.Errorf("making a door: two endpoints set %s", name)
			}
			env[name] = true
		}
		d.inside[at] = newEndpointListener(at)
		if !taken[at.Port()] {
			d.listen = append(d.listen, listening{text: "tcp " + ep.Address, endpoint: ep})
			continue
		}
		ep.Serve(d.inside[at])
	}
	return nil
}

// Doorway is what the sandbox needs to come here.
func (d *Door) Doorway() casemate.Doorway {
	host, _, _ := net.SplitHostPort(resolver) // a constant
	w := casemate.Doorway{Etc: map[string][]byte{"/etc/resolv.conf": []byte("nameserver " + host + "\noptions timeout:1 attempts:1\n")}, Env: map[string]string{}}
	for _, l := range d.listen {
		w.Listen = append(w.Listen, l.text)
	}
	for i := range d.opening.Endpoints {
		maps.Copy(w.Env, d.opening.Endpoints[i].Env)
	}
	return w
}

// Serve takes over the i-th socket of Doorway.Listen and returns at once. A socket given to a closed door is closed.
func (d *Door) Serve(i int, l net.Listener, c net.PacketConn) {
	if c != nil {
		d.serve(c, func() { d.packets(c) })
		return
	}
	switch socket := d.listen[i]; {
	case socket.endpoint != nil:
		d.mu.Lock()
		closed := d.open == nil
		if !closed {
			d.open[l] = true // Close ends it, whatever the endpoint does
		}
		d.mu.Unlock()
		if closed {
			_ = l.Close() // never served
			return
		}
		socket.endpoint.Serve(l)
	default:
		d.serve(l, func() { d.accept(l, socket.port) })
	}
}

// OnConnect is asked about each address that a sandbox dials, and passes those that lead through the door: addresses of
// granted names at granted ports, and granted networks. Everything else is refused and recorded. It fits
// jail.Spec.OnConnect. What it passes is judged again when the connection arrives.
func (d *Door) OnConnect(network, address string) (pass bool) {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		d.refuse(casemate.Effect{Kind: casemate.EffectConnect, Target: address, Reason: reasonAddress + " (" + network + ")"})
		return false
	}
	at = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	if d.inside[at] != nil {
		return true
	}
	name, isName := d.names.name(at.Addr())
	if isName && at.Port() == 0 {
		return true // a C library that asks which address it would come from
	}
	if refused := d.judge(at); refused.Kind != "" {
		if !isName || name == "" {
			refused.Reason += " (" + network + ")"
		}
		d.refuse(refused)
		return false
	}
	return true
}

// judge decides about an address that was dialled inside. The zero Effect allows it; another says why not.
func (d *Door) judge(at netip.AddrPort) casemate.Effect {
	if name, ok := d.names.name(at.Addr()); ok {
		refused := casemate.Effect{Kind: casemate.EffectConnect, Target: target(name, at.Port())}
		switch allowed := d.opening.Decide(name, at.Port()).Verdict == casemate.Allowed; {
		case allowed && d.listens(at.Port()):
			return casemate.Effect{}
		case allowed:
			refused.Reason = reasonUnopened
		default:
			refused.Reason, refused.Grant = reasonPort, grantOf(name, at.Port())
		}
		return refused
	}
	if d.listens(at.Port()) && d.may(at.Addr(), at.Port()) {
		return casemate.Effect{}
	}
	refused := casemate.Effect{Kind: casemate.EffectConnect, Target: at.String(), Reason: reasonAddress}
	if !fakes.Contains(at.Addr()) {
		refused.Grant = grantOf(at.Addr().String(), at.Port())
	}
	return refused
}

func (d *Door) listens(number uint16) bool {
	return slices.ContainsFunc(d.ports, func(p port) bool { return p.number == number })
}

// may says whether an address itself was granted: by a network, and by the policy.
func (d *Door) may(ip netip.Addr, number uint16) bool {
	if !walls.Up {
		return true
	}
	return slices.ContainsFunc(d.opening.Grants, func(g Grant) bool { return g.Port == number && g.Network.IsValid() && g.Network.Contains(ip) }) &&
		d.opening.Decide(ip.String(), number).Verdict == casemate.Allowed
}

// against says what stands against an address that a granted name leads to: that it is special and in no granted network,
// or that a statement denies it.
func (d *Door) against(ip netip.Addr, special string, number uint16) string {
	if special != "" {
		if ip.Zone() == "" && d.may(ip, number) {
			return ""
		}
		return special
	}
	if decided := d.opening.Decide(ip.String(), number); decided.Verdict != casemate.Allowed && decided.Statement != "" {
		return "an address that " + decided.Statement + " denies"
	}
	return ""
}

// Begin begins a new run, or with nil ends one: what the last one did is recorded before Begin returns. Between runs
// nothing leaves. Connections end with the run, except where sandboxes are reused: there they stand still until the next
// run, and count as its own.
func (d *Door) Begin(l *casemate.Launch) {
	var next *run
	if l != nil {
		next = newRun(d.bound.Traffic)
	}
	d.turn(next)
	for i := range d.opening.Endpoints {
		if begin := d.opening.Endpoints[i].Begin; begin != nil {
			begin(l)
		}
	}
}

// turn puts another run in the place of the one that there is.
func (d *Door) turn(next *run) {
	d.mu.Lock()
	last := d.run.Swap(next)
	switch {
	case last == nil && next != nil:
		close(d.begun)
	case last != nil && next == nil:
		d.begun = make(chan struct{})
	}
	var ended []*relay
	if next == nil && !d.keep {
		ended = slices.Collect(maps.Keys(d.relays))
	}
	clear(d.seen)
	d.flooded = false
	d.mu.Unlock()
	for _, r := range ended {
		r.reset()
	}
	if next == nil && !d.keep {
		d.transport.close()
	}
	d.tell(last)
}

// tell records what a run did that was allowed.
func (d *Door) tell(r *run) {
	if r == nil {
		return
	}
	for _, e := range r.end() {
		d.opening.Record(e)
	}
}

// Close closes every socket and returns when nothing of the door runs any more. Closing twice is no error.
func (d *Door) Close() {
	d.mu.Lock()
	open := d.open
	d.open = nil
	d.mu.Unlock()
	d.cancel()
	for c := range open {
		_ = c.Close() // nothing is written through it any more
	}
	for i := range d.opening.Endpoints {
		if end := d.opening.Endpoints[i].Close; end != nil && open != nil {
			end()
		}
	}
	for _, l := range d.inside {
		_ = l.Close() // never fails
	}
	d.served.Wait()
	d.transport.close()
	d.tell(d.run.Swap(nil))
	d.egress.forget(d)
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

// refuse records a refused attempt, of at most maxSeen different ones in a run. A question that is asked again is not
// told again: programs ask by themselves.
func (d *Door) refuse(e casemate.Effect) {
	d.mu.Lock()
	now := d.egress.cfg.Clock()
	key := e.Kind + " " + e.Target
	at, known := d.seen[key]
	known = known && now.Sub(at) < forget
	if !known && len(d.seen) >= maxSeen {
		maps.DeleteFunc(d.seen, func(_ string, at time.Time) bool { return now.Sub(at) >= forget })
	}
	full := !known && len(d.seen) >= maxSeen
	silent := known && e.Kind == casemate.EffectResolve || full && d.flooded
	if full {
		e = casemate.Effect{Kind: "flood", Target: e.Kind, Reason: reasonFlood}
	}
	d.flooded = full || known && d.flooded
	if !known && !full {
		d.seen[key] = now
	}
	d.mu.Unlock()
	if !silent {
		e.At, e.Verdict = now, casemate.Denied
		d.opening.Record(e)
	}
}

// run is what one run has left, and what it did.
type run struct {
	mu    sync.Mutex
	left  int64 // bytes
	hosts map[string]*casemate.Effect
	over  bool // ended: its effects are told
}

func newRun(traffic int64) *run { return &run{left: traffic, hosts: map[string]*casemate.Effect{}} }

// count adds to the effect of a target; false when the run has ended. within says whether the run's traffic still is.
func (r *run) count(target string, now time.Time, connections int, in, out int64, failed string) (counted, within bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return false, false
	}
	e := r.hosts[target]
	if e == nil && len(r.hosts) >= maxHosts {
		target = others
		e = r.hosts[target]
	}
	if e == nil {
		e = &casemate.Effect{At: now, Kind: casemate.EffectConnect, Target: target, Verdict: casemate.Allowed}
		r.hosts[target] = e
	}
	e.Count += connections
	e.In += in
	e.Out += out
	e.Reason = cmp.Or(failed, e.Reason)
	r.left -= in + out
	return true, r.left >= 0
}

// end gives what was done, in the order of first use. Nothing is counted any more.
func (r *run) end() (all []casemate.Effect) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	for _, e := range r.hosts {
		all = append(all, *e)
	}
	slices.SortFunc(all, func(a, b casemate.Effect) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Target, b.Target)) })
	return all
}

// await waits until there is a run; false when the door or the connection (stop) ended first.
func (d *Door) await(stop <-chan struct{}) bool {
	for d.run.Load() == nil {
		d.mu.Lock()
		begun := d.begun
		d.mu.Unlock()
		select {
		case <-begun:
		case <-stop:
			return false
		case <-d.ctx.Done():
			return false
		}
	}
	return true
}

// count waits until there is a run and counts for it. false: the connection must end, because the door or the connection
// (stop) did, or because the run's traffic is used up.
func (d *Door) count(stop <-chan struct{}, target string, connections int, in, out int64, failed string) bool {
	for d.await(stop) {
		if counted, within := d.tally(target, connections, in, out, failed); counted {
			return within
		}
	}
	return false
}

// tally counts for the run that there is; counted is false when there is none.
func (d *Door) tally(target string, connections int, in, out int64, failed string) (counted, within bool) {
	r := d.run.Load()
	if r == nil {
		return false, false
	}
	counted, within = r.count(target, d.egress.cfg.Clock(), connections, in, out, failed)
	if counted && !within {
		d.refuse(casemate.Effect{Kind: casemate.EffectConnect, Target: target, Reason: reasonTraffic})
	}
	return counted, within
}
