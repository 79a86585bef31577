package admin

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	nethttp "net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"casemate"
)

const (
	maxAnswer = 64 << 20 // bytes of an answer that is not a stream
	maxLine   = 8 << 20  // bytes of one line of a stream
	maxError  = 64 << 10
	dialTime  = 10 * time.Second
)

// Client calls the operations of one node. It is safe for concurrent use; Close it when done.
type Client struct {
	base     string
	key      string
	resource string
	http     *nethttp.Client
}

// Dial makes a client for the node whose admin socket is at path. It does not connect yet.
func Dial(path string) (*Client, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, absent(err)
	}
	if err != nil {
		return nil, fmt.Errorf("finding the node: %w", err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return nil, invalid("dir", "there is no admin socket in the node's folder", "name the node's folder")
	}
	t := transport()
	t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: dialTime}).DialContext(ctx, "unix", path)
	}
	return &Client{base: "http://node", http: client(t)}, nil
}

// WithKey is the same client proving itself with the key in keyFile, a file that only its owner may read, instead of with
// who runs it.
func (c *Client) WithKey(keyFile string) (*Client, error) {
	key, err := readKey(keyFile)
	if err != nil {
		return nil, err
	}
	other := *c
	other.key = key
	return &other, nil
}

// DialTLS makes a client for the node at address ("https://host:port") that proves itself with the key in keyFile, a
// file that only its owner may read. ca names the PEM file of the authority to trust; empty means the system's.
func DialTLS(address, keyFile, ca string) (*Client, error) {
	if _, err := host(address); err != nil {
		return nil, err
	}
	key, err := readKey(keyFile)
	if err != nil {
		return nil, err
	}
	var pem []byte
	if ca != "" {
		if pem, err = os.ReadFile(ca); err != nil {
			return nil, &casemate.Error{Code: casemate.Invalid, Field: "ca", Message: "cannot read the authority's file", Hint: "it is tls/ca.pem in the node's folder; casemate up prints where", Err: err}
		}
	}
	return DialSession(address, key, pem)
}

func host(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return "", invalid("url", "not the address of a node", "https://host:port")
	}
	return u.Host, nil
}

// DialSession is DialTLS with the session's token itself, and the authority in PEM; an empty token is nobody's, who signs in.
func DialSession(address, token string, pem []byte) (*Client, error) {
	at, err := host(address)
	if err != nil {
		return nil, err
	}
	t := transport()
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if len(pem) > 0 {
		t.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !t.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, invalid("ca", "no certificate in the authority's file", "it is tls/ca.pem in the node's folder; casemate up prints where")
		}
	}
	return &Client{base: "https://" + at, key: token, http: client(t)}, nil
}

func readKey(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", &casemate.Error{Code: casemate.Invalid, Field: "key-file", Message: "cannot read the key file", Hint: "put the key of casemate keys create into it", Err: err}
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", invalid("key-file", "others may read the key file", "chmod 600 it")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("reading the key file: %w", err)
	}
	key := strings.TrimSpace(string(text))
	if key == "" || strings.ContainsAny(key, " \r\n\t") {
		return "", invalid("key-file", "the key file does not hold one key", "put the key of casemate keys create into it")
	}
	return key, nil
}

// transport uses no proxy: a node is reached directly or not at all.
func transport() *nethttp.Transport {
	return &nethttp.Transport{DialContext: (&net.Dialer{Timeout: dialTime}).DialContext, TLSHandshakeTimeout: dialTime, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: maxError}
}

