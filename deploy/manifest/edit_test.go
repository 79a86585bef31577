package manifest

import (
	"strings"
	"testing"
	"time"

	"casemate"
)

const before = `app: a
functions:
  f: {runtime: wasm, code: f.wasm}
roles:
  clerk:             # takes orders
    grants:
      - call *       # all of it
      - "call GET /orders/{id}"
      - read object/orders/${jwt:sub}/*
  viewer: {grants: ["call GET /a", 'call GET /b', call GET /c]}
  idle:
    grants:
      - invoke f
  lone: {grants: ["invoke f"]}
  both:
    grants: [invoke f]
    boundary:
      - {Effect: Allow, Action: "lambda:*", Resource: "*"}
`

const after = `app: a
functions:
  f: {runtime: wasm, code: f.wasm}
roles:
  clerk:             # takes orders
    grants:
      - call GET /x       # all of it
      - call POST /y/{id}
      - read object/orders/${jwt:sub}/*
  viewer: {grants: ["call GET /b1", "call GET /b2", call GET /c]}
  idle: {}
  lone: {}
  both:
    boundary:
      - {Effect: Allow, Action: "lambda:*", Resource: "*"}
`

func TestRewrite(t *testing.T) {
	got, err := Rewrite(before, []Edit{
		{7, "call *", []string{"call GET /x", "call POST /y/{id}"}}, {8, "call GET /orders/{id}", nil},
		{10, "call GET /a", nil}, {10, "call GET /b", []string{"call GET /b1", "call GET /b2"}},
		{13, "invoke f", nil}, {14, "invoke f", nil}, {16, "invoke f", nil},
	})
	if err != nil || got != after {
		t.Fatalf("%v\n%s", err, got)
	}
	if _, err := Parse(File, []byte(got), Setting{Place: casemate.DefaultPlace, Now: time.Unix(0, 0)}); err != nil {
		t.Fatal(err)
	}
	for _, e := range []Edit{{0, "call *", nil}, {99, "call *", nil}, {8, "call *", nil}, {10, "call GET", nil}} {
		if got, err := Rewrite(before, []Edit{e}); casemate.CodeOf(err) != casemate.Conflict {
			t.Errorf("%+v: %v\n%s", e, err, got)
		}
	}
}

func TestLineOf(t *testing.T) {
	for origin, want := range map[string]int{`casemate.yaml:12 role clerk grant "call *"`: 12, "casemate.yaml:x role": 0, "other.yaml:12 role": 0, "built in": 0, "casemate.yaml:": 0} {
		if got := LineOf(File, origin); got != want {
			t.Errorf("%s: %d", origin, got)
		}
	}
	if strings.Contains(after, gone) {
		t.Error("a mark is left")
	}
}
