package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// files are after the host's, and after the sandbox's own walls among them.
func files() map[string]func(*api, order) answer {
	return map[string]func(*api, order) answer{
		"read host file":   func(_ *api, o order) answer { return read(o["secret"]) },
		"write host file":  writeHost,
		"read users":       readUsers,
		"read mounts":      readMounts,
		"interfaces":       interfaces,
		"write own code":   writeCode,
		"device node":      deviceNode,
		"raw memory":       func(*api, order) answer { return opened("/dev/mem", os.O_RDONLY) },
		"kernel log":       func(*api, order) answer { return opened("/dev/kmsg", os.O_RDONLY) },
		"core_pattern":     func(*api, order) answer { return rewritten("/proc/sys/kernel/core_pattern") },
		"modprobe path":    func(*api, order) answer { return rewritten("/proc/sys/kernel/modprobe") },
		"sysrq":            func(*api, order) answer { return opened("/proc/sysrq-trigger", os.O_WRONLY) },
		"kernel symbols":   kernelSymbols,
		"cgroup":           ownCgroup,
		"cgroup v1 agent":  releaseAgent,
		"mount tmpfs":      mountTmpfs,
		"mount proc":       mountProc,
		"bind mount":       bindMount,
		"new mount API":    newMountAPI,
		"remount root":     remount,
		"pivot_root":       pivotRoot,
		"chroot":           chroot,
		"overlay symlink":  symlinkOut,
		"hard link":        hardLink,
		"open with dotdot": dotdot,
		"change owner":     changeOwner,
		"size of a file": func(_ *api, o order) answer {
			info, err := os.Stat(o["file"])
			if err != nil {
				return failed(err)
			}
			return worked("%d bytes", info.Size())
		},
	}
}

func read(name string) answer {
	text, err := os.ReadFile(name)
	if err != nil {
		return failed(err)
	}
	return worked("%s", text[:min(len(text), 256)])
}

func opened(name string, flags int) answer {
	fd, err := unix.Open(name, flags|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return absent(fmt.Errorf("%s: %w", name, err))
	}
	unix.Close(fd)
	return worked("%s was opened", name)
}

// rewritten writes back what a setting of the kernel is already.
func rewritten(name string) answer {
	now, err := os.ReadFile(name)
	if err == nil {
		err = os.WriteFile(name, now, 0)
	}
	if err != nil {
		return absent(err)
	}
	return worked("%s was written", name)
}

func writeHost(_ *api, o order) answer {
	name := filepath.Join(o["drop"], "written")
	if err := os.WriteFile(name, []byte("x"), 0o600); err != nil {
		return failed(err)
	}
	return worked("%s", name)
}

func readUsers(_ *api, o order) answer {
	for _, name := range []string{"/etc/shadow", "/etc/passwd"} {
		text, err := os.ReadFile(name)
		if err == nil && strings.Contains(string(text), o["user"]) {
			return worked("%s holds %s", name, o["user"])
		}
	}
	return failed(errNotThere)
}

// readMounts looks for a mount of the host that is not one of the sandbox.
func readMounts(_ *api, o order) answer {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return failed(err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 4 && f[4] == o["mount"] {
			return worked("%s is mounted", f[4])
		}
	}
	return failed(errNotThere)
}

// interfaces looks for another interface than loopback in sight, in its own network or in /sys.
func interfaces(*api, order) answer {
	if entries, err := os.ReadDir("/sys/class/net"); err == nil {
		return worked("/sys shows %d interfaces", len(entries))
	}
	return outside(func() answer {
		all, err := net.Interfaces()
		if err != nil {
			return failed(err)
		}
		for _, i := range all {
			if i.Name != "lo" {
				return worked("%s", i.Name)
			}
		}
		return failed(errNotThere)
	})
}

// writeCode changes the function's own code for later runs. The mark is taken away again.
func writeCode(_ *api, o order) answer {
	if err := os.WriteFile("/var/task/mark", []byte("x"), 0o644); err != nil {
		return failed(err)
	}
	return answer{Worked: true, Detail: fmt.Sprint(os.Remove("/var/task/mark"))}
}

func deviceNode(*api, order) answer {
	name := "/tmp/battery-device"
	const memory = 1<<8 | 1
	if err := unix.Mknod(name, unix.S_IFCHR|0o600, memory); err != nil {
		return failed(err)
	}
	os.Remove(name)
	return worked("a device was made")
}

