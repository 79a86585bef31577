package api

import (
	"bufio"
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
	"casemate/lambda"
)

// sink is a server of an extension at the other end of Dial.
type sink struct {
	mu      sync.Mutex
	batches [][]map[string]any
	status  int
	dials   int
	broken  bool // nobody listens
	silent  bool // takes batches and never answers
}

func (s *sink) dial(context.Context, int) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dials++; s.broken {
		return nil, errors.New("connection refused")
	}
	ours, theirs := net.Pipe()
	go s.serve(theirs)
	return ours, nil
}

func (s *sink) serve(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		var batch []map[string]any
		if err := json.NewDecoder(req.Body).Decode(&batch); err != nil {
			return
		}
		io.Copy(io.Discard, req.Body)
		s.mu.Lock()
		silent, status := s.silent, s.status
		if !silent && status == 200 {
			s.batches = append(s.batches, batch)
		}
		s.mu.Unlock()
		if silent {
			io.Copy(io.Discard, in)
			return
		}
		(&http.Response{StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, ContentLength: 0, Request: req}).Write(c)
	}
}

func (s *sink) kinds() (list []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.batches {
		for _, e := range b {
			list = append(list, e["type"].(string))
		}
	}
	return list
}

func (s *sink) set(f func()) { s.mu.Lock(); defer s.mu.Unlock(); f() }

const everything = `{"types":["platform","function","extension"],"destination":{"protocol":"HTTP","URI":"http://sandbox.localdomain:8080"},"buffering":{"timeoutMs":100,"maxItems":1000}}`

// telemetryOf is a Server with one subscription, without HTTP in front of it: bubbles of synctest have no sockets.
func telemetryOf(t *testing.T, s *sink, body string) *Server {
	t.Helper()
	a := New(func(casemate.Effect) {}, time.Now, Identity{})
	a.Reach(s.dial)
	sub, err := parseSubscription([]byte(body), false)
	if err == nil {
		err = a.tele.subscribe(sub)
	}
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestTelemetryBuffers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{status: 200}
		a := telemetryOf(t, s, everything)
		defer a.Close()
		a.Tell("platform.start", func() any { return map[string]string{"requestId": "r"} })
		a.Log("stdout", "a line", false)
		a.Log("stdout", `{"a":1}`, true)
		a.Log("extension", "another", false)
		a.Log("platform", "START", false)
		a.Tell("platform.end", func() any { return 1 }) // of the Logs API alone
		synctest.Wait()
		if k := s.kinds(); len(k) != 0 {
			t.Errorf("sent before the timeout: %v", k)
		}
		<-time.After(101 * time.Millisecond) // of the bubble's clock
		synctest.Wait()
		if k := strings.Join(s.kinds(), " "); k != "platform.start function function extension" || len(s.batches) != 1 {
			t.Errorf("%s in %d batches", k, len(s.batches))
		}
		if r := s.batches[0][1]["record"]; r != "a line" {
			t.Errorf("text %v", r)
		}
		if r, ok := s.batches[0][2]["record"].(map[string]any); !ok || r["a"] != 1.0 {
			t.Errorf("JSON %v", r)
		}
		for range 1000 {
			a.Log("stdout", "x", false)
		}
		synctest.Wait()
		if len(s.batches) != 2 || len(s.batches[1]) != 1000 || s.dials != 1 {
			t.Errorf("a full batch waits: %d batches over %d connections", len(s.batches), s.dials)
		}
	})
}

func TestTelemetryIsBoundedAndSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{status: 200, broken: true}
		a := telemetryOf(t, s, everything)
		defer a.Close()
		for range 5000 {
			a.Log("stdout", strings.Repeat("x", 1000), false)
		}
		a.tele.mu.Lock()
		if w := a.tele.subs[0].weight; w > 2*defaultBytes+2000 {
			t.Errorf("%d bytes are kept", w)
		}
		a.tele.mu.Unlock()
		<-time.After(time.Second)
		synctest.Wait()
		s.set(func() { s.broken = false })
		a.Log("stdout", "the last", false)
		<-time.After(time.Second)
		synctest.Wait()
		if k := strings.Join(s.kinds(), " "); k != "platform.logsDropped function" {
			t.Fatalf("%s", k)
		}
		if r := s.batches[0][0]["record"].(map[string]any); r["droppedRecords"] != 5000.0 || r["droppedBytes"].(float64) < 5_000_000 {
			t.Errorf("%v", r)
		}
		// One that answers with an error, and one that never does, cost their batches and nothing else.
		s.set(func() { s.status = 500 })
		a.Log("stdout", "refused", false)
		<-time.After(time.Second)
		s.set(func() { s.status, s.silent = 200, true })
		a.Log("stdout", "unheard", false)
		<-time.After(10 * time.Second)
		synctest.Wait()
		s.set(func() { s.silent = false })
		a.Log("stdout", "heard", false)
		<-time.After(10 * time.Second)
		synctest.Wait()
		if k := strings.Join(s.kinds(), " "); !strings.HasSuffix(k, "function platform.logsDropped function") {
			t.Errorf("%s", k)
		}
	})
}

