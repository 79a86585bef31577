package cgroup

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// tree lays out a fake machine: files by path below a fresh root.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func read(t *testing.T, elements ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(elements...))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

const unified = "30 20 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"

func TestUnifiedHierarchy(t *testing.T) {
	root := tree(t, map[string]string{
		"proc/self/mountinfo": unified,
		"proc/self/cgroup":    "0::/system.slice/casemate.service\n",
		"sys/fs/cgroup/system.slice/casemate.service/cgroup.controllers": "cpu io memory pids\n",
	})
	own := filepath.Join(root, "sys/fs/cgroup/system.slice/casemate.service")
	g, missing := Open(root).Make(Limits{MemoryBytes: 1 << 20, Pids: 7, CPUMillis: 1500}, nil)
	if len(missing) != 0 {
		t.Fatalf("missing %v", missing)
	}
	dir := g.dirs["memory"].dir
	if filepath.Dir(dir) != own || !strings.HasPrefix(filepath.Base(dir), "casemate-"+strconv.Itoa(os.Getpid())+"-") {
		t.Errorf("group at %s", dir)
	}
	if err := g.Join(42); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{"memory.max": "1048576", "memory.swap.max": "0", "memory.oom.group": "1", "pids.max": "7",
		"cpu.max": "30000 20000", "cgroup.procs": "42"} {
		if got := read(t, dir, file); got != want {
			t.Errorf("%s holds %q, want %q", file, got, want)
		}
	}
	for file, content := range map[string]string{"cpu.stat": "usage_usec 2500\nuser_usec 1\n", "memory.peak": "4096\n",
		"memory.events": "low 0\noom 3\noom_kill 1\n", "cgroup.events": "populated 1\nfrozen 1\n"} {
		os.WriteFile(filepath.Join(dir, file), []byte(content), 0o644)
	}
	if u := g.Usage(); u != (Usage{CPU: 2500 * time.Microsecond, PeakBytes: 4096, OOM: true}) {
		t.Errorf("usage %+v", u)
	}
	if err := g.Freeze(); err != nil || read(t, dir, "cgroup.freeze") != "1" {
		t.Errorf("freezing: %v", err)
	}
	if err := g.Thaw(); err == nil {
		t.Error("thawed although the kernel says frozen")
	}
	if held := g.Held(); len(held) != 4 {
		t.Errorf("walls %v", held)
	}
}

func TestControllersThatAreNotDelegated(t *testing.T) {
	root := tree(t, map[string]string{
		"proc/self/mountinfo":                         unified,
		"proc/self/cgroup":                            "0::/user.slice\n",
		"sys/fs/cgroup/user.slice/cgroup.controllers": "pids\n",
	})
	g, missing := Open(root).Make(Limits{MemoryBytes: 1, Pids: 1}, nil)
	if len(missing) != 2 || missing[0].Name != WallMemory || missing[1].Name != WallCPU || missing[0].Err == nil {
		t.Errorf("missing %v", missing)
	}
	if held := g.Held(); len(held) != 2 {
		t.Errorf("walls %v", held)
	}
}

func TestVersionOneHierarchies(t *testing.T) {
	root := tree(t, map[string]string{
		"proc/self/mountinfo": "31 20 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n" +
			"32 20 0:28 /docker/abc /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n" +
			"33 20 0:29 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n" +
			"nonsense\n\n36 20 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n" +
			"34 20 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
		"proc/self/cgroup":                         "4:memory:/a/b\n3:cpu,cpuacct:/docker/abc\n2:pids:/\n1:name=systemd:/\n0::/\nnonsense\n",
		"sys/fs/cgroup/memory/a/b/x":               "",
		"sys/fs/cgroup/cpu,cpuacct/x":              "",
		"sys/fs/cgroup/pids/x":                     "",
		"sys/fs/cgroup/unified/memory":             "",
		"sys/fs/cgroup/unified/cgroup.controllers": "",
	})
	g, missing := Open(root).Make(Limits{MemoryBytes: 5 << 20, Pids: 3, CPUMillis: 10}, nil)
	if len(missing) != 0 {
		t.Fatalf("missing %v", missing)
	}
	if dir := g.dirs["memory"].dir; filepath.Dir(dir) != filepath.Join(root, "sys/fs/cgroup/memory/a/b") ||
		read(t, dir, "memory.limit_in_bytes") != "5242880" || read(t, dir, "memory.memsw.limit_in_bytes") != "5242880" {
		t.Errorf("memory at %s", dir)
	}
	// The mount shows only the container's part of the hierarchy: its root is our own group.
	dir := g.dirs["cpu"].dir
	if filepath.Dir(dir) != filepath.Join(root, "sys/fs/cgroup/cpu,cpuacct") || read(t, dir, "cpu.cfs_quota_us") != "1000" || g.dirs["cpuacct"].dir != dir {
		t.Errorf("cpu at %s", dir)
	}
	os.WriteFile(filepath.Join(dir, "cpuacct.usage"), []byte("12345\n"), 0o644)
	os.WriteFile(filepath.Join(g.dirs["memory"].dir, "memory.oom_control"), []byte("oom_kill_disable 0\nunder_oom 0\noom_kill 0\n"), 0o644)
	if u := g.Usage(); u.CPU != 12345 || u.OOM {
		t.Errorf("usage %+v", u)
	}
	os.WriteFile(filepath.Join(dir, "cpuacct.usage"), []byte("123456\n"), 0o644)
	if u := g.Usage(); u.CPU != 123456 {
		t.Errorf("usage after a while %+v", u)
	}
	parent := filepath.Dir(dir)
	leave, err := g.Enter()
	if err != nil || read(t, dir, "tasks") != "0" {
		t.Errorf("entering: %v", err)
	}
	if err := leave(); err != nil || read(t, parent, "tasks") != "0" {
		t.Errorf("leaving: %v", err)
	}
	if err := g.Join(42); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "cgroup.procs")); err == nil {
		t.Error("a process was moved into a group that it was born in")
	}
	g.closeCounters()
	if u := g.Usage(); u != (Usage{}) {
		t.Errorf("usage of what was removed %+v", u)
	}
}

