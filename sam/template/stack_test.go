package template

import (
	"strings"
	"testing"
)

// Lambda checklist: 90
func TestOutputs(t *testing.T) {
	s, found := mustParse(t, `Conditions: {Yes1: !Equals [a, a], No1: !Equals [a, b]}
Resources: {Q: {Type: 'AWS::SQS::Queue'}}
Outputs:
  Name: {Value: !Sub "${AWS::StackName}!", Description: about, Export: {Name: !Join [":", [!Ref AWS::StackName, name]]}}
  Here: {Condition: Yes1, Value: 3}
  Gone: {Condition: No1, Value: !Ref Q}
`).Resolve(inputs(nil))
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	if len(s.Outputs) != 2 || s.Outputs[0].Value.Text != "shop!" || s.Outputs[0].Export != "shop:name" || s.Outputs[0].Description != "about" ||
		s.Outputs[1].Name != "Here" || s.Outputs[1].Export != "" || s.Outputs[1].At != (Position{"template.yaml", 5, 3}) {
		t.Errorf("%+v", s.Outputs)
	}
	for src, want := range map[string]string{
		"O: {Description: x}":                                                "1:49: Outputs/O: the output has no Value",
		"O: {Value: [a]}":                                                    "an output is a text, this is a list (join it to one text)",
		"O: {Value: !Ref AWS::NoValue}":                                      "the output has no Value",
		"O: {Value: a, Exports: {Name: b}}":                                  "Outputs/O/Exports: this is no key of an output (did you mean Export?)",
		"O: {Value: a, Export: {Name: !GetAtt Q.Arn}}":                       "the name of an export is known before deployment",
		"O: {Value: a, Export: {Name: ''}}":                                  "the name of an export is known before deployment",
		"O: {Value: a, Export: b}":                                           "template.yaml:2:33: Outputs/O/Export: an export has a Name",
		"O: {Value: a, Condition: Nope}":                                     `"Nope" is no condition of this template`,
		"O_1: {Value: a}":                                                    "this is no name of an output",
		"O: {Value: a, Export: {Name: x}}, P: {Value: b, Export: {Name: x}}": `a second output exports "x"`,
	} {
		_, found := mustParse(t, "Resources: {Q: {Type: 'AWS::SQS::Queue'}} # x\nOutputs: {"+src+"}").Resolve(inputs(nil))
		want = strings.Replace(want, "1:49:", "2:11:", 1)
		if err := found.Err(); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "template.yaml:2:") {
			t.Errorf("%s: %v; want %s", src, err, want)
		}
	}
}

// Lambda checklist: 90
func TestDeletionPolicies(t *testing.T) {
	for src, want := range map[string]string{
		"DeletionPolicy: Retain": "Retain/", "DeletionPolicy: Delete, UpdateReplacePolicy: Snapshot": "Delete/Snapshot", "Condition: C": "/",
		"DeletionPolicy: RetainExceptOnCreate":      "RetainExceptOnCreate/",
		"DeletionPolicy: Retian":                    "Resources/Q/DeletionPolicy: one of Delete, Retain, RetainExceptOnCreate, Snapshot is wanted here, this is \"Retian\" (did you mean Retain?)",
		"UpdateReplacePolicy: RetainExceptOnCreate": "one of Delete, Retain, Snapshot is wanted here",
		"DeletionPolicy: !If [C, Retain, Delete]":   "a function may stand here only with language extensions",
		"DeletionPolicy: [Retain]":                  "one of Delete",
		"DependsOn: Nope":                           `DependsOn names no resource: "Nope"`,
		"DependsOn: {A: b}":                         "DependsOn is the name of a resource or a list of them",
		"DependsOn: Q":                              "Q depends on itself",
		"DependsOn: P":                              "circular dependency: Q -> P -> Q",
	} {
		tpl := mustParse(t, "Conditions: {C: !Equals [a, a]}\nResources:\n  Q: {Type: 'A::B', "+src+"}\n  P: {Type: 'A::B', Properties: {V: !Ref Q}}\n")
		s, found := tpl.Resolve(inputs(nil))
		if err := found.Err(); err != nil {
			if !strings.Contains(err.Error(), want) || strings.HasSuffix(want, "/") {
				t.Errorf("%s: %v; want %s", src, err, want)
			}
			continue
		}
		if got := s.Resources[0].DeletionPolicy + "/" + s.Resources[0].UpdateReplacePolicy; got != want {
			t.Errorf("%s: %s; want %s", src, got, want)
		}
	}
}

