package lambda

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"casemate"
)

// show writes a response on one line, so that a table can name it.
func show(r *casemate.Answer) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d", r.Status)
	for _, h := range r.Header {
		fmt.Fprintf(&b, " %s=%s", h.Name, h.Value)
	}
	for _, c := range r.Cookies {
		fmt.Fprintf(&b, " cookie:%s", c)
	}
	return b.String() + " | " + string(r.Body)
}

// Lambda checklist: 48, 49
func TestDecodeHTTP(t *testing.T) {
	const plain = "200 content-type=application/json | "
	cases := []struct{ in, want string }{
		{`{"hello":"world"}`, plain + `{"hello":"world"}`},
		{`"hello"`, plain + "hello"},
		{`"a\nb\u00e9"`, plain + "a\nbé"},
		{`[1,2]`, plain + `[1,2]`}, {`12.5`, plain + `12.5`}, {`true`, plain + `true`}, {` null `, plain + `null`},
		{`{"StatusCode":201}`, plain + `{"StatusCode":201}`},
		{`{"statusCode":201}`, "201 | "},
		{`{"statusCode":"404","body":"no"}`, "404 | no"},
		{`{"statusCode":200,"body":null,"headers":null,"cookies":null,"isBase64Encoded":null}`, "200 | "},
		{`{"statusCode":200,"unknown":{"a":1},"body":"x"}`, "200 | x"},
		{`{"statusCode":200,"isBase64Encoded":true,"body":"/wA="}`, "200 | \xff\x00"},
		{`{"statusCode":200,"headers":{"X-A":"1","x-b":2,"x-c":true,"x-d":null}}`, "200 x-a=1 x-b=2 x-c=true | "},
		{`{"statusCode":200,"headers":{"x-a":"solo"},"multiValueHeaders":{"X-A":["m1","m2"]}}`, "200 x-a=m1, m2, solo | "},
		{`{"statusCode":200,"cookies":["a=1","b=2"],"headers":{"Set-Cookie":"c=3"}}`, "200 cookie:a=1 cookie:b=2 cookie:c=3 | "},
		{`{"statusCode":200,"headers":{"Content-Length":"9","Transfer-Encoding":"chunked","Connection":"close","Date":"x","Server":"x",` +
			`"X-Amzn-RequestId":"x","x-request-id":"x","Proxy-Authenticate":"x","Traceparent":"x","Upgrade":"x","x-kept":"y"}}`, "200 x-kept=y | "},
	}
	for _, c := range cases {
		r, err := DecodeHTTP("application/json", []byte(c.in))
		if err != nil {
			t.Errorf("%s: %v", c.in, err)
		} else if got := show(r); got != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.in, got, c.want)
		}
	}
}

func TestDecodeHTTPRefuses(t *testing.T) {
	long := strings.Repeat("x", maxResponseHeader)
	for _, in := range []string{
		``, ` `, `hello`, `{`, `{"a":1}{"b":2}`, `"open`, "\x00", `[1`, `{"statusCode":null}`, `{"statusCode":{}}`, `{"statusCode":"ok"}`,
		`{"statusCode":100}`, `{"statusCode":101}`, `{"statusCode":600}`, `{"statusCode":-200}`, `{"statusCode":200.5}`, `{"statusCode":1e300}`,
		`{"statusCode":200,"body":{"a":1}}`, `{"statusCode":200,"body":1}`, `{"statusCode":200,"isBase64Encoded":"true"}`,
		`{"statusCode":200,"isBase64Encoded":true,"body":"%%"}`, `{"statusCode":200,"headers":[]}`, `{"statusCode":200,"headers":{"a":{}}}`,
		`{"statusCode":200,"headers":{"a":["b"]}}`, `{"statusCode":200,"headers":{"a b":"c"}}`, `{"statusCode":200,"headers":{"":"c"}}`,
		`{"statusCode":200,"headers":{"a\r\nset-cookie":"c"}}`, `{"statusCode":200,"headers":{"a":"b\r\nSet-Cookie: c"}}`,
		`{"statusCode":200,"headers":{"a":"b\u0000"}}`, `{"statusCode":200,"cookies":["a=1\r\nx: y"]}`, `{"statusCode":200,"cookies":"a=1"}`,
		`{"statusCode":200,"cookies":[1]}`, `{"statusCode":200,"multiValueHeaders":{"a":"b"}}`, `{"statusCode":200,"headers":{"a":"` + long + `"}}`,
	} {
		r, err := DecodeHTTP("", []byte(in))
		if err == nil {
			t.Errorf("%.80q passed as %s", in, show(r))
		}
	}
}

