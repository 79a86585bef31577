package sandbox

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"casemate"
	"casemate/sandbox/jail"
)

// bench is a pool with functions written on the spot.
type bench struct {
	t *testing.T
	*shared
}

type shared struct {
	pool  *Pool
	mu    sync.Mutex
	lines []casemate.LogLine
	dirs  map[string]string // code by version id
	opt   map[string]string // layers, likewise
}

// missing skips a test on a machine that lacks something, loudly; on CI that is a failure.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("CI must have %s", what)
	}
	t.Skipf("LEFT OUT: this machine has no %s", what)
}

var findRuntimes = sync.OnceValue(func() Interpreters { return Runtimes(context.Background()) })

func needs(t *testing.T, r casemate.Runtime) {
	t.Helper()
	if r.Family() == "provided" {
		return
	}
	if _, _, err := findRuntimes().Choose(r); err != nil {
		missing(t, string(r))
	}
}

// spares of a bench that does not say otherwise: tests that count sandboxes want to know each.
const spares = -1

func newBench(t *testing.T, change ...func(*Config)) *bench {
	t.Helper()
	if r := jail.Probe(); len(r.Missing()) > 0 {
		t.Logf("walls missing on this machine: %+v", r.Missing())
	}
	b := &bench{t, &shared{dirs: map[string]string{}, opt: map[string]string{}}}
	cfg := Config{
		Dir: t.TempDir(), Interpreters: findRuntimes(), AllowWeak: true, Spares: spares,
		Code: func(_ context.Context, v *casemate.Version) (string, func(), error) {
			return b.dirs[v.ID], func() {}, nil
		},
		Logs: func(l casemate.LogLine) { b.mu.Lock(); b.lines = append(b.lines, l); b.mu.Unlock() },
	}
	for _, c := range change {
		c(&cfg)
	}
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b.pool = p
	t.Cleanup(func() {
		if err := p.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return b
}

// with is the bench for a subtest.
func (b *bench) with(t *testing.T) *bench { return &bench{t, b.shared} }

// function makes a version of the files; a file named bootstrap is executable.
func (b *bench) function(r casemate.Runtime, handler string, files map[string]string) *casemate.Version {
	b.t.Helper()
	needs(b.t, r)
	dir := b.t.TempDir()
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			b.t.Fatal(err)
		}
		mode := os.FileMode(0o644)
		if name == "bootstrap" || strings.HasSuffix(name, ".sh") {
			mode = 0o755
		}
		if err := os.WriteFile(file, []byte(text), mode); err != nil {
			b.t.Fatal(err)
		}
		for p, m := file, mode; p != filepath.Dir(dir); p, m = filepath.Dir(p), 0o755 { // whatever the umask
			if err := os.Chmod(p, m); err != nil {
				b.t.Fatal(err)
			}
		}
	}
	v := &casemate.Version{App: "app", Function: "fn", ID: casemate.NewID(), Number: 3, Runtime: r, Handler: handler,
		Limits: casemate.Limits{Timeout: 20 * time.Second, InitTimeout: 20 * time.Second, MemoryMB: 256}}
	b.dirs[v.ID] = dir
	return v
}

func (b *bench) node(handler, source string) *casemate.Version {
	return b.function("nodejs20.x", handler, map[string]string{"index.js": source})
}

func (b *bench) python(source string) *casemate.Version {
	return b.function("python3.11", "app.handler", map[string]string{"app.py": source})
}

func (b *bench) run(v *casemate.Version, payload string) *casemate.Result {
	b.t.Helper()
	res, err := b.pool.Run(b.t.Context(), &casemate.Launch{Version: v, RequestID: casemate.NewID(), ARN: "arn:fn", Payload: []byte(payload)})
	if err != nil {
		b.t.Fatalf("run: %v (%v)", err, casemate.AsError(err).Err)
	}
	return res
}

// want runs v and compares the answer; it must have succeeded.
func (b *bench) want(v *casemate.Version, payload, answer string) *casemate.Result {
	b.t.Helper()
	res := b.run(v, payload)
	if res.Failure != "" || string(res.Payload) != answer {
		b.t.Errorf("got %q %s (%s)\nwant %s\nlog: %s", res.Failure, res.Payload, res.Detail, answer, res.Tail)
	}
	return res
}

// fails runs v and wants a failure; it gives the error body.
func (b *bench) fails(v *casemate.Version, payload string, kind casemate.Failure) (map[string]any, *casemate.Result) {
	b.t.Helper()
	res := b.run(v, payload)
	if res.Failure != kind {
		b.t.Errorf("failure %q (%s), want %q; payload %s\nlog: %s", res.Failure, res.Detail, kind, res.Payload, res.Tail)
	}
	var body map[string]any
	if err := json.Unmarshal(res.Payload, &body); err != nil {
		b.t.Errorf("error body %q: %v", res.Payload, err)
	}
	return body, res
}

func has(t *testing.T, body map[string]any, typ, message string) {
	t.Helper()
	if body["errorType"] != typ || !strings.Contains(body["errorMessage"].(string), message) {
		t.Errorf("got %v\nwant %s: ...%s...", body, typ, message)
	}
}

func writeExecutable(t testing.TB, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

func goBootstrap(t testing.TB, source string) string {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "main.go")
	if err := os.WriteFile(file, []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "bootstrap")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, file)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, msg)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
