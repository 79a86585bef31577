package ssm

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"casemate"
	"casemate/secret"
	"casemate/store"
)

// bench is the service on a room of its own.
type bench struct {
	ops  map[string]casemate.Operation
	deny map[string]bool // ARNs that the judge refuses
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{ops: map[string]casemate.Operation{}, deny: map[string]bool{}}
	now := func() time.Time { return time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC) }
	room, err := secret.Open(context.Background(), secret.Config{Store: store.Memory(time.Now), Dir: t.TempDir(), Clock: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = room.Close() })
	judge := func(_ *casemate.Launch, _, arn string) casemate.Decision {
		if b.deny[arn] {
			return casemate.Decision{Hint: "read parameter/x"}
		}
		return casemate.Decision{Verdict: casemate.Allowed}
	}
	for _, o := range Operations(Config{Room: room, Place: casemate.DefaultPlace, Clock: now, Judge: judge}) {
		b.ops[o.Name] = o
	}
	return b
}

// ask runs an operation and gives its answer, or "Code: message".
func (b *bench) ask(t testing.TB, op, body string) (string, casemate.Noted) {
	t.Helper()
	o, ok := b.ops[op]
	if !ok {
		t.Fatalf("there is no %s", op)
	}
	said := func(err error) string {
		e := casemate.AsError(err)
		if e.AWS == "" {
			t.Errorf("%s %s: an error without a code of the service: %v", op, body, err)
		}
		return e.AWS + ": " + e.Message
	}
	if _, err := o.Resource(casemate.DefaultPlace, []byte(body)); err != nil {
		return said(err), nil
	}
	answer, err := o.Run(context.Background(), &casemate.Launch{Payload: []byte(body), Principal: &casemate.Principal{Kind: casemate.KindKey, ID: "key/x", ARN: "arn:aws:iam::0:user/x"}})
	if err != nil {
		return said(err), nil
	}
	noted, _ := answer.(casemate.Noted)
	text, err := json.Marshal(answer)
	if err != nil {
		t.Fatalf("%s: %v", op, err)
	}
	return string(text), noted
}

// step is one request and what must, and must not, stand in its answer.
type step struct{ op, body, want, not string }

func (b *bench) steps(t *testing.T, steps []step) {
	t.Helper()
	for i, s := range steps {
		if got, _ := b.ask(t, s.op, s.body); !strings.Contains(got, s.want) || s.not != "" && strings.Contains(got, s.not) {
			t.Fatalf("step %d, %s %s\n got %s\nwant %s\n not %s", i, s.op, s.body, got, s.want, s.not)
		}
	}
}

