package template

import (
	"strconv"
	"strings"
	"testing"
)

// inputs are those of the corpus and of the table of functions.
func inputs(parameters map[string]string) Inputs {
	return Inputs{Parameters: parameters, Region: "eu-west-1", Account: "123456789012", StackName: "shop", Partition: "aws",
		Exports: map[string]string{"shared-role": "arn:aws:iam::123456789012:role/shared"}}
}

// at gives the value at a path of a resolved stack; ~1 in a key is a slash.
func at(s *Stack, path string) (Value, bool) {
	keys := strings.Split(path, "/")
	for i := range keys {
		keys[i] = strings.ReplaceAll(keys[i], "~1", "/")
	}
	var v Value
	rest := keys[2:]
	for _, o := range s.Outputs {
		if keys[0] == "Outputs" && o.Name == keys[1] {
			v = o.Value
		}
	}
	for _, r := range s.Resources {
		if keys[0] == "Resources" && r.ID == keys[1] {
			v = map[string]Value{"Properties": r.Properties, "Metadata": r.Metadata, "Connectors": r.Connectors}[keys[2]]
			rest = keys[3:]
		}
	}
	for _, k := range rest {
		if i, err := strconv.Atoi(k); v.Kind == List && err == nil && i < len(v.List) {
			v = v.List[i]
			continue
		}
		next, ok := v.Get(k)
		if !ok {
			return v, false
		}
		v = next
	}
	return v, true
}

// Lambda checklist: 81, 90
//
// Every template resolves, gives what its own comments expect, and says nothing outside of its lines.
func TestCorpus(t *testing.T) {
	expected := 0
	for name, src := range corpus(t) {
		tpl, found := Parse(name, []byte(src))
		if err := found.Err(); err != nil {
			t.Errorf("%v", err)
			continue
		}
		s, found := tpl.Resolve(inputs(nil))
		if err := found.Err(); err != nil {
			t.Errorf("%v", err)
			continue
		}
		for line := range strings.Lines(src) {
			if rest, ok := strings.CutPrefix(line, "# "); ok {
				expect(t, name, s, strings.TrimSpace(rest))
				expected++
			}
		}
		if !strings.Contains(src, "Condition: ") && !strings.Contains(src, "ForEach") && len(s.Resources) != len(tpl.res.Members) {
			t.Errorf("%s: %d of %d resources", name, len(s.Resources), len(tpl.res.Members))
		}
	}
	if expected < 60 {
		t.Errorf("only %d expectations", expected)
	}
}

func expect(t *testing.T, name string, s *Stack, line string) {
	t.Helper()
	what, rest, _ := strings.Cut(line, ": ")
	path, want, _ := strings.Cut(rest, " = ")
	switch what {
	case "expect":
		if v, ok := at(s, path); !ok || v.Text != want {
			t.Errorf("%s: %s is %q, want %q", name, path, v.Text, want)
		}
	case "unknown":
		if v, ok := at(s, path); !ok || v.Unknown != want {
			t.Errorf("%s: %s waits for %q, want %q", name, path, v.Unknown, want)
		}
	case "count":
		if v, _ := at(s, path); strconv.Itoa(len(v.Members)) != want {
			t.Errorf("%s: %s has %d members, want %s", name, path, len(v.Members), want)
		}
	case "order":
		var ids []string
		for _, r := range s.Resources {
			ids = append(ids, r.ID)
		}
		if got := strings.Join(ids, " "); got != rest {
			t.Errorf("%s: the order is %s, want %s", name, got, rest)
		}
	default:
		t.Errorf("%s: %s is no expectation", name, line)
	}
}
