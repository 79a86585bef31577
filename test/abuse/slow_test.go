package abuse

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	nethttp "net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"casemate/front/conn"
	front "casemate/front/http"
)

const soon = 50 * time.Millisecond

// hasty is a front that waits for nobody, but for a client of a busy machine to shake hands and ask, and to be answered.
func hasty(t *testing.T) *target {
	return open(t, front.Limits{HeaderTime: 2 * time.Second, BodyTime: soon, IdleTime: 2 * time.Second})
}

// Whoever begins something over HTTP/2 and does not go on loses the connection. That the tests end is what they assert.
func TestStallsOverHTTP2End(t *testing.T) {
	for name, begin := range map[string]func(p *peer) error{
		"nothing": func(p *peer) error { return nil },
		"half a head": func(p *peer) error {
			_, err := p.conn.Write([]byte{0, 0, 9})
			return err
		},
		"half a header block": func(p *peer) error {
			return p.f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.fields("/")[:5]})
		},
		"half a HEADERS frame": func(p *peer) error {
			_, err := p.conn.Write([]byte{0, 0, 99, 1, 4, 0, 0, 0, 1, 0x82})
			return err
		},
		"half a DATA frame, on a stream that waits": func(p *peer) error {
			if _, err := p.ask("/wait", false); err != nil {
				return err
			}
			_, err := p.conn.Write([]byte{0, 0, 99, 0, 0, 0, 0, 0, 1, 'x'})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := hasty(t)
			p := x.dial(t)
			_ = begin(p) // a server that has waited long enough may have hung up
			<-p.done
			x.rest()
			x.honest(t)
		})
	}
}

// A body that does not come is refused, and its run, if it waits for the body, ends.
func TestBodyThatNeverComesOverHTTP2(t *testing.T) {
	t.Parallel()
	x := open(t, front.Limits{BodyTime: soon})
	p := x.dial(t)
	id, err := p.ask("/", false)
	if err != nil {
		t.Fatal(err)
	}
	p.settled(id)
	p.mu.Lock()
	if p.status[id] != "408" {
		t.Errorf("status %s", p.status[id])
	}
	p.mu.Unlock()
	x.rest()
}

// An answer that is not taken is given up: the peer's window is shut, or nothing is read at all (CVE-2019-9517).
func TestAnswerThatNobodyTakes(t *testing.T) {
	t.Parallel()
	x := open(t, front.Limits{WriteTime: soon, Slowest: 1 << 30})
	p := x.dial(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	id, err := p.ask("/large", true)
	if err != nil {
		t.Fatal(err)
	}
	p.settled(id)
	p.mu.Lock()
	if len(p.resets) == 0 && !p.gone {
		t.Error("the answer went on")
	}
	p.mu.Unlock()
	x.rest()

	c, err := tls.Dial("tcp", x.addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	f := http2.NewFramer(c, nil)
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1}); err != nil {
		t.Fatal(err)
	}
	if err := f.WriteWindowUpdate(0, 1<<30); err != nil {
		t.Fatal(err)
	}
	for i := range 16 {
		if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: p.fields("/large"), EndHeaders: true, EndStream: true}); err != nil {
			break
		}
	}
	for f.WritePing(false, [8]byte{}) == nil { // ends only because the server cuts the connection
	}
	x.rest()
}

