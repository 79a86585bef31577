package opened

import (
	"errors"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func TestUnescape(t *testing.T) {
	for text, want := range map[string]string{`/a\040b`: "/a b", `/a\134`: `/a\`, "/": "/", `\011\012`: "\t\n", `/x\04`: `/x\04`, `/x\999`: `/x\999`} {
		if got := unescape(text); got != want {
			t.Errorf("%s: %q", text, got)
		}
	}
}

func FuzzUnescape(f *testing.F) {
	f.Add(`/a\040b`)
	f.Fuzz(func(t *testing.T, text string) {
		if got := unescape(text); len(got) > len(text) {
			t.Errorf("%q became %q", text, got)
		}
	})
}

// TestOwnOpensAreNoEvents: what the node does in a jail's mounts is not the jail's doing. Here both are this process, so
// nothing may be seen at all.
func TestOwnOpensAreNoEvents(t *testing.T) {
	w, err := Start(os.Getpid(), []string{"/proc", "/sys", "/dev", "/mnt", "/run"})
	if os.Geteuid() != 0 {
		if !errors.Is(err, unix.EPERM) {
			t.Errorf("an ordinary user: %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Begin(); err != nil {
		t.Fatal(err)
	}
	file := t.TempDir() + "/x"
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if paths, _ := w.Seen(); slices.Contains(paths, file) {
		t.Errorf("saw %q", paths)
	}
}
