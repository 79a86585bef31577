package abuse

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	nethttp "net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"casemate"
	"casemate/front/conn"
	front "casemate/front/http"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// large is one answer for all: hundreds of streams have it at once.
var large = bytes.Repeat([]byte("x"), 4<<20)

// target is a front over TLS with what its handler and its record saw.
type target struct {
	addr, plain string
	runs        atomic.Int64 // events that reached the corridor
	cancelled   atomic.Int64 // of those, whose caller was gone
	stop        func()       // shuts down, and has the last be told
	mu          sync.Mutex
	idle        sync.Cond
	running     int
	told        []casemate.Turned
	seen        []string // method, host, path and body of each event
}

// open starts a front. /wait waits for its caller to go, /large answers 4 MiB, everything else answers at once. Bodies are read.
// A time that l does not bound is an hour, lest a busy machine cut off whom a test is not about.
func open(t testing.TB, l front.Limits, more ...func(*front.Config)) *target {
	t.Helper()
	x := &target{}
	x.idle.L = &x.mu
	for _, d := range []*time.Duration{&l.HeaderTime, &l.BodyTime, &l.WriteTime, &l.IdleTime} {
		if *d == 0 {
			*d = time.Hour
		}
	}
	c := front.Config{Handler: x.handle, Limits: l, Dir: t.TempDir(), Listen: []front.Listener{{Addr: "127.0.0.1:0", TLS: true}, {Addr: "127.0.0.1:0"}},
		Refused: func(n casemate.Turned) {
			x.mu.Lock()
			defer x.mu.Unlock()
			x.told = append(x.told, n)
		}}
	for _, m := range more {
		m(&c)
	}
	s, err := front.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	x.stop = sync.OnceFunc(func() {
		now, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.Shutdown(now) // attackers may hang on; what is left is cut
	})
	t.Cleanup(x.stop)
	x.addr, x.plain = s.Addrs()[0].String(), s.Addrs()[1].String()
	return x
}

func (x *target) handle(ctx context.Context, e *casemate.Event) (*casemate.Result, error) {
	x.runs.Add(1)
	x.run(1)
	defer x.run(-1)
	var body []byte
	if e.Body != nil {
		var err error
		if body, err = io.ReadAll(e.Body); err != nil {
			return nil, err
		}
	}
	x.mu.Lock()
	x.seen = append(x.seen, strings.Join([]string{e.Target.Method, e.Target.Host, e.Target.Path, string(body)}, " "))
	x.mu.Unlock()
	answer := []byte("ok")
	switch e.Target.Path {
	case "/wait":
		<-ctx.Done()
		x.cancelled.Add(1)
		return nil, ctx.Err()
	case "/large":
		answer = large
	}
	return &casemate.Result{Answer: &casemate.Answer{Status: 200, Body: answer}}, nil
}

func (x *target) run(n int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.running += n
	x.idle.Broadcast()
}

// begun waits until n events have reached the corridor.
func (x *target) begun(n int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for x.runs.Load() < n {
		x.idle.Wait()
	}
}

// rest waits until nothing runs.
func (x *target) rest() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for x.running > 0 {
		x.idle.Wait()
	}
}

// times is how often a rule that begins so was told of, and in how many entries.
func (x *target) times(rule string) (n, entries int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, t := range x.told {
		if strings.HasPrefix(t.Rule, rule) {
			n, entries = n+t.Times, entries+1
		}
	}
	return n, entries
}

// requests takes what the handler saw since it was last asked.
func (x *target) requests() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	seen := x.seen
	x.seen = nil
	return seen
}

// honest has a client of its own ask once.
func (x *target) honest(t *testing.T) {
	t.Helper()
	tr := &nethttp.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	defer tr.CloseIdleConnections()
	r, err := (&nethttp.Client{Transport: tr}).Get("https://" + x.addr + "/honest")
	if err != nil {
		t.Fatal("an honest client: ", err)
	}
	defer r.Body.Close()
	if text, err := io.ReadAll(r.Body); err != nil || r.StatusCode != 200 || string(text) != "ok" || r.ProtoMajor != 2 {
		t.Errorf("an honest client: %s %d %q, %v", r.Proto, r.StatusCode, text, err)
	}
}

