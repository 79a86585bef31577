package jail

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestStatusFromInside(t *testing.T) {
	os.Setenv("SECRET_OF_THE_NODE", "x")
	got := ask[map[string]string](t, probeSpec(t, "status"))
	for field, want := range map[string]string{
		"CapInh": "0000000000000000", "CapPrm": "0000000000000000", "CapEff": "0000000000000000", "CapBnd": "0000000000000000",
		"CapAmb": "0000000000000000", "NoNewPrivs": "1", "Seccomp": "2", "Pid": "1", "PPid": "0", "pid": "1", "env": "ONLY=this GORACE=atexit_sleep_ms=0",
		"TracerPid": "0", "NSsid": "1",
	} {
		if got[field] != want {
			t.Errorf("%s is %q, want %q", field, got[field], want)
		}
	}
	if uid := strings.Fields(got["Uid"]); uid[0] == "0" || slices.ContainsFunc(uid, func(u string) bool { return u != uid[0] }) {
		t.Errorf("uid inside: %v", uid)
	}
	if isRoot() && got["Groups"] != "" {
		t.Errorf("groups %q kept", got["Groups"])
	}
	for _, fd := range strings.Fields(got["fds"]) {
		n, target, _ := strings.Cut(fd, "=")
		if n != "0" && n != "1" && n != "2" && !strings.HasPrefix(target, "anon_inode:") {
			t.Errorf("descriptor %s is open inside", fd)
		}
		if n == "0" && target != "/dev/null" {
			t.Errorf("stdin is %s", target)
		}
	}
}

func TestHostUIDIsNotTheNodes(t *testing.T) {
	s := probeSpec(t, "wait")
	c := start(t, s)
	info, err := os.Stat("/proc/" + itoa(c.Pid()) + "/task")
	if err != nil {
		t.Fatal(err)
	}
	uid := statUID(info)
	if uid == 0 || isRoot() && (uid < poolBase || uid >= poolBase+poolSize) {
		t.Errorf("the program's uid on the host is %d", uid)
	}
}

