package condition

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"casemate"
)

func globRegexp(glob string) *regexp.Regexp {
	return regexp.MustCompile("^(?s:" + strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(glob)) + ")$")
}

func TestMatchIsTheRegularExpression(t *testing.T) {
	text := rapid.StringOfN(rapid.SampledFrom([]rune("ab*?é:/\n")), 0, 12, -1)
	rapid.Check(t, func(t *rapid.T) {
		glob, s := text.Draw(t, "glob"), text.Draw(t, "text")
		p, err := Parse(glob, true)
		if err != nil {
			t.Fatal(err)
		}
		ok, resolved := p.Match(nil, s)
		if want := globRegexp(glob).MatchString(s); ok != want || !resolved {
			t.Fatalf("%q on %q: %v, want %v", glob, s, ok, want)
		}
		plain, err := Parse(glob, false)
		if err != nil {
			t.Fatal(err)
		}
		if ok, _ := plain.Match(nil, s); ok != (glob == s) {
			t.Fatalf("plain %q on %q: %v", glob, s, ok)
		}
	})
}

func FuzzMatch(f *testing.F) {
	f.Add("a*b?c", "aXXbYc")
	f.Add("*a*a*a*a*b", strings.Repeat("a", 100))
	f.Add("${*}x${jwt:sub, 'y'}", "*xy")
	f.Add("?*é", "aé")
	f.Fuzz(func(t *testing.T, glob, s string) {
		e := &Env{Request: &casemate.AccessRequest{}, Principal: &casemate.Principal{}}
		p, err := Parse(glob, true)
		if err != nil || len(s) > 1000 {
			return
		}
		ok, resolved := p.Match(e, s)
		if !resolved || strings.Contains(glob, "${") || !utf8.ValidString(s) {
			return
		}
		if want := globRegexp(glob).MatchString(s); ok != want {
			t.Fatalf("%q on %q: %v, want %v", glob, s, ok, want)
		}
	})
}

// A pattern made to make a backtracking matcher run for years ends at once.
func TestNoCatastrophe(t *testing.T) {
	for _, glob := range []string{
		strings.Repeat("*a", 1000) + "b", strings.Repeat("*?a", 680) + "b", strings.Repeat("a*", 1000) + "?b", strings.Repeat("*", 2048),
	} {
		p, err := Parse(glob, true)
		if err != nil {
			t.Fatal(err)
		}
		if ok, _ := p.Match(nil, strings.Repeat("a", 16<<10)); ok != (strings.Trim(glob, "*") == "") {
			t.Errorf("%.10s...: %v", glob, ok)
		}
	}
}

func TestARN(t *testing.T) {
	for _, c := range []struct {
		pattern, arn string
		want         bool
	}{
		{"*", "anything", true},
		{"arn:aws:s3:::b/*", "arn:aws:s3:::b/a/b:c", true},
		{"arn:aws:s3:::b/*", "arn:aws:s3:::B/a", false},
		{"arn:aws:s3:*:*:b", "arn:aws:s3:::b", true},
		{"arn:aws:s3:*:b", "arn:aws:s3:::b", false},
		{"arn:aws:*:us-east-1:1:x", "arn:aws:s3:evil:us-east-1:1:x", false},
		{"arn:aws:lambda:*:1:function:f", "arn:aws:lambda:x:2:1:function:f", false},
		{"arn:aws:lambda:r:1:function:*", "arn:aws:lambda:r:1:function:f:3", true},
		{"arn:aws:lambda:r:1:function:?", "arn:aws:lambda:r:1:function:é", true},
		{"arn:aws:s3:::${*}", "arn:aws:s3:::*", true},
		{"arn:aws:s3:::${*}", "arn:aws:s3:::x", false},
		{"arn:*:*:*:*:*", "brn:a:b:c:d:e", false},
		{"arn:*:*:*:*:*", "arn:a:b:c:d", false},
		{"arn:aws:s3:::", "arn:aws:s3:::", true},
	} {
		p, err := ParseARN(c.pattern)
		if err != nil {
			if c.want {
				t.Errorf("%s: %v", c.pattern, err)
			}
			continue
		}
		if ok, _ := p.Match(&Env{}, c.arn); ok != c.want {
			t.Errorf("%s on %s: %v", c.pattern, c.arn, ok)
		}
		if c.want && !strings.HasPrefix(c.arn, p.Prefix()) {
			t.Errorf("%s: the prefix %q does not start %s", c.pattern, p.Prefix(), c.arn)
		}
	}
}

