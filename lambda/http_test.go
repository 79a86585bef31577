package lambda

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"
	"pgregory.net/rapid"

	"casemate"
)

func routeRequest() *HTTPRequest {
	trace, _ := casemate.ParseTraceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	return &HTTPRequest{
		ID: "id", Method: "POST", Protocol: "HTTP/1.1", RawPath: "/my/hello%2Fworld",
		RawQuery: "parameter1=value1&parameter1=value2&parameter2=a%20b",
		Host:     "orders.example.com:8443", Domain: "orders.example.com", Port: "8443", Secure: true,
		Header: map[string][]string{
			"Accept": {"text/html", "application/json"}, "Header2": {"value1", "value2"}, "Cookie": {"cookie1=a; cookie2=b"},
			"Content-Type": {"application/json"}, "Content-Length": {"999"}, "Content-Encoding": {"gzip"},
			"Authorization": {"Bearer canary-token"}, "X-Api-Key": {"ck_canary"}, "X-Amz-Security-Token": {"canary"},
			"X-Forwarded-For": {"6.6.6.6"}, "X_forwarded_for": {"6.6.6.6"}, "Forwarded": {"for=6.6.6.6"}, "Proxy": {"http://6.6.6.6"},
			"X-Real-Ip": {"6.6.6.6"}, "X-Amzn-Oidc-Data": {"6.6.6.6"}, "Connection": {"Header2"}, "Te": {"trailers"},
			"Transfer-Encoding": {"chunked"}, "Upgrade": {"h2c"}, "Proxy-Authorization": {"canary"},
		},
		SourceIP: "1.2.3.4", UserAgent: "agent", Received: time.UnixMilli(1584039838390), Trace: trace,
		Account: "123456789012", API: "orders", RouteKey: "POST /my/{proxy+}", Params: map[string]string{"proxy": "hello/world"},
		Principal: &casemate.Principal{Kind: casemate.KindToken, ID: "jwt/i|s", Claims: map[string]string{"claim1": "value1", "sub": `a"b`},
			Scopes: []string{"scope1", "scope2"}},
	}
}

func urlRequest() *HTTPRequest {
	return &HTTPRequest{
		ID: "id", Method: "PUT", Protocol: "HTTP/2.0", RawPath: "/pa2%2Fth/1", Host: "abc.lambda-url.localhost",
		Domain: "abc.lambda-url.localhost", Port: "80", Header: map[string][]string{"Content-Type": {"application/x-www-form-urlencoded"}},
		SourceIP: "127.0.0.1", Received: time.UnixMilli(1000), Account: "000000000000", API: "abc",
		Principal: &casemate.Principal{Kind: casemate.KindKey, ID: "key/ck_ab12", Account: "000000000000", ARN: "arn:aws:iam::000000000000:key/ck_ab12"},
	}
}

// Lambda checklist: 50, 55
func TestEncodeHTTPEqualsRecordedShape(t *testing.T) {
	cases := []struct {
		golden string
		event  []byte
		into   func() any
	}{
		{"testdata/http_route.json", EncodeHTTP(routeRequest(), []byte("{\r\n\t\"a\": \"é\"\r\n}")),
			func() any { return new(events.APIGatewayV2HTTPRequest) }},
		{"testdata/http_url.json", EncodeHTTP(urlRequest(), []byte("a=b")),
			func() any { return new(events.LambdaFunctionURLRequest) }},
	}
	for _, c := range cases {
		golden, err := os.ReadFile(c.golden)
		if err != nil {
			t.Fatal(err)
		}
		for _, into := range []func() any{c.into, func() any { return new(any) }} {
			want, got := into(), into()
			if err := json.Unmarshal(golden, want); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(c.event, got); err != nil {
				t.Fatalf("%s: %v in %s", c.golden, err, c.event)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s: got\n%s\nwant\n%s", c.golden, c.event, golden)
			}
		}
	}
}

// A function never sees what proved its caller, nor a caller's claim about where it comes from.
func TestEncodeHTTPHidesCredentials(t *testing.T) {
	event := string(EncodeHTTP(routeRequest(), nil))
	for _, word := range []string{"canary", "6.6.6.6", "gzip", "chunked", "999"} {
		if strings.Contains(event, word) {
			t.Errorf("the event holds %q: %s", word, event)
		}
	}
	if strings.Contains(event, `"body"`) {
		t.Error("an empty body is in the event")
	}
}

// What means nothing to the platform is the function's: Express, Fastify and their like look at Authorization themselves.
func TestCredentialsOfTheFunctionsOwn(t *testing.T) {
	for name, encode := range map[string]func(*HTTPRequest, []byte) []byte{"2.0": EncodeHTTP, "rest": EncodeREST} {
		r := routeRequest()
		r.Own, r.Spelled = []string{"authorization", "x-api-key"}, strings.ToUpper
		event := string(encode(r, nil))
		for _, word := range []string{`"Bearer canary-token"`, `"ck_canary"`} {
			if !strings.Contains(event, word) {
				t.Errorf("%s: without %s: %s", name, word, event)
			}
		}
		if name == "rest" && !strings.Contains(event, `"AUTHORIZATION":"Bearer`) {
			t.Errorf("%s: not as it was spelled: %s", name, event)
		}
		if strings.Contains(event, `"canary"`) || strings.Contains(event, "6.6.6.6") {
			t.Errorf("%s: more than that: %s", name, event)
		}
		r.Own = []string{"authorization", "x-amz-security-token", "host"}
		if event = string(encode(r, nil)); !strings.Contains(event, `"Bearer canary-token"`) || strings.Contains(event, "ck_canary") || strings.Contains(event, `"canary"`) {
			t.Errorf("%s: not that one alone: %s", name, event)
		}
	}
}

