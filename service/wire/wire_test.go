package wire

import (
	"slices"
	"strings"
	"testing"

	"casemate"
)

// TestServicesAreWellFormed: the list is data, and read without complaint; a typing error would make a service generic.
func TestServicesAreWellFormed(t *testing.T) {
	protocols := []Protocol{json10, json11, jsonQuery, query, ec2, restJSON, restXML, s3}
	var names []string
	for line := range strings.Lines(services) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Fields(line)
		if len(f) != 3 || !slices.Contains(protocols, Protocol(f[1])) || !Word(f[0], 40) || !Word(f[2], 40) || slices.Contains(names, f[0]) {
			t.Errorf("line %q", line)
			continue
		}
		names = append(names, f[0])
	}
	if len(names) < 40 {
		t.Errorf("%d services", len(names))
	}
}

// TestScope: a signature says its service in a header or in a query, and nothing else is taken for a name.
func TestScope(t *testing.T) {
	for _, c := range []struct{ authorization, query, want string }{
		{"AWS4-HMAC-SHA256 Credential=A/20260101/r/kms/aws4_request, SignedHeaders=host", "", "kms"},
		{"", "a=b&X-Amz-Credential=A%2F20260101%2Fr%2Flambda%2Faws4_request&c=d", "lambda"},
		{"", "X-Amz-Credential=A/20260101/r/lambda/aws4_request", "lambda"}, {"", "", "unknown"}, {"Credential=A/B", "", "unknown"},
		{"Credential=A/B/C/../aws4_request", "", "unknown"}, {"", "X-Amz-Credential=%zz", "unknown"},
	} {
		if got := Scope(c.authorization, c.query); got != c.want {
			t.Errorf("%q %q: %q", c.authorization, c.query, got)
		}
	}
}

// TestQuestion: what steers a request is no member of its question, and nothing is taken twice.
func TestQuestion(t *testing.T) {
	for body, want := range map[string]string{
		"Action=AssumeRole&Version=2011-06-15&RoleArn=a%2Fb&Tags.member.1.Key=k": `{"RoleArn":"a/b","Tags.member.1.Key":"k"}`,
		"Action=A&a=1&a=2": "", "Action=A&%zz": "", "Action=A": "{}",
	} {
		c := Hear(&casemate.Signed{Method: "POST", Path: "/", Header: map[string][]string{}}, "sts")
		c.Body = []byte(body)
		got, err := c.Question()
		if string(got) != want || (err != nil) != (want == "") {
			t.Errorf("%s: %s, %v", body, got, err)
		}
	}
}
