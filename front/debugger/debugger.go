// Package debugger is a developer's way to the debugger of one function: a port on loopback that is led into the function's
// sandbox. Whoever connects there is the function. No node but that of casemate dev opens one.
package debugger

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"casemate"
	"casemate/internal/pause"
)

// Bounds of one port.
const (
	maxConns  = 16
	dialTime  = 10 * time.Second
	dialPause = 30 * time.Millisecond
	headTime  = 10 * time.Second // for the first request of a client that must send one
	maxHead   = 8 << 10          // of it
)

// Config is what a Port needs.
type Config struct {
	Addr string // of loopback; port 0 is a free one
	// Dial connects to the debugger. web says that it speaks HTTP.
	Dial func(ctx context.Context) (c net.Conn, web bool, err error)
	Log  *slog.Logger // nil: nowhere
}

// Port is open from Open until Close.
type Port struct {
	c      Config
	l      net.Listener
	ctx    context.Context
	cancel context.CancelFunc
	runs   sync.WaitGroup
}

// Open listens at an address of loopback; any other is refused. ctx bounds the opening only.
func Open(ctx context.Context, c Config) (*Port, error) {
	if at, err := netip.ParseAddrPort(c.Addr); err != nil || !at.Addr().IsLoopback() {
		return nil, casemate.Errorf(casemate.Invalid, "127.0.0.1:9229", "a debugger's port is on loopback alone, and %q is not", c.Addr)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", c.Addr)
	if err != nil {
		return nil, &casemate.Error{Code: casemate.Unavailable, Field: "--inspect", Message: "cannot " + err.Error(), Hint: "another port, FUNCTION:9230, or FUNCTION:0 for a free one", Err: err}
	}
	p := &Port{c: c, l: l}
	p.ctx, p.cancel = context.WithCancel(context.WithoutCancel(ctx))
	p.runs.Go(p.accept)
	return p, nil
}

// Addr is where the port is.
func (p *Port) Addr() net.Addr { return p.l.Addr() }

// Close ends every connection and returns when they are gone.
func (p *Port) Close() error {
	p.cancel()
	err := p.l.Close()
	p.runs.Wait()
	return err
}

func (p *Port) accept() {
	slots := make(chan struct{}, maxConns)
	for {
		c, err := p.l.Accept()
		if err != nil {
			return // closed: nothing else ends a listener on loopback
		}
		select {
		case slots <- struct{}{}:
		default:
			_ = c.Close() // one too many
			continue
		}
		p.runs.Go(func() {
			defer func() { <-slots }()
			if err := p.lead(c); err != nil && p.ctx.Err() == nil {
				p.c.Log.Warn("nobody is led to the debugger", "err", err)
			}
		})
	}
}

// lead leads one client into the sandbox until either side ends.
func (p *Port) lead(client net.Conn) error {
	defer client.Close()
	ctx, cancel := context.WithTimeout(p.ctx, dialTime)
	inside, web, err := p.dial(ctx)
	cancel()
	if err != nil {
		return fmt.Errorf("connecting to the debugger: %w", err)
	}
	defer inside.Close()
	stop := context.AfterFunc(p.ctx, func() { client.Close(); inside.Close() })
	defer stop()
	var back sync.WaitGroup
	defer back.Wait()
	answer := func() {
		_, _ = io.Copy(client, inside) // how a connection ends is no news
		_ = client.Close()
		_ = inside.Close()
	}
	if !web {
		back.Go(answer) // it may speak first
	} else {
		_ = client.SetReadDeadline(time.Now().Add(headTime)) // fails only on a closed connection, as the read will
	}
	from := bufio.NewReaderSize(client, maxHead)
	head, err := first(from, web)
	if err != nil {
		_ = inside.Close()
		return err
	}
	_ = client.SetReadDeadline(time.Time{})
	if web {
		back.Go(answer)
	}
	if _, err := inside.Write(head); err == nil {
		_, _ = io.Copy(inside, from)
	}
	if half, ok := inside.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // it answers what it has heard
	} else {
		_ = inside.Close()
	}
	return nil
}

// dial waits for a sandbox that is just being started: of a version that was saved a moment ago.
func (p *Port) dial(ctx context.Context) (c net.Conn, web bool, err error) {
	for {
		if c, web, err = p.c.Dial(ctx); err == nil || !pause.For(ctx, dialPause) {
			return c, web, err
		}
	}
}

// first reads what a client begins with. A page in a browser on this machine can reach loopback as well: by a name of its own
// (DNS rebinding), by a WebSocket, which no rule of origins holds, or by posting text to what does not speak HTTP. All of that
// is refused; what is not a request where one is needed is refused, too. Node refuses names by itself
// (https://nodejs.org/en/blog/vulnerability/march-2018-security-releases, CVE-2018-7160).
func first(from *bufio.Reader, web bool) ([]byte, error) {
	var head []byte
	for {
		line, err := from.ReadSlice('\n')
		head = append(head, line...)
		switch {
		case err != nil && web:
			return nil, fmt.Errorf("reading the first request: %w", err)
		case err != nil && len(head) == 0:
			return nil, io.EOF
		case !web:
			if fields := strings.Fields(string(line)); len(fields) > 0 && strings.HasPrefix(fields[len(fields)-1], "HTTP/") {
				return nil, casemate.Errorf(casemate.Forbidden, "connect a debugger", "a browser is no debugger of this function")
			}
			return head, nil
		case len(head) > maxHead:
			return nil, casemate.Errorf(casemate.TooLarge, "connect a debugger", "the first request is longer than %d bytes", maxHead)
		case strings.TrimRight(string(line), "\r\n") == "":
			return head, allowed(string(head))
		}
	}
}

// allowed holds a request to names and pages of this machine.
func allowed(head string) error {
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head)))
	if err != nil {
		return fmt.Errorf("reading the first request: %w", err)
	}
	if !local(r.Host) {
		return casemate.Errorf(casemate.Forbidden, "connect to 127.0.0.1 or localhost", "the request is for %.80q, which is not a name of this machine", r.Host)
	}
	origin := r.Header.Get("Origin")
	if u, err := url.Parse(origin); origin == "" || err == nil && u.Scheme == "devtools" || err == nil && (u.Scheme == "http" || u.Scheme == "https") && here(u.Hostname()) {
		return nil
	}
	return casemate.Errorf(casemate.Forbidden, "open chrome://inspect", "a page of %.80q asks for the debugger", origin)
}

// here says whether a page is served on this machine: an address of another one is as foreign as its name.
func here(host string) bool {
	at, err := netip.ParseAddr(host)
	return err == nil && at.Unmap().IsLoopback() || strings.EqualFold(host, "localhost")
}

// local says whether a host, with or without a port, is an address or localhost: what no other machine's name can become.
func local(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return strings.EqualFold(host, "localhost")
}
