package stage

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"

	"golang.org/x/sys/unix"
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
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	trees := make([]int, len(s.Mounts))
	for i, m := range s.Mounts {
		var err error
		if trees[i], err = openTree(m); err != nil {
			return fmt.Errorf("mounting %s: %w", m.Target, err)
		}
	}
	var devs [len(devices)]int
	for i, name := range devices {
		var err error
		if devs[i], err = openDevice(name); err != nil {
			return fmt.Errorf("mounting /dev/%s: %w", name, err)
		}
	}
	// When the whole machine runs out of memory a jail goes before the node. A kernel without it changes no wall.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("900"), 0)
	// In a user namespace the kernel gives a new /proc only while a whole one is still in sight.
	s.procFD, s.procErr = openProc()
	root, err := tmpfs(rootBytes, rootInodes, "0755")
	if err != nil {
		return err
	}
	if err := unix.MoveMount(root, "", unix.AT_FDCWD, staging, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("staging the root: %w", err)
	}
	if err := pivot(root); err != nil {
		return err
	}
	return s.populate(trees, devs[:])
}

// pivot makes the mount behind fd the root and lets go of the old one.
func pivot(fd int) error {
	if err := unix.Fchdir(fd); err != nil {
		return fmt.Errorf("entering the root: %w", err)
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivoting: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leaving the old root: %w", err)
	}
	return unix.Chdir("/")
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
	for i, m := range s.Mounts {
		if err := attach(trees[i], m.Target); err != nil {
			return fmt.Errorf("mounting %s: %w", m.Target, err)
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
	for file, content := range s.Etc {
		if err := os.MkdirAll(path.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, content, 0o444); err != nil {
			return err
		}
	}
	return nil
}

// openTree takes a detached copy of a source, already read-only, nosuid and nodev.
func openTree(m Mount) (int, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, m.Source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("source: %w", err)
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV, Propagation: unix.MS_PRIVATE}
	if !m.Writable {
		attr.Attr_set |= unix.MOUNT_ATTR_RDONLY
	}
	if !m.Exec {
		attr.Attr_set |= unix.MOUNT_ATTR_NOEXEC
	}
	return fd, unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &attr)
}

// openDevice takes one device node. It stays read-only as a file system: writing to a device is not writing to its
// file system.
func openDevice(name string) (int, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, "/dev/"+name, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return -1, err
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NOEXEC, Propagation: unix.MS_PRIVATE}
	return fd, unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &attr)
}

// attach makes the mount point, a file or a directory as the tree is, and puts the tree there. Links on the way are
// not followed out: everything already stands in the new root.
func attach(tree int, target string) error {
	var st unix.Stat_t
	if err := unix.Fstat(tree, &st); err != nil {
		return err
	}
	if err := os.MkdirAll(path.Dir(target), 0o755); err != nil {
		return err
	}
	var err error
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		err = os.MkdirAll(target, 0o755)
	} else {
		var f *os.File
		if f, err = os.OpenFile(target, os.O_CREATE|os.O_RDONLY, 0o444); err == nil {
			f.Close()
		} else if errors.Is(err, unix.EROFS) {
			err = nil // lies inside a mount made before; moving there says whether it exists
		}
	}
	if err != nil {
		return err
	}
	return move(tree, target)
}

func move(tree int, target string) error {
	defer unix.Close(tree)
	return unix.MoveMount(tree, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

// tmpfs makes a detached memory file system with a bound on bytes and on inodes.
func tmpfs(bytes, inodes int64, mode string) (int, error) {
	fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("opening tmpfs: %w", err)
	}
	defer unix.Close(fs)
	for _, kv := range [][2]string{{"source", "casemate"}, {"size", strconv.FormatInt(bytes, 10)}, {"nr_inodes", strconv.FormatInt(inodes, 10)}, {"mode", mode}} {
		if err := unix.FsconfigSetString(fs, kv[0], kv[1]); err != nil {
			return -1, fmt.Errorf("setting tmpfs %s=%s: %w", kv[0], kv[1], err)
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, fmt.Errorf("making tmpfs: %w", err)
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV)
	if err != nil {
		return -1, fmt.Errorf("mounting tmpfs: %w", err)
	}
	return fd, nil
}

// openProc makes a detached /proc that shows the jail's own processes and nothing of the machine (subset=pid, Linux
// 5.8: no /proc/sys, kcore, keys, cpuinfo, ...).
func openProc() (int, error) {
	fs, err := unix.Fsopen("proc", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, err
	}
	defer unix.Close(fs)
	if err := unix.FsconfigSetString(fs, "subset", "pid"); err != nil {
		return -1, err
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, err
	}
	const attr = unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC
	return unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, attr)
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
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOEXEC}
	return unix.MountSetattr(unix.AT_FDCWD, "/", 0, &attr)
}
