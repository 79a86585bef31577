package secrets

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"casemate/internal/casetest/nodetest"
	"casemate/internal/casetest/product"
)

// stage is what all tests share: it is built once.
type stage struct {
	binary   string
	app      string
	runtimes []string
	weak     bool
}

var shared stage

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "casemate-secrets-")
	if err != nil {
		log.Print(err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := errors.Join(os.Chmod(dir, 0o755), shared.build(dir)); err != nil { // nodes of other users run from here
		log.Print(err)
		return 1
	}
	return m.Run()
}

func (s *stage) build(dir string) error {
	s.binary, s.app = filepath.Join(dir, "casemate"), filepath.Join(dir, "app")
	if err := os.CopyFS(s.app, os.DirFS("guest/app")); err != nil {
		return err
	}
	if err := product.Casemate(s.binary); err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(s.app, "go", "bootstrap"), "./guest")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building the guest: %w\n%s", err, text)
	}
	out, err := exec.Command(s.binary, "doctor", "--json").Output()
	var d struct {
		Ready    bool
		Runtimes []struct{ Family string }
	}
	if jerr := json.Unmarshal(out, &d); jerr != nil {
		return fmt.Errorf("casemate doctor: %w, %w", err, jerr)
	}
	if s.weak = !d.Ready; s.weak {
		log.Print("*** this kernel does not give every wall: the nodes run with --allow-weak-sandbox ***")
	}
	for _, r := range d.Runtimes {
		s.runtimes = append(s.runtimes, r.Family)
	}
	return nil
}

// guests are the functions by language; a language that is not here is said aloud, and has to be there on CI.
func guests(t *testing.T) []string {
	t.Helper()
	found := []string{"go"}
	for language, family := range map[string]string{"python": "python", "node": "nodejs"} {
		switch {
		case slices.Contains(shared.runtimes, family):
			found = append(found, language)
		case os.Getenv("CI") == "true":
			t.Fatalf("%s is not installed, and CI has to have it", family)
		default:
			log.Printf("*** LEFT OUT: functions in %s, because it is not installed on this machine ***", language)
		}
	}
	return found
}