func TestEncodeHTTPAnonymousHasNoAuthorizer(t *testing.T) {
	r := urlRequest()
	r.Principal = &casemate.Principal{}
	if event := string(EncodeHTTP(r, nil)); strings.Contains(event, "authorizer") {
		t.Errorf("anonymous caller has an authorizer: %s", event)
	}
}

func TestTextBody(t *testing.T) {
	cases := []struct {
		contentType, body string
		want              bool
	}{
		{"application/json", "{}", true}, {"Application/JSON; charset=utf-8", "{}", true}, {"text/csv", "a", true},
		{"application/vnd.api+json", "{}", true}, {"image/svg+xml", "<a/>", true}, {"application/javascript", "1", true},
		{"", "a", true}, {"", "\xff", false}, {"application/json", "\xff", false}, {"application/octet-stream", "a", false},
		{"multipart/form-data; boundary=x", "--x", false}, {"application/x-www-form-urlencoded", "a=b", false}, {"image/png", "a", false},
	}
	for _, c := range cases {
		if got := textBody(c.contentType, []byte(c.body)); got != c.want {
			t.Errorf("textBody(%q, %q) = %v", c.contentType, c.body, got)
		}
	}
}

// Whatever a request holds, the event is valid JSON and says the same as a plain reading of the request.
func TestEncodeHTTPRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &HTTPRequest{
			Method: rapid.String().Draw(t, "method"), RawPath: rapid.String().Draw(t, "path"),
			Header:   map[string][]string{"X-Any": rapid.SliceOfN(rapid.String(), 1, 3).Draw(t, "values")},
			Params:   rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "params"),
			Received: time.UnixMilli(rapid.Int64Range(0, 1<<41).Draw(t, "at")),
		}
		body := rapid.SliceOf(rapid.Byte()).Draw(t, "body")
		var got events.APIGatewayV2HTTPRequest
		if err := json.Unmarshal(EncodeHTTP(r, body), &got); err != nil {
			t.Fatal(err)
		}
		decoded := []byte(got.Body)
		if got.IsBase64Encoded {
			decoded, _ = base64.StdEncoding.DecodeString(got.Body)
		}
		if string(decoded) != string(body) || got.IsBase64Encoded && utf8.Valid(body) {
			t.Fatalf("body %q became %q", body, got.Body)
		}
		if got.RawPath != r.RawPath || got.RequestContext.HTTP.Method != r.Method || got.RequestContext.TimeEpoch != r.Received.UnixMilli() ||
			got.Headers["x-any"] != strings.Join(r.Header["X-Any"], ",") || len(got.PathParameters) != len(r.Params) {
			t.Fatalf("got %+v from %+v", got, r)
		}
		for k, v := range r.Params {
			if got.PathParameters[k] != v {
				t.Fatalf("parameter %q is %q, want %q", k, got.PathParameters[k], v)
			}
		}
	})
}

func FuzzEncodeHTTP(f *testing.F) {
	f.Add("/a%2f", "a=1&a=2&b", "X-Some", "a\x00\"", "application/json", []byte("{}"))
	f.Add("\xff", "%zz=%&&=", "Cookie", "a;b;;\xff", "", []byte{0xff})
	f.Fuzz(func(t *testing.T, path, query, name, value, contentType string, body []byte) {
		event := EncodeHTTP(&HTTPRequest{RawPath: path, RawQuery: query, Host: value, Domain: value,
			Header: map[string][]string{name: {value, value}, "Content-Type": {contentType}}, Params: map[string]string{name: value}}, body)
		var got events.APIGatewayV2HTTPRequest
		if err := json.Unmarshal(event, &got); err != nil {
			t.Fatalf("%v: %q", err, event)
		}
		if utf8.ValidString(path) && got.RawPath != path {
			t.Fatalf("path %q became %q", path, got.RawPath)
		}
	})
}

func BenchmarkEncodeHTTP(b *testing.B) {
	r, body := routeRequest(), []byte(`{"sku":"a-1","quantity":3}`)
	b.ReportAllocs()
	for b.Loop() {
		EncodeHTTP(r, body)
	}
}

// TestAppendString: what is read again is what encoding/json gives, and nothing but JSON is written.
func TestAppendString(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := string(rapid.SliceOf(rapid.OneOf(rapid.Byte(), rapid.SampledFrom([]byte("\"\\\n\r\t\x00\x1f\x7f<&é\xff")))).Draw(t, "s"))
		standard, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var got, want string
		if err := errors.Join(json.Unmarshal(standard, &want), json.Unmarshal(appendString(nil, s), &got)); err != nil || got != want {
			t.Fatalf("%q: %q is %q, want %q (%v)", s, appendString(nil, s), got, want, err)
		}
	})
}
