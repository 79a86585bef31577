package battery

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"casemate/deploy/manifest"
	"casemate/internal/casetest/nodetest"
)

const secretApp = `app: vault
functions:
  reader: {runtime: provided.al2023, code: guest.zip, timeout: 30s, memory: 128MB, isolation: warm, grants: [read secret/canary]}
  other: {runtime: provided.al2023, code: guest.zip, timeout: 30s, memory: 128MB}
routes:
  POST /reader: {function: reader, auth: [key], screen: {mode: off}, leaks: {secrets: off, traces: off}}
  POST /other: {function: other, auth: [key], screen: {mode: off}, leaks: {secrets: off, traces: off}}
roles:
  caller: {grants: [call POST /reader, call POST /other]}
`

// TestSecretsNowhere keeps a secret, has one function read it and another fail to, and looks for it in every byte that
// the node wrote and in what the machine knows of its processes (S7).
func TestSecretsNowhere(t *testing.T) {
	n := start(t, withWalls)
	if err := n.deploy(nodetest.Pack(t, map[string][]byte{manifest.File: []byte(secretApp), "guest.zip": shared.guest})); err != nil {
		t.Fatal(err)
	}
	n.newKey("caller")
	secret, said := "secret-"+rand.Text(), "said-"+rand.Text()
	set := exec.CommandContext(t.Context(), n.Cmd.Path, "secret", "set", "canary")
	set.Env, set.Stdin = append(os.Environ(), "CASEMATE_DIR="+n.dir), strings.NewReader(secret)
	if out, err := set.CombinedOutput(); err != nil || bytes.Contains(out, []byte(secret)) {
		t.Fatalf("secret set: %v: %s", err, out)
	}
	order := map[string]string{"attack": "read secret", "secret": "canary", "said": said}
	digest := sha256.Sum256([]byte(secret))
	if r, err := n.send(t.Context(), "reader", order); err != nil || r.Detail != hex.EncodeToString(digest[:]) {
		t.Fatalf("who may read it reads %+v, %v", r, err)
	}
	r, err := n.send(t.Context(), "other", order)
	if err != nil || r.Worked || !strings.Contains(r.Detail, "AccessDenied") {
		t.Fatalf("who may not read it reads %+v, %v", r, err)
	}
	if rec := n.record(t, r.ID); !strings.Contains(recorded(&rec), "GetSecretValue") {
		t.Errorf("the record of who may not holds %q", recorded(&rec))
	}
	for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret)), hex.EncodeToString([]byte(secret))} {
		if where := written(t, n, form); len(where) > 0 {
			t.Errorf("the secret is in %s", where)
		}
	}
	if len(written(t, n, said)) == 0 {
		t.Error("the search does not find what a function said: it would not find a secret either")
	}
	exported := n.run("audit", "export") + n.run("logs", "--last", "0") + n.run("secret", "list") + n.run("secret", "who-read", "canary")
	if strings.Contains(exported, secret) {
		t.Error("a verb tells the secret")
	}
}

// written finds a text in what the node wrote, and in the arguments and environments of all processes of the cell.
func written(t *testing.T, n *node, text string) (where []string) {
	t.Helper()
	look := func(file string) {
		content, err := os.ReadFile(file)
		if err == nil && bytes.Contains(content, []byte(text)) { // a process may have gone
			where = append(where, file)
		}
	}
	err := filepath.WalkDir(n.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			look(path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"/proc/[0-9]*/cmdline", "/proc/[0-9]*/environ"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			look(file)
		}
	}
	if strings.Contains(n.Said.String(), text) {
		where = append(where, "standard error")
	}
	return where
}
