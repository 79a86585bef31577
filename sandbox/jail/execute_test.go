package jail

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// insideExecute tries to start other programs, in every way there is.
func insideExecute([]string) any {
	start := func(path string, by ...string) string {
		cmd := exec.Cmd{Path: path, Args: append(by, "/bin/probe", "host")}
		if len(by) > 0 {
			cmd.Args = append([]string{path}, by...)
		}
		out, err := cmd.Output()
		if err == nil && string(out) != "\"casemate\"\n" {
			return "said " + string(out)
		}
		return said(err)
	}
	program, _ := os.ReadFile("/bin/denied")
	os.WriteFile("/tmp/copy", program, 0o755)
	os.Symlink("/bin/denied", "/tmp/link")
	os.Symlink("/bin/allowed", "/tmp/good")
	answers := map[string]string{"allowed": start("/bin/allowed"), "denied": start("/bin/denied"), "copy": start("/tmp/copy"), "link": start("/tmp/link"),
		"good link": start("/tmp/good"), "script": start("/bin/script"), "nothing": start("/bin/nothing")}
	for name, flags := range map[string]int{"memory": 0, "sealed memory": unix.MFD_NOEXEC_SEAL} {
		fd, err := unix.MemfdCreate("x", flags)
		if err != nil {
			answers[name] = said(err)
			continue
		}
		unix.Write(fd, program)
		answers[name] = start("/proc/self/fd/" + itoa(fd))
	}
	fd, _ := unix.Open("/bin/denied", unix.O_RDONLY, 0)
	answers["descriptor"] = start("/proc/self/fd/" + itoa(fd))
	if loader, err := filepath.Glob("/lib64/ld-linux-*"); err == nil && len(loader) == 1 {
		answers["loader"] = start(loader[0], "/bin/denied", "host")
	}
	return answers
}

// executeSpec is a jail with two more programs in it than its own.
func executeSpec(t *testing.T) (s Spec, allowed Program) {
	s = probeSpec(t, "execute")
	s.Limits.MemoryBytes = 1 << 30
	dir := t.TempDir()
	for d := dir; d != "/" && d != "/tmp"; d = filepath.Dir(d) {
		os.Chmod(d, 0o755)
	}
	content, err := os.ReadFile(s.Mounts[0].Source)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"allowed": content, "denied": append(content, 0), "script": []byte("#!/bin/denied\n")} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o755); err != nil {
			t.Fatal(err)
		}
		s.Mounts = append(s.Mounts, Mount{Source: filepath.Join(dir, name), Target: "/bin/" + name, Exec: true})
	}
	sum := sha256.Sum256(content)
	return s, Program{Path: "/bin/allowed", SHA256: hex.EncodeToString(sum[:])}
}

// TestOtherPrograms: what may be executed is held by two walls, the notifier and Landlock; each holds alone.
func TestOtherPrograms(t *testing.T) {
	spec, allowed := executeSpec(t)
	every := func(want string) map[string]string {
		m := map[string]string{}
		for _, way := range []string{"allowed", "denied", "copy", "link", "good link", "script", "memory", "descriptor"} {
			m[way] = want
		}
		return m
	}
	with := func(m map[string]string, changes ...string) map[string]string {
		for i := 0; i < len(changes); i += 2 {
			m[changes[i]] = changes[i+1]
		}
		return m
	}
	for _, c := range []struct {
		name     string
		children []Program
		broken   []string
		want     map[string]string
	}{
		{"none", nil, nil, with(every("EPERM"), "nothing", "EPERM", "sealed memory", "EPERM", "loader", "EPERM")},
		{"one", []Program{allowed}, nil, with(every("EACCES"), "allowed", "ok", "nothing", "ENOENT", "memory", "EPERM", "loader", "EACCES")},
		{"none, Landlock alone", nil, []string{WallNotify}, with(every("EACCES"), "nothing", "ENOENT", "memory", "EPERM")},
		{"one, Landlock alone", []Program{allowed}, []string{WallNotify}, with(every("EACCES"), "allowed", "ok", "good link", "ok", "memory", "EPERM")},
		{"none, notifier alone", nil, []string{WallLandlock}, with(every("EPERM"), "loader", "EPERM")},
		{"one, notifier alone", []Program{allowed}, []string{WallLandlock}, with(every("EACCES"), "allowed", "ok", "memory", "EPERM")},
		{"none of both", nil, []string{WallLandlock, WallNotify}, map[string]string{"allowed": "ok", "denied": "ok", "copy": "ok", "descriptor": "ok"}},
	} {
		s := spec
		s.Children, s.broken, s.AllowWeak = c.children, c.broken, s.AllowWeak || c.broken != nil
		got := ask[map[string]string](t, s)
		for way, want := range c.want {
			if got[way] != want && got[way] != "" {
				t.Errorf("%s: %s: %s, want %s", c.name, way, got[way], want)
			}
		}
		if sealed := got["sealed memory"]; sealed != "EINVAL" && sealed != "EACCES" && sealed != "EPERM" { // EINVAL: before Linux 6.3
			t.Errorf("%s: sealed memory: %s", c.name, sealed)
		}
	}
}

