package main

import (
	"os"
	"path/filepath"
	"testing"

	"casemate"
)

func TestKeyFilesAreNew(t *testing.T) {
	name := filepath.Join(t.TempDir(), "caller.key")
	k, err := keyFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.write("ck_x"); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(name)
	if at, serr := os.Stat(name); err != nil || serr != nil || string(text) != "ck_x\n" || at.Mode().Perm() != 0o600 {
		t.Errorf("%q, %v, %v", text, at, err)
	}
	if _, err := keyFile(name); casemate.CodeOf(err) != casemate.Conflict {
		t.Errorf("a key was overwritten: %v", err)
	}
	if _, err := keyFile(filepath.Join(name, "below")); casemate.CodeOf(err) != casemate.Invalid {
		t.Errorf("below a file: %v", err)
	}
	if k, err := keyFile(""); k != nil || err != nil {
		t.Errorf("without a name: %v, %v", k, err)
	}
	other := filepath.Join(t.TempDir(), "other.key")
	k, err = keyFile(other)
	if err != nil {
		t.Fatal(err)
	}
	k.abandon()
	if _, err := os.Stat(other); err == nil {
		t.Error("an empty key file stays")
	}
}
