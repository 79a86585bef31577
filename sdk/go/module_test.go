package function

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// build makes the guest of testdata; extra are build arguments.
func build(t *testing.T, env []string, extra ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "guest")
	cmd := exec.Command("go", append(append([]string{"build", "-o", out}, extra...), "./testdata/guest")...)
	cmd.Env = append(os.Environ(), env...)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the guest: %v\n%s", err, text)
	}
	return out
}

var wasip1 = []string{"GOOS=wasip1", "GOARCH=wasm"}

// guest is an instance that was initialised, with a copy of its memory from then.
type guest struct {
	t   *testing.T
	ctx context.Context
	m   api.Module
	was []byte
}

func instantiate(t *testing.T, file string) *guest {
	t.Helper()
	code, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	r := wazero.NewRuntime(ctx)
	t.Cleanup(func() { r.Close(context.Background()) })
	wasi_snapshot_preview1.MustInstantiate(ctx, r)
	m, err := r.InstantiateWithConfig(ctx, code, wazero.NewModuleConfig().WithStartFunctions("_initialize").WithRandSource(rand.Reader).
		WithSysWalltime().WithSysNanotime().WithStderr(io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	g := &guest{t: t, ctx: ctx, m: m}
	// As a worker does before it takes its snapshot. Otherwise the stack of exported calls would move in an event, and with
	// it globals, which are not rewound here.
	if ret, err := m.ExportedFunction("casemate_reseed").Call(ctx); err != nil || ret[0] != 0 {
		t.Fatalf("reseeding: %v, %v", ret, err)
	}
	view, _ := m.Memory().Read(0, m.Memory().Size())
	g.was = slices.Clone(view)
	return g
}

// rewind puts memory back to where it was after the initialisation. What has grown since is zeroes.
func (g *guest) rewind(reseed bool) {
	g.t.Helper()
	view, _ := g.m.Memory().Read(0, g.m.Memory().Size())
	clear(view[copy(view, g.was):])
	if reseed {
		if ret, err := g.m.ExportedFunction("casemate_reseed").Call(g.ctx); err != nil || ret[0] != 0 {
			g.t.Fatalf("reseeding: %v, %v", ret, err)
		}
	}
}

type reply struct {
	Events  int
	Drawn   uint64
	Random  []uint64
	Bytes   string
	Message string `json:"errorMessage"`
	Type    string `json:"errorType"`
}

// event gives one to the instance; failed is the error bit.
func (g *guest) event(text string) (r reply, failed bool) {
	g.t.Helper()
	at, err := g.m.ExportedFunction("casemate_alloc").Call(g.ctx, uint64(len(text)))
	if err != nil || !g.m.Memory().Write(uint32(at[0]), []byte(text)) {
		g.t.Fatalf("room for the event: %v", err)
	}
	ret, err := g.m.ExportedFunction("casemate_handle").Call(g.ctx, at[0], uint64(len(text)))
	if err != nil {
		g.t.Fatal(err)
	}
	out, ok := g.m.Memory().Read(uint32(ret[0]>>32), uint32(ret[0])&^(1<<31))
	if !ok {
		g.t.Fatalf("answer at %x", ret[0])
	}
	if err := json.Unmarshal(out, &r); err != nil {
		g.t.Fatalf("%s: %v", out, err)
	}
	return r, ret[0]&(1<<31) != 0
}

// TestRewoundEventsShareNoRandomNumbers: two events from one snapshot, with and without a reseed between. Without it they
// are the same, which shows that the test sees it.
func TestRewoundEventsShareNoRandomNumbers(t *testing.T) {
	g := instantiate(t, build(t, wasip1, "-buildmode=c-shared"))
	g.rewind(false)
	first, _ := g.event("{}")
	g.rewind(false)
	again, _ := g.event("{}")
	if !slices.Equal(first.Random, again.Random) {
		t.Fatal("a rewound generator went on: the snapshot does not hold it, and this test can show nothing")
	}
	if first.Bytes == again.Bytes {
		t.Error("crypto/rand repeats")
	}
	seen := map[uint64]bool{first.Random[0]: true, first.Random[1]: true, first.Random[2]: true}
	for range 50 {
		g.rewind(true)
		r, failed := g.event("{}")
		if failed || r.Events != 1 || r.Drawn != first.Drawn {
			t.Fatalf("failed %t, %+v: the snapshot's state is not there", failed, r)
		}
		for _, x := range r.Random {
			if seen[x] {
				t.Fatalf("the random number %d came twice", x)
			}
			seen[x] = true
		}
	}
}

// TestGeneratorRefills: after a reseed the runtime's generator goes on for good, across its refills.
func TestGeneratorRefills(t *testing.T) {
	g := instantiate(t, build(t, wasip1, "-buildmode=c-shared"))
	g.rewind(true)
	seen := map[uint64]bool{}
	for i := range 200 {
		r, _ := g.event("{}")
		if r.Events != i+1 || seen[r.Random[1]] {
			t.Fatalf("event %d: %+v", i, r)
		}
		seen[r.Random[1]] = true
	}
}

func TestFailuresAreErrorDocuments(t *testing.T) {
	g := instantiate(t, build(t, wasip1, "-buildmode=c-shared"))
	for event, want := range map[string][2]string{
		`{"do":"fail"}`:  {"no luck", "errorString"},
		`{"do":"panic"}`: {"at the disco", "panicked"},
		`{"do":7}`:       {"reading the event", "wrapError"},
		`{`:              {"reading the event", "wrapError"},
	} {
		if r, failed := g.event(event); !failed || !strings.Contains(r.Message, want[0]) || r.Type != want[1] {
			t.Errorf("%s: failed %t, %+v", event, failed, r)
		}
	}
}

// TestOneSourceIsACommandToo: the same file, built as a command and as a bootstrap, reads standard input.
func TestOneSourceIsACommandToo(t *testing.T) {
	for name, run := range map[string]func(event string) (string, error){
		"native": func(event string) (string, error) {
			cmd := exec.Command(build(t, nil))
			cmd.Stdin = strings.NewReader(event)
			out, err := cmd.Output()
			return string(out), err
		},
		"wasm": func(event string) (string, error) {
			code, err := os.ReadFile(build(t, wasip1))
			if err != nil {
				t.Fatal(err)
			}
			r := wazero.NewRuntime(t.Context())
			defer r.Close(t.Context())
			wasi_snapshot_preview1.MustInstantiate(t.Context(), r)
			var out strings.Builder
			_, err = r.InstantiateWithConfig(t.Context(), code, wazero.NewModuleConfig().WithStdin(strings.NewReader(event)).WithStdout(&out).WithStderr(io.Discard))
			return out.String(), err
		},
	} {
		t.Run(name, func(t *testing.T) {
			var r reply
			if out, _ := run("{}"); json.Unmarshal([]byte(out), &r) != nil || r.Events != 1 {
				t.Errorf("answer %q", out)
			}
			if out, err := run(`{"do":"fail"}`); err == nil || out != "" {
				t.Errorf("a failure ended with %q and no error", out)
			}
		})
	}
}
