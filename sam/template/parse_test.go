package template

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// mustParse reads a template that is right.
func mustParse(t testing.TB, src string) *Template {
	t.Helper()
	tpl, found := Parse("template.yaml", []byte(src))
	if err := found.Err(); err != nil {
		t.Fatalf("%v\nin\n%s", err, src)
	}
	return tpl
}

// metadata reads one value as the template's metadata.
func metadata(t testing.TB, src string) Value {
	t.Helper()
	body := "Resources: {Q: {Type: 'AWS::SQS::Queue'}}\nMetadata:\n  V: " + src + "\n"
	v, _ := mustParse(t, body).Metadata.Get("V")
	return v
}

func TestScalars(t *testing.T) {
	for _, c := range []struct {
		src  string
		kind Kind
		text string
	}{
		{"plain", String, "plain"}, {"'30'", String, "30"}, {`"true"`, String, "true"}, {"30", Number, "30"}, {"-1", Number, "-1"},
		{"+1", Number, "+1"}, {"1.50", Number, "1.50"}, {".5", Number, ".5"}, {"1e3", String, "1e3"}, {"1.0e+3", Number, "1.0e+3"},
		{"yes", Bool, "true"}, {"On", Bool, "true"}, {"TRUE", Bool, "true"}, {"no", Bool, "false"}, {"OFF", Bool, "false"}, {"y", String, "y"},
		{"tRUE", String, "tRUE"}, {"~", Null, ""}, {"null", Null, ""}, {"", Null, ""}, {"''", String, ""},
		{"2012-10-17", String, "2012-10-17"}, {"2001-12-14t21:59:43.10-05:00", String, "2001-12-14t21:59:43.10-05:00"},
		{"012345678901", String, "012345678901"}, {"0o17", String, "0o17"}, {"0x1F", String, "0x1F"}, {"1_000", String, "1_000"},
		{"22:30", String, "22:30"}, {"!!str 12", String, "12"}, {"=", String, "="}, {".inf", String, ".inf"}, {"12e03", String, "12e03"},
		{"123456789012345678901234567890", Number, "123456789012345678901234567890"}, {"|\n    a\n    b", String, "a\nb\n"},
		{">-\n    a\n    b", String, "a b"}, {`"\u00e9\n"`, String, "é\n"},
	} {
		if v := metadata(t, c.src); v.Kind != c.kind || v.Text != c.text || v.At.Line != 3 {
			t.Errorf("%s is %v %q at %v; want %v %q", c.src, v.Kind, v.Text, v.At, c.kind, c.text)
		}
	}
}

// Short tags mean their long forms, and a key that repeats another through an alias or a merge is not a second one.
func TestShortTags(t *testing.T) {
	for src, want := range map[string]string{
		"!Ref X": `{"Ref":"X"}`, "!GetAtt A.B.C": `{"Fn::GetAtt":["A","B.C"]}`, "!GetAtt [A, B]": `{"Fn::GetAtt":["A","B"]}`,
		"!Sub 30": `{"Fn::Sub":"30"}`, "!Sub ['${A}', {A: !Ref B}]": `{"Fn::Sub":["${A}",{"A":{"Ref":"B"}}]}`,
		"!GetAZs ''": `{"Fn::GetAZs":""}`, "!Condition C": `{"Condition":"C"}`, "!If [C, yes, !Ref AWS::NoValue]": `{"Fn::If":["C",true,{"Ref":"AWS::NoValue"}]}`,
		"{Fn::Join: ['', [a, 1]]}": `{"Fn::Join":["",["a",1]]}`, "!Base64 {Fn::Sub: x}": `{"Fn::Base64":{"Fn::Sub":"x"}}`,
		"{a: &x {b: 1}, c: *x, d: {<<: *x, e: 2}, f: {b: 3, <<: *x}}": `{"a":{"b":1},"c":{"b":1},"d":{"e":2,"b":1},"f":{"b":3}}`,
		"{a: &x {b: 1}, c: &y {b: 2, d: 3}, e: {<<: [*x, *y]}}":       `{"a":{"b":1},"c":{"b":2,"d":3},"e":{"b":1,"d":3}}`,
		"{200: a, true: b, 2012-10-17: c}":                            `{"200":"a","true":"b","2012-10-17":"c"}`,
	} {
		if got := string(metadata(t, src).JSON()); got != want {
			t.Errorf("%s reads as %s, want %s", src, got, want)
		}
	}
}

