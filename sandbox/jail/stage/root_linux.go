package stage

import (
	"errors"
	"os"
	"path"
	"strconv"
	"syscall"
)

// staging is where the new root is put together before it becomes the root; any directory that every system has.
const staging = "/proc"

const (
	rootBytes  = 4 << 20
	rootInodes = 4096
	tmpInodes  = 65536
)

// devices of the host that a program may need; none of them keeps state or reaches hardware.
var devices = [...]string{"null", "zero", "full", "random", "urandom"}

// root builds the new root and pivots into it. Descriptors of every source are taken first, because staging may hide
// one of them. Nothing of the old root stays reachable.
func (s *stager) root() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return doing("making mounts private", err)
	}
	trees := make([]int, len(s.Mounts))
	for i, m := range s.Mounts {
		var err error
		if trees[i], err = openSource(m); err != nil {
			return doing("mounting "+m.Target, err)
		}
	}
	var devs [len(devices)]int
	for i, name := range devices {
		var err error
		if devs[i], err = openDevice(name); err != nil {
			return doing("mounting /dev/"+name, err)
		}
	}
	// When the whole machine runs out of memory a jail goes before the node. A kernel without it changes no wall.
	_ = writeFile("/proc/self/oom_score_adj", syscall.O_WRONLY, []byte("900"))
	// In a user namespace the kernel gives a new /proc only while a whole one is still in sight.
	s.procFD, s.procErr = openProc()
	root, err := tmpfs(rootBytes, rootInodes, "0755")
	if err != nil {
		return err
	}
	if err := moveMount(root, staging); err != nil {
		return doing("staging the root", err)
	}
	if s.Wait {
		if s.host, err = syscall.Open("/", oPath|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0); err != nil {
			return doing("keeping the host's root", err)
		}
	}
	if err := pivot(root); err != nil {
		return err
	}
	if !s.Wait {
		if err := leave(); err != nil {
			return err
		}
	}
	return s.populate(trees, devs[:])
}

// pivot makes the mount behind fd the root. The old one lies over it until leave: no path from the root leads there.
func pivot(fd int) error {
	if err := syscall.Fchdir(fd); err != nil {
		return doing("entering the root", err)
	}
	if err := syscall.PivotRoot(".", "."); err != nil {
		return doing("pivoting", err)
	}
	return nil
}

// leave lets go of the old root.
func leave() error {
	if err := syscall.Unmount(".", syscall.MNT_DETACH); err != nil {
		return doing("leaving the old root", err)
	}
	return syscall.Chdir("/")
}

// populate fills the new root: mounts in order of their targets, then links, then small files.
func (s *stager) populate(trees, devs []int) error {
	for _, dir := range []string{"/dev", "/proc", "/tmp"} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	for i, name := range devices {
		if err := attach(devs[i], "/dev/"+name); err != nil {
			return err
		}
	}
	for link, target := range map[string]string{"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"} {
		if err := os.Symlink(target, "/dev/"+link); err != nil {
			return err
		}
	}
	tmp, err := tmpfs(s.Limits.TmpBytes, tmpInodes, "1777")
	if err != nil {
		return err
	}
	if err := move(tmp, "/tmp"); err != nil {
		return err
	}
	for _, place := range s.Places {
		if err := os.MkdirAll(place, 0o755); err != nil {
			return err
		}
	}
	for i, m := range s.Mounts {
		if err := attach(trees[i], m.Target); err != nil {
			return doing("mounting "+m.Target, err)
		}
	}
	for link, target := range s.Symlinks {
		if err := os.MkdirAll(path.Dir(link), 0o755); err != nil {
			return err
		}
		if err := os.Symlink(target, link); err != nil {
			return err
		}
	}
	return write(s.Etc)
}

// write makes the small files.
func write(files map[string][]byte) error {
	for file, content := range files {
		if err := os.MkdirAll(path.Dir(file), 0o755); err != nil {
			return err
		}
		if err := writeFile(file, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_TRUNC, content); err != nil {
			return err
		}
	}
	return nil
}

