package egress

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"casemate"
)

// echo sends back what it hears, and ends when it hears the end.
func echo(c *net.TCPConn) {
	_, _ = io.Copy(c, c)
}

func say(t *testing.T, c *net.TCPConn, text string) string {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	back := make([]byte, len(text))
	if _, err := io.ReadFull(c, back); err != nil {
		t.Fatalf("after %q: %v", text, err)
	}
	return string(back)
}

// broken waits for the connection's end, which must not be a clean one.
func broken(t *testing.T, c *net.TCPConn) {
	t.Helper()
	if c == nil {
		return
	}
	if _, err := io.Copy(io.Discard, c); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the connection ended with %v", err)
	}
}

func TestGrantedNameIsReached(t *testing.T) {
	var rec recorder
	d, _ := world(t, &rec, pin("api.example.com:7", outside(t, echo)), "api.example.com:7")
	d.Begin(&casemate.Launch{})
	c := enter(t, d, "api.example.com", 7)()
	if got := say(t, c, "hello") + say(t, c, "\x00\x01"); got != "hello\x00\x01" {
		t.Errorf("heard %q", got)
	}
	c.CloseWrite()
	if rest, err := io.ReadAll(c); err != nil || len(rest) != 0 {
		t.Errorf("heard %q at the end, %v", rest, err)
	}
	d.Begin(nil)
	if len(rec.all()) != 1 {
		t.Fatalf("recorded %q", rec.effects())
	}
	e := rec.all()[0]
	if e.Kind != casemate.EffectConnect || e.Target != "api.example.com:7" || e.Verdict != casemate.Allowed || e.Count != 1 || e.In != 7 || e.Out != 7 || e.At.IsZero() {
		t.Errorf("recorded %+v", e)
	}
}

// A server that speaks first is heard, although the client has said nothing yet.
func TestServerSpeaksFirst(t *testing.T) {
	var rec recorder
	at := outside(t, func(c *net.TCPConn) {
		c.Write([]byte("220 ready\r\n"))
		echo(c)
	})
	d, _ := world(t, &rec, pin("mail.example.com:25", at), "mail.example.com:25")
	c := enter(t, d, "mail.example.com", 25)()
	line, err := bufio.NewReader(io.LimitReader(c, 11)).ReadString('\n')
	if err != nil || line != "220 ready\r\n" {
		t.Fatalf("heard %q, %v", line, err)
	}
	if got := say(t, c, "EHLO x\r\n"); got != "EHLO x\r\n" {
		t.Errorf("heard %q", got)
	}
}

// A name that leads into a range that is not public is refused, whatever it led to before, and the address that was
// checked is the one that is dialled: DNS rebinding gets nowhere.
func TestRebinding(t *testing.T) {
	for name, c := range map[string]struct {
		grants []string
		answer string
		want   string
	}{
		"loopback":  {nil, "127.0.0.1", "deny connect api.example.com:8: the name leads to 127.0.0.1, a loopback address [connect 127.0.0.1/32:8]"},
		"metadata":  {nil, "169.254.169.254", "deny connect api.example.com:8: the name leads to 169.254.169.254, a link-local or metadata address [connect 169.254.169.254/32:8]"},
		"mapped":    {nil, "::ffff:10.0.0.1", "deny connect api.example.com:8: the name leads to 10.0.0.1, a private address [connect 10.0.0.1/32:8]"},
		"NAT64":     {nil, "64:ff9b::7f00:1", "deny connect api.example.com:8: the name leads to 64:ff9b::7f00:1, a NAT64 address [connect [64:ff9b::7f00:1/128]:8]"},
		"any":       {nil, "0.0.0.0", "deny connect api.example.com:8: the name leads to 0.0.0.0, an unspecified address [connect 0.0.0.0/32:8]"},
		"wrong net": {[]string{"10.0.0.0/8:8", "127.0.0.0/8:9"}, "127.0.0.1", "deny connect api.example.com:8: the name leads to 127.0.0.1, a loopback address [connect 127.0.0.1/32:8]"},
		"granted":   {[]string{"127.0.0.0/8:8"}, "127.0.0.1", "allow connect api.example.com:8: connection refused"},
		"nowhere":   {nil, "", "allow connect api.example.com:8: the name has no address"},
	} {
		t.Run(name, func(t *testing.T) {
			var rec recorder
			z := (&zone{}).point("api.example.com", "198.51.100.7", c.answer)
			var dialled []string
			d, e := world(t, &rec, &Config{Resolver: z}, append(c.grants, "api.example.com:8")...)
			e.dials.dial = func(_ context.Context, _, address string) (net.Conn, error) {
				dialled = append(dialled, address)
				return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
			}
			// Documentation's range stands for the public Internet in the first look-up.
			z.LookupNetIP(t.Context(), "ip", "api.example.com")
			broken(t, enter(t, d, "api.example.com", 8)())
			d.Close()
			if got := rec.effects(); !slices.Equal(got[len(got)-1:], []string{c.want}) {
				t.Errorf("recorded %q", got)
			}
			if want := strings.HasSuffix(c.want, "connection refused"); want != (len(dialled) == 1 && dialled[0] == "127.0.0.1:8") {
				t.Errorf("dialled %q", dialled)
			}
			if len(z.asked) != 2 {
				t.Errorf("resolved %d times", len(z.asked)-1)
			}
		})
	}
}

