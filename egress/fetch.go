package egress

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"casemate"
	"casemate/egress/peek"
)

// fetchTime is the longest that one Fetch takes.
const fetchTime = time.Minute

// transport is the HTTP client of guests that have no sockets.
type transport struct{ http *http.Transport }

func (t *transport) fill(d *Door) {
	t.http = &http.Transport{DialContext: d.dialFetch, DisableCompression: true, MaxIdleConns: 8, IdleConnTimeout: 30 * time.Second,
		TLSHandshakeTimeout: dialTime, MaxResponseHeaderBytes: peek.MaxHead, TLSClientConfig: &tls.Config{RootCAs: d.egress.cfg.Roots, MinVersion: tls.VersionTLS12}}
}

func (t *transport) close() { t.http.CloseIdleConnections() }

// Fetch makes one HTTP exchange for a guest, under the same grants, checks, limits and record as a connection: the name
// of the URL is resolved and dialled here, redirects are answers, and there is no proxy. What is not granted is an
// *casemate.Error of code Forbidden whose hint is the line of a manifest that would allow it. ctx bounds it, and a minute.
func (d *Door) Fetch(ctx context.Context, f *casemate.Fetch) (*casemate.Fetched, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	req, host, number, err := d.request(ctx, f)
	if err != nil {
		return nil, err
	}
	if err := d.admitFetch(host, number); err != nil {
		return nil, err
	}
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.fetching--
		d.served.Done()
	}()
	res, err := d.transport.http.RoundTrip(req)
	if err != nil {
		return nil, fetchError(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, casemate.MaxFetched+1))
	switch {
	case err != nil:
		return nil, fetchError(err)
	case len(body) > casemate.MaxFetched:
		return nil, casemate.Errorf(casemate.TooLarge, "ask for less at a time", "the answer of %s is longer than %d bytes", host, casemate.MaxFetched)
	}
	return &casemate.Fetched{Status: res.StatusCode, Header: res.Header, Body: body}, nil
}

// framing are the fields that the node writes itself.
var framing = map[string]bool{"host": true, "connection": true, "content-length": true, "transfer-encoding": true, "upgrade": true,
	"te": true, "trailer": true, "keep-alive": true, "expect": true, "proxy-connection": true, "proxy-authorization": true}

// request reads what a guest asks for.
func (d *Door) request(ctx context.Context, f *casemate.Fetch) (req *http.Request, host string, number uint16, err error) {
	invalid := func(what string) error {
		return casemate.Errorf(casemate.Invalid, "https://api.example.com/path", "the request to the outside: %s", what)
	}
	if len(f.Body) > casemate.MaxFetch {
		return nil, "", 0, casemate.Errorf(casemate.TooLarge, "send less at a time", "the request to the outside is longer than %d bytes", casemate.MaxFetch)
	}
	u, err := url.Parse(f.URL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.Opaque != "" || len(f.URL) > peek.MaxHead/2 {
		return nil, "", 0, invalid("no absolute http or https URL without a user")
	}
	host, number, ok := peek.Authority(u.Host)
	if number == 0 && u.Scheme == "https" {
		number = 443
	} else if number == 0 {
		number = 80
	}
	if _, err := netip.ParseAddr(host); !ok || err != nil && !isName(host) {
		return nil, "", 0, invalid("its host is neither a name nor an address")
	}
	if strings.EqualFold(f.Method, "CONNECT") {
		return nil, "", 0, invalid("no tunnels")
	}
	if req, err = http.NewRequestWithContext(ctx, f.Method, f.URL, bytes.NewReader(f.Body)); err != nil {
		return nil, "", 0, invalid("its method is malformed")
	}
	req.URL.Host = target(host, number)
	req.Host = u.Host
	size := 0
	for name, values := range f.Header {
		if framing[strings.ToLower(name)] {
			return nil, "", 0, invalid("the node writes the field " + strconv.Quote(name) + " itself")
		}
		for _, v := range values {
			req.Header.Add(name, v)
			size += len(name) + len(v)
		}
	}
	if size > peek.MaxHead/2 {
		return nil, "", 0, invalid("its head is too long")
	}
	return req, host, number, nil
}

// admitFetch asks the policy, and takes a place among the connections.
func (d *Door) admitFetch(host string, number uint16) error {
	ip, err := netip.ParseAddr(host)
	if allowed := err == nil && d.may(ip.Unmap(), number) || err != nil && d.opening.Decide(host, number).Verdict == casemate.Allowed; !allowed {
		e := casemate.Effect{Kind: casemate.EffectConnect, Target: target(host, number), Reason: reasonName, Grant: grantOf(host, number)}
		d.refuse(e)
		return casemate.Errorf(casemate.Forbidden, "add the grant \""+e.Grant+"\"", "the function may not connect to %s", e.Target)
	}
	d.mu.Lock()
	full, between := len(d.relays)+d.fetching >= d.bound.Connections, d.run.Load() == nil || d.open == nil
	if !full && !between {
		d.fetching++
		d.served.Add(1)
	}
	d.mu.Unlock()
	switch {
	case between:
		return casemate.Errorf(casemate.Unavailable, "ask while an event is handled", "no run has begun")
	case full:
		d.refuse(casemate.Effect{Kind: casemate.EffectConnect, Target: target(host, number), Reason: reasonConnections})
		return casemate.Errorf(casemate.Exhausted, "raise limits.connections, or wait for answers", "%s", reasonConnections)
	}
	return nil
}

// fetchError tells a guest why, without addresses.
func fetchError(err error) error {
	if e := (*casemate.Error)(nil); errors.As(err, &e) {
		return e
	}
	code := casemate.Unavailable
	if errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
		code = casemate.Timeout
	}
	return &casemate.Error{Code: code, Message: "the host outside: " + failure(err), Hint: "look at the host, or try again", Err: err}
}

// dialFetch connects for the transport.
func (d *Door) dialFetch(ctx context.Context, _, address string) (net.Conn, error) {
	host, number, ok := peek.Authority(address)
	if !ok {
		return nil, errors.New("no address: " + address)
	}
	to := target(host, number)
	conn, err := d.egress.dials.connect(ctx, host, number, func(ip netip.Addr, special string) string { return d.against(ip, special, number) })
	if err != nil {
		d.failed(ctx, to, number, err)
		return nil, err
	}
	if err := d.within(to, 1, 0, 0); err != nil {
		_ = conn.Close() // nothing was written
		return nil, err
	}
	return &counted{Conn: conn, door: d, target: to}, nil
}

// within counts for the run that there is.
func (d *Door) within(to string, connections int, in, out int64) error {
	switch counted, within := d.tally(to, connections, in, out, ""); {
	case !counted:
		return casemate.Errorf(casemate.Unavailable, "ask while an event is handled", "the run has ended")
	case !within:
		return casemate.Errorf(casemate.Exhausted, "raise limits.traffic", "%s", reasonTraffic)
	}
	return nil
}

// counted is a connection whose bytes are counted. Between runs it breaks.
type counted struct {
	net.Conn
	door   *Door
	target string
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		if over := c.door.within(c.target, 0, int64(n), 0); over != nil {
			return 0, over
		}
	}
	return n, err
}

func (c *counted) Write(b []byte) (int, error) {
	if err := c.door.within(c.target, 0, 0, int64(len(b))); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}
