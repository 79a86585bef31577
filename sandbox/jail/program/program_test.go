package program

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// house is a host folder with a few files, seen as /usr and /task.
func house(t *testing.T) (View, string) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{"usr/bin/dash": "\x7fELF", "usr/bin/env": "\x7fELF", "usr/bin/python3.11": "x", "task/run": "#!/bin/sh -e\n",
		"task/py": "#! /usr/bin/env python3\n", "task/deep": "#!/task/run\n", "task/loop": "#!/task/loop\n", "task/odd": "#!sh\n", "task/gone": "#!/no/such\n"} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"usr/bin/sh": "dash", "usr/bin/python3": "/usr/bin/python3.11", "task/up": "../usr/bin/../bin/sh", "task/round": "round",
		"task/proc": "/proc/self/fd/3", "task/out": "/../../etc/shadow"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	return View{Mounts: []Mount{{dir + "/usr", "/usr"}, {dir + "/task", "/task"}, {dir + "/usr/bin/dash", "/usr/own"}}, Links: map[string]string{"/bin": "usr/bin"}}, dir
}

func TestResolve(t *testing.T) {
	v, dir := house(t)
	for inside, want := range map[string][2]string{"/bin/sh": {"/usr/bin/dash", "/usr/bin/dash"}, "/task/up": {"/usr/bin/dash", "/usr/bin/dash"},
		"/usr/bin/python3": {"/usr/bin/python3.11", "/usr/bin/python3.11"}, "/usr/own": {"/usr/own", "/usr/bin/dash"}, "//task/./run": {"/task/run", "/task/run"}} {
		real, host, err := v.Resolve(strings.ReplaceAll(inside, "/./", "/"))
		if err != nil || real != want[0] || host != dir+want[1] {
			t.Errorf("%s: %s at %s, %v", inside, real, host, err)
		}
	}
	for inside, at := range map[string]string{"/task/none": "/task/none", "/etc/passwd": "/etc/passwd", "/task/proc": "/proc/self/fd/3", "/task/out": "/etc/shadow", "/tmp/x": "/tmp/x"} {
		if real, host, err := v.Resolve(inside); !errors.Is(err, ErrNotThere) || real != at || host != "" {
			t.Errorf("%s: %s at %q, %v", inside, real, host, err)
		}
	}
	if _, _, err := v.Resolve("/task/round"); err == nil || errors.Is(err, ErrNotThere) {
		t.Errorf("a link to itself: %v", err)
	}
}

func TestClosure(t *testing.T) {
	v, _ := house(t)
	for inside, want := range map[string]string{
		"/task/run":  "/task/run /usr/bin/dash | /task/run false",
		"/task/py":   "/task/py /usr/bin/env /usr/bin/python3.11 | /task/py /usr/bin/python3.11 true",
		"/task/deep": "/task/deep /task/run /usr/bin/dash | /task/deep false",
		"/task/loop": "/task/loop | /task/loop false",
		"/task/odd":  "/task/odd | /task/odd false",
		"/task/gone": "/task/gone | /task/gone false",
		"/bin/sh":    "/usr/bin/dash | /usr/bin/dash false",
	} {
		var s Set
		if err := s.Closure(v, inside); err != nil {
			t.Errorf("%s: %v", inside, err)
		}
		slices.Sort(s.Files)
		got := strings.Join(s.Files, " ") + " | " + strings.Join(s.Started, " ") + " " + map[bool]string{true: "true", false: "false"}[s.Becomes]
		if got != want {
			t.Errorf("%s: %s, want %s", inside, got, want)
		}
	}
}

// TestInterpreters compares with the standard library's reader.
func TestInterpreters(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range []string{self, "/bin/sh", "/usr/bin/env", "/usr/bin/python3"} {
		content, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		e, err := elf.NewFile(bytes.NewReader(content))
		if err != nil {
			continue
		}
		want := ""
		for _, p := range e.Progs {
			if p.Type == elf.PT_INTERP {
				raw := make([]byte, p.Filesz)
				p.ReadAt(raw, 0)
				want = strings.TrimRight(string(raw), "\x00")
			}
		}
		if got := elfInterpreter(bytes.NewReader(content), content[:256]); got != want {
			t.Errorf("%s: %q, want %q", file, got, want)
		}
		seen++
	}
	if seen == 0 {
		t.Error("no program to look at")
	}
}

func FuzzInterpreter(f *testing.F) {
	f.Add([]byte("\x7fELF\x02\x01" + strings.Repeat("\x00", 300)))
	if content, err := os.ReadFile("/bin/sh"); err == nil {
		f.Add(content[:min(len(content), 4096)])
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		if name := elfInterpreter(bytes.NewReader(content), content[:min(len(content), 256)]); name != "" && (name[0] != '/' || len(name) > maxInterpreter) {
			t.Errorf("%q", name)
		}
	})
}

func TestDigests(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x")
	digest := func(content string) string {
		sum := sha256.Sum256([]byte(content))
		return hex.EncodeToString(sum[:])
	}
	write := func(content string) {
		if err := os.WriteFile(file, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var d Digests
	write("one")
	before, err := d.Check("/x", file, digest("one"))
	if err != nil || before.Size != 3 || before.Inode == 0 {
		t.Fatalf("%+v, %v", before, err)
	}
	write("two") // the same length, at once
	var changed *MismatchError
	if _, err := d.Check("/x", file, digest("one")); !errors.As(err, &changed) || changed.Got != digest("two") || !strings.Contains(err.Error(), "/x") {
		t.Errorf("a changed program: %v", err)
	}
	if _, err := d.Check("/x", file, ""); !errors.As(err, &changed) {
		t.Errorf("no digest: %v", err)
	}
	d.remember(Identity{Inode: 7}, "kept")
	for i := range maxKnown {
		d.remember(Identity{Inode: uint64(i) + 100}, "x")
	}
	if len(d.known) > maxKnown {
		t.Errorf("%d digests kept", len(d.known))
	}
	// One that has settled is not read again.
	id, _ := d.Check("/x", file, digest("two"))
	if d.known[id] != "" && time.Since(time.Unix(0, id.Changed)) < settled {
		t.Error("a fresh file was remembered")
	}
	d.remember(id, "remembered")
	if _, err := d.Check("/x", file, "remembered"); err != nil {
		t.Errorf("it was read again: %v", err)
	}
	for _, other := range []string{t.TempDir(), "/dev/null", file + "none"} {
		if _, err := d.Check("/x", other, digest("two")); err == nil {
			t.Errorf("%s was taken", other)
		}
	}
}

func FuzzScript(f *testing.F) {
	f.Add("/usr/bin/env -S A=b python3")
	f.Add(" /bin/sh")
	f.Fuzz(func(t *testing.T, line string) {
		names, _ := script(View{}, line)
		for _, n := range names {
			if n == "" || n[0] != '/' || strings.ContainsAny(n, " \n\t") {
				t.Errorf("%q: %q", line, names)
			}
		}
	})
}