// Rebinding in time: the first connection reaches what the name led to then, the second is refused.
func TestNameTurnsInwards(t *testing.T) {
	var rec recorder
	z := (&zone{}).point("a.example", "93.184.216.34", "127.0.0.1")
	d, e := world(t, &rec, &Config{Resolver: z}, "a.example:8")
	server := outside(t, echo)
	var dialled []string
	e.dials.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		dialled = append(dialled, address)
		return (&net.Dialer{}).DialContext(ctx, network, server.String())
	}
	dial := enter(t, d, "a.example", 8)
	say(t, dial(), "x")
	broken(t, dial())
	broken(t, dial())
	d.Close()
	if !slices.Equal(dialled, []string{"93.184.216.34:8"}) || len(z.asked) != 3 {
		t.Errorf("dialled %q, asked %q", dialled, z.asked)
	}
	if want := "deny connect a.example:8: the name leads to 127.0.0.1, a loopback address [connect 127.0.0.1/32:8]"; !slices.Contains(rec.effects(), want) {
		t.Errorf("recorded %q", rec.effects())
	}
}

// A port that could not be opened inside says so, and asks for no grant that is there.
func TestUnopenedPort(t *testing.T) {
	var rec recorder
	d, _ := world(t, &rec, nil, "a.example:9001", "a.example:443")
	fake, why := d.lookup("a.example")
	if why != "" || d.OnConnect("connect", fake.String()+":9001") || slices.ContainsFunc(d.Doorway().Listen, func(l string) bool { return strings.HasSuffix(l, ":9001") }) {
		t.Errorf("%q, %v", why, d.Doorway().Listen)
	}
	if got := rec.effects(); !slices.Equal(got, []string{"deny connect a.example:9001: " + reasonUnopened}) {
		t.Errorf("recorded %q", got)
	}
}

// A network that a statement denies is denied to names as well.
func TestDeniedNetwork(t *testing.T) {
	var rec recorder
	e, err := New(Config{Resolver: (&zone{}).point("a.example", "93.184.216.34")})
	if err != nil {
		t.Fatal(err)
	}
	o := opening(&rec, "a.example:8")
	allows := o.Decide
	o.Decide = func(host string, port uint16) casemate.Decision {
		if host == "93.184.216.34" {
			return casemate.Decision{Layer: "identity", Statement: "role f#1"}
		}
		return allows(host, port)
	}
	d, err := e.Door(o)
	if err != nil {
		t.Fatal(err)
	}
	broken(t, enter(t, d, "a.example", 8)())
	d.Close()
	if got := rec.effects(); !slices.Equal(got, []string{"deny connect a.example:8: the name leads to 93.184.216.34, an address that role f#1 denies [connect 93.184.216.34/32:8]"}) {
		t.Errorf("recorded %q", got)
	}
}

func TestPublicAmongPrivate(t *testing.T) {
	var rec recorder
	z := (&zone{}).point("api.example.com", "10.0.0.1 93.184.216.34 2606:2800:220:1::1 fe80::1%eth0 127.0.0.1")
	var dialled []string
	d, e := world(t, &rec, &Config{Resolver: z}, "api.example.com:8")
	server := outside(t, echo)
	e.dials.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if dialled = append(dialled, address); strings.HasPrefix(address, "[") {
			return nil, syscall.ENETUNREACH
		}
		return (&net.Dialer{}).DialContext(ctx, network, server.String())
	}
	if got := say(t, enter(t, d, "api.example.com", 8)(), "x"); got != "x" || !slices.Equal(dialled, []string{"[2606:2800:220:1::1]:8", "93.184.216.34:8"}) {
		t.Errorf("heard %q, dialled %q", got, dialled)
	}
}

