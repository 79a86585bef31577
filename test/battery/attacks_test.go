package battery

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// attack is one line of the table.
type attack struct {
	name  string // as the guest knows it
	walls string // what should stop it
	quick bool   // in `make test` as well
	order map[string]string

	function string // that does it; "unruly" when empty

	// seen is the effect that its record must hold: "call ptrace", "connect 169.254.169.254:80". Empty: no wall sees the
	// attempt, the kernel just refuses it or there is nothing to find; the run itself is in the record all the same.
	seen string

	known   string // why it may work behind the walls all the same; it stands in THREATS.md, and is in the record
	groups  bool   // it is a control group that sees it: a rootless node has none, and bounds by other means
	archive []file // it comes with the code of an app of its own

	// prepare makes what the attack is after, and adds to its order.
	prepare func(t *testing.T, n *node, order map[string]string) (check func(reply) (bool, string))
}

// secretRead says that an attack worked when the guest tells the token.
func secretRead(_ *testing.T, _ *node, order map[string]string) func(reply) (bool, string) {
	order["secret"] = shared.world.secret
	return func(r reply) (bool, string) { return strings.Contains(r.Detail, shared.world.token), r.Detail }
}

// onVictim gives the attack a process to go at, and says that it worked when the guest says so.
func onVictim(t *testing.T, n *node, order map[string]string) func(reply) (bool, string) {
	v := newVictim(t)
	order["pid"], order["name"], order["secret"] = v.pid(), "sleep", shared.world.secret
	return nil
}

// victimToken is onVictim for attacks that are after what the victim knows.
func victimToken(t *testing.T, n *node, order map[string]string) func(reply) (bool, string) {
	onVictim(t, n, order)
	return secretRead(t, n, order)
}

// arrives says that an attack worked when something came to the world.
func arrives(what string) func(*testing.T, *node, map[string]string) func(reply) (bool, string) {
	return func(*testing.T, *node, map[string]string) func(reply) (bool, string) {
		shared.world.saw("")
		return func(r reply) (bool, string) { return shared.world.saw(what), r.Detail }
	}
}

func bytesOf(mb int) map[string]string { return map[string]string{"bytes": strconv.Itoa(mb << 20)} }
func most(n int) map[string]string     { return map[string]string{"most": strconv.Itoa(n)} }

