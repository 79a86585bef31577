package template

import (
	"fmt"
	"strings"
	"testing"
)

// decided resolves a template whose resource Q is there when the condition C holds.
func decided(t testing.TB, conditions string, parameters map[string]string) (bool, error) {
	t.Helper()
	src := "Parameters: {P: {Type: String, Default: a}, N: {Type: Number, Default: 5}, L: {Type: CommaDelimitedList, Default: 'a,b'}}\n" +
		"Mappings: {M: {a: {v: 'true'}}}\n" + conditions +
		"\nResources: {R: {Type: 'A::B'}, Q: {Type: 'A::B', Condition: C}}\n"
	s, found := mustParse(t, src).Resolve(inputs(parameters))
	if err := found.Err(); err != nil {
		return false, err
	}
	return len(s.Resources) == 2, nil
}

// Lambda checklist: 82, 90
func TestConditions(t *testing.T) {
	for _, c := range []struct {
		src  string
		want bool
	}{
		{"!Equals [!Ref P, a]", true}, {"!Equals [!Ref P, b]", false}, {"!Equals [!Ref N, '5']", true}, {"!Equals [true, 'true']", true},
		{"!Equals [!Ref AWS::Region, eu-west-1]", true}, {"!Equals [!FindInMap [M, !Ref P, v], true]", true},
		{"!Equals [!Join ['-', [!Ref P, x]], a-x]", true}, {"!Equals [!Select [1, !Ref L], b]", true}, {"!Equals [!Sub '${P}!', 'a!']", true},
		{"!Equals ['', '']", true}, {"!Equals [A, a]", false}, {"!Not [!Equals [a, b]]", true},
		{"!And [!Equals [a, a], !Equals [b, b]]", true}, {"!And [!Equals [a, a], !Equals [a, b]]", false},
		{"!Or [!Equals [a, b], !Equals [b, b]]", true}, {"!Or [!Equals [a, b], !Equals [b, c]]", false},
		{"!And [Condition: T, !Not [!Condition F], !Or [Condition: F, {Condition: T}]]", true},
		{"{Condition: F}", false}, {"{'Fn::Equals': [{Ref: P}, a]}", true},
	} {
		got, err := decided(t, "Conditions:\n  C: "+c.src+"\n  T: !Equals [a, a]\n  F: !Equals [a, b]\n", nil)
		if err != nil || got != c.want {
			t.Errorf("%s: %v, %v; want %v", c.src, got, err, c.want)
		}
	}
	if got, err := decided(t, "Conditions: {C: !Equals [!Ref P, b]}", map[string]string{"P": "b"}); !got || err != nil {
		t.Errorf("with a parameter: %v, %v", got, err)
	}
}

// An error inside a condition refuses the template, even where the rest of the condition would decide it: it is never
// false, and never skipped.
func TestConditionErrorsRefuse(t *testing.T) {
	for src, want := range map[string]string{
		"C: !Or [!Equals [a, a], !Equals [!FindInMap [M, x, v], y]]": `4:51: Conditions/C/Fn::Or/1/Fn::Equals/Fn::FindInMap: "x" is no key of this mapping`,
		"C: !And [!Equals [a, b], !Equals [!Select [9, !Ref L], b]]": "is none of this list of 2",
		"C: !Equals [!Ref R, a]":                                     "R is a resource, and conditions are decided before there are any (use a parameter)",
		"C: !Equals [!GetAtt R.Arn, a]":                              "R is a resource",
		"C: !Equals [!Sub '${R.Arn}', a]":                            "R is a resource",
		"C: !Equals [!ImportValue x, a]":                             "conditions are decided before anything is imported",
		"C: !Equals [!Ref L, a]":                                     "a text is wanted here, this is a list",
		"C: !Equals [a]":                                             "a list is wanted here, of length 2",
		"C: !Equals [!Ref AWS::NoValue, a]":                          "AWS::NoValue cannot stand here",
		"C: !Equals ['{{resolve:ssm:x}}', a]":                        "this cannot be decided: {{resolve:ssm:x}} is not known",
		"C: !And [!Equals [a, a]]":                                   "a list is wanted here, of length 2 to 10",
		"C: !Not [!Equals [a, a], !Equals [a, a]]":                   "a list is wanted here, of length 1",
		"C: !Not [a]":                           "this is no condition",
		"C: {Fn::Equals: [a, a], Fn::Not: [a]}": "this is no condition",
		"C: {}":                                 "this is no condition",
		"C: {Condition: [a]}":                   "the name of a condition is wanted here",
		"C: !Condition D":                       `"D" is no condition of this template`,
		"C: !Contains [[a], a]":                 "Fn::Contains stands only in rules",
		"C: !Not [!Condition C]":                "the condition C depends on itself",
		"C: !Not [!Condition D]\n  D: !Or [Condition: E, Condition: E]\n  E: {Condition: C}": "the condition C depends on itself",
		"C: !Equals [a, a]\n  Unused: !Equals [!Ref Nobody, a]":                              `5:20: Conditions/Unused/Fn::Equals/0/Ref: "Nobody" is no resource or parameter`,
		"C: !Equals [a, a]\n  Unused: !Equals [!FindInMap [M, x, v], y]":                     "is no key of this mapping",
		"C: !Equals [{Fn::Length: [a]}, 1]":                                                  "needs the language extensions",
		"C: !Equals [!If [C, a, b], a]":                                                      "the condition C depends on itself",
		"C: !Equals [a, !Ref [b]]":                                                           "Ref takes a name",
		"C: !Equals [a, ~]":                                                                  "nothing stands here",
		"C: !Or [" + strings.TrimSuffix(strings.Repeat("!Equals [a, b], ", 11), ", ") + "]":  "a list is wanted here, of length 2 to 10",
	} {
		got, err := decided(t, "Conditions:\n  "+src, nil)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "template.yaml:") {
			t.Errorf("%s: %v, %v\nwant %s", src, got, err, want)
		}
	}
	tpl := mustParse(t, "Conditions: {C: !Equals [!Ref AWS::Region, x]}\nResources: {R: {Type: 'A::B'}}")
	if _, found := tpl.Resolve(Inputs{}); !strings.Contains(fmt.Sprint(found.Err()), "AWS::Region is not known") {
		t.Errorf("without a region: %v", found.Err())
	}
}

