package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"casemate"
	"casemate/sandbox/jail"
)

func withSpares(n int) func(*Config) { return func(c *Config) { c.Spares = n } }

// full waits until the pool has made what it makes ahead.
func (b *bench) full() {
	b.t.Helper()
	waitFor(b.t, "full", b.pool.Full)
}

// spares are the waiting sandboxes of a runtime; "" are empty jails.
func (b *bench) spares(r casemate.Runtime) []*instance {
	b.pool.mu.Lock()
	defer b.pool.mu.Unlock()
	var list []*instance
	for _, s := range b.pool.shelves {
		if s.runtime == r {
			list = append(list, s.ready...)
		}
	}
	return list
}

// needsAssign leaves out what a node without root does not do: it starts such functions in an empty jail.
func needsAssign(t *testing.T) {
	t.Helper()
	if !jail.CanAssign() {
		t.Skip("without root no interpreter waits")
	}
}

// TestWaitingInterpreterBecomesAFunction: the environment, the folder and the code are the function's, nothing else
// shows that it was started earlier, and it is handed out once.
func TestWaitingInterpreterBecomesAFunction(t *testing.T) {
	needsAssign(t)
	b := newBench(t, withSpares(1))
	node := b.node("index.handler", `exports.handler = async () => [process.env.MINE, process.cwd(), __dirname, process.argv.length,
		Object.keys(process.env).filter((n) => /_CASE|_REHE/.test(n)).length + (process.mainModule.children.length - 1) + (Object.keys(require.cache).length - 2), process.pid].join('|')`)
	python := b.python(`import os
def handler(e, c): return "|".join(map(str, [os.environ["MINE"], os.getcwd(), os.path.dirname(__file__), 2, len([n for n in os.environ if n.startswith("_CASE")]), os.getpid()]))`)
	for _, v := range []*casemate.Version{node, python} {
		v.Env = map[string]string{"MINE": "a=b\nc", "NODE_ENV": "production"}
		b.pool.Prepare(v)
		for range 3 {
			b.full()
			spares := b.spares(v.Runtime)
			if len(spares) != 1 {
				t.Fatalf("%d waiting for %s", len(spares), v.Runtime)
			}
			b.want(v, `{}`, `"a=b\nc|/var/task|/var/task|2|0|1"`)
			if i := spares[0]; i.version == nil || !i.dead() && slices.Contains(b.spares(v.Runtime), i) {
				t.Error("the waiting sandbox was not used, or not only once")
			}
		}
	}
}

// TestFunctionsFromThePoolAreLikeFreshOnes compares what a function sees in a sandbox from the pool with what it sees
// in a fresh one: environment, mounts, limits, identity, small files.
func TestFunctionsFromThePoolAreLikeFreshOnes(t *testing.T) {
	source := `const fs = require('fs'); exports.handler = async () => {
		const read = (f) => { try { return fs.readFileSync(f, 'utf8') } catch (e) { return e.code } };
		const mounts = read('/proc/self/mountinfo').split('\n').map((l) => l.split(' ').slice(4, 6).join(' ') + l.split(' - ')[1]?.split(' ')[0]).sort();
		const limits = read('/proc/self/limits').split('\n').filter((l) => /open files|processes|file size/.test(l));
		const status = read('/proc/self/status').split('\n').filter((l) => /^(Cap|NoNewPrivs|Seccomp:|Groups)/.test(l));
		const random = /^AWS_(ACCESS_KEY_ID|SECRET|SESSION)|LOG_STREAM/;
		const env = Object.entries(process.env).filter(([n]) => !random.test(n)).map(([n, v]) => n + '=' + v).sort();
		const tmp = fs.statfsSync ? fs.statfsSync('/tmp').blocks : 0;
		let written; try { fs.writeFileSync('/var/task/x', ''); written = 'yes' } catch (e) { written = e.code }
		return { mounts, limits, status, env, tmp, written, hosts: read('/etc/hosts'), cgroup: read('/sys/fs/cgroup/memory.max'), opt: fs.readdirSync('/opt'), root: fs.readdirSync('/').sort(),
			fds: fs.readdirSync('/proc/self/fd').length < 30, cwd: process.cwd(), exec: process.execArgv };
	}`
	var saw []string
	for _, spares := range []int{-1, 1} {
		b := newBench(t, withSpares(spares))
		v := b.node("index.handler", source)
		v.Limits.TmpMB, v.Limits.Pids, v.Limits.Files = 7, 50, 300
		b.pool.Prepare(v)
		b.full()
		saw = append(saw, string(b.run(v, `{}`).Payload))
	}
	if saw[0] != saw[1] {
		t.Errorf("fresh:\n%s\nfrom the pool:\n%s", saw[0], saw[1])
	}
	if !strings.Contains(saw[0], "EROFS") {
		t.Errorf("the code can be changed: %s", saw[0])
	}
}

