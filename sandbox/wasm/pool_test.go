package wasm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"casemate"
	"casemate/internal/casetest/guests"
	"casemate/sandbox/wasm/wire"
)

// TestMain makes the test binary its own worker, as cmd does.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == Argv0 {
		os.Exit(Serve(SocketFD))
	}
	status := m.Run()
	if builtDir != "" {
		_ = os.RemoveAll(builtDir)
	}
	os.Exit(status)
}

var builtDir string

// builtWorker is a worker built as a node is: static, and without the race detector, under which compiling a Go guest
// takes ten seconds.
var builtWorker = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "casemate-wasm-")
	if err != nil {
		return "", err
	}
	builtDir = dir
	out := filepath.Join(dir, "worker")
	cmd := exec.Command("go", "build", "-o", out, "casemate/sandbox/wasm/testdata/worker")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if b, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building a worker: %w: %s", err, b)
	}
	// The jail's own uid must reach it.
	return out, os.Chmod(dir, 0o755)
})

func staticWorker(t testing.TB) string {
	w, err := builtWorker()
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// bare is a worker without a jail: what is tested here is what goes on between the two processes.
type bare struct{ cmd *exec.Cmd }

func (b bare) Kill() { _ = b.cmd.Process.Kill() }

func (b bare) Wait() Exit {
	err := b.cmd.Wait()
	e := Exit{CPU: b.cmd.ProcessState.UserTime() + b.cmd.ProcessState.SystemTime()}
	if err != nil {
		e.Reason = err.Error()
	}
	return e
}

func startBare(_ context.Context, s *Spec) (*Started, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return startBareOf(self, s)
}

func startBareOf(executable string, s *Spec) (*Started, error) {
	cmd := &exec.Cmd{Path: executable, Args: []string{Argv0}, Env: []string{}, ExtraFiles: []*os.File{s.Conn}, Stderr: os.Stderr}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	cache := s.Cache
	if cache == "" {
		cache = s.Module + ".cache"
	}
	return &Started{Process: bare{cmd}, Module: s.Module, Cache: cache, Walls: []string{"none"}}, nil
}

type logBook struct {
	mu    sync.Mutex
	lines []casemate.LogLine
}

func (b *logBook) add(l casemate.LogLine) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, l)
}

func (b *logBook) text(stream string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var s strings.Builder
	for _, l := range b.lines {
		if l.Stream == stream {
			s.WriteString(l.Text + "\n")
		}
	}
	return s.String()
}

// bed is a pool over modules that tests hand in.
type bed struct {
	t    testing.TB
	dir  string
	logs logBook
	*Pool
}