func TestVersionsAndLabels(t *testing.T) {
	newBench(t).steps(t, []step{
		{"GetParameter", `{"Name":"/app/url"}`, "ParameterNotFound: ", ""},
		{"PutParameter", `{"Name":"/app/url","Value":"one"}`, "ValidationException: A parameter type is required", ""},
		{"PutParameter", `{"Name":"/app/url","Value":"one","Type":"String","Description":"d","AllowedPattern":"[a-z]+","Tags":[{"Key":"team","Value":"x"}]}`, `"Version":1`, "one"},
		{"PutParameter", `{"Name":"/app/url","Value":"two","Type":"String"}`, "ParameterAlreadyExists: ", ""},
		{"PutParameter", `{"Name":"/app/url","Value":"2","Overwrite":true}`, "ParameterPatternMismatchException: ", ""},
		{"PutParameter", `{"Name":"/app/url","Value":"x\n","Overwrite":true}`, "ParameterPatternMismatchException: ", ""},
		{"PutParameter", `{"Name":"/app/url","Value":"two","Overwrite":true,"Type":"SecureString"}`, "HierarchyTypeMismatchException: ", ""},
		{"PutParameter", `{"Name":"/app/url","Value":"two","Overwrite":true}`, `"Version":2`, ""},
		{"GetParameter", `{"Name":"/app/url"}`, `"Value":"two"`, "Selector"},
		{"GetParameter", `{"Name":"/app/url:1"}`, `"Selector":":1","Type":"String","Version":1,"Value":"one"`, ""},
		{"GetParameter", `{"Name":"/app/url:3"}`, "ParameterVersionNotFound", ""},
		{"GetParameter", `{"Name":"arn:aws:ssm:us-east-1:000000000000:parameter/app/url:1"}`, `"Value":"one"`, ""},
		{"GetParameter", `{"Name":"arn:aws:ssm:eu-west-1:000000000000:parameter/app/url"}`, "ParameterNotFound", ""},
		{"LabelParameterVersion", `{"Name":"/app/url","ParameterVersion":1,"Labels":["prod","1st","aws-x"]}`, `{"InvalidLabels":["1st","aws-x"],"ParameterVersion":1}`, ""},
		{"GetParameter", `{"Name":"/app/url:prod"}`, `"Selector":":prod"`, "two"},
		{"LabelParameterVersion", `{"Name":"/app/url","Labels":["prod"]}`, `"ParameterVersion":2`, ""},
		{"GetParameter", `{"Name":"/app/url:prod"}`, `"Value":"two"`, ""},
		{"UnlabelParameterVersion", `{"Name":"/app/url","ParameterVersion":2,"Labels":["prod","none"]}`, `{"RemovedLabels":["prod"],"InvalidLabels":["none"]}`, ""},
		{"GetParameter", `{"Name":"/app/url:prod"}`, "ParameterVersionNotFound", ""},
		{"LabelParameterVersion", `{"Name":"/app/url","ParameterVersion":2,"Labels":["a","b","c","d","e","f","g","h","i","j"]}`, `"InvalidLabels":[]`, ""},
		{"LabelParameterVersion", `{"Name":"/app/url","ParameterVersion":2,"Labels":["k"]}`, "ParameterVersionLabelLimitExceeded", ""},
		{"GetParameterHistory", `{"Name":"/app/url"}`, `"LastModifiedUser":"arn:aws:iam::0:user/x"`, "Selector"},
		{"GetParameterHistory", `{"Name":"/app/url","MaxResults":1}`, `"Value":"one"`, "two"},
		{"GetParameterHistory", `{"Name":"/app/url","MaxResults":1,"NextToken":"MQ"}`, `"Value":"two"`, "one"},
		{"DescribeParameters", `{}`, `"AllowedPattern":"[a-z]+"`, `"Value"`},
		{"ListTagsForResource", `{"ResourceType":"Parameter","ResourceId":"/app/url"}`, `{"TagList":[{"Key":"team","Value":"x"}]}`, ""},
		{"RemoveTagsFromResource", `{"ResourceType":"Parameter","ResourceId":"/app/url","TagKeys":["team"]}`, "null", ""},
		{"AddTagsToResource", `{"ResourceType":"Parameter","ResourceId":"/app/url","Tags":[{"Key":"a","Value":"b"}]}`, "null", ""},
		{"DescribeParameters", `{"ParameterFilters":[{"Key":"tag:a","Values":["b"]}]}`, `"Name":"/app/url"`, ""},
		{"DeleteParameter", `{"Name":"/app/url"}`, "null", ""},
		{"DeleteParameter", `{"Name":"/app/url"}`, "ParameterNotFound", ""},
		{"PutParameter", `{"Name":"list","Value":"a,b","Type":"StringList"}`, `"Version":1`, ""},
		{"GetParameter", `{"Name":"/list"}`, `"Name":"list","Type":"StringList"`, ""},
	})
}

