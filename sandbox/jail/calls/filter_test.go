package calls

import (
	"encoding/binary"
	"io/fs"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// machine runs a compiled profile outside the kernel.
type machine struct {
	t  *testing.T
	vm *bpf.VM
	nr map[string]uint32
}

func newMachine(t *testing.T, profile string, notify bool) *machine {
	t.Helper()
	f, err := Compile(profile, Options{Notify: notify})
	if err != nil {
		t.Fatal(err)
	}
	raw := make([]bpf.RawInstruction, len(f.Code)/8)
	if _, err := binary.Decode(f.Code, binary.NativeEndian, raw); err != nil {
		t.Fatal(err)
	}
	prog, all := bpf.Disassemble(raw)
	if !all {
		t.Fatal("the filter holds instructions that are not classic BPF")
	}
	if len(prog) > 4096 { // BPF_MAXINSNS
		t.Fatalf("%d instructions", len(prog))
	}
	vm, err := bpf.NewVM(prog)
	if err != nil {
		t.Fatal(err)
	}
	nr, err := readNumbers(runtime.GOARCH)
	if err != nil {
		t.Fatal(err)
	}
	return &machine{t, vm, nr}
}

// judge gives the verdict on one call. The machine reads big-endian where the kernel reads the host's order, so the
// halves of an argument are laid out one by one.
func (m *machine) judge(arch, nr uint32, args ...uint64) uint32 {
	m.t.Helper()
	data := make([]byte, 64)
	binary.BigEndian.PutUint32(data[offsetNr:], nr)
	binary.BigEndian.PutUint32(data[offsetArch:], arch)
	for i, a := range args {
		binary.BigEndian.PutUint32(data[offsetArgs+8*i:], uint32(a))
		binary.BigEndian.PutUint32(data[offsetArgs+8*i+4:], uint32(a>>32))
	}
	verdict, err := m.vm.Run(data)
	if err != nil {
		m.t.Fatal(err)
	}
	return uint32(verdict)
}

func (m *machine) call(name string, args ...uint64) string {
	m.t.Helper()
	nr, ok := m.nr[name]
	if !ok {
		m.t.Skipf("no %s on %s", name, runtime.GOARCH)
	}
	arch := uint32(unix.AUDIT_ARCH_X86_64)
	if runtime.GOARCH == "arm64" {
		arch = unix.AUDIT_ARCH_AARCH64
	}
	return verdict(m.judge(arch, nr, args...))
}

func verdict(v uint32) string {
	switch v {
	case unix.SECCOMP_RET_ALLOW:
		return "allow"
	case unix.SECCOMP_RET_USER_NOTIF:
		return "notify"
	case unix.SECCOMP_RET_KILL_PROCESS:
		return "kill"
	case denied:
		return "deny"
	case unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS):
		return "nosys"
	case unix.SECCOMP_RET_ERRNO | uint32(unix.EPROTONOSUPPORT):
		return "noproto"
	}
	return "?"
}

