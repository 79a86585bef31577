package faults

import (
	"encoding/json"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"casemate"
)

// kinds are the files of a node's folder, by what they are. A file that is of no kind fails the test: somebody has to
// say what its loss means.
var kinds = []struct {
	name    string
	pattern *regexp.Regexp
}{
	{"stored blocks", regexp.MustCompile(`^store/engine/jetstream/\$G/streams/[^/]+/msgs/\d+\.blk$`)},
	{"the engine's index", regexp.MustCompile(`^store/engine/jetstream/\$G/streams/[^/]+/msgs/index\.db$`)},
	{"the engine's description of a journal", regexp.MustCompile(`^store/engine/jetstream/\$G/streams/[^/]+/meta\.(inf|sum)$`)},
	{"mark", regexp.MustCompile(`^store/marks/`)},
	{"spool", regexp.MustCompile(`^store/spool/`)},
	{"blob", regexp.MustCompile(`^store/blobs/`)},
	{"signing key", regexp.MustCompile(`^audit/audit\.key$`)},
	{"copy of the checkpoints", regexp.MustCompile(`^audit/checkpoints\.log$`)},
	{"table of what is in flight", regexp.MustCompile(`^audit/inflight\.tab$`)},
	{"key of the secrets' keys", regexp.MustCompile(`^secret/kek\.json$`)},
	{"tree", regexp.MustCompile(`^audit/tree\.hashes$`)},
}

// unkept are files whose content no promise rests on: locks, what functions wrote, caches that are checked or made anew.
var unkept = regexp.MustCompile(`^(store/lock|logs/|wasm/|code/|runtime/|node\.json|casemate\.sock)`)

// ruin changes a file; older is what it held at an earlier time, nil when it was not there.
type ruin struct {
	name string
	do   func(rnd *rand.Rand, file string, content, older []byte) error
}

var ruins = []ruin{
	{"a flipped bit", func(rnd *rand.Rand, file string, content, _ []byte) error {
		content = slices.Clone(content)
		content[rnd.IntN(len(content))] ^= 1 << rnd.IntN(8)
		return os.WriteFile(file, content, 0o600)
	}},
	{"cut short", func(rnd *rand.Rand, file string, content, _ []byte) error {
		return os.WriteFile(file, content[:rnd.IntN(len(content))], 0o600)
	}},
	{"torn", func(rnd *rand.Rand, file string, content, _ []byte) error { // a write that came to its end in part
		return os.WriteFile(file, slices.Concat(content, content[:rnd.IntN(len(content))]), 0o600)
	}},
	{"deleted", func(_ *rand.Rand, file string, _, _ []byte) error { return os.Remove(file) }},
	{"an older copy", func(_ *rand.Rand, file string, _, older []byte) error {
		if older == nil {
			return os.Remove(file)
		}
		return os.WriteFile(file, older, 0o600)
	}},
}

// estate is a node that was stopped, and what it had promised.
type estate struct {
	dir, older string
	reader     string
	revoked    string
	generation string
	records    []string // ids, in order
	desk       *desk
	left       []string // bodies of the messages that are in the queue
}

// settle makes an estate: a life, a copy of the folder, and a second life in which everything changes once more.
func settle(t *testing.T) estate {
	t.Helper()
	s := estate{dir: folder(t), older: filepath.Join(t.TempDir(), "older"), generation: "2"}
	n := mustStart(t, s.dir)
	if err := n.deploy(sayerBundle(t, 1)); err != nil {
		t.Fatal(err)
	}
	s.reader = newKey(t, n, "reader")
	if err := n.call("secretsmanager.CreateSecret", map[string]string{"Name": "db", "SecretString": "canary"}, nil); err != nil {
		t.Fatal(err)
	}
	s.desk = newDesk(t)
	s.desk.furnish(t, n, 0)
	s.post(t, n, "one", "two")
	var made struct {
		Secret string
		Key    struct{ ID string }
	}
	if err := n.call("keys.create", map[string]string{"name": "lost", "role": "reader"}, &made); err != nil {
		t.Fatal(err)
	}
	s.revoked = made.Secret
	s.use(t, n)
	n.stop()
	if err := copyTree(s.older, s.dir); err != nil {
		t.Fatal(err)
	}
	n = mustStart(t, s.dir)
	if err := n.call("keys.revoke", map[string]string{"id": made.Key.ID}, nil); err != nil {
		t.Fatal(err)
	}
	if err := n.deploy(sayerBundle(t, 2)); err != nil {
		t.Fatal(err)
	}
	s.use(t, n)
	s.post(t, n, "three")
	s.takes(t, n)
	settles(t, n)
	for _, r := range export(t, n) {
		s.records = append(s.records, r.ID)
	}
	n.stop()
	return s
}

// post sends messages that nobody takes.
func (s *estate) post(t *testing.T, n *node, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		if err := s.desk.ask(n, "sqs.SendMessage", map[string]any{"QueueUrl": "jobs", "MessageBody": body}, nil); err != nil {
			t.Fatal(err)
		}
		s.left = append(s.left, body)
	}
}

