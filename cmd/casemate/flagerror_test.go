package main

import (
	"strings"
	"testing"

	"casemate"
)

// TestFlagErrors holds what is said about a mistyped flag to naming it and its mend.
func TestFlagErrors(t *testing.T) {
	for line, want := range map[string][2]string{
		"deploy hello --enviroment prod": {"", "did you mean --environment?"},
		"up --source-rat 1/s":            {"", "did you mean --source-rate?"},
		"up --zzzzzzzz":                  {"", "casemate up --help says more"},
		"up --slowest 32KB":              {"--slowest", "without a unit"},
		"up --header-time 5":             {"--header-time", "5s"},
	} {
		root := (&app{}).root()
		root.SetArgs(strings.Fields(line))
		verb, err := root.ExecuteC()
		if err == nil {
			t.Fatalf("%s: taken", line)
		}
		e := asUsage(err, verb)
		if e.Code != casemate.Invalid || e.Field != want[0] || !strings.Contains(e.Hint, want[1]) || strings.Contains(e.Error(), "strconv") {
			t.Errorf("%s: field %q, %v, hint %q", line, e.Field, e, e.Hint)
		}
	}
}