func newBed(t testing.TB, change func(*Config)) *bed {
	b := &bed{t: t, dir: t.TempDir()}
	cfg := Config{
		Code: func(_ context.Context, v *casemate.Version) (string, func(), error) {
			return filepath.Join(b.dir, v.Code), func() {}, nil
		},
		Start: startBare, CacheDir: filepath.Join(b.dir, "compiled"), Logs: b.logs.add,
	}
	if change != nil {
		change(&cfg)
	}
	p, err := NewPool(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b.Pool = p
	t.Cleanup(func() {
		if err := p.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return b
}

// version puts a module in the bed. Its limits are the defaults but for a time-out that no test should meet.
func (b *bed) version(function string, module []byte) *casemate.Version {
	sum := sha256.Sum256(module)
	code := hex.EncodeToString(sum[:])
	if err := os.WriteFile(filepath.Join(b.dir, code), module, 0o444); err != nil && !os.IsPermission(err) {
		b.t.Fatal(err)
	}
	return &casemate.Version{App: "app", Function: function, ID: function + code, Number: 1, Runtime: "wasm", Code: code,
		CodeSize: int64(len(module)), Limits: casemate.Limits{Timeout: 10 * time.Minute, InitTimeout: 10 * time.Minute}}
}

func (b *bed) launch(v *casemate.Version, payload string) *casemate.Launch {
	return &casemate.Launch{Version: v, RequestID: casemate.NewID(), Payload: []byte(payload),
		Deadline: time.Now().Add(limitsOf(v).Timeout)}
}

func (b *bed) run(v *casemate.Version, payload string) *casemate.Result {
	b.t.Helper()
	r, err := b.Run(context.Background(), b.launch(v, payload))
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func TestRun(t *testing.T) {
	b := newBed(t, nil)
	long := strings.Repeat("0123456789abcdef", 20<<10)
	for _, c := range []struct {
		name    string
		module  []byte
		in      string
		out     string
		failure casemate.Failure
		log     string
	}{
		{"hello", guests.Hello(), "", "hello", "", ""},
		{"echo", guests.Echo(), "an event", "an event", "", ""},
		{"echo of nothing", guests.Echo(), "", "", "", ""},
		{"echo of 320 KiB", guests.Echo(), long, long, "", ""},
		{"log", guests.Say("to the log\n", 2), "", "", "", "to the log\n"},
		{"exit 0", guests.Exit(0), "", "", "", "why\n"},
		{"exit 3", guests.Exit(3), "", "exit status 3", casemate.FailureExit, "why\n"},
		{"trap", guests.Trap(), "", "trap: unreachable", casemate.FailureExit, "wasm stack trace"},
		{"memory", guests.Grow(), "", "out of memory", casemate.FailureMemory, "unreachable"},
		{"flood", guests.Flood(1), "", "exceeded maximum allowed payload size", casemate.FailureResponse, ""},
		{"reactor", guests.Reactor(false), "an event", "an event", "", ""},
		{"reactor's error", guests.Reactor(true), "my fault", "my fault", casemate.FailureHandled, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := b.version(strings.ReplaceAll(c.name, " ", "-"), c.module)
			for range 3 { // a failure leaves the function usable
				r := b.run(v, c.in)
				if r.Failure != c.failure {
					t.Fatalf("failure %q (%s), want %q", r.Failure, r.Detail, c.failure)
				}
				if c.failure == "" || c.failure == casemate.FailureHandled {
					if string(r.Payload) != c.out {
						t.Fatalf("answered %.100q, want %.100q", r.Payload, c.out)
					}
				} else if !bytes.Contains(r.Payload, []byte(c.out)) || bytes.Contains(r.Payload, []byte("wasm stack")) {
					t.Fatalf("answered %s, want something with %q", r.Payload, c.out)
				}
				if !bytes.Contains(r.Tail, []byte(c.log)) {
					t.Fatalf("log %q, want something with %q", r.Tail, c.log)
				}
			}
		})
	}
}

func TestGrowStopsAtTheLimit(t *testing.T) {
	b := newBed(t, nil)
	v := b.version("grow", guests.Grow())
	v.Limits.MemoryMB = 7
	r := b.run(v, "")
	if r.Usage.PeakBytes != 7<<20 || r.Usage.MemoryMB != 7 {
		t.Fatalf("peak %d of %d MB, want exactly the limit", r.Usage.PeakBytes, r.Usage.MemoryMB)
	}
}

func TestTimeoutKillsOneFunctionOnly(t *testing.T) {
	b := newBed(t, func(c *Config) { c.MaxWorkers = 1 })
	loop, echo := b.version("loop", guests.Loop()), b.version("echo", guests.Echo())
	loop.Limits.Timeout = 3 * time.Second
	b.run(echo, "warm")
	done := make(chan *casemate.Result)
	l := b.launch(loop, "")
	l.Deadline = time.Now().Add(time.Second)
	go func() {
		r, err := b.Run(context.Background(), l)
		if err != nil {
			t.Error(err)
		}
		done <- r
	}()
	served := 0
	for {
		select {
		case r := <-done:
			want := `{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: ` + l.RequestID + ` Error: Task timed out after 3.00 seconds"}`
			if r.Failure != casemate.FailureTimeout || string(r.Payload) != want {
				t.Fatalf("%s: %s", r.Failure, r.Payload)
			}
			if r.Usage.CPU < 100*time.Millisecond {
				t.Errorf("a killed loop is charged %v of CPU", r.Usage.CPU)
			}
			if served == 0 {
				t.Error("the other function stood still")
			}
			if !strings.Contains(b.logs.text("platform"), "Task timed out") {
				t.Error("the log does not say so")
			}
			return
		default:
			b.run(echo, "x")
			served++
		}
	}
}

func TestUsageAndLog(t *testing.T) {
	b := newBed(t, nil)
	v := b.version("say", guests.Say("a line\nanother\n", 2))
	cold, warm := b.run(v, "123"), b.run(v, "123")
	if !cold.Usage.Cold || cold.Usage.Init <= 0 || warm.Usage.Cold || warm.Usage.Init != 0 {
		t.Errorf("cold %+v, warm %+v", cold.Usage, warm.Usage)
	}
	if u := warm.Usage; u.CPU <= 0 || u.Wall <= 0 || u.In != 3 || u.Out != 0 || u.PeakBytes != wire.PageSize || u.MemoryMB != 128 {
		t.Errorf("usage %+v", u)
	}
	if len(warm.Walls) != 1 || warm.Executed != "1" {
		t.Errorf("walls %v, executed %q", warm.Walls, warm.Executed)
	}
	lines := strings.Split(strings.TrimSpace(string(warm.Tail)), "\n")
	if len(lines) != 5 || !strings.HasPrefix(lines[0], "START RequestId: ") || lines[1] != "a line" || lines[2] != "another" ||
		!strings.HasPrefix(lines[3], "END RequestId: ") || !strings.HasPrefix(lines[4], "REPORT RequestId: ") ||
		strings.Contains(lines[4], "Init Duration") || !strings.Contains(string(cold.Tail), "Init Duration") {
		t.Errorf("log:\n%s", warm.Tail)
	}
	for _, l := range b.logs.lines {
		if l.Request == "" || l.Function != "say" || l.App != "app" {
			t.Errorf("line %+v is nobody's", l)
		}
	}
}

// TestStartIsNotTheFunctionsTime: on a clock that ticks when it is read, a cold run takes as long as a warm one.
func TestStartIsNotTheFunctionsTime(t *testing.T) {
	var ticks atomic.Int64
	b := newBed(t, func(c *Config) {
		c.Clock = func() time.Time { return time.Unix(ticks.Add(1), 0) }
		c.Start = func(ctx context.Context, s *Spec) (*Started, error) {
			ticks.Add(1000)
			return startBare(ctx, s)
		}
	})
	v := b.version("echo", guests.Echo())
	cold, warm := b.run(v, "x"), b.run(v, "x")
	if !cold.Usage.Cold || warm.Usage.Cold || cold.Usage.Wall != warm.Usage.Wall {
		t.Errorf("cold %+v, warm %+v", cold.Usage, warm.Usage)
	}
}

func TestLogIsBounded(t *testing.T) {
	b := newBed(t, func(c *Config) { c.LogBytes = 100 << 10 })
	v := b.version("flood", guests.Flood(2))
	l := b.launch(v, "")
	l.Deadline = time.Now().Add(time.Second)
	r, err := b.Run(context.Background(), l)
	if err != nil || r.Failure != casemate.FailureTimeout {
		t.Fatal(r, err)
	}
	if n := len(b.logs.text("stderr")); n < 50<<10 || n > 110<<10 {
		t.Errorf("%d bytes of log came, bound 100 KiB", n)
	}
	if len(r.Tail) > tailBytes {
		t.Errorf("tail of %d bytes", len(r.Tail))
	}
}

func TestEveryInstanceIsFresh(t *testing.T) {
	b := newBed(t, func(c *Config) { c.MaxWorkers = 1 })
	v := b.version("random", guests.Random())
	seen := map[string]bool{}
	for range 100 {
		r := b.run(v, "")
		if len(r.Payload) != 16 || seen[string(r.Payload)] {
			t.Fatalf("random bytes %x came twice", r.Payload)
		}
		seen[string(r.Payload)] = true
	}
}

// TestNoResidue holds promise S12 for memory: what one event leaves, below and above the bound of in-place clearing, the
// next one cannot see.
func TestNoResidue(t *testing.T) {
	b := newBed(t, func(c *Config) { c.MaxWorkers = 1 })
	rounds := 10_000
	if os.Getenv("CASEMATE_FULL") == "1" {
		rounds = 1_000_000
	}
	for _, pages := range []int32{2, 20} {
		v := b.version(fmt.Sprint("canary-", pages), guests.Canary(pages))
		for i := range rounds / int(pages) * 2 {
			r := b.run(v, "")
			if r.Failure != "" || string(r.Payload) != "\x00\x00\x00\x00" {
				t.Fatalf("run %d on %d pages saw %x %s %s", i, pages, r.Payload, r.Failure, r.Detail)
			}
		}
	}
}

func TestCrashIsOneFailedRequest(t *testing.T) {
	var f *function
	first := func() *link {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.all[0]
	}
	var once sync.Once
	b := newBed(t, func(c *Config) {
		c.MaxWorkers = 1
		c.Logs = func(l casemate.LogLine) {
			if l.Function == "loop" && strings.HasPrefix(l.Text, "START") {
				once.Do(func() { first().process.Kill() })
			}
		}
	})
	v := b.version("loop", guests.Loop())
	f, _ = b.function(v)
	if r := b.run(v, ""); r.Failure != casemate.FailureExit || !strings.Contains(r.Detail, "killed") {
		t.Fatalf("in the middle: %s %s", r.Failure, r.Detail)
	}
	v = b.version("echo", guests.Echo())
	f, _ = b.function(v)
	b.run(v, "x")
	w := first()
	w.process.Kill()
	<-w.done
	if r := b.run(v, "again"); string(r.Payload) != "again" || !r.Usage.Cold {
		t.Fatalf("after a death in idleness: %s %+v", r.Payload, r)
	}
}

func TestPreparedCodeIsKeptAndRepaired(t *testing.T) {
	b := newBed(t, nil)
	v := b.version("echo", guests.Echo())
	if err := b.Prepare(context.Background(), v); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(b.cfg.CacheDir, cacheKey(v), "*", "*"))
	if len(files) != 3 { // the prepared module, what is known of it, and machine code
		t.Fatalf("compiled code in %v", files)
	}
	for _, f := range files {
		// A new pool finds the code damaged.
		if err := os.Chmod(f, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(f, 20); err != nil {
			t.Fatal(err)
		}
		again, err := NewPool(b.cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close(context.Background())
		r, err := again.Run(context.Background(), b.launch(v, "x"))
		if err != nil || string(r.Payload) != "x" {
			t.Fatal(f, r, err)
		}
	}
	other := *v
	other.App = "another"
	if cacheKey(&other) == cacheKey(v) {
		t.Error("two apps share compiled code")
	}
}

// TestKeptCodeServesTheNextNode is the ordinary restart: what was compiled before is whole.
func TestKeptCodeServesTheNextNode(t *testing.T) {
	b := newBed(t, nil)
	v := b.version("echo", guests.Echo())
	if err := b.Prepare(context.Background(), v); err != nil {
		t.Fatal(err)
	}
	again, err := NewPool(b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close(context.Background())
	r, err := again.Run(context.Background(), b.launch(v, "x"))
	if err != nil || string(r.Payload) != "x" {
		t.Fatal(r, err)
	}
}

func TestBadModuleFailsItsInit(t *testing.T) {
	b := newBed(t, nil)
	bad := guests.Hello()
	bad[len(bad)-12] = 0xff // within the code: only the compiler sees it
	v := b.version("bad", bad)
	err := b.Prepare(context.Background(), v)
	if casemate.CodeOf(err) != casemate.Invalid {
		t.Fatalf("prepare: %v", err)
	}
	if r := b.run(v, ""); r.Failure != casemate.FailureInit {
		t.Fatalf("%+v", r)
	}
}

func TestCancelDropAndClose(t *testing.T) {
	b := newBed(t, func(c *Config) { c.MaxWorkers = 1 })
	v := b.version("loop", guests.Loop())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	begun := make(chan struct{})
	b.cfg.Logs = func(l casemate.LogLine) {
		if strings.HasPrefix(l.Text, "START") {
			close(begun)
		}
	}
	go func() { _, err := b.Run(ctx, b.launch(v, "")); ended <- err }()
	<-begun
	waiting, stop := context.WithCancel(context.Background())
	stop()
	if _, err := b.Run(waiting, b.launch(v, "")); casemate.CodeOf(err) != casemate.Unavailable {
		t.Errorf("a cancelled wait gave %v", err)
	}
	late := b.launch(v, "")
	late.Deadline = time.Now()
	if _, err := b.Run(context.Background(), late); casemate.CodeOf(err) != casemate.Exhausted {
		t.Errorf("a wait past its deadline gave %v", err)
	}
	cancel()
	if err := <-ended; casemate.CodeOf(err) != casemate.Unavailable {
		t.Errorf("a cancelled run gave %v", err)
	}
	b.Drop(v.ID)
	b.Drop("unknown")
	if err := b.Pool.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Run(context.Background(), b.launch(v, "")); casemate.CodeOf(err) != casemate.Unavailable {
		t.Errorf("a closed pool gave %v", err)
	}
}

func TestManyAtOnce(t *testing.T) {
	b := newBed(t, func(c *Config) { c.MaxWorkers = 2 })
	v := b.version("echo", guests.Echo())
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for j := range 50 {
				in := fmt.Sprint(i, "-", j)
				r, err := b.Run(context.Background(), b.launch(v, in))
				if err != nil || string(r.Payload) != in {
					t.Errorf("%s: %v %v", in, r, err)
				}
			}
		})
	}
	wg.Wait()
	f, _ := b.function(v)
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := len(f.all); n < 1 || n > 2 {
		t.Errorf("%d workers, bound 2", n)
	}
}

func TestIdleWorkersEnd(t *testing.T) {
	now := time.Unix(0, 0)
	b := newBed(t, func(c *Config) { c.IdleTimeout = time.Hour; c.Clock = func() time.Time { return now } })
	v := b.version("echo", guests.Echo())
	b.run(v, "x")
	f, _ := b.function(v)
	w := f.all[0]
	f.endIdle(now.Add(-time.Second))
	if !f.holds(w) {
		t.Fatal("a worker just used was ended")
	}
	f.endIdle(now)
	<-w.done
	if f.holds(w) {
		t.Fatal("an idle worker stayed")
	}
}

func (f *function) holds(w *link) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Contains(f.all, w) && !w.gone
}

// TestNoDeadlineMeansTheLimits: a launch without a deadline is not one without an end.
func TestNoDeadlineMeansTheLimits(t *testing.T) {
	b := newBed(t, nil)
	v := b.version("loop", guests.Loop())
	if err := b.Prepare(context.Background(), v); err != nil {
		t.Fatal(err)
	}
	v.Limits.InitTimeout, v.Limits.Timeout = 2*time.Second, 100*time.Millisecond
	l := b.launch(v, "")
	l.Deadline = time.Time{}
	if r, err := b.Run(context.Background(), l); err != nil || r.Failure != casemate.FailureTimeout {
		t.Fatalf("%+v %v", r, err)
	}
}

// TestWaitIsNotTheFunctionsTime: the node's deadline allows for a cold start; the run itself has its own timeout.
func TestWaitIsNotTheFunctionsTime(t *testing.T) {
	b := newBed(t, nil)
	v := b.version("loop", guests.Loop())
	v.Limits.Timeout = 50 * time.Millisecond
	l := b.launch(v, "")
	l.Deadline = time.Now().Add(time.Hour)
	if r, err := b.Run(context.Background(), l); err != nil || r.Failure != casemate.FailureTimeout {
		t.Fatalf("got %+v, %v", r, err)
	}
}

// function finds or makes the queue of a version whose tenants are not kept apart.
func (p *Pool) function(v *casemate.Version) (*function, error) {
	if err := fits(v); err != nil {
		return nil, err
	}
	f, _, err := p.find(place{version: v.ID}, v, false)
	return f, err
}
