package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// kernel are calls that an ordinary function never needs, and that have led to escapes or may change the machine.
func kernel() map[string]func(*api, order) answer {
	all := map[string]func(*api, order) answer{
		"userfaultfd":     opens(unix.SYS_USERFAULTFD, unix.O_CLOEXEC),
		"io_uring":        ioUring,
		"bpf":             bpf,
		"perf_event_open": perf,
		"keyring":         keyring,
		"unshare user":    unshare(unix.CLONE_NEWUSER),
		"unshare mount":   unshare(unix.CLONE_NEWNS),
		"unshare network": unshare(unix.CLONE_NEWNET),
		"clone user":      cloned(unix.CLONE_NEWUSER),
		"clone pid":       cloned(unix.CLONE_NEWPID),
		"clone3 user":     clone3,
		"setns":           enterNamespace,
		"personality":     personality,
		"prctl subreaper": prctls(unix.PR_SET_CHILD_SUBREAPER, 1),
		"prctl securebits": func(*api, order) answer {
			bits, err := unix.PrctlRetInt(unix.PR_GET_SECUREBITS, 0, 0, 0, 0)
			if err != nil {
				return failed(err)
			}
			return prctls(unix.PR_SET_SECUREBITS, uintptr(bits))(nil, nil)
		},
		"TIOCSTI":           tiocsti,
		"host name":         hostName,
		"clock":             clock,
		"module":            module,
		"kexec":             kexec,
		"quotactl":          refusedUnlessRoot(unix.SYS_QUOTACTL),
		"open_by_handle_at": byHandle,
		"seccomp":           ownFilter,
		"capabilities": func(*api, order) answer {
			if c := capabilities(); c != 0 {
				return worked("%x", c)
			}
			return answer{Detail: "none"}
		},
		"become root": becomeRoot,
		"vmsplice":    vmsplice,
	}
	return all
}

// opens makes an attack of a call that gives a descriptor.
func opens(nr uintptr, args ...uintptr) func(*api, order) answer {
	return func(*api, order) answer {
		var a [6]uintptr
		copy(a[:], args)
		fd, _, errno := unix.Syscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
		if errno != 0 {
			return failed(errno)
		}
		unix.Close(int(fd))
		return worked("descriptor %d", fd)
	}
}

func ioUring(*api, order) answer {
	var params [120]byte
	return opens(unix.SYS_IO_URING_SETUP, 8, uintptr(unsafe.Pointer(&params)))(nil, nil)
}

func bpf(*api, order) answer {
	attr := struct{ kind, key, value, entries, flags uint32 }{2, 4, 4, 1, 0} // BPF_MAP_TYPE_ARRAY
	return opens(unix.SYS_BPF, 0, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))(nil, nil)
}

func perf(*api, order) answer {
	attr := unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_CPU_CLOCK}
	attr.Size = uint32(unsafe.Sizeof(attr))
	everybody := ^uintptr(0)
	return opens(unix.SYS_PERF_EVENT_OPEN, uintptr(unsafe.Pointer(&attr)), everybody, 0, everybody, 0)(nil, nil)
}

func keyring(*api, order) answer {
	key, err := unix.AddKey("user", "casemate-battery", []byte("x"), unix.KEY_SPEC_PROCESS_KEYRING)
	if err != nil {
		return failed(err)
	}
	_, _ = unix.KeyctlInt(unix.KEYCTL_INVALIDATE, key, 0, 0, 0) // it ends with the process anyway
	return worked("key %d", key)
}

// apart runs f on a thread that ends with it.
func apart(f func() answer) answer {
	done := make(chan answer)
	go func() {
		runtime.LockOSThread() // never unlocked: what f changed goes with the thread
		done <- f()
	}()
	return <-done
}

func unshare(flags int) func(*api, order) answer {
	return func(*api, order) answer {
		if flags == unix.CLONE_NEWUSER { // needs a process with one thread
			return inChild(uintptr(unix.SYS_UNSHARE), uintptr(flags))
		}
		return apart(func() answer {
			if err := unix.Unshare(flags); err != nil {
				return failed(err)
			}
			return worked("an own namespace")
		})
	}
}

