package template

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"casemate/internal/casetest/samoracle"
)

// tree draws a value as it may stand in Globals: the same few keys again and again, so that they meet.
func tree(r *rand.Rand, depth int) any {
	switch n := r.IntN(9); {
	case depth > 0 && n < 4:
		m := map[string]any{}
		for range r.IntN(4) {
			m[[]string{"a", "b", "c", "Condition", "Ref2"}[r.IntN(5)]] = tree(r, depth-1)
		}
		return m
	case depth > 0 && n < 6:
		l := []any{}
		for range r.IntN(3) {
			l = append(l, tree(r, depth-1))
		}
		return l
	case n == 6:
		return map[string]any{[]string{"Ref", "Fn::Sub", "Condition", "Fn::GetAtt"}[r.IntN(4)]: "x"}
	case n == 7:
		return r.IntN(3) == 0
	}
	return r.IntN(100)
}

// Lambda checklist: 83, 88
//
// Globals merge as AWS's transform merges them, in 400 drawn cases, and every one of its policy templates expands to
// the same statements.
func TestAgainstTransform(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var merges []map[string]json.RawMessage
	for range 400 {
		m := map[string]json.RawMessage{}
		for _, k := range []string{"global", "own"} {
			v := tree(r, 3)
			for _, ok := v.(map[string]any); !ok; _, ok = v.(map[string]any) {
				v = tree(r, 3)
			}
			m[k], _ = json.Marshal(v)
		}
		merges = append(merges, m)
	}
	sections := []json.RawMessage{[]byte(`{"Function":{"Timeout":3}}`), []byte(`{"Function":{"FunctionName":3}}`), []byte(`{"Api":{"StageName":"x"}}`),
		[]byte(`{"Fn":{}}`), []byte(`{"Function":[]}`), []byte(`{"HttpApi":{"Auth":{}}}`), []byte(`{"Function":{"Role":"x"}}`), []byte(`{"Function":{"Policies":[]}}`)}
	a := samoracle.Ask(t, samoracle.Question{Merges: merges, Globals: sections})
	for i, m := range merges {
		got := merged(fromJSON(t, m["global"]), fromJSON(t, m["own"])).JSON()
		if !sameJSON(t, got, a.Merges[i]) {
			t.Errorf("%s under %s gives %s, want %s", m["global"], m["own"], got, a.Merges[i])
		}
	}
	for i, s := range sections {
		src := `{"Transform":"AWS::Serverless-2016-10-31","Resources":{"R":{"Type":"A::B"}},"Globals":` + string(s) + `}`
		_, found := mustParse(t, src).Resolve(inputs(nil))
		if (a.Refused[i] == "") != (len(found) == 0) {
			t.Errorf("Globals %s: %v; the transform says %q", s, found, a.Refused[i])
		}
	}
	for section, names := range globalProperties() {
		want := a.Properties["AWS::Serverless::"+section]
		if slices.Sort(want); !slices.Equal(slices.Sorted(slices.Values(names)), want) {
			t.Errorf("Globals of %s are %v, want %v", section, names, want)
		}
	}
	if len(globalProperties()) != len(a.Properties) {
		t.Errorf("%d sections of Globals, want %d", len(globalProperties()), len(a.Properties))
	}
	comparePolicies(t, a)
}

func comparePolicies(t *testing.T, a samoracle.Parts) {
	s := &Stack{in: inputs(nil)}
	var names []string
	for name, want := range a.Policies {
		names = append(names, name)
		params := Value{Kind: Map}
		for k, v := range want.Parameters {
			params.Members = append(params.Members, Member{Key: k, Value: Value{Kind: String, Text: v}})
		}
		got, found := s.Policy(Member{Key: name, Value: params}, "P")
		if err := found.Err(); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var document map[string][]map[string]any
		if err := json.Unmarshal(got.JSON(), &document); err != nil {
			t.Fatal(err)
		}
		for _, statement := range slices.Concat(document["Statement"], want.Document["Statement"]) {
			for _, k := range []string{"Action", "Resource"} {
				if one, ok := statement[k].(string); ok {
					statement[k] = []any{one} // one text and a list of one mean the same
				}
			}
		}
		if !reflect.DeepEqual(document, want.Document) {
			t.Errorf("%s gives\n%v\nwant\n%v", name, document, want.Document)
		}
	}
	slices.Sort(names)
	if ours := PolicyTemplates(); !slices.Equal(ours, names) || len(names) < 81 {
		t.Errorf("our templates are\n%v\nwant\n%v", ours, names)
	}
}

func fromJSON(t *testing.T, data []byte) Value {
	t.Helper()
	v, found := parseJSON(&text{file: "f", data: data})
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return v
}

func sameJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		t.Fatalf("no JSON: %s or %s", a, b)
	}
	return reflect.DeepEqual(x, y)
}

