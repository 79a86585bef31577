package sandbox

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"casemate"
)

func TestMain(m *testing.M) {
	// The jail's spawning thread lives as long as the process, by design.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("casemate/sandbox/jail.newLauncher.func1"))
}

// children counts the processes whose parent is this one.
func children(t *testing.T) int {
	t.Helper()
	n := 0
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil || len(lists) == 0 {
		t.Skip("LEFT OUT: this kernel does not list children")
	}
	for _, f := range lists {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		n += len(strings.Fields(string(b)))
	}
	return n
}

// descriptors are what this process has open, each as what it leads to.
func descriptors(t *testing.T) (open []string) {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range list {
		to, err := os.Readlink("/proc/self/fd/" + fd.Name())
		if err == nil { // else it is the folder that was read
			open = append(open, to)
		}
	}
	return open
}

// TestNoLeaksAfterManyColdRuns: no child, no descriptor; goleak looks for goroutines at the end of the tests.
func TestNoLeaksAfterManyColdRuns(t *testing.T) {
	b := newBench(t)
	v := b.goFunction(goFunction)
	one := func() {
		b.fails(v, `{"Do":"panic"}`, casemate.FailureHandled)
		b.pool.ending.Wait()
	}
	one()
	kids, fds := children(t), descriptors(t)
	for range 100 {
		one()
	}
	if n := children(t); n > kids {
		t.Errorf("%d children, %d before", n, kids)
	}
	if now := descriptors(t); len(now) > len(fds) {
		t.Errorf("descriptors %q, before %q", now, fds)
	}
	if len(b.pool.slots) != 0 || len(b.pool.live) != 0 || len(b.pool.uids.used) != 0 || len(b.pool.running) != 0 {
		t.Error("the pool still counts a sandbox")
	}
}

// TestNoLeaksFromWaitingSandboxes: whatever was made ahead and whatever became of it, Close leaves nothing.
func TestNoLeaksFromWaitingSandboxes(t *testing.T) {
	round := func() {
		b := &bench{t, &shared{dirs: map[string]string{}}}
		p, err := New(Config{Dir: t.TempDir(), Interpreters: findRuntimes(), AllowWeak: true, Spares: 2,
			Code: func(_ context.Context, v *casemate.Version) (string, func(), error) {
				return b.dirs[v.ID], func() {}, nil
			}})
		if err != nil {
			t.Fatal(err)
		}
		b.pool = p
		v := b.node("index.handler", `exports.handler = async () => 1`)
		v.Spare = 1
		p.Prepare(v)
		for range 3 {
			b.want(v, `{}`, `1`)
		}
		if err := p.Close(t.Context()); err != nil { // with whatever was on its way
			t.Error(err)
		}
		if len(p.slots) != 0 || len(p.live) != 0 || len(p.uids.used) != 0 || len(p.running) != 0 {
			t.Errorf("the pool still counts a sandbox: %d %d %d", len(p.slots), len(p.live), len(p.uids.used))
		}
	}
	round()
	kids, fds := children(t), descriptors(t)
	for range 5 {
		round()
	}
	if n := children(t); n > kids {
		t.Errorf("%d children, %d before", n, kids)
	}
	if now := descriptors(t); len(now) > len(fds) {
		t.Errorf("descriptors %q, before %q", now, fds)
	}
}

// TestWithoutRoot runs the tests of what is made ahead again as an ordinary user, where interpreters do not wait and empty
// jails do.
func TestWithoutRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("this is the run without root")
	}
	dir, err := os.MkdirTemp("", "casemate-sandbox")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "sandbox.test")
	data, err := os.ReadFile("/proc/self/exe")
	if err := errors.Join(err, os.Chmod(dir, 0o777), os.WriteFile(binary, data, 0o755)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "-test.run=Waiting|FromThePool|KeptSandboxes|ProvisionedSandboxes|TestReusedSandboxesEnd")
	cmd.Dir, cmd.Env = dir, []string{"TMPDIR=" + dir, "HOME=" + dir, "PATH=" + os.Getenv("PATH"), "CI=" + os.Getenv("CI")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("as an ordinary user: %v\n%s", err, out)
	}
}
