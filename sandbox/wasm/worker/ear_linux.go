package worker

import (
	"fmt"
	"io"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// unseen is how long a read of the worker's socket stays in the kernel without the Go scheduler's knowledge.
const unseen = 5 * time.Millisecond

// Attend bounds every read of a worker's end of its socket. The node has to call it before the worker reads: the jail has no
// call for it.
func Attend(fd int) error {
	limit := unix.NsecToTimeval(unseen.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
		return fmt.Errorf("bounding the reads of a worker: %w", err)
	}
	return nil
}

// ear hears the node. The scheduler is not told of a read, which ends after a moment: a thread that is known to be in a system
// call has its processor taken, and the runtime's watcher then runs every 20 microseconds, which was a third of a worker's
// CPU. When nothing came for that moment there is time, and the wait is one that the scheduler knows. An ear that was not
// attended holds the collector up for as long as nothing comes.
type ear struct {
	conn  socket
	poll  int  // of epoll; 0: there was no time yet
	hurry bool // what has not come by now is an error
}

// Read implements io.Reader.
func (e *ear) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(e.conn), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
		switch {
		case errno == unix.EINTR:
		case errno == unix.EAGAIN && !e.hurry:
			if err := e.wait(); err != nil {
				return 0, err
			}
		case errno != 0:
			return 0, fmt.Errorf("reading from the node: %w", errno)
		case n == 0:
			return 0, io.EOF
		default:
			return int(n), nil
		}
	}
}

// wait returns when there is something to read, or the node is gone; or for nothing.
func (e *ear) wait() (err error) {
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT} // once: it costs the node nothing while events come fast
	change := unix.EPOLL_CTL_MOD
	if e.poll == 0 {
		if e.poll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
			return fmt.Errorf("waiting for the node: %w", err)
		}
		change = unix.EPOLL_CTL_ADD
	}
	if err = unix.EpollCtl(e.poll, change, int(e.conn), &event); err != nil {
		return fmt.Errorf("waiting for the node: %w", err)
	}
	// Not unix.EpollWait: the jail has the newer call alone.
	_, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(e.poll), uintptr(unsafe.Pointer(&event)), 1, ^uintptr(0), 0, 0)
	if errno != 0 && errno != unix.EINTR {
		return fmt.Errorf("waiting for the node: %w", errno)
	}
	return nil
}

// close gives the descriptor of the long wait back.
func (e *ear) close() {
	if e.poll != 0 {
		_ = unix.Close(e.poll) // nothing was written to it
	}
}
