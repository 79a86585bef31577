package text

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"casemate"
)

func coded(t *testing.T, err error) *casemate.Error {
	t.Helper()
	var e *casemate.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v has no code", err)
	}
	return e
}

func TestScanAccepts(t *testing.T) {
	for _, s := range []string{
		`{}`, `[]`, `0`, `-0`, `1.5e+10`, `"x"`, `true`, `false`, `null`, " \t\r\n[ 1 , 2 ] ", `{"a":{"b":[{"c":1}]},"d":"\u00e9\ud83d\ude00"}`,
		`{"a":1,"A":2}`, `"\u0000"`, `[[],{},[[]]]`, `{"":0}`,
	} {
		if err := Scan([]byte(s), Bounds{}); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
}

func TestScanRefuses(t *testing.T) {
	small := Bounds{Depth: 3, Members: 3, Items: 3, StringBytes: 6, NumberDigits: 6, Tokens: 12}
	for _, c := range []struct {
		body, field, rule string
		code              casemate.Code
	}{
		{``, "", "JSON: a JSON value", casemate.Invalid},
		{`{"a":1,"a":2}`, "/a", "unique names", casemate.Invalid},
		{`{"a":{"b":1,"\u0062":2}}`, "/a/b", "unique names", casemate.Invalid},
		{`[1,{"x":[0,{"k":1,"k":2}]}]`, "", "depth <= 3", casemate.TooLarge},
		{`{"a":[1,2,3,4]}`, "/a/3", "items <= 3", casemate.TooLarge},
		{`{"a":1,"b":2,"c":3,"d":4}`, "", "members <= 3", casemate.TooLarge},
		{`{"a":"1234567"}`, "/a", "string bytes <= 6", casemate.TooLarge},
		{`{"a":1234567}`, "/a", "number digits <= 6", casemate.TooLarge},
		{`[1e9999]`, "/0", "exponent digits <= 3", casemate.TooLarge},
		{`[1e400]`, "/0", "number within IEEE 754 double", casemate.TooLarge},
		{`[[1,2,3],[1,2,3],[1,2,3]]`, "/2/2", "values <= 12", casemate.TooLarge},
		{`{} {}`, "", "JSON: no data behind the value", casemate.Invalid},
		{`[1,]`, "/1", "JSON: a JSON value", casemate.Invalid},
		{`{"a":1,}`, "", "JSON: a name in quotes", casemate.Invalid},
		{`{"a" 1}`, "/a", "JSON: a colon", casemate.Invalid},
		{`[01]`, "/0", "JSON: a comma or the end of the container", casemate.Invalid},
		{`[1.]`, "/0", "JSON: a digit", casemate.Invalid},
		{`[+1]`, "/0", "JSON: a JSON value", casemate.Invalid},
		{`[NaN]`, "/0", "JSON: a JSON value", casemate.Invalid},
		{"[\"\xff\"]", "/0", "JSON: valid UTF-8", casemate.Invalid},
		{"\xef\xbb\xbf{}", "", "JSON: a JSON value", casemate.Invalid},
		{`["\ud83d"]`, "/0", "JSON: a valid escape", casemate.Invalid},
		{`["\ude00"]`, "/0", "JSON: a valid escape", casemate.Invalid},
		{`["\x"]`, "/0", "JSON: a valid escape", casemate.Invalid},
		{"[\"\n\"]", "/0", "JSON: no control character in a string", casemate.Invalid},
		{`["abc`, "/0", "JSON: the end of a string", casemate.Invalid},
		{`{"a/b~c":x}`, "", "any length", casemate.Invalid},
	} {
		b := small
		if c.field == "" && c.rule == "any length" {
			b.StringBytes, c.field, c.rule = 0, "/a~1b~0c", "JSON: a JSON value"
		}
		err := Scan([]byte(c.body), b)
		if err == nil {
			t.Errorf("%s: accepted", c.body)
			continue
		}
		e := coded(t, err)
		if c.rule == "depth <= 3" {
			c.field = "/1/x/1"
		}
		if e.Code != c.code || e.Field != c.field || e.Rule != c.rule || e.Hint == "" {
			t.Errorf("%s: %s field %q rule %q hint %q", c.body, e.Code, e.Field, e.Rule, e.Hint)
		}
	}
}

func TestScanDeepNestingCostsNothing(t *testing.T) {
	for _, open := range []string{"[", `{"a":`} {
		e := coded(t, Scan(bytes.Repeat([]byte(open), 1<<20), Bounds{}))
		if e.Rule != "depth <= 32" || strings.Count(e.Field, "/") > maxPointerTokens+1 {
			t.Errorf("%s: %q at %q", open, e.Rule, e.Field)
		}
	}
}

func TestScanFindsDuplicateAmongMany(t *testing.T) {
	var b strings.Builder
	b.WriteByte('{')
	for i := range 900 {
		fmt.Fprintf(&b, `"k%d":0,`, i)
	}
	if err := Scan([]byte(b.String()+`"last":0}`), Bounds{}); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, 5, few, 899} {
		if e := coded(t, Scan([]byte(fmt.Sprintf(`%s"k%d":0}`, b.String(), i)), Bounds{})); e.Rule != "unique names" {
			t.Errorf("k%d: %s", i, e.Rule)
		}
	}
}

