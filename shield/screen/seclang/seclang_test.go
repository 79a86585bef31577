package seclang

import (
	"reflect"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	rules, err := Parse("a.conf", `# comment
SecRule ARGS|!ARGS:/^a|b$/|&TX:x|XML:/* "!@rx (?i)\"x\"|y" \
    "id:1001,\
    phase:2,\
    block,\
    t:none,t:urlDecodeUni,t:lowercase,\
    msg:'a, b: c',\
    severity:'CRITICAL',\
    setvar:'tx.score=+%{tx.critical}',\
    chain"
    SecRule MATCHED_VARS "@pm one two" "skipAfter:END"
SecMarker "END"
SecRuleUpdateTargetById 1001 "!ARGS:z"
`)
	if err != nil {
		t.Fatal(err)
	}
	want := []*Rule{
		{ID: 1001, Phase: 2, Line: 2, Targets: []Target{{Name: "ARGS", Except: []Target{{Name: "ARGS", Key: "^a|b$", Regex: true}}}, {Name: "TX", Key: "x", Count: true}, {Name: "XML", Key: "/*"}},
			Op: Operator{Name: "rx", Argument: `(?i)"x"|y`, Negated: true}, Transforms: []string{"urlDecodeUni", "lowercase"}, Message: "a, b: c", Severity: "CRITICAL",
			Sets: []Set{{Name: "score", Value: "+%{tx.critical}"}}, Disrupt: "block",
			Chain: &Rule{Phase: 2, Line: 11, Targets: []Target{{Name: "MATCHED_VARS"}}, Op: Operator{Name: "pm", Argument: "one two"}, SkipAfter: "END"}},
		{Line: 12, Marker: "END"},
		{Line: 13, Update: 1001, Targets: []Target{{Name: "ARGS", Key: "z"}}},
	}
	if !reflect.DeepEqual(rules, want) {
		for i, r := range rules {
			t.Errorf("%+v\nchain %+v\nwant %+v", *r, r.Chain, *want[i])
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for text, says := range map[string]string{
		"SecRule ARGS":                        "without an operator",
		`SecRule ARGS "@rx x" "phase:2"`:      "without an id",
		`SecRule ARGS "@rx x" "id:1,explode"`: "unknown action",
		`SecRule ARGS "@rx x" "id:1,phase:9"`: "no phase 9",
		`SecAction "id:1,setvar:ip.x=1"`:      "not on TX",
		"SecHashEngine On":                    "unknown directive",
		`SecRule ARGS "@rx x" "id:1,chain"`:   "inside a rule",
		`SecRuleUpdateTargetById 1 "ARGS:x"`:  "adds targets",
		`SecRule ARGS "@rx x" id:1`:           "not one quoted string",
	} {
		if _, err := Parse("x", text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v; want %q", text, err, says)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("SecRule ARGS|!ARGS:/x/ \"@rx a\" \"id:1,phase:2,setvar:'tx.a=%{x}',chain\"\nSecRule A:'/b/' \"!c\" \"t:none\"")
	f.Fuzz(func(_ *testing.T, s string) { _, _ = Parse("fuzz", s) })
}