// takes deletes the first message.
func (s *estate) takes(t *testing.T, n *node) {
	t.Helper()
	l := s.desk.open(t, n, "", 0)
	list, _, err := s.desk.receive(l, "jobs", 0)
	if err != nil || len(list) != len(s.left) {
		t.Fatal(list, err)
	}
	if err := s.desk.delete(l, "jobs", list[0]); err != nil {
		t.Fatal(err)
	}
	s.left = slices.DeleteFunc(s.left, func(body string) bool { return body == list[0].Body })
	for _, m := range list[1:] {
		if err := s.desk.ask(n, "sqs.ChangeMessageVisibility", map[string]any{"QueueUrl": "jobs", "ReceiptHandle": m.ReceiptHandle, "VisibilityTimeout": 0}, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// mail holds what is in the queue against what has to be: it is that, or an error.
func (s *estate) mail(t *testing.T, path string, n *node) {
	t.Helper()
	list, _, err := s.desk.receive(s.desk.open(t, n, "", 0), "jobs", 0)
	if err != nil {
		t.Logf("%s: receiving: %v", path, err)
		return
	}
	var got []string
	for _, m := range list {
		got = append(got, m.Body)
	}
	slices.Sort(got)
	if want := slices.Sorted(slices.Values(s.left)); !slices.Equal(got, want) {
		t.Errorf("%s: the queue holds %v, it has to hold %v", path, got, want)
	}
}

// copyTree copies a stopped node's folder, permissions included: a node is particular about them.
func copyTree(to, from string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return os.Mkdir(filepath.Join(to, rel), info.Mode().Perm())
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), content, info.Mode().Perm())
	})
}

func (s *estate) use(t *testing.T, n *node) {
	t.Helper()
	for _, async := range []bool{false, true, false, true} {
		if a, err := n.send("GET", "/said", s.reader, "", "", async); err != nil || a.status >= 300 {
			t.Fatal(a, err)
		}
	}
}

// TestDamagedFiles changes one file of a stopped node, of every kind and in every way. The next node says so and does not
// start, or says so when what is gone is asked for, or has made it good: what it serves is right in any case.
func TestDamagedFiles(t *testing.T) {
	rnd, s := draw(t), settle(t)
	files := map[string][]string{}
	err := fs.WalkDir(os.DirFS(s.dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || unkept.MatchString(path) {
			return err
		}
		info, err := d.Info()
		if err != nil || info.Size() == 0 {
			return err
		}
		for _, k := range kinds {
			if k.pattern.MatchString(path) {
				files[k.name] = append(files[k.name], path)
				return nil
			}
		}
		t.Errorf("%s is of no known kind", path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range kinds {
		for _, r := range ruins {
			some := files[k.name]
			if r.name == "torn" && !shared.full { // make full: the others stand for it
				continue
			}
			if !shared.full && len(some) > 0 {
				some = some[rnd.IntN(len(some)):][:1]
			}
			for _, path := range some {
				seed := rnd.Uint64()
				t.Run(k.name+", "+r.name, func(t *testing.T) {
					t.Parallel() // each on a copy of the folder
					s.survives(t, rand.New(rand.NewPCG(seed, 0)), path, r)
				})
			}
		}
	}
}

func (s *estate) survives(t *testing.T, rnd *rand.Rand, path string, r ruin) {
	dir := folder(t)
	if err := copyTree(dir, s.dir); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, path)
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	older, err := os.ReadFile(filepath.Join(s.older, path))
	if err != nil {
		older = nil
	}
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.do(rnd, file, content, older); err != nil {
		t.Fatal(err)
	}
	n, up := start(t, dir)
	if !up {
		explains(t, path, n.Said.String())
		return
	}
	s.right(t, path, n)
	n.stop()
}

// explains looks at why a node did not start.
func explains(t *testing.T, path, errs string) {
	t.Helper()
	var said struct {
		Error struct{ Code, Message, Hint string }
	}
	for line := range strings.Lines(errs) {
		if strings.HasPrefix(line, "{") {
			_ = json.Unmarshal([]byte(line), &said) // looked at below
		}
	}
	if e := said.Error; e.Message == "" || e.Hint == "" || e.Message == "internal error" || strings.Contains(e.Hint, "--help") {
		t.Errorf("%s: the node does not start and does not say clearly why: %s", path, tail(errs))
	}
	t.Logf("%s: %s (%s)", path, said.Error.Message, said.Error.Hint)
}

// right holds what a node serves against what was promised: it is that, or an error.
func (s *estate) right(t *testing.T, path string, n *node) {
	t.Helper()
	if a, err := n.send("GET", "/said", s.revoked, "", "", false); err != nil || a.status != 401 {
		t.Errorf("%s: a revoked key is answered %d (%v)", path, a.status, err)
	}
	a, err := n.send("GET", "/said", s.reader, "", "", false)
	switch {
	case err != nil:
		t.Errorf("%s: %v", path, err)
	case a.status == 200 && string(a.body) != s.generation:
		t.Errorf("%s: generation %s is in force and %q runs", path, s.generation, a.body)
	case a.status != 200 && a.status < 500:
		t.Errorf("%s: a good key is answered %d %s", path, a.status, a.body)
	case a.status != 200:
		t.Logf("%s: the function answers %d %s", path, a.status, a.body)
	}
	s.mail(t, path, n)
	var secret struct{ Name string }
	if err := n.call("secretsmanager.DescribeSecret", map[string]string{"SecretId": "db"}, &secret); casemate.CodeOf(err) == casemate.NotFound || err == nil && secret.Name != "db" {
		t.Errorf("%s: the secret is not there: %+v, %v", path, secret, err)
	}
	out, errs, code := n.run("audit", "verify")
	if code != 0 {
		if !strings.Contains(errs, "hint:") {
			t.Errorf("%s: audit verify ended with %d and does not say what to do: %s", path, code, errs)
		}
		t.Logf("%s: %s", path, errs)
		return
	}
	records := export(t, n)
	if len(records) < len(s.records) {
		t.Errorf("%s: %d records of %d, and it verifies: %s", path, len(records), len(s.records), out)
		return
	}
	for i, id := range s.records {
		if records[i].ID != id {
			t.Errorf("%s: record %d is %s, it was %s", path, i+1, records[i].ID, id)
			return
		}
	}
}