// TestWaitingSandboxHoldsNothing looks at waiting sandboxes from the host, with a version prepared whose every part has
// a mark: no code, name, secret or grant of it is inside, and they stand still.
func TestWaitingSandboxHoldsNothing(t *testing.T) {
	b := newBench(t, withSpares(1), func(c *Config) {
		c.Doors = func(*casemate.Version, func(casemate.Effect)) (Door, error) {
			return &sealedDoor{way: casemate.Doorway{Etc: map[string][]byte{"/etc/resolv.conf": []byte("nameserver 198.18.0.1 CANARY\n")},
				Env: map[string]string{"AWS_ENDPOINT_URL": "http://CANARY"}, Listen: []string{"tcp 198.18.0.9:443"}}}, nil
		}
	})
	v := b.node("index.handler", `exports.handler = async () => [process.env.AWS_ENDPOINT_URL, require('fs').readFileSync('/etc/resolv.conf', 'utf8')] // CANARY`)
	v.App, v.Function, v.Env = "CANARY-app", "CANARY-fn", map[string]string{"SECRET": "CANARY"}
	b.pool.Prepare(v)
	b.full()
	dir := b.dirs[v.ID]
	runtimes := []casemate.Runtime{""}
	if jail.CanAssign() {
		runtimes = append(runtimes, v.Runtime)
	}
	for _, r := range runtimes {
		list := b.spares(r)
		if len(list) != 1 || list[0].version != nil {
			t.Fatalf("%q: %d waiting", r, len(list))
		}
		proc := filepath.Join("/proc", fmt.Sprint(list[0].child.Pid()))
		waitFor(t, "stopped", func() bool {
			stat, err := os.ReadFile(filepath.Join(proc, "stat"))
			return err == nil && strings.Contains(string(stat), ") T ")
		})
		for _, file := range []string{"environ", "cmdline", "mountinfo", "root/etc/hosts", "root/etc/passwd", "root/etc/resolv.conf", "net/tcp"} {
			text, err := os.ReadFile(filepath.Join(proc, file))
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%q: %v", r, err)
			}
			if s := string(text); strings.Contains(s, "CANARY") || strings.Contains(s, dir) || strings.Contains(s, "AWS_ACCESS_KEY") || strings.Contains(s, ":01BB") {
				t.Errorf("%q: %s shows %s", r, file, s)
			}
		}
		if r == "" {
			continue // its stage stands before the root is sealed
		}
		for dir, holds := range map[string]int{"root/var/task": 1, "root/var/task/lib": 0} { // the folder lib, empty, and no code
			if list, err := os.ReadDir(filepath.Join(proc, dir)); err != nil || len(list) != holds {
				t.Errorf("%s: %v %v", dir, list, err)
			}
		}
	}
	if n := len(b.pool.Snapshot()); n != len(runtimes) {
		t.Errorf("%d in the snapshot", n)
	}
	b.want(v, `{}`, `["http://CANARY","nameserver 198.18.0.1 CANARY\n"]`)
}

// sealedDoor is a Door that lets nothing out and closes what it was given.
type sealedDoor struct {
	way  casemate.Doorway
	mu   sync.Mutex
	held []interface{ Close() error }
}

func (d *sealedDoor) Doorway() casemate.Doorway { return d.way }
func (d *sealedDoor) Serve(_ int, l net.Listener, c net.PacketConn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if l != nil {
		d.held = append(d.held, l)
	} else {
		d.held = append(d.held, c)
	}
}
func (d *sealedDoor) Begin(*casemate.Launch) {}