func TestVerdicts(t *testing.T) {
	const thread = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_THREAD
	for _, c := range []struct {
		profile, call string
		args          []uint64
		want          string
	}{
		{"node", "read", nil, "allow"},
		{"node", "clone", []uint64{thread}, "allow"},
		{"node", "clone", []uint64{uint64(unix.SIGCHLD)}, "allow"},
		{"node", "clone", []uint64{unix.CLONE_NEWUSER | thread}, "notify"},
		{"node", "clone", []uint64{unix.CLONE_NEWNS}, "notify"},
		{"node", "clone", []uint64{unix.CLONE_NEWTIME}, "notify"},
		{"node", "clone", []uint64{1<<40 | unix.CLONE_NEWPID}, "notify"}, // the kernel looks at the low half only
		{"node", "clone3", nil, "notify"},
		{"node", "execve", nil, "notify"},
		{"node", "execveat", nil, "notify"},
		{"node", "ptrace", nil, "notify"},
		{"node", "io_uring_setup", nil, "nosys"}, // newer ones ask by themselves: no attempt
		{"python", "io_uring_setup", nil, "notify"},
		{"node", "fcntl", []uint64{3, unix.F_DUPFD_CLOEXEC}, "allow"},
		{"node", "fcntl", []uint64{3, unix.F_SETLEASE}, "deny"},
		{"node", "madvise", []uint64{0, 0, unix.MADV_DONTNEED}, "allow"},
		{"node", "madvise", []uint64{0, 0, unix.MADV_MERGEABLE}, "deny"},
		{"node", "memfd_create", nil, "allow"},
		{"node", "socket", []uint64{unix.AF_INET, unix.SOCK_STREAM | unix.SOCK_CLOEXEC}, "allow"},
		{"node", "socket", []uint64{unix.AF_INET6, unix.SOCK_DGRAM | unix.SOCK_NONBLOCK}, "allow"},
		{"node", "socket", []uint64{unix.AF_INET, unix.SOCK_RAW}, "notify"},
		{"node", "socket", []uint64{unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_ICMP}, "notify"},
		{"node", "socket", []uint64{unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP}, "noproto"},
		{"node", "socket", []uint64{unix.AF_INET, unix.SOCK_RAW | unix.SOCK_CLOEXEC}, "notify"},
		{"node", "socket", []uint64{unix.AF_NETLINK, unix.SOCK_DGRAM}, "deny"},
		{"node", "socket", []uint64{1<<32 | unix.AF_PACKET, unix.SOCK_DGRAM}, "notify"},
		{"node", "connect", []uint64{3, 4, 16}, "notify"},
		{"node", "sendto", []uint64{3, 4, 5, 0, 0, 0}, "allow"},
		{"node", "sendto", []uint64{3, 4, 5, 0, 0x7fff, 16}, "notify"},
		{"node", "sendto", []uint64{3, 4, 5, 0, 1 << 32, 16}, "notify"},
		{"node", "sendmsg", []uint64{3, 4}, "notify"},
		{"node", "ioctl", []uint64{0, unix.TCGETS}, "allow"},
		{"node", "ioctl", []uint64{0, unix.TIOCSTI}, "notify"},
		{"node", "ioctl", []uint64{0, 1<<32 | unix.TIOCSTI}, "notify"},
		{"node", "prctl", []uint64{unix.PR_SET_NAME}, "allow"},
		{"node", "prctl", []uint64{unix.PR_SET_SECCOMP}, "deny"},
		{"node", "personality", []uint64{0xffffffff}, "allow"},
		{"node", "personality", []uint64{0x0040000}, "deny"},
		{"node", "unshare", nil, "notify"},
		{"node", "acct", nil, "deny"},
		{"wasm", "read", nil, "allow"},
		{"wasm", "socket", []uint64{unix.AF_UNIX, unix.SOCK_STREAM}, "notify"},
		{"wasm", "connect", nil, "deny"},
		{"wasm", "clone", []uint64{thread}, "allow"},
		{"wasm", "clone", []uint64{uint64(unix.SIGCHLD)}, "notify"},
		{"wasm", "fork", nil, "deny"},
		{"wasm", "unlink", nil, "deny"},
	} {
		if got := newMachine(t, c.profile, true).call(c.call, c.args...); got != c.want {
			t.Errorf("%s: %s%x is %s, want %s", c.profile, c.call, c.args, got, c.want)
		}
	}
	quiet := newMachine(t, "node", false)
	for name, want := range map[string]string{"connect": "allow", "execve": "allow", "execveat": "deny", "ptrace": "deny", "clone3": "nosys",
		"memfd_create": "deny"} {
		if got := quiet.call(name, 3, 4, 16); got != want {
			t.Errorf("without a notifier %s is %s, want %s", name, got, want)
		}
	}
	m := newMachine(t, "node", true)
	if got := verdict(m.judge(unix.AUDIT_ARCH_I386, 1)); got != "kill" {
		t.Errorf("a call of another architecture is %s", got)
	}
	if got := verdict(m.judge(unix.AUDIT_ARCH_X86_64, x32Bit|1)); runtime.GOARCH == "amd64" && got != "nosys" {
		t.Errorf("an x32 call is %s", got)
	}
	if got := verdict(m.judge(unix.AUDIT_ARCH_X86_64, ^uint32(0))); runtime.GOARCH == "amd64" && got != "nosys" {
		t.Errorf("call -1 is %s", got)
	}
}

// TestEveryUnlistedCallIsDenied: an allow-list means that a call nobody thought of is refused.
func TestEveryUnlistedCallIsDenied(t *testing.T) {
	for _, profile := range []string{"node", "python", "provided", "wasm"} {
		rules, err := readProfile(profile, 0)
		if err != nil {
			t.Fatal(err)
		}
		listed := map[string]bool{}
		for _, r := range rules {
			listed[r.name] = listed[r.name] || r.action == allow || r.action == notify
		}
		m := newMachine(t, profile, true)
		for name := range m.nr {
			if got := m.call(name); !listed[name] && got != "deny" && got != "notify" && got != "nosys" {
				t.Errorf("%s: %s is %s", profile, name, got)
			}
		}
	}
}

