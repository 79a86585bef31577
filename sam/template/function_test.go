package template

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// resolved gives a value of the table: src stands as the property V of a queue, before the resources and sections that
// the cases refer to.
func resolved(t testing.TB, src string, parameters map[string]string) (*Stack, Problems) {
	t.Helper()
	body := `Transform: [AWS::LanguageExtensions, AWS::Serverless-2016-10-31]
Parameters:
  Text: {Type: String, Default: hello}
  Count: {Type: Number, Default: 3}
  List: {Type: CommaDelimitedList, Default: "a, b ,c"}
  Numbers: {Type: List<Number>, Default: "1,2"}
  Secret: {Type: String, NoEcho: true, Default: hunter2-hunter2}
Mappings:
  M:
    eu-west-1: {ami: ami-1, zones: [x, y], "10": ten}
    012345678901: {ami: ami-2}
Conditions:
  Sure: !Equals [1, "1"]
  Never: !Not [!Condition Sure]
  Hello: !Equals [!Ref Text, hello]
Resources:
  Queue: {Type: AWS::SQS::Queue}
  Fn: {Type: AWS::Serverless::Function, Properties: {Handler: a.b}}
  Gone: {Type: AWS::SQS::Queue, Condition: Never}
  Q:
    Type: AWS::SQS::Queue
    Properties:
      V: ` + src + "\n"
	return mustParse(t, body).Resolve(inputs(parameters))
}

