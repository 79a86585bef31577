package egress

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"

	"casemate"
)

func TestMain(m *testing.M) {
	// The thread that jails are spawned from lives as long as the process.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("casemate/sandbox/jail.newLauncher.func1"))
}

// recorder collects effects.
type recorder struct {
	mu   sync.Mutex
	list []casemate.Effect
}

func (r *recorder) add(e casemate.Effect) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, e)
}

func (r *recorder) targets() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ts []string
	for _, e := range r.list {
		if e.Verdict != casemate.Denied || e.At.IsZero() || e.Reason == "" {
			return []string{"an effect that is not a refusal"}
		}
		ts = append(ts, e.Kind+" "+e.Target)
	}
	return ts
}

// served is a door on real sockets and a resolver of the standard library that asks it.
func served(t *testing.T, network string) (*Door, *recorder, *net.Resolver) {
	t.Helper()
	r := &recorder{}
	d, _ := world(t, r, nil)
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.Serve(0, nil, c)
	d.Serve(1, l, nil)
	t.Cleanup(func() {
		d.Close()
		d.Close()
	})
	address := map[string]string{"udp": c.LocalAddr().String(), "tcp": l.Addr().String()}
	return d, r, &net.Resolver{PreferGo: true, StrictErrors: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address[network])
	}}
}

func TestNamesDoNotResolveAndAreRecordedOnce(t *testing.T) {
	for _, network := range []string{"udp", "tcp"} {
		d, r, resolver := served(t, network)
		for range 3 {
			_, err := resolver.LookupHost(t.Context(), "API.Stripe.com.")
			var dns *net.DNSError
			if !errors.As(err, &dns) || !dns.IsNotFound || dns.IsTemporary {
				t.Errorf("%s: %v", network, err)
			}
		}
		if got := r.targets(); !slices.Equal(got, []string{"resolve api.stripe.com"}) {
			t.Errorf("%s: recorded %v", network, got)
		}
		d.Begin(nil)
		resolver.LookupHost(t.Context(), "api.stripe.com.")
		if got := r.targets(); len(got) != 2 {
			t.Errorf("%s: recorded after Begin %v", network, got)
		}
	}
}

func TestNonsenseIsIgnored(t *testing.T) {
	d, r, resolver := served(t, "udp")
	for _, packet := range [][]byte{nil, {0}, make([]byte, 12), []byte(strings.Repeat("\xff", 600)), ask4("a.example.", 2), answerTo("a.example.")} {
		if reply, ok := d.answer(packet); ok {
			t.Errorf("%x answered with %x", packet, reply)
		}
		conn, err := resolver.Dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		conn.Write(packet)
		conn.Close()
	}
	if _, err := resolver.LookupHost(t.Context(), "still.there."); err == nil {
		t.Error("resolved")
	}
	if got := r.targets(); !slices.Equal(got, []string{"resolve still.there"}) {
		t.Errorf("recorded %v", got)
	}
}

func TestStreamsThatLieAboutTheirLength(t *testing.T) {
	_, r, resolver := served(t, "tcp")
	for _, bytes := range [][]byte{{0xff, 0xff, 1}, {0, 0}, {0, 5, 1, 2, 3, 4, 5}} {
		conn, err := resolver.Dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		conn.Write(bytes)
		if n, err := io.ReadFull(conn, make([]byte, 1)); err == nil {
			t.Errorf("%x: heard %d bytes", bytes, n)
		}
		conn.Close()
	}
	// Half a question, then nothing: Close does not wait for it.
	conn, err := resolver.Dial(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.Write([]byte{0})
	if got := r.targets(); len(got) != 0 {
		t.Errorf("recorded %v", got)
	}
}

func TestSeveralQuestionsOnOneStream(t *testing.T) {
	_, r, resolver := served(t, "tcp")
	conn, err := resolver.Dial(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, name := range []string{"one.example.", "two.example."} {
		q := ask4(name, 1)
		conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(q))), q...))
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			t.Fatal(err)
		}
		reply := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(conn, reply); err != nil {
			t.Fatal(err)
		}
		var p dnsmessage.Parser
		if head, err := p.Start(reply); err != nil || head.RCode != dnsmessage.RCodeNameError || head.ID != 7 || !head.Response {
			t.Errorf("%+v %v", head, err)
		}
	}
	if got := r.targets(); !slices.Equal(got, []string{"resolve one.example", "resolve two.example"}) {
		t.Errorf("recorded %v", got)
	}
}