// inChild makes a call in a fork of this process, which has one thread. What the call answered is the child's exit.
//
//go:norace
func inChild(nr, arg uintptr) answer {
	pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 {
		return failed(errno)
	}
	if pid == 0 {
		_, _, errno := unix.RawSyscall(nr, arg, 0, 0)
		for {
			unix.RawSyscall(unix.SYS_EXIT_GROUP, uintptr(errno)&0xff, 0, 0)
		}
	}
	return exitOf(int(pid))
}

func exitOf(pid int) answer {
	var status unix.WaitStatus
	if _, err := unix.Wait4(pid, &status, unix.WALL, nil); err != nil {
		return failed(err)
	}
	if status.ExitStatus() != 0 {
		return failed(unix.Errno(status.ExitStatus()))
	}
	return worked("it was done")
}

// cloned makes a child in a new namespace.
//
//go:norace
func cloned(flags uintptr) func(*api, order) answer {
	return func(*api, order) answer {
		pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, flags|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
		if errno != 0 {
			return failed(errno)
		}
		if pid == 0 {
			for {
				unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
			}
		}
		return exitOf(int(pid))
	}
}

//go:norace
func clone3(*api, order) answer {
	args := struct{ flags, pidfd, childTID, parentTID, signal, stack, stackSize, tls uint64 }{flags: unix.CLONE_NEWUSER, signal: uint64(unix.SIGCHLD)}
	pid, _, errno := unix.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&args)), unsafe.Sizeof(args), 0)
	if errno != 0 {
		return failed(errno)
	}
	if pid == 0 {
		for {
			unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
		}
	}
	return exitOf(int(pid))
}

// outside does something in the network of the host when it gets there, else where it is.
func outside(f func() answer) answer {
	return apart(func() answer {
		entered := "not "
		fd, err := unix.Open("/proc/1/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil && unix.Setns(fd, unix.CLONE_NEWNET) == nil {
			entered = ""
		}
		a := f()
		a.Detail = fmt.Sprintf("%s (host's network %sentered)", a.Detail, entered)
		return a
	})
}

func enterNamespace(*api, order) answer {
	return apart(func() answer {
		own, err := os.Readlink("/proc/self/ns/net")
		if err != nil {
			return failed(err)
		}
		// Of process 1, which is another one without walls, and of this process itself: the call alone is refused.
		fd, err := unix.Open("/proc/1/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return failed(err)
		}
		if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
			return failed(err)
		}
		now, err := os.Readlink("/proc/thread-self/ns/net")
		if err != nil || now == own {
			return failed(fmt.Errorf("still in %s, %v", own, err))
		}
		return worked("from %s to %s", own, now)
	})
}

func personality(*api, order) answer {
	const noRandom = 0x0040000
	return apart(func() answer {
		if _, _, errno := unix.Syscall(unix.SYS_PERSONALITY, noRandom, 0, 0); errno != 0 {
			return failed(errno)
		}
		now, _, _ := unix.Syscall(unix.SYS_PERSONALITY, 0xffffffff, 0, 0)
		if now&noRandom == 0 {
			return failed(fmt.Errorf("%x", now))
		}
		return worked("addresses are not random any more")
	})
}

func prctls(op int, arg uintptr) func(*api, order) answer {
	return func(*api, order) answer {
		return apart(func() answer {
			if err := unix.Prctl(op, arg, 0, 0, 0); err != nil {
				return failed(err)
			}
			return worked("prctl %d", op)
		})
	}
}

// tiocsti types a character into a terminal, as a jail escape through the terminal of its parent does.
func tiocsti(*api, order) answer {
	typed := byte('x')
	put := func(fd int) error {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCSTI, uintptr(unsafe.Pointer(&typed)))
		if errno != 0 {
			return errno
		}
		return nil
	}
	master, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return failed(fmt.Errorf("no terminal (%w), and on standard output: %w", err, put(1)))
	}
	defer unix.Close(master)
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		return failed(err)
	}
	n, err := unix.IoctlGetUint32(master, unix.TIOCGPTN)
	if err != nil {
		return failed(err)
	}
	slave, err := unix.Open(fmt.Sprintf("/dev/pts/%d", n), unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return failed(err)
	}
	defer unix.Close(slave)
	if err := put(slave); err != nil {
		return failed(err)
	}
	return worked("a character was typed into a terminal")
}