func kernelSymbols(*api, order) answer {
	text, err := os.ReadFile("/proc/kallsyms")
	if err != nil {
		return failed(err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	if strings.HasPrefix(line, "0000000000000000") {
		return failed(errors.New("addresses are hidden"))
	}
	return worked("%s", line)
}

// ownCgroup makes a group outside of its own bounds.
func ownCgroup(*api, order) answer {
	dirs, _ := filepath.Glob("/sys/fs/cgroup/*/cgroup.procs")
	for _, procs := range append(dirs, "/sys/fs/cgroup/cgroup.procs") {
		dir := filepath.Join(filepath.Dir(procs), fmt.Sprintf("battery-guest-%d", os.Getpid()))
		if os.Mkdir(dir, 0o755) == nil {
			return answer{Worked: true, Detail: fmt.Sprintf("%s: %v", dir, os.Remove(dir))}
		}
	}
	return failed(fmt.Errorf("%d hierarchies, no group", len(dirs)))
}

// releaseAgent is the classic way out of a container: the host runs the program that is named there. What is there is
// written back.
func releaseAgent(*api, order) answer {
	names, _ := filepath.Glob("/sys/fs/cgroup/*/release_agent")
	if len(names) == 0 {
		return mountCgroup()
	}
	return rewritten(names[0])
}

// mountCgroup mounts a hierarchy that shows it.
func mountCgroup() answer {
	return private(func() answer {
		dir, err := os.MkdirTemp("/tmp", "battery")
		if err != nil {
			return failed(err)
		}
		defer os.Remove(dir)
		if err := unix.Mount("none", dir, "cgroup", 0, "pids"); err != nil {
			return failed(err)
		}
		defer unix.Unmount(dir, unix.MNT_DETACH)
		return rewritten(filepath.Join(dir, "release_agent"))
	})
}

// private does something in a mount namespace of its own when it gets one, else where it is.
func private(f func() answer) answer {
	return apart(func() answer {
		if err := unix.Unshare(unix.CLONE_NEWNS); err == nil {
			_ = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") // it is private in a sandbox already
		}
		return f()
	})
}

func mountTmpfs(*api, order) answer {
	return private(func() answer { return mounted("none", "tmpfs", 0) })
}

func mountProc(*api, order) answer {
	return private(func() answer { return mounted("none", "proc", 0) })
}

func bindMount(*api, order) answer {
	return private(func() answer { return mounted("/", "", unix.MS_BIND) })
}

// mounted mounts something and takes it away again.
func mounted(source, kind string, flags uintptr) answer {
	dir, err := os.MkdirTemp("/tmp", "battery")
	if err != nil {
		return failed(err)
	}
	defer os.Remove(dir)
	if err := unix.Mount(source, dir, kind, flags, ""); err != nil {
		return failed(err)
	}
	return answer{Worked: true, Detail: fmt.Sprint("mounted; away again: ", unix.Unmount(dir, unix.MNT_DETACH))}
}

func newMountAPI(*api, order) answer {
	return apart(func() answer {
		fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
		if err != nil {
			return failed(err)
		}
		unix.Close(fs)
		return worked("a file system was opened")
	})
}

func remount(*api, order) answer {
	return private(func() answer {
		if err := unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_NOATIME, ""); err != nil {
			return failed(err)
		}
		return worked("/ was remounted")
	})
}

func pivotRoot(*api, order) answer {
	return private(func() answer {
		dir, err := os.MkdirTemp("/tmp", "battery")
		if err != nil {
			return failed(err)
		}
		defer os.Remove(dir)
		mountErr := unix.Mount("none", dir, "tmpfs", 0, "")
		if err := unix.Chdir(dir); err != nil {
			return failed(err)
		}
		defer unix.Chdir("/var/task")
		if err := unix.PivotRoot(".", "."); err != nil {
			return failed(errors.Join(err, mountErr))
		}
		return worked("a root of its own")
	})
}

func chroot(*api, order) answer {
	return apart(func() answer {
		if err := unix.Unshare(unix.CLONE_FS); err != nil { // else the whole process moves
			// Refused: then the whole process may try.
			if err := unix.Chroot("/tmp"); err != nil {
				return failed(err)
			}
			return worked("the whole process")
		}
		if err := unix.Chroot("/tmp"); err != nil {
			return failed(err)
		}
		return worked("a root of its own")
	})
}

// symlinkOut reads the secret through a link that it laid itself.
func symlinkOut(_ *api, o order) answer {
	link := "/tmp/battery-link"
	os.Remove(link)
	if err := os.Symlink(o["secret"], link); err != nil {
		return failed(err)
	}
	defer os.Remove(link)
	return read(link)
}

// hardLink puts a name of a file of the host into /tmp.
func hardLink(_ *api, o order) answer {
	name := filepath.Join(o["drop"], "linked")
	if err := os.Link(o["secret"], name); err != nil {
		return failed(err)
	}
	defer os.Remove(name)
	return read(name)
}

// dotdot walks up from every descriptor that it was given.
func dotdot(_ *api, o order) answer {
	for fd := range 64 {
		for _, up := range []string{"", strings.Repeat("../", 20)} {
			at, err := unix.Openat(fd, up+o["secret"][1:], unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err == nil {
				text := make([]byte, 128)
				n, _ := unix.Read(at, text)
				unix.Close(at)
				return worked("%s", text[:max(n, 0)])
			}
		}
	}
	root, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return failed(err)
	}
	defer unix.Close(root)
	at, err := unix.Openat(root, strings.Repeat("../", 20)+o["secret"][1:], unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return failed(err)
	}
	text := make([]byte, 128)
	n, _ := unix.Read(at, text)
	unix.Close(at)
	return worked("%s", text[:max(n, 0)])
}

// changeOwner gives a file to root.
func changeOwner(*api, order) answer {
	name := "/tmp/battery-owned"
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		return failed(err)
	}
	defer os.Remove(name)
	if err := os.Chown(name, 12345, 12345); err != nil {
		return failed(err)
	}
	return worked("a file belongs to somebody else")
}
