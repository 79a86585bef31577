package admin

import (
	"bytes"
	"casemate/internal/casetest/fronttest"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	nethttp "net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"casemate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type handle = func(ctx context.Context, e *casemate.Event) (*casemate.Result, error)

// node starts a server on a socket in a fresh folder and gives a client of it.
func node(t *testing.T, h handle) (*Client, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "node", "admin.sock")
	s, err := New(Config{Handler: h, Socket: path})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	c, err := Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is still there: %v", err)
		}
	})
	return c, path
}

func TestCallBecomesEvent(t *testing.T) {
	var seen *casemate.Event
	c, path := node(t, func(_ context.Context, e *casemate.Event) (*casemate.Result, error) {
		seen = e
		body, err := io.ReadAll(e.Body)
		return &casemate.Result{Payload: body}, err
	})
	in, out := map[string]string{"role": "clerk"}, map[string]string{}
	if err := c.On("orders").Call(context.Background(), "keys.create", in, &out); err != nil {
		t.Fatal(err)
	}
	if out["role"] != "clerk" || seen.Source != casemate.SourceAdmin || seen.Target != (casemate.Target{Builtin: "keys.create"}) || seen.Resource != "orders" ||
		seen.ContentType != "application/json" || seen.Attempt != 1 || len(seen.ID) != 36 || seen.Stream != nil || seen.SourceIP != "" || seen.Trace.TraceID == "" {
		t.Errorf("event %+v, answer %v", seen, out)
	}
	if seen.Credential.Kind != casemate.CredentialPeer || int(seen.Credential.UID) != os.Getuid() {
		t.Errorf("credential %v of uid %d", seen.Credential, seen.Credential.UID)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket %v, %v", info.Mode(), err)
	}
	if info, err = os.Stat(filepath.Dir(path)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder %v, %v", info.Mode(), err)
	}
}

func TestErrorsKeepTheirCodes(t *testing.T) {
	var sent *casemate.Error
	c, _ := node(t, func(context.Context, *casemate.Event) (*casemate.Result, error) {
		return nil, fmt.Errorf("canary: %w", sent)
	})
	for _, code := range casemate.Codes() {
		sent = &casemate.Error{Code: code, Message: "said", Field: "/a", Rule: "r", Hint: "do", Retry: 3}
		err := c.Call(context.Background(), "op", nil, nil)
		var got *casemate.Error
		if !errors.As(err, &got) || *got != *sent {
			t.Errorf("%s arrived as %#v", code, err)
		}
	}
	sent.Err = errors.New("canary")
	if err := c.Call(context.Background(), "op", nil, nil); strings.Contains(fmt.Sprintf("%#v", err), "canary") {
		t.Errorf("the cause left the node: %#v", err)
	}
}