// Properties that a condition leaves out are an empty mapping; what is no mapping is refused.
func TestNoProperties(t *testing.T) {
	for src, want := range map[string]string{"!Ref AWS::NoValue": "{}", "!If [C, {a: 1}, !Ref AWS::NoValue]": "{}", "!If [C, x, {a: 1}]": `{"a":1}`,
		"!If [C, {a: 1}, x]": "properties are a mapping, this is a text", "[a]": "properties are a mapping, this is a list", "!GetAtt P.V": "properties are a mapping"} {
		s, found := mustParse(t, "Conditions: {C: !Equals [a, b]}\nResources:\n  P: {Type: 'A::B'}\n  Q: {Type: 'A::B', Properties: "+src+"}\n").Resolve(inputs(nil))
		if err := found.Err(); err != nil {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v; want %s", src, err, want)
			}
		} else if got := string(s.Resources[1].Properties.JSON()); got != want || s.Resources[1].Properties.Kind != Map {
			t.Errorf("%s: %s; want %s", src, got, want)
		}
	}
}

// What has no effect here is said, at its place.
func TestWarnings(t *testing.T) {
	s, found := mustParse(t, `Parameters: {V: {Type: 'AWS::EC2::VPC::Id', Default: vpc-1}}
Resources: {Q: {Type: 'A::B', CreationPolicy: {}, UpdatePolicy: {}}}
`).Resolve(inputs(nil))
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	want := "template.yaml:1:14: Parameters/V: whether this AWS::EC2::VPC::Id exists is not checked here\n" +
		"template.yaml:2:31: Resources/Q/CreationPolicy: CreationPolicy has no effect here\n" +
		"template.yaml:2:51: Resources/Q/UpdatePolicy: UpdatePolicy has no effect here"
	if got := s.Warnings.Error(); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

// The typed readers take what CloudFormation takes and say what they do not.
func TestReaders(t *testing.T) {
	v := Value{Kind: Map}
	for _, m := range []Value{{Kind: Number, Text: "30"}, {Kind: String, Text: "30"}, {Kind: String, Text: "030"}, {Kind: Number, Text: "1.5"}, {Kind: Bool, Text: "true"},
		{Kind: String, Text: "false"}, {Kind: List}, {Kind: String, Text: "${Q.Arn}", Unknown: "Q.Arn"}, {Kind: String, Text: "hunter2", Secret: true}, {Kind: Number, Text: "99999999999999999999"}} {
		m.At = Position{"f", 3, 4}
		v.Members = append(v.Members, Member{Key: string(rune('a' + len(v.Members))), Value: m})
	}
	var p Problems
	if a, ok := v.IntAt("a", "P", 1, 30, &p); a != 30 || !ok {
		t.Error(a, ok)
	}
	if b, ok := v.IntAt("b", "P", 1, 900, &p); b != 30 || !ok {
		t.Error(b, ok)
	}
	if e, ok := v.BoolAt("e", "P", &p); !e || !ok {
		t.Error(e, ok)
	}
	if f, ok := v.BoolAt("f", "P", &p); f || !ok {
		t.Error(f, ok)
	}
	if s, ok := v.StringAt("d", "P", &p); s != "1.5" || !ok {
		t.Error(s, ok)
	}
	if _, ok := v.IntAt("none", "P", 1, 2, &p); ok || len(p) != 0 {
		t.Error(ok, p)
	}
	for _, k := range []string{"c", "d", "e", "g", "h", "i", "j"} {
		if n, ok := v.IntAt(k, "P", 0, 1<<30, &p); ok {
			t.Errorf("%s is %d", k, n)
		}
	}
	v.IntAt("a", "P", 31, 32, &p)
	v.BoolAt("a", "P", &p)
	v.StringAt("g", "P", &p)
	v.StringAt("h", "P", &p)
	err := p.Err().Error()
	for _, want := range []string{`f:3:4: P/c: a whole number is wanted here, this is "030"`, `P/i: a whole number is wanted here, this is ****`, `P/a: "30" is out of bounds: from 31 to 32`,
		`P/a: true or false is wanted here, this is "30"`, "P/g: a text is wanted here, this is a list", "P/h: Q.Arn is only known after deployment (write the value out)"} {
		if !strings.Contains(err, want) {
			t.Errorf("%s\nlacks %s", err, want)
		}
	}
	if len(p) != 10 || strings.Contains(err, "hunter2") {
		t.Errorf("%d problems:\n%s", len(p), err)
	}
}