func TestNoHierarchyAtAll(t *testing.T) {
	g, missing := Open(t.TempDir()).Make(Limits{MemoryBytes: 1, Pids: 1}, nil)
	if len(missing) != 4 || len(g.Held()) != 0 {
		t.Errorf("missing %v, held %v", missing, g.Held())
	}
	if err := g.Freeze(); !errors.Is(err, ErrNoFreezer) {
		t.Errorf("freezing: %v", err)
	}
	var none *Group
	if err := errors.Join(none.Join(1), none.Remove()); err != nil || none.Usage() != (Usage{}) {
		t.Errorf("a group that is none: %v", err)
	}
	if err := none.Thaw(); !errors.Is(err, ErrNoFreezer) {
		t.Errorf("thawing none: %v", err)
	}
}

func TestLeftoversOfDeadNodesAreSwept(t *testing.T) {
	const dead = "casemate-999999999-x" // above any pid
	live := "casemate-" + strconv.Itoa(os.Getpid()) + "-x"
	root := tree(t, map[string]string{
		"proc/self/mountinfo":       "33 20 0:29 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n",
		"proc/self/cgroup":          "2:pids:/\n",
		"sys/fs/cgroup/pids/tasks":  "",
		"sys/fs/cgroup/pids/else/x": "",
	})
	for _, dir := range []string{dead, live, "casemate-node"} {
		os.Mkdir(filepath.Join(root, "sys/fs/cgroup/pids", dir), 0o755)
	}
	Open(root)
	for dir, want := range map[string]bool{dead: false, live: true, "else": true, "casemate-node": true} {
		if _, err := os.Stat(filepath.Join(root, "sys/fs/cgroup/pids", dir)); (err == nil) != want {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

func TestOwnUsageIsRead(t *testing.T) {
	u, err := ProcUsage(os.Getpid(), Usage{})
	if err != nil || u.PeakBytes < 1<<20 {
		t.Errorf("%+v, %v", u, err)
	}
	if _, err := ProcUsage(999999999, Usage{}); err == nil {
		t.Error("a process that is not there has usage")
	}
}

func FuzzHierarchies(f *testing.F) {
	f.Add(unified, "0::/\n")
	f.Add(unified, "0::/../../other\n")
	f.Add("33 20 0:29 /x /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n", "2:pids:/x/y\n")
	f.Fuzz(func(t *testing.T, mounts, own string) {
		if strings.Contains(mounts, "..") {
			return // the kernel writes clean mount points
		}
		c := &Tree{bases: map[string]base{}, why: map[string]error{}}
		paths := ownPaths(own)
		for line := range strings.Lines(mounts) {
			c.addMount("/nowhere/at/all", line, paths)
		}
		for name, b := range c.bases {
			if !strings.HasPrefix(b.dir, "/nowhere/at/all") {
				t.Fatalf("%s at %s", name, b.dir)
			}
		}
	})
}

func TestNumbersOfCounters(t *testing.T) {
	for _, c := range []struct {
		text, key string
		want      int64
	}{
		{"123\n", "", 123}, {"123", "", 123}, {"", "", 0}, {"\n\n 7 8\n", "", 7}, {"max\n", "", 0}, {"-1\n", "", -1},
		{"a 1\nb 2\n", "b", 2}, {"a 1\nb 2", "b", 2}, {"b\nb 3\n", "b", 3}, {"ab 1\n", "b", 0}, {"a b 1\n", "b", 0},
		{"Name:\tx\nVmHWM:\t    1024 kB\n", "VmHWM:", 1024}, {"99999999999999999999999\n", "", 9223372036854775807}, {"9223372036854775807\n", "", 9223372036854775807},
	} {
		if got := parseNumber([]byte(c.text), c.key); got != c.want {
			t.Errorf("%q of %q: %d, want %d", c.key, c.text, got, c.want)
		}
	}
}
