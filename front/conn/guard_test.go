package conn

import (
	"net"
	nethttp "net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"casemate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// caller is a connection from an address.
type caller struct {
	net.Conn
	from   string
	closed bool
}

func (c *caller) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(c.from), 1))
}
func (c *caller) Close() error { c.closed = true; return nil }

// gate is a guard with a clock of its own.
type gate struct {
	*Guard
	t   *testing.T
	now time.Time
}

func guard(t *testing.T, l Limits) *gate {
	t.Helper()
	g := &gate{t: t, now: time.Unix(1e9, 0)}
	var err error
	if g.Guard, err = New(l, func() time.Time { return g.now }, NewTally(nil)); err != nil {
		t.Fatal(err)
	}
	return g
}

// comes has somebody connect; nil: it may not stay.
func (g *gate) comes(from string) (*counted, *caller) {
	c := &caller{from: from}
	return g.admit(c), c
}

func (g *gate) stays(from string) *counted {
	g.t.Helper()
	c, _ := g.comes(from)
	if c == nil {
		g.t.Fatalf("%s was not taken in", from)
	}
	return c
}

func (g *gate) goes(from string) {
	g.t.Helper()
	if c, _ := g.comes(from); c != nil {
		g.t.Errorf("%s was taken in", from)
	}
}

func TestConnectionsOfASourceAndItsNetwork(t *testing.T) {
	g := guard(t, Limits{Total: 10, Source: 2, Block: 3})
	a := g.stays("192.0.2.1")
	g.stays("192.0.2.1")
	g.goes("192.0.2.1")
	g.goes("::ffff:192.0.2.1")
	g.stays("192.0.2.2")
	g.goes("192.0.2.3")
	g.stays("192.0.3.3")
	g.stays("2001:db8:0:1::1")
	g.stays("2001:db8:0:1::2")
	g.goes("2001:db8:0:1:2::3")
	g.stays("2001:db8:0:2::1")
	g.goes("2001:db8:0:3::1")
	if g.Open() != 7 {
		t.Errorf("%d open", g.Open())
	}
	a.Close()
	a.Close()
	g.stays("192.0.2.3")
	g.goes("192.0.2.1")
	if g.Open() != 7 {
		t.Errorf("%d open", g.Open())
	}
}

func TestWhoWaitsMakesRoom(t *testing.T) {
	g := guard(t, Limits{Total: 4, Source: 3, Block: 3})
	old, busyOne := g.stays("192.0.2.1"), g.stays("192.0.2.1")
	g.State(busyOne, nethttp.StateActive)
	g.now = g.now.Add(time.Millisecond)
	g.stays("192.0.2.1")
	g.goes("192.0.2.1") // nobody waited for long
	g.now = g.now.Add(leastWait)
	g.stays("192.0.2.1")
	if !old.Conn.(*caller).closed || busyOne.Conn.(*caller).closed {
		t.Error("not the one that waited longest was closed")
	}
	old.Close() // its reader learns; the place is another's by now
	if g.Open() != 3 {
		t.Errorf("%d open", g.Open())
	}
	first := g.stays("198.51.100.1")
	g.now = g.now.Add(leastWait)
	g.stays("203.0.113.1") // all are taken: one of the network with the most goes
	if first.Conn.(*caller).closed || g.Open() != 4 {
		t.Errorf("the only connection of its network was closed; %d open", g.Open())
	}
	for c := range g.open {
		g.State(c, nethttp.StateActive)
	}
	g.now = g.now.Add(leastWait)
	g.goes("203.0.113.9") // nobody waits
}

// A crowd that has everything loses to who comes, and not the other way round.
func TestCrowdDoesNotPushOutOthers(t *testing.T) {
	g := guard(t, Limits{Total: 100, Source: 50, Block: 100})
	one := g.stays("198.51.100.1")
	for i := range 300 {
		g.now = g.now.Add(leastWait / 10)
		g.comes("192.0.2." + string(rune('1'+i%9)))
	}
	if one.Conn.(*caller).closed {
		t.Error("the crowd pushed out somebody else")
	}
	if g.Open() > 100 {
		t.Errorf("%d open", g.Open())
	}
}