// Addresses that are dialled themselves need a network; what a program makes of odd spellings is an address by then.
func TestLiterals(t *testing.T) {
	var rec recorder
	d, _ := world(t, &rec, nil, "*.example.com:443", "10.0.0.0/8:443")
	for _, at := range []string{"93.184.216.34", "127.0.0.1", "169.254.169.254", "198.18.0.77", "0.0.0.0"} {
		broken(t, enter(t, d, at, 443)())
	}
	want := []string{"deny connect 93.184.216.34:443: no grant names this address [connect 93.184.216.34/32:443]",
		"deny connect 127.0.0.1:443: no grant names this address [connect 127.0.0.1/32:443]",
		"deny connect 169.254.169.254:443: no grant names this address [connect 169.254.169.254/32:443]",
		"deny connect 198.18.0.77:443: no grant names this address",
		"deny connect 0.0.0.0:443: no grant names this address [connect 0.0.0.0/32:443]"}
	if got := rec.effects(); !slices.Equal(got, want) {
		t.Errorf("recorded %q", got)
	}
	rec.forget()
	fake, _ := d.lookup("a.example.com")
	for address, pass := range map[string]bool{fake.String() + ":443": true, fake.String() + ":0": true, fake.String() + ":80": false, "10.1.2.3:443": true, "[::ffff:10.1.2.3]:443": true,
		"10.1.2.3:80": false, "[::1]:443": false, "[::ffff:127.0.0.1]:443": false, "nonsense": false, "169.254.100.2:53": true, "198.18.0.9:443": false} {
		if d.OnConnect("connect", address) != pass {
			t.Errorf("%s: want %v", address, pass)
		}
	}
	if !slices.Contains(rec.effects(), "deny connect a.example.com:80: no grant names this port of the host [connect a.example.com:80]") {
		t.Errorf("recorded %q", rec.effects())
	}
}

func TestNetworkIsReachedByAddress(t *testing.T) {
	var rec recorder
	server := outside(t, echo)
	d, _ := world(t, &rec, nil, "127.0.0.0/8:"+strings.Split(server.String(), ":")[1])
	if got := say(t, enter(t, d, "127.0.0.1", server.Port())(), "x"); got != "x" {
		t.Errorf("heard %q", got)
	}
}

func TestNames(t *testing.T) {
	var rec recorder
	d, _ := world(t, &rec, nil, "api.example.com:443", "*.wild.example:80", "0x7f.1:80", "1.2.3.4:443")
	for name, granted := range map[string]bool{"api.example.com": true, "a.wild.example": true, "b.a.wild.example": false, "wild.example": false, "api.example.com.evil.example": false,
		"xn--nxasmq6b.wild.example": true, "0x7f.1": false, "1.2.3.4": false, "api.example.com:443": false, "": false, ".": false, "api..example.com": false, "-a.wild.example": false,
		strings.Repeat("a", 64) + ".wild.example": false, `\000.wild.example`: false, "*.wild.example": false, "2130706433": false} {
		if _, why := d.lookup(name); granted != (why == "") {
			t.Errorf("%q: %q", name, why)
		}
	}
	for _, name := range []string{"API.Example.COM.", "api.example.com."} {
		head, q, _ := question(ask4(name, 1))
		if a, _ := d.lookup(printable(q.Name)); a != netip.MustParseAddr("198.18.0.1") && a != d.names.given["api.example.com"] {
			t.Errorf("%s: %v, %+v", name, a, head)
		}
	}
	for i := range 2 * maxNames {
		if _, why := d.lookup("x" + strings.Repeat("i", i%60) + "-" + string(rune('a'+i/60%26)) + string(rune('a'+i/60/26)) + ".wild.example"); why != "" && why != reasonNames {
			t.Fatal(why)
		}
	}
	if n := len(d.names.given); n != maxNames {
		t.Errorf("%d names have an address", n)
	}
}