func TestDecodeHTTPStreamed(t *testing.T) {
	end := strings.Repeat("\x00", 8)
	good := `{"statusCode":418,"headers":{"X-A":"b"},"cookies":["c=d"]}` + end + "the \x00 rest"
	r, err := DecodeHTTP(TypeStreamed, []byte(good))
	if err != nil || show(r) != "418 x-a=b cookie:c=d | the \x00 rest" {
		t.Fatalf("%v, %v", r, err)
	}
	if r, err = DecodeHTTP(TypeStreamed, []byte("{}"+end)); err != nil || show(r) != "200 | " {
		t.Fatalf("%v, %v", r, err)
	}
	for _, bad := range []string{"{}", "[]" + end, end, `{"statusCode":1}` + end, `{"headers":{"a":"\n"}}` + end} {
		if r, err := DecodeHTTP(TypeStreamed, []byte(bad)); err == nil {
			t.Errorf("%q passed as %s", bad, show(r))
		}
	}
}

// Walking an object finds what decoding it into a map finds.
func FuzzMembers(f *testing.F) {
	f.Add([]byte(`{"a":1,"b":"c\\\"}","d":{"e":[1,{"f":"]"}]},"g" : null , "h":[] }`))
	f.Add([]byte(` {"a":{},"a":-1.5e3,"\u0062":true}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		var want map[string]json.RawMessage
		if json.Unmarshal(in, &want) != nil || want == nil {
			return
		}
		got := map[string]json.RawMessage{}
		if err := members(in, func(name string, raw []byte) error { got[name] = raw; return nil }); err != nil {
			t.Fatal(err)
		}
		if len(got) != len(want) {
			t.Fatalf("%q: got %q, want %q", in, got, want)
		}
		for k, v := range want {
			if !bytes.Equal(got[k], v) {
				t.Fatalf("%q: member %q is %q, want %q", in, k, got[k], v)
			}
			var list []json.RawMessage
			if json.Unmarshal(v, &list) != nil || list == nil {
				continue
			}
			i := 0
			err := elements(v, func(raw []byte) error {
				if i >= len(list) || !bytes.Equal(raw, list[i]) {
					t.Fatalf("%q: element %d is %q", v, i, raw)
				}
				i++
				return nil
			})
			if err != nil || i != len(list) {
				t.Fatalf("%q: %d elements, %v", v, i, err)
			}
		}
	})
}

func BenchmarkDecodeHTTP(b *testing.B) {
	in := []byte(`{"statusCode":200,"headers":{"content-type":"application/json"},"body":"{\"price\":12}"}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeHTTP("", in); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzDecodeHTTP(f *testing.F) {
	f.Add("", []byte(`{"statusCode":200,"headers":{"a":"b","A":"c"},"multiValueHeaders":{"a":["d"]},"cookies":["e"],"body":"f"}`))
	f.Add(TypeStreamed, []byte("{\"statusCode\":200}\x00\x00\x00\x00\x00\x00\x00\x00body"))
	f.Add("", []byte(`"x"`))
	f.Fuzz(func(t *testing.T, contentType string, payload []byte) {
		r, err := DecodeHTTP(contentType, payload)
		if err != nil {
			return
		}
		if r.Status < 200 || r.Status > 599 {
			t.Fatalf("status %d", r.Status)
		}
		for i, h := range r.Header {
			if !headerName(h.Name) || !headerValue(h.Value) || dropResponse(h.Name) || h.Name != strings.ToLower(h.Name) ||
				i > 0 && r.Header[i-1].Name >= h.Name {
				t.Fatalf("header %q", h)
			}
		}
		for _, c := range r.Cookies {
			if !headerValue(c) {
				t.Fatalf("cookie %q", c)
			}
		}
	})
}