// table is the battery.
func table() []attack {
	plain := func(name, walls, seen string) attack { return attack{name: name, walls: walls, seen: seen} }
	quick := func(a attack) attack { a.quick = true; return a }
	all := []attack{
		// What a machine has.
		quick(attack{name: "fork bomb", walls: "pids", order: most(300)}),
		{name: "zombies", walls: "pids", order: most(300)},
		{name: "threads", walls: "pids", order: most(300)},
		quick(attack{name: "memory", walls: "memory", groups: true, seen: "Runtime.OutOfMemory", order: bytesOf(256)}),
		{name: "large file", walls: "tmpfs", order: bytesOf(16)},
		{name: "many files", walls: "tmpfs", order: most(70_000)},
		{name: "descriptors", walls: "rlimit", order: most(2100)},
		{name: "output flood", walls: "output limit", order: bytesOf(16), prepare: keptOutput},
		{name: "process outlives", walls: "pid namespace", seen: "exec /proc/self/exe", order: map[string]string{"seconds": "30"}, prepare: survivor},

		// Others on the same machine.
		quick(attack{name: "signal", walls: "pid namespace", prepare: deadly}),
		quick(attack{name: "ptrace", walls: "pid namespace, seccomp", seen: "call ptrace", prepare: onVictim}),
		{name: "process_vm_readv", walls: "pid namespace, seccomp", seen: "call process_vm_readv", prepare: onVictim},
		{name: "read process memory", walls: "pid namespace", prepare: victimToken},
		quick(attack{name: "read environment", walls: "pid namespace", prepare: secretRead}),
		{name: "process root", walls: "pid namespace", prepare: victimToken},
		{name: "pidfd_getfd", walls: "pid namespace, seccomp", prepare: onVictim},
		{name: "see processes", walls: "pid namespace, proc", prepare: onVictim},
		plain("lower oom score", "proc, capabilities", ""),
		plain("priority", "rlimit, capabilities", ""),

		// The kernel.
		plain("userfaultfd", "seccomp", "call userfaultfd"),
		plain("io_uring", "seccomp", "call io_uring_setup"),
		quick(plain("bpf", "seccomp, capabilities", "call bpf")),
		plain("perf_event_open", "seccomp, capabilities", "call perf_event_open"),
		plain("keyring", "seccomp", "call add_key"),
		quick(plain("unshare user", "seccomp", "call unshare user")),
		plain("unshare mount", "seccomp, capabilities", "call unshare mount"),
		plain("unshare network", "seccomp, capabilities", "call unshare net"),
		plain("clone user", "seccomp", "call clone user"),
		plain("clone pid", "seccomp, capabilities", "call clone pid"),
		plain("clone3 user", "seccomp", "call clone3 user"),
		plain("setns", "seccomp, capabilities, proc", "call setns net"),
		plain("personality", "seccomp", ""),
		plain("prctl subreaper", "seccomp", ""),
		plain("prctl securebits", "seccomp, capabilities", ""),
		plain("TIOCSTI", "devices, seccomp, capabilities", "call ioctl 0x5412"),
		plain("host name", "seccomp, capabilities, uts namespace", ""),
		plain("clock", "seccomp, capabilities", ""),
		plain("module", "seccomp, capabilities", "call init_module"),
		plain("kexec", "seccomp, capabilities", "call kexec_load"),
		plain("quotactl", "seccomp", ""),
		{name: "open_by_handle_at", walls: "seccomp, capabilities", seen: "call open_by_handle_at", prepare: secretRead},
		plain("seccomp", "seccomp", ""),
		plain("capabilities", "capabilities", ""),
		plain("become root", "seccomp, uid", ""),
		plain("vmsplice", "seccomp", ""),

		// Files.
		quick(attack{name: "read host file", walls: "mount namespace, uid", prepare: secretRead}),
		{name: "write host file", walls: "mount namespace, Landlock", prepare: dropped},
		{name: "read users", walls: "mount namespace", order: map[string]string{"user": "daemon:"}},
		{name: "read mounts", walls: "mount namespace", order: map[string]string{"mount": "/run"}},
		plain("interfaces", "mount namespace, net namespace", ""),
		plain("write own code", "read-only mount, Landlock", ""),
		plain("device node", "seccomp, capabilities, nodev", ""),
		plain("raw memory", "mount namespace", ""),
		plain("kernel log", "mount namespace", ""),
		plain("core_pattern", "proc, uid", ""),
		plain("modprobe path", "proc, uid", ""),
		plain("sysrq", "proc, uid", ""),
		plain("kernel symbols", "proc, uid", ""),
		plain("cgroup", "mount namespace, uid", ""),
		plain("cgroup v1 agent", "mount namespace, seccomp, capabilities", "call mount"),
		quick(plain("mount tmpfs", "seccomp, capabilities", "call mount")),
		plain("mount proc", "seccomp, capabilities", "call mount"),
		plain("bind mount", "seccomp, capabilities", "call mount"),
		plain("new mount API", "seccomp, capabilities", "call fsopen tmpfs"),
		plain("remount root", "seccomp, capabilities", "call mount /"),
		plain("pivot_root", "seccomp, capabilities", "call pivot_root"),
		plain("chroot", "seccomp, capabilities", "call chroot /tmp"),
		{name: "overlay symlink", walls: "mount namespace", prepare: secretRead},
		{name: "hard link", walls: "mount namespace", prepare: linked},
		{name: "open with dotdot", walls: "mount namespace", prepare: secretRead},
		plain("change owner", "capabilities, user namespace", ""),

		// The network.
		quick(attack{name: "metadata", walls: "net namespace", seen: "connect 169.254.169.254:80", prepare: arrives("tcp 169.254.169.254:80")}),
		{name: "connect by address", walls: "net namespace", seen: "connect 93.184.216.34:80", prepare: arrives("tcp 93.184.216.34:80")},
		{name: "node by loopback", walls: "net namespace", prepare: nodeURL},
		{name: "datagram", walls: "net namespace", seen: "connect 93.184.216.34:9999", prepare: arrives("udp")},
		{name: "abstract socket", walls: "net namespace, Landlock", prepare: arrives("abstract socket")},
		{name: "node's admin socket", walls: "mount namespace, uid", prepare: adminSocket},
		quick(plain("raw socket", "seccomp, capabilities", "call socket inet raw")),
		plain("packet socket", "seccomp, capabilities", "call socket packet raw"),
		plain("netlink socket", "seccomp", ""),
		plain("vsock", "seccomp", "call socket vsock"),
		plain("alg socket", "seccomp", "call socket alg"),
		plain("interface down", "seccomp, capabilities", ""),

		// The Runtime API.
		quick(attack{name: "forged response", walls: "request id", seen: "runtime-api response", prepare: otherEvent}),
		{name: "neighbour's API", walls: "pid namespace, net namespace", prepare: busyNeighbour},

		// Programs.
		plain("exec program", "children", "exec /bin/echo"),
		plain("exec shell", "children", "exec /bin/sh"),
		{name: "exec race", walls: "children, Landlock", function: "parent", order: map[string]string{"times": "1000"}, seen: "exec /usr/bin/",
			known: "a path can change after it was looked at, and Landlock has to let the dynamic linker run"},
		{name: "linker on program", walls: "children", function: "parent", seen: "exec /usr/bin/ld.so"},
		{name: "script of program", walls: "children", function: "parent", order: map[string]string{"program": "/usr/bin/true"}, seen: "exec /tmp/"},
		plain("exec from /tmp", "children", "exec /tmp/"),
		plain("exec memfd", "children", "exec "),
		plain("exec by ld.so", "children", "exec /lib"),
		plain("set-uid program", "nosuid, no_new_privs, uid", "exec /tmp/"),
	}
	return slices.Concat(all, outward(), thefts(), crooked())
}