// tlsServer is an HTTPS server of the outside world that says who it is.
func tlsServer(t *testing.T, name string) (netip.AddrPort, *tls.Config) {
	t.Helper()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/away" {
			http.Redirect(w, r, "http://169.254.169.254/latest/meta-data/", http.StatusFound)
			return
		}
		io.Copy(w, io.MultiReader(strings.NewReader(name+" "+r.Host+" "), r.Body))
	}))
	t.Cleanup(s.Close)
	return netip.MustParseAddrPort(s.Listener.Addr().String()), s.Client().Transport.(*http.Transport).TLSClientConfig
}

func TestTLSMustNameTheHost(t *testing.T) {
	at, conf := tlsServer(t, "front")
	for sni, want := range map[string]string{"example.com": "", "EXAMPLE.com": "", "evil.example": "deny connect example.com:443: the TLS handshake names another host: evil.example",
		"": "deny connect example.com:443: the TLS handshake names no host (no SNI)"} {
		var rec recorder
		d, _ := world(t, &rec, pin("example.com:443", at), "example.com:443")
		c := enter(t, d, "example.com", 443)()
		conf := conf.Clone()
		conf.ServerName, conf.InsecureSkipVerify = sni, sni != "example.com"
		err := tls.Client(c, conf).Handshake()
		if (err == nil) != (want == "") {
			t.Errorf("%q: %v", sni, err)
		}
		if got := rec.effects(); want != "" && !slices.Equal(got, []string{want}) {
			t.Errorf("%q: recorded %q", sni, got)
		}
	}
}

func TestHTTPMustNameTheHost(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Host) }))
	t.Cleanup(server.Close)
	var rec recorder
	d, _ := world(t, &rec, pin("example.com:80", netip.MustParseAddrPort(server.Listener.Addr().String())), "example.com:80")
	dial := enter(t, d, "example.com", 80)
	c := dial()
	r := bufio.NewReader(c)
	for range 3 {
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: Example.com\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
		res, err := http.ReadResponse(r, nil)
		if err != nil || res.StatusCode != 200 {
			t.Fatalf("%v, %v", res, err)
		}
		io.Copy(io.Discard, res.Body)
	}
	// The smuggled second request comes in the same bytes as the first.
	for _, text := range []string{"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", "GET / HTTP/1.1\r\nHost: example.com\r\n\r\nGET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: example.com:81\r\n\r\n", "CONNECT evil.example:443 HTTP/1.1\r\nHost: example.com\r\n\r\n", "GET http://evil.example/ HTTP/1.1\r\nHost: example.com\r\n\r\n"} {
		c := dial()
		io.WriteString(c, text)
		heard, err := io.ReadAll(c)
		if err == nil || strings.Contains(string(heard), "evil") {
			t.Errorf("%q: heard %q, %v", text, heard, err)
		}
	}
	want := []string{"deny connect example.com:80: the HTTP request names another host: evil.example"}
	if got := rec.effects(); !slices.Equal(got[:1], want) {
		t.Errorf("recorded %q", got)
	}
}

func TestWebSocketIsSwitchedByTheServer(t *testing.T) {
	at := outside(t, func(c *net.TCPConn) {
		r := bufio.NewReader(c)
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
		io.Copy(c, r)
	})
	var rec recorder
	d, _ := world(t, &rec, pin("example.com:80", at), "example.com:80")
	c := enter(t, d, "example.com", 80)()
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	r := bufio.NewReader(c)
	if res, err := http.ReadResponse(r, nil); err != nil || res.StatusCode != 101 {
		t.Fatalf("%v, %v", res, err)
	}
	c.Write([]byte("\x81\x02GET / HTTP/1.1\r\nHost: b\r\n\r\n"))
	back := make([]byte, 4)
	if _, err := io.ReadFull(r, back); err != nil || string(back) != "\x81\x02GE" {
		t.Errorf("heard %q, %v", back, err)
	}
}

func TestEndsArePassedOn(t *testing.T) {
	ended := make(chan error, 1)
	at := outside(t, func(c *net.TCPConn) {
		b := make([]byte, 1)
		c.Read(b)
		switch b[0] {
		case 'r':
			c.SetLinger(0)
		case 'e':
			io.WriteString(c, "bye")
		case 'w':
			_, err := io.Copy(io.Discard, c)
			ended <- err
		}
	})
	var rec recorder
	d, _ := world(t, &rec, pin("a.example:7", at), "a.example:7")
	dial := enter(t, d, "a.example", 7)
	c := dial()
	c.Write([]byte("r"))
	broken(t, c)
	c = dial()
	c.Write([]byte("e"))
	if heard, err := io.ReadAll(c); err != nil || string(heard) != "bye" {
		t.Errorf("heard %q, %v", heard, err)
	}
	c = dial()
	c.Write([]byte("w"))
	c.CloseWrite()
	if err := <-ended; err != nil {
		t.Errorf("an end arrived as %v", err)
	}
	c = dial()
	c.Write([]byte("w"))
	c.SetLinger(0)
	c.Close()
	if err := <-ended; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a reset arrived as %v", err)
	}
}

