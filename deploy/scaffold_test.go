package deploy

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"casemate"
	"casemate/deploy/bundle"
	"casemate/deploy/manifest"
)

func TestScaffold(t *testing.T) {
	for _, language := range Languages() {
		t.Run(language, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "x")
			if err := Scaffold(dir, language, "My Shop!"); err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(filepath.Join(dir, manifest.File))
			if err != nil {
				t.Fatal(err)
			}
			m, err := manifest.Parse(manifest.File, text, setting())
			if err != nil {
				t.Fatal(err)
			}
			if m.Plans["my-shop-basic"] == nil || len(m.Budgets) != 2 || m.Routes["POST /my-shop/hello"].Contract.Operation == "" {
				t.Errorf("it shows no plan, budget or contract: %+v", m)
			}
			if m.App != "my-shop" || len(m.Warnings) != 0 {
				t.Errorf("%s, %v", m.App, m.Warnings)
			}
			if build := m.Functions["my-shop"].Build; build != "" {
				cmd := exec.Command("sh", "-c", build)
				cmd.Dir = dir // as the command line runs it, in the environment of whoever calls
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("%s: %v\n%s", build, err, out)
				}
			}
			var b bytes.Buffer
			if _, err := bundle.Pack(dir, setting(), bundle.Options{}, &b); err != nil {
				t.Fatal(err)
			}
			d, _ := deployer(t)
			if out, err := d.Apply(t.Context(), b.Bytes(), "me"); err != nil || !out.Changed || len(out.Plan.Warnings) != 0 {
				t.Fatal(out, err)
			}
			if err := Scaffold(dir, language, "x"); casemate.CodeOf(err) != casemate.Conflict {
				t.Errorf("overwritten: %v", err)
			}
		})
	}
	if err := Scaffold(t.TempDir(), "cobol", "x"); casemate.CodeOf(err) != casemate.Invalid {
		t.Error(err)
	}
}

// When one file stands in the way, no other is written.
func TestScaffoldWritesAllOrNothing(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "contract.yaml"), []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Scaffold(dir, "node", "x"); casemate.CodeOf(err) != casemate.Conflict {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Error(left)
	}
}

func TestAppName(t *testing.T) {
	for in, want := range map[string]string{"": "app", "shop": "shop", "My Shop!": "my-shop", "42": "app-42", "../..": "app", "Ünï": "n"} {
		if got := AppName(in); got != want {
			t.Errorf("%q became %q, not %q", in, got, want)
		}
	}
}
