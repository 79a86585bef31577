package jail

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// inside is the payload of the tests: it runs as the jailed program, tries something and says on stdout, as JSON, what
// happened.
func inside(args []string) int {
	answers := map[string]func(args []string) any{
		"status": insideStatus, "refusals": insideRefusals, "files": insideFiles, "dial": insideDial, "forks": insideForks,
		"assigned": insideAssigned, "eat": insideEat, "fill": insideFill, "exit": insideExit, "serve": insideServe, "spin": insideSpin, "family": insideFamily,
		"execute": insideExecute, "open": insideOpen, "breed": insideBreed, "fuzz": insideFuzz,
		"wait": func([]string) any { select {} },
		"host": func([]string) any { h, _ := os.Hostname(); return h },
	}
	answer, ok := answers[args[0]]
	if !ok {
		return 99
	}
	if err := json.NewEncoder(os.Stdout).Encode(answer(args[1:])); err != nil {
		return 98
	}
	return 0
}

// said names an error the way the tests compare it.
func said(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return unix.ErrnoName(errno)
	}
	if err != nil {
		return err.Error()
	}
	return "ok"
}

func insideStatus([]string) any {
	b, _ := os.ReadFile("/proc/self/status")
	status := map[string]string{"env": strings.Join(os.Environ(), " "), "pid": strconv.Itoa(os.Getpid())}
	for line := range strings.Lines(string(b)) {
		k, v, _ := strings.Cut(line, ":")
		status[k] = strings.TrimSpace(v)
	}
	var fds []string
	for fd := range 512 {
		var st unix.Stat_t
		if unix.Fstat(fd, &st) == nil {
			link, _ := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
			fds = append(fds, fmt.Sprintf("%d=%s", fd, link))
		}
	}
	status["fds"] = strings.Join(fds, " ")
	return status
}