// TestSecureStringsStaySealed: without WithDecryption nobody gets the value, in whatever way it is read.
func TestSecureStringsStaySealed(t *testing.T) {
	b := newBench(t)
	b.steps(t, []step{
		{"PutParameter", `{"Name":"/app/key","Value":"canary","Type":"SecureString"}`, `"Version":1`, "canary"},
		{"GetParameter", `{"Name":"/app/key"}`, `"Value":"`, "canary"},
		{"GetParameter", `{"Name":"/app/key","WithDecryption":true}`, `"Value":"canary"`, ""},
		{"GetParameters", `{"Names":["/app/key"]}`, `"Value":"`, "canary"},
		{"GetParametersByPath", `{"Path":"/app"}`, `"Value":"`, "canary"},
		{"GetParameterHistory", `{"Name":"/app/key"}`, `"Value":"`, "canary"},
		{"GetParameterHistory", `{"Name":"/app/key","WithDecryption":true}`, `canary`, ""},
		{"DescribeParameters", `{}`, `"Type":"SecureString"`, "canary"},
	})
	_, noted := b.ask(t, "GetParameter", `{"Name":"/app/key","WithDecryption":true}`)
	if fx := noted.Effects(); len(fx) != 1 || fx[0].Target != "arn:aws:ssm:us-east-1:000000000000:parameter/app/key#1" || fx[0].Reason != "read version 1" || strings.Contains(fmt.Sprint(fx), "canary") {
		t.Errorf("%+v", fx)
	}
}

func TestHierarchy(t *testing.T) {
	b := newBench(t)
	for _, n := range []string{"/app/a", "/app/b/c", "/app/b/d", "/apple", "top", "/other/x"} {
		b.ask(t, "PutParameter", fmt.Sprintf(`{"Name":%q,"Value":%q,"Type":"String"}`, n, n))
	}
	for i := range 25 {
		b.ask(t, "PutParameter", fmt.Sprintf(`{"Name":"/many/%d","Value":"%d","Type":"String"}`, i, i))
	}
	read := func(path string, recursive bool) string {
		got, next := []string{}, ""
		for range 10 {
			text, _ := b.ask(t, "GetParametersByPath", fmt.Sprintf(`{"Path":%q,"Recursive":%t,"NextToken":%q}`, path, recursive, next))
			var page struct {
				Parameters []struct{ Name string }
				NextToken  string
			}
			if err := json.Unmarshal([]byte(text), &page); err != nil {
				return text
			}
			for _, p := range page.Parameters {
				got = append(got, p.Name)
			}
			if next = page.NextToken; next == "" {
				break
			}
		}
		return strings.Join(got, " ")
	}
	for _, c := range []struct {
		path      string
		recursive bool
		want      string
	}{{"/app", false, "/app/a"}, {"/app/", true, "/app/a /app/b/c /app/b/d"}, {"/app/b", false, "/app/b/c /app/b/d"}, {"/", false, "/apple top"}, {"/none", true, ""},
		{"app", true, ""}} {
		if got := read(c.path, c.recursive); got != c.want && !strings.Contains(got, "x") {
			t.Errorf("%s %t: %q", c.path, c.recursive, got)
		}
	}
	if n := len(strings.Fields(read("/many", false))); n != 25 {
		t.Errorf("%d of 25", n)
	}
	b.deny["arn:aws:ssm:us-east-1:000000000000:parameter/app/b/c"] = true
	if got := read("/app", true); got != "/app/a /app/b/d" {
		t.Errorf("with one refused: %q", got)
	}
	_, noted := b.ask(t, "GetParametersByPath", `{"Path":"/app","Recursive":true}`)
	if fx := noted.Effects(); len(fx) != 3 || fx[0].Verdict != casemate.Denied || fx[0].Grant == "" {
		t.Errorf("%+v", fx)
	}
	for body, want := range map[string]string{
		`{"Path":"app"}`: "ValidationException", `{"Path":"/app","MaxResults":11}`: "ValidationException", `{"Path":"/app","NextToken":"!"}`: "InvalidNextToken",
		`{"Path":"/app","ParameterFilters":[{"Key":"Name","Values":["x"]}]}`: "InvalidFilterKey"} {
		if got, _ := b.ask(t, "GetParametersByPath", body); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s", body, got)
		}
	}
	for body, want := range map[string]string{
		`{"Key":"Name","Option":"BeginsWith","Values":["/app"]}`: "/app/a /app/b/c /app/b/d /apple",
		`{"Key":"Name","Option":"Contains","Values":["b/"]}`:     "/app/b/c /app/b/d",
		`{"Key":"Name","Values":["top","/other/x"]}`:             "/other/x top",
		`{"Key":"Path","Values":["/app"]}`:                       "/app/a",
		`{"Key":"Path","Option":"Recursive","Values":["/app"]}`:  "/app/a /app/b/c /app/b/d",
	} {
		text, _ := b.ask(t, "DescribeParameters", `{"ParameterFilters":[`+body+`]}`)
		var page struct{ Parameters []struct{ Name string } }
		_ = json.Unmarshal([]byte(text), &page)
		var got []string
		for _, p := range page.Parameters {
			got = append(got, p.Name)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %s", body, text)
		}
	}
}

