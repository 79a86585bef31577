package service

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"casemate"
	"casemate/service/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var testKey = casemate.SandboxKey{Sandbox: "box", ID: "ASIAEXAMPLE", Secret: "sss-secret", Token: "ttt-token", Principal: casemate.Principal{ARN: "arn:aws:sts::000000000000:assumed-role/function/price/price"}}

// desk is an endpoint on a real socket, with a corridor that the test plays.
type desk struct {
	*Endpoint
	t      *testing.T
	at     string
	client *http.Client

	mu      sync.Mutex
	effects []casemate.Effect
	events  []*casemate.Event
}

// operations of a service of the test: one that echoes, one that fails in its own words.
func operations() map[string]*casemate.Operation {
	resource := func(place casemate.Place, body []byte) (string, error) {
		var in struct{ Name string }
		if err := json.Unmarshal(body, &in); err != nil {
			return "", &casemate.Error{Code: casemate.Invalid, Message: "no JSON", AWS: "SerializationException"}
		}
		return "arn:aws:vault:" + place.Region + ":" + place.Account + ":" + in.Name, nil
	}
	all := map[string]*casemate.Operation{}
	for _, o := range []*casemate.Operation{{Service: "kms", Name: "Echo", Action: "kms:Echo", Resource: resource}, {Service: "sts", Name: "Who", Action: "sts:Who", Resource: resource}} {
		all[o.ID()] = o
	}
	return all
}

// begun is open in a run.
func begun(t *testing.T, handle casemate.Handler) *desk {
	t.Helper()
	d := open(t, handle)
	d.Begin(&casemate.Launch{RequestID: "r0"})
	return d
}