// TestProfilesHoldNoDeadEntry: every line names a call that some kernel has, once, and says why.
func TestProfilesHoldNoDeadEntry(t *testing.T) {
	known := map[string]bool{}
	for _, arch := range []string{"amd64", "arm64"} {
		numbers, err := readNumbers(arch)
		if err != nil {
			t.Fatal(err)
		}
		for name := range numbers {
			known[name] = true
		}
	}
	files, err := fs.Glob(profiles, "profiles/*.txt")
	if err != nil || len(files) < 5 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(strings.TrimPrefix(file, "profiles/"), ".txt")
		rules, err := readProfile(name, 0)
		if err != nil {
			t.Fatal(err)
		}
		open := map[string]bool{} // a line without conditions ends what a call may have
		for _, r := range rules {
			if !known[r.name] || open[r.name] || len(r.reason) < 5 {
				t.Errorf("%s: %s: known %t, behind a line that always counts %t, reason %q", name, r.name, known[r.name], open[r.name], r.reason)
			}
			open[r.name] = open[r.name] || len(r.conds) == 0
		}
	}
}

// dangerous calls never enter a profile, whatever reason is written next to them.
func TestProfilesNeverHoldTheDangerous(t *testing.T) {
	for _, name := range strings.Fields(`mount umount2 pivot_root chroot unshare setns fsopen fsmount fsconfig fspick open_tree
		move_mount mount_setattr ptrace process_vm_readv process_vm_writev kcmp pidfd_getfd bpf userfaultfd io_uring_setup
		io_uring_enter io_uring_register perf_event_open add_key request_key keyctl init_module finit_module delete_module
		kexec_load kexec_file_load reboot swapon swapoff acct quotactl settimeofday clock_settime clock_adjtime adjtimex iopl ioperm
		modify_ldt syslog open_by_handle_at name_to_handle_at setuid setgid setreuid setregid setresuid setresgid setgroups setfsuid
		setfsgid capset seccomp mknod mknodat sethostname setdomainname personality_ fanotify_init lookup_dcookie nfsservctl
		vhangup uselib ustat sysfs move_pages migrate_pages mbind set_mempolicy landlock_create_ruleset memfd_secret process_madvise`) {
		for _, profile := range []string{"node", "python", "provided", "wasm"} {
			rules, err := readProfile(profile, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range rules {
				if r.name == name && r.action != refuse && r.action != answerErrno {
					t.Errorf("%s allows %s", profile, name)
				}
			}
		}
	}
}

func TestRulesThatAreRefused(t *testing.T) {
	for _, line := range []string{"read maybe", "read errno EWHAT", "read when", "read when arg0", "read when arg9 in 1", "read when arg0 in",
		"read when arg0 in x", "read when arg0 clear", "read when arg0 clear 1 2", "read when arg0 & 1", "read when arg0 & x in 1",
		"read refuse EWHAT", "read errno", "read refuse EPERM arg0", "read notify when", "read notify unless arg7 null", "read notify unless arg1", "read when arg0 in 99999999999", "read when argx in 1"} {
		if r, err := parseRule(strings.Fields(line)); err == nil {
			t.Errorf("%q read as %+v", line, r)
		}
	}
}

func FuzzRule(f *testing.F) {
	f.Add("clone when arg0 clear 0x7e020080 and arg0 & 0x10000 in 0x10000", uint64(1))
	f.Add("socket when arg0 in 1 2 10 and arg1 & 0xf in 1 2 5", uint64(2))
	f.Add("sendto notify unless arg4 null", uint64(0))
	f.Fuzz(func(t *testing.T, line string, arg uint64) {
		fields := strings.Fields(line)
		if len(fields) == 0 || len(fields) > 200 {
			return
		}
		r, err := parseRule(fields)
		if err != nil {
			return
		}
		// Whatever a line says, its block is a valid program that ends in a verdict.
		block := r.block(true)
		if len(block) > 250 {
			return
		}
		block = append(block, bpf.RetConstant{Val: denied})
		vm, err := bpf.NewVM(block)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		data := make([]byte, 64)
		for i := range 6 {
			binary.BigEndian.PutUint64(data[offsetArgs+8*i:], arg)
		}
		if v, err := vm.Run(data); err != nil || verdict(uint32(v)) == "?" {
			t.Fatalf("%q: %d %v", line, v, err)
		}
	})
}