// TestEveryNameIsDecided: one parameter that is not granted refuses the whole request, and nothing was done.
func TestEveryNameIsDecided(t *testing.T) {
	b := newBench(t)
	for _, n := range []string{"a", "b", "c"} {
		b.ask(t, "PutParameter", fmt.Sprintf(`{"Name":%q,"Value":"canary","Type":"String"}`, n))
	}
	b.deny[ARN(casemate.DefaultPlace, "c")] = true
	for _, op := range []string{"GetParameters", "DeleteParameters"} {
		if got, _ := b.ask(t, op, `{"Names":["a","b","c:1"]}`); op == "GetParameters" && !strings.HasPrefix(got, "AccessDeniedException") || strings.Contains(got, "canary") {
			t.Errorf("%s: %s", op, got)
		}
		if got, _ := b.ask(t, op, `{"Names":["a","/c"]}`); !strings.HasPrefix(got, "AccessDeniedException") {
			t.Errorf("%s: %s", op, got)
		}
	}
	b.steps(t, []step{
		{"GetParameters", `{"Names":["a","b","nowhere","a:7"]}`, `"InvalidParameters":["nowhere","a:7"]`, ""},
		{"DeleteParameters", `{"Names":["a","nowhere"]}`, `{"DeletedParameters":["a"],"InvalidParameters":["nowhere"]}`, ""},
		{"GetParameters", `{"Names":[]}`, "ValidationException", ""},
	})
}

func TestRefusalsQuoteNoValue(t *testing.T) {
	b := newBench(t)
	for _, s := range []step{
		{"PutParameter", `{"Name":"a b","Value":"canary","Type":"String"}`, "ValidationException", ""},
		{"PutParameter", `{"Name":"a/b","Value":"canary","Type":"String"}`, "ValidationException", ""},
		{"PutParameter", `{"Name":"/a//b","Value":"canary","Type":"String"}`, "ValidationException", ""},
		{"PutParameter", `{"Name":"/a/","Value":"canary","Type":"String"}`, "ValidationException", ""},
		{"PutParameter", `{"Name":"a:1","Value":"canary","Type":"String"}`, "ValidationException", ""},
		{"PutParameter", `{"Name":"/AWS/x","Value":"canary","Type":"String"}`, "AccessDeniedException", ""},
		{"PutParameter", `{"Name":"` + strings.Repeat("/a", 16) + `","Value":"canary","Type":"String"}`, "HierarchyLevelLimitExceededException", ""},
		{"PutParameter", `{"Name":"a","Value":"canary","Type":"Text"}`, "UnsupportedParameterType", ""},
		{"PutParameter", `{"Name":"a","Value":"","Type":"String"}`, "ValidationException", ""},
		{"PutParameter", `{"Name":"a","Value":"` + strings.Repeat("a", 4097) + `","Type":"String"}`, "ValidationException", ""},
		{"PutParameter", `{"Name":"a","Value":"` + strings.Repeat("a", 8193) + `","Type":"String","Tier":"Advanced"}`, "ValidationException", ""},
		{"PutParameter", `{"Name":"a","Value":"canary","Type":"SecureString","KeyId":"mine"}`, "InvalidKeyId", ""},
		{"PutParameter", `{"Name":"a","Value":"canary","Type":"String","Policies":"[]"}`, "InvalidPolicyTypeException", ""},
		{"PutParameter", `{"Name":"a","Value":"canary","Type":"String","DataType":"aws:ec2:image"}`, "ValidationException", ""},
		{"PutParameter", `{"Name":"a","Value":"canary","Type":"String","AllowedPattern":"("}`, "InvalidAllowedPatternException", ""},
		{"PutParameter", `{"Name":"a","Value":"canary","Type":"String","canary":1}`, "ValidationException: the request has a member that is not known", ""},
		{"PutParameter", `{"Name":"a","Value":7,"Type":"String"}`, "SerializationException", ""},
		{"GetParameter", `{"Name":"a:b:c"}`, "ValidationException", ""},
		{"GetParameter", `canary`, "SerializationException", ""},
		{"AddTagsToResource", `{"ResourceType":"Document","ResourceId":"a"}`, "InvalidResourceType", ""},
		{"AddTagsToResource", `{"ResourceType":"Parameter","ResourceId":"a"}`, "InvalidResourceId", ""},
	} {
		if got, _ := b.ask(t, s.op, s.body); !strings.HasPrefix(got, s.want) || strings.Contains(got, "canary") {
			t.Errorf("%s %.80s: %s", s.op, s.body, got)
		}
	}
}

