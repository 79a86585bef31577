package http

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	nethttp "net/http"
	"strings"
	"testing"
	"time"

	"casemate"
	"casemate/lambda"
	"casemate/outflow"
)

const prelude = `{"statusCode":201,"headers":{"content-type":"text/plain","X-A":"b"},"cookies":["c=d"]}` + "\x00\x00\x00\x00\x00\x00\x00\x00"

// all lets every byte pass.
type all struct{}

func (all) Pass(p []byte) ([]byte, error) { return p, nil }
func (all) End() ([]byte, error)          { return nil, nil }

// maker is a function that writes an answer; what it gives is the run's end.
type maker func(w io.Writer) (*casemate.Result, error)

// made takes what a function of this content type writes as the gate does.
func made(contentType string, declared bool, make maker) casemate.Handler {
	return func(ctx context.Context, e *casemate.Event) (*casemate.Result, error) {
		if e.Body != nil {
			if _, err := io.ReadAll(e.Body); err != nil {
				return nil, err
			}
		}
		f := outflow.New(outflow.Config{Stream: e.Answering, Clock: time.Now, Screen: func(*casemate.Answer) (outflow.Sieve, error) { return all{}, nil }})
		defer f.Close()
		w, whole := f.Open(casemate.Opening{ContentType: contentType, Declared: declared}), &strings.Builder{}
		streamed := w != nil
		if !streamed {
			w = whole
		}
		res, err := make(w)
		f.Close()
		switch {
		case err != nil:
			return nil, err
		case !streamed:
			res.Payload, res.ContentType = []byte(whole.String()), contentType
			res.Answer, err = e.Decode(res)
		case res.Failure == casemate.FailureNone:
			err = f.End(res)
		}
		if _, _, cause := f.State(); cause != nil {
			err = cause
		}
		return res, err
	}
}

func said(pieces ...string) maker {
	return func(w io.Writer) (*casemate.Result, error) {
		for _, p := range pieces {
			if _, err := io.WriteString(w, p); err != nil {
				return nil, err
			}
		}
		return &casemate.Result{}, nil
	}
}

// TestTheFirstByteComesBeforeTheHandlerEnds: it ends when the client has read it.
// Lambda checklist: 53
func TestTheFirstByteComesBeforeTheHandlerEnds(t *testing.T) {
	for name, l := range map[string]Listener{"HTTP/1.1": {Addr: "127.0.0.1:0"}, "HTTP/2": {Addr: "127.0.0.1:0", TLS: true}} {
		read := make(chan struct{})
		_, addr := start(t, Config{Listen: []Listener{l}, Dir: t.TempDir(), Handler: made(lambda.TypeStreamed, true, func(w io.Writer) (*casemate.Result, error) {
			if _, err := said(prelude, "first\n")(w); err != nil {
				return nil, err
			}
			<-read
			return said("last\n")(w)
		})})
		client := insecure()
		scheme := map[bool]string{false: "http://", true: "https://"}[l.TLS]
		resp, err := client.Get(scheme + addr + "/")
		if err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(resp.Body)
		line, err := r.ReadString('\n')
		if close(read); line != "first\n" || err != nil {
			t.Errorf("%s: %q, %v", name, line, err)
		}
		rest, err := io.ReadAll(r)
		resp.Body.Close()
		if string(rest) != "last\n" || err != nil || resp.StatusCode != 201 || resp.Proto[:6] != name[:6] {
			t.Errorf("%s: %q, %v, %d %s", name, rest, err, resp.StatusCode, resp.Proto)
		}
		if h := resp.Header; h.Get("X-A") != "b" || h.Get("Content-Type") != "text/plain" || !strings.HasPrefix(h.Get("Set-Cookie"), "c=d; ") || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Content-Length") != "" {
			t.Errorf("%s: %v", name, h)
		}
		client.CloseIdleConnections()
	}
}

// TestHeadsOfStreams: with and without a prelude, for methods and statuses without a body, and for who cannot take pieces.
func TestHeadsOfStreams(t *testing.T) {
	for name, c := range map[string]struct {
		request, contentType string
		declared             bool
		pieces               []string
		status               int
		header, value, body  string
	}{
		"a prelude":                {get("/"), lambda.TypeStreamed, false, []string{prelude[:20], prelude[20 : len(prelude)-3], prelude[len(prelude)-3:] + "x", "y"}, 201, "Transfer-Encoding", "", "xy"},
		"no prelude":               {get("/"), "text/csv", true, []string{"a,", "b"}, 200, "Content-Type", "text/csv", "a,b"},
		"no type":                  {get("/"), "", true, []string{"a"}, 200, "Content-Type", "application/octet-stream", "a"},
		"nothing written":          {get("/"), "text/csv", true, nil, 200, "Content-Type", "text/csv", ""},
		"a prelude alone":          {get("/"), lambda.TypeStreamed, true, []string{prelude}, 201, "X-A", "b", ""},
		"not a streaming function": {get("/"), "application/json", false, []string{`{"statusCode":202,`, `"body":"whole"}`}, 202, "Content-Length", "5", "whole"},
		"HTTP/1.0":                 {"GET / HTTP/1.0\r\nHost: api.test\r\n\r\n", lambda.TypeStreamed, true, []string{prelude, "x"}, 201, "Content-Length", "1", "x"},
		"HEAD":                     {"HEAD / HTTP/1.1\r\nHost: api.test\r\n\r\n", lambda.TypeStreamed, true, []string{prelude, "x"}, 201, "X-A", "b", ""},
		"204":                      {get("/"), lambda.TypeStreamed, true, []string{strings.Replace(prelude, "201", "204", 1), "x"}, 204, "X-A", "b", ""},
		"304":                      {get("/"), lambda.TypeStreamed, true, []string{strings.Replace(prelude, "201", "304", 1), "x"}, 304, "X-A", "b", ""},
		"framing of its own":       {get("/"), lambda.TypeStreamed, true, []string{`{"headers":{"content-length":"1","transfer-encoding":"identity","connection":"close","date":"x","x-amzn-requestid":"x","trailer":"a"}}` + prelude[len(prelude)-8:] + "xyz"}, 200, "Content-Length", "", "xyz"},
	} {
		_, addr := start(t, Config{Handler: made(c.contentType, c.declared, said(c.pieces...))})
		resp, body := raw(t, addr, c.request)
		if resp.StatusCode != c.status || body != c.body || resp.Header.Get(c.header) != c.value || resp.Header.Get("Date") == "x" || resp.Header.Get("X-Amzn-Requestid") == "x" {
			t.Errorf("%s: %d, %q, %v", name, resp.StatusCode, body, resp.Header)
		}
	}
}

