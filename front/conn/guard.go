package conn

import (
	"fmt"
	"math"
	"net"
	nethttp "net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"casemate"
)

const (
	bits4, bits6 = 24, 48      // what names the network around a source
	blockTimes   = 8           // so many sources' new connections may a network open
	leastWait    = time.Second // a connection that waits for less is not given to somebody else
	maxNew       = 16384       // sources and networks whose new connections are counted
	busy         = 0           // counted.waits of a connection that is in the middle of something
	taken        = -1          // of one that was given to somebody else
	cutPrice     = 20          // new connections that a source pays for one that was cut off
)

// Guard bounds the connections of one front. Make it with New; its methods may be called concurrently.
type Guard struct {
	l     Limits
	clock func() time.Time
	tally *Tally

	streams streams

	mu   sync.Mutex
	open map[*counted]struct{}
	held map[netip.Prefix]int        // open connections by source and by network
	made map[netip.Prefix]*allowance // new ones likewise; the zero prefix is everybody who finds no room here
	next time.Time                   // when made is looked through again for who can be forgotten
}

// New checks the limits. clock may be nil for time.Now; what is refused goes to tally.
func New(l Limits, clock func() time.Time, tally *Tally) (*Guard, error) {
	l, err := l.withDefaults()
	if err != nil {
		return nil, err
	}
	if clock == nil {
		clock = time.Now
	}
	return &Guard{l: l, clock: clock, tally: tally, streams: streams{of: map[netip.Prefix]int{}}, open: map[*counted]struct{}{}, held: map[netip.Prefix]int{}, made: map[netip.Prefix]*allowance{}}, nil
}

// Open says how many connections are open.
func (g *Guard) Open() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.open)
}

// Source is casemate.SourceOf a peer.
func Source(peer netip.Addr) string { return casemate.SourceOf(peer.String()) }

// Network is the network around a peer that one owner may have all of: an IPv4 /24, an IPv6 /48. The zero address has the zero
// prefix.
func Network(peer netip.Addr) netip.Prefix {
	_, block := prefixes(peer)
	return block
}

// Peer is who is at the other end; the zero address when that is no TCP connection.
func Peer(a net.Addr) netip.Addr {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}

// Address is who made a request, by its http.Request.RemoteAddr; the zero address when that is none.
func Address(remote string) netip.Addr {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

// SourceIP is Address in words; "" when it is none.
func SourceIP(remote string) string {
	if a := Address(remote); a.IsValid() {
		return a.String()
	}
	return ""
}

// prefixes are a source and the network around it; those of peers that have none are the same two.
func prefixes(peer netip.Addr) (source, block netip.Prefix) {
	one, net := 32, bits4
	if peer.Is6() {
		one, net = 64, bits6
	}
	source, _ = peer.Prefix(one) // the zero prefix of the zero address
	block, _ = peer.Prefix(net)
	return source, block
}

// counted is an open connection.
type counted struct {
	net.Conn
	g             *Guard
	source, block netip.Prefix
	waits         atomic.Int64 // since when it waits for its peer, in Unix nanoseconds; busy; taken
	give          func()
}

// Close closes the connection and hands its place back, once.
func (c *counted) Close() error {
	defer c.give()
	return c.Conn.Close()
}

// CloseWrite lets net/http finish an answer before it drops what a peer still sends.
func (c *counted) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// admit takes a connection in; nil: it may not stay. One that waited longest makes room where its own source or network has
// no more room, and for all, where it is of the network with the most: who only waits keeps out nobody who asks.
func (g *Guard) admit(conn net.Conn) *counted {
	now, peer := g.clock(), Peer(conn.RemoteAddr())
	source, block := prefixes(peer)
	c := &counted{Conn: conn, g: g, source: source, block: block}
	c.waits.Store(now.UnixNano())
	c.give = sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.drop(c)
	})
	var victims []*counted
	g.mu.Lock()
	rule := g.place(c, now, &victims)
	if rule == "" {
		g.open[c] = struct{}{}
		g.held[source]++
		g.held[block]++
	}
	g.mu.Unlock()
	for _, v := range victims {
		_ = v.Conn.Close() // its reader learns it; its place was given back above
		g.tally.Add(casemate.Turned{Source: Source(v.source.Addr()), Rule: "room for connections that wait", Times: 1})
	}
	if rule != "" {
		g.tally.Add(casemate.Turned{Source: Source(peer), Rule: rule, Times: 1})
		return nil
	}
	return c
}

