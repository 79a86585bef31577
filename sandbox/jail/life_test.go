package jail

import (
	"bufio"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"casemate/sandbox/jail/cgroup"
)

func TestExitsAreTold(t *testing.T) {
	if _, exit, _ := run(t, probeSpec(t, "exit", "7")); exit.Code != 7 || exit.Signal != "" || exit.OOM {
		t.Errorf("exit %+v", exit)
	}
	c := start(t, probeSpec(t, "wait"))
	if err := c.Kill(); err != nil {
		t.Fatal(err)
	}
	exit, err := c.Wait()
	again, _ := c.Wait()
	if err != nil || exit.Code != -1 || exit.Signal != "killed" || exit != again {
		t.Errorf("exit %+v, %v", exit, err)
	}
	if err := c.Kill(); err != nil {
		t.Errorf("killing the dead: %v", err)
	}
}

func TestProgramThatIsNotThere(t *testing.T) {
	s := probeSpec(t, "status")
	s.Argv[0] = "/bin/nothing"
	_, err := Start(context.Background(), s)
	var we *WallError
	if err == nil || errors.As(err, &we) || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("error %v", err)
	}
	s = probeSpec(t, "status")
	s.Mounts = append(s.Mounts, Mount{Source: "/nowhere/at/all", Target: "/x"})
	if _, err = Start(context.Background(), s); err == nil || errors.As(err, &we) || !strings.Contains(err.Error(), "/x") {
		t.Errorf("error %v", err)
	}
}

func TestSpecsThatAreRefused(t *testing.T) {
	for name, change := range map[string]func(*Spec){
		"no program":         func(s *Spec) { s.Argv = nil },
		"relative program":   func(s *Spec) { s.Argv[0] = "probe" },
		"no profile":         func(s *Spec) { s.Profile = "" },
		"unknown profile":    func(s *Spec) { s.Profile = "../base" },
		"mount over root":    func(s *Spec) { s.Mounts[0].Target = "/" },
		"mount over proc":    func(s *Spec) { s.Mounts[0].Target = "/proc/x" },
		"unclean target":     func(s *Spec) { s.Mounts[0].Target = "/usr/../etc" },
		"relative source":    func(s *Spec) { s.Mounts[0].Source = "etc" },
		"file over dev":      func(s *Spec) { s.Etc = map[string][]byte{"/dev/x": nil} },
		"file over sys":      func(s *Spec) { s.Etc = map[string][]byte{"/sys/fs/x": nil} },
		"file out of limits": func(s *Spec) { s.Etc = map[string][]byte{"/sys/fs/cgroup/../../x": nil} },
		"mount over limits":  func(s *Spec) { s.Mounts[0].Target = "/sys/fs/cgroup/x" },
		"link out of order":  func(s *Spec) { s.Symlinks = map[string]string{"x": "/"} },
		"negative memory":    func(s *Spec) { s.Limits.MemoryBytes = -1 },
		"negative processes": func(s *Spec) { s.Limits.Pids = -1 },
		"negative uid":       func(s *Spec) { s.UID = -1 },
		"NUL":                func(s *Spec) { s.Env = []string{"A=\x00"} },
		"bad listener":       func(s *Spec) { s.Listen = []string{"sctp 1.2.3.4:5"} },
		"listener by name":   func(s *Spec) { s.Listen = []string{"tcp localhost:5"} },
		"huge order":         func(s *Spec) { s.Etc = map[string][]byte{"/etc/x": make([]byte, 1<<20)} },
	} {
		s := probeSpec(t, "status")
		change(&s)
		if c, err := Start(context.Background(), s); err == nil {
			c.Close()
			t.Errorf("%s: started", name)
		}
	}
}

