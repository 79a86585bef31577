package stage

import (
	"encoding/binary"
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// program holds everything the last raw system calls need, so that nothing is allocated between filter and exec.
type program struct {
	path    *byte
	argv    []*byte
	env     []*byte
	filter  []unix.SockFilter
	prog    unix.SockFprog
	control uintptr
	notify  bool
	message [5]byte
}

func newProgram(o *Order, control int) (*program, error) {
	p := &program{control: uintptr(control), notify: o.Notify}
	var err error
	if p.path, err = unix.BytePtrFromString(o.Argv[0]); err != nil {
		return nil, err
	}
	if p.argv, err = syscall.SlicePtrFromStrings(o.Argv); err != nil {
		return nil, err
	}
	if p.env, err = syscall.SlicePtrFromStrings(o.Env); err != nil {
		return nil, err
	}
	const size = int(unsafe.Sizeof(unix.SockFilter{}))
	if len(o.Filter) == 0 || len(o.Filter)%size != 0 {
		return nil, fmt.Errorf("system call filter of %d bytes", len(o.Filter))
	}
	p.filter = make([]unix.SockFilter, len(o.Filter)/size)
	if _, err := binary.Decode(o.Filter, binary.NativeEndian, p.filter); err != nil {
		return nil, err
	}
	p.prog = unix.SockFprog{Len: uint16(len(p.filter)), Filter: &p.filter[0]}
	return p, nil
}

// filterAndExec puts up the filter for this thread and becomes the program. It returns an error only when the filter
// did not go up; when the exec fails it tells the node itself and ends the process.
func (p *program) filterAndExec() error {
	fd, errno := p.install()
	if errno != 0 {
		return fmt.Errorf("installing the system call filter: %w", errno)
	}
	if p.notify {
		p.send(TagNotifier, uint32(fd))
		// The node answers with one byte when it holds the descriptor, or closes the socket.
		n, _, errno := unix.RawSyscall(unix.SYS_READ, p.control, uintptr(unsafe.Pointer(&p.message[0])), 1)
		for errno == unix.EINTR {
			n, _, errno = unix.RawSyscall(unix.SYS_READ, p.control, uintptr(unsafe.Pointer(&p.message[0])), 1)
		}
		if errno != 0 || n != 1 {
			unix.RawSyscall(unix.SYS_EXIT_GROUP, 125, 0, 0)
		}
	}
	_, _, errno = unix.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(p.path)),
		uintptr(unsafe.Pointer(&p.argv[0])), uintptr(unsafe.Pointer(&p.env[0])))
	p.send(TagFailed, uint32(errno))
	for {
		unix.RawSyscall(unix.SYS_EXIT_GROUP, 125, 0, 0)
	}
}

func (p *program) install() (uintptr, unix.Errno) {
	var flags uintptr
	if p.notify {
		flags = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
	}
	const mode = unix.SECCOMP_SET_MODE_FILTER
	fd, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, mode, flags, uintptr(unsafe.Pointer(&p.prog)))
	if errno == unix.EINVAL && p.notify { // WAIT_KILLABLE_RECV is Linux 5.19
		flags = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER
		fd, _, errno = unix.RawSyscall(unix.SYS_SECCOMP, mode, flags, uintptr(unsafe.Pointer(&p.prog)))
	}
	return fd, errno
}

func (p *program) send(tag byte, value uint32) {
	p.message[0] = tag
	p.message[1], p.message[2], p.message[3], p.message[4] = byte(value), byte(value>>8), byte(value>>16), byte(value>>24)
	unix.RawSyscall(unix.SYS_WRITE, p.control, uintptr(unsafe.Pointer(&p.message[0])), uintptr(len(p.message)))
}