func TestLimits(t *testing.T) {
	var rec recorder
	e, err := New(*pin("a.example:7", outside(t, echo)))
	if err != nil {
		t.Fatal(err)
	}
	o := opening(&rec, "a.example:7")
	o.Version.Limits = casemate.Limits{Connections: 2, Traffic: 1000}
	o.Version.Isolation = casemate.IsolationWarm
	d, err := e.Door(o)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	d.Begin(&casemate.Launch{})
	dial := enter(t, d, "a.example", 7)
	one, two := dial(), dial()
	say(t, one, "x")
	say(t, two, "y")
	broken(t, dial())
	if got := rec.effects(); !slices.Equal(got, []string{"deny connect a.example:7: " + reasonConnections}) {
		t.Errorf("recorded %q", got)
	}
	rec.forget()
	d.Begin(&casemate.Launch{})
	say(t, one, strings.Repeat("x", 400))
	one.Write([]byte(strings.Repeat("x", 400)))
	broken(t, one)
	d.Begin(nil)
	got := rec.effects()
	if want := "deny connect a.example:7: " + reasonTraffic; !slices.Contains(got, want) {
		t.Errorf("recorded %q", got)
	}
	d.Begin(&casemate.Launch{})
	say(t, two, "a new run has its own traffic")
}

// Between runs nothing leaves; where sandboxes are reused a connection goes on in the next run and counts there.
func TestBetweenRuns(t *testing.T) {
	for _, isolation := range []casemate.Isolation{casemate.IsolationRequest, casemate.IsolationWarm} {
		heard := make(chan string, 10)
		at := outside(t, func(c *net.TCPConn) {
			b := make([]byte, 10)
			for {
				n, err := c.Read(b)
				if err != nil {
					return
				}
				heard <- string(b[:n])
			}
		})
		var rec recorder
		e, err := New(*pin("a.example:7", at))
		if err != nil {
			t.Fatal(err)
		}
		o := opening(&rec, "a.example:7")
		o.Version.Isolation = isolation
		d, err := e.Door(o)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		d.Begin(&casemate.Launch{})
		really := e.dials.dial
		e.dials.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if d.run.Load() == nil {
				t.Error("dialled between runs")
			}
			return really(ctx, network, address)
		}
		dial := enter(t, d, "a.example", 7)
		c := dial()
		c.Write([]byte("one"))
		if got := <-heard; got != "one" {
			t.Errorf("heard %q", got)
		}
		d.Begin(nil)
		if len(rec.all()) != 1 || rec.all()[0].Out != 3 {
			t.Errorf("recorded %+v", rec.all())
		}
		if isolation == casemate.IsolationRequest {
			broken(t, c)
			broken(t, dial())
			continue
		}
		c.Write([]byte("two"))
		late := dial()
		late.Write([]byte("three"))
		if _, err := d.Fetch(t.Context(), &casemate.Fetch{URL: "http://a.example:7/"}); casemate.CodeOf(err) != casemate.Unavailable {
			t.Errorf("Fetch between runs: %v", err)
		}
		for taken := 0; taken < 2; runtime.Gosched() { // so that it has every chance to do wrong
			d.mu.Lock()
			taken = len(d.relays)
			d.mu.Unlock()
		}
		for range 10000 {
			runtime.Gosched()
		}
		if len(heard) != 0 {
			t.Errorf("heard %q between runs", <-heard)
		}
		d.Begin(&casemate.Launch{})
		got := []string{<-heard, <-heard}
		slices.Sort(got)
		if !slices.Equal(got, []string{"three", "two"}) {
			t.Errorf("heard %q", got)
		}
		d.Begin(nil)
		if last := rec.all()[len(rec.all())-1]; last.Out != 8 || last.Count != 1 {
			t.Errorf("recorded %+v", rec.all())
		}
	}
}

