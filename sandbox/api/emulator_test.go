package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"casemate"
	"casemate/lambda"
)

// step is one request of a runtime and the answer that AWS's own runtime emulator gave to it.
type step struct {
	do     string // "GET next", "POST r1/response", "POST init/error", or a path
	body   string
	header string // "Name: value"
	status int
	want   string // the whole body; "*" for any
}

// What the emulator answers, measured with a probe as bootstrap: each case is one sandbox that was given the event r1, in
// which the steps are taken in order. caller is what whoever invoked the function sees, "" while nothing is decided.
//
// Lambda checklist: 1, 3, 4, 5, 6, 7, 8, 11
func TestAnswersOfTheEmulator(t *testing.T) {
	event := step{"GET next", "", "", 200, "{}"}
	const internal = `{"errorMessage":"x","errorType":"E"}`
	for name, c := range map[string]struct {
		steps  []step
		caller string
		kind   casemate.Failure
	}{
		"response before next":     {[]step{{"POST r1/response", "1", "", 400, badID}, event, {"POST r1/response", "2", "", 202, okBody}}, "2", ""},
		"error before next":        {[]step{{"POST r1/error", internal, "", 400, badID}}, "", ""},
		"wrong id":                 {[]step{event, {"POST r2/response", "1", "", 400, badID}, {"POST r2/error", internal, "", 400, badID}, {"POST r1/response", "2", "", 202, okBody}}, "2", ""},
		"second response":          {[]step{event, {"POST r1/response", "1", "", 202, okBody}, {"POST r1/response", "2", "", 403, transition("RuntimeResponseSentState", "InvocationResponse")}}, "1", ""},
		"error after response":     {[]step{event, {"POST r1/response", "1", "", 202, okBody}, {"POST r1/error", internal, "", 403, transition("RuntimeResponseSentState", "InvocationErrorResponse")}}, "1", ""},
		"init error while it runs": {[]step{event, {"POST init/error", internal, "", 403, transition("Running", "InitError")}, {"POST r1/response", "1", "", 202, okBody}}, "1", ""},
		"second init error":        {[]step{{"POST init/error", internal, "", 202, okBody}, {"POST init/error", internal, "", 403, transition("InitError", "InitError")}}, "", ""},
		"next twice":               {[]step{event, event, {"POST r1/response", "1", "", 202, okBody}}, "1", ""},
		"response mode": {[]step{event, {"POST r1/response", "1", lambda.HeaderResponseMode + ": torrent", 400, "*InvalidFunctionResponseMode"}},
			`*"errorType":"Runtime.InvalidResponseModeHeader"`, casemate.FailureHandled},
		"empty response": {[]step{event, {"POST r1/response", "", "", 202, okBody}}, "", ""},
		"too large": {[]step{event, {"POST r1/response", strings.Repeat("x", 6_291_557), "", 413,
			`{"errorMessage":"Exceeded maximum allowed payload size (6291556 bytes).","errorType":"RequestEntityTooLarge"}`}},
			`{"errorType":"Function.ResponseSizeTooLarge","errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes)."}`, casemate.FailureResponse},
		"error":                       {[]step{event, {"POST r1/error", internal, lambda.HeaderErrorType + ": Function.E", 202, okBody}}, internal, casemate.FailureHandled},
		"error that is not JSON":      {[]step{event, {"POST r1/error", "text", lambda.HeaderErrorType + ": Function.Own", 202, okBody}}, `*{"errorType":"Function.Own"`, casemate.FailureHandled},
		"error of a strange type":     {[]step{event, {"POST r1/error", "text", lambda.HeaderErrorType + ": Mine", 202, okBody}}, `*{"errorType":"Runtime.Unknown"`, casemate.FailureHandled},
		"error of a strange Function": {[]step{event, {"POST r1/error", "text", lambda.HeaderErrorType + ": Function.lower", 202, okBody}}, `*{"errorType":"Function.Unknown"`, casemate.FailureHandled},
		"error with its cause":        {[]step{event, {"POST r1/error", `{"errorType":"E","errorCause":"{}"}`, "Content-Type: " + lambda.TypeErrorCause, 202, okBody}}, `{"errorType":"E"}`, casemate.FailureHandled},
		"ping":                        {[]step{{"GET /2018-06-01/ping", "", "", 200, "pong"}, {"GET /ping", "", "", 200, "pong"}}, "", ""},
		"unknown paths": {[]step{{"GET /2018-06-01/runtime/invocation/r1/response", "", "", 404, "*"}, {"POST /2018-06-01/runtime/invocation/r1", "", "", 404, "*"},
			{"GET /2018-06-01/runtime/restore/next", "", "", 404, "*"}, {"GET /nothing", "", "", 404, "404 page not found"}}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeRuntime(t)
			inv := f.offer("r1", "{}")
			for i, s := range c.steps {
				method, path := s.request()
				var header []string
				if k, v, ok := strings.Cut(s.header, ": "); ok {
					header = []string{k, v}
				}
				if status, body, _ := f.do(method, path, s.body, header...); status != s.status || !says(body, s.want) {
					t.Errorf("step %d, %s: %d %s\nwant %d %s", i+1, s.do, status, body, s.status, s.want)
				}
			}
			answered := c.caller != "" || name == "empty response"
			if inv.Settled() != answered {
				t.Fatalf("answered %v, want %v", !answered, answered)
			}
			if !answered {
				return
			}
			if res := inv.Result(); !says(string(res.Payload), c.caller) || res.Failure != c.kind {
				t.Errorf("the caller gets %.200q as %q, want %.200q as %q", res.Payload, res.Failure, c.caller, c.kind)
			}
		})
	}
}

func (s step) request() (method, path string) {
	method, path, _ = strings.Cut(s.do, " ")
	switch {
	case path == "next":
		path = nextPath
	case strings.HasPrefix(path, "init/"):
		path = initPath
	case path[0] != '/':
		path = invoke + path
	}
	return method, path
}

// says compares a body with all of it, or, after a star, with a part.
func says(body, want string) bool {
	part, ok := strings.CutPrefix(want, "*")
	return body == want || ok && strings.Contains(body, part)
}

// A runtime may wait for its next event for as long as it takes: nothing on the way has a limit of its own.
//
// Lambda checklist: 1
func TestNextWaitsForHours(t *testing.T) {
	f := newFakeRuntime(t)
	if s := f.srv.Config; s.ReadTimeout != 0 || s.WriteTimeout != 0 || s.IdleTimeout != 0 || s.ReadHeaderTimeout != 0 {
		t.Errorf("limits of the server: read %s, write %s, idle %s, header %s", s.ReadTimeout, s.WriteTimeout, s.IdleTimeout, s.ReadHeaderTimeout)
	}
	synctest.Test(t, func(t *testing.T) {
		a := New(func(casemate.Effect) {}, time.Now, Identity{})
		got, done := httptest.NewRecorder(), make(chan struct{})
		go func() {
			defer close(done)
			a.ServeHTTP(got, httptest.NewRequestWithContext(t.Context(), http.MethodGet, nextPath, nil))
		}()
		<-time.After(5 * time.Hour)
		a.Offer(NewInvocation(&casemate.Launch{RequestID: "late", Payload: []byte("event")}, time.Now(), lambda.MaxResponse, ""))
		<-done
		if got.Code != 200 || got.Body.String() != "event" || got.Header().Get(lambda.HeaderRequestID) != "late" {
			t.Errorf("%d %s", got.Code, got.Body)
		}
		a.Close()
	})
}