// peer speaks HTTP/2 frame by frame.
type peer struct {
	t    testing.TB
	conn net.Conn
	f    *http2.Framer
	next uint32
	hbuf bytes.Buffer
	henc *hpack.Encoder

	ponged chan struct{} // gets one for each PING that was acknowledged
	done   chan struct{} // the server closed the connection
	mu     sync.Mutex
	away   *http2.ErrCode
	resets map[http2.ErrCode]int
	status map[uint32]string
	over   map[uint32]bool // streams that the server has ended
	some   sync.Cond
	gone   bool
}

func (x *target) dial(t testing.TB, settings ...http2.Setting) *peer {
	t.Helper()
	c, err := tls.Dial("tcp", x.addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, conn: c, f: http2.NewFramer(c, c), next: 1, ponged: make(chan struct{}, 64), done: make(chan struct{}), resets: map[http2.ErrCode]int{}, status: map[uint32]string{}}
	p.f.AllowIllegalWrites = true
	p.some.L, p.over = &p.mu, map[uint32]bool{}
	p.henc = hpack.NewEncoder(&p.hbuf)
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := p.f.WriteSettings(settings...); err != nil {
		t.Fatal(err)
	}
	go p.read()
	t.Cleanup(p.close)
	return p
}

func (p *peer) close() {
	p.conn.Close()
	<-p.done
}

// leave says that nothing more will come, and returns when the server has let go of the connection.
func (p *peer) leave() {
	p.t.Helper()
	if err := p.conn.(*tls.Conn).CloseWrite(); err != nil {
		p.t.Fatal(err)
	}
	<-p.done
}

// read takes what the server says, and acknowledges nothing but its settings.
func (p *peer) read() {
	defer close(p.done)
	p.f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for {
		f, err := p.f.ReadFrame()
		if err != nil {
			p.mu.Lock()
			p.gone = true
			p.some.Broadcast()
			p.mu.Unlock()
			return
		}
		p.mu.Lock()
		switch f := f.(type) {
		case *http2.GoAwayFrame:
			code := f.ErrCode
			p.away = &code
		case *http2.RSTStreamFrame:
			p.resets[f.ErrCode]++
			p.over[f.StreamID] = true
		case *http2.MetaHeadersFrame:
			p.status[f.StreamID] = f.PseudoValue("status")
			p.over[f.StreamID] = p.over[f.StreamID] || f.StreamEnded()
		case *http2.DataFrame:
			p.over[f.StreamID] = p.over[f.StreamID] || f.StreamEnded()
		case *http2.PingFrame:
			if f.IsAck() {
				select {
				case p.ponged <- struct{}{}:
				default:
				}
			}
		}
		p.some.Broadcast()
		p.mu.Unlock()
	}
}

// settled waits for the end of a stream, or of the connection.
func (p *peer) settled(id uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.over[id] && !p.gone {
		p.some.Wait()
	}
}

// stream is the next id.
func (p *peer) stream() uint32 {
	id := p.next
	p.next += 2
	return id
}

// fields encodes a request.
func (p *peer) fields(path string, more ...string) []byte {
	p.hbuf.Reset()
	return p.raw(append([]string{":method", "GET", ":scheme", "https", ":authority", "api.test", ":path", path}, more...))
}

func (p *peer) raw(list []string) []byte {
	for i := 0; i < len(list); i += 2 {
		if err := p.henc.WriteField(hpack.HeaderField{Name: list[i], Value: list[i+1]}); err != nil {
			p.t.Fatal(err)
		}
	}
	return p.hbuf.Bytes()
}

// ask opens a stream.
func (p *peer) ask(path string, end bool) (uint32, error) {
	id := p.stream()
	return id, p.f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.fields(path), EndStream: end, EndHeaders: true})
}

// alive reports whether the server still answers on this connection: all that was sent before is then dealt with.
func (p *peer) alive() bool {
	for len(p.ponged) > 0 {
		<-p.ponged
	}
	if p.f.WritePing(false, [8]byte{1}) != nil {
		return false
	}
	select {
	case <-p.ponged:
		return true
	case <-p.done:
		return false
	}
}

// calmed reports whether the server said ENHANCE_YOUR_CALM.
func (p *peer) calmed() bool {
	<-p.done
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.away != nil && *p.away == http2.ErrCodeEnhanceYourCalm
}

// weak takes every bound of ours on HTTP/2 away.
func weak() front.Limits {
	none := casemate.Rate{PerSecond: 1e12, Burst: 1 << 40}
	return front.Limits{Conn: conn.Limits{Resets: none, Idle: none, Continuations: 1 << 40}}
}