// Lambda checklist: 82
//
// The results are those of CloudFormation's documentation of each function.
func TestFunctions(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{"!Ref Text", `"hello"`}, {"!Ref Count", `3`}, {"!Ref List", `["a","b","c"]`}, {"!Ref Numbers", `[1,2]`},
		{"!Ref AWS::Region", `"eu-west-1"`}, {"!Ref AWS::AccountId", `"123456789012"`}, {"!Ref AWS::StackName", `"shop"`},
		{"!Ref AWS::Partition", `"aws"`}, {"!Ref AWS::URLSuffix", `"amazonaws.com"`}, {"!Ref AWS::NotificationARNs", `[]`},
		{"!Select [1, !Split ['/', !Ref AWS::StackId]]", `"shop"`},
		{"!Ref AWS::NoValue", ``}, {"[a, !Ref AWS::NoValue, b]", `["a","b"]`}, {"{a: !Ref AWS::NoValue, b: 1}", `{"b":1}`},
		{"!If [Sure, a, b]", `"a"`}, {"!If [Never, a, b]", `"b"`}, {"!If [Hello, {a: 1}, !Ref AWS::NoValue]", `{"a":1}`},
		{"!If [Never, {a: 1}, !Ref AWS::NoValue]", ``}, {"[!If [Never, a, !Ref AWS::NoValue], b]", `["b"]`},
		{"!If [Sure, ok, !FindInMap [M, nowhere, ami]]", `"ok"`},
		{"!Join [':', [a, b, c]]", `"a:b:c"`}, {"!Join ['', []]", `""`}, {"!Join [',', !Ref List]", `"a,b,c"`}, {"!Join ['-', [1, true, x]]", `"1-true-x"`},
		{"!Join ['-', [a, !Ref AWS::NoValue, b]]", `"a-b"`},
		{"!Select [0, [a, b]]", `"a"`}, {"!Select ['2', !Ref List]", `"c"`}, {"!Select [1, !Split ['|', 'a|b|c']]", `"b"`},
		{"!Split ['|', 'a||c|']", `["a","","c",""]`}, {"!Split ['--', 'a']", `["a"]`},
		{"!FindInMap [M, !Ref AWS::Region, ami]", `"ami-1"`}, {"!FindInMap [M, eu-west-1, zones]", `["x","y"]`},
		{"!FindInMap [M, eu-west-1, 10]", `"ten"`}, {"!FindInMap [M, '012345678901', ami]", `"ami-2"`}, {"!FindInMap [M, 012345678901, ami]", `"ami-2"`},
		{"!FindInMap [M, x, y, {DefaultValue: z}]", `"z"`}, {"!FindInMap [M, eu-west-1, ami, {DefaultValue: z}]", `"ami-1"`},
		{"!Base64 hello", `"aGVsbG8="`}, {"!Base64 ''", `""`}, {"{Fn::Base64: !Sub '${Text}'}", `"aGVsbG8="`},
		{"!ImportValue shared-role", `"arn:aws:iam::123456789012:role/shared"`},
		{"!GetAZs ''", `["eu-west-1a","eu-west-1b","eu-west-1c"]`}, {"!GetAZs us-east-1", `["us-east-1a","us-east-1b","us-east-1c"]`},
		{"!Sub '${Text}-${AWS::Region}-${!Text}'", `"hello-eu-west-1-${Text}"`}, {"!Sub ['${Text} ${x.y}', {Text: own, x.y: !Ref Count}]", `"own 3"`},
		{"!Sub '$ {a} $${Text} $'", `"$ {a} $hello $"`}, {"!Sub 'x'", `"x"`}, {"!Sub '${Count}'", `"3"`},
		{"!Cidr [192.168.0.0/24, 6, 5]", `["192.168.0.0/27","192.168.0.32/27","192.168.0.64/27","192.168.0.96/27","192.168.0.128/27","192.168.0.160/27"]`},
		{"!Cidr [10.0.0.0/16, 2, 8]", `["10.0.0.0/24","10.0.1.0/24"]`}, {"!Cidr ['2001:db8::/56', 2, 64]", `["2001:db8::/64","2001:db8:0:1::/64"]`},
		{"!Cidr [10.0.0.0/24, 1, 8]", `["10.0.0.0/24"]`}, {"!Cidr [10.0.0.77/24, 2, 4]", `["10.0.0.0/28","10.0.0.16/28"]`},
		{"{Fn::ToJsonString: {b: 1, a: [true, 'x<y', !Ref Count]}}", `"{\"b\":1,\"a\":[true,\"x<y\",3]}"`}, {"{Fn::Length: [a, b, !Ref AWS::NoValue]}", `2`}, {"{Fn::Length: !Ref List}", `3`},
		{"{Ref: !Join ['', [Que, ue]]}", `"${Queue}"`}, {"!GetAtt [!Sub 'Queue', Arn]", `"${Queue.Arn}"`}, {"!Ref Queue", `"${Queue}"`}, {"!GetAtt Queue.Arn", `"${Queue.Arn}"`}, {"{Fn::GetAtt: Queue.Arn}", `"${Queue.Arn}"`},
		{"{Fn::GetAtt: [Queue, !Sub Arn]}", `"${Queue.Arn}"`}, {"!Sub '${Queue}/${Queue.Arn}'", `"${Queue}/${Queue.Arn}"`},
		{"!Ref Fn.Version", `"${Fn.Version}"`}, {"!Sub '${FnRole.Arn} ${Fn.Version}'", `"${FnRole.Arn} ${Fn.Version}"`}, {"!Ref ServerlessRestApiProdStage", `"${ServerlessRestApiProdStage}"`},
		{"!Select [1, !GetAtt Queue.List]", `"${Queue.List}"`}, {"!Join [',', !GetAtt Queue.List]", `"${Queue.List}"`},
		{"!Split [',', !GetAtt Queue.List]", `"${Queue.List}"`}, {"!Select [0, !Cidr [!GetAtt Queue.X, 1, 8]]", `"${Queue.X}"`},
		{"{StringEquals: {Condition: x}}", `{"StringEquals":{"Condition":"x"}}`}, {"{Condition: Never}", `{"Condition":"Never"}`},
	} {
		s, found := resolved(t, c.src, nil)
		if err := found.Err(); err != nil {
			t.Errorf("%s: %v", c.src, err)
			continue
		}
		got := ""
		if v, ok := at(s, "Resources/Q/Properties/V"); ok {
			got = string(v.JSON())
		}
		if got != c.want {
			t.Errorf("%s gives %s, want %s", c.src, got, c.want)
		}
	}
}

