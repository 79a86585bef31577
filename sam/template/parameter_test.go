package template

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

// Lambda checklist: 90
func TestParameters(t *testing.T) {
	for _, c := range []struct{ declared, value, want string }{
		{"Type: String", "x", `"x"`}, {"Type: String, Default: 3", "*", `"3"`},
		{"Type: String, Default: d", "*", `"d"`}, {"Type: Number, Default: 3", "*", `3`}, {"Type: Number", "-1.5", `-1.5`},
		{"Type: 'List<Number>'", "1, 2,3", `[1,2,3]`}, {"Type: CommaDelimitedList", "a , b,,c", `["a","b","","c"]`},
		{"Type: 'List<AWS::EC2::Subnet::Id>'", "s-1,s-2", `["s-1","s-2"]`}, {"Type: 'AWS::EC2::KeyPair::KeyName'", "k", `"k"`},
		{"Type: 'AWS::SSM::Parameter::Name'", "/a", `"/a"`}, {"Type: 'AWS::SSM::Parameter::Value<String>'", "/a", `"stored"`},
		{"Type: 'AWS::SSM::Parameter::Value<List<String>>'", "/list", `["x","y"]`}, {"Type: 'AWS::SSM::Parameter::Value<CommaDelimitedList>'", "/list", `["x","y"]`},
		{"Type: 'AWS::SSM::Parameter::Value<String>'", "/none", "the parameter store has no value for P"},
		{"Type: Strin", "x", `"Strin" is no type of a parameter (did you mean String?)`}, {"Default: x", "*", `"" is no type of a parameter`},
		{"Type: String", "*", "the parameter P has no value and no default (give it a value: --parameter-overrides P=...)"},
		{"Type: Number", "1x", `the value "1x" of P is no number`}, {"Type: Number", "inf", "is no number"}, {"Type: Number", "NaN", "is no number"},
		{"Type: Number", "", "is no number"}, {"Type: 'List<Number>'", "1,b", `the value "b" of P is no number`},
		{"Type: String, AllowedValues: [a, b], ConstraintDescription: a or b", "c", `the value "c" of P is none of the AllowedValues (a or b)`},
		{"Type: Number, AllowedValues: [1, 2]", "2", "2"}, {"Type: CommaDelimitedList, AllowedValues: [a, b]", "a,c", `"c" of P is none`},
		{"Type: String, AllowedPattern: '[a-z]+'", "abc", `"abc"`}, {"Type: String, AllowedPattern: '[a-z]+'", "abcX", `does not match AllowedPattern "[a-z]+"`},
		{"Type: String, AllowedPattern: 'a|b'", "ac", "does not match"}, {"Type: String, AllowedPattern: '^[a-z]*$'", "a\n", "does not match"},
		{"Type: String, AllowedPattern: '(?!x).*'", "abc", "cannot be checked"}, {"Type: String, AllowedPattern: '['", "abc", "cannot be checked"},
		{"Type: String, MinLength: 2", "é", "is against MinLength 2"}, {"Type: String, MinLength: 2, MaxLength: '3'", "éé", `"éé"`},
		{"Type: String, MaxLength: 3", "abcd", "is against MaxLength 3"}, {"Type: String, MaxLength: x", "a", "MaxLength is no number"},
		{"Type: Number, MinValue: 1, MaxValue: 10", "10", "10"}, {"Type: Number, MinValue: 1", "0", "is against MinValue 1"},
		{"Type: Number, MaxValue: 10", "10.5", "is against MaxValue 10"}, {"Type: String, MaxValue: 10", "5", "MaxValue is for numbers"},
		{"Type: String, AllowedValue: [a]", "a", "template.yaml:1:32: Parameters/P: AllowedValue is no key of a parameter (did you mean AllowedValues?)"},
		{"Type: String, NoEcho: maybe", "a", "true or false is wanted here"}, {"Type: [String]", "a", "Type cannot be a list"},
		{"Type: String, AllowedValues: a", "a", "AllowedValues cannot be a text"}, {"Type: String", strings.Repeat("x", 4097), "longer than 4096 bytes"},
		{"Type: String, Default: [a]", "*", "Default cannot be a list"},
	} {
		src := "Parameters: {P: {" + c.declared + "}}\nResources: {R: {Type: 'A::B', Properties: {V: !Ref P}}}\n"
		in := inputs(map[string]string{"P": c.value})
		if c.value == "*" {
			in.Parameters = nil
		}
		in.Stored = func(name string) (string, bool) {
			v, ok := map[string]string{"/a": "stored", "/list": "x,y"}[name]
			return v, ok
		}
		s, found := mustParse(t, src).Resolve(in)
		if err := found.Err(); err != nil {
			if !strings.Contains(err.Error(), c.want) || c.want == "" || !strings.HasPrefix(err.Error(), "template.yaml:1:") {
				t.Errorf("%s = %.20q: %v; want %s", c.declared, c.value, err, c.want)
			}
			continue
		}
		v, _ := at(s, "Resources/R/Properties/V")
		if got := string(v.JSON()); got != c.want {
			t.Errorf("%s = %.20q: %s; want %s", c.declared, c.value, got, c.want)
		}
	}
	tpl := mustParse(t, "Parameters: {Stage: {Type: String, Default: a}}\nResources: {R: {Type: 'A::B'}}\n")
	if _, found := tpl.Resolve(Inputs{Parameters: map[string]string{"Stag": "x"}}); !strings.Contains(fmt.Sprint(found.Err()), `no parameter "Stag" (did you mean Stage?)`) {
		t.Error(found.Err())
	}
	const stored = "Parameters: {P: {Type: 'AWS::SSM::Parameter::Value<String>', Default: /a}}\n"
	for _, use := range []string{"!Ref P", "!Sub 'x${P}'", "[{a: {Ref: P}}]"} {
		tpl = mustParse(t, stored+"Resources: {R: {Type: 'A::B', Properties: {V: "+use+"}}}\n")
		if _, found := tpl.Resolve(Inputs{}); !strings.Contains(fmt.Sprint(found.Err()), "needs a parameter store, and there is none here") {
			t.Error(use, found.Err())
		}
	}
}