// Streams whose answers nobody takes are counted over connections, and no more once they have ended.
func TestStreamsOfASource(t *testing.T) {
	t.Parallel()
	hold := func(x *target, connections int) (last *peer) {
		for range connections {
			last = x.dial(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
			for range 60 {
				if _, err := last.ask("/large", true); err != nil {
					return last
				}
			}
		}
		return last
	}
	x := open(t, front.Limits{Conn: conn.Limits{SourceStreams: 100}})
	first := hold(x, 1)
	if !first.alive() {
		t.Fatal("60 of 100 streams are too many")
	}
	if last := hold(x, 1); !last.calmed() {
		t.Errorf("120 streams of 100 go on: %v", last.away)
	}
	x.honest(t)
	first.leave()
	if again := hold(x, 1); !again.alive() {
		t.Error("streams that ended are counted still")
	}
	x.stop()
	if n, entries := x.times("open HTTP/2 streams"); n != 1 || entries != 1 {
		t.Errorf("told %d times in %d entries: %v", n, entries, x.told)
	}
	if last := hold(open(t, front.Limits{}), 4); !last.alive() {
		t.Error("without that bound, 240 streams are cut off: by what?")
	}
}

// Who resets a stream takes its run along; the connection and other streams go on.
func TestResetCancelsTheRun(t *testing.T) {
	t.Parallel()
	x := open(t, front.Limits{})
	p := x.dial(t)
	id, err := p.ask("/wait", true)
	if err != nil {
		t.Fatal(err)
	}
	x.begun(1)
	if err := p.f.WriteRSTStream(id, http2.ErrCodeCancel); err != nil {
		t.Fatal(err)
	}
	x.rest()
	if x.cancelled.Load() != 1 || !p.alive() {
		t.Errorf("%d runs cancelled", x.cancelled.Load())
	}
}

// Headers that unpack to more than they are allowed never reach the corridor, and what they unpack to is not kept.
func TestHeaderBombsOverHTTP2(t *testing.T) {
	t.Parallel()
	x := open(t, front.Limits{})
	big := make([]string, 0, 2*(1+2000))
	big = append(big, "x-bomb", strings.Repeat("a", 3000))
	for range 2000 { // each one byte on the wire, and 3 KB behind it
		big = append(big, "x-bomb", strings.Repeat("a", 3000))
	}
	many := make([]string, 0, 2*500)
	for i := range 500 {
		many = append(many, "x-"+strconv.Itoa(i), "y")
	}
	for name, fields := range map[string][]string{"references": big, "many": many, "long": {"x-long", strings.Repeat("b", 100<<10)}} {
		p := x.dial(t)
		id := p.stream()
		block := p.fields("/", fields...)
		for first := true; first || len(block) > 0; first = false {
			n := min(len(block), 16<<10)
			last := n == len(block)
			if first {
				_ = p.f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block[:n], EndHeaders: last, EndStream: true})
			} else {
				_ = p.f.WriteContinuation(id, last, block[:n])
			}
			block = block[n:]
		}
		p.settled(id)
		p.mu.Lock()
		if s := p.status[id]; !p.gone && s != "431" {
			t.Errorf("%s: status %q", name, s)
		}
		p.mu.Unlock()
		p.close()
	}
	if n := x.runs.Load(); n != 0 {
		t.Errorf("%d of them reached the corridor", n)
	}
}

// Over HTTP/1, and before anything is spoken.
func TestStallsOverHTTP1End(t *testing.T) {
	x := hasty(t)
	hello := "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
	for name, c := range map[string]struct{ addr, sent string }{
		"nothing": {x.plain, ""}, "half a line": {x.plain, "GET /"}, "half a header": {x.plain, "GET / HTTP/1.1\r\nHost: a\r\nX"},
		"between requests": {x.plain, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"}, "half a body": {x.plain, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx"},
		"half a chunk": {x.plain, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nx"}, "continue": {x.plain, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"},
		"TLS: nothing": {x.addr, ""}, "TLS: half a hello": {x.addr, hello}, "TLS: in plain text": {x.addr, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		"TLS: hello byte by byte": {x.addr, strings.Repeat("\x16\x03\x01\x00\x01\x01", 20)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", c.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, c.sent)
			_, _ = io.ReadAll(conn) // ends only because the server cuts the connection
		})
	}
}