// The policy is asked about each connection: an address that a name got before opens nothing when the grant is gone, and
// nothing on a port that only another name was granted.
func TestGrantIsGone(t *testing.T) {
	var rec recorder
	var gone atomic.Bool
	e, err := New(*pin("a.example:7", outside(t, echo)))
	if err != nil {
		t.Fatal(err)
	}
	o := opening(&rec, "a.example:7", "b.example:8")
	granted := o.Decide
	o.Decide = func(host string, port uint16) casemate.Decision {
		if gone.Load() {
			return casemate.Decision{}
		}
		return granted(host, port)
	}
	d, err := e.Door(o)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	dial := enter(t, d, "a.example", 7)
	say(t, dial(), "x")
	broken(t, enter(t, d, "a.example", 8)())
	gone.Store(true)
	broken(t, dial())
	want := []string{"deny connect a.example:8: no grant names this port of the host [connect a.example:8]", "deny connect a.example:7: no grant names this port of the host [connect a.example:7]"}
	if got := rec.effects(); !slices.Equal(got, want) {
		t.Errorf("recorded %q", got)
	}
	if _, why := d.lookup("a.example"); why != reasonName {
		t.Errorf("resolves: %q", why)
	}
}

// What a sandbox does while it initialises is told in its first run.
func TestInitialisationCounts(t *testing.T) {
	var rec recorder
	d, _ := world(t, &rec, pin("a.example:7", outside(t, echo)), "a.example:7")
	say(t, enter(t, d, "a.example", 7)(), "x")
	if len(rec.all()) != 0 {
		t.Errorf("recorded %q", rec.effects())
	}
	d.Begin(&casemate.Launch{})
	if got := rec.effects(); !slices.Equal(got, []string{"allow connect a.example:7"}) {
		t.Errorf("recorded %q", got)
	}
}

func TestManyHostsAreOneEffect(t *testing.T) {
	r := newRun(1 << 40)
	for i := range 3 * maxHosts {
		r.count(target("h"+strings.Repeat("x", i), 443), time.Unix(int64(i), 0), 1, 1, 2, "")
	}
	all := r.end()
	if len(all) != maxHosts+1 || all[maxHosts].Target != others || all[maxHosts].Count != 2*maxHosts || all[maxHosts].Out != 4*maxHosts {
		t.Errorf("%d effects, the last %+v", len(all), all[len(all)-1])
	}
	if counted, _ := r.count("late:1", time.Now(), 1, 0, 0, ""); counted {
		t.Error("an ended run counts")
	}
}