// openSource takes a detached copy of a source, already read-only, nosuid and nodev.
func openSource(m Mount) (int, error) {
	fd, err := openTree(m.Source)
	if err != nil {
		return -1, doing("source", err)
	}
	return fd, restrict(fd, m)
}

// restrict gives a detached copy the flags of its mount.
func restrict(fd int, m Mount) error {
	attr := mountAttr{set: attrNoSuid | attrNoDev, propagation: syscall.MS_PRIVATE}
	if !m.Writable {
		attr.set |= attrReadOnly
	}
	if !m.Exec {
		attr.set |= attrNoExec
	}
	return setMountAttr(fd, "", atEmptyPath, &attr)
}

// openDevice takes one device node. It stays read-only as a file system: writing to a device is not writing to its
// file system.
func openDevice(name string) (int, error) {
	fd, err := openTree("/dev/" + name)
	if err != nil {
		return -1, err
	}
	return fd, setMountAttr(fd, "", atEmptyPath, &mountAttr{set: attrReadOnly | attrNoSuid | attrNoExec, propagation: syscall.MS_PRIVATE})
}

// writeFile is os.WriteFile without the runtime's poller behind it.
func writeFile(name string, flags int, content []byte) error {
	fd, err := syscall.Open(name, flags|syscall.O_CLOEXEC, 0o444)
	if err != nil {
		return doing("making "+name, err)
	}
	defer syscall.Close(fd)
	for len(content) > 0 {
		n, err := syscall.Write(fd, content)
		if err != nil {
			return doing("writing "+name, err)
		}
		content = content[n:]
	}
	return nil
}

// attach makes the mount point, a file or a directory as the tree is, and puts the tree there. Links on the way are
// not followed out: everything already stands in the new root.
func attach(tree int, target string) error {
	var st syscall.Stat_t
	if err := syscall.Fstat(tree, &st); err != nil {
		return err
	}
	if err := os.MkdirAll(path.Dir(target), 0o755); err != nil {
		return err
	}
	var err error
	if st.Mode&syscall.S_IFMT == syscall.S_IFDIR {
		err = os.MkdirAll(target, 0o755)
	} else {
		if err = writeFile(target, syscall.O_CREAT|syscall.O_RDONLY, nil); errors.Is(err, syscall.EROFS) {
			err = nil // lies inside a mount made before; moving there says whether it exists
		}
	}
	if err != nil {
		return err
	}
	return move(tree, target)
}

func move(tree int, target string) error {
	defer syscall.Close(tree)
	return moveMount(tree, target)
}

// tmpfs makes a detached memory file system with a bound on bytes and on inodes.
func tmpfs(bytes, inodes int64, mode string) (int, error) {
	return newMount("tmpfs", attrNoSuid|attrNoDev, [2]string{"source", "casemate"}, [2]string{"size", strconv.FormatInt(bytes, 10)},
		[2]string{"nr_inodes", strconv.FormatInt(inodes, 10)}, [2]string{"mode", mode})
}

// openProc makes a detached /proc that shows the jail's own processes and nothing of the machine (subset=pid, Linux
// 5.8: no /proc/sys, kcore, keys, cpuinfo, ...).
func openProc() (int, error) {
	return newMount("proc", attrReadOnly|attrNoSuid|attrNoDev|attrNoExec, [2]string{"subset", "pid"})
}

// proc puts it in its place.
func (s *stager) proc() error {
	if s.procErr != nil {
		return s.procErr
	}
	return move(s.procFD, "/proc")
}

// seal makes the root itself read-only; from here on only /tmp and writable mounts take writes.
func (s *stager) seal() error {
	return setMountAttr(atFdcwd, "/", 0, &mountAttr{set: attrReadOnly | attrNoExec})
}
