// Package opened sees which files the programs of a jail open, without anything inside it: the kernel tells who marked
// the jail's mounts (fanotify(7)). Each file is told once, so a program that opens one in a loop pays for it once.
package opened

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// MaxPaths is how many different files are told between two Begins. After them the kernel is asked no more.
const MaxPaths = 64

// Watch sees one jail. Its methods may be called from any goroutine.
type Watch struct {
	file   *os.File // the fanotify group
	raw    syscall.RawConn
	mounts []*os.File // one open directory, or file, of each mount
	done   chan struct{}

	mu    sync.Mutex
	armed bool // the mounts are marked
	paths []string
	more  bool // files beyond MaxPaths, or beyond what the kernel keeps for us
	buf   [4096]byte
}

// Start finds the mounts of a process's namespace, but for those at or beneath the directories of except. Nothing is
// seen before Begin. It needs CAP_SYS_ADMIN in the first user namespace (fanotify_init(2)), and fails where that is not
// there. The caller must call Close.
func Start(pid int, except []string) (*Watch, error) {
	fd, err := unix.FanotifyInit(unix.FAN_CLASS_NOTIF|unix.FAN_CLOEXEC|unix.FAN_NONBLOCK, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_LARGEFILE)
	if err != nil {
		return nil, fmt.Errorf("watching opens: %w", err)
	}
	w := &Watch{file: os.NewFile(uintptr(fd), "fanotify"), done: make(chan struct{})}
	if w.raw, err = w.file.SyscallConn(); err == nil {
		err = w.find(pid, except)
	}
	if err != nil {
		close(w.done)
		return nil, errors.Join(fmt.Errorf("watching opens: %w", err), w.Close())
	}
	go w.run()
	return w, nil
}

// find opens every mount point. A way to it that leads through /proc/<pid>/root stays in the jail: its directories cannot
// be changed from inside.
func (w *Watch) find(pid int, except []string) error {
	process := "/proc/" + strconv.Itoa(pid)
	table, err := os.ReadFile(process + "/mountinfo")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if len(f) < 5 {
			continue
		}
		at := unescape(f[4])
		if slices.ContainsFunc(except, func(dir string) bool { return at == dir || strings.HasPrefix(at, dir+"/") }) {
			continue
		}
		fd, err := unix.Open(process+"/root"+path.Clean(at), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("opening the mount at %s: %w", at, err)
		}
		w.mounts = append(w.mounts, os.NewFile(uintptr(fd), at))
	}
	return nil
}

// unescape reads a path of mountinfo, where blanks are written as octal numbers (proc_pid_mountinfo(5)).
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// Begin forgets what was seen and sees everything from now on.
func (w *Watch) Begin() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drain()
	again := len(w.paths) > 0 || w.more
	w.paths, w.more = nil, false
	if again { // the marks that keep a file from being told twice
		if err := w.mark(unix.FAN_MARK_FLUSH, 0, nil); err != nil {
			return fmt.Errorf("watching opens: %w", err)
		}
	}
	if w.armed {
		return nil
	}
	for _, m := range w.mounts {
		if err := w.mark(unix.FAN_MARK_ADD|unix.FAN_MARK_MOUNT, unix.FAN_OPEN, m); err != nil {
			return fmt.Errorf("watching opens at %s: %w", m.Name(), err)
		}
	}
	w.armed = true
	return nil
}

// Seen lists the files that were opened since Begin, by path inside, in the order in which each was opened first. more
// says that there were others.
func (w *Watch) Seen() (paths []string, more bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drain()
	return slices.Clone(w.paths), w.more
}

// Close ends the watch. Seen still answers.
func (w *Watch) Close() error {
	err := w.file.Close()
	<-w.done
	for _, m := range w.mounts {
		m.Close()
	}
	return err
}

func (w *Watch) mark(flags uint, mask uint64, at *os.File) error {
	dir := unix.AT_FDCWD
	name := ""
	if at != nil {
		dir = int(at.Fd())
	} else {
		name = "/" // a flush looks at no path
	}
	return w.control(func(fd int) error { return unix.FanotifyMark(fd, flags, mask, dir, name) })
}

func (w *Watch) control(f func(fd int) error) (err error) {
	if outer := w.raw.Control(func(fd uintptr) { err = f(int(fd)) }); outer != nil {
		return outer
	}
	return err
}

// run takes events as they come: the sooner a file is known, the fewer events of it there are.
func (w *Watch) run() {
	defer close(w.done)
	for {
		var err error
		if w.raw.Read(func(fd uintptr) bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			err = w.once(int(fd))
			return !errors.Is(err, unix.EAGAIN)
		}) != nil || err != nil {
			return
		}
	}
}

// drain takes what is there now. The caller holds the lock.
func (w *Watch) drain() {
	_ = w.control(func(fd int) error { // closed: nothing is there
		for {
			if err := w.once(fd); err != nil {
				return err
			}
		}
	})
}

// once takes the events of one read. The caller holds the lock.
func (w *Watch) once(fd int) error {
	n, err := unix.Read(fd, w.buf[:])
	if errors.Is(err, unix.EINTR) {
		return nil
	}
	if err != nil {
		return err
	}
	const size = 24 // struct fanotify_event_metadata
	for b := w.buf[:n]; len(b) >= size; {
		length := binary.NativeEndian.Uint32(b)
		if length < size || int(length) > len(b) {
			return errors.New("an event that is not one")
		}
		w.take(fd, binary.NativeEndian.Uint64(b[8:]), int(int32(binary.NativeEndian.Uint32(b[16:]))), int(binary.NativeEndian.Uint32(b[20:])))
		b = b[length:]
	}
	return nil
}

// take notes one event. The file comes open; it is only looked at. What this process opened itself, on its way into a
// jail, is no event.
func (w *Watch) take(group int, mask uint64, file, pid int) {
	if mask&unix.FAN_Q_OVERFLOW != 0 {
		w.more = true
	}
	if file < 0 {
		return
	}
	defer unix.Close(file)
	if pid == os.Getpid() {
		return
	}
	if len(w.paths) >= MaxPaths {
		w.more = true
		if w.armed { // enough: from here on the program pays nothing
			w.armed = unix.FanotifyMark(group, unix.FAN_MARK_FLUSH|unix.FAN_MARK_MOUNT, 0, unix.AT_FDCWD, "/") != nil
		}
		return
	}
	name, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(file))
	if err != nil {
		return
	}
	// A file that cannot be marked is told again; the list holds it once all the same.
	_ = unix.FanotifyMark(group, unix.FAN_MARK_ADD|unix.FAN_MARK_IGNORED_MASK|unix.FAN_MARK_IGNORED_SURV_MODIFY, unix.FAN_OPEN, file, "")
	if name = strings.TrimSuffix(name, " (deleted)"); !slices.Contains(w.paths, name) {
		w.paths = append(w.paths, strings.ToValidUTF8(name, "\uFFFD"))
	}
}
