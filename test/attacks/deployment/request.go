package deployment

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	patience  = 30 * time.Second // for one answer
	maxAnswer = 1 << 20          // of one that is looked at
)

// answer is what came back; Text is its head and body.
type answer struct {
	Status int
	Text   string
}

// sent is a request as it goes out, to be sent any number of times.
type sent struct {
	method, host string
	url          *url.URL
	header       http.Header
	body         []byte
	raw          string
	fresh        bool // on a connection of its own
	tls          bool
	certificate  string
}

// prepare makes and signs the request of a step.
func (st *Step) prepare(ctx context.Context, t *Target, run string, count int) (*sent, error) {
	now := time.Now()
	local := map[string]string{"count": fmt.Sprint(count), "random": random(), "run": run}
	fill := func(text string) (string, error) { return t.fill(text, local) }
	if st.JWT != nil {
		token, err := st.JWT.token(t, fill, now)
		if err != nil {
			return nil, err
		}
		local["token"] = token
	}
	s := &sent{raw: st.Raw, fresh: st.Connection == "new", tls: st.TLS || st.Certificate != "", certificate: st.Certificate}
	if st.Raw != "" {
		raw, err := fill(st.Raw)
		s.raw = strings.ReplaceAll(raw, "\n", "\r\n")
		return s, err
	}
	r, body, err := st.request(ctx, t, s, fill)
	if err != nil {
		return nil, err
	}
	if st.JWT != nil && !st.mentions("{{token}}") {
		r.Header.Set("Authorization", "Bearer "+local["token"])
	}
	if st.Webhook != nil {
		h, err := st.Webhook.headers(t, body, now)
		if err != nil {
			return nil, err
		}
		maps.Copy(r.Header, h)
	}
	if st.SigV4 != nil {
		if err := st.SigV4.sign(ctx, t, r, body, now); err != nil {
			return nil, err
		}
	}
	target := r.URL.RequestURI()
	if r.URL.Opaque != "" {
		target = r.URL.Opaque
	}
	s.method, s.host, s.header = r.Method, r.Host, r.Header
	if st.Alter != nil {
		if target, body, err = st.Alter.apply(s, target, body, fill); err != nil {
			return nil, err
		}
	}
	s.url = &url.URL{Scheme: r.URL.Scheme, Host: r.URL.Host, Opaque: target}
	s.body = []byte(body)
	if st.Encode == "gzip" {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, err = z.Write(s.body)
		if cerr := z.Close(); err == nil {
			err = cerr
		}
		s.body = b.Bytes()
		s.header.Set("Content-Encoding", "gzip")
	}
	return s, err
}

// random is a text that nobody had before.
func random() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

func (st *Step) mentions(text string) bool {
	all := st.Path + st.Body
	for _, values := range st.Headers {
		all += strings.Join(values, "")
	}
	return strings.Contains(all, text)
}

// request is the step's before anybody signs it.
func (st *Step) request(ctx context.Context, t *Target, s *sent, fill func(string) (string, error)) (*http.Request, string, error) {
	base := t.Base
	if s.tls {
		base = t.TLSBase
	}
	path, err := fill(st.Path)
	if err != nil {
		return nil, "", err
	}
	body, err := fill(st.Body)
	if err != nil {
		return nil, "", err
	}
	method := st.Method
	if method == "" {
		method = http.MethodGet
	}
	r, err := http.NewRequestWithContext(ctx, method, base+"/", nil)
	if err != nil {
		return nil, "", err
	}
	if st.SigV4 != nil {
		if r.URL, err = url.Parse(base + path); err != nil {
			return nil, "", err
		}
	} else {
		r.URL.Opaque = path
	}
	if st.Host != "" {
		if r.Host, err = fill(st.Host); err != nil {
			return nil, "", err
		}
	}
	if body != "" && st.Headers["content-type"] == nil {
		r.Header.Set("Content-Type", "application/json")
	}
	return r, body, put(r.Header, st.Headers, fill)
}

