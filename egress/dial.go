package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
)

// Times of one connection to the outside.
const (
	dialTime    = 10 * time.Second       // all of it: resolving and every address
	attemptTime = 5 * time.Second        // one address
	stagger     = 250 * time.Millisecond // before the next address is tried as well (RFC 8305, section 5)
	maxAttempts = 6
)

// dialer resolves names and dials exactly the addresses that were checked.
type dialer struct {
	resolver Resolver
	pinned   map[string]netip.AddrPort
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
}

func (d *dialer) fill() {
	if d.resolver == nil {
		d.resolver = &net.Resolver{PreferGo: true}
	}
	d.dial = (&net.Dialer{Timeout: attemptTime, FallbackDelay: -1}).DialContext
}

// forbidden says that a name leads nowhere that it may.
type forbidden struct {
	ip   netip.Addr
	what string
}

func (f *forbidden) Error() string { return "the name leads to " + f.ip.String() + ", " + f.what }

// connect opens a connection to a host that was granted. why is asked about each address, and says what stands against it;
// special is what it is when it is not public. An error is *forbidden when something stands against all of them.
func (d *dialer) connect(ctx context.Context, host string, port uint16, why func(ip netip.Addr, special string) string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	if at, ok := d.pinned[target(host, port)]; ok {
		return d.dial(ctx, "tcp", at.String())
	}
	addresses, err := d.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	var good []netip.Addr
	var bad *forbidden
	for _, ip := range addresses {
		ip = ip.Unmap()
		if what := why(ip, whatIs(ip)); what != "" {
			bad = &forbidden{ip, what}
		} else {
			good = append(good, ip)
		}
	}
	switch {
	case len(good) > 0:
		return d.race(ctx, interleave(good), port)
	case bad != nil:
		return nil, bad
	}
	return nil, errors.New("the name has no address")
}

// resolve asks outside. A name with dots is absolute: no search list of this machine turns it into another.
func (d *dialer) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip}, nil
	}
	if strings.Contains(host, ".") {
		host += "."
	}
	return d.resolver.LookupNetIP(ctx, "ip", host)
}

// interleave puts addresses of both families in turn, IPv6 first, and cuts the list.
func interleave(all []netip.Addr) []netip.Addr {
	var six, four, out []netip.Addr
	for _, ip := range all {
		if ip.Is6() {
			six = append(six, ip)
		} else {
			four = append(four, ip)
		}
	}
	for i := range max(len(six), len(four)) {
		if i < len(six) {
			out = append(out, six[i])
		}
		if i < len(four) {
			out = append(out, four[i])
		}
	}
	return out[:min(len(out), maxAttempts)]
}

// race dials the addresses in order, the next when one has failed or is slow, and keeps the first that answers.
func (d *dialer) race(ctx context.Context, ips []netip.Addr, port uint16) (net.Conn, error) {
	if len(ips) == 1 {
		return d.dial(ctx, "tcp", netip.AddrPortFrom(ips[0], port).String())
	}
	ctx, cancel := context.WithCancel(ctx)
	type outcome struct {
		conn net.Conn
		err  error
	}
	results := make(chan outcome, len(ips))
	started, ended := 0, 0
	start := func() {
		address := netip.AddrPortFrom(ips[started], port).String()
		started++
		go func() {
			c, err := d.dial(ctx, "tcp", address)
			results <- outcome{c, err}
		}()
	}
	timer := time.NewTimer(stagger)
	defer timer.Stop()
	var first error
	var won net.Conn
	for start(); ended < started; {
		select {
		case r := <-results:
			ended++
			switch {
			case r.err == nil && won == nil:
				won = r.conn
				cancel() // the others end at once, and are waited for
			case r.err == nil:
				_ = r.conn.Close() // a second winner; nothing was written
			case first == nil:
				first = r.err
			}
			if won == nil && started < len(ips) && ended == started {
				start()
			}
		case <-timer.C:
			if won == nil && started < len(ips) {
				start()
				timer.Reset(stagger)
			}
		}
	}
	cancel()
	if won == nil {
		return nil, first
	}
	return won, nil
}

// failure says in a few words, without addresses, why a connection that was allowed did not come about.
func failure(err error) string {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return "the name does not exist"
	case errors.As(err, &dns):
		return "the name could not be resolved"
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		return "no answer in time"
	case errors.Is(err, context.Canceled):
		return "given up"
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return fmt.Sprint(op.Err)
	}
	return err.Error()
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}
