package egress

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"casemate"
	"casemate/egress/peek"
)

// zone is a resolver of the outside world. Each look-up takes the next of a name's answers; the last one stays.
type zone struct {
	mu      sync.Mutex
	answers map[string][][]netip.Addr
	asked   []string
}

func (z *zone) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	host = strings.TrimSuffix(host, ".")
	z.asked = append(z.asked, host)
	all := z.answers[host]
	if len(all) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	if len(all) > 1 {
		z.answers[host] = all[1:]
	}
	return all[0], nil
}

// point sets what a name resolves to, one text of addresses for each look-up.
func (z *zone) point(name string, each ...string) *zone {
	if z.answers == nil {
		z.answers = map[string][][]netip.Addr{}
	}
	for _, list := range each {
		var ips []netip.Addr
		for text := range strings.FieldsSeq(list) {
			ips = append(ips, netip.MustParseAddr(text))
		}
		z.answers[name] = append(z.answers[name], ips)
	}
	return z
}

// world is a door whose policy allows exactly the grants: "name:port", "*.name:port" and "network:port".
func world(t testing.TB, rec *recorder, cfg *Config, grants ...string) (*Door, *Egress) {
	t.Helper()
	if cfg == nil {
		cfg = &Config{Resolver: &zone{}}
	}
	e, err := New(*cfg)
	if err != nil {
		t.Fatal(err)
	}
	d, err := e.Door(opening(rec, grants...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.Close()
		e.Close()
	})
	return d, e
}

func opening(rec *recorder, grants ...string) Opening {
	o := Opening{Version: &casemate.Version{Function: "f"}, Record: rec.add}
	for _, g := range grants {
		host, number, ok := peek.Authority(strings.Replace(g[strings.LastIndexByte(g, ':'):], ":", "x:", 1))
		network, err := netip.ParsePrefix(g[:strings.LastIndexByte(g, ':')])
		if !ok || host != "x" {
			panic(g)
		}
		grant := Grant{Port: number}
		if err == nil {
			grant.Network = network
		}
		o.Grants = append(o.Grants, grant)
	}
	o.Decide = func(host string, number uint16) casemate.Decision {
		for _, g := range grants {
			at := strings.LastIndexByte(g, ':')
			ip, err := netip.ParseAddr(host)
			network, notOne := netip.ParsePrefix(g[:at])
			domain, wild := strings.CutPrefix(g[:at], "*")
			label, below := strings.CutSuffix(host, domain)
			if target("x", number) == "x"+g[at:] && (host == g[:at] || err == nil && notOne == nil && network.Contains(ip) || wild && below && !strings.Contains(label, ".")) {
				return casemate.Decision{Verdict: casemate.Allowed}
			}
		}
		return casemate.Decision{}
	}
	return o
}

// inside is a listener that stands for a port of the sandbox: what it accepts looks as if it was dialled at address.
type inside struct {
	net.Listener
	dialled net.Addr
}

func (l inside) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return dialled{c.(*net.TCPConn), l.dialled}, nil
}

type dialled struct {
	*net.TCPConn
	at net.Addr
}

func (c dialled) LocalAddr() net.Addr { return c.at }

// enter gives a function that connects to the door as if a program inside had dialled the host: a name that is asked for
// first, or an address.
func enter(t testing.TB, d *Door, host string, number uint16) func() *net.TCPConn {
	t.Helper()
	ip, err := netip.ParseAddr(host)
	if err != nil {
		var why string
		if ip, why = d.lookup(host); why != "" {
			t.Fatalf("%s does not resolve inside: %s", host, why)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	for i := range d.listen {
		if d.listen[i].port == number {
			d.Serve(i, inside{l, net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, number))}, nil)
			return func() *net.TCPConn {
				c, err := net.Dial("tcp", l.Addr().String())
				if errors.Is(err, syscall.ECONNRESET) {
					return nil // refused so fast that the dialler saw it
				}
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { c.Close() })
				return c.(*net.TCPConn)
			}
		}
	}
	t.Fatalf("the door does not listen on port %d", number)
	return nil
}

// outside is a server of the outside world on this machine's loopback; handle serves one connection.
func outside(t testing.TB, handle func(c *net.TCPConn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				handle(c.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
	return netip.MustParseAddrPort(l.Addr().String())
}

// pin is a Config with names at addresses.
func pin(pairs ...any) *Config {
	c := &Config{Resolver: &zone{}, Pinned: map[string]netip.AddrPort{}}
	for i := 0; i < len(pairs); i += 2 {
		c.Pinned[pairs[i].(string)] = pairs[i+1].(netip.AddrPort)
	}
	return c
}

// all gives what was recorded so far.
func (r *recorder) all() []casemate.Effect {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.list)
}

// forget starts anew.
func (r *recorder) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = nil
}

// effects gives what was recorded, a line each.
func (r *recorder) effects() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, e := range r.list {
		line := e.Verdict.String() + " " + e.Kind + " " + e.Target
		if e.Reason != "" {
			line += ": " + e.Reason
		}
		if e.Grant != "" {
			line += " [" + e.Grant + "]"
		}
		all = append(all, line)
	}
	return all
}