// The value of a variable is text: neither its wildcards nor its colons mean anything.
func TestVariablesAreText(t *testing.T) {
	env := func(sub string) *Env {
		return &Env{Request: &casemate.AccessRequest{}, Principal: &casemate.Principal{Claims: map[string]string{"sub": sub}}}
	}
	p, err := ParseARN("arn:aws:s3::${jwt:sub}:home/${jwt:sub}/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		sub, arn     string
		ok, resolved bool
	}{
		{"ann", "arn:aws:s3::ann:home/ann/x", true, true}, {"*", "arn:aws:s3::ann:home/ann/x", false, true},
		{"*", "arn:aws:s3::*:home/*/x", true, true}, {"a:b", "arn:aws:s3::a:b:home/a:b/x", false, true},
		{"", "arn:aws:s3::ann:home/ann/x", true, false}, {"", "arn:aws:s3::ann:work/ann/x", false, false},
	} {
		if ok, resolved := p.Match(env(c.sub), c.arn); ok != c.ok || resolved != c.resolved {
			t.Errorf("%q on %s: %v, %v", c.sub, c.arn, ok, resolved)
		}
	}
}

// A variable's value is a name and nothing else: no wildcard, no way into another segment, in whatever spelling.
func TestVariablesInARNsAreOneName(t *testing.T) {
	const table, path = "arn:aws:dynamodb:us-east-1:000000000000:table/orders/", "arn:aws:execute-api:us-east-1:000000000000:shop/$default/GET/orders/"
	for _, c := range []struct {
		pattern, sub, resource string
		ok, resolved           bool
	}{
		{table + "${jwt:sub}/*", "ada", table + "ada/7", true, true},
		{table + "${jwt:sub}/*", "ada", table + "bob/7", false, true},
		{table + "${jwt:sub}/*", "*", table + "bob/7", false, true},
		{table + "${jwt:sub}/*", "a?a", table + "ada/7", false, true},
		{table + "${jwt:sub}/*", "bob/private", table + "bob/private/7", true, false},
		{table + "${jwt:sub}", "ada b", table + "ada b", true, true},
		{table + "${jwt:sub}/*", "", table + "/7", true, false},
		{path + "${jwt:sub}", "ada", path + "ada", true, true},
		{path + "${jwt:sub}", "ada", path + "bob", false, true},
		{path + "${jwt:sub}", "*", path + "bob", false, true},
		{path + "${jwt:sub}", "*", path + "*", true, true},
		{path + "${jwt:sub}", "ada@example.com", path + "ada@example.com", true, true},
		{path + "${jwt:sub}", "auth0|7", path + "auth0%7C7", true, true},
		{path + "${jwt:sub}", "bob/7", path + "bob/7", false, true},
		{path + "${jwt:sub}", "bob/7", path + "bob%2F7", true, true},
		{path + "${jwt:sub}", "bob%2F7", path + "bob%2F7", false, true},
		{path + "${jwt:sub}/items/*", "é", path + "%C3%A9/items/1", true, true},
	} {
		a, err := ParseARN(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		e := &Env{Request: &casemate.AccessRequest{}, Principal: &casemate.Principal{Claims: map[string]string{"sub": c.sub}}}
		if ok, resolved := a.Match(e, c.resource); ok != c.ok || resolved != c.resolved {
			t.Errorf("%s with sub %q on %s: %t, %t", c.pattern, c.sub, c.resource, ok, resolved)
		}
	}
}

func TestKeysOfPathAndUser(t *testing.T) {
	e := &Env{Request: &casemate.AccessRequest{Params: map[string]string{"id": "7", "Empty": ""}, Context: map[string][]string{"path:id": {"8"}, "aws:username": {"root"}}},
		Principal: &casemate.Principal{ARN: "arn:aws:iam::000000000000:user/sales/ann"}}
	for text, want := range map[string]string{"${path:id}": "7", "${PATH:id}": "7", "${aws:username}": "ann", "${aws:UserName}": "ann", "${path:Id}": "", "${path:Empty}": ""} {
		p, err := Parse(text, false)
		if err != nil {
			t.Fatal(err)
		}
		if ok, resolved := p.Match(e, want); resolved != (want != "") || want != "" && !ok {
			t.Errorf("%s: %t, %t", text, ok, resolved)
		}
	}
	for _, arn := range []string{"arn:aws:iam::000000000000:role/ann", "arn:aws:sts::000000000000:user/ann", "user/ann", ""} {
		if got := userName(arn); got != "" {
			t.Errorf("%q names user %q", arn, got)
		}
	}
}