// place finds room for c, or says what has none. g.mu is held.
func (g *Guard) place(c *counted, now time.Time, victims *[]*counted) string {
	if !g.opens(c.source, g.l.Rate, now) {
		return "connection rate of source " + Source(c.source.Addr())
	}
	if !g.opens(c.block, casemate.Rate{PerSecond: g.l.Rate.PerSecond * blockTimes, Burst: g.l.Rate.Burst * blockTimes}, now) {
		return "connection rate of network " + c.block.String()
	}
	evict := func(of func(*counted) bool) bool {
		v := g.longest(now, of)
		if v != nil {
			*victims = append(*victims, v)
		}
		return v != nil
	}
	if g.held[c.source] >= g.l.Source && !evict(func(o *counted) bool { return o.source == c.source }) {
		return fmt.Sprintf("limit of %d connections of source %s", g.l.Source, Source(c.source.Addr()))
	}
	if g.held[c.block] >= g.l.Block && !evict(func(o *counted) bool { return o.block == c.block }) {
		return fmt.Sprintf("limit of %d connections of network %s", g.l.Block, c.block)
	}
	if len(g.open) >= g.l.Total {
		most := g.held[c.block]
		for o := range g.open {
			if n := g.held[o.block]; n > most && o.waiting(now) >= leastWait {
				most = n
			}
		}
		if !evict(func(o *counted) bool {
			return g.held[o.block] == most && (most > g.held[c.block]+1 || o.block == c.block)
		}) {
			return fmt.Sprintf("limit of %d connections of all", g.l.Total)
		}
	}
	return ""
}

// longest takes the connection that waited longest, if any waited long enough. g.mu is held.
func (g *Guard) longest(now time.Time, of func(*counted) bool) *counted {
	for {
		var v *counted
		var since int64 = math.MaxInt64
		for o := range g.open {
			if w := o.waits.Load(); w > busy && w < since && of(o) {
				v, since = o, w
			}
		}
		if v == nil || now.UnixNano()-since < int64(leastWait) {
			return nil
		}
		if v.waits.CompareAndSwap(since, taken) { // else it has just begun something
			g.drop(v)
			return v
		}
	}
}

func (c *counted) waiting(now time.Time) time.Duration {
	if w := c.waits.Load(); w > busy {
		return time.Duration(now.UnixNano() - w)
	}
	return 0
}

// drop takes c out of the books. g.mu is held.
func (g *Guard) drop(c *counted) {
	if _, ok := g.open[c]; !ok {
		return
	}
	delete(g.open, c)
	for _, p := range [...]netip.Prefix{c.source, c.block} {
		if g.held[p]--; g.held[p] <= 0 {
			delete(g.held, p)
		}
	}
}

// opens counts a new connection of p. g.mu is held.
func (g *Guard) opens(p netip.Prefix, rate casemate.Rate, now time.Time) bool {
	return g.bucket(p, now).take(rate, now, 1)
}

func (g *Guard) bucket(p netip.Prefix, now time.Time) *allowance {
	if a := g.made[p]; a != nil {
		return a
	}
	if len(g.made) >= maxNew && !now.Before(g.next) {
		g.next = now.Add(time.Second)
		for q, a := range g.made {
			if a.full(g.l.Rate, now) {
				delete(g.made, q)
			}
		}
	}
	if len(g.made) >= maxNew {
		p = netip.Prefix{}
		if a := g.made[p]; a != nil {
			return a
		}
	}
	a := &allowance{at: now}
	g.made[p] = a
	return a
}

// cut notes that a connection of a source was cut off: its next ones are dearer.
func (g *Guard) cut(source netip.Prefix, peer netip.Addr, rule string) {
	now := g.clock()
	g.mu.Lock()
	g.bucket(source, now).charge(g.l.Rate, now, cutPrice)
	g.mu.Unlock()
	g.tally.Add(casemate.Turned{Source: Source(peer), Rule: rule + " of source " + Source(peer), Times: 1})
}

// State is for http.Server.ConnState: it tells connections that wait from those that do not.
func (g *Guard) State(conn net.Conn, state nethttp.ConnState) {
	for range 4 { // as many layers as there are
		if c, ok := conn.(*counted); ok {
			switch state {
			case nethttp.StateActive:
				c.mark(busy)
			case nethttp.StateIdle:
				c.mark(g.clock().UnixNano())
			}
			return
		}
		under, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return
		}
		conn = under.NetConn()
	}
}

// mark changes the state of a connection that is still its own.
func (c *counted) mark(state int64) {
	for {
		was := c.waits.Load()
		if was == taken || c.waits.CompareAndSwap(was, state) {
			return
		}
	}
}

// Listener gives the connections of ln that may stay. Others are closed at once: no byte of theirs is read, no goroutine made.
func (g *Guard) Listener(ln net.Listener) net.Listener { return &listener{ln, g} }

type listener struct {
	net.Listener
	g *Guard
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if c := l.g.admit(conn); c != nil {
			return c, nil
		}
		if t, ok := conn.(*net.TCPConn); ok {
			_ = t.SetLinger(0) // a reset leaves no socket behind in TIME_WAIT; if it fails, the close below still holds
		}
		conn.Close()
	}
}