// TestBadPreludes: nothing of them leaves, and the caller learns that the function failed.
func TestBadPreludes(t *testing.T) {
	nuls := prelude[len(prelude)-8:]
	for name, pieces := range map[string][]string{
		"no end":                 {`{"statusCode":200}`},
		"seven zero bytes":       {`{"statusCode":200}` + nuls[1:] + "body"},
		"no JSON":                {`{"statusCode":` + nuls},
		"a list":                 {`[200]` + nuls},
		"nothing":                {nuls + "body"},
		"a status of its own":    {`{"statusCode":1000}` + nuls},
		"an information":         {`{"statusCode":101}` + nuls},
		"a line in a header":     {`{"headers":{"x-a":"b\r\nset-cookie: admin=1"}}` + nuls},
		"a line in a name":       {`{"headers":{"x-a\r\nset-cookie":"admin=1"}}` + nuls},
		"a line in a cookie":     {`{"cookies":["a=b\r\nlocation: https://evil.example"]}` + nuls},
		"a zero byte":            {`{"headers":{"x-a":"b\u0000c"}}` + nuls},
		"too many headers":       {`{"headers":{"x-a":"` + strings.Repeat("a", 11000) + `"}}` + nuls},
		"too long":               {`{"pad":"` + strings.Repeat("a", 70<<10), `"}` + nuls},
		"endless, without a end": {strings.Repeat(" ", 70<<10), strings.Repeat(" ", 70<<10)},
	} {
		_, addr := start(t, Config{Handler: made(lambda.TypeStreamed, true, said(pieces...))})
		resp, body := raw(t, addr, get("/"))
		if resp.StatusCode != 502 || body != lambda.BodyInternal || resp.Header.Get("Set-Cookie") != "" || resp.Header.Get("Location") != "" || resp.Header.Get("X-A") != "" {
			t.Errorf("%s: %d, %q, %v", name, resp.StatusCode, body, resp.Header)
		}
	}
}

// TestABrokenStreamCutsTheConnection: an answer that did not come to its end never looks as if it had.
func TestABrokenStreamCutsTheConnection(t *testing.T) {
	for name, end := range map[string]maker{
		"a failure": func(io.Writer) (*casemate.Result, error) {
			return &casemate.Result{Failure: casemate.FailureHandled}, nil
		},
		"an error": func(io.Writer) (*casemate.Result, error) { return nil, errors.New("no record") },
		"a panic":  func(io.Writer) (*casemate.Result, error) { panic("in the node") },
	} {
		for _, kind := range []string{"http", "https", "h2"} {
			tls := kind != "http"
			_, addr := start(t, Config{Listen: []Listener{{Addr: "127.0.0.1:0", TLS: tls}}, Dir: t.TempDir(), Handler: made("text/plain", true, func(w io.Writer) (*casemate.Result, error) {
				if _, err := said("part")(w); err != nil {
					return nil, err
				}
				return end(w)
			})})
			client := insecure()
			client.Transport.(*nethttp.Transport).ForceAttemptHTTP2 = kind == "h2"
			resp, err := client.Get(map[bool]string{false: "http://", true: "https://"}[tls] + addr + "/")
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err == nil || resp.StatusCode != 200 || string(body) != "part" && string(body) != "" {
				t.Errorf("%s, %s: %q, %v: it looks whole", name, kind, body, err)
			}
			client.CloseIdleConnections()
		}
	}
}

// TestASlowReaderHoldsNoSandbox: who takes nothing is cut off when its time is over, and the function is told.
func TestASlowReaderHoldsNoSandbox(t *testing.T) {
	lost := make(chan error, 1)
	_, addr := start(t, Config{Limits: Limits{WriteTime: 50 * time.Millisecond, Slowest: 1 << 30}, Handler: made("text/plain", true, func(w io.Writer) (*casemate.Result, error) {
		block := make([]byte, 1<<20)
		for {
			if _, err := w.Write(block); err != nil {
				lost <- err
				return &casemate.Result{Failure: casemate.FailureHandled}, nil
			}
		}
	})})
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, get("/")); err != nil {
		t.Fatal(err)
	}
	if err := <-lost; casemate.CodeOf(err) != casemate.Unavailable { // it comes, or the test does not end
		t.Error(err)
	}
}

func insecure() *nethttp.Client {
	return &nethttp.Client{Transport: &nethttp.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
}
