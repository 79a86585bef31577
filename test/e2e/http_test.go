package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// request is what the options of the http command say.
type request struct {
	method, url, socket string
	header              http.Header
	host                string
	body                io.Reader
	certificate         string // client certificate by name; "" is none
}

// httpCommand sends one request. "! http" holds when there is no answer at all.
func httpCommand(ts *testscript.TestScript, neg bool, args []string) {
	q := readRequest(ts, args)
	r, err := http.NewRequestWithContext(of(ts).ctx, q.method, q.url, q.body)
	ts.Check(err)
	r.Header = q.header
	if q.host != "" {
		r.Host = q.host
	}
	transport := &http.Transport{ForceAttemptHTTP2: true, DisableKeepAlives: true, DisableCompression: true, ExpectContinueTimeout: time.Minute,
		DialContext: q.dial, TLSClientConfig: authorities(ts)}
	if q.certificate != "" {
		transport.TLSClientConfig.Certificates = shown(ts, q.certificate)
	}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(r)
	if neg {
		if err == nil {
			resp.Body.Close()
			ts.Fatalf("an answer came: %s", resp.Status)
		}
		put(ts, err.Error()+"\n")
		return
	}
	ts.Check(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	ts.Check(err)
	put(ts, page(resp, body))
}

func readRequest(ts *testscript.TestScript, args []string) *request {
	if len(args) < 2 {
		ts.Fatalf("usage: http METHOD URL [OPTIONS]")
	}
	q := &request{method: args[0], url: args[1], header: http.Header{}}
	args = args[2:]
	for len(args) > 0 {
		if args[0] == "-chunked" {
			q.body, args = io.MultiReader(q.body), args[1:] // a reader whose length nobody knows
			continue
		}
		if len(args) < 2 {
			ts.Fatalf("%s needs a value", args[0])
		}
		value := args[1]
		switch args[0] {
		case "-key":
			q.header.Set("X-Api-Key", strings.TrimSpace(ts.ReadFile(value)))
		case "-jwt":
			q.header.Set("Authorization", "Bearer "+strings.TrimSpace(ts.ReadFile(value)))
		case "-h":
			name, v, _ := strings.Cut(value, ":")
			if v = strings.TrimSpace(v); strings.EqualFold(name, "host") {
				q.host = v
			} else {
				q.header.Add(name, v)
			}
		case "-headers":
			for line := range strings.Lines(ts.ReadFile(value)) {
				name, v, _ := strings.Cut(line, ":")
				q.header.Add(name, strings.TrimSpace(v))
			}
		case "-json":
			q.header.Set("Content-Type", "application/json")
			q.body = strings.NewReader(value)
		case "-data":
			q.body = strings.NewReader(value)
		case "-body":
			q.body = strings.NewReader(ts.ReadFile(value))
		case "-cert":
			q.certificate = value
		case "-unix":
			q.socket = value
		default:
			ts.Fatalf("http has no option %s", args[0])
		}
		args = args[2:]
	}
	return q
}

// dial finds names below localhost here, as browsers do (RFC 6761 section 6.3).
func (q *request) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	if q.socket != "" {
		return d.DialContext(ctx, "unix", q.socket)
	}
	if host, port, err := net.SplitHostPort(addr); err == nil && strings.HasSuffix(host, ".localhost") {
		addr = net.JoinHostPort("127.0.0.1", port)
	}
	return d.DialContext(ctx, network, addr)
}

// authorities trusts $CA, and when it is empty what the machine trusts.
func authorities(ts *testscript.TestScript) *tls.Config {
	ca := ts.Getenv("CA")
	if ca == "" {
		return nil
	}
	pem, err := os.ReadFile(ca)
	ts.Check(err)
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		ts.Fatalf("no certificate in %s", ca)
	}
	return &tls.Config{RootCAs: pool}
}

// page is an answer as a person reads it.
func page(resp *http.Response, body []byte) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s\n", resp.Proto, resp.Status)
	var names []string
	for name := range resp.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, v := range resp.Header[name] {
			fmt.Fprintf(&b, "%s: %s\n", name, v)
		}
	}
	fmt.Fprintf(&b, "\n%s\n", body)
	return b.String()
}