func TestFloodOfNamesIsBounded(t *testing.T) {
	now := time.Unix(1, 0)
	r := &recorder{}
	d, _ := world(t, r, &Config{Clock: func() time.Time { return now }})
	for i := range 10 * maxSeen {
		d.OnConnect("connect", net.JoinHostPort("10.0.0.1", string(rune('a'+i%26))+string(rune('a'+i/26))))
	}
	got := r.targets()
	if len(got) != maxSeen+1 || got[maxSeen] != "flood connect" {
		t.Errorf("%d effects, the last %q", len(got), got[len(got)-1])
	}
	now = now.Add(forget)
	d.OnConnect("connect", "10.0.0.2:22")
	if got := r.targets(); got[len(got)-1] != "connect 10.0.0.2:22" {
		t.Errorf("a second later: %v", got[len(got)-1])
	}
}

func TestPaceSlowsAFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pace
		done := make(chan struct{})
		start := time.Now()
		for range 3 * burst {
			if !p.wait(time.Now(), done) {
				t.Fatal("closed")
			}
		}
		if took := time.Since(start); took < 1900*time.Millisecond || took > 2100*time.Millisecond {
			t.Errorf("%d questions in %v", 3*burst, took)
		}
		close(done)
		p.tokens = -100
		if p.wait(time.Now(), done) {
			t.Error("goes on although closed")
		}
	})
}

func TestClosedDoorTakesNothing(t *testing.T) {
	d, _ := world(t, &recorder{}, nil)
	d.Close()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.Serve(0, nil, c)
	if _, _, err := c.ReadFrom(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the socket is open: %v", err)
	}
}

func TestNamesAreMadePrintable(t *testing.T) {
	for raw, want := range map[string]string{"A.b.": "a.b", ".": ".", "a\nb.": `a\010b`, "\xff.x.": `\255.x`, "_sip.x.": "_sip.x"} {
		n, err := dnsmessage.NewName(raw)
		if err != nil {
			t.Fatal(err)
		}
		if got := printable(n); got != want {
			t.Errorf("%q: %q, want %q", raw, got, want)
		}
	}
}

func ask4(name string, n int) []byte {
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: 7, RecursionDesired: true})
	b.StartQuestions()
	for range n {
		b.Question(dnsmessage.Question{Name: dnsmessage.MustNewName(name), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET})
	}
	m, _ := b.Finish()
	return m
}

func answerTo(name string) []byte {
	head, q, _ := question(ask4(name, 1))
	reply, _ := encode(head, q, netip.Addr{})
	return reply
}

func FuzzAnswer(f *testing.F) {
	f.Add(ask4("a.example.", 1))
	f.Add(ask4("A.granted.", 1))
	f.Add(ask4("a.example.", 2))
	f.Add(answerTo("a.example."))
	f.Add([]byte("\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01"))
	f.Fuzz(func(t *testing.T, query []byte) {
		var rec recorder
		d, _ := world(t, &rec, nil, "a.granted:443")
		defer d.Close()
		reply, ok := d.answer(query)
		if !ok {
			return
		}
		var p dnsmessage.Parser
		head, err := p.Start(reply)
		if err != nil || head.ID != binary.BigEndian.Uint16(query) || !head.Response || head.RCode != dnsmessage.RCodeNameError && head.RCode != dnsmessage.RCodeSuccess {
			t.Fatalf("reply %x to %x", reply, query)
		}
		if _, again := d.answer(reply); again {
			t.Fatal("an answer is answered: two of us would never stop")
		}
		for name := range d.names.given {
			if name != "a.granted" {
				t.Fatalf("%q has an address", name)
			}
		}
		if head.RCode == dnsmessage.RCodeSuccess != (len(rec.targets()) == 0) {
			t.Fatalf("%v, recorded %v", head.RCode, rec.targets())
		}
		for _, e := range rec.list {
			if len(reply) > len(query)+512 || len(e.Target) > 4*255 || strings.ContainsFunc(e.Target+e.Grant, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Fatalf("%+v, reply of %d bytes", e, len(reply))
			}
		}
	})
}