// insideRefusals makes the calls of a program that wants out.
func insideRefusals([]string) any {
	call := func(nr uintptr, args ...uintptr) string {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		var a [6]uintptr
		copy(a[:], args)
		_, _, errno := syscall.RawSyscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
		if errno == 0 {
			return "ok"
		}
		return unix.ErrnoName(errno)
	}
	root := append([]byte("/"), 0)
	tmpfs := append([]byte("tmpfs"), 0)
	path, kind := uintptr(unsafe.Pointer(&root[0])), uintptr(unsafe.Pointer(&tmpfs[0]))
	one := uintptr(1)
	program := append([]byte("/bin/other"), 0)
	args := [11]uint64{unix.CLONE_NEWUSER} // struct clone_args
	return map[string]string{
		"unshare user":     call(unix.SYS_UNSHARE, unix.CLONE_NEWUSER),
		"unshare mount":    call(unix.SYS_UNSHARE, unix.CLONE_NEWNS),
		"clone newuser":    call(unix.SYS_CLONE, unix.CLONE_NEWUSER|uintptr(unix.SIGCHLD)),
		"clone newnet":     call(unix.SYS_CLONE, unix.CLONE_NEWNET|uintptr(unix.SIGCHLD)),
		"clone newtime":    call(unix.SYS_CLONE, unix.CLONE_NEWTIME|uintptr(unix.SIGCHLD)),
		"clone3":           call(unix.SYS_CLONE3, 0, 0),
		"clone3 user":      call(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&args)), unsafe.Sizeof(args)),
		"execve":           call(unix.SYS_EXECVE, uintptr(unsafe.Pointer(&program[0])), 0, 0),
		"execveat":         call(unix.SYS_EXECVEAT, 0, uintptr(unsafe.Pointer(&program[0])), 0, 0, 0),
		"setns":            call(unix.SYS_SETNS, 0, 0),
		"mount":            call(unix.SYS_MOUNT, kind, path, kind, 0, 0),
		"umount":           call(unix.SYS_UMOUNT2, path, 0),
		"pivot_root":       call(unix.SYS_PIVOT_ROOT, path, path),
		"chroot":           call(unix.SYS_CHROOT, path),
		"fsopen":           call(unix.SYS_FSOPEN, kind, 0),
		"open_tree":        call(unix.SYS_OPEN_TREE, 0, path, 1),
		"move_mount":       call(unix.SYS_MOVE_MOUNT, 0, path, 0, path, 0),
		"ptrace":           call(unix.SYS_PTRACE, unix.PTRACE_SEIZE, 1),
		"process_vm_readv": call(unix.SYS_PROCESS_VM_READV, 1),
		"pidfd_getfd":      call(unix.SYS_PIDFD_GETFD, 0, 0, 0),
		"kcmp":             call(unix.SYS_KCMP, 1, 1, 0),
		"add_key":          call(unix.SYS_ADD_KEY, kind, kind, 0, 0, 0),
		"keyctl":           call(unix.SYS_KEYCTL, 0),
		"request_key":      call(unix.SYS_REQUEST_KEY, kind, kind, 0, 0),
		"bpf":              call(unix.SYS_BPF, 0, 0, 0),
		"userfaultfd":      call(unix.SYS_USERFAULTFD, 0),
		"io_uring_setup":   call(unix.SYS_IO_URING_SETUP, 1, 0),
		"perf_event_open":  call(unix.SYS_PERF_EVENT_OPEN, 0, 0, 0, 0, 0),
		"open_by_handle":   call(unix.SYS_OPEN_BY_HANDLE_AT, 0, 0, 0),
		"name_to_handle":   call(unix.SYS_NAME_TO_HANDLE_AT, 0, path, 0, 0, 0),
		"reboot":           call(unix.SYS_REBOOT, 0, 0, 0),
		"kexec":            call(unix.SYS_KEXEC_LOAD, 0, 0, 0),
		"init_module":      call(unix.SYS_INIT_MODULE, 0, 0, 0),
		"swapon":           call(unix.SYS_SWAPON, path, 0),
		"settimeofday":     call(unix.SYS_SETTIMEOFDAY, 0, 0),
		"clock_settime":    call(unix.SYS_CLOCK_SETTIME, 0, 0),
		"sethostname":      call(unix.SYS_SETHOSTNAME, path, 1),
		"syslog":           call(unix.SYS_SYSLOG, 2, 0, 0),
		"quotactl":         call(unix.SYS_QUOTACTL, 0, 0, 0, 0),
		"acct":             call(unix.SYS_ACCT, 0),
		"mknod":            call(unix.SYS_MKNODAT, 0, path, unix.S_IFCHR|0o666, 1<<8|3),
		"setuid":           call(unix.SYS_SETUID, 0),
		"setgroups":        call(unix.SYS_SETGROUPS, 0, 0),
		"capset":           call(unix.SYS_CAPSET, 0, 0),
		"personality":      call(unix.SYS_PERSONALITY, 0x0040000), // ADDR_NO_RANDOMIZE
		"seccomp":          call(unix.SYS_SECCOMP, 0, 0, 0),
		"prctl seccomp":    call(unix.SYS_PRCTL, unix.PR_SET_SECCOMP, 2, 0),
		"prctl securebits": call(unix.SYS_PRCTL, unix.PR_SET_SECUREBITS, 0),
		"prctl ptracer":    call(unix.SYS_PRCTL, unix.PR_SET_PTRACER, ^uintptr(0)),
		"ioctl TIOCSTI":    call(unix.SYS_IOCTL, 0, unix.TIOCSTI, uintptr(unsafe.Pointer(&one))),
		"ioctl TIOCLINUX":  call(unix.SYS_IOCTL, 0, 0x541c, uintptr(unsafe.Pointer(&one))),
		"raw socket":       call(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP),
		"raw6 socket":      call(unix.SYS_SOCKET, unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6),
		"packet socket":    call(unix.SYS_SOCKET, unix.AF_PACKET, unix.SOCK_RAW, 0),
		"netlink socket":   call(unix.SYS_SOCKET, unix.AF_NETLINK, unix.SOCK_RAW, 0),
		"vsock":            call(unix.SYS_SOCKET, unix.AF_VSOCK, unix.SOCK_STREAM, 0),
		"alg socket":       call(unix.SYS_SOCKET, unix.AF_ALG, unix.SOCK_SEQPACKET, 0),
		"x32 getpid":       call(0x40000000|unix.SYS_GETPID, 0),
		"no such call":     call(9999, 0),
	}
}

