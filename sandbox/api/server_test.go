package api

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"casemate"
	"casemate/lambda"
)

// fakeRuntime speaks to a Server as a runtime in a sandbox would.
type fakeRuntime struct {
	t   *testing.T
	api *Server
	fx  *recorder
	srv *endpoint
}

// endpoint is where a Server is served as in a sandbox.
type endpoint struct {
	URL      string
	Listener net.Listener
	Config   *http.Server
	client   http.Client
}

func (e *endpoint) Client() *http.Client { return &e.client }

// recorder keeps the signals that a Server raised.
type recorder struct {
	mu   sync.Mutex
	list []casemate.Effect
}

func (r *recorder) add(e casemate.Effect) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, e)
}

func (r *recorder) take() (list []casemate.Effect) {
	r.mu.Lock()
	defer r.mu.Unlock()
	list, r.list = r.list, nil
	return list
}

func newFakeRuntime(t *testing.T) *fakeRuntime {
	fx := &recorder{}
	id := Identity{FunctionName: "f", FunctionVersion: "1", Handler: "h", AccountID: "1234"}
	api := New(fx.add, func() time.Time { return time.Unix(0, 0) }, id)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &endpoint{URL: "http://" + l.Addr().String(), Listener: l, Config: api.http, client: http.Client{Transport: &http.Transport{}}}
	done := make(chan struct{})
	go func() { api.Serve(l); close(done) }()
	t.Cleanup(func() {
		select {
		case <-api.closed: // the test did it
		default:
			api.Close()
		}
		<-done
		srv.client.CloseIdleConnections()
	})
	return &fakeRuntime{t, api, fx, srv}
}

func (f *fakeRuntime) offer(id string, payload string) *Invocation {
	inv := NewInvocation(&casemate.Launch{RequestID: id, ARN: "arn:f", Payload: []byte(payload), ClientContext: `{"a":1}`},
		time.UnixMilli(1234567), lambda.MaxResponse, "Root=1")
	f.api.Offer(inv)
	return inv
}

