package nodetest

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"casemate"
	"casemate/deploy/bundle"
	"casemate/deploy/manifest"
)

// Pack makes a bundle of files, the manifest among them, as "casemate deploy" does.
func Pack(t testing.TB, files map[string][]byte) []byte {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if _, err := bundle.Pack(dir, manifest.Setting{Place: casemate.DefaultPlace, Now: time.Now()}, bundle.Options{}, &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
