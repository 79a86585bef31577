package jail

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// insideAssigned says what it sees, waits for a byte on descriptor 3, and says what it sees then.
func insideAssigned(args []string) any {
	look := func() map[string]string {
		code, _ := os.ReadFile("/var/task/code.txt")
		etc, _ := os.ReadFile("/etc/resolv.conf")
		mounts, _ := os.ReadFile("/proc/self/mountinfo")
		saw := map[string]string{"code": string(code), "etc": string(etc), "mounts": string(mounts), "env": strings.Join(os.Environ(), " ")}
		saw["write code"] = said(os.WriteFile("/var/task/new", nil, 0o644))
		saw["write var"] = said(os.WriteFile("/var/new", nil, 0o644))
		saw["write etc"] = said(os.WriteFile("/etc/resolv.conf", nil, 0o644))
		saw["run"] = said(mapped("/var/task/prog"))
		saw["run data"] = said(mapped("/var/other/prog"))
		var fs unix.Statfs_t
		unix.Statfs("/tmp", &fs)
		saw["tmp"] = itoa(int(fs.Blocks) * int(fs.Bsize))
		var files unix.Rlimit
		unix.Getrlimit(unix.RLIMIT_NOFILE, &files)
		saw["files"] = itoa(int(files.Max))
		c, err := net.Dial("tcp", "198.18.0.7:80")
		if err == nil {
			text, _ := io.ReadAll(c)
			saw["dialled"] = string(text)
		}
		return saw
	}
	if len(args) > 0 {
		return look()
	}
	json.NewEncoder(os.Stdout).Encode(look())
	os.NewFile(3, "go").Read(make([]byte, 1))
	return look()
}

// mapped loads a file as the dynamic linker loads a library.
func mapped(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE)
	return err
}