func put(to http.Header, from map[string]Values, fill func(string) (string, error)) error {
	for name, values := range from {
		to.Del(name)
		for _, v := range values {
			text, err := fill(v)
			if err != nil {
				return err
			}
			to.Add(name, text)
		}
	}
	return nil
}

func (a *Alter) apply(s *sent, target, body string, fill func(string) (string, error)) (string, string, error) {
	if a.Method != "" {
		s.method = a.Method
	}
	if a.Host != "" {
		s.host = a.Host
	}
	for to, from := range map[*string]string{&target: a.Path, &body: a.Body} {
		if from == "" {
			continue
		}
		text, err := fill(from)
		if err != nil {
			return "", "", err
		}
		*to = text
	}
	target += a.Append
	for old, text := range a.Replace {
		target = strings.ReplaceAll(target, old, text)
		for _, values := range s.header {
			for i := range values {
				values[i] = strings.ReplaceAll(values[i], old, text)
			}
		}
	}
	return target, body, put(s.header, a.Headers, fill)
}

// clients send. Each certificate has connections of its own.
type clients struct{ by map[string]*http.Client }

func newClients(t *Target) *clients {
	c := &clients{by: map[string]*http.Client{}}
	add := func(name string, certificates []tls.Certificate) {
		c.by[name] = &http.Client{Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true,
				TLSClientConfig: &tls.Config{RootCAs: t.Roots, MinVersion: tls.VersionTLS12, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					if len(certificates) == 0 {
						return &tls.Certificate{}, nil
					}
					return &certificates[0], nil // shown whatever authorities the server asks for
				}}}}
	}
	add("", nil)
	for name, cert := range t.Certificates {
		add(name, []tls.Certificate{cert})
	}
	return c
}

func (c *clients) close() {
	for _, h := range c.by {
		h.CloseIdleConnections()
	}
}

// send sends s once. A connection that is refused or cut is no answer, and no error: attacks may end so.
func (c *clients) send(ctx context.Context, t *Target, s *sent) answer {
	if s.raw != "" {
		return exchange(ctx, t, s)
	}
	r := (&http.Request{Method: s.method, URL: s.url, Host: s.host, Header: s.header.Clone(), Close: s.fresh, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}).WithContext(ctx)
	if len(s.body) > 0 {
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(s.body)), int64(len(s.body))
	}
	res, err := c.by[s.certificate].Do(r)
	if err != nil {
		return answer{}
	}
	return read(res)
}

func read(res *http.Response) answer {
	defer res.Body.Close()
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\r\n", res.Proto, res.Status)
	_ = res.Header.Write(&b)                                     // a strings.Builder
	_, _ = io.Copy(&b, io.LimitReader(res.Body, maxAnswer))      // what came of it is looked at
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<20)) // so that the connection can be kept
	return answer{Status: res.StatusCode, Text: b.String()}
}

// exchange sends a request to the letter and reads the answers until the other side closes or keeps still.
func exchange(ctx context.Context, t *Target, s *sent) answer {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var conn net.Conn
	var err error
	if at, ok := strings.CutPrefix(t.TLSBase, "https://"); ok && s.tls {
		conn, err = (&tls.Dialer{Config: &tls.Config{RootCAs: t.Roots, MinVersion: tls.VersionTLS12}}).DialContext(ctx, "tcp", at)
	} else {
		conn, err = new(net.Dialer).DialContext(ctx, "tcp", strings.TrimPrefix(t.Base, "http://"))
	}
	if err != nil {
		return answer{}
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline) // a connection that is gone says so below
	if _, err := io.WriteString(conn, s.raw); err != nil {
		return answer{}
	}
	var all answer
	in := bufio.NewReader(conn)
	for range strings.Count(s.raw, " HTTP/1.") { // as many answers as requests may have been seen
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			break
		}
		a := read(res)
		all.Status, all.Text = a.Status, all.Text+a.Text
		if res.Close {
			break
		}
	}
	return all
}
