package lambda

import (
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"

	"casemate"
)

func restRequest() *HTTPRequest {
	r := routeRequest()
	r.Payload, r.Stage, r.Revision = PayloadREST, "Prod", "7"
	return r
}

func decoded(t *testing.T, event []byte) map[string]any {
	t.Helper()
	var x map[string]any
	if err := json.Unmarshal(event, &x); err != nil {
		t.Fatalf("%v in %s", err, event)
	}
	return x
}

// Lambda checklist: 45, 49
func TestEncodeRESTEqualsRecordedShape(t *testing.T) {
	golden, err := os.ReadFile("testdata/rest_route.json")
	if err != nil {
		t.Fatal(err)
	}
	body := []byte("{\r\n\t\"a\": \"é\"\r\n}")
	if got := decoded(t, EncodeREST(restRequest(), body)); !reflect.DeepEqual(got, decoded(t, golden)) {
		t.Errorf("got\n%s", EncodeREST(restRequest(), body))
	}
	var typed events.APIGatewayProxyRequest
	if err := json.Unmarshal(EncodeREST(restRequest(), body), &typed); err != nil || typed.RequestContext.Identity.SourceIP != "1.2.3.4" {
		t.Errorf("%v, %+v", err, typed)
	}
	// A path that names its stage is called with it, and the function sees it in the context alone.
	r := restRequest()
	r.RouteKey, r.RawPath = "POST /Prod/my/{proxy+}", "/Prod/my/hello%2Fworld"
	if got := decoded(t, EncodeREST(r, body)); !reflect.DeepEqual(got, decoded(t, golden)) {
		t.Errorf("with its stage: got\n%s", EncodeREST(r, body))
	}
	// What is not there is null.
	bare := decoded(t, EncodeREST(&HTTPRequest{Payload: PayloadREST, Method: "GET", RawPath: "/", RouteKey: "GET /"}, nil))
	for _, name := range []string{"queryStringParameters", "multiValueQueryStringParameters", "pathParameters", "stageVariables", "body"} {
		if v, there := bare[name]; !there || v != nil {
			t.Errorf("%s is %v", name, v)
		}
	}
	context := bare["requestContext"].(map[string]any)
	if _, there := context["authorizer"]; there || context["stage"] != "prod" || context["path"] != "/prod/" {
		t.Errorf("%v", context)
	}
}

// Lambda checklist: 45
func TestEncodeRESTSaysWhoCalls(t *testing.T) {
	for _, c := range []struct {
		who      casemate.Principal
		identity map[string]any
		said     any
	}{
		{casemate.Principal{Kind: casemate.KindKey, ID: "key/ck_ab12", Account: "1"}, map[string]any{"apiKeyId": "key/ck_ab12", "apiKey": nil, "userArn": nil}, nil},
		{casemate.Principal{Kind: casemate.KindAuthorizer, ID: "authorizer/shop/warden|me|2", Context: map[string]string{"tier": "gold", "principalId": "somebody"}},
			map[string]any{"user": nil}, map[string]any{"tier": "gold", "principalId": "me|2"}},
		{casemate.Principal{Kind: casemate.KindAccess, ID: "user/ann", Account: "1", ARN: "arn:aws:iam::1:user/ann"}, map[string]any{"accessKey": "user/ann", "userArn": "arn:aws:iam::1:user/ann", "accountId": "1"}, nil},
	} {
		r := restRequest()
		r.Principal = &c.who
		context := decoded(t, EncodeREST(r, nil))["requestContext"].(map[string]any)
		for name, want := range c.identity {
			if got := context["identity"].(map[string]any)[name]; got != want {
				t.Errorf("%s: %s is %v", c.who.ID, name, got)
			}
		}
		if !reflect.DeepEqual(context["authorizer"], c.said) {
			t.Errorf("%s: the authorizer says %v", c.who.ID, context["authorizer"])
		}
	}
}

// Names are as they were sent, but for those of headers that the platform writes itself.
func TestEncodeRESTSpelling(t *testing.T) {
	r := restRequest()
	r.Header = map[string][]string{"X-A": {"1", "2"}, "Cookie": {"a=b"}, "X-Forwarded-For": {"6.6.6.6"}}
	r.Spelled = strings.ToUpper
	x := decoded(t, EncodeREST(r, []byte("body")))
	for _, list := range []string{"headers", "multiValueHeaders"} {
		got := x[list].(map[string]any)
		for _, name := range []string{"X-A", "COOKIE", "Host", "X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Proto", "Content-Length", "X-Amzn-Trace-Id"} {
			if got[name] == nil {
				t.Errorf("%s without %s: %v", list, name, got)
			}
		}
		if len(got) != 8 {
			t.Errorf("%s: %v", list, got)
		}
	}
}

func TestEncodeRESTHidesCredentials(t *testing.T) {
	for _, payload := range []string{PayloadREST, PayloadHTTP} {
		r := restRequest()
		r.Payload = payload
		if event := string(EncodeREST(r, nil)); strings.Contains(event, "canary") || strings.Contains(event, "6.6.6.6") {
			t.Errorf("%s: %s", payload, event)
		}
	}
}