// hostName changes the machine's name, to the one it has.
func hostName(*api, order) answer {
	name, err := os.Hostname()
	if err != nil {
		return failed(err)
	}
	if err := unix.Sethostname([]byte(name)); err != nil {
		return failed(err)
	}
	return worked("the name was set")
}

// clock asks for a change of the clock by nothing.
func clock(*api, order) answer {
	delta := unix.Timex{Modes: 0x8000 | 0x0001} // ADJ_OFFSET_SINGLESHOT by 0
	if _, err := unix.Adjtimex(&delta); err != nil {
		return failed(err)
	}
	return worked("the clock can be changed")
}

// module loads something that is no kernel module: what tells it from a refusal is the reason.
func module(*api, order) answer {
	err := unix.InitModule([]byte("no module"), "")
	if err == unix.ENOEXEC || err == nil {
		return worked("the kernel looked at it")
	}
	return absent(err)
}

func kexec(*api, order) answer {
	_, _, errno := unix.Syscall6(unix.SYS_KEXEC_LOAD, 0, 17, 0, 0, 0, 0) // too many segments
	if errno == unix.EINVAL {
		return worked("the kernel looked at it")
	}
	return absent(errno)
}

// refusedUnlessRoot makes an attack of a call whose arguments are nonsense: a wall refuses it before it is looked at.
func refusedUnlessRoot(nr uintptr) func(*api, order) answer {
	return func(*api, order) answer {
		_, _, errno := unix.Syscall6(nr, ^uintptr(0), 0, 0, 0, 0, 0)
		if errno == unix.EPERM {
			return failed(errno)
		}
		return worked("the kernel looked at it: %v", errno)
	}
}

// byHandle opens a file by its number, past every folder: the oldest escape from a container.
func byHandle(_ *api, o order) answer {
	handle, _, err := unix.NameToHandleAt(unix.AT_FDCWD, o["secret"], 0)
	if err != nil {
		handle = unix.NewFileHandle(1, []byte{2, 0, 0, 0, 0, 0, 0, 0}) // the root folder, in most file systems
	}
	root, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return failed(err)
	}
	defer unix.Close(root)
	if dir, derr := unix.Open(o["secret"][:strings.LastIndexByte(o["secret"], '/')], unix.O_RDONLY|unix.O_CLOEXEC, 0); derr == nil {
		defer unix.Close(dir)
		root = dir
	}
	fd, err := unix.OpenByHandleAt(root, handle, unix.O_RDONLY)
	if err != nil {
		return failed(err)
	}
	defer unix.Close(fd)
	text := make([]byte, 128)
	n, err := unix.Read(fd, text)
	if err != nil {
		return failed(err)
	}
	return worked("%s", text[:n])
}

// ownFilter puts up a filter of its own with a notifier: what it starts then believes what it is told.
func ownFilter(*api, order) answer {
	allow := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}}
	prog := unix.SockFprog{Len: 1, Filter: &allow[0]}
	return apart(func() answer {
		fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, uintptr(unsafe.Pointer(&prog)))
		if errno != 0 {
			return failed(errno)
		}
		unix.Close(int(fd))
		return worked("an own notifier")
	})
}

func becomeRoot(*api, order) answer {
	return apart(func() answer {
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, 0, 0, 0); errno != 0 {
			return failed(errno)
		}
		if unix.Geteuid() != 0 {
			return failed(fmt.Errorf("uid %d", unix.Geteuid()))
		}
		return worked("uid 0")
	})
}

func vmsplice(*api, order) answer {
	var p [2]int
	if err := unix.Pipe(p[:]); err != nil {
		return failed(err)
	}
	defer unix.Close(p[0])
	defer unix.Close(p[1])
	data := []byte("x")
	if _, err := unix.Vmsplice(p[1], []unix.Iovec{{Base: &data[0], Len: 1}}, 0); err != nil {
		return failed(err)
	}
	return worked("a page was given to a pipe")
}
