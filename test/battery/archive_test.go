package battery

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"casemate"
	"casemate/deploy/manifest"
)

// file is one entry of a crooked archive.
type file struct {
	name    string
	mode    fs.FileMode
	content string
}

// crooked are the attacks that come with a function's code.
func crooked() []attack {
	drop := strings.Repeat("../", 20) + strings.TrimPrefix(shared.world.drop, "/") + "/written"
	return []attack{
		{name: "zip: climb out", walls: "deploy", order: nothing(), archive: []file{{drop, 0o644, "x"}}, prepare: dropped, quick: true},
		{name: "zip: link to a secret", walls: "deploy", order: map[string]string{"attack": "read host file"},
			archive: []file{{"link", fs.ModeSymlink | 0o777, shared.world.secret}}, prepare: throughLink("/var/task/link")},
		{name: "zip: link to a folder", walls: "deploy", order: map[string]string{"attack": "read host file"},
			archive: []file{{"folder", fs.ModeSymlink | 0o777, shared.world.dir}}, prepare: throughLink("/var/task/folder/secret")},
		{name: "zip: file behind a link", walls: "deploy", order: nothing(),
			archive: []file{{"folder", fs.ModeSymlink | 0o777, shared.world.drop}, {"folder/written", 0o644, "x"}}, prepare: dropped},
		{name: "zip: bomb", walls: "deploy", order: map[string]string{"attack": "size of a file", "file": "/var/task/zeros"},
			archive: []file{{"zeros", 0o644, strings.Repeat("\x00", 64<<20)}}},
		{name: "zip: entry twice", walls: "deploy", order: map[string]string{"attack": "read host file", "secret": "/var/task/text"},
			archive: []file{{"text", 0o644, "checked"}, {"text", 0o644, "another"}}, prepare: says("another")},
	}
}

func nothing() map[string]string { return map[string]string{"attack": "nothing"} }

func says(what string) func(*testing.T, *node, map[string]string) func(reply) (bool, string) {
	return func(*testing.T, *node, map[string]string) func(reply) (bool, string) {
		return func(r reply) (bool, string) { return r.Worked && strings.Contains(r.Detail, what), r.Detail }
	}
}

func throughLink(path string) func(*testing.T, *node, map[string]string) func(reply) (bool, string) {
	return func(t *testing.T, n *node, order map[string]string) func(reply) (bool, string) {
		check := secretRead(t, n, order)
		order["secret"] = path
		return check
	}
}

// bundled makes a bundle that `casemate deploy` would not make: the guest, and files as they are.
func bundled(t *testing.T, files []file) []byte {
	t.Helper()
	program, err := os.ReadFile(filepath.Join(shared.dir, guestName))
	if err != nil {
		t.Fatal(err)
	}
	archive := func(method uint16, files []file) []byte {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		for _, f := range files {
			h := &zip.FileHeader{Name: f.name, Method: method}
			h.SetMode(f.mode)
			w, err := z.CreateHeader(h)
			if err == nil {
				_, err = w.Write([]byte(f.content))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	code := archive(zip.Deflate, append([]file{{guestName, 0o755, string(program)}}, files...))
	const crookedApp = `app: crooked
functions:
  crooked: {runtime: provided.al2023, code: c, timeout: 30s, memory: 128MB}
routes:
  POST /crooked: {function: crooked, auth: [key], screen: {mode: off}, leaks: {secrets: off, traces: off}}
roles:
  crook: {grants: [call POST /crooked]}
`
	return archive(zip.Store, []file{{manifest.File, 0o644, crookedApp}, {"code/crooked.zip", 0o644, string(code)}})
}

// deliver deploys an archive, and has its function carry out the order if it was taken.
func deliver(t *testing.T, n *node, a *attack, order map[string]string) (reply, tried) {
	t.Helper()
	if err := n.deploy(bundled(t, a.archive)); err != nil {
		return reply{}, tried{detail: err.Error(), as: newest(t, n, "casemate:Deploy")}
	}
	honest := n.key
	n.newKey("crook")
	defer func() { n.key = honest }()
	r, err := n.send(t.Context(), "crooked", order)
	if err != nil {
		t.Fatal(err)
	}
	return r, tried{worked: r.Worked, absent: r.Absent, detail: r.Detail, as: "run"}
}

// newest is what is in the record of the last event with an action.
func newest(t *testing.T, n *node, action string) string {
	t.Helper()
	var list []struct{ Record casemate.Record }
	if err := n.call("audit.list", map[string]any{"Newest": true, "Limit": 20}, &list); err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if e.Record.Action == action {
			if e.Record.Outcome.OK {
				t.Errorf("the record says that it went well: %+v", e.Record.Outcome)
			}
			return action + " " + e.Record.Outcome.Status
		}
	}
	text, _ := json.Marshal(list) // it was JSON
	t.Errorf("no record of %s in %s", action, text)
	return ""
}