// Extensions of chunks, trailers and header lines are bounded (CVE-2023-39326), and none of it becomes a request.
func TestFloodsOverHTTP1(t *testing.T) {
	x := open(t, front.Limits{})
	post := "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	for name, c := range map[string]struct {
		first, again, last string
		times              int
	}{
		"chunk extensions":   {post, "1;" + strings.Repeat("e", 3000) + "\r\nx\r\n", "0\r\n\r\n", 2000},
		"a single extension": {post + "1;", strings.Repeat("e", 3000), "\r\nx\r\n0\r\n\r\n", 2000},
		"trailers":           {post + "1\r\nx\r\n0\r\n", "X-" + strings.Repeat("t", 1000) + ": y\r\n", "\r\n", 2000},
		"header lines":       {"GET /a HTTP/1.1\r\nHost: a\r\n", "X: y\r\n", "\r\n", 200_000},
		"empty lines":        {"", "\r\n", "GET /a HTTP/1.1\r\nHost: a\r\n\r\n", 200_000},
	} {
		conn, err := net.Dial("tcp", x.plain)
		if err != nil {
			t.Fatal(err)
		}
		answered := make(chan string)
		go func() {
			all, _ := io.ReadAll(conn)
			answered <- string(all)
		}()
		_, err = io.WriteString(conn, c.first)
		for i := 0; err == nil && i < c.times; i++ {
			_, err = io.WriteString(conn, c.again)
		}
		_, _ = io.WriteString(conn, c.last) // the server has long hung up
		_ = conn.(*net.TCPConn).CloseWrite()
		if text := <-answered; strings.Contains(text, " 200 ") {
			t.Errorf("%s: answered %.100q", name, text)
		}
		conn.Close()
	}
	x.rest()
	if seen := x.requests(); len(seen) > 0 {
		t.Errorf("seen %d: %.100q", len(seen), seen)
	}
}

// A crowd of connections that say nothing keeps out nobody who asks, and is one entry of the record a second.
func TestIdleFlood(t *testing.T) {
	var at atomic.Int64 // a clock that goes on whenever somebody looks at it
	at.Store(time.Now().UnixNano())
	x := open(t, front.Limits{Conn: conn.Limits{Total: 30, Source: 20}}, func(c *front.Config) {
		c.Clock = func() time.Time { return time.Unix(0, at.Add(int64(100*time.Millisecond))) }
	})
	var crowd []net.Conn
	for range 60 {
		c, err := net.Dial("tcp", x.plain)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if r, err := nethttp.ReadResponse(bufio.NewReader(c), nil); err != nil || r.StatusCode != 200 {
			t.Fatal(r, err)
		}
		crowd = append(crowd, c)
	}
	x.honest(t)
	away := make(chan struct{}, len(crowd))
	for _, c := range crowd {
		go func() { _, _ = c.Read(make([]byte, 1)); away <- struct{}{} }()
	}
	for range len(crowd) - 20 { // who lost its place reads the end; with more than 20 open, this would wait for ever
		<-away
	}
	x.stop()
	if n, _ := x.times("room for connections that wait"); n < 40 {
		t.Errorf("told of %d: %v", n, x.told)
	}
}

// knocker shuts every source until it is opened.
type knocker struct{ open atomic.Bool }

func (k *knocker) config(c *front.Config) {
	c.Knock = func(time.Time, string, netip.Addr) time.Duration {
		if k.open.Load() {
			return 0
		}
		return time.Second
	}
}

// A source that is shut by its rate is refused over HTTP/2 before anything becomes an event, with one entry of the record.
func TestRefusalsOverHTTP2AreFolded(t *testing.T) {
	h, began := &knocker{}, time.Now()
	x := open(t, front.Limits{}, h.config)
	p := x.dial(t)
	for range 30 {
		id, err := p.ask("/", true)
		if err != nil {
			t.Fatal(err)
		}
		p.settled(id)
		if p.status[id] != "429" {
			t.Fatalf("status %s", p.status[id])
		}
	}
	h.open.Store(true)
	x.honest(t)
	if n := x.runs.Load(); n != 1 {
		t.Errorf("%d events", n)
	}
	x.stop()
	if n, entries := x.times("rate of source 127.0.0.1"); n != 30 || entries > 2+int(time.Since(began)/time.Second) { // one a second, and one at the end
		t.Errorf("%d refusals in %d entries", n, entries)
	}
}
