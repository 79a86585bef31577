package manifest

import (
	"os"
	"testing"
	"time"

	"casemate"
)

var testNow = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func setting() Setting { return Setting{Place: casemate.DefaultPlace, Now: testNow} }

func TestParseFull(t *testing.T) {
	data, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	m, err := Parse(File, data, setting())
	if err != nil {
		t.Fatal(err)
	}
	f := m.Functions["orders"]
	if time.Duration(f.Timeout) != 3*time.Second || f.Memory.MB() != 256 || f.Rate.PerSecond != 500 || f.Rate.Burst != 800 || *f.Async.Retries != 1 || f.Concurrency != 20 {
		t.Errorf("%+v", f)
	}
	r := m.Routes["GET /health"]
	if r.Auth.None == nil || !r.Auth.None.Live(testNow) || len(m.Warnings) != 2 {
		t.Errorf("%+v %+v", r, m.Warnings)
	}
}

// The app that the demo deploys is a manifest like any other.
func TestShippedExampleParses(t *testing.T) {
	data, err := os.ReadFile("../../examples/orders/casemate.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Parse(File, data, setting()); err != nil {
		t.Fatal(err)
	}
}

// WebAssembly has no way to a service: a grant of one is a right that nobody can use, and a surprise.
func TestGrantsWithoutUseAreNoticed(t *testing.T) {
	for text, want := range map[string]int{"runtime: wasm, code: f.wasm": 2, "runtime: nodejs20.x, handler: i.h, code: f": 0} {
		m, err := Parse(File, []byte("app: a\nfunctions: {f: {"+text+", grants: ['connect a.example:443', read secret/x, invoke g]}}"), setting())
		if err != nil || len(m.Warnings) != want {
			t.Errorf("%s: %+v, %v", text, m, err)
		}
	}
}

func TestWideGrantsAreNoticed(t *testing.T) {
	for text, want := range map[string]int{
		"roles: {r: {grants: [call *]}}": 1,
		"routes: {GET /x: {function: f, auth: [key]}}\nroles: {r: {grants: [call GET /x]}}":                                             0,
		"routes: {GET /x: {function: f, auth: [key]}}\nroles: {r: {grants: [call PUT /x]}}":                                             1, // no such route
		"routes: {GET /x: {function: f, auth: [key]}}\nroles: {r: {grants: [deny call PUT /x]}}":                                        1,
		"routes: {ANY /x: {function: f, auth: [key]}}\nroles: {r: {grants: [call PUT /x]}}":                                             0,
		"routes: {'GET /x/{a}': {function: f, auth: [key]}}\nroles: {r: {grants: ['call GET /x/${jwt:sub}', deny call GET /x/secret]}}": 0,
		"routes: {'GET /x/{a}': {function: f, auth: [key]}}\nroles: {r: {grants: ['call GET /x/{b}', call GET /x/y/z, call GET /x]}}":   3, // likewise
		"routes: {'GET /x/{a+}': {function: f, auth: [key]}}\nroles: {r: {grants: [call GET /x/y/z, call GET /x]}}":                     1,
		"roles: {r: {grants: [deny call *]}}": 0,
		"roles: {r: {statements: [{Effect: Allow, Action: '*', Resource: 'arn:aws:s3:us-east-1:000000000000:x'}]}}":        1,
		"roles: {r: {statements: [{Effect: Allow, Action: 'lambda:*', Resource: 'arn:aws:s3:us-east-1:000000000000:x'}]}}": 1,
		"roles: {r: {statements: [{Effect: Allow, Action: 'lambda:InvokeFunction', Resource: '*'}]}}":                      1,
		"roles: {r: {statements: [{Effect: Allow, NotAction: 'iam:*', Resource: 'arn:aws:s3:us-east-1:000000000000:x'}]}}": 1,
		"roles: {r: {statements: [{Effect: Deny, Action: '*', Resource: '*'}]}}":                                           0,
		"roles: {r: {grants: ['read table/orders', 'send queue/q']}}":                                                      1, // no tables yet
		"roles: {r: {grants: ['read secret/db', 'read parameter/x']}}":                                                     0,
		"roles: {r: {grants: ['connect 10.0.0.0/8:443']}}":                                                                 1,
		"roles: {r: {grants: ['connect 10.1.2.3/32:443', 'connect a.example:443']}}":                                       0,
	} {
		m, err := Parse(File, []byte("app: a\nfunctions: {f: {runtime: wasm, code: f.wasm}}\n"+text), setting())
		if err != nil || len(m.Warnings) != want {
			t.Errorf("%s: %v, %v", text, m, err)
		}
	}
}