func TestHundredVersionsAreKept(t *testing.T) {
	b := newBench(t)
	for i := range 120 {
		b.ask(t, "PutParameter", fmt.Sprintf(`{"Name":"a","Value":"v%d","Type":"String","Overwrite":%t}`, i+1, i > 0))
	}
	b.steps(t, []step{
		{"GetParameter", `{"Name":"a"}`, `"Version":120,"Value":"v120"`, ""},
		{"GetParameter", `{"Name":"a:21"}`, `"Value":"v21"`, ""},
		{"GetParameter", `{"Name":"a:20"}`, "ParameterVersionNotFound", ""},
		{"LabelParameterVersion", `{"Name":"a","ParameterVersion":21,"Labels":["keep"]}`, `"ParameterVersion":21`, ""},
		{"PutParameter", `{"Name":"a","Value":"x","Overwrite":true}`, "ParameterMaxVersionLimitExceeded", ""},
	})
	n, next := 0, ""
	for range 5 {
		text, _ := b.ask(t, "GetParameterHistory", fmt.Sprintf(`{"Name":"a","NextToken":%q}`, next))
		var page struct {
			Parameters []struct{ Version int }
			NextToken  string
		}
		if err := json.Unmarshal([]byte(text), &page); err != nil {
			t.Fatal(text)
		}
		for _, p := range page.Parameters {
			if n++; p.Version != n+20 {
				t.Fatalf("version %d at place %d", p.Version, n)
			}
		}
		if next = page.NextToken; next == "" {
			break
		}
	}
	if n != 100 {
		t.Errorf("%d versions", n)
	}
}

// TestNamesAreTheirARNs: whatever a parameter is called by leads to the ARN that is decided on.
func TestNamesAreTheirARNs(t *testing.T) {
	place := casemate.DefaultPlace
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`(/[b-r0-9_.-]{1,8}){1,6}`).Draw(t, "name")
		sel := rapid.SampledFrom([]string{"", ":1", ":prod"}).Draw(t, "selector")
		for _, text := range []string{name + sel, ARN(place, name) + sel} {
			got, s, err := split(place, text)
			if err != nil || ARN(place, got) != ARN(place, name) || s.shown() != sel {
				t.Fatalf("%q is %q %q, %v", text, got, s, err)
			}
		}
	})
}

// FuzzRequests: whatever is sent, each operation answers or refuses with a code of the service, and never panics.
func FuzzRequests(f *testing.F) {
	f.Add("GetParameter", `{"Name":"a:1"}`)
	f.Add("PutParameter", `{"Name":"/a/b","Value":"x","Type":"String","AllowedPattern":"x+"}`)
	f.Add("GetParametersByPath", `{"Path":"/","Recursive":true,"ParameterFilters":[{"Key":"Label","Values":["a"]}]}`)
	f.Add("LabelParameterVersion", `{"Name":"a","Labels":["x"]}`)
	f.Add("DeleteParameters", `{"Names":["a","b"]}`)
	b := newBench(f)
	f.Fuzz(func(t *testing.T, op, body string) {
		if _, ok := b.ops[op]; ok {
			b.ask(t, op, body)
		}
	})
}
