package jail

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestMain makes this binary its own payload: in a jail it is called as /probe <what> <arguments>. As root it also runs
// every test a second time as an ordinary user, which is the other way to build a jail.
func TestMain(m *testing.M) {
	if os.Args[0] == "/bin/probe" {
		os.Exit(inside(os.Args[1:]))
	}
	if os.Getenv("JAIL_NODE") != "" {
		os.Exit(beNode())
	}
	code := m.Run()
	if code == 0 && os.Geteuid() == 0 && os.Getenv("JAIL_ROOTLESS") == "" {
		code = rootless()
	}
	os.Exit(code)
}

// beNode is a node that starts one jail, says its pid and stays.
func beNode() int {
	start := Start
	if strings.Contains(os.Getenv("JAIL_NODE"), "prepared") {
		start = Prepare
	}
	c, err := start(context.Background(), probeSpec(&testing.B{}, "wait"))
	if err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		return 1
	}
	if strings.Contains(os.Getenv("JAIL_NODE"), "frozen") {
		if err := c.Freeze(); err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			return 1
		}
	}
	if strings.Contains(os.Getenv("JAIL_NODE"), "stopped") {
		if err := c.process.Signal(syscall.SIGSTOP); err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			return 1
		}
	}
	os.Stdout.WriteString(itoa(c.Pid()) + "\n")
	c.Wait()
	return 1
}

// rootless runs this test binary again as uid 65534, with the same flags.
func rootless() int {
	dir, err := os.MkdirTemp("", "casemate-jail")
	if err != nil {
		return 1
	}
	defer os.RemoveAll(dir)
	os.Chmod(dir, 0o777)
	binary := filepath.Join(dir, "jail.test")
	data, err := os.ReadFile("/proc/self/exe")
	if err != nil || os.WriteFile(binary, data, 0o755) != nil {
		return 1
	}
	args := []string{binary}
	for _, arg := range os.Args[1:] {
		for _, pass := range []string{"-test.run", "-test.v", "-test.short", "-test.timeout", "-test.count", "-test.failfast"} {
			if strings.HasPrefix(arg, pass) {
				args = append(args, arg)
			}
		}
	}
	p, err := os.StartProcess(binary, args, &os.ProcAttr{
		Dir:   dir,
		Env:   []string{"JAIL_ROOTLESS=1", "TMPDIR=" + dir, "HOME=" + dir, "PATH=" + os.Getenv("PATH")},
		Files: []*os.File{nil, os.Stdout, os.Stderr},
		Sys:   &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}},
	})
	if err != nil {
		os.Stderr.WriteString("running as an ordinary user: " + err.Error() + "\n")
		return 1
	}
	state, err := p.Wait()
	if err != nil || !state.Success() {
		os.Stderr.WriteString("failed as an ordinary user\n")
		return 1
	}
	return 0
}

func isRoot() bool { return os.Geteuid() == 0 }

// probeSpec is a jail whose program is this test binary.
func probeSpec(t testing.TB, args ...string) Spec {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := Spec{
		Argv:      append([]string{"/bin/probe"}, args...),
		Env:       []string{"ONLY=this", "GORACE=atexit_sleep_ms=0"},
		Mounts:    []Mount{{Source: self, Target: "/bin/probe", Exec: true}},
		Etc:       map[string][]byte{"/etc/hosts": []byte("127.0.0.1 localhost\n")},
		Profile:   "provided",
		Limits:    Limits{Pids: 64, MemoryBytes: 256 << 20},
		AllowWeak: !isRoot(),
	}
	for _, dir := range []string{"/lib", "/lib64", "/usr/lib"} {
		if real, err := filepath.EvalSymlinks(dir); err == nil { // a race-enabled binary is dynamically linked
			s.Mounts = append(s.Mounts, Mount{Source: real, Target: dir, Exec: true})
		}
	}
	return s
}

// run starts a jail, waits for it and gives what it wrote.
func run(t testing.TB, s Spec) (string, Exit, *Child) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s.Stdout = w
	if s.Stderr == nil {
		s.Stderr = os.Stderr
	}
	c, err := Start(context.Background(), s)
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var out bytes.Buffer
	io.Copy(&out, r)
	exit, err := c.Wait()
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), exit, c
}

func ask[T any](t testing.TB, s Spec) T {
	t.Helper()
	out, exit, _ := run(t, s)
	if exit.Code != 0 {
		t.Fatalf("payload ended %+v: %s", exit, out)
	}
	var v T
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatalf("payload said %q: %v", out, err)
	}
	return v
}

// start starts a jail that the test's end closes.
func start(t testing.TB, s Spec) *Child {
	t.Helper()
	c, err := Start(context.Background(), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func itoa(n int) string { return strconv.Itoa(n) }

func statUID(info os.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }
