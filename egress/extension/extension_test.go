package extension

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"casemate"
	"casemate/authn"
	"casemate/egress/service"
	"casemate/store"
)

// world is an endpoint in front of the real service endpoint and the real verifier of signatures, with one operation of
// each service behind.
type world struct {
	*Endpoint
	identity *authn.Identity
	key      casemate.SandboxKey
	mu       sync.Mutex
	asked    []string
	effects  []casemate.Effect
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{}
	var err error
	if w.identity, err = authn.New(context.Background(), authn.Config{Store: store.Memory(time.Now), Place: casemate.DefaultPlace}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.identity.Close() })
	v := &casemate.Version{Function: "f", Role: "r", ARN: "arn:f"}
	w.key = w.identity.MintSandbox(v, time.Hour)
	operation := func(service, name, answer string) *casemate.Operation {
		return &casemate.Operation{Service: service, Name: name, Action: service + ":" + name, Body: 1 << 16,
			Resource: func(casemate.Place, []byte) (string, error) { return "arn:x", nil },
			Run:      func(context.Context, *casemate.Launch) (any, error) { return json.RawMessage(answer), nil }}
	}
	ops := map[string]*casemate.Operation{}
	for _, o := range []*casemate.Operation{
		operation("secretsmanager", "GetSecretValue", `{"ARN":"arn:x","CreatedDate":1783512000.25,"SecretString":"canary"}`),
		operation("ssm", "GetParameter", `{"Parameter":{"Name":"/a","LastModifiedDate":1783512000,"Value":"canary"}}`)} {
		ops[o.ID()] = o
	}
	handle := func(ctx context.Context, e *casemate.Event) (*casemate.Result, error) {
		p, err := w.identity.Credential(ctx, e.Credential)
		if err != nil {
			return nil, err
		}
		w.mu.Lock()
		w.asked = append(w.asked, p.ID+" "+e.Target.Builtin+" "+string(e.Payload))
		w.mu.Unlock()
		if strings.Contains(string(e.Payload), "denied") {
			return nil, casemate.Errorf(casemate.Forbidden, "grant it", "no")
		}
		out, err := ops[e.Target.Builtin].Run(ctx, &casemate.Launch{Payload: e.Payload})
		return &casemate.Result{Payload: out.(json.RawMessage)}, err
	}
	next := service.New(service.Config{Handle: handle, Operations: ops, Place: casemate.DefaultPlace}, v, w.key, func(f casemate.Effect) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.effects = append(w.effects, f)
	})
	t.Cleanup(next.Close)
	next.Begin(&casemate.Launch{RequestID: "run"})
	w.Endpoint = New(Config{Key: w.key, Region: "us-east-1", Host: "169.254.100.3", Next: next, Clock: time.Now})
	t.Cleanup(w.Endpoint.Close)
	return w
}

// get asks as a function does.
func (w *world) get(t testing.TB, method, target, host string, tokens ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, "http://"+host+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range tokens {
		r.Header.Add(tokenHeader, x)
	}
	a := &answer{header: http.Header{}}
	w.ServeHTTP(a, r)
	return a.status, string(a.body)
}

func TestAsksAsTheSandbox(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct{ target, body, answer string }{
		{"/secretsmanager/get?secretId=db", `function/f secretsmanager.GetSecretValue {"SecretId":"db"}`, `{"ARN":"arn:x","CreatedDate":"2026-07-08T12:00:00.25Z","ResultMetadata":{},"SecretString":"canary"}`},
		{"/secretsmanager/get/?secretId=db%2Fx&versionStage=AWSPREVIOUS&versionId=v", `function/f secretsmanager.GetSecretValue {"SecretId":"db/x","VersionId":"v","VersionStage":"AWSPREVIOUS"}`, "canary"},
		{"/systemsmanager/parameters/get?name=%2Fa&withDecryption=true", `function/f ssm.GetParameter {"Name":"/a","WithDecryption":true}`, `{"Parameter":{"LastModifiedDate":"2026-07-08T12:00:00Z","Name":"/a","Value":"canary"},"ResultMetadata":{}}`},
		{"/systemsmanager/parameters/get?name=a&version=3", `function/f ssm.GetParameter {"Name":"a:3"}`, "canary"},
		{"/systemsmanager/parameters/get/?name=a&label=prod&withDecryption=false", `function/f ssm.GetParameter {"Name":"a:prod","WithDecryption":false}`, "canary"},
	} {
		w.asked = nil
		status, body := w.get(t, "GET", c.target, "localhost:2773", w.key.Token)
		if status != 200 || !strings.Contains(body, c.answer) || len(w.asked) != 1 || w.asked[0] != c.body {
			t.Errorf("%s: %d %s, asked %q", c.target, status, body, w.asked)
		}
	}
	if len(w.effects) != 5 || w.effects[0].Target != "secretsmanager:GetSecretValue arn:x" {
		t.Errorf("%+v", w.effects)
	}
	if status, body := w.get(t, "GET", "/secretsmanager/get?secretId=denied", Address, w.key.Token); status != 400 || !strings.Contains(body, "AccessDeniedException") {
		t.Errorf("%d %s", status, body)
	}
}

