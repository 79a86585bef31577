package sandbox

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"casemate"
)

func TestChooseInterpreter(t *testing.T) {
	is := Interpreters{
		{Family: "nodejs", Version: "22.1.0"}, {Family: "nodejs", Version: "20.20.2"}, {Family: "nodejs", Version: "18.0.0"},
		{Family: "python", Version: "3.12.1"}, {Family: "python", Version: "3.9.18"},
	}
	for r, c := range map[casemate.Runtime]struct {
		version string
		exact   bool
	}{
		"nodejs20.x": {"20.20.2", true}, "nodejs18.x": {"18.0.0", true}, "nodejs16.x": {"18.0.0", false}, "nodejs24.x": {"22.1.0", false},
		"nodejs2.x": {"18.0.0", false}, "nodejs": {"22.1.0", false}, "python3.12": {"3.12.1", true}, "python3.1": {"3.9.18", false},
		"python3.11": {"3.12.1", false}, "python3.14": {"3.12.1", false},
	} {
		i, note, err := is.Choose(r)
		if err != nil || i.Version != c.version || (note == "") != c.exact {
			t.Errorf("%s: %s %q %v, want %+v", r, i.Version, note, err, c)
		}
		if !c.exact && (!strings.Contains(note, string(r)) || !strings.Contains(note, c.version)) {
			t.Errorf("%s: note %q", r, note)
		}
	}
	_, _, err := Interpreters{}.Choose("python3.12")
	if e := casemate.AsError(err); e.Code != casemate.Unavailable || !strings.Contains(e.Message, "Python 3") || !strings.Contains(e.Hint, "install") {
		t.Errorf("%+v", e)
	}
}

func TestAnotherVersionIsSaidAloud(t *testing.T) {
	b := newBench(t)
	v := b.function("nodejs6.x", "index.handler", map[string]string{"index.js": "exports.handler = async () => 1"})
	b.want(v, `{}`, `1`)
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.ContainsFunc(b.lines, func(l casemate.LogLine) bool {
		return l.Stream == "platform" && strings.HasPrefix(l.Text, "RUNTIME runtime nodejs6.x runs on nodejs ")
	}) {
		t.Errorf("lines %+v", b.lines)
	}
}

func TestOnlyTrustedExecutablesAreInterpreters(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil { // whatever the umask
		t.Fatal(err)
	}
	file := func(name, text string, mode os.FileMode) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(p, mode); err != nil {
			t.Fatal(err)
		}
		return p
	}
	for p, want := range map[string]bool{
		file("good", "\x7fELF....", 0o755):    true,
		file("script", "#!/bin/sh\n", 0o755):  false,
		file("writable", "\x7fELF...", 0o757): false,
		file("by-group", "\x7fELF...", 0o775): false,
		file("short", "\x7f", 0o755):          false,
		filepath.Join(dir, "nothing"):         false,
	} {
		if trusted(p) != want {
			t.Errorf("%s: %v", filepath.Base(p), !want)
		}
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if trusted(filepath.Join(dir, "good")) {
		t.Error("a folder that everybody can write to was trusted")
	}
}

func TestInterpreterFromElsewhereShowsNoHostPath(t *testing.T) {
	i := Interpreter{Family: "nodejs", Version: "20.0.0", Path: "/home/somebody/node/bin/node"}
	exe, mounts := i.inside()
	if exe != "/var/lang/bin/node" || len(mounts) != 1 || mounts[0].Source != i.Path || mounts[0].Target != exe || mounts[0].Writable {
		t.Errorf("%s %+v", exe, mounts)
	}
	if exe, mounts := (Interpreter{Family: "python", Path: "/usr/bin/python3.11"}).inside(); exe != "/usr/bin/python3.11" || mounts != nil {
		t.Errorf("%s %+v", exe, mounts)
	}
}

func TestLogPipeSplitsLines(t *testing.T) {
	var got []string
	l := &runLog{most: maxRunLogs, emit: func(stream, _, request, text string) { got = append(got, stream+" "+request+" "+text) }}
	w, err := l.pipe("stdout", nil)
	if err != nil {
		t.Fatal(err)
	}
	l.begin("r1", false)
	if _, err := w.WriteString("one\n\ntwo\xff\nhalf"); err != nil {
		t.Fatal(err)
	}
	l.settle()
	l.begin("r2", false)
	if _, err := w.WriteString("three\n"); err != nil {
		t.Fatal(err)
	}
	w.Close()
	l.wait()
	want := []string{"stdout r1 one", "stdout r1 ", "stdout r1 two\uFFFD", "stdout r1 half", "stdout r2 three"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	if tail := string(l.last()); tail != "three\n" {
		t.Errorf("tail %q", tail)
	}
}
