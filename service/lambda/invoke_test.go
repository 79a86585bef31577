package lambda

import (
	"encoding/base64"
	"encoding/json"
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

const invoke = prefix + "price/invocations"

const arn = "arn:aws:lambda:us-east-1:000000000000:function:price"

// heard makes the event and asks its Check, as the corridor does for who may call the function.
func heard(s *casemate.Signed, body string) (*casemate.Event, error) {
	e, err := Event(casemate.DefaultPlace, s, []byte(body))
	if e == nil || err != nil {
		return e, err
	}
	return e, e.Check()
}

// Lambda checklist: 31, 36
func TestEvent(t *testing.T) {
	const notName = "1 validation error detected: Value '"
	escaped := strings.ReplaceAll(arn, ":", "%3A")
	for _, c := range []struct {
		s                   *casemate.Signed
		body                string
		target, code, words string // target, or the error's code and some of its words; all empty: no such operation
	}{
		{signed("POST", prefix+"price/invocations", ""), "{}", "price", "", ""},
		{signed("POST", prefix+"price:3/invocations", ""), "{}", "price:3", "", ""},
		{signed("POST", prefix+"price:prod/invocations", ""), "{}", "price:prod", "", ""},
		{signed("POST", prefix+"price/invocations", "Qualifier=3"), "{}", "price:3", "", ""},
		{signed("POST", prefix+"price:3/invocations", "Qualifier=3"), "{}", "price:3", "", ""},
		{signed("POST", prefix+escaped+"/invocations", "Qualifier=%24LATEST"), "{}", "price:$LATEST", "", ""},
		{signed("POST", prefix+escaped+"%3Aprod/invocations", ""), "{}", "price:prod", "", ""},
		{signed("POST", prefix+arn+":3/invocations", "Qualifier=3"), "{}", "price:3", "", ""},
		{signed("POST", prefix+"000000000000:function:price/invocations", ""), "{}", "price", "", ""},
		{signed("POST", prefix+"us-east-1:000000000000:function:price:3/invocations", ""), "{}", "price:3", "", ""},
		{signed("POST", prefix+"000000000000:price/invocations", ""), "{}", "price", "", ""},
		{signed("POST", prefix+"function:price/invocations", ""), "{}", "price", "", ""},
		{signed("POST", prefix+"price:3/invocations", "Qualifier=4"), "{}", "price:3", codeName, "The derived qualifier from the function name does not match the specified qualifier."},
		{signed("POST", prefix+escaped+"%3A3/invocations", "Qualifier=4"), "{}", "price:3", codeName, "does not match the specified"},
		{signed("POST", prefix+"price/invocations", "Qualifier=%"), "{}", "?", codeName, "query"},
		{signed("POST", prefix+"price/invocations", "Qualifier=a+b"), "{}", "?", codeModel, "Value 'a b' at 'qualifier' failed to satisfy constraint: Member must satisfy regular expression pattern: "},
		{signed("POST", prefix+"price/invocations", "Qualifier="+strings.Repeat("a", 129)), "{}", "?", codeModel, "Member must have length less than or equal to 128"},
		{signed("POST", prefix+"a%2Fb/invocations", ""), "{}", "?", codeModel, notName + "a/b' at 'functionName' failed to satisfy constraint: Member must satisfy regular expression pattern: (arn:"},
		{signed("POST", prefix+"%zz/invocations", ""), "{}", "?", codeModel, "at 'functionName'"},
		{signed("POST", prefix+"price:x:y/invocations", ""), "{}", "?", codeModel, "at 'functionName'"},
		{signed("POST", prefix+"arn:aws:s3:::bucket/invocations", ""), "{}", "?", codeModel, "at 'functionName'"},
		{signed("POST", prefix+strings.Repeat("a", 257)+"/invocations", ""), "{}", "?", codeModel, "length less than or equal to 256"},
		{signed("POST", prefix+"arn:aws:lambda:eu-west-1:000000000000:function:price/invocations", ""), "{}", "arn:aws:lambda:eu-west-1:000000000000:function:price", codeMissing, "Functions from 'eu-west-1' are not reachable from this region ('us-east-1')"},
		{signed("POST", prefix+"111111111111:function:price/invocations", ""), "{}", "arn:aws:lambda:us-east-1:111111111111:function:price", codeMissing, "Function not found: arn:aws:lambda:us-east-1:111111111111:function:price:$LATEST"},
		{signed("POST", prefix+"price/invocations", "", "x-amz-invocation-type", "Later"), "{}", "price", codeModel, notName + "Later' at 'invocationType' failed to satisfy constraint: Member must satisfy enum value set: [Event, RequestResponse, DryRun]"},
		{signed("POST", prefix+"price/invocations", "", "x-amz-log-type", "All", "x-amz-tenant-id", "a;b"), "{}", "price", codeModel, "2 validation errors detected: Value 'All' at 'logType'"},
		{signed("POST", prefix+"price/invocations", "", "x-amz-durable-execution-name", "d"), "{}", "price", codeName, "Durable"},
		{signed("POST", prefix+"price/invocations", ""), "{", "price", codeBody, "Could not parse request body into json: Could not parse payload into json: Unexpected end-of-input at line: 1, column: 1"},
		{signed("POST", prefix+"price/invocations", ""), "{\n  'a': 1}", "price", codeBody, "Unexpected character at line: 2, column: 3"},
		{signed("POST", prefix+"price/invocations", ""), "{} {}", "price", codeBody, "Could not parse request body into json"},
		{signed("POST", prefix+"price/invocations", "", "x-amz-client-context", "%"), "{}", "price", codeBody, "Client context must be a valid Base64-encoded JSON object."},
		{signed("POST", prefix+"price/invocations", "", "x-amz-client-context", base64.StdEncoding.EncodeToString([]byte("{"))), "{}", "price", codeBody, "Client context"},
		{signed("POST", prefix+"price/invocations", "", "x-amz-client-context", strings.Repeat("A", maxContext+1)), "{}", "price", codeBody, "3583"},
		{signed("GET", prefix+"price/invocations", ""), "", "", "", ""},
		{signed("POST", prefix+"/invocations", ""), "{}", "", "", ""},
		{signed("POST", prefix+"price/invocations/", ""), "", "", "", ""},
		{signed("POST", prefix+"price", ""), "", "", "", ""},
		{signed("POST", legacyPrefix+"price/invoke-async/", ""), "{}", "price", "", ""},
		{signed("POST", legacyPrefix+"price/invoke-async", ""), "{", "price", codeBody, "Could not"},
		{signed("POST", streamPrefix+"price"+streamSuffix, ""), "{}", "price", "", ""},
		{signed("POST", streamPrefix+escaped+"%3A3"+streamSuffix, ""), "{}", "price:3", "", ""},
		{signed("POST", streamPrefix+"price"+streamSuffix, "", "x-amz-invocation-type", "Event"), "{}", "price", codeModel, "Member must satisfy enum value set: [RequestResponse, DryRun]"},
		{signed("POST", streamPrefix+"price"+suffix, ""), "{}", "", "", ""},
	} {
		e, err := heard(c.s, c.body)
		if (e == nil) != (c.target == "") || e != nil && (e.Target.Function != c.target || e.Action != action || e.DryRun) {
			t.Errorf("%s?%s: %+v, want %q", c.s.Path, c.s.Query, e, c.target)
		}
		if e != nil && c.code == "" && !strings.HasPrefix(e.Resource, arn) {
			t.Errorf("%s?%s is about %s", c.s.Path, c.s.Query, e.Resource)
		}
		switch coded := casemate.AsError(err); {
		case c.code == "" && err != nil, c.code != "" && (err == nil || coded.AWS != c.code || !strings.Contains(coded.Message, c.words)):
			t.Errorf("%s?%s: %v (%+v), want %s %s", c.s.Path, c.s.Query, err, coded, c.code, c.words)
		}
	}
	context := base64.StdEncoding.EncodeToString([]byte(`{"custom":{"a":"b"}}`))
	e, err := heard(signed("POST", prefix+"price/invocations", "", "x-amz-client-context", context, "x-amz-tenant-id", "t1", "x-amz-invocation-type", "Event"), "")
	if err != nil || !e.Async || string(e.Payload) != "{}" || e.ClientContext != `{"custom":{"a":"b"}}` || e.Tenant != "t1" {
		t.Errorf("%+v, %v", e, err)
	}
	if e, err = heard(signed("POST", prefix+"price/invocations", "", "x-amz-invocation-type", "DryRun"), ""); err != nil || !e.DryRun {
		t.Errorf("%+v, %v", e, err)
	}
}

// TestPayloadLimits: to the byte, each way of invoking its own.
//
// Lambda checklist: 37
func TestPayloadLimits(t *testing.T) {
	for _, c := range []struct {
		path, kind string
		limit      int
		words      string
	}{
		{prefix + "price/invocations", "", 6_291_456, "6291457 byte payload is too large for the RequestResponse invocation type (limit 6291456 bytes)"},
		{prefix + "price/invocations", "DryRun", 6_291_456, "6291457 byte payload is too large for the RequestResponse invocation type (limit 6291456 bytes)"},
		{prefix + "price/invocations", "Event", 1_048_576, "1048577 byte payload is too large for the Event invocation type (limit 1048576 bytes)"},
		{legacyPrefix + "price/invoke-async/", "", 262_144, "262145 byte payload is too large for the Event invocation type (limit 262144 bytes)"},
	} {
		fits := `"` + strings.Repeat("x", c.limit-2) + `"`
		s := signed("POST", c.path, "", "x-amz-invocation-type", c.kind)
		if _, err := heard(s, fits); err != nil {
			t.Errorf("%s %s: %d bytes: %v", c.path, c.kind, len(fits), err)
		}
		_, err := heard(s, fits+" ")
		if e := casemate.AsError(err); err == nil || e.Code != casemate.TooLarge || e.AWS != codeLarge || e.Message != c.words {
			t.Errorf("%s %s: one byte more: %v", c.path, c.kind, err)
		}
	}
}

// Lambda checklist: 32, 33, 34
func TestAnswer(t *testing.T) {
	for _, c := range []struct {
		s      *casemate.Signed
		res    casemate.Result
		status int
		body   string
		head   map[string]string
	}{
		{signed("POST", invoke, ""), casemate.Result{Payload: []byte("1"), Executed: "3", Tail: []byte("log")}, 200, "1", map[string]string{"X-Amz-Executed-Version": "$LATEST", "X-Amz-Function-Error": "", "X-Amz-Log-Result": ""}},
		{signed("POST", invoke, "Qualifier=prod"), casemate.Result{Executed: "3"}, 200, "null", map[string]string{"X-Amz-Executed-Version": "3"}},
		{signed("POST", prefix+arn+":prod/invocations", ""), casemate.Result{Executed: "3"}, 200, "null", map[string]string{"X-Amz-Executed-Version": "3"}},
		{signed("POST", invoke, "Qualifier=%24LATEST"), casemate.Result{Executed: "3"}, 200, "null", map[string]string{"X-Amz-Executed-Version": "$LATEST"}},
		{signed("POST", invoke, "", "x-amz-log-type", "Tail"), casemate.Result{Tail: []byte(strings.Repeat("a", 10) + strings.Repeat("b", maxTail))}, 200, "null",
			map[string]string{"X-Amz-Log-Result": base64.StdEncoding.EncodeToString([]byte(strings.Repeat("b", 4096)))}},
		{signed("POST", legacyPrefix+"price/invoke-async/", ""), casemate.Result{Accepted: true}, 202, "", nil},
		{signed("POST", invoke, "", "x-amz-log-type", "Tail"), casemate.Result{Tail: []byte("log")}, 200, "null", map[string]string{"X-Amz-Log-Result": "bG9n"}},
		{signed("POST", invoke, ""), casemate.Result{Failure: casemate.FailureTimeout, Payload: []byte("{}")}, 200, "{}", map[string]string{"X-Amz-Function-Error": "Unhandled"}},
		{signed("POST", invoke, "", "x-amz-invocation-type", "Event"), casemate.Result{Accepted: true}, 202, "", nil},
		{signed("POST", invoke, "", "x-amz-invocation-type", "DryRun"), casemate.Result{}, 204, "", nil},
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
	f.Add(prefix+"us-gov-west-1:000000000000:function:price:$LATEST/invocations", "", "", "", []byte("{"))
	f.Fuzz(func(t *testing.T, path, query, context, kind string, body []byte) {
		e, err := Event(casemate.DefaultPlace, signed("POST", path, query, "x-amz-client-context", context, "x-amz-invocation-type", kind), body)
		if e == nil || err != nil {
			return
		}
		if e.Target.Function == "" || e.Target.Builtin != "" || e.Target.Path != "" || len(e.Payload) == 0 || e.Action != action || !strings.HasPrefix(e.Resource, "arn:aws:lambda:") {
			t.Fatalf("%q: %+v", path, e)
		}
		if e.Check() == nil && (!json.Valid(e.Payload) || !strings.HasPrefix(e.Resource, casemate.DefaultPlace.FunctionARN(""))) {
			t.Fatalf("%q: %+v is taken", path, e)
		}
	})
}
