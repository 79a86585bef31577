package jail

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"casemate/sandbox/jail/calls"
)

// quiet are calls that only end, stop or stall who makes them: nothing would be left to try the rest.
var quiet = []string{"exit", "exit_group", "pause", "rt_sigsuspend", "rt_sigtimedwait", "kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo",
	"pidfd_send_signal", "rt_sigreturn", "clone", "fork", "vfork", "alarm", "setitimer", "timer_settime", "wait4", "waitid", "read", "readv", "pread64", "preadv", "preadv2",
	"recvfrom", "recvmsg", "recvmmsg", "accept", "accept4", "poll", "ppoll", "select", "pselect6", "epoll_wait", "epoll_pwait", "epoll_pwait2", "futex", "futex_waitv",
	"nanosleep", "clock_nanosleep", "flock", "rt_sigaction", "rt_sigprocmask", "sigaltstack", "munmap", "mremap", "mmap", "mprotect", "brk", "arch_prctl",
	"set_tid_address", "pkey_mprotect", "madvise", "close", "close_range", "dup2", "dup3", "restart_syscall", "io_getevents", "setrlimit", "prlimit64", "splice", "tee", "vmsplice", "sendfile",
	"copy_file_range", "shutdown", "fcntl", "write", "writev", "pwrite64", "pwritev", "pwritev2", "sched_setscheduler", "sched_setaffinity", "setpriority", "mlock", "set_robust_list", "rseq", "semtimedop", "msgrcv",
	"uretprobe", "uprobe"}

// insideFuzz makes random calls: numbers and a seed are its arguments.
func insideFuzz(args []string) any {
	runtime.LockOSThread()
	seed, _ := strconv.ParseUint(args[0], 10, 64)
	rounds, _ := strconv.Atoi(args[1])
	random := rand.New(rand.NewPCG(seed, 1))
	// What the kernel writes must not hit the program itself: between pages that nobody may touch.
	area, err := unix.Mmap(-1, 0, 3<<20, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return said(err)
	}
	page := area[1<<20 : 2<<20]
	if err := unix.Mprotect(page, unix.PROT_READ|unix.PROT_WRITE); err != nil {
		return said(err)
	}
	copy(page, "/etc/hosts\x00")
	copy(page[64:], "tmpfs\x00/proc\x00")
	at := uint64(uintptr(unsafe.Pointer(&page[0])))
	values := []uint64{0, 1, 2, 3, 4, 5, 1 << 12, 1<<31 - 1, 1 << 31, 1 << 32, 1<<63 - 1, 1 << 63, ^uint64(0), ^uint64(99), at, at + 64, at + 70, at + 4096, at + 1<<15,
		unix.CLONE_NEWUSER, unix.CLONE_NEWNS, 0x5412, unix.PTRACE_ATTACH, unix.MS_BIND, unix.AF_PACKET, unix.SOCK_RAW, unix.S_IFCHR | 0o666}
	made := map[string]int{}
	for range rounds {
		nr := args[2+random.IntN(len(args)-2)]
		number, _ := strconv.ParseUint(nr, 10, 64)
		var a [6]uintptr
		for i := range a {
			v := values[random.IntN(len(values))]
			if random.IntN(4) == 0 {
				v ^= 1 << random.IntN(64)
			}
			a[i] = uintptr(v)
		}
		if number == unix.SYS_EXECVE && random.IntN(8) > 0 {
			continue
		}
		_, _, errno := syscall.RawSyscall6(uintptr(number), a[0], a[1], a[2], a[3], a[4], a[5])
		made[unix.ErrnoName(errno)]++
	}
	status, _ := os.ReadFile("/proc/self/status")
	return []any{made, string(status)}
}

// TestRandomCallsChangeNothingOutside: whatever is called with whatever, the walls stand when it is over, and what lies
// outside is what it was. The seeds are in the failure.
func TestRandomCallsChangeNothingOutside(t *testing.T) {
	rounds, seeds := 20_000, 4
	if os.Getenv("CASEMATE_FULL") != "" {
		rounds, seeds = 200_000, 20
	}
	numbers, err := calls.Numbers()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range quiet {
		delete(numbers, name)
	}
	var list []string
	for _, n := range numbers {
		list = append(list, strconv.Itoa(int(n)))
	}
	for n := 440; n < 480; n++ { // and those that no table here knows
		list = append(list, strconv.Itoa(n))
	}
	canary := filepath.Join(t.TempDir(), "canary")
	if err := os.WriteFile(canary, []byte("sings"), 0o666); err != nil {
		t.Fatal(err)
	}
	before := outside(t)
	var wg sync.WaitGroup
	var whole atomic.Int32
	for range seeds {
		seed := strconv.FormatUint(rand.Uint64(), 10)
		wg.Go(func() {
			s := probeSpec(t, append([]string{"fuzz", seed, strconv.Itoa(rounds)}, list...)...)
			s.Limits = Limits{MemoryBytes: 1 << 30, Files: 4096}
			s.OnConnect = func(string, string) bool { return false }
			out, exit, c := run(t, s)
			if exit.Code != 0 { // it may shoot itself: unmap its code, close the runtime's descriptors, write over its stacks
				t.Logf("seed %s: %+v", seed, exit)
			}
			if exit.Code == 0 {
				whole.Add(1)
				for _, want := range []string{`CapEff:\t0000000000000000`, `CapBnd:\t0000000000000000`, `NoNewPrivs:\t1`, `Seccomp:\t2`} {
					if !strings.Contains(out, want) {
						t.Errorf("seed %s: %s is gone: %s", seed, want, out)
					}
				}
			}
			if u, err := c.Usage(); err != nil || u.CPU == 0 {
				t.Errorf("seed %s: usage %+v, %v", seed, u, err)
			}
		})
	}
	wg.Wait()
	if whole.Load() == 0 {
		t.Error("none came to its end, so that nobody looked at the walls from inside")
	}
	if after := outside(t); after != before {
		t.Errorf("outside was\n%s\nand is\n%s", before, after)
	}
	if b, err := os.ReadFile(canary); err != nil || string(b) != "sings" {
		t.Errorf("canary %q, %v", b, err)
	}
}

// outside is what a jail must not change: mounts, names, users, interfaces, limits of this process's world.
func outside(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, file := range []string{"/proc/self/mounts", "/proc/sys/kernel/hostname", "/proc/sys/kernel/core_pattern", "/proc/self/limits", "/proc/self/status"} {
		f, err := os.Open(file)
		if err != nil {
			continue
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			if file != "/proc/self/status" || strings.HasPrefix(lines.Text(), "Cap") || strings.HasPrefix(lines.Text(), "Uid") {
				fmt.Fprintln(&b, file, lines.Text())
			}
		}
		f.Close()
	}
	links, _ := filepath.Glob("/sys/class/net/*")
	fmt.Fprintln(&b, links)
	return b.String()
}
