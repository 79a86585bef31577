package dev

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"casemate"
)

// fake is a source whose ticks the test sends.
type fake struct {
	ticks   chan struct{}
	watched []string
	full    bool
	closed  bool
}

func (f *fake) Ticks() <-chan struct{} { return f.ticks }
func (f *fake) Close() error           { f.closed = true; return nil }
func (f *fake) Watch(folders []string) error {
	if f.watched = folders; f.full {
		return syscall.ENOSPC // what inotify_add_watch says at fs.inotify.max_user_watches
	}
	return nil
}

func put(t *testing.T, root, name, text string) {
	t.Helper()
	at := filepath.Join(root, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o700), os.WriteFile(at, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

func watched(t *testing.T, root string) (*Watcher, *fake) {
	t.Helper()
	f := &fake{ticks: make(chan struct{}, 1)}
	w := &Watcher{root: root, from: f, note: func(s string) { t.Log(s) }}
	if _, err := w.Settle(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w, f
}

func TestNextListsWhatChangedAndNothingElse(t *testing.T) {
	root := t.TempDir()
	put(t, root, "casemate.yaml", "app: a")
	put(t, root, "hello/index.js", "1")
	put(t, root, "hello/old.js", "1")
	w, f := watched(t, root)
	put(t, root, "hello/.index.js.swp", "vim")
	put(t, root, "hello/index.js~", "emacs")
	put(t, root, ".git/HEAD", "x")
	put(t, root, "hello/node_modules/x/index.js", "x")
	f.ticks <- struct{}{} // says nothing that matters: Next waits on
	next := make(chan []string, 1)
	go func() {
		changed, _, err := w.Next(t.Context())
		if err != nil {
			t.Error(err)
		}
		next <- changed
	}()
	put(t, root, "hello/index.js", "22")
	put(t, root, "hello/lib/new.js", "1")
	if err := os.Remove(filepath.Join(root, "hello/old.js")); err != nil {
		t.Fatal(err)
	}
	var all []string
	for len(all) < 3 {
		select {
		case f.ticks <- struct{}{}:
		case changed := <-next:
			if all = append(all, changed...); len(all) < 3 { // the first look came between two of the writes
				go func() { changed, _, _ := w.Next(t.Context()); next <- changed }()
			}
		}
	}
	slices.Sort(all)
	if all = slices.Compact(all); !slices.Equal(all, []string{"hello/index.js", "hello/lib/new.js", "hello/old.js"}) {
		t.Error("changed:", all)
	}
	if !slices.Contains(f.watched, filepath.Join(root, "hello/lib")) || slices.Contains(f.watched, filepath.Join(root, "hello/node_modules/x")) {
		t.Error("watched:", f.watched)
	}
}

func TestNextEndsWithItsContext(t *testing.T) {
	w, _ := watched(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := w.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestWatchesRunOut: where the kernel gives no more watches, changes are found all the same.
func TestWatchesRunOut(t *testing.T) {
	root := t.TempDir()
	put(t, root, "a.py", "1")
	w, f := watched(t, root)
	f.full = true
	var said string
	w.note = func(s string) { said = s }
	w.follow()
	if !f.closed || !strings.Contains(said, "no more watches") || !strings.Contains(said, "max_user_watches raises") {
		t.Fatalf("closed %v, %q", f.closed, said)
	}
	put(t, root, "a.py", "22")
	changed, _, err := w.Next(t.Context())
	if err != nil || !slices.Equal(changed, []string{"a.py"}) {
		t.Error(changed, err)
	}
}

// TestKernelTellsOfSaves: as editors save, by writing in place and by renaming over, and in folders that are new.
func TestKernelTellsOfSaves(t *testing.T) {
	root := t.TempDir()
	put(t, root, "a.py", "1")
	w, err := Watch(root, func(s string) { t.Log(s) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	for name, save := range map[string]func(){
		"a.py":          func() { put(t, root, "a.py", "22") },
		"lib/deep/b.py": func() { put(t, root, "lib/deep/b.py", "1") },
	} {
		save()
		if changed, _, err := w.Next(t.Context()); err != nil || !slices.Equal(changed, []string{name}) {
			t.Error(changed, err)
		}
	}
	put(t, root, "a.py.tmp", "333")
	if err := os.Rename(filepath.Join(root, "a.py.tmp"), filepath.Join(root, "a.py")); err != nil {
		t.Fatal(err)
	}
	if changed, _, err := w.Next(t.Context()); err != nil || !slices.Equal(changed, []string{"a.py"}) {
		t.Error(changed, err)
	}
}

// TestWhatTheLoopSaysIsNoChange: its output goes to a log or another file of the folder, and is never a reason for more of it.
func TestWhatTheLoopSaysIsNoChange(t *testing.T) {
	root := t.TempDir()
	put(t, root, "a.py", "1")
	said := filepath.Join(root, "said.txt")
	before, err := Scan(root, said)
	if err != nil {
		t.Fatal(err)
	}
	put(t, root, "said.txt", "refused")
	put(t, root, "dev.log", "refused")
	now, err := Scan(root, said)
	if err != nil {
		t.Fatal(err)
	}
	if changed := now.Since(before); len(changed) != 0 {
		t.Error(changed)
	}
}

func TestScanIsBounded(t *testing.T) {
	root := t.TempDir()
	for i := range MaxFolders + 1 {
		if err := os.Mkdir(filepath.Join(root, "d"+string(rune('a'+i%26))+strings.Repeat("x", i/26)), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Scan(root); casemate.CodeOf(err) != casemate.Invalid {
		t.Error(err)
	}
}

func TestAffected(t *testing.T) {
	parts := []Part{{Name: "go", Code: "go", Build: "make go", Built: "make go"}, {Name: "wasm", Code: "out.wasm", Build: "make wasm", Built: "make wasm"},
		{Name: "js", Code: "js"}}
	for _, c := range []struct {
		changed string
		want    []string
	}{
		{"go/main.go", []string{"go"}}, {"js/index.js", nil}, {"shared/lib.go", []string{"go", "wasm"}}, {"casemate.yaml", nil}, {"contract.yaml", nil},
		{"go.mod", []string{"go", "wasm"}}, {"gopher/x.go", []string{"go", "wasm"}}, {"README.md", nil},
	} {
		if got := Affected(parts, []string{c.changed}, "casemate.yaml"); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, not %v", c.changed, got, c.want)
		}
	}
	parts[0].Built = ""
	parts[1].Build = "make other"
	if got := Affected(parts, nil, "casemate.yaml"); !slices.Equal(got, []string{"go", "wasm"}) {
		t.Error(got)
	}
	if got := Affected([]Part{{Name: "x", Code: ".", Build: "m", Built: "m"}}, []string{"casemate.yaml"}, "casemate.yaml"); got != nil {
		t.Error(got)
	}
}

func TestParseComplaint(t *testing.T) {
	for name, c := range map[string]struct {
		output string
		want   Complaint
		ok     bool
	}{
		"node":         {"/w/a.js:2\n  return {a: ;\n             ^\n\nSyntaxError: Unexpected token ';'\n    at wrapSafe (node:internal)\n", Complaint{2, 14, "SyntaxError: Unexpected token ';'"}, true},
		"node modules": {"file:///w/a.mjs:12\nimport {\n       ^\n\nSyntaxError: Unexpected end of input\n", Complaint{12, 8, "SyntaxError: Unexpected end of input"}, true},
		"node, wide":   {"/w/a.js:1\nlet aé = ;\n         ^^\nSyntaxError: x\n", Complaint{1, 10, "SyntaxError: x"}, true},
		"python":       {"/w/b.py:2\n    return ]\n           ^\nSyntaxError: unmatched ']'\n", Complaint{2, 12, "SyntaxError: unmatched ']'"}, true},
		"indentation":  {"/w/b.py:3\n\n^\nIndentationError: expected an indented block\n", Complaint{3, 1, "IndentationError: expected an indented block"}, true},
		"the checker":  {"node: bad option: --check\n", Complaint{}, false},
		"nothing":      {"", Complaint{}, false},
	} {
		got, ok := ParseComplaint(c.output)
		if ok != c.ok || ok && got != c.want {
			t.Errorf("%s: %+v %v", name, got, ok)
		}
	}
}

func FuzzParseComplaint(f *testing.F) {
	f.Add("/w/a.js:2\n  x\n  ^\nSyntaxError: y")
	f.Fuzz(func(t *testing.T, s string) {
		if c, ok := ParseComplaint(s); ok && (c.Column < 1 || c.Text == "") {
			t.Errorf("%+v", c)
		}
	})
}

func TestFeedCannotActInATerminal(t *testing.T) {
	var out bytes.Buffer
	f := &Feed{Out: &out, Clean: func(s string) string { return strings.ReplaceAll(s, "\x1b", "?") }, Now: time.Now}
	f.Log(&casemate.LogLine{Function: "a\x1b", Text: "x\x1b[2J\rtwo\n"})
	f.Record(&casemate.Record{ID: "r", Source: casemate.SourceHTTP, Route: "GET /\x1b", Outcome: casemate.Outcome{Code: casemate.Forbidden, Status: "refused"},
		Points: []casemate.Point{{Name: casemate.PointMay, Verdict: casemate.Denied, Reason: "no grant\x1b"}}, Decision: casemate.Decision{Hint: "call GET /x"},
		Effects: []casemate.Effect{{Kind: "connect", Target: "evil\x1b:443", Verdict: casemate.Denied, Grant: "connect evil:443"}}})
	f.Fail(casemate.Errorf(casemate.Invalid, "mend\x1b", "bad\x1b\nsecond"))
	for _, want := range []string{"x?[2J\n" + strings.Repeat(" ", 36) + "| two", "refused at may: no grant", "what would allow it: call GET /x", "refused connect evil?:443", "what would allow it: connect evil:443", "bad?\n  second"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in %s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Errorf("%q", out.String())
	}
}

func TestFeedLeavesTheLoopsOwnQuestionsOut(t *testing.T) {
	var out bytes.Buffer
	f := &Feed{Out: &out, JSON: true, Clean: strings.Clone, Now: time.Now}
	f.Record(&casemate.Record{Source: casemate.SourceAdmin, Action: "casemate:Deploy", Function: "deploy.apply"})
	if out.Len() > 0 {
		t.Error(out.String())
	}
	f.Record(&casemate.Record{ID: "r1", Source: casemate.SourceAdmin, Action: "lambda:InvokeFunction", Function: "hello"})
	if line := out.String(); !strings.HasPrefix(line, `{"event":"record","record":{"id":"r1"`) || strings.Count(line, "\n") != 1 {
		t.Error(line)
	}
}