func TestMissingWallsAreNamedAndRefused(t *testing.T) {
	for _, wall := range []string{WallProc, WallLandlock, WallCgroupNS, WallNotify, WallMemory, WallPids, WallFreezer} {
		s := probeSpec(t, "host")
		s.broken, s.AllowWeak = []string{wall}, false
		_, err := Start(context.Background(), s)
		var we *WallError
		if !errors.As(err, &we) || !slices.ContainsFunc(we.Missing, func(m Missing) bool { return m.Name == wall && m.Remedy != "" }) {
			if isRoot() || !strings.HasPrefix(wall, "cgroup") && errors.As(err, &we) && !strings.HasPrefix(we.Missing[0].Name, "cgroup-") {
				t.Errorf("%s broken: error %v", wall, err)
			}
			continue
		}
		s.AllowWeak = true
		out, _, c := run(t, s)
		if out != "\"casemate\"\n" || !slices.Contains(c.Weak, wall) || slices.Contains(c.Walls, wall) {
			t.Errorf("%s waived: said %q, held %v, weak %v", wall, out, c.Walls, c.Weak)
		}
	}
	for _, wall := range []string{WallNamespaces, WallNet, WallRoot, WallNoNewPrivs, WallCaps, WallUID, WallSeccomp} {
		s := probeSpec(t, "host")
		s.broken, s.AllowWeak = []string{wall}, true
		c, err := Start(context.Background(), s)
		var we *WallError
		if !errors.As(err, &we) || wall != WallSeccomp && we.Missing[0].Name != wall {
			t.Errorf("%s broken: error %v", wall, err)
		}
		if err == nil {
			c.Close()
		}
	}
}

func TestProbeNamesWhatIsBroken(t *testing.T) {
	ctx := context.Background()
	for _, wall := range []string{WallLandlock, WallProc, WallNotify} {
		report := probe(ctx, []string{wall})
		if !slices.ContainsFunc(report.Missing(), func(m Missing) bool { return m.Name == wall && m.Why != "" && m.Remedy != "" }) {
			t.Errorf("%s broken: %+v", wall, report)
		}
	}
	if report := probe(ctx, nil); isRoot() && len(report.Missing()) > 0 {
		t.Errorf("missing here: %+v", report.Missing())
	}
}

func TestForkBombIsStopped(t *testing.T) {
	s := probeSpec(t, "forks")
	s.Limits.Pids = 40
	got := ask[map[string]any](t, s)
	if n := got["children"].(float64); got["error"] != "EAGAIN" || n == 0 || n > 40 {
		t.Errorf("%v", got)
	}
}

func TestEndlessAllocationIsStopped(t *testing.T) {
	s := probeSpec(t, "eat")
	if s.Limits.MemoryBytes = 64 << 20; !isRoot() {
		s.Limits.MemoryBytes = 1 << 30 // a bound on mapped memory, of which a race-enabled payload begins with much
	}
	out, exit, c := run(t, s)
	u, err := c.Usage()
	if err != nil {
		t.Fatal(err)
	}
	if isRoot() && (!exit.OOM || exit.Signal != "killed" || !u.OOM || u.PeakBytes < 60<<20 || u.PeakBytes > 65<<20) {
		t.Errorf("exit %+v, usage %+v, said %q", exit, u, out)
	}
	if !isRoot() && strings.TrimSpace(out) != `"ENOMEM"` {
		t.Errorf("exit %+v, said %q", exit, out)
	}
}

func TestTmpHasAQuota(t *testing.T) {
	s := probeSpec(t, "fill")
	s.Limits.TmpBytes, s.Limits.FileBytes = 8<<20, 16<<20
	got := ask[map[string]any](t, s)
	if got["error"] != "ENOSPC" || got["bytes"].(float64) > 8<<20 {
		t.Errorf("%v", got)
	}
}

func TestFilesAreHandedOver(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s := probeSpec(t, "serve")
	s.Files = []*os.File{w}
	if got := ask[string](t, s); got != "ok" {
		t.Errorf("writing: %s", got)
	}
	w.Close()
	if line, err := bufio.NewReader(r).ReadString('\n'); line != "from inside\n" {
		t.Errorf("read %q, %v", line, err)
	}
}