func client(t *nethttp.Transport) *nethttp.Client {
	return &nethttp.Client{Transport: t, CheckRedirect: func(*nethttp.Request, []*nethttp.Request) error {
		return errors.New("a node does not redirect")
	}}
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// On is the same client asking about one named resource.
func (c *Client) On(resource string) *Client {
	other := *c
	other.resource = resource
	return &other
}

// Call runs an operation: in is its question (nil: none), out takes its answer (nil: dropped). A refusal is the
// *casemate.Error that the node gave.
func (c *Client) Call(ctx context.Context, builtin string, in, out any) error {
	body, err := question(in)
	if err != nil {
		return err
	}
	resp, err := c.post(ctx, builtin, nil, body, typeJSON, typeJSON)
	if err != nil {
		return err
	}
	return answer(resp, out)
}

// Upload runs an operation whose question is the bytes of r.
func (c *Client) Upload(ctx context.Context, builtin string, r io.Reader, out any) error {
	resp, err := c.post(ctx, builtin, nil, r, "application/octet-stream", typeJSON)
	if err != nil {
		return err
	}
	return answer(resp, out)
}

// Stream runs an operation that answers in lines and hands each, without its end, to line. The slice is valid until line
// returns. It ends with the stream, with ctx, or with the first error of line.
func (c *Client) Stream(ctx context.Context, builtin string, in any, line func([]byte) error) error {
	body, err := question(in)
	if err != nil {
		return err
	}
	resp, err := c.post(ctx, builtin, nil, body, typeJSON, typeLines)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.Header.Get("Content-Type") != typeLines { // it had nothing to say
		return answer(resp, nil)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		if err := line(lines.Bytes()); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &casemate.Error{Code: casemate.Unavailable, Message: "the stream broke off", Hint: "is the node still running?", Err: err}
	}
	if text := resp.Trailer.Get(headerError); text != "" {
		return decodeError([]byte(text), nethttp.StatusInternalServerError)
	}
	return nil
}

// Invocation is how a function is invoked.
type Invocation struct {
	Payload []byte // empty: {}
	Async   bool
	DryRun  bool
	Tenant  string // tenant id, for functions of isolation tenant
	Key     string // idempotency key of an asynchronous event; "": it has none
}

// Invoke invokes a function by name, "name:qualifier" or ARN. A function's own failure is a Result with Failure set. Of its
// effects the Result has one at most: the first that was refused, with the number of all that were.
func (c *Client) Invoke(ctx context.Context, function string, in Invocation) (*casemate.Result, error) {
	q := url.Values{}
	if in.Async {
		q.Set("async", "true")
	}
	if in.DryRun {
		q.Set("dry-run", "true")
	}
	if in.Tenant != "" {
		q.Set("tenant", in.Tenant)
	}
	if in.Key != "" {
		q.Set("idempotency-key", in.Key)
	}
	if len(in.Payload) == 0 {
		in.Payload = []byte("{}")
	}
	resp, err := c.On(function).post(ctx, opInvoke, q, bytes.NewReader(in.Payload), typeJSON, "")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	payload, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	h := resp.Header
	res := &casemate.Result{Payload: payload, ContentType: h.Get("Content-Type"), Failure: casemate.Failure(h.Get(headerFailure)),
		Executed: h.Get(headerExecuted), Record: h.Get(headerRecord), Accepted: resp.StatusCode == nethttp.StatusAccepted}
	if res.Record == "" {
		res.Record = h.Get("X-Request-Id")
	}
	if cost := h.Get(headerCost); cost != "" {
		if err := json.Unmarshal([]byte(cost), &res.Usage); err != nil {
			return nil, fmt.Errorf("reading the run's usage: %w", err)
		}
	}
	if count, first, ok := strings.Cut(h.Get(headerRefused), " "); ok {
		e := casemate.Effect{Verdict: casemate.Denied}
		if e.Count, err = strconv.Atoi(count); err != nil {
			return nil, fmt.Errorf("reading what the run was refused: %w", err)
		}
		if first, err = url.QueryUnescape(first); err != nil {
			return nil, fmt.Errorf("reading what the run was refused: %w", err)
		}
		e.Kind, e.Target, _ = strings.Cut(first, " ")
		res.Effects = []casemate.Effect{e}
	}
	if res.Tail, err = base64.StdEncoding.DecodeString(h.Get(headerTail)); err != nil {
		return nil, fmt.Errorf("reading the run's log: %w", err)
	}
	return res, nil
}

func question(in any) (io.Reader, error) {
	if in == nil {
		return nil, nil
	}
	text, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("encoding the question: %w", err)
	}
	return bytes.NewReader(text), nil
}

func (c *Client) post(ctx context.Context, builtin string, q url.Values, body io.Reader, contentType, accept string) (*nethttp.Response, error) {
	if c.resource != "" {
		if q == nil {
			q = url.Values{}
		}
		q.Set("resource", c.resource)
	}
	target := c.base + prefix + url.PathEscape(builtin)
	if len(q) > 0 {
		target += "?" + q.Encode()
	}
	r, err := nethttp.NewRequestWithContext(ctx, "POST", target, body)
	if err != nil {
		return nil, fmt.Errorf("asking the node: %w", err)
	}
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("User-Agent", "casemate-cli")
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	if c.key != "" {
		r.Header.Set("Authorization", "Bearer "+c.key)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, unreached(ctx, err)
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxError))
	if err != nil {
		return nil, unreached(ctx, err)
	}
	return nil, decodeError(text, resp.StatusCode)
}

// unreached says why there is no answer, in words that help.
func unreached(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return absent(err)
	case errors.Is(err, fs.ErrPermission):
		return &casemate.Error{Code: casemate.Forbidden, Message: "you may not use this node's socket", Hint: "run as the user who started the node, or use --url with a key", Err: err}
	}
	var unknown x509.UnknownAuthorityError
	if errors.As(err, &unknown) {
		return &casemate.Error{Code: casemate.Unavailable, Message: "the node's certificate is signed by nobody you trust", Hint: "give its ca.pem with --ca", Err: err}
	}
	return &casemate.Error{Code: casemate.Unavailable, Message: "the node does not answer", Hint: "is it running?", Err: err}
}

func absent(err error) error {
	return &casemate.Error{Code: casemate.Unavailable, Message: "no node is running here", Hint: "start one: casemate up, or name its folder with --dir", Err: err}
}

func answer(resp *nethttp.Response, out any) error {
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	return nil
}

// decodeError reads a refusal; one that is not ours keeps nothing but its status.
func decodeError(text []byte, status int) error {
	var b casemate.ErrorBody
	if err := json.Unmarshal(text, &b); err != nil || b.Message == "" {
		return &casemate.Error{Code: casemate.Unavailable, Message: fmt.Sprintf("something that is no node answered, with status %d", status), Hint: "check the address"}
	}
	return b.Err()
}