// JSON escapes, surrogate pairs and slashes among them, mean what they mean in JSON.
func TestJSONTemplate(t *testing.T) {
	tpl, found := Parse("t.json", []byte("\xef\xbb\xbf{\n\t\"Resources\": {\"Q\": {\"Type\": \"AWS::SQS::Queue\"}},\r\n"+
		"\t\"Metadata\": {\"é\": \"\\ud83d\\ude00\\/\", \"n\": [1e3, -0.0, true, null]}}"))
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	if got := string(tpl.Metadata.JSON()); got != `{"é":"😀/","n":[1e3,-0.0,true,null]}` {
		t.Error(got)
	}
	n, _ := tpl.Metadata.Get("n")
	if want := (Position{"t.json", 3, 40}); n.List[1].At.Line != 3 || n.At.Column != strings.Index("\t\"Metadata\": {\"é\": \"\\ud83d\\ude00\\/\", \"n\": [", "[") {
		t.Errorf("the list is at %v, its second value at %v; want about %v", n.At, n.List[1].At, want)
	}
}

func TestRefusedForm(t *testing.T) {
	const head = "Resources: {Q: {Type: 'AWS::SQS::Queue'}}\n"
	deep := strings.Repeat("[", 70) + strings.Repeat("]", 70)
	laughs := "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c < 'k'; c++ {
		laughs += fmt.Sprintf("  %c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c, ", c-1), 10), ", "))
	}
	for _, c := range []struct{ src, want string }{
		{"", "f:1:1: the template is empty"},
		{"# nothing\n", "f:1:1: the template is empty"},
		{"[]", "f:1:1: a template is a mapping with Resources, this is a list"},
		{"Resources: {}\n", "f:1:1: Resources: a template declares at least one resource"},
		{"Description: x\n", "f:1:1: Resources: a template declares at least one resource"},
		{head + "Metadata: {a: 1, a: 2}\n", `f:2:18: the key "a" stands here a second time (keep one of them)`},
		{`{"Resources": {"Q": {"Type": "AWS::SQS::Queue"}, "Q": 1}}`, `f:1:50: the key "Q" stands here a second time (keep one of them)`},
		{head + "Metadata: {a: !Reff x}\n", "f:2:15: the tag !Reff is no function of CloudFormation (did you mean Ref?)"},
		{head + "Metadata: {a: !!binary aGk=}\n", "f:2:15: the tag !!binary is not taken in templates"},
		{head + "Metadata: {a: !!python/object:os.system x}\n", "is not taken in templates"},
		{head + "Metadata: {? [a] : b}\n", "a key must be a text"},
		{head + "Metadata: &a {b: *a}\n", "the alias *a stands within what it names"},
		{head + "Metadata: {<<: 3}\n", "a merge key takes a mapping or a list of mappings"},
		{head + "---\nx: 1\n", "f:2:1: a second document begins here (keep one document in the file)"},
		{head + "Metadata: " + deep, "nested deeper than 64"},
		{`{"Metadata": ` + deep + `}`, "nested deeper than 64"},
		{head + "Metadata:\n  " + laughs, "more than 100000 values, aliases expanded"},
		{`{"Metadata": [` + strings.Repeat("1,", 100_001) + "1]}", "more than 100000 values"},
		{strings.Repeat("#", 1<<20+1), "f:1:1: the template is larger than 1048576 bytes (split the template)"},
		{head + "Metadata: '\xff'", "f:2:12: the text is not UTF-8"},
		{head + "Metadata: {", "f:3:1: "},
		{head + "Resource: {}\n", "f:2:1: Resource: this is no section of a template (did you mean Resources?)"},
		{head + "Hooks: {}\n", "f:2:1: Hooks: Hooks are not taken"},
		{head + "Outputs:\n", "f:2:9: Outputs: a mapping is wanted here, this is nothing (leave the section out when it is empty)"},
		{head + "AWSTemplateFormatVersion: 2010-09-10\n", "this version of the format is not known"},
		{head + "Transform: [AWS::Serverless-2016-10-31, Mine]\n", `f:2:41: Transform: the macro "Mine" cannot be run here`},
		{head + "Globals: {Function: {Timeout: 3}}\n", "Globals belong to SAM (add Transform: AWS::Serverless-2016-10-31)"},
		{head + "Description: " + strings.Repeat("x", 1025), "a text of at most 1024 bytes"},
		{head + "Parameters: {P: String}\n", "f:2:17: P: a mapping is wanted here, this is a text"},
		{"Resources:\n  Q-1: {Type: 'AWS::SQS::Queue'}\n", "f:2:3: Resources/Q-1: this is no logical id (use letters and digits)"},
		{"Resources:\n  Q: {Properties: {}}\n", "f:2:3: Resources/Q: the resource has no Type"},
		{"Resources:\n  Q: {Type: Queue}\n", `f:2:13: Resources/Q/Type: this is no resource type: "Queue"`},
		{"Resources:\n  F: {Type: 'AWS::Serverless::Function'}\n", "the type AWS::Serverless::Function needs the SAM transform"},
		{"Resources:\n  Q:\n    Type: AWS::SQS::Queue\n    Propertys: {}\n", "f:4:5: Resources/Q/Propertys: this is no attribute of a resource (did you mean Properties?)"},
		{"Resources:\n  Q: 3\n", "f:2:6: Resources/Q: a resource is a mapping with a Type, this is a number"},
		{"Resources:\n" + strings.Repeat(" ", 2) + func() string {
			var b strings.Builder
			for i := range 501 {
				fmt.Fprintf(&b, "R%d: {Type: 'AWS::SQS::Queue'}\n  ", i)
			}
			return b.String()
		}(), "501 entries: at most 500"},
	} {
		_, found := Parse("f", []byte(c.src))
		if err := found.Err(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.80q gives %v; want %s", c.src, err, c.want)
		}
	}
}