// survivor looks whether a process lives on when its sandbox has ended. Behind walls it goes together with the sandbox's
// first process, which is its parent.
func survivor(t *testing.T, _ *node, _ map[string]string) func(reply) (bool, string) {
	return func(r reply) (bool, string) {
		pid := lingering(t)
		if pid == 0 {
			return false, r.Detail
		}
		if parent := parentOf(pid); parent > 1 {
			fd, err := unix.PidfdOpen(parent, 0)
			if err == nil {
				defer unix.Close(fd)
				if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(patience/time.Millisecond)); n != 1 {
					t.Fatalf("the sandbox does not end: %v", err)
				}
			}
		}
		if lingering(t) != pid {
			return false, "it ended with its sandbox"
		}
		if err := unix.Kill(pid, unix.SIGKILL); err != nil {
			t.Error(err)
		}
		return true, "process " + strconv.Itoa(pid) + " is left"
	}
}

// parentOf is the parent's id, 0 when the process has gone.
func parentOf(pid int) (parent int) {
	text, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	_, rest, _ := strings.Cut(string(text), ") ")
	var state string
	_, _ = fmt.Sscan(rest, &state, &parent) // nothing to read: nobody
	return parent
}

// lingering finds a process that the guest has left behind.
func lingering(t *testing.T) int {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range all {
		text, err := os.ReadFile(file)
		if err == nil && strings.Contains(string(text), "\x00linger\x00") {
			pid, err := strconv.Atoi(strings.Split(file, "/")[2])
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
	}
	return 0
}

// keptOutput looks how much of a flood was kept: an eighth would be too much.
func keptOutput(_ *testing.T, n *node, _ map[string]string) func(reply) (bool, string) {
	return func(r reply) (bool, string) {
		kept := len(n.run("logs", "unruly", "--request", r.ID, "--last", "0"))
		return kept > 2<<20, fmt.Sprintf("%s, %d kept", r.Detail, kept)
	}
}

func deadly(t *testing.T, _ *node, order map[string]string) func(reply) (bool, string) {
	v := newVictim(t)
	order["pid"] = v.pid()
	return func(r reply) (bool, string) { return r.Worked && !v.survives(), r.Detail }
}

func dropped(t *testing.T, _ *node, order map[string]string) func(reply) (bool, string) {
	order["drop"] = shared.world.drop
	return func(r reply) (bool, string) {
		name := filepath.Join(shared.world.drop, "written")
		if _, err := os.Stat(name); err != nil {
			return false, r.Detail
		}
		if err := os.Remove(name); err != nil {
			t.Error(err)
		}
		return true, r.Detail
	}
}

func linked(t *testing.T, n *node, order map[string]string) func(reply) (bool, string) {
	order["drop"] = shared.world.drop
	return secretRead(t, n, order)
}

func nodeURL(_ *testing.T, n *node, order map[string]string) func(reply) (bool, string) {
	order["url"] = n.At.HTTP[0]
	return nil
}

func adminSocket(_ *testing.T, n *node, order map[string]string) func(reply) (bool, string) {
	order["socket"] = filepath.Join(n.dir, "casemate.sock")
	return nil
}

func otherEvent(_ *testing.T, _ *node, order map[string]string) func(reply) (bool, string) {
	order["id"] = "11111111-2222-4333-8444-555555555555"
	return nil
}

// busyNeighbour has a warm sandbox of another function in place.
func busyNeighbour(t *testing.T, n *node, _ map[string]string) func(reply) (bool, string) {
	if _, err := n.send(t.Context(), "neighbour", map[string]string{"attack": "nothing"}); err != nil {
		t.Fatal(err)
	}
	return nil
}
