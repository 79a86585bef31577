package aws

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"casemate"
	"casemate/service/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// desk is a front whose corridor the test plays.
type desk struct {
	*Server
	events []*casemate.Event
	result *casemate.Result
	err    error
}

func newDesk(t testing.TB) *desk {
	t.Helper()
	d := &desk{result: &casemate.Result{Payload: []byte(`{"Arn":"arn:who"}`)}}
	operations := map[string]*casemate.Operation{}
	for _, id := range []string{"sts.GetCallerIdentity", "sts.AssumeRoleWithWebIdentity", "kms.Echo"} {
		service, name, _ := strings.Cut(id, ".")
		operations[id] = &casemate.Operation{Service: service, Name: name, Action: service + ":" + name, Body: 1 << 10, Resource: func(_ casemate.Place, body []byte) (string, error) {
			var in struct{ RoleArn string }
			return "arn:thing" + in.RoleArn, json.Unmarshal(body, &in)
		}}
	}
	s, err := New(Config{Addr: "127.0.0.1:0", Operations: operations, Handler: func(_ context.Context, e *casemate.Event) (*casemate.Result, error) {
		d.events = append(d.events, e)
		return d.result, d.err
	}, Direct: map[string]wire.Direct{"lambda": {
		Event: func(_ casemate.Place, s *casemate.Signed, body []byte) (*casemate.Event, error) {
			if s.Path != "/call" && s.Path != "/2015-03-31/call" {
				return nil, nil
			}
			return &casemate.Event{Target: casemate.Target{Function: "f"}, Action: "lambda:InvokeFunction", Resource: "arn:f", Payload: body}, nil
		},
		Answer: func(_ *casemate.Signed, res *casemate.Result) (int, map[string]string, []byte) {
			return 200, nil, res.Payload
		},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	d.Server = s
	return d
}

const form = "application/x-www-form-urlencoded"

func authorization(service string) string {
	return "AWS4-HMAC-SHA256 Credential=AKIA/20260101/us-east-1/" + service + "/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + strings.Repeat("0", 64)
}

// ask makes a request; header is name, value, name, value.
func (d *desk) ask(method, target, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w
}

// last is the one event that a request became.
func (d *desk) last(t *testing.T) *casemate.Event {
	t.Helper()
	if len(d.events) != 1 {
		t.Fatalf("%d events", len(d.events))
	}
	e := d.events[0]
	d.events = nil
	return e
}

func TestASignedCallIsAnEvent(t *testing.T) {
	d := newDesk(t)
	w := d.ask("POST", "/", "Action=GetCallerIdentity&Version=2011-06-15", "Authorization", authorization("sts"), "Content-Type", form)
	e := d.last(t)
	if w.Code != 200 || !strings.Contains(w.Body.String(), "<GetCallerIdentityResult><Arn>arn:who</Arn></GetCallerIdentityResult>") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if e.Source != casemate.SourceAWS || e.Target.Builtin != "sts.GetCallerIdentity" || e.Action != "sts:GetCallerIdentity" || string(e.Payload) != "{}" || e.SourceIP == "" ||
		e.Credential.Kind != casemate.CredentialAccess || e.Credential.Signed.Sandbox != "" || len(e.Credential.Signed.Payload) != 64 || e.Context["aws:securetransport"][0] != "false" {
		t.Errorf("%+v", e)
	}
	w = d.ask("POST", "/", `{"RoleArn":"x"}`, "Authorization", authorization("kms"), "X-Amz-Target", "T.Echo")
	if e := d.last(t); w.Code != 200 || e.Target.Builtin != "kms.Echo" || string(e.Payload) != `{"RoleArn":"x"}` || e.Resource != "arn:thingx" {
		t.Errorf("%d %+v", w.Code, e)
	}
	w = d.ask("POST", "/call", `1`, "Authorization", authorization("lambda"))
	if e := d.last(t); w.Code != 200 || e.Target.Function != "f" || e.Credential.Kind != casemate.CredentialAccess || string(e.Payload) != "1" {
		t.Errorf("%d %+v", w.Code, e)
	}
	w = d.ask("GET", "/?Action=GetCallerIdentity&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2F20260101%2Fus-east-1%2Fsts%2Faws4_request", "")
	if e := d.last(t); w.Code != 200 || e.Target.Builtin != "sts.GetCallerIdentity" || e.Credential.Kind != casemate.CredentialAccess || string(e.Payload) != "{}" {
		t.Errorf("%d %+v", w.Code, e)
	}
}

// TestUnsignedCallsAreNobodys: a call of Lambda's API without a signature is nobody's, whatever else is wrong with it, and is
// answered as Lambda does.
//
// Lambda checklist: 40
func TestUnsignedCallsAreNobodys(t *testing.T) {
	d := newDesk(t)
	d.err = &casemate.Error{Code: casemate.Unauthenticated, Message: "this call needs a credential"}
	for _, c := range [][3]string{{"POST", "/2015-03-31/functions/f/invocations", "{}"}, {"POST", "/2015-03-31/functions/f/invocations", "{"}, {"POST", "/2015-03-31/call", "1"}, {"GET", "/2015-03-31/functions", ""}, {"POST", "/2015-03-31/functions", "{"}, {"DELETE", "/2018-10-31/layers/l/versions/x", ""}} {
		w := d.ask(c[0], c[1], c[2])
		e := d.last(t)
		if w.Code != 403 || w.Header().Get("X-Amzn-Errortype") != "MissingAuthenticationTokenException" || strings.TrimSpace(w.Body.String()) != `{"message":"Request is missing Authentication Token"}` {
			t.Errorf("%v: %d %v %s", c, w.Code, w.Header(), w.Body)
		}
		if e.Credential.Kind != casemate.CredentialNone || e.Target.Function != "" || !strings.HasPrefix(e.Target.Builtin, "lambda.") || len(e.Payload) != 0 {
			t.Errorf("%v: %+v", c, e)
		}
	}
}

// TestOneOperationNeedsNoSignature: its token is the caller's credential, and no part of what is asked or kept.
func TestOneOperationNeedsNoSignature(t *testing.T) {
	d := newDesk(t)
	w := d.ask("POST", "/", "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=r&WebIdentityToken=a.b.c", "Content-Type", form)
	e := d.last(t)
	if w.Code != 200 || e.Credential.Kind != casemate.CredentialBearer || e.Credential.Secret != "a.b.c" || string(e.Payload) != `{"RoleArn":"r"}` {
		t.Errorf("%d %+v %s", w.Code, e, e.Payload)
	}
	d.err = &casemate.Error{Code: casemate.Unauthenticated, Message: "the credential is not valid", Err: errors.New("expired")}
	w = d.ask("POST", "/", "Action=AssumeRoleWithWebIdentity&RoleArn=r&WebIdentityToken=a.b.c", "Content-Type", form)
	if d.last(t); !strings.Contains(w.Body.String(), "<Code>InvalidIdentityToken</Code>") || strings.Contains(w.Body.String(), "expired") {
		t.Errorf("%s", w.Body)
	}
	for _, body := range []string{"Action=GetCallerIdentity&WebIdentityToken=a.b.c", "Action=AssumeRoleWithWebIdentity&WebIdentityToken=a&WebIdentityToken=b", "Action=AssumeRoleWithWebIdentity", "Action=AssumeRole&WebIdentityToken=a", ""} {
		d.err = &casemate.Error{Code: casemate.Unauthenticated, Message: "this call needs a credential"}
		w := d.ask("POST", "/", body, "Content-Type", form)
		for _, e := range d.events {
			if e.Credential.Kind != casemate.CredentialNone {
				t.Errorf("%s: %+v", body, e.Credential.Kind)
			}
		}
		if d.events = nil; w.Code < 400 {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
	w = d.ask("POST", "/", strings.Repeat("a", tokenBody+1), "Content-Type", form)
	if len(d.events) != 0 || w.Code != 413 {
		t.Errorf("a large body that nobody signed: %d", w.Code)
	}
	w = d.ask("POST", "/", "Action=GetCallerIdentity", "Content-Type", form)
	if !strings.Contains(w.Body.String(), "<Code>MissingAuthenticationToken</Code>") || w.Code != 403 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestRefusalsInTheServicesOwnWords(t *testing.T) {
	for _, c := range []struct {
		err           error
		service, want string
		status        int
	}{
		{&casemate.Error{Code: casemate.Forbidden, Message: "user/ada may not kms:Echo on arn:thing", Hint: "read key/x"}, "kms", `{"__type":"AccessDeniedException","message":"User: arn:aws:iam::000000000000:user/ada is not authorized to perform: kms:Echo on resource: arn:thing"}`, 400},
		{&casemate.Error{Code: casemate.Forbidden, Message: "session/reader/build may not kms:Echo on arn:thing"}, "kms", "User: arn:aws:sts::000000000000:assumed-role/reader/build is", 400},
		{&casemate.Error{Code: casemate.Unauthenticated, Message: "the signature is not valid", Err: errors.New("unknown access key")}, "kms", `"message":"The security token included in the request is invalid."`, 400},
		{&casemate.Error{Code: casemate.Unauthenticated, AWS: "ExpiredToken", Message: "it has expired"}, "kms", `{"__type":"ExpiredToken","message":"it has expired"}`, 400},
		{&casemate.Error{Code: casemate.Unauthenticated, AWS: "RequestTimeTooSkewed", Message: "the signature is not of now"}, "sts", "<Code>RequestTimeTooSkewed</Code>", 403},
		{&casemate.Error{Code: casemate.Exhausted, Message: "slow down"}, "sts", "<Code>Throttling</Code>", 400},
		{errors.New("the disk of /var/lib is full"), "sts", "<Code>InternalFailure</Code>", 500},
	} {
		d := newDesk(t)
		d.err = c.err
		w := d.ask("POST", "/", map[string]string{"kms": "{}", "sts": "Action=GetCallerIdentity"}[c.service], "Authorization", authorization(c.service), "X-Amz-Target", map[string]string{"kms": "T.Echo"}[c.service])
		if text := w.Body.String(); w.Code != c.status || !strings.Contains(text, c.want) || strings.Contains(text, "/var/lib") || strings.Contains(text, "key/x") || strings.Contains(text, "unknown access") {
			t.Errorf("%v: %d %s", c.err, w.Code, text)
		}
	}
}

// A path that is no operation's is not said to be one.
func TestPathsOfNoOperation(t *testing.T) {
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "PATCH"} {
		d := newDesk(t)
		d.err = &casemate.Error{Code: casemate.Forbidden, Message: "there is no such operation"}
		w := d.ask(method, "/2015-03-31/nosuch", "", "Authorization", authorization("lambda"))
		if w.Code != 403 || !strings.Contains(w.Body.String(), `{"Message":"Unable to determine service/operation name to be authorized"}`) {
			t.Errorf("%s: %d %s", method, w.Code, w.Body)
		}
	}
}

func TestWhatNeverBecomesAnEvent(t *testing.T) {
	d := newDesk(t)
	for name, w := range map[string]*httptest.ResponseRecorder{
		"too large": d.ask("POST", "/", strings.Repeat("a", askBody+1), "Authorization", authorization("kms"), "X-Amz-Target", "T.Echo"),
		"encoded":   d.ask("POST", "/", "x", "Authorization", authorization("kms"), "Content-Encoding", "gzip"),
		"twice":     d.ask("POST", "/", "Action=GetCallerIdentity&a=1&a=2", "Authorization", authorization("sts"), "Content-Type", form),
	} {
		if w.Code < 400 || w.Code >= 500 || len(d.events) != 0 {
			t.Errorf("%s: %d %s, %d events", name, w.Code, w.Body, len(d.events))
		}
	}
}

// TestChunksAreReadLater: their signatures are verified as they are read, so nobody reads them before.
func TestChunksAreReadLater(t *testing.T) {
	d := newDesk(t)
	w := d.ask("POST", "/", "5;chunk-signature=...", "Authorization", authorization("kms"), "X-Amz-Target", "T.Echo", "X-Amz-Content-Sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "Content-Encoding", "aws-chunked")
	e := d.last(t)
	if e.Body == nil || e.Payload != nil || e.ContentEncoding != "aws-chunked" || e.Credential.Signed.Payload != "" || w.Header().Get("Connection") != "close" {
		t.Errorf("%+v", e)
	}
	if text, err := io.ReadAll(e.Body); err != nil || string(text) != "5;chunk-signature=..." {
		t.Errorf("%q, %v", text, err)
	}
}

func TestAddresses(t *testing.T) {
	for addr, ok := range map[string]bool{"127.0.0.1:0": true, "localhost:0": true, "[::1]:0": true, "0.0.0.0:0": false, ":4566": false, "192.0.2.1:4566": false, "127.evil.example:1": false, "127.0.0.1": false, "": false} {
		if _, err := New(Config{Addr: addr, Handler: func(context.Context, *casemate.Event) (*casemate.Result, error) { return nil, nil }}); (err == nil) != ok {
			t.Errorf("%q: %v", addr, err)
		}
	}
}

func TestStartAndShutdown(t *testing.T) {
	d := newDesk(t)
	if d.URL() != "" {
		t.Error("a URL before the start")
	}
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequest("POST", d.URL(), strings.NewReader("Action=GetCallerIdentity"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", authorization("sts"))
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	a, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if a.Body.Close(); a.StatusCode != 200 || a.Header.Get("Date") == "" { // by which SDKs set their clock
		t.Errorf("%d %v", a.StatusCode, a.Header)
	}
	if err := newDeskAt(t, strings.TrimPrefix(d.URL(), "http://")).Start(t.Context()); casemate.CodeOf(err) != casemate.Unavailable {
		t.Errorf("an address that is taken: %v", err)
	}
	if err := d.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := client.Do(r); err == nil {
		t.Error("it answers after the end")
	}
}

func newDeskAt(t *testing.T, addr string) *Server {
	t.Helper()
	s, err := New(Config{Addr: addr, Handler: func(context.Context, *casemate.Event) (*casemate.Result, error) { return nil, nil }})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func FuzzHear(f *testing.F) {
	f.Add("POST", "/", "sts", "", form, "Action=GetCallerIdentity&Version=2011-06-15")
	f.Add("POST", "/", "", "", form, "Action=AssumeRoleWithWebIdentity&WebIdentityToken=a&RoleArn=%zz")
	f.Add("GET", "/?Action=GetCallerIdentity&X-Amz-Algorithm=x&X-Amz-Credential=%2F", "", "", "", "")
	f.Add("POST", "/call", "lambda", "T.Echo", "", "{")
	d := newDesk(f)
	d.err = &casemate.Error{Code: casemate.Forbidden, Message: "no"}
	f.Fuzz(func(t *testing.T, method, uri, service, target, contentType, body string) {
		d.events = nil
		r := (&http.Request{Method: method, RequestURI: uri, Host: "h", Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), RemoteAddr: "192.0.2.1:1", Header: http.Header{}}).WithContext(t.Context())
		for name, value := range map[string]string{"Authorization": service, "X-Amz-Target": target, "Content-Type": contentType} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		if service != "" {
			r.Header.Set("Authorization", authorization(service))
		}
		w := httptest.NewRecorder()
		d.ServeHTTP(w, r)
		if w.Code < 400 || w.Code > 599 || len(d.events) > 1 {
			t.Fatalf("%d, %d events", w.Code, len(d.events))
		}
		for _, e := range d.events {
			if e.Credential.Kind == casemate.CredentialBearer && strings.Contains(string(e.Payload), `"WebIdentityToken"`) {
				t.Fatalf("the token is in the question: %s", e.Payload)
			}
		}
	})
}
