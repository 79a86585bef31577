package template

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// doubling makes n variables, each twice the one before.
func doubling(n int) string {
	v := `"aaaaaaaaaaaaaaaa"`
	for range n {
		v = fmt.Sprintf(`{"Fn::Sub":["${v}${v}${v}${v}",{"v":%s}]}`, v)
	}
	return v
}

// Attack: templates that are small to write and large to evaluate. Each is refused by a bound, and soon.
func TestBounds(t *testing.T) {
	many := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	resource := func(v string) string {
		return "Resources:\n  R:\n    Type: A::B\n    Properties:\n      V: " + v + "\n"
	}
	loops := `["x","y","z","x1","y1","z1","x2","y2","z2","x3"]`
	nested := `{"Type":"A::B"}`
	for i := range 8 {
		nested = fmt.Sprintf(`{"Fn::ForEach::L%d":["I%d",%s,{"K${I%d}":{"V":%s}}]}`, i, i, loops, i, nested)
	}
	big := strings.Repeat("x", 4096)
	for name, c := range map[string]struct{ src, want string }{
		"Sub in Sub":     {resource(doubling(15)), "bytes of text"},
		"Join of Joins":  {resource("!Join [" + big + ", [" + strings.TrimSuffix(strings.Repeat("!Ref P, ", 3000), ", ") + "]]"), "bytes of text"},
		"Split to parts": {resource("[" + many(200, "!Split [x, !Ref P], #%d\n        ") + "]"), "too many parts"},
		"Globals times functions": {"Transform: AWS::Serverless-2016-10-31\nGlobals:\n  Function:\n    Environment:\n      Variables:\n" + many(800, "        V%d: 1\n") +
			"Resources:\n" + many(400, "  R%d: {Type: 'AWS::Serverless::Function'}\n"), "steps"},
		"loops in loops": {"Transform: AWS::LanguageExtensions\nResources: " + nested, "steps (make the"},
		"a loop over itself": {"Transform: AWS::LanguageExtensions\nResources:\n  'Fn::ForEach::L': [I, " + loops + ", {'${I}${I}${I}${I}${I}${I}${I}${I}': {Type: A::B, Properties: {V: '" +
			strings.Repeat("${I}", 50_000) + "'}}}]", ""},
		"resources of loops": {"Transform: AWS::LanguageExtensions\nResources:\n  'Fn::ForEach::A': [I, !Ref L, {'Fn::ForEach::B': [J, !Ref L, {'R${I}x${J}': {Type: A::B}}]}]", "at most 500"},
	} {
		params := "Parameters: {P: {Type: String, Default: " + big + "}, L: {Type: CommaDelimitedList, Default: '" + strings.TrimSuffix(many(30, "%d,"), ",") + "'}}\n"
		_, found := mustParse(t, params+c.src).Resolve(inputs(nil))
		if err := found.Err(); c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %d problems %.300v", name, len(found), err)
		}
	}
}

// One line of a megabyte is read in one pass: its places are not counted from the start each time.
func TestLongLine(t *testing.T) {
	src := `{"Resources":{"R":{"Type":"A::B"}},"Metadata":{"V":[` + strings.Repeat(`"aaaaaaaa",`, 90_000) + `1]}}`
	v, _ := mustParse(t, src).Metadata.Get("V")
	if last := v.List[len(v.List)-1]; last.At.Column != len(src)-3 || last.At.Line != 1 {
		t.Errorf("the last value stands at %v of %d", last.At, len(src))
	}
}

// Every problem names a place in the file, whatever the bytes are; a template that is read resolves or says why; and
// it gives the same when it is resolved again.
func FuzzTemplate(f *testing.F) {
	for _, src := range corpus(f) {
		f.Add([]byte(src))
	}
	for _, src := range []string{"Resources: {R: {Type: 'A::B', Properties: " + doubling(5) + "}}", "a: &a [*a]", "<<: [{}]", "{\"a\": [1,}",
		"Resources: {R: {Type: 'A::B', Properties: {V: !Sub '${R.${', W: !Cidr [::/0, 256, 128], X: !Select [-1, []]}}}",
		"Conditions: {A: !Not [Condition: A]}\nResources: {R: {Type: 'A::B', Condition: A, DependsOn: [R, S]}}",
		"Transform: AWS::LanguageExtensions\nResources: {Fn::ForEach::A: [I, [a], {'R${I}': {Type: 'A::B', Properties: !Ref I}}]}",
		"Globals: {Function: {Fn::If: [a]}}\nTransform: [AWS::Serverless-2016-10-31]\nResources: {F: {Type: 'AWS::Serverless::Function', IgnoreGlobals: [x], Properties: []}}"} {
		f.Add([]byte(src))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		tpl, found := Parse("t.yaml", data)
		places(t, data, found)
		if (tpl == nil) != (len(found) > 0) {
			t.Fatalf("a template and problems, or neither: %v", found)
		}
		if tpl == nil {
			return
		}
		s, found := tpl.Resolve(inputs(nil))
		places(t, data, found)
		if (s == nil) != (len(found) > 0) {
			t.Fatalf("a stack and problems, or neither: %v", found)
		}
		if s == nil {
			return
		}
		again, _ := tpl.Resolve(inputs(nil))
		for i, r := range s.Resources {
			if string(r.Properties.JSON()) != string(again.Resources[i].Properties.JSON()) || r.ID != again.Resources[i].ID {
				t.Fatalf("%s resolves to something else the second time", r.ID)
			}
			sound(t, r.Properties)
			if r.At.Line < 1 || r.TypeAt.Line < 1 {
				t.Fatalf("%s has no place", r.ID)
			}
		}
	})
}