// TestAsksNobody: what is malformed, or comes without this sandbox's token, goes no further.
func TestAsksNobody(t *testing.T) {
	w := newWorld(t)
	const good = "/secretsmanager/get?secretId=db"
	for _, c := range []struct {
		method, target, host string
		tokens               []string
		status               int
	}{
		{"GET", good, "localhost:2773", nil, 401}, {"GET", good, "localhost:2773", []string{""}, 401}, {"GET", good, "localhost:2773", []string{w.key.Token + "x"}, 401},
		{"GET", good, "localhost:2773", []string{w.key.Token, w.key.Token}, 401}, {"GET", good, "localhost:2773", []string{w.key.Secret}, 401},
		{"GET", good, "evil.example:2773", []string{w.key.Token}, 403}, {"GET", good, "localhost", []string{w.key.Token}, 403},
		{"POST", good, "localhost:2773", []string{w.key.Token}, 405}, {"GET", "/", "localhost:2773", []string{w.key.Token}, 400},
		{"GET", "/secretsmanager/get/more?secretId=db", "localhost:2773", []string{w.key.Token}, 400}, {"GET", good + "&secretId=b", "localhost:2773", []string{w.key.Token}, 400},
		{"GET", good + "&name=b", "localhost:2773", []string{w.key.Token}, 400}, {"GET", "/secretsmanager/get?secretId=", "localhost:2773", []string{w.key.Token}, 400},
		{"GET", "/secretsmanager/get?secretId=%zz", "localhost:2773", []string{w.key.Token}, 400},
		{"GET", "/systemsmanager/parameters/get?name=a&withDecryption=maybe", "localhost:2773", []string{w.key.Token}, 400},
	} {
		status, body := w.get(t, c.method, c.target, c.host, c.tokens...)
		if status != c.status || strings.Contains(body, "canary") || len(w.asked) != 0 {
			t.Errorf("%s %s: %d %s, asked %q", c.method, c.target, status, body, w.asked)
		}
	}
}

// TestEndsWithItsSandbox: a key that was taken away opens nothing, and a closed endpoint answers nothing.
func TestEndsWithItsSandbox(t *testing.T) {
	w := newWorld(t)
	w.identity.EndSandbox(w.key.Sandbox)
	if status, body := w.get(t, "GET", "/secretsmanager/get?secretId=db", Address, w.key.Token); status == 200 || strings.Contains(body, "canary") {
		t.Errorf("%d %s", status, body)
	}
	w.Endpoint.Close()
	if status, _ := w.get(t, "GET", "/secretsmanager/get?secretId=db", Address, w.key.Token); status != 0 {
		t.Errorf("a closed endpoint answered %d", status)
	}
}

// pipes is a listener whose connections stay in memory.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// TestSlowClientsAreDropped: who says nothing for long loses its connection, and closing waits for nobody.
func TestSlowClientsAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := New(Config{Next: http.NotFoundHandler(), Clock: time.Now})
		l := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
		e.Serve(l)
		client, server := net.Pipe()
		l.conns <- server
		if _, err := client.Write([]byte("GET / HTTP/1.1\r\nHost:")); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, err := io.ReadAll(client)
		if err != nil && !errors.Is(err, io.EOF) || time.Since(start) > time.Minute {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		e.Close()
		e.Close()
	})
}

func FuzzAsk(f *testing.F) {
	f.Add("/secretsmanager/get", "secretId=a&versionStage=b")
	f.Add("/systemsmanager/parameters/get", "name=/a&version=1&label=x&withDecryption=true")
	f.Fuzz(func(t *testing.T, path, query string) {
		q, problem := ask(path, query)
		if (q == nil) == (problem == "") {
			t.Errorf("%v, %q", q, problem)
		}
	})
}
