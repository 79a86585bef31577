package certificate

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"casemate/internal/casetest/selfsigned"
)

func TestCertificateFilesAreServedAnewWhenTheyChange(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	cert, key := selfsigned.WritePair(t, dir, "a", 1)
	f, err := OpenFiles(cert, key, func() time.Time { return now }, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	serial := func() int64 {
		c, err := f.GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		return c.Leaf.SerialNumber.Int64()
	}
	stamp := func(d time.Duration) { // a change within the file system's grain of time is told by its size alone
		for _, p := range []string{cert, key} {
			if err := os.Chtimes(p, now.Add(d), now.Add(d)); err != nil {
				t.Fatal(err)
			}
		}
	}
	selfsigned.WritePair(t, dir, "a", 2)
	stamp(time.Second)
	if serial() != 1 {
		t.Error("the files are looked at in every handshake")
	}
	now = now.Add(lookEvery)
	if serial() != 2 {
		t.Error("the new certificate is not served")
	}
	if err := os.WriteFile(key, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	now = now.Add(lookEvery)
	if serial() != 2 {
		t.Error("a broken pair took the place of a good one")
	}
	if err := os.Remove(cert); err != nil {
		t.Fatal(err)
	}
	now = now.Add(lookEvery)
	if serial() != 2 {
		t.Error("a missing file took the place of a good one")
	}
	selfsigned.WritePair(t, dir, "a", 3)
	now = now.Add(lookEvery)
	if serial() != 3 {
		t.Error("the repaired pair is not served")
	}
	if _, err := OpenFiles(cert, filepath.Join(dir, "none"), time.Now, slog.Default()); err == nil {
		t.Error("a pair without a key was opened")
	}
}
