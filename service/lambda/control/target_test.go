package control

import (
	"strings"
	"testing"

	"casemate"
)

// Lambda checklist: 31
// TestTargets: every way to name a function comes to the same one, and what is of another place is refused.
func TestTargets(t *testing.T) {
	const arn = "arn:aws:lambda:us-east-1:000000000000:function:f"
	for _, c := range []struct{ name, qualifier, want string }{
		{"f", "", "f "}, {"f:1", "", "f 1"}, {"f", "1", "f 1"}, {"f:1", "1", "f 1"}, {"function:f", "", "f "}, {"000000000000:function:f", "", "f "}, {"000000000000:f:live", "", "f live"},
		{"us-east-1:000000000000:function:f", "", "f "}, {arn, "", "f "}, {arn + ":$LATEST", "", "f $LATEST"}, {arn, "live", "f live"},
		{"f:1", "2", codeParameter}, {arn + ":1", "2", codeParameter}, {"f:1:2", "", codeParameter}, {"", "", codeParameter}, {"arn:aws:s3:::b", "", codeParameter}, {"function:", "", codeParameter},
		{"111111111111:function:f", "", codeDenied}, {strings.Replace(arn, "0:f", "1:f", 1), "", codeDenied}, {strings.Replace(arn, "us-east-1", "eu-west-1", 1), "", codeMissing},
	} {
		x := target{FunctionName: c.name, Qualifier: c.qualifier}
		got := ""
		if err := x.settle(casemate.DefaultPlace); err != nil {
			got = casemate.AsError(err).AWS
		} else {
			got = x.name + " " + x.Qualifier
		}
		if got != c.want {
			t.Errorf("%q with %q: %q, want %q", c.name, c.qualifier, got, c.want)
		}
	}
}

func FuzzTarget(f *testing.F) {
	f.Add("arn:aws:lambda:us-east-1:000000000000:function:f:1", "1")
	f.Add("us-east-1:000000000000:f", "")
	f.Fuzz(func(t *testing.T, name, qualifier string) {
		x := target{FunctionName: name, Qualifier: qualifier}
		if err := x.settle(casemate.DefaultPlace); err == nil && (x.name == "" || strings.Contains(x.name, ":")) {
			t.Fatalf("%q is the function %q", name, x.name)
		}
	})
}