// TestTelemetryWaitsWhereTheSandboxStands: what stands still cannot answer, and nothing is lost of it.
func TestTelemetryWaitsWhereTheSandboxStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{status: 200}
		a := telemetryOf(t, s, everything)
		defer a.Close()
		if !a.Rest() {
			t.Fatal("it may not rest")
		}
		a.Log("stdout", "x", false)
		<-time.After(time.Minute)
		synctest.Wait()
		if k := s.kinds(); len(k) != 0 || s.dials != 0 {
			t.Errorf("%v was sent to a sandbox that stands", k)
		}
		a.Awake()
		<-time.After(time.Second)
		synctest.Wait()
		if k := s.kinds(); len(k) != 1 {
			t.Errorf("%v", k)
		}
	})
}

func TestLateSubscriptionsAreRefused(t *testing.T) {
	s := &sink{status: 200}
	a := New(func(casemate.Effect) {}, time.Now, Identity{})
	a.Reach(s.dial)
	defer a.Close()
	a.Tell("platform.initStart", func() any { return 1 })
	a.Offer(NewInvocation(&casemate.Launch{}, time.Now(), lambda.MaxResponse, ""))
	sub, err := parseSubscription([]byte(everything), false)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.tele.subscribe(sub); !errors.Is(err, errClosed) {
		t.Error(err)
	}
	if a.tele.early != nil {
		t.Error("what nobody can hear any more is kept")
	}
}

func TestSubscriptionsThatAreNone(t *testing.T) {
	good := func(change ...string) string {
		return strings.NewReplacer(change...).Replace(`{"schemaVersion":"2022-12-13","types":["platform"],"destination":{"protocol":"HTTP","URI":"http://sandbox.localdomain:8080/a"},"buffering":{"maxItems":1000,"maxBytes":262144,"timeoutMs":25}}`)
	}
	for _, body := range []string{good(), good("1000", "10000", "262144", "1048576", `25}`, `30000}`), good("sandbox.localdomain", "sandbox"), good(`"HTTP","URI":"http://sandbox.localdomain:8080/a"`, `"TCP","port":9999`)} {
		if _, err := parseSubscription([]byte(body), false); err != nil {
			t.Errorf("%s: %v", body, err)
		}
	}
	for _, body := range []string{``, `{}`, good(`"platform"`, `"kernel"`), good(`["platform"]`, `[]`), good(`"platform"`, `"platform","platform"`), good("1000", "999"), good("1000", "10001"),
		good("262144", "262143"), good("262144", "1048577"), good("25}", "24}"), good("25}", "30001}"), good("HTTP", "UDP"), good("sandbox.localdomain", "example.com"), good("sandbox.localdomain", "169.254.100.1"),
		good("http:", "https:"), good(":8080", ":9001"), good(":8080", ":0"), good(":8080", ":99999"), good("sandbox.localdomain", "u@sandbox.localdomain"), good(`"HTTP","URI":"http://sandbox.localdomain:8080/a"`, `"TCP","port":0`)} {
		if s, err := parseSubscription([]byte(body), false); err == nil {
			t.Errorf("%s: %+v", body, s)
		}
	}
}

func FuzzSubscription(f *testing.F) {
	f.Add([]byte(everything))
	f.Add([]byte(`{"types":["platform"],"destination":{"protocol":"TCP","port":1}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := parseSubscription(body, false)
		if err != nil {
			return
		}
		if s.port < 1 || s.port > 65535 || strings.ContainsAny(s.uri+s.host, "\r\n ") || s.items < 1000 || s.items > 10_000 || s.bytes > 1<<20 || s.timeout < 25*time.Millisecond {
			t.Fatalf("%q gave %+v", body, s)
		}
	})
}