// What the functions Ref and Attribute of the inputs answer is used, with the place where it is used.
func TestAnswers(t *testing.T) {
	in := inputs(nil)
	in.Ref = func(id, typ string) (Value, bool) { return Value{Kind: String, Text: id + "|" + typ}, id != "B" }
	in.Attribute = func(id, typ, attr string) (Value, bool) {
		return Value{Kind: List, List: []Value{{Kind: String, Text: id + "|" + typ + "|" + attr}}}, attr == "List"
	}
	tpl := mustParse(t, `Transform: AWS::Serverless-2016-10-31
Resources:
  A: {Type: AWS::SQS::Queue}
  B: {Type: AWS::SQS::Queue}
  F: {Type: AWS::Serverless::Function}
  Z:
    Type: A::B
    Properties: {a: !Ref A, b: !Ref B, c: !GetAtt A.List, d: !GetAtt A.Arn, e: !Ref F.Alias, f: !Ref ServerlessHttpApi,
      g: !Sub "${A}+${B}+${FRole}"}
`)
	s, found := tpl.Resolve(in)
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	v, _ := at(s, "Resources/Z/Properties")
	want := `{"a":"A|AWS::SQS::Queue","b":"${B}","c":["A|AWS::SQS::Queue|List"],"d":"${A.Arn}",` +
		`"e":"F.Alias|AWS::Serverless::Function","f":"ServerlessHttpApi|","g":"A|AWS::SQS::Queue+${B}+FRole|AWS::Serverless::Function"}`
	if got := string(v.JSON()); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if a, _ := v.Get("a"); a.At != (Position{"template.yaml", 8, 21}) {
		t.Errorf("the value stands at %v", a.At)
	}
	if g, _ := v.Get("g"); g.Unknown != "B" {
		t.Errorf("it waits for %q", g.Unknown)
	}
	if z := s.Resources[3]; z.At != (Position{"template.yaml", 6, 3}) || z.TypeAt != (Position{"template.yaml", 7, 11}) {
		t.Errorf("the resource stands at %v, its type at %v", z.At, z.TypeAt)
	}
	if last := s.Resources[3]; strings.Join(last.DependsOn, " ") != "A B F" {
		t.Errorf("it depends on %v", last.DependsOn)
	}
}