func (f *fakeRuntime) do(method, path, body string, header ...string) (int, string, http.Header) {
	f.t.Helper()
	req, err := http.NewRequest(method, f.srv.URL+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := f.srv.Client().Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return res.StatusCode, strings.TrimSpace(string(b)), res.Header
}

const (
	nextPath = "/2018-06-01/runtime/invocation/next"
	invoke   = "/2018-06-01/runtime/invocation/"
	initPath = "/2018-06-01/runtime/init/error"
	badID    = `{"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}`
	okBody   = `{"status":"OK"}`
)

func transition(from, to string) string {
	return `{"errorMessage":"State transition from ` + from + ` to ` + to +
		` failed for runtime. Error: State transition is not allowed","errorType":"InvalidStateTransition"}`
}

func (f *fakeRuntime) want(method, path, body string, status int, text string, header ...string) {
	f.t.Helper()
	if s, b, _ := f.do(method, path, body, header...); s != status || b != text {
		f.t.Errorf("%s %s: got %d %s\nwant %d %s", method, path, s, b, status, text)
	}
}

func (f *fakeRuntime) signals() string {
	var s []string
	for _, e := range f.fx.take() {
		if e.Kind != "runtime-api" || e.Verdict != casemate.Denied {
			f.t.Errorf("effect %+v", e)
		}
		s = append(s, e.Target)
	}
	return strings.Join(s, " ")
}

// Lambda checklist: 1
func TestItem01NextGivesTheEventUnchanged(t *testing.T) {
	f := newFakeRuntime(t)
	payload := "{\"a\": \"\\u00e9 \xff\x00\"}"
	f.offer("r1", payload)
	req, _ := http.NewRequest("GET", f.srv.URL+nextPath, nil)
	res, err := f.srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, _ := io.ReadAll(res.Body)
	if string(got) != payload {
		t.Errorf("event %q", got)
	}
	for k, v := range map[string]string{lambda.HeaderRequestID: "r1", lambda.HeaderDeadline: "1234567", lambda.HeaderARN: "arn:f",
		lambda.HeaderTrace: "Root=1", lambda.HeaderClientContext: `{"a":1}`, "Content-Type": "application/json"} {
		if res.Header.Get(k) != v {
			t.Errorf("%s: %q, want %q", k, res.Header.Get(k), v)
		}
	}
	if _, ok := res.Header[lambda.HeaderTenant]; ok {
		t.Error("an empty header was sent")
	}
}

// Lambda checklist: 3
func TestItem03ResponseBytesAreIdentical(t *testing.T) {
	f := newFakeRuntime(t)
	inv := f.offer("r1", "{}")
	f.do("GET", nextPath, "")
	body := string([]byte{0, 255, 1, 10, 13}) + "no json"
	f.want("POST", invoke+"r1/response", body, 202, okBody, "Content-Type", "application/octet-stream")
	<-inv.answered
	if string(inv.answer.payload) != body || inv.answer.failure != "" || inv.answer.contentType != "application/octet-stream" {
		t.Errorf("answer %+v", inv.answer)
	}
	if s := f.signals(); s != "" {
		t.Errorf("signals %q", s)
	}
}

// Lambda checklist: 4
func TestItem04ErrorBodyReachesTheCaller(t *testing.T) {
	f := newFakeRuntime(t)
	inv := f.offer("r1", "{}")
	f.do("GET", nextPath, "")
	doc := `{"errorMessage":"no","errorType":"Error","trace":["a"]}`
	f.want("POST", invoke+"r1/error", doc, 202, okBody)
	<-inv.answered
	if string(inv.answer.payload) != doc || inv.answer.failure != casemate.FailureHandled {
		t.Errorf("answer %+v", inv.answer)
	}
}

// Lambda checklist: 5
func TestItem05WrongOrEarlyIDIsRefused(t *testing.T) {
	f := newFakeRuntime(t)
	f.want("POST", invoke+"r1/response", "{}", 400, badID)
	f.offer("r1", "{}")
	f.want("POST", invoke+"r1/response", "{}", 400, badID)
	f.do("GET", nextPath, "")
	f.want("POST", invoke+"r2/response", "{}", 400, badID)
	f.want("POST", invoke+"r2/error", "{}", 400, badID)
	if s := f.signals(); s != "response response response error" {
		t.Errorf("signals %q", s)
	}
}

// Lambda checklist: 6
func TestItem06SecondResponseIsRefused(t *testing.T) {
	f := newFakeRuntime(t)
	inv := f.offer("r1", "{}")
	f.do("GET", nextPath, "")
	f.want("POST", invoke+"r1/response", "1", 202, okBody)
	f.want("POST", invoke+"r1/response", "2", 403, transition("RuntimeResponseSentState", "InvocationResponse"))
	f.want("POST", invoke+"r1/error", "{}", 403, transition("RuntimeResponseSentState", "InvocationErrorResponse"))
	if string(inv.answer.payload) != "1" {
		t.Errorf("the first answer must stand, got %q", inv.answer.payload)
	}
	if s := f.signals(); s != "response error" {
		t.Errorf("signals %q", s)
	}
}

// TestLateSecondAnswerNamesItsEvent: the record of that event is closed by then, so the next one's says whose it was.
func TestLateSecondAnswerNamesItsEvent(t *testing.T) {
	f := newFakeRuntime(t)
	first := f.offer("r1", "{}")
	f.do("GET", nextPath, "")
	f.want("POST", invoke+"r1/response", "1", 202, okBody)
	asked := make(chan struct{})
	go func() { f.do("GET", nextPath, ""); close(asked) }()
	<-first.idle
	f.offer("r2", "{}")
	<-asked
	f.want("POST", invoke+"r1/response", "2", 400, badID)
	f.want("POST", invoke+"r0/response", "2", 400, badID)
	said := f.fx.take()
	if len(said) != 2 || said[0].Reason != "a second answer came for the event before, r1" || said[1].Reason != "an answer came for an event that is not being worked on" {
		t.Errorf("effects %+v", said)
	}
}

// Lambda checklist: 7
func TestItem07NextAgainGivesTheSameEventAndASignal(t *testing.T) {
	f := newFakeRuntime(t)
	f.offer("r1", "one")
	for range 2 {
		if _, b, h := f.do("GET", nextPath, ""); b != "one" || h.Get(lambda.HeaderRequestID) != "r1" {
			t.Errorf("event %q %v", b, h)
		}
	}
	if s := f.signals(); s != "next" {
		t.Errorf("signals %q", s)
	}
}

func TestSecondClientIsSeen(t *testing.T) {
	f := newFakeRuntime(t)
	f.offer("r1", "one")
	f.do("GET", nextPath, "", "User-Agent", "runtime")
	f.want("POST", invoke+"r1/response", "{}", 202, okBody, "User-Agent", "implant")
	if s := f.signals(); s != "client" {
		t.Errorf("signals %q", s)
	}
}

// Lambda checklist: 8
func TestItem08InitErrorOnlyBeforeTheFirstNext(t *testing.T) {
	f := newFakeRuntime(t)
	doc := `{"errorMessage":"x","errorType":"Runtime.ImportModuleError","trace":[]}`
	f.want("POST", initPath, doc, 202, okBody, lambda.HeaderErrorType, "Runtime.ImportModuleError")
	<-f.api.initFail
	if got := string(f.api.InitError()); got != doc {
		t.Errorf("body %q", got)
	}
	f.want("GET", nextPath, "", 403, transition("InitError", "Ready"))

	g := newFakeRuntime(t)
	g.offer("r1", "{}")
	g.do("GET", nextPath, "")
	g.want("POST", initPath, doc, 403, transition("Running", "InitError"))
}

// Lambda checklist: 11
func TestItem11ResponseSizeBound(t *testing.T) {
	for _, chunked := range []bool{false, true} {
		f := newFakeRuntime(t)
		post := func(n int) (int, string) {
			var body io.Reader = bytes.NewReader(make([]byte, n))
			if chunked {
				body = struct{ io.Reader }{body}
			}
			res, err := f.srv.Client().Post(f.srv.URL+invoke+"r1/response", "", body)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			b, _ := io.ReadAll(res.Body)
			return res.StatusCode, strings.TrimSpace(string(b))
		}
		inv := f.offer("r1", "{}")
		f.do("GET", nextPath, "")
		if s, b := post(lambda.MaxResponse); s != 202 || len(inv.answer.payload) != lambda.MaxResponse {
			t.Errorf("chunked=%v: the largest answer: %d %s, kept %d", chunked, s, b, len(inv.answer.payload))
		}
		f = newFakeRuntime(t)
		inv = f.offer("r1", "{}")
		f.do("GET", nextPath, "")
		s, b := post(lambda.MaxResponse + 1)
		if s != 413 || b != `{"errorMessage":"Exceeded maximum allowed payload size (6291556 bytes).","errorType":"RequestEntityTooLarge"}` {
			t.Errorf("chunked=%v: one byte more: %d %s", chunked, s, b)
		}
		<-inv.answered
		want := `{"errorType":"Function.ResponseSizeTooLarge","errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes)."}`
		if string(inv.answer.payload) != want || inv.answer.failure != casemate.FailureResponse {
			t.Errorf("chunked=%v: answer %s", chunked, inv.answer.payload)
		}
	}
}

// Lambda checklist: 15
func TestItem15TrailersCarryAMidStreamError(t *testing.T) {
	f := newFakeRuntime(t)
	inv := f.offer("r1", "{}")
	f.do("GET", nextPath, "")
	doc := `{"errorMessage":"late","errorType":"E"}`
	raw := "POST " + invoke + "r1/response HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n" +
		"Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n" +
		"Lambda-Runtime-Function-Response-Mode: streaming\r\n\r\n4\r\nhalf\r\n0\r\n" +
		"Lambda-Runtime-Function-Error-Type: E\r\nLambda-Runtime-Function-Error-Body: " +
		base64.StdEncoding.EncodeToString([]byte(doc)) + "\r\n\r\n"
	c, err := net.Dial("tcp", f.srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, raw)
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || res.StatusCode != 202 {
		t.Fatal(err, res)
	}
	<-inv.answered
	if string(inv.answer.payload) != doc || inv.answer.failure != casemate.FailureHandled {
		t.Errorf("answer %q %q", inv.answer.payload, inv.answer.failure)
	}
}

func TestBrokenAnswerMayBeSentAgain(t *testing.T) {
	f := newFakeRuntime(t)
	inv := f.offer("r1", "{}")
	f.do("GET", nextPath, "")
	c, err := net.Dial("tcp", f.srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "POST "+invoke+"r1/response HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
	c.(*net.TCPConn).CloseWrite()
	io.ReadAll(c) // until the server has given the request up
	c.Close()
	f.want("POST", invoke+"r1/response", "whole", 202, okBody)
	<-inv.answered
	if string(inv.answer.payload) != "whole" {
		t.Errorf("answer %q", inv.answer.payload)
	}
}

func TestResponseModeAndUnknownPaths(t *testing.T) {
	f := newFakeRuntime(t)
	inv := f.offer("r1", "{}")
	f.do("GET", nextPath, "")
	f.want("POST", invoke+"r1/response", "1", 400,
		`{"errorMessage":"Invalid function response mode","errorType":"InvalidFunctionResponseMode"}`, lambda.HeaderResponseMode, "torrent")
	<-inv.answered
	if !strings.Contains(string(inv.answer.payload), "Runtime.InvalidResponseModeHeader") || inv.answer.failure == "" {
		t.Errorf("answer %+v", inv.answer)
	}
	f.want("GET", "/2018-06-01/ping", "", 200, "pong")
	f.want("GET", "/ping", "", 200, "pong")
	for _, p := range []string{"GET /", "GET /2018-06-01/", "POST /2018-06-01/runtime/invocation/r1", "POST /2018-06-01/runtime/invocation/r1/x",
		"DELETE " + nextPath, "GET /2018-06-01/runtime/restore/next", "GET /2021-04-23/credentials", "GET /2020-01-01/extension/x"} {
		method, path, _ := strings.Cut(p, " ")
		if s, b, _ := f.do(method, path, ""); s != 404 {
			t.Errorf("%s: %d %s", p, s, b)
		}
	}
}

func TestItem98ExtensionRegistration(t *testing.T) {
	f := newFakeRuntime(t)
	const reg = "/2020-01-01/extension/register"
	s, b, h := f.do("POST", reg, `{"events":null}`, lambda.ExtensionName, "GoLangEnableSIGTERM")
	if s != 200 || b != `{"functionName":"f","functionVersion":"1","handler":"h"}` || len(h.Get(lambda.ExtensionID)) != 36 {
		t.Fatalf("register: %d %s %v", s, b, h)
	}
	if !f.api.ext.any() {
		t.Error("not registered")
	}
	for _, c := range []struct {
		body, name, typ string
	}{
		{`{}`, "", "Extension.InvalidExtensionName"},
		{`{"events":["SHUTDOWN"]}`, "x", "Extension.InvalidEventType"},
		{`{}`, "GoLangEnableSIGTERM", "Extension.AlreadyRegistered"},
	} {
		if s, b, _ := f.do("POST", reg, c.body, lambda.ExtensionName, c.name); s != 403 || !strings.Contains(b, c.typ) {
			t.Errorf("%+v: %d %s", c, s, b)
		}
	}
	_, _, h = f.do("POST", reg, `{"events":["INVOKE"]}`, lambda.ExtensionName, "x", lambda.ExtensionFeature, "accountId")
	f.offer("r1", "{}")
	s, b, _ = f.do("GET", "/2020-01-01/extension/event/next", "", lambda.ExtensionID, h.Get(lambda.ExtensionID))
	if want := `{"eventType":"INVOKE","deadlineMs":1234567,"requestId":"r1","invokedFunctionArn":"arn:f","tracing":{"type":"X-Amzn-Trace-Id","value":"Root=1"}}`; s != 200 || b != want {
		t.Errorf("event: %d %s", s, b)
	}
	for id, typ := range map[string]string{"": "Extension.MissingExtensionIdentifier", "nobody": "Extension.InvalidExtensionIdentifier", casemate.NewID(): "Extension.UnknownExtensionIdentifier"} {
		if s, b, _ := f.do("GET", "/2020-01-01/extension/event/next", "", lambda.ExtensionID, id); s != 403 || !strings.Contains(b, typ) {
			t.Errorf("%q: %d %s", id, s, b)
		}
	}
	if s, b, _ := f.do("POST", reg, `{}`, lambda.ExtensionName, "late"); s != 403 || !strings.Contains(b, "RegistrationClosed") {
		t.Errorf("late: %d %s", s, b)
	}
}

func TestItem99TelemetryIsDeclined(t *testing.T) {
	f := newFakeRuntime(t)
	for path, api := range map[string]string{"/2022-07-01/telemetry": "Telemetry", "/2020-08-15/logs": "Logs"} {
		f.want("PUT", path, `{}`, 202, `{"errorMessage":"`+api+` API is not supported","errorType":"`+api+`.NotSupported"}`)
	}
}

func FuzzReadBody(f *testing.F) {
	f.Add([]byte("abc"), int64(-1), int64(5))
	f.Add([]byte("abcdef"), int64(6), int64(5))
	f.Fuzz(func(t *testing.T, data []byte, declared, limit int64) {
		if limit < 0 || limit > 1<<20 {
			return
		}
		got, over, err := readBody(bytes.NewReader(data), declared, limit)
		if err != nil || over != (int64(len(data)) > limit) || !over && !bytes.Equal(got, data) {
			t.Fatalf("%d bytes, limit %d: got %d, over %v, %v", len(data), limit, len(got), over, err)
		}
	})
}