// Everything that is wrong with the form is said at once.
func TestAllProblemsAtOnce(t *testing.T) {
	_, found := Parse("f", []byte("Hooks: {}\nResources:\n  a_b: {Type: x}\n  C: {Type: 'A::B', X: 1}\nOther: 1\n"))
	if len(found) != 5 {
		t.Errorf("%d problems, want 5:\n%v", len(found), found)
	}
}

// corpus are the templates in testdata: in the spirit of what real applications deploy.
func corpus(t testing.TB) map[string]string {
	t.Helper()
	files, err := filepath.Glob("testdata/templates/*")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d templates, %v", len(files), err)
	}
	out := map[string]string{}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.Base(f)] = string(data)
	}
	return out
}

// Lambda checklist: 81
//
// Every value of every template stands where its position says: the text there begins the value.
func TestPositions(t *testing.T) {
	checked := 0
	for name, src := range corpus(t) {
		tpl, found := Parse(name, []byte(src))
		if err := found.Err(); err != nil {
			t.Errorf("%v", err)
			continue
		}
		lines := strings.Split(src, "\n")
		for _, v := range []Value{tpl.parameters, tpl.mappings, tpl.conditions, tpl.rules, tpl.globals, tpl.res, tpl.output, tpl.Metadata} {
			checked += stands(t, lines, v)
		}
	}
	if checked < 1500 {
		t.Errorf("only %d values", checked)
	}
}

func stands(t *testing.T, lines []string, v Value) int {
	if v.At.Line == 0 {
		return 0
	}
	n := 1
	at := func(p Position) string {
		if p.Line > len(lines) || p.Column-1 > utf8.RuneCountInString(lines[p.Line-1]) {
			t.Errorf("%v is outside of the file", p)
			return ""
		}
		return string([]rune(lines[p.Line-1])[p.Column-1:])
	}
	source := at(v.At)
	first := strings.TrimLeft(source, `"'`)
	begins := v.Text == "" || strings.HasPrefix(first, firstWord(v.Text)) || strings.ContainsAny(source[:min(1, len(source))], "!|>*&") ||
		v.Kind == Bool
	if v.Scalar() && !begins {
		t.Errorf("%v: %q does not begin %.40q", v.At, v.Text, source)
	}
	for _, x := range v.List {
		n += stands(t, lines, x)
	}
	for _, m := range v.Members {
		if key := strings.TrimLeft(at(m.KeyAt), `"'`); !strings.HasPrefix(key, m.Key) && key[0] != '!' && key[0] != '&' {
			t.Errorf("%v: the key %q does not begin %.40q", m.KeyAt, m.Key, key)
		}
		n += stands(t, lines, m.Value)
	}
	return n
}

func firstWord(s string) string {
	word, _, _ := strings.Cut(s, "\n")
	word, _, _ = strings.Cut(word, " ")
	word, _, _ = strings.Cut(word, `"`)
	word, _, _ = strings.Cut(word, `\`)
	return word
}