// A chain of conditions is bounded, and so is what their diamonds cost.
func TestConditionChains(t *testing.T) {
	chain := "Conditions:\n  C: !And [Condition: C0, Condition: C0]\n"
	for i := range 50 {
		chain += fmt.Sprintf("  C%d: !And [Condition: C%d, Condition: C%d]\n", i, i+1, i+1)
	}
	if got, err := decided(t, chain+"  C50: !Equals [a, a]\n", nil); !got || err != nil {
		t.Errorf("fifty diamonds: %v, %v", got, err)
	}
	chain = "Conditions:\n  C: {Condition: C0}\n"
	for i := range 2000 {
		chain += fmt.Sprintf("  C%d: {Condition: C%d}\n", i, i+1)
	}
	if _, err := decided(t, chain+"  C2000: !Equals [a, a]\n", nil); err == nil || !strings.Contains(err.Error(), "deeper than") {
		t.Errorf("a chain of 2000: %v", err)
	}
}

func TestRules(t *testing.T) {
	const end = "\nResources: {R: {Type: 'A::B'}}\nParameters: {P: {Type: String, Default: a}, L: {Type: CommaDelimitedList, Default: 'a,b'}, S: {Type: String, NoEcho: true, Default: hunter2}}\n"
	for src, want := range map[string]string{
		"Rules: {R: {Assertions: [{Assert: !Equals [!Ref P, a]}]}}":                                "",
		"Rules: {R: {Assertions: [{Assert: !Equals [!Ref P, b], AssertDescription: it is b}]}}":    "1:26: Rules/R: the rule R does not hold (it is b)",
		"Rules: {R: {RuleCondition: !Equals [!Ref P, b], Assertions: [{Assert: !Equals [a, b]}]}}": "",
		"Rules: {R: {Assertions: [{Assert: !Contains [[a, c], !Ref P]}]}}":                         "",
		"Rules: {R: {Assertions: [{Assert: !Contains [[b, c], !Ref P]}]}}":                         "does not hold",
		"Rules: {R: {Assertions: [{Assert: !EachMemberIn [!Ref L, [a, b, c]]}]}}":                  "",
		"Rules: {R: {Assertions: [{Assert: !EachMemberIn [!Ref L, [a]]}]}}":                        "does not hold",
		"Rules: {R: {Assertions: [{Assert: !EachMemberEquals [[a, a], !Ref P]}]}}":                 "",
		"Rules: {R: {Assertions: [{Assert: !EachMemberEquals [!Ref L, a]}]}}":                      "does not hold",
		"Rules: {R: {Assertions: [{Assert: !Not [!Contains [[a], !Ref P]]}]}}":                     "does not hold",
		"Rules: {R: {Assertions: [{Assert: !RefAll 'AWS::EC2::VPC::Id'}]}}":                        "Fn::RefAll cannot be evaluated here",
		"Rules: {R: {Assertions: [{Assert: !Equals [!ValueOf [a, b], c]}]}}":                       "Fn::ValueOf stands only in conditions",
		"Rules: {R: {Assertions: [{Assert: !Not [!Contains [x, !Ref P]]}]}}":                       "a list is wanted here",
		"Rules: {R: {Assertion: []}}":                                                              "Assertion is no key of a rule",
		"Rules: {R: {Assertions: [{AssertDescription: x}]}}":                                       "an assertion has an Assert",
		"Rules: {R: {Assertions: [{Assert: !Equals [!Ref S, x]}]}}":                                "does not hold",
		"Rules: {R: {RuleCondition: !Equals [!Ref Q, b], Assertions: [{Assert: !Equals [a, a]}]}}": `"Q" is no resource or parameter`,
	} {
		_, found := mustParse(t, src+end).Resolve(inputs(nil))
		err := found.Err()
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%s: %v; want %q", src, err, want)
		}
	}
}