func TestProgramsAreTold(t *testing.T) {
	s, allowed := executeSpec(t)
	s.Children = []Program{allowed}
	var mu sync.Mutex
	var told []string
	s.OnCall = func(c Call) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, map[bool]string{true: "+", false: "-"}[c.Allowed]+c.Name+" "+c.Target)
	}
	ask[map[string]string](t, s)
	mu.Lock()
	defer mu.Unlock()
	for _, want := range []string{"+execve /bin/allowed", "-execve /bin/denied", "-execve /tmp/copy", "-execve /tmp/good"} {
		if !slices.Contains(told, want) {
			t.Errorf("%q was not told in %q", want, told)
		}
	}
	if slices.Contains(told, "+execve /bin/probe") || slices.Contains(told, "-execve /bin/nothing") {
		t.Errorf("told of its own start, or of what is not there: %q", told)
	}
}

func TestProgramsThatChanged(t *testing.T) {
	s, allowed := executeSpec(t)
	for _, p := range []Program{{allowed.Path, strings.Repeat("0", 64)}, {allowed.Path, ""}, {"/bin/denied", allowed.SHA256}} {
		s.Children = []Program{p}
		c, err := Start(context.Background(), s)
		var changed *MismatchError
		if !errors.As(err, &changed) || changed.Path != p.Path || changed.Got == "" || !strings.Contains(err.Error(), changed.Got[:12]) {
			t.Errorf("%+v: error %v", p, err)
		}
		if err == nil {
			c.Close()
		}
	}
	for _, p := range []Program{{"bin/allowed", allowed.SHA256}, {"/bin/../bin/allowed", allowed.SHA256}, {"/bin/nothing", allowed.SHA256}, {"/bin", allowed.SHA256}} {
		s.Children = []Program{p}
		if c, err := Start(context.Background(), s); err == nil {
			c.Close()
			t.Errorf("%+v: started", p)
		}
	}
}

// TestPreparedJailHasChildren: what is allowed late is allowed in the same way.
func TestPreparedJailHasChildren(t *testing.T) {
	s, allowed := executeSpec(t)
	for _, children := range [][]Program{nil, {allowed}} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		ahead := s
		ahead.Stdout = w
		c, err := Prepare(t.Context(), ahead)
		w.Close()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.Assign(t.Context(), Assignment{Argv: s.Argv, Env: s.Env, Limits: s.Limits, Children: children}); err != nil {
			t.Fatal(err)
		}
		var got map[string]string
		if err := json.NewDecoder(r).Decode(&got); err != nil {
			t.Fatal(err)
		}
		r.Close()
		want := map[string]string{"allowed": "EPERM", "denied": "EPERM", "nothing": "EPERM"}
		if children != nil {
			want = map[string]string{"allowed": "ok", "denied": "EACCES", "nothing": "ENOENT", "memory": "EPERM"}
		}
		for way, want := range want {
			if got[way] != want {
				t.Errorf("%d children: %s: %s, want %s", len(children), way, got[way], want)
			}
		}
	}
}