// The error must carry no value of the caller, and names only in a form that is safe to print.
func TestScanErrorHoldsNoValue(t *testing.T) {
	for _, body := range []string{`{"a":"hunter2"x`, `["hunter2","hunter2`, `{"a":hunter2}`, "{\"a\x1b\":\"hunter2\n\"}"} {
		e := coded(t, Scan([]byte(body), Bounds{}))
		if all := fmt.Sprintf("%+v", *e); strings.Contains(all, "hunter2") || strings.Contains(all, "\x1b") {
			t.Errorf("%q leaks: %s", body, all)
		}
	}
	e := coded(t, Scan([]byte(`{"`+strings.Repeat("n", 5000)+"\\u001b\\u202e"+`":x}`), Bounds{}))
	if len(e.Field) > 100 {
		t.Errorf("pointer of %d bytes", len(e.Field))
	}
}

// What Scan accepts is what encoding/json accepts, less what parsers disagree on.
func TestScanAgreesWithEncodingJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringOfN(rapid.SampledFrom([]rune(`{}[]:,"\u0a1e-+.tfn eé`)), 0, 24, -1).Draw(t, "s")
		agree(t, []byte(s))
	})
}

type failer interface {
	Fatalf(format string, args ...any)
}

func agree(t failer, body []byte) {
	err := Scan(body, Bounds{Depth: 1 << 20, Members: 1 << 20, Items: 1 << 20, NumberDigits: 1 << 20, Tokens: 1 << 30})
	valid := json.Valid(body) && utf8.Valid(body)
	if err == nil && !valid {
		t.Fatalf("accepted %q, encoding/json does not", body)
	}
	if err == nil {
		dec := json.NewDecoder(bytes.NewReader(body))
		dec.UseNumber()
		var want any
		if err := dec.Decode(&want); err != nil {
			t.Fatalf("%q: %v", body, err)
		}
		if got := Build(body); !reflect.DeepEqual(got, want) {
			t.Fatalf("%q was built as %#v, not %#v", body, got, want)
		}
		return
	}
	switch rule := casemate.AsError(err).Rule; {
	case rule == "unique names" && repeats(body), rule == "exponent digits <= 3", rule == ruleDouble:
	case rule == "JSON: a valid escape" && bytes.Contains(body, []byte(`\u`)):
	case valid:
		t.Fatalf("refused %q for %s, encoding/json takes it", body, rule)
	}
}

// repeats looks for equal names with the standard tokenizer.
func repeats(body []byte) bool {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	type level struct {
		object bool
		name   bool
		seen   map[string]bool
	}
	var stack []level
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) || err != nil {
			return err != io.EOF
		}
		if d, ok := tok.(json.Delim); ok && (d == '}' || d == ']') {
			stack = stack[:len(stack)-1]
			continue
		}
		if n := len(stack); n > 0 && stack[n-1].object {
			if stack[n-1].name {
				if stack[n-1].seen[tok.(string)] {
					return true
				}
				stack[n-1].seen[tok.(string)] = true
			}
			stack[n-1].name = !stack[n-1].name
		}
		if d, ok := tok.(json.Delim); ok {
			stack = append(stack, level{d == '{', d == '{', map[string]bool{}})
		}
	}
}

func FuzzScan(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5e3,"\ud83d\ude00"],"b":{"a":null}}`, `{"a":1,"\u0061":2}`, `[1e999]`, "\xff", `["\ud83d"]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		agree(t, body)
		_ = Scan(body, Bounds{})
	})
}

func BenchmarkScan(b *testing.B) {
	for _, c := range []struct {
		name string
		body []byte
	}{
		{"150B", []byte(order)},
		{"64KB", []byte("[" + strings.Repeat(order+",", 400) + order + "]")},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.body)))
			b.ReportAllocs()
			for b.Loop() {
				if err := Scan(c.body, Bounds{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

const order = `{"id":"b0b1f7c2-5a53-4a0e-9d3b-0c0f5be0a001","customer":"c-1001","items":[{"sku":"tea-42","quantity":2,"note":"gift"},{"sku":"cup-7","quantity":1}],"paid":true}`