func TestUncodedErrorsAndPanicsTellNothing(t *testing.T) {
	for name, h := range map[string]handle{
		"error":     func(context.Context, *casemate.Event) (*casemate.Result, error) { return nil, errors.New("canary") },
		"panic":     func(context.Context, *casemate.Event) (*casemate.Result, error) { panic("canary") },
		"no result": func(context.Context, *casemate.Event) (*casemate.Result, error) { return nil, nil },
	} {
		c, _ := node(t, h)
		err := c.Call(context.Background(), "op", nil, nil)
		if casemate.CodeOf(err) != casemate.Fault || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMalformedCallsAreRefused(t *testing.T) {
	c, _ := node(t, func(context.Context, *casemate.Event) (*casemate.Result, error) {
		t.Error("a malformed call reached the handler")
		return nil, errors.New("unreachable")
	})
	cases := []struct {
		method, path, header string
		status               int
	}{
		{"POST", "/", "", 404}, {"POST", "/v1/", "", 404}, {"POST", "/v2/op", "", 404}, {"POST", "/v1/o$p", "", 404}, {"POST", "/v1/a/b", "", 404},
		{"POST", "/v1/" + strings.Repeat("a", 65), "", 404}, {"POST", "/v1/%00", "", 404}, {"GET", "/v1/op", "", 405}, {"POST", "/v1/op?what=1", "", 400},
		{"POST", "/v1/invoke", "", 400}, {"POST", "/v1/op", "Basic YTpi", 401}, {"POST", "/v1/op", "Bearer ", 401},
	}
	for _, x := range cases {
		r, err := nethttp.NewRequest(x.method, "http://node"+x.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if x.header != "" {
			r.Header.Set("Authorization", x.header)
		}
		resp, err := c.http.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		want := x.status
		if want == 405 { // the code for a wrong method is Invalid
			want = 400
		}
		if resp.StatusCode != want || !bytes.Contains(text, []byte(resp.Header.Get("X-Request-Id"))) {
			t.Errorf("%s %s %q: %d %s", x.method, x.path, x.header, resp.StatusCode, text)
		}
	}
}

func TestHealthNeedsNobody(t *testing.T) {
	c, _ := node(t, func(context.Context, *casemate.Event) (*casemate.Result, error) {
		return nil, errors.New("unreachable")
	})
	resp, err := c.http.Get("http://node/v1/health")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 || string(text) != `{"status":"ok"}` {
		t.Errorf("%d %s", resp.StatusCode, text)
	}
}

func TestUploadArrivesWhole(t *testing.T) {
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	c, _ := node(t, func(_ context.Context, e *casemate.Event) (*casemate.Result, error) {
		got, err := io.ReadAll(e.Body)
		if !bytes.Equal(got, sent) || e.ContentType != "application/octet-stream" {
			t.Errorf("%d bytes of %q arrived", len(got), e.ContentType)
		}
		return &casemate.Result{Payload: []byte(`"done"`)}, err
	})
	var out string
	for _, r := range []io.Reader{bytes.NewReader(sent), io.MultiReader(bytes.NewReader(sent))} { // declared and not
		if err := c.Upload(context.Background(), "deploy.apply", r, &out); err != nil || out != "done" {
			t.Errorf("%q, %v", out, err)
		}
	}
}

func TestStream(t *testing.T) {
	first := make(chan struct{})
	c, _ := node(t, func(_ context.Context, e *casemate.Event) (*casemate.Result, error) {
		if e.Stream == nil {
			return nil, casemate.Errorf(casemate.Invalid, "", "no stream")
		}
		switch e.Resource {
		case "silent":
			return &casemate.Result{}, nil
		case "refused":
			return nil, casemate.Errorf(casemate.Forbidden, "", "no")
		}
		io.WriteString(e.Stream, "one\n")
		<-first // the line has left before the operation ends
		io.WriteString(e.Stream, "two\nthree\n")
		if e.Resource == "broken" {
			return nil, casemate.Errorf(casemate.Conflict, "again", "moved")
		}
		return &casemate.Result{}, nil
	})
	run := func(resource string) (got []string, err error) {
		err = c.On(resource).Stream(context.Background(), "logs.follow", nil, func(line []byte) error {
			if got = append(got, string(line)); len(got) == 1 {
				first <- struct{}{}
			}
			return nil
		})
		return got, err
	}
	want := []string{"one", "two", "three"}
	if got, err := run("whole"); err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := run("broken"); casemate.CodeOf(err) != casemate.Conflict || !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := run("silent"); err != nil || len(got) != 0 {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := run("refused"); casemate.CodeOf(err) != casemate.Forbidden || len(got) != 0 {
		t.Errorf("%q, %v", got, err)
	}
}

// TestStreamEndsWithTheNode: a stream that nobody ends must not hold up a node that is told to stop.
func TestStreamEndsWithTheNode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node", "admin.sock")
	s, err := New(Config{Socket: path, Handler: func(ctx context.Context, e *casemate.Event) (*casemate.Result, error) {
		io.WriteString(e.Stream, "one\n")
		<-ctx.Done()
		return &casemate.Result{}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, err := Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	down := make(chan error, 1)
	err = c.Stream(t.Context(), "logs.follow", nil, func([]byte) error {
		go func() { down <- s.Shutdown(context.Background()) }() // hangs when the stream does not end
		return nil
	})
	if err := errors.Join(err, <-down); err != nil {
		t.Error(err)
	}
}

func TestStreamEndsWithItsReader(t *testing.T) {
	left := make(chan error, 1)
	c, _ := node(t, func(ctx context.Context, e *casemate.Event) (*casemate.Result, error) {
		io.WriteString(e.Stream, "one\n")
		<-ctx.Done()
		left <- ctx.Err()
		return nil, ctx.Err()
	})
	stop := errors.New("enough")
	if err := c.Stream(context.Background(), "logs.follow", nil, func([]byte) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestInvoke(t *testing.T) {
	var seen *casemate.Event
	res := &casemate.Result{Payload: []byte(`{"errorMessage":"x"}`), Failure: casemate.FailureHandled, Executed: "3", Record: "rec", Tail: []byte("log\n"),
		Usage: casemate.Usage{MemoryMB: 128, Cold: true}, Effects: []casemate.Effect{{Kind: "connect", Target: "ok", Verdict: casemate.Allowed},
			{Kind: "exec", Target: "/bin/a b\r\nX-Evil: 1"}, {Kind: "resolve", Target: "x", Count: 2}}}
	c, _ := node(t, func(_ context.Context, e *casemate.Event) (*casemate.Result, error) {
		seen = e
		return res, nil
	})
	got, err := c.Invoke(context.Background(), "orders:live", Invocation{Payload: []byte(`{}`)})
	if err != nil {
		t.Fatal(err)
	}
	if seen.Target != (casemate.Target{Function: "orders:live"}) || seen.Action != "lambda:InvokeFunction" || seen.Async || seen.DryRun {
		t.Errorf("event %+v", seen)
	}
	if string(got.Payload) != string(res.Payload) || got.Failure != res.Failure || got.Executed != "3" || got.Record != "rec" || string(got.Tail) != "log\n" || got.Usage != res.Usage {
		t.Errorf("result %+v", got)
	}
	if e := got.Effects; len(e) != 1 || e[0].Kind != "exec" || e[0].Target != "/bin/a b\r\nX-Evil: 1" || e[0].Count != 3 || e[0].Verdict != casemate.Denied {
		t.Errorf("effects %+v", e)
	}
	res = &casemate.Result{Accepted: true}
	if got, err = c.Invoke(context.Background(), "orders", Invocation{Async: true}); err != nil || !got.Accepted || got.Record == "" || !seen.Async {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestOnlyOneNodeOwnsASocket(t *testing.T) {
	h := func(context.Context, *casemate.Event) (*casemate.Result, error) { return &casemate.Result{}, nil }
	_, path := node(t, h)
	start := func(p string) error {
		s, err := New(Config{Handler: h, Socket: p})
		if err != nil {
			t.Fatal(err)
		}
		err = s.Start(context.Background())
		if e := s.Shutdown(context.Background()); e != nil {
			t.Error(e)
		}
		return err
	}
	if err := start(path); casemate.CodeOf(err) != casemate.Unavailable {
		t.Errorf("a second node took the socket: %v", err)
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	stale := filepath.Join(dir, "stale.sock")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	ln.Close()
	if err := start(stale); err != nil {
		t.Errorf("a killed node's socket was not replaced: %v", err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("keep"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := start(file); err == nil {
		t.Error("a file was taken for a socket")
	}
	if text, _ := os.ReadFile(file); string(text) != "keep" {
		t.Error("the file is gone")
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := start(filepath.Join(dir, "open.sock")); casemate.CodeOf(err) != casemate.Unavailable {
		t.Errorf("a folder that others may enter was used: %v", err)
	}
}

func TestDialExplains(t *testing.T) {
	if _, err := Dial(filepath.Join(t.TempDir(), "none.sock")); casemate.CodeOf(err) != casemate.Unavailable {
		t.Error(err)
	}
	key := filepath.Join(t.TempDir(), "key")
	write := func(text string, mode os.FileMode) {
		t.Helper()
		if err := errors.Join(os.WriteFile(key, []byte(text), 0o600), os.Chmod(key, mode)); err != nil {
			t.Fatal(err)
		}
	}
	write("ck_x\n", 0o600)
	for _, address := range []string{"http://127.0.0.1:1", "127.0.0.1:1", "https://", "https://u:p@host", "https://host/path", "https://host?x=1"} {
		if _, err := DialTLS(address, key, ""); casemate.CodeOf(err) != casemate.Invalid {
			t.Errorf("%s: %v", address, err)
		}
	}
	for text, mode := range map[string]os.FileMode{"ck_x": 0o644, "": 0o600, "two keys": 0o600} {
		write(text, mode)
		if _, err := DialTLS("https://host", key, ""); casemate.CodeOf(err) != casemate.Invalid {
			t.Errorf("key file %q %o: %v", text, mode, err)
		}
	}
}

func certificate(t *testing.T) (func(*tls.ClientHelloInfo) (*tls.Certificate, error), string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	cert := &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return cert, nil }, path
}

func TestTLSTakesKeysAndNoPeer(t *testing.T) {
	get, ca := certificate(t)
	var seen *casemate.Event
	s, err := New(Config{Addr: "127.0.0.1:0", Certificate: get, Handler: func(_ context.Context, e *casemate.Event) (*casemate.Result, error) {
		seen = e
		return &casemate.Result{Payload: []byte(`1`)}, nil
	}})
	fronttest.Serve(t, s, err)
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("ck_one\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	url := "https://" + s.Addr().String()
	c, err := DialTLS(url, key, ca)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var out int
	if err := c.Call(context.Background(), "op", nil, &out); err != nil || out != 1 {
		t.Fatal(out, err)
	}
	if seen.Credential.Kind != casemate.CredentialKey || seen.Credential.Secret != "ck_one" || seen.SourceIP != "127.0.0.1" {
		t.Errorf("event %+v", seen)
	}
	c.key = ""
	if err := c.Call(context.Background(), "op", nil, nil); err != nil || seen.Credential.Kind != casemate.CredentialNone {
		t.Errorf("without a key: %v, %v", seen.Credential, err)
	}
	c.key = "a.b.c"
	if err := c.Call(context.Background(), "op", nil, nil); err != nil || seen.Credential.Kind != casemate.CredentialBearer {
		t.Errorf("with a token: %v, %v", seen.Credential, err)
	}
	stranger, err := DialTLS(url, key, "")
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	if err := stranger.Call(context.Background(), "op", nil, nil); casemate.CodeOf(err) != casemate.Unavailable || casemate.AsError(err).Hint != "give its ca.pem with --ca" {
		t.Errorf("an unknown certificate: %v", err)
	}
	// A caller cannot name itself a peer of the socket.
	if _, err := peerUID("127.0.0.1:9"); err == nil {
		t.Error("an IP address is a uid")
	}
}

func FuzzDecodeError(f *testing.F) {
	f.Add([]byte(`{"message":"no","code":"Forbidden"}`), 403)
	f.Add([]byte(`<html>`), 502)
	f.Fuzz(func(t *testing.T, text []byte, status int) {
		err := decodeError(text, status)
		var e *casemate.Error
		if !errors.As(err, &e) || e.Message == "" {
			t.Fatalf("%q became %v", text, err)
		}
	})
}