// insideFiles looks at the files and tries to change them.
func insideFiles([]string) any {
	put := func(path string) string { return said(os.WriteFile(path, []byte("x"), 0o644)) }
	names := func(dir string) string {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return said(err)
		}
		var list []string
		for _, e := range entries {
			list = append(list, e.Name())
		}
		return strings.Join(list, " ")
	}
	write := func(path string) string { // to an existing file
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err == nil {
			f.Close()
		}
		return said(err)
	}
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	hosts, _ := os.ReadFile("/etc/hosts")
	script := "/tmp/script"
	os.WriteFile(script, []byte("#!/bin/probe\n"), 0o755)
	return map[string]string{
		"/": names("/"), "/dev": names("/dev"), "/proc": names("/proc"), "/proc/sys": names("/proc/sys"), "/etc": names("/etc"),
		"write /": put("/x"), "write /etc": put("/etc/x"), "write /data": put("/data/x"), "write /rw": put("/rw/x"),
		"write /tmp": put("/tmp/x"), "write hosts": write("/etc/hosts"), "write /bin/probe": write("/bin/probe"),
		"write /dev/null": write("/dev/null"), "write oom": write("/proc/self/oom_score_adj"), "make /dev": put("/dev/x"),
		"read /data": readable("/data/file"), "exec /data": said(exec.Command("/data/probe").Run()),
		"remount": said(unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND, "")), "hosts": string(hosts),
		"root's link": readable("/proc/1/root/etc/shadow"), "kcore": readable("/proc/kcore"), "host tmp": names("/tmp"),
		"mounts": string(mounts), "link": readable("/link"),
	}
}

func readable(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return said(err)
	}
	return string(b)
}

// insideDial connects and sends to each "network address" argument.
func insideDial(args []string) any {
	answers := map[string]string{}
	for _, arg := range args {
		network, address, _ := strings.Cut(arg, " ")
		conn, err := net.Dial(network, address)
		if err == nil {
			_, err = conn.Write([]byte("hello"))
			if err == nil && strings.HasPrefix(network, "tcp") {
				b := make([]byte, 16)
				var n int
				if n, err = conn.Read(b); err == nil {
					err = errors.New("heard " + string(b[:n]))
				}
			}
			conn.Close()
		}
		answers[arg] = said(err)
	}
	// A datagram that carries its address, by sendto and by sendmsg, and one thread more for the race detector.
	if fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0); err == nil {
		to := &unix.SockaddrInet4{Port: 53, Addr: [4]byte{8, 8, 4, 4}}
		answers["sendto"] = said(unix.Sendto(fd, []byte("x"), 0, to))
		to.Port = 54
		answers["sendmsg"] = said(unix.Sendmsg(fd, []byte("x"), nil, to, 0))
	}
	return answers
}

// insideForks starts children until it may not and says how many.
func insideForks([]string) any {
	n := 0
	for ; n < 5000; n++ {
		pid, _, errno := syscall.RawSyscall(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0)
		if errno != 0 {
			return map[string]any{"children": n, "error": unix.ErrnoName(errno)}
		}
		if pid == 0 {
			for {
				syscall.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
			}
		}
	}
	return map[string]any{"children": n, "error": "ok"}
}

// insideEat takes memory for ever.
func insideEat([]string) any {
	var all [][]byte
	for {
		b, err := unix.Mmap(-1, 0, 8<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
		if err != nil {
			return said(err)
		}
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		if all = append(all, b); len(all) == 0 { // all of it stays in use
			return "nothing"
		}
	}
}

// insideFill fills /tmp: with bytes, then with files.
func insideFill([]string) any {
	f, err := os.Create("/tmp/big")
	if err != nil {
		return said(err)
	}
	total := 0
	chunk := make([]byte, 1<<20)
	for range 1024 {
		n, err := f.Write(chunk)
		total += n
		if err != nil {
			f.Close()
			os.Remove("/tmp/big")
			return map[string]any{"bytes": total, "error": said(err)}
		}
	}
	return map[string]any{"bytes": total, "error": "ok"}
}

func insideExit(args []string) any {
	n, _ := strconv.Atoi(args[0])
	os.Exit(n)
	return nil
}

// insideServe writes a line on the file at descriptor 3.
func insideServe([]string) any {
	f := os.NewFile(3, "given")
	_, err := f.WriteString("from inside\n")
	return said(err)
}

// insideSpin burns CPU time until it has used up what the argument says, in milliseconds.
func insideSpin(args []string) any {
	n, _ := strconv.Atoi(args[0])
	for {
		var r unix.Rusage
		unix.Getrusage(unix.RUSAGE_SELF, &r)
		if time.Duration(r.Utime.Nano()+r.Stime.Nano()) > time.Duration(n)*time.Millisecond {
			return "done"
		}
	}
}

// insideFamily leaves a child behind and ends.
func insideFamily([]string) any {
	pid, _, _ := syscall.RawSyscall(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0)
	if pid == 0 {
		for {
			syscall.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
		}
	}
	entries, _ := filepath.Glob("/proc/[0-9]*")
	return entries
}