func TestSocketsAreServedFromOutside(t *testing.T) {
	s := probeSpec(t, "dial", "tcp 169.254.100.1:9001", "tcp [fd00::1]:80")
	s.Listen = []string{"tcp 169.254.100.1:9001", "udp 169.254.100.2:53", "tcp [fd00::1]:80"}
	s.OnConnect = func(string, string) bool { return false }
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s.Stdout = w
	c := start(t, s)
	w.Close()
	if _, err := c.Listener(1); err == nil {
		t.Error("a datagram socket as a listener")
	}
	if _, err := c.PacketConn(9); err == nil {
		t.Error("a socket that is not there")
	}
	var wg sync.WaitGroup
	for _, i := range []int{0, 2} {
		l, err := c.Listener(i)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		wg.Go(func() {
			conn, err := l.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			conn.Write([]byte("outside"))
			conn.Close()
		})
	}
	out, _ := bufio.NewReader(r).ReadString('\n')
	wg.Wait()
	if strings.Count(out, "heard outside") != 2 {
		t.Errorf("said %s", out)
	}
}

func TestCPUIsCounted(t *testing.T) {
	_, _, c := run(t, probeSpec(t, "spin", "100"))
	u, err := c.Usage()
	if err != nil || u.CPU < 80*time.Millisecond || u.CPU > 10*time.Second || u.PeakBytes < 1<<20 {
		t.Errorf("usage %+v, %v", u, err)
	}
	s := probeSpec(t, "wait")
	if u, err = start(t, s).Usage(); err != nil || u.PeakBytes == 0 {
		t.Errorf("usage while it runs %+v, %v", u, err)
	}
}

func TestFreezeStopsTime(t *testing.T) {
	s := probeSpec(t, "wait")
	c := start(t, s)
	if err := c.Freeze(); err != nil {
		t.Fatal(err)
	}
	// A frozen process makes no progress: its context switches stand still while we look at the state.
	state := func() string {
		b, err := os.ReadFile("/proc/" + itoa(c.Pid()) + "/status")
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(b), "State:")
		return strings.Fields(rest)[0]
	}
	if got := state(); isRoot() && got != "D" || !isRoot() && got != "T" && got != "S" && got != "R" {
		t.Errorf("state %s", got)
	}
	if err := c.Thaw(); err != nil {
		t.Fatal(err)
	}
	if err := c.Freeze(); err != nil {
		t.Fatal(err)
	}
	if err := c.Kill(); err != nil { // frozen things die too
		t.Fatal(err)
	}
	if exit, err := c.Wait(); err != nil || exit.Signal != "killed" {
		t.Errorf("%+v %v", exit, err)
	}
}

// TestOutlivesTheSpawningThread: PR_SET_PDEATHSIG is about the thread, so a jail must not be spawned from one that ends.
func TestOutlivesTheSpawningThread(t *testing.T) {
	var c *Child
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with this goroutine
		c, err = Start(context.Background(), probeSpec(t, "spin", "300"))
	}()
	<-done
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if exit, err := c.Wait(); err != nil || exit.Code != 0 {
		t.Errorf("exit %+v, %v", exit, err)
	}
}

// TestDiesWithTheNode: a node that is killed can clean up nothing; the kernel must.
func TestDiesWithTheNode(t *testing.T) {
	node, jail := nodeWithJail(t, "running")
	node.Kill()
	node.Wait()
	awaitDeath(jail)
}

// TestFrozenJailEndsWithTheNextNode: a version 1 freezer holds even a killed process, so the next node has to end it.
func TestFrozenJailEndsWithTheNextNode(t *testing.T) {
	if !isRoot() {
		t.Skip("SKIPPED: freezing needs a cgroup of one's own")
	}
	node, jail := nodeWithJail(t, "frozen")
	node.Kill()
	node.Wait()
	cgroup.Open("/")
	awaitDeath(jail)
	if left, _ := filepath.Glob("/sys/fs/cgroup/*/casemate-" + itoa(node.Pid) + "-*"); len(left) > 0 {
		t.Errorf("its groups are left: %v", left)
	}
}

