package jail

import (
	"fmt"
	"os"
	"path"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"

	"casemate/internal/walls"
	"casemate/sandbox/jail/stage"
)

// canVisit: without walls the jail's root is the host's, and nothing may be written to it.
const canVisit = walls.Up

// visit gives a program that runs already its mounts, files, sockets and limits, from a thread of this process that
// enters the jail's namespaces and ends there.
//
// Danger: for the time of the visit a thread with the node's memory and capabilities has the jail's root as its own. It
// opens no file of the jail for reading and follows no path that the program could have changed: the root is read-only,
// what it writes it names itself, and /tmp is only sized.
func (c *Child) visit(p *pending, rest *stage.Order) error {
	if !c.launcher.root || !canVisit {
		return ErrRootless
	}
	for _, m := range rest.Mounts {
		if !contains(p.spec.Places, m.Target) || m.Writable {
			return fmt.Errorf("mount at %s: not a place of this jail, or writable", m.Target)
		}
	}
	v := visitor{child: c, rest: rest}
	defer v.close()
	if err := v.fetch(); err != nil {
		return err
	}
	err := onOwnThread(func() error {
		if err := v.enter(); err != nil {
			return err
		}
		return v.furnish()
	})
	if err != nil {
		return err
	}
	for _, fd := range v.sockets {
		c.sockets = append(c.sockets, os.NewFile(uintptr(fd), "jail socket"))
	}
	v.sockets = nil
	return nil
}

func contains(list []string, x string) bool {
	for _, y := range list {
		if x == y {
			return true
		}
	}
	return false
}

// onOwnThread runs f on a thread that nothing else ever ran on since, and nothing will: it ends with f.
func onOwnThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the runtime ends the thread with the goroutine
		if unix.Gettid() == unix.Getpid() {
			// /proc/self is the main thread's view: it must stay the node's. While this goroutine holds it, another gets
			// another thread.
			done <- onOwnThread(f)
			runtime.UnlockOSThread()
			return
		}
		done <- f()
	}()
	return <-done
}

// visitor is one visit.
type visitor struct {
	child   *Child
	rest    *stage.Order
	pidfd   int
	trees   []int
	sockets []int
}

func (v *visitor) close() {
	for _, fd := range append(v.trees, v.sockets...) {
		unix.Close(fd)
	}
	if v.pidfd > 0 {
		unix.Close(v.pidfd)
	}
}

// fetch opens what the visit needs of the host.
func (v *visitor) fetch() error {
	var err error
	handle := v.child.process.WithHandle(func(h uintptr) { v.pidfd, err = unix.FcntlInt(h, unix.F_DUPFD_CLOEXEC, 0) })
	if handle != nil || err != nil {
		return fmt.Errorf("holding the process: %w", first(handle, err))
	}
	for _, m := range v.rest.Mounts {
		fd, err := unix.OpenTree(unix.AT_FDCWD, m.Source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
		if err != nil {
			return fmt.Errorf("taking %s: %w", m.Target, err)
		}
		v.trees = append(v.trees, fd)
		attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV, Propagation: unix.MS_PRIVATE}
		if !m.Exec {
			attr.Attr_set |= unix.MOUNT_ATTR_NOEXEC
		}
		if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &attr); err != nil {
			return fmt.Errorf("restricting %s: %w", m.Target, err)
		}
	}
	return nil
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// enter moves the calling thread into the jail's mount and network namespaces. It cannot come back.
func (v *visitor) enter() error {
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("leaving the shared root: %w", err)
	}
	if err := unix.Setns(v.pidfd, unix.CLONE_NEWNS|unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("entering: %w", err)
	}
	return nil
}