// A parameter of the parameter store that only rules read, as that of the CDK's bootstrap stack, keeps nobody from deploying: the rules
// that read it are named, the others hold.
func TestStoredParameterOfRules(t *testing.T) {
	src := "Parameters: {P: {Type: 'AWS::SSM::Parameter::Value<String>', Default: /a}, Q: {Type: String, Default: a}}\n" +
		"Rules: {One: {Assertions: [{Assert: {'Fn::Equals': [!Ref P, b]}}]}, Two: {Assertions: [{Assert: {'Fn::Equals': [!Ref Q, a]}}]}}\nResources: {R: {Type: 'A::B'}}\n"
	s, found := mustParse(t, src).Resolve(Inputs{})
	if len(found) > 0 || len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0].String(), "Rules/One: it is not checked") {
		t.Error(s, found)
	}
	if _, found = mustParse(t, src).Resolve(Inputs{Parameters: map[string]string{"Q": "b"}}); !strings.Contains(fmt.Sprint(found.Err()), "the rule Two does not hold") {
		t.Error(found.Err())
	}
}

// Attack: a NoEcho value is driven into every place that makes a message, alone and put together with others. No
// message shows it or its parts, and every value it goes into says that it is a secret.
func TestNoEcho(t *testing.T) {
	const secret = "s3cr3t-one,s3cr3t-two"
	forms := []string{"!Ref S", "!Sub '${S}'", "!Sub ['x${v}', {v: !Ref S}]", "!Join ['-', [a, !Ref S]]", "!Select [0, !Split [',', !Ref S]]",
		"!Base64 {Ref: S}", "!Ref L", "!Select [1, !Ref L]", "!Join ['', !Ref L]", "!If [C, !Ref S, x]", "{Fn::ToJsonString: [!Ref S]}",
		"!Split [s, !Ref S]", "!FindInMap [M, !Select [0, !Split [',', !Ref S]], v]"}
	places := []string{"V: %s", "V: !GetAtt [Q, %s]", "V: !Select [%s, [a]]", "V: !Select [0, %s]", "V: !FindInMap [%s, a, b]", "V: !FindInMap [M, a, %s]",
		"V: !Cidr [%s, 1, 8]", "V: !Cidr [10.0.0.0/8, %s, 8]", "V: !Cidr [10.0.0.0/8, 1, %s]", "V: {Fn::ImportValue: %s}", "V: {Fn::GetAZs: %s}", "V: !Join [%s, a]",
		"V: !Split [%s, [a]]", "V: !Sub ['${S}', {S: [%s]}]", "V: !Transform {Name: %s}", "V: !Base64 [%s]", "V: !If [%s, a, b]", "V: {Ref: %s}", "V: {Fn::Length: %s}"}
	leaks := func(s string) bool {
		return strings.Contains(s, "s3cr3t") || strings.Contains(s, base64.StdEncoding.EncodeToString([]byte("s3cr3t"))[:7])
	}
	failed := 0
	for _, form := range forms {
		for _, place := range places {
			for _, more := range []string{"", ", AllowedValues: [x], AllowedPattern: x+, MaxLength: 3"} {
				src := "Transform: AWS::LanguageExtensions\nParameters: {S: {Type: String, NoEcho: true" + more + "}, L: {Type: CommaDelimitedList, NoEcho: true}}\n" +
					"Mappings: {M: {s3cr3t-onf: {v: 1}, s3cr3t-one: {v: 1}}}\nConditions: {C: !Equals [a, a], D: !Equals [!Ref S, x]}\nResources:\n  Q: {Type: A::B}\n  R:\n    Type: A::B\n    DeletionPolicy: " +
					form + "\n    Properties:\n      " + fmt.Sprintf(place, form) + "\nOutputs: {O: {Value: " + form + ", Export: {Name: " + form + "}}}\n"
				_, found := mustParse(t, src).Resolve(inputs(map[string]string{"S": secret, "L": secret}))
				if err := found.Err(); err != nil {
					failed++
					if leaks(err.Error()) {
						t.Fatalf("%v\nof\n%s", err, src)
					}
				}
			}
		}
		src := "Transform: AWS::LanguageExtensions\nParameters: {S: {Type: String, NoEcho: true}, L: {Type: CommaDelimitedList, NoEcho: true}}\nConditions: {C: !Equals [a, a]}\n" +
			"Mappings: {M: {s3cr3t-one: {v: 1}}}\nResources: {R: {Type: A::B, Properties: {V: " + form + "}}}"
		s, found := mustParse(t, src).Resolve(inputs(map[string]string{"S": secret, "L": secret}))
		if err := found.Err(); err != nil {
			t.Fatalf("%s: %v", form, err)
		}
		v, _ := at(s, "Resources/R/Properties/V")
		if !v.Secret && !(v.Kind == List && v.List[0].Secret) || leaks(v.Quoted()) {
			t.Errorf("%s gives %s, which does not say that it is secret", form, v.Quoted())
		}
	}
	if failed < 300 {
		t.Errorf("only %d messages were seen", failed)
	}
}

// A loop over a secret would write it into logical ids.
func TestNoEchoLoop(t *testing.T) {
	_, found := mustParse(t, `Transform: AWS::LanguageExtensions
Parameters: {L: {Type: CommaDelimitedList, NoEcho: true}}
Resources:
  Fn::ForEach::X: [I, !Ref L, {"Q${I}": {Type: 'A::B'}}]
`).Resolve(Inputs{Parameters: map[string]string{"L": "hunter2"}})
	if err := found.Err(); err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "would show its value") {
		t.Error(err)
	}
}

func TestDeclared(t *testing.T) {
	list := mustParse(t, "Parameters: {A: {Type: String, Description: about, Default: x}, B: {Type: Number, NoEcho: 'true'}}\nResources: {R: {Type: 'A::B'}}\n").Declared()
	if len(list) != 2 || list[0].Name != "A" || list[0].Description != "about" || !list[0].Default || list[0].Value.Text != "x" || list[0].NoEcho ||
		!list[1].NoEcho || list[1].Default || !list[1].Value.Secret || list[1].Type != "Number" || list[1].At.Column != 65 {
		t.Errorf("%+v", list)
	}
}