// nodeWithJail starts a process that starts a jail; jail is the jail's pidfd.
func nodeWithJail(t *testing.T, state string) (node *os.Process, jail int) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	node, err = os.StartProcess("/proc/self/exe", []string{"jail.test", "-test.run=TestNothing"}, &os.ProcAttr{
		Env: append(os.Environ(), "JAIL_NODE="+state), Files: []*os.File{nil, w, os.Stderr}})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(r).ReadString('\n')
	pid, convErr := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || convErr != nil {
		t.Fatalf("the node said %q: %v", line, err)
	}
	if jail, err = unix.PidfdOpen(pid, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(jail) })
	if n, _ := unix.Poll([]unix.PollFd{{Fd: int32(jail), Events: unix.POLLIN}}, 0); n != 0 {
		t.Error("the jail ended before the node")
	}
	return node, jail
}

// awaitDeath hangs, and the test with it, when the jail lives on.
func awaitDeath(jail int) {
	for {
		if n, err := unix.Poll([]unix.PollFd{{Fd: int32(jail), Events: unix.POLLIN}}, -1); n == 1 || err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

func TestTheLastProcessTakesTheFamilyAlong(t *testing.T) {
	s := probeSpec(t, "family")
	got := ask[[]string](t, s)
	if len(got) != 2 {
		t.Errorf("processes in sight: %v", got)
	}
}

func TestCancelledStartLeavesNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	before := traces(t)
	if c, err := Start(ctx, probeSpec(t, "wait")); !errors.Is(err, context.Canceled) {
		t.Errorf("started: %v", err)
		c.Close()
	}
	nothingLeft(t, before)
}

// nothingLeft compares with what was there before. A goroutine that has said its last word is counted for a moment still,
// then as well as now: there may be less than before, and for that moment more. The minute asserts no speed.
func nothingLeft(t *testing.T, before []int) {
	t.Helper()
	after := traces(t)
	for end := time.Now().Add(time.Minute); exceeds(after, before) && time.Now().Before(end); {
		runtime.Gosched()
		after = traces(t)
	}
	if exceeds(after, before) {
		t.Errorf("descriptors, goroutines, cgroups, own cgroups, mounts, uids: %v before, %v after\n%s", before, after, stacks())
	}
}

// exceeds reports whether a has more of anything than b.
func exceeds(a, b []int) bool {
	for i := range a {
		if a[i] > b[i] {
			return true
		}
	}
	return false
}

// stacks are those of all goroutines.
func stacks() []byte {
	b := make([]byte, 1<<16)
	return b[:runtime.Stack(b, true)]
}

// traces counts what a jail could leave behind: descriptors, goroutines, cgroups, mounts.
func traces(t *testing.T) []int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	l, err := theLauncher()
	if err != nil {
		t.Fatal(err)
	}
	groups, _ := filepath.Glob("/sys/fs/cgroup/*/casemate-" + itoa(os.Getpid()) + "-*")
	own, _ := filepath.Glob("/sys/fs/cgroup/memory/*/*/casemate-" + itoa(os.Getpid()) + "-*")
	l.mu.Lock()
	defer l.mu.Unlock()
	return []int{len(fds), runtime.NumGoroutine(), len(groups), len(own), strings.Count(string(mounts), " - tmpfs casemate "), len(l.uids)}
}

func TestManyStartsLeaveNothing(t *testing.T) {
	s := probeSpec(t, "exit", "0")
	s.Listen = []string{"tcp 169.254.100.1:9001", "udp 169.254.100.2:53"}
	n := 200
	if testing.Short() {
		n = 20
	}
	var before []int
	for i := range n + 1 {
		if i == 1 {
			before = traces(t) // the first start opens what stays open
		}
		c, err := Start(context.Background(), s)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	nothingLeft(t, before)
}