// Payload format 1.0 is an HTTP API's: its version, its stage, bodies by content type, scopes beside the claims.
func TestEncodePayload1(t *testing.T) {
	r := restRequest()
	r.Payload, r.Stage = PayloadHTTP, ""
	r.Header["Content-Type"] = []string{"application/x-www-form-urlencoded"}
	x := decoded(t, EncodeREST(r, []byte("a=b")))
	context := x["requestContext"].(map[string]any)
	if x["version"] != "1.0" || x["isBase64Encoded"] != true || x["body"] != "YT1i" || context["stage"] != "$default" || context["path"] != r.RawPath {
		t.Errorf("%v", x)
	}
	if scopes := context["authorizer"].(map[string]any)["scopes"]; !reflect.DeepEqual(scopes, []any{"scope1", "scope2"}) {
		t.Errorf("scopes: %v", scopes)
	}
	r.Payload = PayloadREST // where a form is text
	if x := decoded(t, EncodeREST(r, []byte("a=b"))); x["body"] != "a=b" || x["isBase64Encoded"] != false {
		t.Errorf("%v", x)
	}
	if x := decoded(t, EncodeREST(r, []byte{0xff, 1})); x["body"] != "/wE=" || x["isBase64Encoded"] != true {
		t.Errorf("%v", x)
	}
}

// Lambda checklist: 46, 49
func TestDecodeREST(t *testing.T) {
	for payload, want := range map[string]casemate.Answer{
		`{"statusCode":201,"headers":{"a":"b"},"body":"hi"}`:                                        {Status: 201, Header: []casemate.HeaderLine{{Name: "a", Value: "b"}, {Name: "content-type", Value: "application/json"}}, Body: []byte("hi")},
		`{"statusCode":"204"}`:                                                                      {Status: 204, Header: []casemate.HeaderLine{{Name: "content-type", Value: "application/json"}}},
		`{"headers":{"content-type":"text/plain","n":1,"t":true}}`:                                  {Status: 200, Header: []casemate.HeaderLine{{Name: "content-type", Value: "text/plain"}, {Name: "n", Value: "1"}, {Name: "t", Value: "true"}}},
		`{"statusCode":200,"multiValueHeaders":{"k":["value-multi"]},"headers":{"k":"value-solo"}}`: {Status: 200, Header: []casemate.HeaderLine{{Name: "k", Value: "value-multi, value-solo"}, {Name: "content-type", Value: "application/json"}}},
		`{"statusCode":200,"multiValueHeaders":{"Set-Cookie":["a=1","b=2"]},"body":null}`:           {Status: 200, Cookies: []string{"a=1", "b=2"}, Header: []casemate.HeaderLine{{Name: "content-type", Value: "application/json"}}},
		`{"statusCode":200,"body":"/wE=","isBase64Encoded":true}`:                                   {Status: 200, Body: []byte{0xff, 1}, Header: []casemate.HeaderLine{{Name: "content-type", Value: "application/json"}}},
	} {
		got, err := DecodeREST(PayloadREST, "", []byte(payload))
		if err != nil || got.Status != want.Status || !slices.Equal(got.Header, want.Header) || !slices.Equal(got.Cookies, want.Cookies) || string(got.Body) != string(want.Body) {
			t.Errorf("%s: %+v, %v", payload, got, err)
		}
	}
	for _, payload := range []string{`"hello"`, `[1]`, `7`, `null`, ``, `{"statusCode":200,"message":"x"}`, `{"statusCode":200,"cookies":["a=1"]}`, `{"statusCode":"ok"}`,
		`{"statusCode":{}}`, `{"statusCode":200,"multiValueHeaders":{"k":"v"}}`, `{"statusCode":200,"headers":{"k":["v"]}}`, `{"statusCode":200,"body":{}}`,
		`{"statusCode":200,"isBase64Encoded":"yes"}`, `{"statusCode":200,"headers":{"a b":"v"}}`, `{"statusCode":200,"headers":{"a":"v\r\nx: y"}}`} {
		if got, err := DecodeREST(PayloadREST, "", []byte(payload)); err == nil {
			t.Errorf("%s was taken: %+v", payload, got)
		}
	}
	if a, err := DecodeREST(PayloadHTTP, "", []byte(`{"statusCode":200,"more":1,"cookies":["a=1"]}`)); err != nil || len(a.Cookies) != 0 {
		t.Errorf("format 1.0: %+v, %v", a, err)
	}
	if a, err := DecodeREST(PayloadHTTP, "", []byte(`{"hello":1}`)); err == nil {
		t.Errorf("format 1.0 infers nothing: %+v", a)
	}
}

func FuzzREST(f *testing.F) {
	f.Add("/a%2f", "a=1&a=2&b", "X-Some", "a\x00\"", "Prod", []byte(`{"statusCode":200}`))
	f.Add("/Prod/a", "%zz=%&&=", "Cookie", "a;b;;\xff", "Prod", []byte{0xff})
	f.Fuzz(func(t *testing.T, path, query, name, value, stage string, body []byte) {
		for _, payload := range []string{PayloadREST, PayloadHTTP} {
			event := EncodeREST(&HTTPRequest{Payload: payload, Stage: stage, RouteKey: "GET " + path, RawPath: path, RawQuery: query, Host: value, Domain: value,
				Header: map[string][]string{name: {value, value}}, Params: map[string]string{name: value}}, body)
			var got events.APIGatewayProxyRequest
			if err := json.Unmarshal(event, &got); err != nil {
				t.Fatalf("%v: %q", err, event)
			}
			if utf8.Valid(body) && !got.IsBase64Encoded && got.Body != string(body) {
				t.Fatalf("body %q became %q", body, got.Body)
			}
			if a, err := DecodeREST(payload, "", body); err == nil && (a.Status < 200 || a.Status > 599) {
				t.Fatalf("%q: %+v", body, a)
			}
		}
	})
}
