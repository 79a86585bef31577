package sigv4

import (
	"encoding/hex"
	"maps"
	"strings"
	"testing"

	"casemate"
)

// The key of AWS's published examples and test suite
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html).
const (
	exampleID     = "AKIDEXAMPLE"
	exampleSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

// TestPublishedVectors are cases of AWS's own test suite for Signature Version 4 with the signatures it gives.
func TestPublishedVectors(t *testing.T) {
	for _, c := range []struct {
		name, method, path, query, service string
		header                             map[string][]string
		names, want                        string
	}{
		{"get-vanilla", "GET", "/", "", "service", nil, "host;x-amz-date",
			"5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{"get-vanilla-query-order-key-case", "GET", "/", "Param2=value2&Param1=value1", "service", nil, "host;x-amz-date",
			"b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
		{"post-vanilla", "POST", "/", "", "service", nil, "host;x-amz-date",
			"5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
		{"post-header-key-case", "POST", "/", "", "service", nil, "host;x-amz-date",
			"5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
		{"get-header-value-trim", "GET", "/", "", "service", map[string][]string{"my-header1": {" value1"}, "my-header2": {` "a   b   c"`}},
			"host;my-header1;my-header2;x-amz-date", "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
		{"iam example", "GET", "/", "Action=ListUsers&Version=2010-05-08", "iam",
			map[string][]string{"host": {"iam.amazonaws.com"}, "content-type": {"application/x-www-form-urlencoded; charset=utf-8"}},
			"content-type;host;x-amz-date", "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"},
	} {
		s := &casemate.Signed{Method: c.method, Path: c.path, Query: c.query, Payload: Empty,
			Header: map[string][]string{"host": {"example.amazonaws.com"}, headerDate: {"20150830T123600Z"}}}
		maps.Copy(s.Header, c.header)
		s.Header["authorization"] = []string{"AWS4-HMAC-SHA256 Credential=" + exampleID + "/20150830/us-east-1/" + c.service +
			"/aws4_request, SignedHeaders=" + c.names + ", Signature=" + c.want}
		g, err := Read(s)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		got, err := g.Sum(s, Key(exampleSecret, g.Day, g.Region, g.Service), s.Payload)
		if err != nil || hex.EncodeToString(got) != c.want {
			t.Errorf("%s: %x, %v; want %s", c.name, got, err, c.want)
		}
	}
}

func FuzzReadSignature(f *testing.F) {
	good := "AWS4-HMAC-SHA256 Credential=AKID/20150830/us-east-1/iam/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + strings.Repeat("0a", 32)
	f.Add(good, "20150830T123600Z", "/", "a=b&c", "x-amz-target", "v")
	f.Add("AWS4-ECDSA-P256-SHA256 Credential=a", "", "//", "%zz", "Host", "")
	f.Add(strings.ReplaceAll(good, ", ", ","), "20150830T123600Z", "/a%2fb/./", "b&a=+", "host", "v")
	f.Fuzz(func(t *testing.T, authorization, date, path, query, name, value string) {
		s := &casemate.Signed{Method: "GET", Path: path, Query: query, Payload: Empty,
			Header: map[string][]string{"authorization": {authorization}, headerDate: {date}, "host": {"h"}, name: {value}}}
		g, err := Read(s)
		if err != nil {
			return
		}
		text, err := g.canonical(s, Empty)
		if err != nil {
			return
		}
		lines := strings.Split(text, "\n")
		if lines[0] != "GET" || lines[len(lines)-1] != Empty || !strings.HasPrefix(lines[1], "/") || strings.ContainsAny(lines[2], " +\x00") {
			t.Fatalf("canonical request %q", text)
		}
	})
}

// TestPublishedQuery is the example of AWS's documentation for a signature in the query
// (https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html).
func TestPublishedQuery(t *testing.T) {
	s := &casemate.Signed{Method: "GET", Path: "/test.txt", Header: map[string][]string{"host": {"examplebucket.s3.amazonaws.com"}},
		Query: "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z" +
			"&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"}
	g, err := Read(s)
	if err != nil || !g.Presigned || g.Expires.Hours() != 24 {
		t.Fatalf("%+v, %v", g, err)
	}
	key := Key("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", g.Day, g.Region, g.Service)
	if err := g.Verify(s, key, Unsigned); err != nil {
		t.Error(err)
	}
	if err := g.Verify(s, key, Empty); err == nil {
		t.Error("another payload holds")
	}
}

// TestPathsOfServices: all but S3 sign the path encoded once more; what two readers take apart in two ways is refused.
func TestPathsOfServices(t *testing.T) {
	for _, c := range []struct{ path, service, want string }{
		{"/a%20b", "execute-api", "/a%2520b"}, {"/a%20b", "s3", "/a%20b"}, {"/a%2Fb", "lambda", "/a%252Fb"}, {"/a//b", "s3", "/a//b"}, {"/a/../b", "s3", "/a/../b"},
		{"/a//b", "lambda", ""}, {"/a/../b", "lambda", ""}, {"/a/.", "lambda", ""}, {"a", "lambda", ""}, {"", "s3", ""}, {"/a%2", "s3", ""}, {"/a%zz", "s3", ""},
		{"/a:b/c*d", "lambda", "/a%3Ab/c%2Ad"}, {"/ü", "lambda", "/%C3%BC"},
	} {
		if got, err := canonicalPath(c.path, c.service); got != c.want && err == nil || (err != nil) != (c.want == "") {
			t.Errorf("%s for %s: %q, %v", c.path, c.service, got, err)
		}
	}
}

// TestReadRefuses what an honest client never sends, before any key is asked.
func TestReadRefuses(t *testing.T) {
	const good = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=" +
		"aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
	request := func(query string, header ...string) *casemate.Signed {
		s := &casemate.Signed{Method: "GET", Path: "/", Query: query, Header: map[string][]string{"host": {"h"}}}
		for i := 0; i+1 < len(header); i += 2 {
			s.Header[header[i]] = append(s.Header[header[i]], header[i+1])
		}
		return s
	}
	targeted := strings.Replace(good, "SignedHeaders=host", "SignedHeaders=host%3Bx-amz-target", 1)
	for name, s := range map[string]*casemate.Signed{
		"a link": request(good), "a form": request(good, "content-type", casemate.FormType),
		"JSON with a target": request(targeted, "x-amz-target", "a.B", "content-type", "application/x-amz-json-1.0"),
		"a form with a target, signed": request(strings.Replace(targeted, "SignedHeaders=", "SignedHeaders=content-type%3B", 1),
			"x-amz-target", "a.B", "content-type", casemate.FormType),
	} {
		if _, err := Read(s); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	for name, s := range map[string]*casemate.Signed{
		"a signature in both places": request(good, "authorization", "AWS4-HMAC-SHA256 Credential=AKIA/20130524/us-east-1/s3/aws4_request, SignedHeaders=host, Signature="+strings.Repeat("0", 64)),
		"a life twice":               request(good + "&X-Amz-Expires=6000"), "a life in small": request(good + "&x-amz-expires=6000"), "an encoded name": request(good + "&X-Amz-%45xpires=6000"),
		"a signature twice": request(good + "&X-Amz-Signature=" + strings.Repeat("0", 64)), "a credential twice": request(good + "&X-Amz-Credential=x"),
		"a broken escape": request(good + "&%zz=a"), "a week and a second": request(strings.Replace(good, "Expires=60", "Expires=604801", 1)),
		"a sign": request(strings.Replace(good, "Expires=60", "Expires=%2B60", 1)), "zero": request(strings.Replace(good, "Expires=60", "Expires=0", 1)),
		"an unsigned header of AWS": request(good, "x-amz-acl", "public-read"), "two hosts": request(good, "host", "i"), "host unsigned": request(strings.Replace(good, "SignedHeaders=host", "SignedHeaders=range", 1)),
		"an unsigned form with a target": request(targeted, "x-amz-target", "a.B", "content-type", casemate.FormType+"; charset=utf-8"),
		"nothing":                        request(""), "a date elsewhere": request(good, "x-amz-date", "20130524T000000Z"),
	} {
		if g, err := Read(s); err == nil {
			t.Errorf("%s: %+v", name, g)
		}
	}
	for _, query := range []string{"a=1+2", "a+b=1", "a=%zz"} {
		if text, err := canonicalQuery(query, false); err == nil {
			t.Errorf("%s: %s", query, text)
		}
	}
}