func places(t *testing.T, data []byte, found Problems) {
	lines := 2 + strings.Count(string(data), "\n") + strings.Count(string(data), "\r") + strings.Count(string(data), "\u0085") +
		strings.Count(string(data), "\u2028") + strings.Count(string(data), "\u2029")
	for _, p := range found {
		if p.At.File != "t.yaml" || p.At.Line < 1 || p.At.Line > lines || p.At.Column < 1 || p.Message == "" {
			t.Fatalf("a problem without a place: %v", p)
		}
	}
}

// grammar draws a template whose values call functions with whatever arguments: nearly right, and wrong everywhere.
func grammar(t *rapid.T, depth int) any {
	leaf := rapid.SampledFrom([]any{"P", "L", "R", "R.Arn", "S", "C", "D", "M", "AWS::Region", "AWS::NoValue", "${P}", "${R.Arn}${L}", "${!x}", "", ",", "0", 1, -1, true,
		nil, "10.0.0.0/8", "{{resolve:ssm:x}}", "Retain", "F.Version", "ServerlessRestApi"})
	if depth == 0 || rapid.IntRange(0, 9).Draw(t, "leaf") < 3 {
		return leaf.Draw(t, "value")
	}
	list := func() []any {
		out := []any{}
		for range rapid.IntRange(0, 4).Draw(t, "size") {
			out = append(out, grammar(t, depth-1))
		}
		return out
	}
	switch rapid.IntRange(0, 9).Draw(t, "kind") {
	case 0:
		return list()
	case 1:
		return map[string]any{"a": grammar(t, depth-1), "Ref2": grammar(t, depth-1)}
	}
	name := rapid.SampledFrom(append(functionNames(), "Condition", "Fn::Contains", "Fn::EachMemberIn", "Fn::ForEach::X", "Fn::Nope")).Draw(t, "function")
	if rapid.Bool().Draw(t, "list") {
		return map[string]any{name: list()}
	}
	return map[string]any{name: grammar(t, depth-1)}
}

// Property: whatever the functions are called with, resolving ends, names a place for each problem, and gives no stack
// with one.
func TestResolveProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		section := func() any {
			if rapid.Bool().Draw(t, "plain") {
				return map[string]any{"a": "x"}
			}
			return grammar(t, 3)
		}
		data, err := json.Marshal(map[string]any{
			"Transform":  []string{LanguageExtensions, Serverless},
			"Parameters": map[string]any{"P": map[string]any{"Type": "String", "Default": "x"}, "L": map[string]any{"Type": "CommaDelimitedList", "Default": "a,b"}},
			"Mappings":   map[string]any{"M": map[string]any{"P": map[string]any{"0": "x"}}},
			"Conditions": map[string]any{"C": map[string]any{"Fn::Equals": []any{"a", "a"}}, "D": map[string]any{"Fn::Not": []any{section()}}},
			"Globals":    map[string]any{"Function": map[string]any{"Tags": section()}},
			"Resources": map[string]any{"R": map[string]any{"Type": "A::B", "Properties": map[string]any{"V": section()}},
				"S": map[string]any{"Type": "A::B", "Condition": "D", "DependsOn": "R", "Properties": section()},
				"F": map[string]any{"Type": "AWS::Serverless::Function", "Properties": map[string]any{"Tags": section(), "Events": section()}}},
			"Outputs": map[string]any{"O": map[string]any{"Value": section()}}})
		if err != nil {
			t.Fatal(err)
		}
		tpl, found := Parse("t.yaml", data)
		if len(found) > 0 {
			t.Fatalf("%v\n%s", found, data)
		}
		s, found := tpl.Resolve(inputs(nil))
		for _, p := range found {
			if p.At.Line != 1 || p.At.Column < 1 || p.At.File != "t.yaml" {
				t.Fatalf("%v has no place in\n%s", p, data)
			}
		}
		if (s == nil) != (len(found) > 0) {
			t.Fatalf("a stack and problems, or neither: %v", found)
		}
		if s != nil {
			for _, r := range s.Resources {
				sound(t, r.Properties)
			}
			for _, o := range s.Outputs {
				sound(t, o.Value)
			}
		}
	})
}

// sound fails where a stack without problems holds what has one, or a value without a place.
func sound(t interface{ Fatalf(string, ...any) }, v Value) {
	if v.Unknown == invalid || v.At.Line < 1 || v.Kind == Null {
		t.Fatalf("%+v in a stack without problems", v)
	}
	for _, x := range v.List {
		sound(t, x)
	}
	for _, m := range v.Members {
		sound(t, m.Value)
	}
}
