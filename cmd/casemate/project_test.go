package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"casemate"
)

// TestOnlyFilesAreDeployed: a pipe and a folder in a manifest's place are refused, and nobody waits for them.
func TestOnlyFilesAreDeployed(t *testing.T) {
	pipe, folder := t.TempDir(), t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(pipe, "casemate.yaml"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(folder, "casemate.yaml"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{pipe, folder, filepath.Join(pipe, "casemate.yaml")} {
		for _, verb := range []string{"diff", "deploy", "dev"} {
			var errs strings.Builder
			code := run(t.Context(), []string{"--dir", t.TempDir(), verb, at}, strings.NewReader(""), io.Discard, &errs)
			if code != casemate.Invalid.Exit() || !strings.Contains(errs.String(), "is not a regular file") {
				t.Errorf("%s %s: %d, %s", verb, at, code, errs.String())
			}
		}
	}
}