// TestVersionsThatCannotUseAWaitingInterpreter start in a process of their own, with what they asked for in force.
func TestVersionsThatCannotUseAWaitingInterpreter(t *testing.T) {
	needsAssign(t)
	b := newBench(t, withSpares(1))
	for name, c := range map[string]struct{ value, expr, want string }{
		"NODE_OPTIONS": {"--stack-trace-limit=3", "Error.stackTraceLimit", "3"},
		"TZ":           {"Asia/Tokyo", "new Date(0).getHours()", "9"},
		"LANG":         {"de_DE.UTF-8", "process.env.LANG", `"de_DE.UTF-8"`},
	} {
		v := b.node("index.handler", `exports.handler = async () => `+c.expr)
		b.pool.Prepare(v)
		b.full()
		v.Env = map[string]string{name: c.value}
		before := b.spares(v.Runtime)
		b.want(v, `{}`, c.want)
		if after := b.spares(v.Runtime); len(before) != 1 || len(after) != 1 || before[0] != after[0] {
			t.Errorf("%s: a waiting interpreter was used", name)
		}
	}
	for _, name := range []string{"NODE_EXTRA_CA_CERTS", "PYTHONPATH", "PYTHONHASHSEED", "LD_PRELOAD", "LC_ALL", "TZ", "AWS_LAMBDA_EXEC_WRAPPER", "UV_THREADPOOL_SIZE"} {
		if !isEarly(name) {
			t.Error(name, "counts at the start")
		}
	}
	for _, name := range []string{"NODE_ENV", "TABLE", "LANGUAGES", "TZ_NAME", "PATH", "HOME"} {
		if isEarly(name) {
			t.Error(name, "does not count at the start")
		}
	}
}

// TestPoolOfWaitingSandboxesFallsBack: whatever happens to a waiting sandbox, the run gets its answer from a fresh one,
// and another one waits soon.
func TestPoolOfWaitingSandboxesFallsBack(t *testing.T) {
	b := newBench(t, withSpares(1))
	v := b.node("index.handler", `exports.handler = async () => 1`)
	r := v.Runtime
	if !jail.CanAssign() {
		r = ""
	}
	b.pool.Prepare(v)
	b.full()
	old := b.spares(r)[0]
	if err := syscall.Kill(old.child.Pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-old.exited
	b.want(v, `{}`, `1`)
	b.full()
	if list := b.spares(r); len(list) != 1 || list[0] == old {
		t.Errorf("after kill -9: %d waiting", len(list))
	}
	// An assignment that fails: the code's folder is not there when it is to be mounted, but is when it is started fresh.
	dir, calls := b.dirs[v.ID], 0
	b.pool.cfg.Code = func(context.Context, *casemate.Version) (string, func(), error) {
		if calls++; calls == 1 {
			return "/nowhere/at/all", func() {}, nil
		}
		return dir, func() {}, nil
	}
	if _, err := b.pool.Run(t.Context(), &casemate.Launch{Version: v, RequestID: "r", Payload: []byte(`{}`)}); err == nil {
		t.Error("code that is not there was run")
	}
	b.full()
	b.want(v, `{}`, `1`)
	b.full()
	if len(b.spares(r)) != 1 {
		t.Error("nothing waits any more")
	}
}

// TestWaitingSandboxesAreReplacedAndEnd: one waits no longer than IdleTimeout, and a class that nobody needs has none.
func TestWaitingSandboxesAreReplacedAndEnd(t *testing.T) {
	b := newBench(t, withSpares(1), func(c *Config) { c.IdleTimeout = 50 * time.Millisecond })
	v := b.function("provided.al2023", "bootstrap", map[string]string{"bootstrap": "#!/bin/sh\n"})
	b.pool.Prepare(v)
	var first *instance
	waitFor(t, "made", func() bool { // it may be replaced before anybody looks
		if l := b.spares(""); len(l) == 1 {
			first = l[0]
		}
		return first != nil
	})
	<-first.exited
	waitFor(t, "replaced", func() bool { l := b.spares(""); return len(l) == 1 && l[0] != first })
	b.pool.Drop(v.ID)
	waitFor(t, "empty", func() bool { return len(b.pool.Snapshot()) == 0 && b.pool.Full() })
}

// TestClassesAreBounded: of many memory classes only those asked for last have waiting sandboxes.
func TestClassesAreBounded(t *testing.T) {
	needsAssign(t)
	b := newBench(t, withSpares(1))
	v := b.node("index.handler", `exports.handler = async () => 1`)
	for mb := range 3 * maxShelves {
		w := *v
		w.ID, w.Limits.MemoryMB = casemate.NewID(), 3000+mb // each has heap flags of its own
		c, ok := b.pool.guess(&w)
		if !ok {
			t.Fatal("no class")
		}
		b.pool.mu.Lock()
		b.pool.shelf(c)
		b.pool.mu.Unlock()
	}
	if n := len(b.pool.shelves); n > maxShelves {
		t.Errorf("%d classes", n)
	}
}

func (d *sealedDoor) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.held {
		c.Close()
	}
}