// furnish does what the assignment asks for.
func (v *visitor) furnish() error {
	for i, m := range v.rest.Mounts {
		if err := unix.MoveMount(v.trees[i], "", unix.AT_FDCWD, m.Target, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
			return fmt.Errorf("mounting %s: %w", m.Target, err)
		}
	}
	if len(v.rest.Etc) > 0 {
		if err := v.write(); err != nil {
			return err
		}
	}
	size := "size=" + strconv.FormatInt(v.rest.Limits.TmpBytes, 10)
	if err := unix.Mount("", "/tmp", "", unix.MS_REMOUNT|unix.MS_NOSUID|unix.MS_NODEV, size); err != nil {
		return fmt.Errorf("sizing /tmp: %w", err)
	}
	for _, s := range v.rest.Listen {
		fd, err := stage.Listen(s)
		if err != nil {
			return fmt.Errorf("listening on port %d: %w", s.Port, err)
		}
		v.sockets = append(v.sockets, fd)
	}
	return v.limit()
}

// write makes the small files through a copy of the root's mount that takes writes and that nobody else sees.
func (v *visitor) write() error {
	root, err := unix.OpenTree(unix.AT_FDCWD, "/", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return fmt.Errorf("copying the root: %w", err)
	}
	defer unix.Close(root)
	if err := unix.MountSetattr(root, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY}); err != nil {
		return fmt.Errorf("opening the root: %w", err)
	}
	for file, content := range v.rest.Etc {
		at := file[1:]
		for i := range at {
			if at[i] == '/' {
				err := unix.Mkdirat(root, at[:i], 0o755)
				if err == nil {
					err = unix.Fchmodat(root, at[:i], 0o755, 0) // whatever the node's mask is
				}
				if err != nil && err != unix.EEXIST {
					return fmt.Errorf("making %s: %w", path.Dir(file), err)
				}
			}
		}
		if err := put(root, at, content); err != nil {
			return fmt.Errorf("writing %s: %w", file, err)
		}
	}
	return nil
}

// put replaces one file below a directory.
func put(dir int, name string, content []byte) error {
	how := unix.OpenHow{Flags: unix.O_WRONLY | unix.O_CREAT | unix.O_TRUNC | unix.O_CLOEXEC, Mode: 0o444,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV}
	fd, err := unix.Openat2(dir, name, &how)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for len(content) > 0 {
		n, err := unix.Write(fd, content)
		if err != nil {
			return err
		}
		content = content[n:]
	}
	return unix.Fchmod(fd, 0o444)
}

// limit narrows the resource limits of the program. A root without CAP_SYS_RESOURCE may do that only as the program's own
// user (prlimit(2)), so the thread takes that as its real one; what it may do is judged by the effective one.
func (v *visitor) limit() error {
	uid := uintptr(v.rest.UID)
	const keep = ^uintptr(0)
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESGID, uid, keep, keep); errno != 0 {
		return fmt.Errorf("taking the program's group: %w", errno)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uid, keep, keep); errno != 0 {
		return fmt.Errorf("taking the program's user: %w", errno)
	}
	if err := unix.PidfdSendSignal(v.pidfd, 0, nil, 0); err != nil {
		return fmt.Errorf("the program: %w", err)
	}
	l := v.rest.Limits
	for _, r := range [...]struct {
		resource int
		value    uint64
	}{{unix.RLIMIT_NOFILE, uint64(l.Files)}, {unix.RLIMIT_NPROC, uint64(l.Pids)}, {unix.RLIMIT_FSIZE, uint64(l.FileBytes)}, {unix.RLIMIT_DATA, uint64(l.DataBytes)}} {
		if r.resource == unix.RLIMIT_DATA && r.value == 0 {
			continue
		}
		var now unix.Rlimit
		if err := unix.Prlimit(v.child.process.Pid, r.resource, nil, &now); err != nil {
			return fmt.Errorf("reading limit %d: %w", r.resource, err)
		}
		value := min(r.value, now.Max)
		if err := unix.Prlimit(v.child.process.Pid, r.resource, &unix.Rlimit{Cur: value, Max: value}, nil); err != nil {
			return fmt.Errorf("setting limit %d: %w", r.resource, err)
		}
	}
	return nil
}
