package imports

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRulesHold(t *testing.T) {
	found, err := Check("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range found {
		t.Error(v)
	}
}

func TestPlantedViolationsAreFound(t *testing.T) {
	long := "func long() {\n" + strings.Repeat("\t_ = 1\n", functionMax) + "}\n"
	for name, c := range map[string]struct{ file, src, want string }{
		"unknown room":        {"stuff/a.go", "package stuff", `package "stuff" is no room`},
		"bad name":            {"bench/util/a.go", "package util", `package name "util" says nothing`},
		"upwards":             {"policy/a.go", "package policy\nimport _ \"casemate/gate\"", "policy (tier 1) imports gate (tier 2)"},
		"sibling":             {"audit/a.go", "package audit\nimport _ \"casemate/authn\"", "audit (tier 1) imports authn"},
		"command":             {"deploy/a.go", "package deploy\nimport _ \"casemate/cmd/casemate\"", "nobody imports cmd/casemate"},
		"fakes":               {"gate/a.go", "package gate\nimport _ \"casemate/internal/casetest/x\"", "non-test code imports internal/casetest/x"},
		"second door":         {"front/http/a.go", "package http\nimport _ \"casemate/gate\"", `it may import only ["" "lambda" "front/conn" "front/certificate" "browser"]`},
		"gate and store":      {"gate/a.go", "package gate\nimport _ \"casemate/store\"", `gate imports "store"`},
		"sandbox and policy":  {"sandbox/a.go", "package sandbox\nimport _ \"casemate/policy\"", "sandbox never imports policy"},
		"jail and root":       {"sandbox/jail/a.go", "package jail\nimport _ \"casemate\"", "it may import only [\"sandbox/jail/stage\""},
		"impure":              {"quota/a.go", "package quota\nimport _ \"os\"", "pure room quota imports os"},
		"clock":               {"shield/a.go", "package shield\nimport \"time\"\nfunc f() { time.Now() }", "shield may not call time.Now"},
		"NATS":                {"audit/a.go", "package audit\nimport _ \"github.com/nats-io/nats.go\"", "is owned by [store/commit]"},
		"orphan":              {"audit/a.go", "package audit\nimport _ \"example.org/x\"", "has no owner"},
		"exec":                {"gate/a.go", "package gate\nimport _ \"os/exec\"", "os/exec is owned by"},
		"unsafe file":         {"sandbox/jail/a.go", "package jail\nimport _ \"unsafe\"", "unsafe outside a file"},
		"dialling":            {"catalog/a.go", "package catalog\nimport \"net\"\nfunc f() { net.Dial(\"\", \"\") }", "catalog may not call net.Dial"},
		"dialler":             {"catalog/a.go", "package catalog\nimport \"net\"\nvar d = net.Dialer{}", "catalog may not make a net.Dialer"},
		"listening":           {"audit/a.go", "package audit\nimport \"net\"\nfunc f() { net.Listen(\"\", \"\") }", "audit may not call net.Listen"},
		"context value":       {"gate/a.go", "package gate\nimport \"context\"\nfunc f() { context.WithValue(nil, 1, 1) }", "may not call context.WithValue"},
		"init":                {"gate/a.go", "package gate\nfunc init() {}", "no init outside of the early dispatches"},
		"panic":               {"gate/a.go", "package gate\nfunc f() { panic(1) }", "panic outside a must function"},
		"wide interface":      {"gate/a.go", "package gate\ntype i interface { a(); b(); c(); d(); e() }", "an interface of 5 methods"},
		"long function":       {"gate/a.go", "package gate\n" + long, "long is 82 lines long"},
		"many long functions": {"gate/a.go", "package gate\nfunc f() {\n" + strings.Repeat("\n", functionP90) + "}\n", "90th percentile"},
		"large room":          {"secret/plain/a.go", "package plain\n" + strings.Repeat("var _ = 1\n", 100) + strings.Repeat("// x\n\n", 99), "101 lines; its ceiling is 100"},
		"plaintext":           {"gate/a.go", "package gate\nimport _ \"casemate/secret/plain\"", "secret/plain is for ["},
		"sleeping test":       {"gate/a_test.go", "package gate\nimport \"time\"\nfunc f() { time.Sleep(1) }", "may not call time.Sleep"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			p := filepath.Join(dir, filepath.FromSlash(c.file))
			if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(p, []byte(c.src), 0o644); err != nil {
				t.Fatal(err)
			}
			found, err := Check(dir)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(strings.Join(found, "\n"), c.want) {
				t.Errorf("want a violation with %q, found %q", c.want, found)
			}
		})
	}
}

func TestTooManyImporters(t *testing.T) {
	dir := t.TempDir()
	var rooms []string
	for _, r := range Rooms {
		if r.Tier > 1 || r.Path == "sandbox" {
			continue
		}
		rooms = append(rooms, r.Path)
	}
	rooms = append(rooms, "cmd/casemate", "node", "deploy", "gate", "front/http")
	for _, r := range rooms {
		p := filepath.Join(dir, filepath.FromSlash(r))
		if err := os.MkdirAll(p, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(p, "a.go"), []byte("package x\nimport _ \"casemate/lambda\"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	found, err := Check(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(strings.Join(found, "\n"), "lambda: imported by") {
		t.Errorf("the fan-in of lambda went unseen: %q", found)
	}
}
