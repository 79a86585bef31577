package lambda

import (
	"encoding/base64"
	"strings"
	"testing"

	"casemate"
)

func signed(method, path, query string, header ...string) *casemate.Signed {
	s := &casemate.Signed{Method: method, Path: path, Query: query, Header: map[string][]string{}}
	for i := 0; i+1 < len(header); i += 2 {
		s.Header[header[i]] = []string{header[i+1]}
	}
	return s
}

const arn = "arn:aws:lambda:us-east-1:000000000000:function:price"

func TestEvent(t *testing.T) {
	context := base64.StdEncoding.EncodeToString([]byte(`{"custom":{"a":"b"}}`))
	for _, c := range []struct {
		s          *casemate.Signed
		body       string
		want, code string // target, or the error's code; both empty: no such operation
	}{
		{signed("POST", prefix+"price/invocations", ""), "{}", "price", ""},
		{signed("POST", prefix+"price:3/invocations", ""), "{}", "price:3", ""},
		{signed("POST", prefix+"price/invocations", "Qualifier=3"), "{}", "price:3", ""},
		{signed("POST", prefix+"price:3/invocations", "Qualifier=3"), "{}", "price:3", ""},
		{signed("POST", prefix+strings.ReplaceAll(arn, ":", "%3A")+"/invocations", "Qualifier=%24LATEST"), "{}", arn + ":$LATEST", ""},
		{signed("POST", prefix+arn+":3/invocations", "Qualifier=3"), "{}", arn + ":3", ""},
		{signed("POST", prefix+"price:3/invocations", "Qualifier=4"), "{}", "", codeName},
		{signed("POST", prefix+arn+":3/invocations", "Qualifier=4"), "{}", "", codeName},
		{signed("POST", prefix+"price/invocations", "Qualifier=%"), "{}", "", codeName},
		{signed("POST", prefix+"a%2Fb/invocations", ""), "{}", "", codeName},
		{signed("POST", prefix+"/invocations", ""), "{}", "", codeName},
		{signed("POST", prefix+"%zz/invocations", ""), "{}", "", codeName},
		{signed("POST", prefix+"price/invocations", "", "x-amz-invocation-type", "Later"), "{}", "", codeName},
		{signed("POST", prefix+"price/invocations", ""), "{", "", codeBody},
		{signed("POST", prefix+"price/invocations", "", "x-amz-client-context", "%"), "{}", "", codeBody},
		{signed("POST", prefix+"price/invocations", "", "x-amz-client-context", base64.StdEncoding.EncodeToString([]byte("{"))), "{}", "", codeBody},
		{signed("POST", prefix+"price/invocations", "", "x-amz-client-context", strings.Repeat("A", maxContext+1)), "{}", "", codeBody},
		{signed("GET", prefix+"price/invocations", ""), "", "", ""},
		{signed("POST", prefix+"price/invocations/", ""), "", "", ""},
		{signed("POST", prefix+"price", ""), "", "", ""},
		{signed("POST", "/2014-11-13/functions/price/invoke-async/", ""), "{}", "", ""},
		{signed("POST", "/2021-11-15/functions/price/response-streaming-invocations", ""), "{}", "", ""},
	} {
		e, err := Event(casemate.DefaultPlace, c.s, []byte(c.body))
		switch {
		case c.code != "":
			if err == nil || casemate.AsError(err).AWS != c.code || casemate.CodeOf(err) != casemate.Invalid {
				t.Errorf("%s?%s: %v, want %s", c.s.Path, c.s.Query, err, c.code)
			}
		case err != nil || (e == nil) != (c.want == "") || e != nil && e.Target.Function != c.want:
			t.Errorf("%s?%s: %+v, %v; want %q", c.s.Path, c.s.Query, e, err, c.want)
		case e != nil && (e.Action != "lambda:InvokeFunction" || !strings.HasPrefix(e.Resource, arn) || e.Async || e.DryRun):
			t.Errorf("%s: %+v", c.s.Path, e)
		}
	}
	e, err := Event(casemate.DefaultPlace, signed("POST", prefix+"price/invocations", "", "x-amz-client-context", context, "x-amz-tenant-id", "t1", "x-amz-invocation-type", "Event"), nil)
	if err != nil || !e.Async || string(e.Payload) != "{}" || e.ClientContext != `{"custom":{"a":"b"}}` || e.Tenant != "t1" {
		t.Errorf("%+v, %v", e, err)
	}
	if e, err = Event(casemate.DefaultPlace, signed("POST", prefix+"price/invocations", "", "x-amz-invocation-type", "DryRun"), nil); err != nil || !e.DryRun {
		t.Errorf("%+v, %v", e, err)
	}
	big := []byte(`"` + strings.Repeat("x", maxAsync) + `"`)
	if _, err := Event(casemate.DefaultPlace, signed("POST", prefix+"price/invocations", "", "x-amz-invocation-type", "Event"), big); casemate.CodeOf(err) != casemate.TooLarge {
		t.Errorf("a large event is queued: %v", err)
	}
}

func TestAnswer(t *testing.T) {
	for _, c := range []struct {
		s      *casemate.Signed
		res    casemate.Result
		status int
		body   string
		head   map[string]string
	}{
		{signed("POST", "", ""), casemate.Result{Payload: []byte("1"), Executed: "3", Tail: []byte("log")}, 200, "1", map[string]string{"X-Amz-Executed-Version": "3", "X-Amz-Function-Error": "", "X-Amz-Log-Result": ""}},
		{signed("POST", "", "", "x-amz-log-type", "Tail"), casemate.Result{Tail: []byte("log")}, 200, "null", map[string]string{"X-Amz-Log-Result": "bG9n"}},
		{signed("POST", "", ""), casemate.Result{Failure: casemate.FailureTimeout, Payload: []byte("{}")}, 200, "{}", map[string]string{"X-Amz-Function-Error": "Unhandled"}},
		{signed("POST", "", "", "x-amz-invocation-type", "Event"), casemate.Result{Accepted: true}, 202, "", nil},
		{signed("POST", "", "", "x-amz-invocation-type", "DryRun"), casemate.Result{}, 204, "", nil},
	} {
		status, head, body := Answer(c.s, &c.res)
		if status != c.status || string(body) != c.body {
			t.Errorf("%v: %d %q", c.s.Header, status, body)
		}
		for k, v := range c.head {
			if head[k] != v {
				t.Errorf("%v: %s is %q, want %q", c.s.Header, k, head[k], v)
			}
		}
	}
}

func FuzzEvent(f *testing.F) {
	f.Add(prefix+"price/invocations", "Qualifier=3", "e30=", "Event", []byte("{}"))
	f.Add(prefix+strings.ReplaceAll(arn, ":", "%3a")+"/invocations", "", "", "", []byte(""))
	f.Fuzz(func(t *testing.T, path, query, context, kind string, body []byte) {
		e, err := Event(casemate.DefaultPlace, signed("POST", path, query, "x-amz-client-context", context, "x-amz-invocation-type", kind), body)
		if e != nil && err == nil && (e.Target.Function == "" || e.Target.Builtin != "" || e.Target.Path != "" || len(e.Payload) == 0 || e.Action != action) {
			t.Fatalf("%q: %+v", path, e)
		}
	})
}
