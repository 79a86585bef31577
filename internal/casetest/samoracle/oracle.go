// Package samoracle asks samtranslator, the implementation of the SAM transform that AWS publishes, what it makes of templates. Tests
// compare what is made here with it: one Python process answers all the questions of a test.
package samoracle

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"os"
	"os/exec"
	"testing"
)

//go:embed transform.py
var transform string

//go:embed rules.py
var rules string

// Outcome is what a template comes to.
type Outcome struct {
	Functions []string                     `json:"functions"`
	Routes    map[string]string            `json:"routes"` // route key to function and credentials
	Polled    []string                     `json:"polled"` // function, queue, batch, window, enabled, response types, concurrency, patterns
	URLs      map[string]string            `json:"urls"`
	May       map[string][]string          `json:"may"` // statements of the function's role, and managed policies by name
	Async     map[string]int               `json:"async"`
	Settings  map[string]map[string]string `json:"settings"`  // by function and property
	Scheduled []string                     `json:"scheduled"` // function, expression, state, input
	Callers   map[string][]string          `json:"callers"`   // principals of permissions, by function
	Aliases   map[string]string            `json:"aliases"`   // by function
	Roles     map[string]string            `json:"roles"`     // by function: a role of the template, "" is one that was made for it
}

// Answer is what the transform says to one template: what it made, or whom it refuses.
type Answer struct {
	Made    *Outcome `json:"made"`
	Refused string   `json:"refused"`
}

// Transform gives templates, as JSON, to the transform.
func Transform(t testing.TB, templates any) (out []Answer) {
	t.Helper()
	ask(t, transform, templates, &out)
	return out
}

// Question asks for the transform's parts. Lists may be empty, not nil.
type Question struct {
	Merges    []map[string]json.RawMessage `json:"merges"`    // each with the keys global and own
	Globals   []json.RawMessage            `json:"globals"`   // sections that may be refused
	Templates []string                     `json:"templates"` // texts that are read
}

// Parts are the answers to a Question, in its order, with all policy templates and what Globals may say.
type Parts struct {
	Merges   []json.RawMessage
	Read     []json.RawMessage
	Policies map[string]struct {
		Parameters map[string]string
		Document   map[string][]map[string]any
	}
	Refused    []string
	Properties map[string][]string
}

// Ask puts a question to the parts of the transform.
func Ask(t testing.TB, q Question) (out Parts) {
	t.Helper()
	if q.Merges == nil {
		q.Merges = []map[string]json.RawMessage{}
	}
	if q.Globals == nil {
		q.Globals = []json.RawMessage{}
	}
	if q.Templates == nil {
		q.Templates = []string{}
	}
	ask(t, rules, q, &out)
	return out
}

// ask runs a program with a question on standard input. Without samtranslator the test is left out, in CI it fails.
func ask(t testing.TB, program string, question, answer any) {
	t.Helper()
	if err := exec.Command("python3", "-c", "import samtranslator").Run(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("python3 with samtranslator is needed: %v", err)
		}
		t.Skipf("NOT COMPARED WITH AWS'S TRANSFORM: python3 has no samtranslator: %v", err)
	}
	data, err := json.Marshal(question)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("python3", "-c", program)
	cmd.Stdin = bytes.NewReader(data)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	if err := json.Unmarshal(out, answer); err != nil {
		t.Fatal(err)
	}
}