// manifest writes an app of the guests, whose grants are for app/* alone.
func manifest(t *testing.T, dir string, languages []string) {
	t.Helper()
	if err := os.CopyFS(dir, os.DirFS(shared.app)); err != nil {
		t.Fatal(err)
	}
	text := "app: canary\nfunctions:\n"
	for _, l := range languages {
		runtime := map[string]string{"go": "provided.al2023", "python": "python3.12, handler: app.handler", "node": "nodejs20.x, handler: index.handler"}[l]
		text += "  " + l + ": {runtime: " + runtime + ", code: " + l + ", timeout: 10s, memory: 256MB, grants: [read secret/app/text, read secret/app/binary, read parameter/app/secure, read parameter/app/plain]}\n"
	}
	text += "roles:\n  vault: {grants: [read secret/app/text]}\n"
	if err := os.WriteFile(filepath.Join(dir, "casemate.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// canary is a value that needs quoting everywhere, and that nothing else holds.
func canary(name string) string { return `c4n-` + name + `-"` + rand.Text() + `<&/é>` + rand.Text() }

// world is a node with canaries in it, and everything they may not be in.
type world struct {
	*node
	values   map[string]string // what was stored, by name
	all      []needle
	exported *nodetest.Words
	vault    string // key file of a role that may read one secret
}

func open(t *testing.T, uid uint32, languages []string) *world {
	t.Helper()
	// A unix socket's path has 107 bytes at most, and a test's own folder may be deep.
	dir, err := os.MkdirTemp("/tmp", "cm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chown(dir, int(uid), int(uid)); err != nil {
		t.Fatal(err)
	}
	w := &world{values: map[string]string{}, vault: filepath.Join(dir, "vault.key")}
	for _, name := range []string{"text", "binary", "secure", "plain", "other", "refused", "malformed"} {
		w.values[name] = canary(name)
		w.all = append(w.all, needles(name, w.values[name])...)
	}
	kek := filepath.Join(t.TempDir(), "kek.json")
	if out, err := exec.Command(shared.binary, "secret", "keygen", kek).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	w.keyNeedles(t, kek)
	text, err := os.ReadFile(kek)
	if err != nil {
		t.Fatal(err)
	}
	collector, exported := sink(t)
	w.exported = exported
	w.node = start(t, filepath.Join(dir, "n"), uid, []string{"CASEMATE_TEST_KEK=" + string(text)}, "--secret-key", "env:CASEMATE_TEST_KEK", "--otlp", collector.URL, "--otlp-function-logs")
	manifest(t, filepath.Join(dir, "app"), languages)
	w.must("", "deploy", filepath.Join(dir, "app"))
	w.must("", "keys", "create", "--role", "vault", "--out", w.vault)
	w.must(w.values["text"], "secret", "set", "app/text")
	w.must(w.values["binary"]+"\xff\x00", "secret", "set", "app/binary")
	w.must(w.values["other"], "secret", "set", "other")
	w.must(w.values["secure"], "secret", "set", "/app/secure", "--parameter")
	w.must(w.values["plain"], "secret", "set", "/app/plain", "--parameter", "--type", "String")
	return w
}

// keyNeedles adds the key-encryption key itself to what may be nowhere.
func (w *world) keyNeedles(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var keys struct {
		Key []struct{ KeyData struct{ Value string } }
	}
	if err := json.Unmarshal(text, &keys); err != nil || len(keys.Key) != 1 {
		t.Fatal(err, len(keys.Key))
	}
	raw, err := base64.StdEncoding.DecodeString(keys.Key[0].KeyData.Value)
	if err != nil {
		t.Fatal(err)
	}
	w.all = append(w.all, needles("key-encryption key", string(raw))...)
}

// invoke calls a guest and gives its answer.
func (w *world) invoke(language, path, do string) (string, error) {
	event, _ := json.Marshal(map[string]string{"path": path, "do": do}) // strings always encode
	return w.run("", "invoke", language, "--data", string(event))
}

// reads has a guest read a thing and shows that it got the real value, without showing the value.
func (w *world) reads(language, path, name string) {
	w.t.Helper()
	sum := sha256.Sum256([]byte(w.values[name]))
	if out, err := w.invoke(language, path, "hash"); err != nil || !strings.Contains(out, hex.EncodeToString(sum[:])) {
		w.t.Errorf("%s did not read %s: %s %v", language, name, out, err)
	}
}

// fails has the node refuse, and hear the canary while it does.
func (w *world) fails(stdin string, args ...string) {
	w.t.Helper()
	if out, err := w.run(stdin, args...); err == nil {
		w.t.Errorf("casemate %s did not fail: %s", strings.Join(args, " "), out)
	}
}

// provoke makes every kind of error there is near a value.
func (w *world) provoke(languages []string) {
	w.fails(w.values["refused"], "secret", "set", "a name")
	w.fails(w.values["refused"], "secret", "set", "/aws/x", "--parameter")
	w.fails(w.values["refused"], "secret", "set", "/app/secure", "--parameter", "--type", "StringList")
	w.fails(w.values["refused"]+strings.Repeat("x", 65536), "secret", "set", "app/long")
	w.fails(w.values["refused"], "secret", "set", "app/text", "--key-file", w.vault)
	w.fails("", "secret", "get", "other", "--reveal", "--key-file", w.vault)
	w.fails("", "secret", "get", "app/text", "--reveal")
	w.fails("", "secret", "get", "app/text", "--reveal", "--stage", "none", "--key-file", w.vault)
	w.malformed()
	for _, l := range languages {
		for path, do := range map[string]string{"/secretsmanager/get?secretId=other": "hash", "/secretsmanager/get?secretId=app/text": "fail", "/systemsmanager/parameters/get?name=/app/secure&withDecryption=true": "exit",
			"/secretsmanager/get?secretId=app/text&more=1": "hash"} {
			_, _ = w.invoke(l, path, do) // some of them end well: the guest tells what it was refused
		}
	}
	_, _ = w.invoke("go", "/secretsmanager/get?secretId=app/binary", "hang")
}

// malformed sends what no client would, over the node's own socket.
func (w *world) malformed() {
	value, _ := json.Marshal(w.values["malformed"]) // a string always encodes
	client := &http.Client{Transport: dialer(filepath.Join(w.dir, "casemate.sock"))}
	for _, ask := range []struct{ operation, body string }{
		{"secretsmanager.CreateSecret", `{"Name":"m","SecretString":` + string(value)}, {"secretsmanager.CreateSecret", `{"Name":"m","SecretString":[` + string(value) + `]}`},
		{"secretsmanager.CreateSecret", `{"Name":"m","Secret":` + string(value) + `}`}, {"secretsmanager.CreateSecret", `{"Name":"m",` + string(value) + `:1}`}, {"secretsmanager.CreateSecret", `{"Name":"m","SecretBinary":` + string(value) + `}`},
		{"secretsmanager.CreateSecret", `{"Name":"m","ClientRequestToken":"short","SecretString":` + string(value) + `}`}, {"secretsmanager.PutSecretValue", `{"SecretId":"none","SecretString":` + string(value) + `}`},
		{"secretsmanager.PutSecretValue", `{"SecretId":"app/text","SecretString":` + string(value) + `,"VersionStages":[]}`}, {"secretsmanager.PutSecretValue", string(value)},
		{"ssm.PutParameter", `{"Name":"m","Value":` + string(value) + `,"Type":"String","AllowedPattern":"x"}`}, {"ssm.PutParameter", `{"Name":"m","Value":` + string(value) + `}`},
		{"ssm.PutParameter", `{"Name":"m","Value":{` + string(value) + `:1}}`}, {"ssm.NoOperation", `{"Value":` + string(value) + `}`}, {"secret.rotate", `{"data_key":` + string(value) + `}`},
	} {
		resp, err := client.Post("http://node/v1/"+ask.operation, "application/json", strings.NewReader(ask.body))
		if err != nil {
			w.t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode < 400 {
			w.t.Errorf("%s took a bad request: %d %v", ask.operation, resp.StatusCode, err)
		}
		_, _ = w.told.Write(text) // it takes everything
	}
}

// nowhere searches everything but the node's files, which it still writes.
func (w *world) nowhere() {
	w.t.Helper()
	everything := w.processes()
	if len(everything) < 2 {
		w.t.Errorf("the node has %d files of processes", len(everything))
	}
	everything["the node's own log"], everything["what was exported"], everything["what the command line printed"] = w.Said.Bytes(), w.exported.Bytes(), w.told.Bytes()
	if resp, err := http.Get(w.At.Metrics); err == nil {
		everything["metrics"], _ = io.ReadAll(resp.Body) // as far as it goes
		resp.Body.Close()
	}
	for where, text := range everything {
		if f := search(text, w.all); f != nil {
			w.t.Errorf("%s holds %v", where, f)
		}
		if len(text) == 0 && !strings.HasPrefix(where, "environ") && !strings.HasPrefix(where, "cmdline") {
			w.t.Errorf("%s is empty: nothing was searched", where)
		}
	}
}

// TestCanariesAreNowhere is promise S7, on a node of whoever runs the test.
func TestCanariesAreNowhere(t *testing.T) { canariesAreNowhere(t, uint32(os.Geteuid()), guests(t)) }

// TestCanariesAreNowhereWithoutRoot is the same on a node of nobody in particular.
func TestCanariesAreNowhereWithoutRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the test above is this one")
	}
	canariesAreNowhere(t, 65534, []string{"go"})
}

func canariesAreNowhere(t *testing.T, uid uint32, languages []string) {
	w := open(t, uid, languages)
	for _, l := range languages {
		w.reads(l, "/secretsmanager/get?secretId=app/text", "text")
		w.reads(l, "/systemsmanager/parameters/get?name=/app/secure&withDecryption=true", "secure")
		w.reads(l, "/systemsmanager/parameters/get?name=/app/plain", "plain")
	}
	if got := w.must("", "secret", "get", "app/text", "--reveal", "--key-file", w.vault); got != w.values["text"] {
		t.Errorf("the vault's key did not read the value")
	}
	w.provoke(languages)
	w.must("", "secret", "rotate", "--data-key")
	w.must(w.values["text"], "secret", "set", "app/text")
	for _, verb := range [][]string{{"audit", "list", "--json"}, {"audit", "export"}, {"logs"}, {"posture"}, {"list", "--json"}, {"usage"}, {"secret", "list", "--json"},
		{"secret", "list", "--parameter"}, {"secret", "get", "app/text", "--json"}, {"secret", "versions", "app/text"}, {"secret", "who-read", "app/text", "--json"}, {"secret", "keys"}} {
		w.must("", verb...)
	}
	w.nowhere()
	if limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", w.Cmd.Process.Pid)); err != nil || !regexp.MustCompile(`Max core file size +[01] +[01] `).Match(limits) {
		t.Errorf("the node may leave a core file: %s %v", limits, err)
	}
	w.end(syscall.SIGQUIT) // the runtime prints every stack, arguments included
	if !strings.Contains(string(w.Said.Bytes()), "goroutine ") {
		t.Error("the node died without its stacks: the dump was not searched")
	}
	for where, text := range map[string][]byte{"the crash dump": w.Said.Bytes(), "what was exported": w.exported.Bytes()} {
		if f := search(text, w.all); f != nil {
			t.Errorf("%s holds %v", where, f)
		}
	}
	for path, f := range searchFiles(t, w.dir, w.all) {
		t.Errorf("%s holds %v", path, f)
	}
}

// TestAFunctionsOwnWordsAreFound: what a function prints is its own, and the search finds it where it is kept. This is how
// the test above can fail.
func TestAFunctionsOwnWordsAreFound(t *testing.T) {
	w := open(t, uint32(os.Geteuid()), []string{"go"})
	if out, err := w.invoke("go", "/secretsmanager/get?secretId=app/text", "print"); err != nil {
		t.Fatal(out, err)
	}
	if f := search([]byte(w.must("", "logs", "--json")), w.all); f == nil {
		t.Error("the line is not in what casemate logs prints")
	}
	w.end(syscall.SIGTERM)
	found := searchFiles(t, filepath.Join(w.dir, "logs"), w.all)
	if len(found) == 0 {
		t.Error("the line is not in the journal: the search does not find")
	}
	if search(w.exported.Bytes(), w.all) == nil {
		t.Error("the line was not exported: the sink is not searched")
	}
	for path, f := range searchFiles(t, w.dir, w.all) {
		if !strings.HasPrefix(path, filepath.Join(w.dir, "logs")) {
			t.Errorf("%s holds %v", path, f)
		}
	}
}