func open(t *testing.T, handle casemate.Handler) *desk {
	t.Helper()
	d := &desk{t: t, client: &http.Client{Transport: &http.Transport{}}}
	d.Endpoint = New(Config{Operations: operations(), Direct: map[string]wire.Direct{"lambda": {
		Event: func(_ casemate.Place, s *casemate.Signed, body []byte) (*casemate.Event, error) {
			switch s.Path {
			case "/call":
				return &casemate.Event{Target: casemate.Target{Function: "f"}, Action: "lambda:InvokeFunction", Resource: "arn:f", Payload: body}, nil
			case "/bad":
				return nil, &casemate.Error{Code: casemate.Invalid, Message: "bad", AWS: "InvalidParameterValueException"}
			}
			return nil, nil
		},
		Answer: func(_ *casemate.Signed, res *casemate.Result) (int, map[string]string, []byte) {
			return 202, nil, res.Payload
		},
	}}, May: func(casemate.SandboxKey, *casemate.Event) bool { return true }, Handle: func(ctx context.Context, e *casemate.Event) (*casemate.Result, error) {
		d.mu.Lock()
		d.events = append(d.events, e)
		d.mu.Unlock()
		return handle(ctx, e)
	}}, &casemate.Version{Function: "price", ARN: "arn:aws:lambda:us-east-1:000000000000:function:price"}, testKey, func(f casemate.Effect) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.effects = append(d.effects, f)
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.at = "http://" + l.Addr().String()
	d.Serve(l)
	t.Cleanup(func() {
		d.Close()
		d.Close()
		d.client.CloseIdleConnections()
	})
	return d
}

// ask sends a request that claims to be signed for a service; the corridor of the test does not check it.
func (d *desk) ask(method, path, service string, header map[string]string, body string) (*http.Response, string) {
	d.t.Helper()
	r, err := http.NewRequestWithContext(d.t.Context(), method, d.at+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	r.Host = host
	if service != "" {
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=ASIAEXAMPLE/20260101/us-east-1/"+service+"/aws4_request, SignedHeaders=host, Signature=00")
	}
	for k, v := range header {
		if k == "Host" {
			r.Host = v
		}
		r.Header.Set(k, v)
	}
	res, err := d.client.Do(r)
	if err != nil {
		d.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return res, string(text)
}

func forbidden(context.Context, *casemate.Event) (*casemate.Result, error) {
	return nil, &casemate.Error{Code: casemate.Forbidden, Message: "internal words", Hint: "allow it", Rule: "r"}
}

var (
	target10 = map[string]string{"X-Amz-Target": "X_20120810.GetItem", "Content-Type": "application/x-amz-json-1.0"}
	target11 = map[string]string{"X-Amz-Target": "X.ListThings", "Content-Type": "application/x-amz-json-1.1"}
	formType = map[string]string{"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
)

// TestRefusalsInTheServicesOwnWords: what an SDK has to hear so that it says AccessDenied and does not try again.
func TestRefusalsInTheServicesOwnWords(t *testing.T) {
	const said = "User: arn:aws:sts::000000000000:assumed-role/function/price/price is not authorized to perform: "
	for _, c := range []struct {
		method, path, service string
		header                map[string]string
		body                  string
		status                int
		contentType, text     string // %s of text: the request id
		head                  string // name=value
		asked                 string
	}{
		{"POST", "/", "dynamodb", target10, "{}", 400, "application/x-amz-json-1.0", `{"__type":"AccessDeniedException","message":"` + said + `dynamodb:GetItem"}`,
			"X-Amzn-Errortype=AccessDeniedException", "dynamodb:GetItem"},
		{"POST", "/", "kinesis", target11, "{}", 400, "application/x-amz-json-1.1", `{"__type":"AccessDeniedException","message":"` + said + `kinesis:ListThings"}`, "", "kinesis:ListThings"},
		{"POST", "/", "sqs", target10, "{}", 400, "application/x-amz-json-1.0", `{"__type":"AccessDeniedException","message":"` + said + `sqs:GetItem"}`,
			"X-Amzn-Query-Error=AccessDenied;Sender", "sqs:GetItem"},
		{"POST", "/", "sqs", formType, "Action=SendMessage&Version=2012-11-05", 403, "text/xml", `<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
			`<ErrorResponse xmlns="http://queue.amazonaws.com/doc/2012-11-05/"><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>` + said + `sqs:SendMessage</Message></Error><RequestId>%s</RequestId></ErrorResponse>`, "", "sqs:SendMessage"},
		{"POST", "/", "sns", formType, "Action=Publish&Version=2010-03-31", 403, "text/xml", `<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
			`<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>` + said + `sns:Publish</Message></Error><RequestId>%s</RequestId></ErrorResponse>`, "", "sns:Publish"},
		{"POST", "/", "ec2", formType, "Action=RunInstances", 403, "text/xml;charset=UTF-8", `<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
			`<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>` + said + `ec2:RunInstances</Message></Error></Errors><RequestID>%s</RequestID></Response>`, "", "ec2:RunInstances"},
		{"PUT", "/bucket/key%20x", "s3", map[string]string{"X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD"}, "data", 403, "application/xml", `<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
			`<Error><Code>AccessDenied</Code><Message>` + said + `s3:PutObject</Message><RequestId>%s</RequestId></Error>`, "", "s3:PutObject"},
		{"GET", "/", "s3", nil, "", 403, "application/xml", "", "", "s3:ListAllMyBuckets"},
		{"HEAD", "/bucket", "s3", nil, "", 403, "application/xml", "", "", "s3:ListBucket"},
		{"POST", "/TraceSegments", "xray", map[string]string{"Content-Type": "application/json"}, "{}", 403, "application/json",
			`{"__type":"AccessDeniedException","message":"` + said + `xray:POST"}`, "X-Amzn-Errortype=AccessDeniedException", "xray:POST"},
		{"POST", "/service/GraniteServiceVersion20100801/operation/PutMetricData", "monitoring", map[string]string{"Smithy-Protocol": "rpc-v2-cbor", "Content-Type": "application/cbor"}, "\xa0",
			403, "application/cbor", "\xa2\x66__type\x75AccessDeniedException\x67message\x78\x78" + said + "cloudwatch:PutMetricData", "Smithy-Protocol=rpc-v2-cbor", "cloudwatch:PutMetricData"},
		{"POST", "/", "brandnew", nil, "{}", 403, "application/json", `{"__type":"AccessDeniedException","message":"` + said + `brandnew:POST"}`, "", "brandnew:POST"},
		{"POST", "/", "kms", map[string]string{"X-Amz-Target": "TrentService.Echo", "Content-Type": "application/x-amz-json-1.1"}, `{"Name":"k"}`, 400, "application/x-amz-json-1.1",
			`{"__type":"AccessDeniedException","message":"` + said + `kms:Echo on resource: arn:aws:vault:us-east-1:000000000000:k"}`, "", "kms:Echo arn:aws:vault:us-east-1:000000000000:k"},
	} {
		d := open(t, forbidden)
		res, text := d.ask(c.method, c.path, c.service, c.header, c.body)
		if res.StatusCode != c.status || res.Header.Get("Content-Type") != c.contentType || len(d.events) != 1 {
			t.Errorf("%s: %d %q, %d events", c.asked, res.StatusCode, res.Header.Get("Content-Type"), len(d.events))
			continue
		}
		id := res.Header.Get("X-Amzn-Requestid")
		if want := strings.ReplaceAll(c.text, "%s", d.events[0].ID); id != d.events[0].ID || c.text != "" && text != want {
			t.Errorf("%s: id %s\n%s\nwant\n%s", c.asked, id, text, want)
		}
		if name, value, _ := strings.Cut(c.head, "="); res.Header.Get(name) != value {
			t.Errorf("%s: %s is %q", c.asked, name, res.Header.Get(name))
		}
		if len(d.effects) != 1 {
			t.Fatalf("%s: %d effects", c.asked, len(d.effects))
		}
		if f := d.effects[0]; f.Kind != casemate.EffectService || f.Target != c.asked || f.Verdict != casemate.Denied || f.Grant != "allow it" || f.Reason == "" {
			t.Errorf("%s: effect %+v", c.asked, f)
		}
		if strings.Contains(text, "internal words") || strings.Contains(text, "allow it") {
			t.Errorf("%s: the caller hears the operator's words: %s", c.asked, text)
		}
	}
}

// TestErrorsOfOperations: a service's own error code goes through, ours are put into the words of the protocol.
func TestErrorsOfOperations(t *testing.T) {
	for _, c := range []struct {
		err     error
		service string
		status  int
		code    string
		verdict casemate.Verdict
	}{
		{&casemate.Error{Code: casemate.NotFound, Message: "m", AWS: "NoSuchThing"}, "kms", 400, "NoSuchThing", casemate.Allowed},
		{&casemate.Error{Code: casemate.Forbidden, Message: "m", AWS: "Own"}, "kms", 400, "Own", casemate.Denied},
		{&casemate.Error{Code: casemate.Exhausted, Message: "m"}, "kms", 400, "ThrottlingException", casemate.Denied},
		{&casemate.Error{Code: casemate.Invalid, Message: "m"}, "kms", 400, "ValidationException", casemate.Allowed},
		{&casemate.Error{Code: casemate.Unauthenticated, Message: "m"}, "kms", 400, "UnrecognizedClientException", casemate.Denied},
		{&casemate.Error{Code: casemate.Unavailable, Message: "m"}, "kms", 503, "ServiceUnavailableException", casemate.Denied},
		{errors.New("secret detail"), "kms", 500, "InternalServerError", casemate.Denied},
		{&casemate.Error{Code: casemate.NotFound, Message: "m"}, "lambda", 404, "ResourceNotFoundException", casemate.Allowed},
		{&casemate.Error{Code: casemate.Exhausted, Message: "m"}, "lambda", 429, "TooManyRequestsException", casemate.Denied},
		{&casemate.Error{Code: casemate.Unauthenticated, Message: "m"}, "lambda", 403, "UnrecognizedClientException", casemate.Denied},
		{&casemate.Error{Code: casemate.Forbidden, Message: "m", AWS: "RecursiveInvocationException"}, "lambda", 400, "RecursiveInvocationException", casemate.Denied},
		{&casemate.Error{Code: casemate.Exhausted, Message: "m"}, "sts", 400, "<Code>Throttling<", casemate.Denied},
		{&casemate.Error{Code: casemate.Unauthenticated, Message: "m"}, "sts", 403, "<Code>InvalidClientTokenId<", casemate.Denied},
		{&casemate.Error{Code: casemate.Unauthenticated, Message: "m"}, "s3", 403, "<Code>InvalidAccessKeyId<", casemate.Denied},
		{&casemate.Error{Code: casemate.Unauthenticated, Message: "m"}, "ec2", 403, "<Code>AuthFailure<", casemate.Denied},
		{&casemate.Error{Code: casemate.Unavailable, Message: "m"}, "s3", 503, "<Code>ServiceUnavailable<", casemate.Denied},
		{errors.New("secret detail"), "sts", 500, "<Type>Receiver</Type><Code>InternalFailure<", casemate.Denied},
	} {
		d := begun(t, func(context.Context, *casemate.Event) (*casemate.Result, error) { return nil, c.err })
		header, path, body := map[string]string{"X-Amz-Target": "T.Echo", "Content-Type": "application/x-amz-json-1.1"}, "/", "{}"
		switch c.service {
		case "lambda":
			header, path = nil, "/call"
		case "sts", "ec2", "s3":
			header, body = formType, "Action=Who"
		}
		res, text := d.ask("POST", path, c.service, header, body)
		if res.StatusCode != c.status || !strings.Contains(text+res.Header.Get("X-Amzn-Errortype"), c.code) || strings.Contains(text, "secret detail") {
			t.Errorf("%v for %s: %d %s", c.err, c.service, res.StatusCode, text)
		}
		if d.effects[0].Verdict != c.verdict {
			t.Errorf("%v: effect %+v", c.err, d.effects[0])
		}
	}
}

func TestAnswersInTheServicesOwnWords(t *testing.T) {
	payload := `{"Arn":"a<b","N":1.50,"Yes":true,"No":false,"Gone":null,"List":[{"A":"x"},{"A":"y"}],"Empty":{}}`
	d := begun(t, func(context.Context, *casemate.Event) (*casemate.Result, error) {
		return &casemate.Result{Payload: []byte(payload)}, nil
	})
	res, text := d.ask("POST", "/", "kms", map[string]string{"X-Amz-Target": "T.Echo", "Content-Type": "application/x-amz-json-1.1"}, `{"Name":"k"}`)
	if res.StatusCode != 200 || text != payload || res.Header.Get("Content-Type") != "application/x-amz-json-1.1" {
		t.Errorf("JSON: %d %s", res.StatusCode, text)
	}
	res, text = d.ask("POST", "/", "sts", formType, "Action=Who&Version=2011-06-15&Name=n%26m")
	want := `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<WhoResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><WhoResult><Arn>a&lt;b</Arn><N>1.50</N><Yes>true</Yes><No>false</No>` +
		`<List><member><A>x</A></member><member><A>y</A></member></List><Empty></Empty></WhoResult><ResponseMetadata><RequestId>` + res.Header.Get("X-Amzn-Requestid") + `</RequestId></ResponseMetadata></WhoResponse>`
	if res.StatusCode != 200 || text != want || res.Header.Get("Content-Type") != "text/xml" {
		t.Errorf("query: %d %s\nwant %s", res.StatusCode, text, want)
	}
	if got := string(d.events[1].Payload); got != `{"Name":"n\u0026m"}` || d.events[1].Resource != "arn:aws:vault:us-east-1:000000000000:n&m" {
		t.Errorf("the question was %s about %s", got, d.events[1].Resource)
	}
	if res, text = d.ask("POST", "/call", "lambda", nil, "in"); res.StatusCode != 202 || text != payload || res.Header.Get("X-Amzn-Requestid") != d.events[2].ID {
		t.Errorf("direct: %d %s", res.StatusCode, text)
	}
	if res, text = d.ask("POST", "/bad", "lambda", nil, "in"); res.StatusCode != 400 || res.Header.Get("X-Amzn-Errortype") != "InvalidParameterValueException" || len(d.events) != 3 {
		t.Errorf("refused before the corridor: %d %s", res.StatusCode, text)
	}
	for i, f := range d.effects[:3] {
		if f.Verdict != casemate.Allowed || f.Reason != "" || f.Grant != "" || f.At.IsZero() {
			t.Errorf("effect %d: %+v", i, f)
		}
	}
	d = begun(t, func(context.Context, *casemate.Event) (*casemate.Result, error) { return &casemate.Result{}, nil })
	if _, text := d.ask("POST", "/", "kms", map[string]string{"X-Amz-Target": "T.Echo"}, `{}`); text != "{}" {
		t.Errorf("an empty answer is %q", text)
	}
	if res, text := d.ask("POST", "/service/TrentService/operation/Echo", "kms", map[string]string{"Smithy-Protocol": "rpc-v2-cbor"}, "\xa0"); res.StatusCode != 400 || !strings.Contains(text, "ValidationException") {
		t.Errorf("an operation in CBOR: %d %q", res.StatusCode, text)
	}
}

// TestWhoMayNotCallIsNotToldWhatThereIs: a missing function is missing for who may call it, and forbidden for all others.
func TestWhoMayNotCallIsNotToldWhatThereIs(t *testing.T) {
	missing := func(context.Context, *casemate.Event) (*casemate.Result, error) {
		return nil, &casemate.Error{Code: casemate.NotFound, Message: "there is no function f"}
	}
	for _, may := range []func(casemate.SandboxKey, *casemate.Event) bool{nil, func(casemate.SandboxKey, *casemate.Event) bool { return false },
		func(k casemate.SandboxKey, e *casemate.Event) bool {
			return k.ID == testKey.ID && e.Action == "lambda:InvokeFunction" && e.Resource == "arn:f"
		}} {
		d := begun(t, missing)
		d.cfg.May = may
		res, text := d.ask("POST", "/call", "lambda", nil, "{}")
		if told := strings.Contains(text, "Function not found: arn:f"); told != (res.StatusCode == 404) || told != (may != nil && may(testKey, d.events[0])) || !told && res.StatusCode != 403 {
			t.Errorf("%d %s", res.StatusCode, text)
		}
		if f := d.effects[0]; !strings.Contains(f.Reason, "there is no function f") { // the operator is told
			t.Errorf("%+v", f)
		}
	}
	d := begun(t, missing)
	if res, text := d.ask("POST", "/", "kms", map[string]string{"X-Amz-Target": "T.Echo"}, `{"Name":"k"}`); res.StatusCode != 400 || !strings.Contains(text, "ResourceNotFoundException") {
		t.Errorf("an operation's own answer, that the policy allowed: %d %s", res.StatusCode, text)
	}
}

// TestNobodyCallsAhead: a sandbox that is kept ready and calls functions while it initialises would be the first of a chain
// each time, and its calls would have sandboxes made that do the same.
func TestNobodyCallsAhead(t *testing.T) {
	d := open(t, func(context.Context, *casemate.Event) (*casemate.Result, error) { return &casemate.Result{}, nil })
	if res, text := d.ask("POST", "/call", "lambda", nil, "{}"); res.StatusCode != 403 || !strings.HasPrefix(res.Header.Get("X-Amzn-Errortype"), "AccessDenied") || len(d.events) != 0 {
		t.Errorf("ahead: %d %s", res.StatusCode, text)
	}
	d.Begin(&casemate.Launch{RequestID: "r1"})
	if res, text := d.ask("POST", "/call", "lambda", nil, "{}"); res.StatusCode != 202 || len(d.events) != 1 {
		t.Errorf("in a run: %d %s", res.StatusCode, text)
	}
}

func TestTheEventSaysWhoseRunItIs(t *testing.T) {
	d := open(t, forbidden)
	ask := func() *casemate.Event {
		t.Helper()
		n := len(d.events)
		d.ask("POST", "/", "kms", map[string]string{"X-Amz-Target": "T.Echo", "User-Agent": "sdk/1"}, `{"Name":"k"}`)
		if len(d.events) == n {
			return nil
		}
		return d.events[n]
	}
	e := ask() // while it initialises
	if e == nil || e.Parent != "" || e.Chain != "" || e.Depth != 1 || e.Trace.TraceID == "" {
		t.Fatalf("initialising: %+v", e)
	}
	if e.Source != casemate.SourceRun || e.SourceIP != "" || e.Credential.Kind != casemate.CredentialSigned || e.Credential.Signed.Sandbox != "box" ||
		e.Credential.Secret != "" || e.Target != (casemate.Target{Builtin: "kms.Echo"}) || e.Action != "kms:Echo" || e.UserAgent != "sdk/1" ||
		!reflect.DeepEqual(e.Context, map[string][]string{"aws:securetransport": {"true"}, "aws:useragent": {"sdk/1"},
			"lambda:sourcefunctionarn": {"arn:aws:lambda:us-east-1:000000000000:function:price"}}) {
		t.Errorf("%+v", e)
	}
	d.Begin(&casemate.Launch{RequestID: "r1", Trace: casemate.NewTrace(), Event: &casemate.Event{Chain: "c0", Depth: 3}})
	if e = ask(); e.Parent != "r1" || e.Chain != "c0" || e.Depth != 4 || e.Trace.ParentID == "" {
		t.Errorf("in a run: %+v", e)
	}
	d.Begin(&casemate.Launch{RequestID: "r2", Event: &casemate.Event{Source: casemate.SourceAsync, Attempt: 2}})
	if e = ask(); e.Parent != "r2#2" || e.Chain != "r2" {
		t.Errorf("in an attempt: %+v", e)
	}
	d.Begin(nil)
	if e = ask(); e != nil {
		t.Errorf("between runs: %+v", e)
	}
	if f := d.effects[len(d.effects)-1]; f.Verdict != casemate.Denied || !strings.Contains(f.Reason, "no run") {
		t.Errorf("between runs: %+v", f)
	}
}

func TestWhatIsRefusedUnread(t *testing.T) {
	for name, c := range map[string]struct {
		method, path, service string
		header                map[string]string
		body                  string
		status                int
	}{
		"another host":         {"POST", "/", "kms", map[string]string{"Host": "evil.example", "X-Amz-Target": "T.Echo"}, "{}", 400},
		"a host that looks so": {"POST", "/", "kms", map[string]string{"Host": host + ".evil.example", "X-Amz-Target": "T.Echo"}, "{}", 400},
		"another port":         {"POST", "/", "kms", map[string]string{"Host": host + ":8080", "X-Amz-Target": "T.Echo"}, "{}", 400},
		"an encoded body":      {"POST", "/", "kms", map[string]string{"Content-Encoding": "gzip", "X-Amz-Target": "T.Echo"}, "{}", 400},
		"too much":             {"POST", "/", "kms", map[string]string{"X-Amz-Target": "T.Echo"}, strings.Repeat("x", askBody+1), 400},
		"too much to hash":     {"POST", "/", "xray", nil, strings.Repeat("x", maxBody+1), 413},
		"too large an event":   {"POST", "/call", "lambda", nil, strings.Repeat("x", maxBody+slack+1), 413},
		"a repeated parameter": {"POST", "/", "sts", formType, "Action=Who&Name=a&Name=b", 400},
	} {
		d := open(t, forbidden)
		res, text := d.ask(c.method, c.path, c.service, c.header, c.body)
		if res.StatusCode != c.status || len(d.events) != 0 || len(d.effects) != 1 {
			t.Errorf("%s: %d %s, %d events, effects %+v", name, res.StatusCode, text, len(d.events), d.effects)
		}
	}
}

// TestUnreadBodiesCostNothing: what no service here will look at is neither kept nor waited for.
func TestUnreadBodiesCostNothing(t *testing.T) {
	d := open(t, forbidden)
	res, _ := d.ask("PUT", "/b/k", "s3", map[string]string{"X-Amz-Content-Sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}, strings.Repeat("x", 3<<20))
	if res.StatusCode != 403 || d.events[0].Credential.Signed.Payload != "" || d.events[0].Payload != nil {
		t.Errorf("%d %+v", res.StatusCode, d.events[0])
	}
	d.ask("POST", "/", "dynamodb", target10, `{"a":1}`)
	if s := d.events[1].Credential.Signed; len(s.Payload) != 64 || d.events[1].Payload != nil {
		t.Errorf("%+v", s)
	}
}

func TestNoSecretLeavesButByTheEnvironment(t *testing.T) {
	d := open(t, forbidden)
	want := map[string]string{"AWS_ENDPOINT_URL": "http://169.254.100.3", "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": testKey.ID,
		"AWS_SECRET_ACCESS_KEY": testKey.Secret, "AWS_SESSION_TOKEN": testKey.Token, "AWS_EC2_METADATA_DISABLED": "true"}
	if got := d.Env(); !reflect.DeepEqual(got, want) {
		t.Errorf("%v", got)
	}
	_, text := d.ask("POST", "/", "kms", map[string]string{"X-Amz-Security-Token": testKey.Token, "X-Amz-Target": "T.Echo"}, `{"Name":"body canary"}`)
	for _, f := range d.effects {
		text += f.Target + f.Reason + f.Grant
	}
	if strings.Contains(text, testKey.Token) || strings.Contains(text, testKey.Secret) {
		t.Error("a secret shows")
	}
}

func TestCloseEndsWhatIsUnderWay(t *testing.T) {
	entered := make(chan struct{}, maxCalls+1)
	d := open(t, func(ctx context.Context, e *casemate.Event) (*casemate.Result, error) {
		entered <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	})
	var clients sync.WaitGroup
	for range maxCalls + 1 {
		clients.Go(func() {
			r, err := http.NewRequest("POST", d.at+"/", nil)
			if err != nil {
				t.Error(err)
				return
			}
			r.Host = host
			if res, err := d.client.Do(r); err == nil {
				res.Body.Close()
			}
		})
	}
	for range maxCalls {
		<-entered
	}
	d.Close()
	clients.Wait()
	if len(entered) != 0 {
		t.Error("more calls were worked on than there are places")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.Serve(l)
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed endpoint listens: %v", err)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := newBounded(l, 2)
	accepted := make(chan net.Conn)
	var served sync.WaitGroup
	served.Go(func() {
		defer close(accepted)
		for {
			c, err := b.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	})
	var dialled []net.Conn
	dial := func() {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		dialled = append(dialled, c)
	}
	dial()
	first := <-accepted
	dial()
	second := <-accepted
	dial()
	first.Close()
	first.Close() // gives one place back, not two
	third := <-accepted
	dial()
	select {
	case <-accepted:
		t.Fatal("three at once")
	default:
	}
	b.state(second, http.StateActive)
	b.state(second, http.StateIdle) // before or after somebody waits for its place
	fourth := <-accepted
	if _, err := second.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the idle one is open: %v", err)
	}
	b.state(second, http.StateClosed)
	b.state(third, http.StateIdle)
	b.state(third, http.StateActive) // not idle any more
	dial()
	select {
	case <-accepted:
		t.Fatal("three at once")
	default:
	}
	b.Close() // while Accept waits for a place
	served.Wait()
	for _, c := range append(dialled, third, fourth) {
		c.Close()
	}
}

// TestClientsThatAreNeverClosedDoNotShutTheEndpoint: a warm function that makes a client for each event.
func TestClientsThatAreNeverClosedDoNotShutTheEndpoint(t *testing.T) {
	d := open(t, forbidden)
	for range 2 * maxConns {
		d.client = &http.Client{Transport: &http.Transport{}}
		t.Cleanup(d.client.CloseIdleConnections)
		if res, _ := d.ask("POST", "/", "kms", map[string]string{"X-Amz-Target": "T.Echo"}, `{"Name":"k"}`); res.StatusCode != 400 {
			t.Fatal(res.StatusCode)
		}
	}
}

// TestAFloodOfRefusalsWaits: and who is refused now and then does not.
func TestAFloodOfRefusalsWaits(t *testing.T) {
	ask := func(e *Endpoint, n int) time.Duration {
		start := time.Now()
		for range n {
			r := (&http.Request{Method: "POST", RequestURI: "/", Host: host, Body: http.NoBody, Header: http.Header{"X-Amz-Target": {"T.Echo"},
				"Authorization": {"AWS4-HMAC-SHA256 Credential=A/B/C/kms/aws4_request, x"}}}).WithContext(e.ctx)
			e.ServeHTTP(&sink{header: http.Header{}}, r)
		}
		return time.Since(start)
	}
	for verdict, want := range map[casemate.Verdict]time.Duration{casemate.Denied: 10 * time.Second, casemate.Allowed: 0} {
		synctest.Test(t, func(t *testing.T) {
			handle := forbidden
			if verdict == casemate.Allowed {
				handle = func(context.Context, *casemate.Event) (*casemate.Result, error) { return &casemate.Result{}, nil }
			}
			e := New(Config{Operations: operations(), Handle: handle}, &casemate.Version{}, testKey, func(casemate.Effect) {})
			if took := ask(e, refusalBurst); took != 0 {
				t.Errorf("a burst takes %v", took)
			}
			if took := ask(e, 10*refusalSecond); took != want {
				t.Errorf("%v: %d more take %v", verdict, 10*refusalSecond, took)
			}
			wait(t.Context(), time.Minute)
			if took := ask(e, refusalBurst); took != 0 {
				t.Errorf("a burst a minute later takes %v", took)
			}
			e.Close() // ends who waits
			if took := ask(e, 10*refusalBurst); took != 0 {
				t.Errorf("after the end: %v", took)
			}
		})
	}
}

func FuzzHear(f *testing.F) {
	f.Add("POST", "/", "kms", "T.Echo", "application/x-amz-json-1.1", "", []byte(`{"Name":"k"}`))
	f.Add("POST", "/?Action=Who", "sts", "", casemate.FormType, "", []byte("Action=Who&Version=2011-06-15&Name=%zz"))
	f.Add("GET", "/b/%2e%2e/k", "s3", "", "", "", []byte("x"))
	f.Add("POST", "/service/a/operation/B", "monitoring", "", "application/cbor", "rpc-v2-cbor", []byte{0xa0})
	f.Add("POST", "/call", "lambda", "", "", "", []byte{})
	f.Add("BREW", "*", "a/b", "..", "\x00", "\n", []byte{0xff})
	e := New(Config{Operations: operations(), Handle: forbidden}, &casemate.Version{}, testKey, func(f casemate.Effect) {
		if strings.ContainsFunc(f.Target, func(r rune) bool { return r < ' ' || r == 0x7f }) && !strings.Contains(f.Target, "arn:aws:vault:") {
			panic("effect " + f.Target)
		}
	})
	f.Cleanup(e.Close)
	f.Fuzz(func(t *testing.T, method, uri, service, target, contentType, smithy string, body []byte) {
		r := (&http.Request{Method: method, RequestURI: uri, Host: host, Body: io.NopCloser(bytes.NewReader(body)), Header: http.Header{
			"Authorization": {"AWS4-HMAC-SHA256 Credential=A/B/C/" + service + "/aws4_request, x"}, "Content-Type": {contentType}}}).WithContext(t.Context())
		if target != "" {
			r.Header["X-Amz-Target"] = []string{target}
		}
		if smithy != "" {
			r.Header["Smithy-Protocol"] = []string{smithy}
		}
		w := &sink{header: http.Header{}}
		e.pace.full = time.Time{} // a fuzzer is a flood
		e.ServeHTTP(w, r)
		if w.status < 400 || w.status > 599 {
			t.Fatalf("a refusal has status %d", w.status)
		}
	})
}

// sink is a response that nobody reads.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) Write(b []byte) (int, error) { return len(b), nil }
func (s *sink) WriteHeader(status int)      { s.status = status }