// code is a folder like a function's.
func code(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	truth, err := exec.LookPath("true")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(truth)
	if err == nil {
		err = errors.Join(os.WriteFile(filepath.Join(dir, "code.txt"), []byte("its code"), 0o644), os.WriteFile(filepath.Join(dir, "prog"), program, 0o755))
	}
	for d := dir; d != os.TempDir() && err == nil; d = filepath.Dir(d) {
		err = os.Chmod(d, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// assignment fills the places of a jail.
func assignment(dir string) Assignment {
	return Assignment{
		Mounts: []Mount{{Source: dir, Target: "/var/task", Exec: true}, {Source: dir, Target: "/var/other"}},
		Etc:    map[string][]byte{"/etc/resolv.conf": []byte("nameserver 198.18.0.1\n"), "/etc/sub/hosts": []byte("new")},
		Limits: Limits{MemoryBytes: 200 << 20, Pids: 32, Files: 77, TmpBytes: 3 << 20},
		Listen: []string{"tcp 198.18.0.7:80"},
	}
}

// door answers whoever dials the k-th socket.
func door(t *testing.T, c *Child, k int) {
	t.Helper()
	l, err := c.Listener(k)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			io.WriteString(conn, "the door")
			conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
}

func checkAssigned(t *testing.T, saw map[string]string) {
	t.Helper()
	want := map[string]string{"code": "its code", "etc": "nameserver 198.18.0.1\n", "write code": "EROFS", "write var": "EROFS", "write etc": "EACCES",
		"run": "ok", "run data": "EPERM", "tmp": itoa(3 << 20), "files": "77", "dialled": "the door"}
	for k, v := range want {
		if saw[k] != v && !(k == "write etc" && saw[k] == "EROFS") {
			t.Errorf("%s: %q, want %q", k, saw[k], v)
		}
	}
}

// TestAssignReachesARunningProgram: mounts, files, limits and sockets arrive in a jail that stands still meanwhile.
func TestAssignReachesARunningProgram(t *testing.T) {
	if !CanAssign() {
		c, err := Start(t.Context(), waitingSpec(t))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.Assign(t.Context(), assignment(code(t))); !errors.Is(err, ErrRootless) {
			t.Errorf("without root: %v", err)
		}
		return
	}
	for _, frozen := range []bool{false, true} {
		s := waitingSpec(t)
		in, tell, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		out, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		s.Files, s.Stdout, s.Stderr = []*os.File{in}, w, os.Stderr
		c, err := Start(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		in.Close()
		w.Close()
		said := bufio.NewReader(out)
		before := hear(t, said)
		if before["code"] != "" || before["etc"] != "" || before["dialled"] != "" || strings.Contains(before["mounts"], "/var/task") || before["write var"] != "EROFS" {
			t.Errorf("before: %v", before)
		}
		if frozen {
			if err := c.Freeze(); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Assign(t.Context(), assignment(code(t))); err != nil {
			t.Fatal(err)
		}
		door(t, c, 1)
		if frozen {
			if err := c.Thaw(); err != nil {
				t.Fatal(err)
			}
		}
		tell.Write([]byte{1})
		checkAssigned(t, hear(t, said))
		if err := c.Assign(t.Context(), assignment(code(t))); err == nil {
			t.Error("it was assigned twice")
		}
		tell.Close()
		out.Close()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

func hear(t *testing.T, from *bufio.Reader) map[string]string {
	t.Helper()
	line, err := from.ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var saw map[string]string
	if err := json.Unmarshal(line, &saw); err != nil {
		t.Fatal(err)
	}
	return saw
}

func waitingSpec(t *testing.T) Spec {
	s := probeSpec(t, "assigned")
	s.Places = []string{"/var/task", "/var/other"}
	s.Listen = []string{"tcp 169.254.100.1:9001"}
	s.Limits = Limits{MemoryBytes: 1 << 30, Pids: 1000, Files: 4096, TmpBytes: 1 << 30}
	return s
}

// TestPreparedJailTakesItsProgram: a jail built ahead runs what it is told then, with and without root.
func TestPreparedJailTakesItsProgram(t *testing.T) {
	for _, frozen := range []bool{false, true} {
		s := waitingSpec(t)
		s.Places = nil
		out, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		s.Stdout, s.Stderr = w, os.Stderr
		c, err := Prepare(t.Context(), s)
		w.Close()
		if err != nil {
			t.Fatal(err)
		}
		if frozen {
			if err := c.Freeze(); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Thaw(); err != nil {
			t.Fatal(err)
		}
		a := assignment(code(t))
		a.Argv, a.Env, a.Dir = []string{"/bin/probe", "assigned", "at once"}, []string{"ITS=own"}, "/var/task"
		served := make(chan map[string]string, 1)
		go func() { served <- hear(t, bufio.NewReader(out)) }()
		if err := c.Assign(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		door(t, c, 1)
		saw := <-served
		checkAssigned(t, saw)
		if saw["env"] != "ITS=own" || len(c.Walls) == 0 {
			t.Errorf("environment %q, walls %v", saw["env"], c.Walls)
		}
		out.Close()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestPreparedJailDiesWithTheNode: one that waits has no program yet, and ends like one that has.
func TestPreparedJailDiesWithTheNode(t *testing.T) {
	for _, state := range []string{"prepared", "prepared, stopped", "running, stopped"} {
		node, jail := nodeWithJail(t, state)
		node.Kill()
		node.Wait()
		awaitDeath(jail)
	}
}

// TestPreparedJailFails: whatever is wrong with the rest of the order ends in an error and in nothing left behind.
func TestPreparedJailFails(t *testing.T) {
	prepare := func() *Child {
		c, err := Prepare(t.Context(), waitingSpec(t))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := prepare()
	a := assignment("/nowhere")
	a.Argv = []string{"/bin/probe"}
	if err := c.Assign(t.Context(), a); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("a source that is not there: %v", err)
	}
	c.Close()
	c = prepare()
	a = assignment(code(t))
	a.Argv = []string{"/bin/nothing"}
	if err := c.Assign(t.Context(), a); !errors.Is(err, unix.ENOENT) {
		t.Errorf("a program that is not there: %v", err)
	}
	c.Close()
	c = prepare()
	if err := c.Kill(); err != nil {
		t.Error(err)
	}
	if _, err := c.Wait(); err != nil {
		t.Error(err)
	}
	a.Argv = []string{"/bin/probe"}
	if err := c.Assign(t.Context(), a); err == nil {
		t.Error("a killed jail was assigned")
	}
	c.Close()
	c = prepare() // closed without an assignment
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