// Lambda checklist: 82
//
// What cannot be evaluated is a problem at its place, with its path; nothing is guessed.
func TestRefusedFunctions(t *testing.T) {
	const place = "template.yaml:23:" // the line of V
	for _, c := range []struct{ src, want string }{
		{"!Ref Txt", `10: Resources/Q/Properties/V/Ref: "Txt" is no resource or parameter of this template (did you mean Text?)`},
		{"{Ref: !Sub 'Q${Text}'}", `"Qhello" is no resource or parameter`}, {"{Ref: !Ref Secret}", "a NoEcho parameter cannot name anything"},
		{"{Ref: !Ref Queue}", "this cannot be decided: Queue is not known"}, {"!GetAtt [!Sub 'Q${Text}', Arn]", `"Qhello" is no resource or parameter`},
		{"!GetAtt [[a], Arn]", "Fn::GetAtt takes the name of a resource, this is a list"},
		{"!Ref [a]", "Ref takes a name, this is a list"},
		{"!GetAtt Quue.Arn", `10: Resources/Q/Properties/V/Fn::GetAtt: "Quue" is no resource or parameter of this template (did you mean Queue?)`},
		{"!GetAtt Queue", "a list is wanted here, of length 2"},
		{"!GetAtt [Queue, [a]]", "a text is wanted here, this is a list"},
		{"!GetAtt [Queue, !Ref Q]", "the name of the attribute is not known before deployment"},
		{"!Ref Gone", "the condition of Gone does not hold, so it cannot be referred to (choose with Fn::If)"},
		{"!Sub '${Gone.Arn}'", "the condition of Gone does not hold"},
		{"!Sub '${Nope}'", `10: Resources/Q/Properties/V/Fn::Sub: "Nope" is no resource`},
		{"!Sub '${Nope.Arn}'", `"Nope" is no resource`}, {"!Sub '${Fn.Version.x.${Text}'", "a name in ${} has letters"},
		{"!Sub '${Text'", "a ${ is never closed"}, {"!Sub '${ Text }'", "a name in ${} has letters, digits, underscores, periods and colons only (write ${!name} for a literal ${name})"},
		{"!Sub '${}'", "a name in ${} has letters"}, {"!Sub '${List}'", "List is a list and cannot stand in a text (use Fn::Join)"},
		{"!Sub '${AWS::NoValue}'", "AWS::NoValue has no text"}, {"!Sub '${AWS::Nothing}'", `"AWS::Nothing" is no resource`},
		{"!Sub [a]", "Fn::Sub takes a text, or a list of a text and a mapping"}, {"!Sub ['${a}', {a: [1]}]", "a text is wanted here, this is a list"},
		{"!Join [a]", "a list is wanted here, of length 2"}, {"!Join [',', a]", "a list is wanted here, this is a text"},
		{"!Join [',', [[a]]]", "a list of texts is wanted here, this is a list"}, {"!Join [!Ref List, []]", "a text is wanted here, this is a list"},
		{"!Join [!Ref AWS::NoValue, []]", "AWS::NoValue cannot stand here"},
		{"!Select [3, !Ref List]", `the index "3" is none of this list of 3`}, {"!Select [-1, [a]]", "is none of this list of 1"}, {"!Select [x, [a]]", "is none of this list of 1"},
		{"!Split ['', a]", "the delimiter is empty"}, {"!Split [a]", "a list is wanted here, of length 2"},
		{"!FindInMap [N, a, b]", `"N" is no mapping of this template`}, {"!FindInMap [M, eu-west-2, ami]", `"eu-west-2" is no key of this mapping (did you mean eu-west-1?)`},
		{"!FindInMap [M, eu-west-1, amy]", `"amy" is no second key of this mapping (did you mean ami?)`}, {"!FindInMap [M, a, b, {Default: 1}]", "only a DefaultValue may follow"},
		{"!Base64 [a]", "a text is wanted here, this is a list"}, {"!ImportValue nobody", `nothing exports "nobody" (deploy what exports it first)`},
		{"!Cidr [10.0.0.0/33, 1, 8]", `"10.0.0.0/33" is no block such as 10.0.0.0/16`}, {"!Cidr [10.0.0.0/24, 257, 2]", `the count "257" is not from 1 to 256`},
		{"!Cidr [10.0.0.0/24, 3, 7]", `3 blocks of 7 host bits do not fit into "10.0.0.0/24"`}, {"!Cidr [10.0.0.0/24, 1, 9]", `"9" host bits do not fit`},
		{"!Cidr [10.0.0.0/24, 1]", "a list is wanted here, of length 3"},
		{"!If [Maybe, a, b]", `"Maybe" is no condition of this template`}, {"!If [Sure, a]", "a list is wanted here, of length 3"},
		{"!Equals [a, a]", "Fn::Equals stands only in conditions (name a condition and use Fn::If)"}, {"!Contains [[a], a]", "stands only in conditions"},
		{"{Fn::Join: [a, [b]], c: d}", "Fn::Join stands beside other keys; a function stands alone (check the indentation)"},
		{"{Ref: Text, c: d}", "Ref stands beside other keys"},
		{"{Fn::Jion: [a, [b]]}", "Fn::Jion is no function of CloudFormation (did you mean Fn::Join?)"},
		{"!Transform {Name: AWS::Include, Parameters: {Location: x}}", "AWS::Include reads from S3 and is not taken"},
		{"!Transform {Name: Mine}", `the macro "Mine" cannot be run here`},
		{"~", "10: Resources/Q/Properties/V: nothing stands here, and CloudFormation takes no null (give a value or leave the key out)"},
		{"[a, ~]", "Resources/Q/Properties/V/1: nothing stands here"},
		{"{Fn::Length: x}", "Fn::Length cannot take a text"}, {"{Fn::ToJsonString: x}", "Fn::ToJsonString cannot take a text"},
		{"!Ref Q", "circular dependency: Q -> Q"},
	} {
		_, found := resolved(t, c.src, nil)
		err := found.Err()
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v\nwant %s", c.src, err, c.want)
			continue
		}
		if !strings.Contains(c.want, "circular") && !strings.HasPrefix(err.Error(), place) {
			t.Errorf("%s: %v; want a place on line 23", c.src, err)
		}
	}
}

// The language extensions are refused where the template does not ask for them.
func TestExtensionsNeedTheirTransform(t *testing.T) {
	for _, src := range []string{"P: {Fn::Length: [a]}", "P: {Fn::ToJsonString: [a]}", "P: !FindInMap [M, a, b, {DefaultValue: 1}]",
		"Fn::ForEach::X: [A, [b], {'${A}': 1}]"} {
		_, found := mustParse(t, "Mappings: {M: {a: {b: 1}}}\nResources:\n  Q:\n    Type: A::B\n    Properties:\n      "+src+"\n").Resolve(inputs(nil))
		if err := found.Err(); err == nil || !strings.Contains(err.Error(), "add Transform: AWS::LanguageExtensions") {
			t.Errorf("%s: %v", src, err)
		}
	}
	for _, src := range []string{"Conditions: {'Fn::ForEach::X': [A, [b], {}]}\nResources: {Q: {Type: 'A::B'}}", "Resources:\n  Q: {Type: 'A::B'}\n  Fn::ForEach::X: [A, [b], {'${A}': {Type: 'A::B'}}]",
		"Resources: {Q: {Type: 'A::B', DeletionPolicy: !If [A, Retain, Delete]}}\nConditions: {A: !Equals [a, a]}"} {
		_, found := mustParse(t, src).Resolve(inputs(nil))
		if err := found.Err(); err == nil || !strings.Contains(err.Error(), "language extensions") {
			t.Errorf("%s: %v", src, err)
		}
	}
}

// Property: Fn::Sub with variables of its own is what replacing them by hand gives, whatever the texts are.
func TestSubProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`([a-z ]|\$|\{x|\$\{a\}|\$\{b\.c\}|\$\{!a\})*`).Draw(t, "text")
		a, b := rapid.String().Draw(t, "a"), rapid.String().Draw(t, "b")
		r := &resolver{t: &Template{}}
		str := func(s string) Value { return Value{Kind: String, Text: s} }
		got := r.sub(Value{Kind: List, List: []Value{str(text), {Kind: Map, Members: []Member{{Key: "a", Value: str(a)}, {Key: "b.c", Value: str(b)}}}}})
		parts, bad := subParts(text)
		if (bad != "") != (len(r.found) > 0) {
			t.Fatalf("%q: %q, %v", text, bad, r.found)
		}
		if bad != "" {
			return
		}
		want := strings.NewReplacer("${a}", a, "${b.c}", b, "${!a}", "${a}").Replace(text)
		if got.Text != want {
			t.Fatalf("%q gives %q, want %q (%v)", text, got.Text, want, parts)
		}
	})
}

// Property: splitting by what a list was joined with gives the list back, unless an element holds it.
func TestJoinSplitProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(rapid.StringMatching(`[a-z]{0,5}`), 1, 20).Draw(t, "list")
		by := rapid.StringMatching(`[-/|]{1,3}`).Draw(t, "by")
		l := Value{Kind: List}
		for _, s := range list {
			l.List = append(l.List, Value{Kind: String, Text: s})
		}
		delimiter := Value{Kind: String, Text: by}
		r := &resolver{t: &Template{}}
		joined := r.join(Value{Kind: List, List: []Value{delimiter, l}})
		back := r.split(Value{Kind: List, List: []Value{delimiter, joined}})
		got := make([]string, len(back.List))
		for i, x := range back.List {
			got[i] = x.Text
		}
		if fmt.Sprint(got) != fmt.Sprint(list) || len(got) != len(list) {
			t.Fatalf("%q became %q", list, got)
		}
	})
}