// Lambda checklist: 88
func TestPolicyRefusals(t *testing.T) {
	s := &Stack{in: inputs(nil)}
	queue := Value{Kind: Map, Members: []Member{{Key: "QueueName", Value: Value{Kind: String, Text: "${Q}", Unknown: "Q"}}, {Key: "Else", Value: Value{}}}}
	for _, c := range []struct {
		name   string
		params Value
		want   string
	}{
		{"SQSPolerPolicy", queue, `"SQSPolerPolicy" is no policy template of SAM (did you mean SQSPollerPolicy?)`},
		{"", queue, `"" is no policy template`}, {"#", queue, `"#" is no policy template`}, {"\tsqs:SendMessage*", queue, "is no policy template"},
		{"SQSPollerPolicy QueueName", queue, "is no policy template"}, {"SQSPollerPolicy\n", queue, "is no policy template"},
		{"SQSPollerPolicy", Value{Kind: Map}, "SQSPollerPolicy needs the parameter QueueName"},
		{"SQSPollerPolicy", Value{}, "the parameters of SQSPollerPolicy are a mapping, this is nothing (write {} for none)"},
		{"SQSPollerPolicy", Value{Kind: Map, Members: []Member{{Key: "QueueName", Value: Value{Kind: List}}}}, "P/QueueName: a text is wanted here, this is a list"},
		{"SQSPollerPolicy", queue, ""},
	} {
		v, found := s.Policy(Member{Key: c.name, Value: c.params, KeyAt: Position{"f", 1, 2}}, "P")
		if got := fmt.Sprint(found.Err()); c.want != "" && (!strings.Contains(got, c.want) || !strings.HasPrefix(got, "f:") && c.params.Kind == Map && !strings.Contains(got, "P/")) {
			t.Errorf("%q: %s; want %s", c.name, got, c.want)
		}
		if c.want == "" {
			list, _ := v.Get("Statement")
			resource, _ := list.List[0].Get("Resource")
			if x := resource.List[0]; x.Unknown != "Q" || x.Text != "arn:aws:sqs:eu-west-1:123456789012:${Q}" {
				t.Errorf("the resource is %+v", x)
			}
		}
	}
	v, found := (&Stack{}).Policy(Member{Key: "AWSSecretsManagerRotationPolicy", Value: Value{Kind: Map, Members: []Member{{Key: "FunctionName",
		Value: Value{Kind: String, Text: "x", Secret: true}}}}}, "P")
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	if got := string(v.JSON()); !strings.Contains(got, `"Condition":{"StringEquals":{"secretsmanager:resource/AllowRotationLambdaArn":"arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:x"}}`) {
		t.Error(got)
	}
}

// Lambda checklist: 81
//
// The corpus, and scalars in every notation, read as AWS's tools read them; the list below says where they read
// something that its writer cannot have meant, and we keep the text.
func TestReadsAsTransform(t *testing.T) {
	kept := map[string]bool{"012": true, "0123": true, "-07": true, "0x1F": true, "0b11": true, "1_000": true, "1_0.5": true, "22:30": true, "1:30:00": true,
		"190:20:30.15": true, ".inf": true, "-.INF": true, ".NaN": true, "2001-12-14t21:59:43Z": true, "2001-12-14 21:59:43": true, "=": true, "1.": true}
	var names, texts []string
	for name, src := range corpus(t) {
		names, texts = append(names, name), append(texts, src)
	}
	for _, scalar := range strings.Fields(`a 1 -1 0 10 1.5 1.5e+3 1e3 1.0e3 0o17 yes Yes YES yEs no on Off n y true TRUE tRUE null NULL ~ nUll 2012-10-17 08 09 012345678901 008 ` +
		`1.2.3 v1 1a 1- - --- 12:x x:1 !!str 0.0 -0 1,000 +1.0 <<x "1" '1' "\u00e9" 'it''s' 1.e+2 0.5e-3 $x @x`) {
		names, texts = append(names, scalar), append(texts, "V: "+scalar)
	}
	for scalar := range kept {
		names, texts = append(names, scalar), append(texts, "V: "+scalar)
	}
	var asked []string
	var values []Value
	var of []string
	for i, src := range texts {
		v, found := parseYAML("f", []byte(src))
		if len(found) == 0 && scalarAsIs(v) {
			asked, values, of = append(asked, src), append(values, v), append(of, names[i])
		}
	}
	if len(asked) < 85 {
		t.Errorf("only %d texts", len(asked))
	}
	a := samoracle.Ask(t, samoracle.Question{Templates: asked})
	for i := range asked {
		if same := sameJSON(t, values[i].JSON(), a.Read[i]); same == kept[of[i]] {
			t.Errorf("%s reads as %.300s; AWS's tools read %.300s", of[i], values[i].JSON(), a.Read[i])
		}
	}
}

// scalarAsIs leaves out what JSON cannot write: +1.
func scalarAsIs(v Value) bool {
	x, ok := v.Get("V")
	return !ok || x.Kind != Number || json.Valid([]byte(x.Text))
}
