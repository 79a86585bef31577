package sam

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"casemate"
)

func TestParseConfigTakesStackAndParameters(t *testing.T) {
	const text = `version = 0.1
[default]
[default.global.parameters]
stack_name = "everywhere"
[default.deploy.parameters]
stack_name = "shop" # the shop
capabilities = "CAPABILITY_IAM"
parameter_overrides = "Stage=\"prod\" Table='two words'"
[prod.deploy.parameters]
parameter_overrides = [
  "Stage=prod",
  'Table=t',
]
[other.global.parameters]
stack_name = 'o'
`
	for environment, want := range map[string]string{"default": `shop [Stage="prod" Table='two words']`, "prod": " [Stage=prod Table=t]", "other": "o []", "nosuch": " []"} {
		c, err := ParseConfig([]byte(text), environment)
		if got := c.Stack + " [" + strings.Join(c.Parameters, " ") + "]"; err != nil || got != want {
			t.Errorf("%s: %s, %v; not %s", environment, got, err, want)
		}
	}
	for _, bad := range []string{`stack_name = shop`, `stack_name = "a", "b"`, `parameter_overrides = ["a`, `stack_name = "\q"`, `stack_name = `} {
		if _, err := ParseConfig([]byte("[default.deploy.parameters]\n"+bad), "default"); casemate.CodeOf(err) != casemate.Invalid {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestOverridesAreReadAsSAMReadsThem(t *testing.T) {
	for text, want := range map[string]string{
		"A=1 B=2": "A=1|B=2", `A="two words" B='x y'`: "A=two words|B=x y", "A=": "A=", "A=b=c": "A=b=c", `A=x\ y`: "A=x y", "": "", "ParameterKey=A,ParameterValue=1 B=2": "A=1|B=2",
	} {
		got := map[string]string{}
		if err := Overrides(got, text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		var list []string
		for _, k := range slices.Sorted(maps.Keys(got)) {
			list = append(list, k+"="+got[k])
		}
		if s := strings.Join(list, "|"); s != want {
			t.Errorf("%s: %s, not %s", text, s, want)
		}
	}
	if err := Overrides(map[string]string{}, "Password hunter2"); casemate.CodeOf(err) != casemate.Invalid {
		t.Error(err)
	}
}

func FuzzConfig(f *testing.F) {
	f.Add("[default.deploy.parameters]\nstack_name = \"a\"\nparameter_overrides = ['x=1', \"y=2\"]")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseConfig([]byte(text), "default")
		if err != nil {
			return
		}
		for _, p := range c.Parameters {
			_ = Overrides(map[string]string{}, p)
		}
	})
}