func TestFetch(t *testing.T) {
	at, conf := tlsServer(t, "api")
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/long" {
			w.Write(make([]byte, casemate.MaxFetched+1))
		}
	}))
	t.Cleanup(plain.Close)
	cfg := pin("example.com:443", at, "example.com:80", netip.MustParseAddrPort(plain.Listener.Addr().String()))
	cfg.Roots = conf.RootCAs
	var rec recorder
	d, _ := world(t, &rec, cfg, "example.com:443", "example.com:80", "private.example:443", "192.0.2.0/24:443")
	d.Begin(&casemate.Launch{})
	res, err := d.Fetch(t.Context(), &casemate.Fetch{Method: "POST", URL: "https://Example.com/x?y", Body: []byte("body"), Header: map[string][]string{"x-a": {"1"}}})
	if err != nil || res.Status != 200 || string(res.Body) != "api Example.com body" {
		t.Fatalf("%+v, %v", res, err)
	}
	if res, err = d.Fetch(t.Context(), &casemate.Fetch{URL: "https://example.com/away"}); err != nil || res.Status != 302 {
		t.Errorf("a redirect: %+v, %v", res, err)
	}
	for _, c := range []struct {
		f    casemate.Fetch
		want casemate.Code
	}{
		{casemate.Fetch{URL: "https://evil.example/"}, casemate.Forbidden}, {casemate.Fetch{URL: "https://example.com:444/"}, casemate.Forbidden},
		{casemate.Fetch{URL: "http://169.254.169.254/"}, casemate.Forbidden}, {casemate.Fetch{URL: "http://[::ffff:127.0.0.1]:80/"}, casemate.Forbidden},
		{casemate.Fetch{URL: "http://2130706433/"}, casemate.Invalid}, {casemate.Fetch{URL: "http://0x7f.1/"}, casemate.Invalid}, {casemate.Fetch{URL: "http://a@example.com/"}, casemate.Invalid},
		{casemate.Fetch{URL: "file:///etc/passwd"}, casemate.Invalid}, {casemate.Fetch{URL: "/x"}, casemate.Invalid}, {casemate.Fetch{URL: "https:///x"}, casemate.Invalid}, {casemate.Fetch{URL: "unix://x"}, casemate.Invalid},
		{casemate.Fetch{Method: "CONNECT", URL: "https://example.com/"}, casemate.Invalid}, {casemate.Fetch{Method: "a b", URL: "https://example.com/"}, casemate.Invalid},
		{casemate.Fetch{URL: "https://example.com/", Header: map[string][]string{"hOST": {"evil.example"}}}, casemate.Invalid},
		{casemate.Fetch{URL: "https://example.com/", Header: map[string][]string{"Transfer-Encoding": {"chunked"}}}, casemate.Invalid},
		{casemate.Fetch{URL: "https://example.com/", Header: map[string][]string{"X": {"a\r\nHost: evil.example"}}}, casemate.Unavailable},
		{casemate.Fetch{URL: "https://example.com/", Body: make([]byte, casemate.MaxFetch+1)}, casemate.TooLarge}, {casemate.Fetch{URL: "http://example.com/long"}, casemate.TooLarge},
		{casemate.Fetch{URL: "https://private.example/"}, casemate.Unavailable},
	} {
		if res, err := d.Fetch(t.Context(), &c.f); casemate.CodeOf(err) != c.want || res != nil {
			t.Errorf("%s %s: %+v, %v", c.f.Method, c.f.URL, res, err)
		}
	}
	d.Begin(nil)
	got := rec.effects()
	for _, want := range []string{"deny connect evil.example:443: no grant names this host [connect evil.example:443]", "deny connect 169.254.169.254:80: no grant names this host [connect 169.254.169.254/32:80]",
		"allow connect example.com:443", "allow connect private.example:443: the name does not exist"} {
		if !slices.Contains(got, want) {
			t.Errorf("%q is not among %q", want, got)
		}
	}
	i := slices.IndexFunc(rec.all(), func(e casemate.Effect) bool { return e.Target == "example.com:443" && e.Verdict == casemate.Allowed })
	if e := rec.all()[i]; e.In < 1000 || e.Out < 300 || e.Count == 0 {
		t.Errorf("recorded %+v", e)
	}
}

// An endpoint on a port that is granted as well gets its connections.
func TestEndpointOnAGrantedPort(t *testing.T) {
	var rec recorder
	e, _ := New(Config{})
	o := opening(&rec, "a.example:80")
	closed := 0
	for _, at := range []string{"169.254.100.3:80", "127.0.0.1:2773"} {
		o.Endpoints = append(o.Endpoints, Endpoint{Address: at, Env: map[string]string{"AT_" + at[:3]: at}, Close: func() { closed++ }, Serve: func(l net.Listener) {
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					io.WriteString(c, "endpoint")
					c.Close()
				}
			}()
		}})
	}
	d, err := e.Door(o)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	way := d.Doorway()
	if !slices.Equal(way.Listen, []string{"udp 169.254.100.2:53", "tcp 0.0.0.0:80", "tcp 169.254.100.2:53", "tcp 127.0.0.1:2773"}) || way.Env["AT_127"] != "127.0.0.1:2773" || way.Env["AT_169"] == "" {
		t.Errorf("%+v", way)
	}
	if heard, err := io.ReadAll(enter(t, d, "169.254.100.3", 80)()); err != nil || string(heard) != "endpoint" {
		t.Errorf("heard %q, %v", heard, err)
	}
	own, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.Serve(slices.Index(way.Listen, "tcp 127.0.0.1:2773"), own, nil)
	if c, err := net.Dial("tcp", own.Addr().String()); err != nil {
		t.Error(err)
	} else if heard, err := io.ReadAll(c); err != nil || string(heard) != "endpoint" {
		t.Errorf("heard %q, %v", heard, err)
	}
	if !d.OnConnect("connect", "169.254.100.3:80") {
		t.Error("its address is refused")
	}
	d.Close()
	d.Close()
	if _, err := own.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("its socket is open: %v", err)
	}
	if closed != 2 {
		t.Errorf("%d endpoints were closed", closed)
	}
	o.Endpoints = o.Endpoints[:1]
	o.Endpoints = append(o.Endpoints, o.Endpoints[0])
	if _, err := e.Door(o); err == nil {
		t.Error("two endpoints have one address")
	}
}