func TestRateOfNewConnections(t *testing.T) {
	g := guard(t, Limits{Rate: casemate.Rate{PerSecond: 2, Burst: 3}})
	for range 3 {
		g.stays("192.0.2.1").Close()
	}
	g.goes("192.0.2.1")
	g.stays("192.0.2.2")
	g.now = g.now.Add(500 * time.Millisecond)
	g.stays("192.0.2.1").Close()
	g.goes("192.0.2.1")
	g.now = g.now.Add(-time.Hour)
	g.goes("192.0.2.1")
	g.now = g.now.Add(time.Hour + time.Minute)
	g.cut(netip.MustParsePrefix("192.0.2.1/32"), netip.MustParseAddr("192.0.2.1"), "x")
	g.goes("192.0.2.1")
}

// The books stay small however many sources there are.
func TestSourcesAreForgotten(t *testing.T) {
	g := guard(t, Limits{})
	for i := range 2 * maxNew {
		if c, _ := g.comes(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}).String()); c != nil {
			c.Close()
		}
	}
	if len(g.made) > maxNew+1 || len(g.held) != 0 || g.Open() != 0 {
		t.Errorf("%d buckets, %d counts, %d open", len(g.made), len(g.held), g.Open())
	}
}

func TestBadLimitsAreRefused(t *testing.T) {
	for name, l := range map[string]Limits{"total": {Total: -1}, "source": {Source: -1}, "block": {Block: -1}, "continuations": {Continuations: -1}, "time": {HeaderTime: -1}, "frame time": {FrameTime: -1},
		"rate": {Rate: casemate.Rate{PerSecond: -1, Burst: 1}}, "burst": {Resets: casemate.Rate{PerSecond: 1}}, "no rate": {Idle: casemate.Rate{Burst: 1}}} {
		if _, err := New(l, nil, NewTally(nil)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestTallyFolds(t *testing.T) {
	var told []casemate.Turned
	y := NewTally(func(n casemate.Turned) { told = append(told, n) })
	for range 5 {
		y.Add(casemate.Turned{Source: "a", Rule: "r", Times: 2})
	}
	for i := range 2 * maxTallied {
		y.Add(casemate.Turned{Source: strings.Repeat("x", 1+i), Rule: "r", Times: 1})
	}
	y.tell()
	sum := 0
	for _, n := range told {
		if sum += n.Times; n.Source == "a" && n.Times != 10 {
			t.Errorf("a: %d", n.Times)
		}
	}
	if sum != 10+2*maxTallied || len(told) > maxTallied+1 {
		t.Errorf("%d in %d entries", sum, len(told))
	}
	told = nil
	if y.tell(); len(told) > 0 {
		t.Errorf("told twice: %v", told)
	}
}

// TestStreamsOfManySources: when all streams are as many as there should be, sources with few of them get some more.
func TestStreamsOfManySources(t *testing.T) {
	l := Limits{Streams: 100, SourceStreams: 90}
	s := streams{of: map[netip.Prefix]int{}}
	source := func(n byte) netip.Prefix { return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, n}), 32) }
	ask := func(n byte, want int) {
		t.Helper()
		got := 0
		for got < 1000 && s.open(&l, source(n)) == "" {
			got++
		}
		if got != want {
			t.Errorf("source %d has %d streams, want %d", n, got, want)
		}
	}
	ask(1, 90)
	ask(2, 64)
	ask(3, 46) // twice the bound in all
	ask(4, 0)
	s.end(source(1), 90)
	ask(4, 64)
	for n, had := range []int{0, 0, 64, 46, 64} {
		s.end(source(byte(n)), had)
	}
	if s.all != 0 || len(s.of) != 0 {
		t.Errorf("%d streams of %v are left", s.all, s.of)
	}
}

// Requests that waited for their turn when their peer was cut off do not begin.
func TestNothingBeginsForWhoIsCutOff(t *testing.T) {
	s := &session{g: guard(t, Limits{}).Guard}
	began := 0
	h := s.handler(nethttp.HandlerFunc(func(nethttp.ResponseWriter, *nethttp.Request) { began++ }), nil)
	for _, status := range []int{200, 429} {
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil)); w.Code != status || began != 1 {
			t.Errorf("%d after %d had begun", w.Code, began)
		}
		s.begin("test")
	}
}