func TestRefusedCalls(t *testing.T) {
	for name, got := range ask[map[string]string](t, probeSpec(t, "refusals")) {
		want := "EPERM"
		switch name {
		case "clone3", "clone3 user", "x32 getpid", "io_uring_setup":
			want = "ENOSYS"
		}
		if got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestFilesFromInside(t *testing.T) {
	data, rw := t.TempDir(), t.TempDir()
	for _, dir := range []string{data, rw, filepath.Dir(data)} {
		os.Chmod(dir, 0o755)
	}
	s := probeSpec(t, "files")
	self, _ := os.ReadFile("/proc/self/exe")
	os.WriteFile(filepath.Join(data, "probe"), self[:64], 0o755)
	os.WriteFile(filepath.Join(data, "file"), []byte("given"), 0o644)
	if s.UID = os.Geteuid(); isRoot() {
		s.UID = poolBase + poolSize + 1
		os.Chown(rw, s.UID, s.UID)
	}
	s.Mounts = append(s.Mounts, Mount{Source: data, Target: "/data"}, Mount{Source: rw, Target: "/rw", Writable: true})
	s.Symlinks = map[string]string{"/link": "/etc/hosts"}
	got := ask[map[string]string](t, s)
	for what, want := range map[string]string{
		"write /": "EROFS", "write /etc": "EROFS", "write /data": "EROFS", "write /rw": "ok", "write /tmp": "ok", "make /dev": "EROFS",
		"write /dev/null": "ok", "read /data": "given", "exec /data": "EPERM", "remount": "EPERM", "kcore": "ENOENT",
		"/proc/sys": "ENOENT", "hosts": "127.0.0.1 localhost\n", "link": "127.0.0.1 localhost\n", "root's link": "ENOENT",
		"/dev": "fd full null random stderr stdin stdout urandom zero", "/etc": "hosts",
	} {
		if got[what] != want {
			t.Errorf("%s: %q, want %q", what, got[what], want)
		}
	}
	for _, what := range []string{"write hosts", "write /bin/probe", "write oom"} {
		if got[what] != "EROFS" && got[what] != "EACCES" {
			t.Errorf("%s: %s", what, got[what])
		}
	}
	for _, name := range strings.Fields(got["/"]) {
		if !slices.Contains([]string{"bin", "data", "dev", "etc", "lib", "lib64", "link", "proc", "rw", "tmp", "usr"}, name) {
			t.Errorf("/%s is visible", name)
		}
	}
	for _, name := range strings.Fields(got["/proc"]) {
		if strings.Trim(name, "0123456789") != "" && !slices.Contains([]string{"self", "thread-self", "mounts", "net"}, name) {
			t.Errorf("/proc/%s is visible", name)
		}
	}
	for line := range strings.Lines(got["mounts"]) {
		f := strings.Fields(line)
		if !slices.Contains([]string{"/", "/proc", "/tmp", "/data", "/rw", "/bin/probe", "/lib", "/lib64", "/usr/lib"}, f[4]) && !strings.HasPrefix(f[4], "/dev/") {
			t.Errorf("a mount that nobody asked for: %s", line)
		}
		if !strings.Contains(f[5], "nosuid") || !strings.HasPrefix(f[4], "/dev/") && !strings.Contains(f[5], "nodev") ||
			f[4] != "/tmp" && f[4] != "/rw" && !strings.HasPrefix(f[5], "ro,") {
			t.Errorf("a mount without its flags: %s", line)
		}
	}
}

func TestHostname(t *testing.T) {
	s := probeSpec(t, "host")
	if got := ask[string](t, s); got != "casemate" {
		t.Errorf("host name %q", got)
	}
	s.Hostname = "cell-7"
	if got := ask[string](t, s); got != "cell-7" {
		t.Errorf("host name %q", got)
	}
}

func TestConnectsAreRefusedAndSeen(t *testing.T) {
	foreign := []string{"tcp 93.184.216.34:80", "tcp 169.254.169.254:80", "udp 8.8.8.8:53", "tcp [2606:2800:220:1::1]:443", "tcp 10.0.0.1:22"}
	own := []string{"tcp 127.0.0.1:9", "tcp [::1]:9", "udp 169.254.100.2:53"}
	s := probeSpec(t, append([]string{"dial"}, append(foreign, own...)...)...)
	s.Listen = []string{"tcp 169.254.100.1:9001", "udp 169.254.100.2:53"}
	var mu sync.Mutex
	var seen []string
	s.OnConnect = func(network, address string) bool {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, network+" "+address)
		return false
	}
	got := ask[map[string]string](t, s)
	mu.Lock()
	defer mu.Unlock()
	for _, arg := range foreign {
		_, address, _ := strings.Cut(arg, " ")
		if got[arg] != "ECONNREFUSED" {
			t.Errorf("%s: %s, want ECONNREFUSED", arg, got[arg])
		}
		if !slices.Contains(seen, "connect "+address) {
			t.Errorf("%s was not seen in %v", arg, seen)
		}
	}
	for what, address := range map[string]string{"sendto": "8.8.4.4:53", "sendmsg": "8.8.4.4:54"} {
		if got[what] != "ECONNREFUSED" || !slices.Contains(seen, "send "+address) {
			t.Errorf("%s: %s, seen %v", what, got[what], seen)
		}
	}
	if len(seen) != len(foreign)+2 {
		t.Errorf("seen %v", seen)
	}
	if got["udp 169.254.100.2:53"] != "ok" || got["tcp 127.0.0.1:9"] != "ECONNREFUSED" {
		t.Errorf("own addresses: %v", got)
	}
}

// TestAttemptsAreTold: what is refused is told as well, and the telling is not what refuses it.
func TestAttemptsAreTold(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]bool{}
	s := probeSpec(t, "refusals")
	s.OnCall = func(c Call) {
		mu.Lock()
		defer mu.Unlock()
		if c.Allowed {
			t.Errorf("allowed: %+v", c)
		}
		seen[strings.TrimSpace(c.Name+" "+c.Target)] = true
	}
	ask[map[string]string](t, s)
	mu.Lock()
	for _, want := range []string{"unshare user", "unshare mount", "clone user", "clone net", "clone time", "setns", "mount /", "umount2 /", "pivot_root /",
		"chroot /", "fsopen tmpfs", "ptrace", "process_vm_readv", "pidfd_getfd", "keyctl", "bpf", "userfaultfd", "io_uring_setup", "perf_event_open",
		"socket inet raw", "socket packet raw", "socket vsock protocol 0", "ioctl 0x5412", "ioctl 0x541c", "reboot", "init_module", "open_by_handle_at",
		"clone3 user", "execve /bin/other", "execveat /bin/other"} {
		if !seen[want] {
			t.Errorf("%q was not told in %v", want, seen)
		}
	}
	if seen["clone3"] || seen["socket family 16"] {
		t.Errorf("what every program does was told: %v", seen)
	}
	mu.Unlock()
	s.OnCall, s.broken, s.AllowWeak = nil, []string{WallNotify}, true
	for name, got := range ask[map[string]string](t, s) {
		if got != "EPERM" && got != "ENOSYS" && name != "execve" {
			t.Errorf("%s without a notifier: %s", name, got)
		}
	}
}