// raw sends bytes that no HTTP client would. Each line of the file is sent with CRLF at its end; \x00 and the like in it
// are bytes, and a line "\c" ends the file without CRLF. The connection is half closed, so that a server that waits for
// more learns that there is none.
func raw(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: raw FILE")
	}
	text := strings.ReplaceAll(strings.TrimSuffix(ts.ReadFile(args[0]), "\n"), "\n", "\r\n") + "\r\n"
	text = strings.TrimSuffix(text, `\c`+"\r\n")
	bytes := regexp.MustCompile(`\\x[0-9a-f]{2}`).ReplaceAllStringFunc(text, func(s string) string {
		n, err := strconv.ParseUint(s[2:], 16, 8)
		ts.Check(err)
		return string([]byte{byte(n)})
	})
	var d net.Dialer
	conn, err := d.DialContext(of(ts).ctx, "tcp", ts.Getenv("HTTP_ADDR"))
	ts.Check(err)
	defer conn.Close()
	if deadline, ok := of(ts).ctx.Deadline(); ok {
		ts.Check(conn.SetDeadline(deadline))
	}
	_, err = io.WriteString(conn, bytes)
	ts.Check(err)
	if !strings.Contains(text, "Wait-For-Answer") {
		ts.Check(conn.(*net.TCPConn).CloseWrite())
	}
	answer, err := io.ReadAll(conn)
	if err != nil && len(answer) == 0 {
		put(ts, "no answer: "+err.Error()+"\n")
		return
	}
	put(ts, strings.ReplaceAll(string(answer), "\r\n", "\n")+"\n")
}

// header keeps a header of the last answer.
func header(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 || args[1] != "->" {
		ts.Fatalf("usage: header NAME -> VAR")
	}
	head, _, _ := strings.Cut(ts.ReadFile("stdout"), "\n\n")
	for line := range strings.SplitSeq(head, "\n") {
		if name, value, ok := strings.Cut(line, ": "); ok && strings.EqualFold(name, args[0]) {
			ts.Setenv(args[2], value)
			put(ts, ts.ReadFile("stdout"))
			return
		}
	}
	ts.Fatalf("the last answer has no header %s", args[0])
}

// jsonCommand reads the last output, or the body of the last answer. It leaves that output in place.
func jsonCommand(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 && (len(args) != 3 || args[1] != "->") {
		ts.Fatalf("usage: json PATH VALUE, json PATH -> NAME")
	}
	all := ts.ReadFile("stdout")
	text := all
	if strings.HasPrefix(text, "HTTP/") {
		_, text, _ = strings.Cut(text, "\n\n")
	}
	if text == "" {
		text = ts.ReadFile("stderr")
	}
	defer func() {
		put(ts, all)
		_, _ = io.WriteString(ts.Stderr(), ts.ReadFile("stderr")) // a strings.Builder
	}()
	value, err := pick([]byte(text), args[0])
	if err != nil && neg {
		return
	}
	ts.Check(err)
	if len(args) == 3 {
		ts.Setenv(args[2], value)
		return
	}
	pattern, err := regexp.Compile("^(?s:" + args[1] + ")$")
	ts.Check(err)
	if pattern.MatchString(value) == neg {
		ts.Fatalf("%s is %q", args[0], value)
	}
}

// pick finds a value by names and indexes with dots between; -1 is the last of a list, len its length.
func pick(text []byte, path string) (string, error) {
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		return "", fmt.Errorf("this is no JSON: %w: %.300s", err, text)
	}
	for step := range strings.SplitSeq(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			next, ok := x[step]
			if !ok {
				return "", fmt.Errorf("there is no %s of %s", step, path)
			}
			v = next
		case []any:
			if step == "len" {
				v = float64(len(x))
				continue
			}
			i, err := strconv.Atoi(step)
			if i < 0 {
				i += len(x)
			}
			if err != nil || i < 0 || i >= len(x) {
				return "", fmt.Errorf("there is no %s of %s among %d", step, path, len(x))
			}
			v = x[i]
		default:
			return "", fmt.Errorf("%s of %s is in no object or list", step, path)
		}
	}
	if s, ok := v.(string); ok {
		return s, nil
	}
	out, err := json.Marshal(v)
	return string(out), err
}
