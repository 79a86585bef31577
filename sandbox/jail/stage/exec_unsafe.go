package stage

import (
	"errors"
	"strconv"
	"syscall"
	"unsafe"
)

// program holds everything the last raw system calls need, so that nothing is allocated between filter and exec.
type program struct {
	path    *byte
	argv    []*byte
	env     []*byte
	filter  []syscall.SockFilter
	prog    syscall.SockFprog
	control uintptr
	notify  bool
	message [5]byte
}

func newProgram(o *Order, control int) (*program, error) {
	p := &program{control: uintptr(control), notify: o.Notify}
	var err error
	if p.path, err = syscall.BytePtrFromString(o.Argv[0]); err != nil {
		return nil, err
	}
	if p.argv, err = syscall.SlicePtrFromStrings(o.Argv); err != nil {
		return nil, err
	}
	if p.env, err = syscall.SlicePtrFromStrings(o.Env); err != nil {
		return nil, err
	}
	const size = int(unsafe.Sizeof(syscall.SockFilter{}))
	n := len(o.Filter) / size
	if n == 0 || n*size != len(o.Filter) || n > 1<<16-1 {
		return nil, errors.New("system call filter of " + strconv.Itoa(len(o.Filter)) + " bytes")
	}
	p.filter = make([]syscall.SockFilter, n)
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&p.filter[0])), len(o.Filter)), o.Filter)
	p.prog = syscall.SockFprog{Len: uint16(len(p.filter)), Filter: &p.filter[0]}
	return p, nil
}

// filterAndExec puts up the filter for this thread and becomes the program. It returns an error only when the filter
// did not go up; when the exec fails it tells the node itself and ends the process.
func (p *program) filterAndExec() error {
	fd, errno := p.install()
	if errno != 0 {
		return doing("installing the system call filter", errno)
	}
	if p.notify {
		p.send(TagNotifier, uint32(fd))
		// The node answers with one byte when it holds the descriptor, or closes the socket.
		n, _, errno := syscall.RawSyscall(syscall.SYS_READ, p.control, uintptr(unsafe.Pointer(&p.message[0])), 1)
		for errno == syscall.EINTR {
			n, _, errno = syscall.RawSyscall(syscall.SYS_READ, p.control, uintptr(unsafe.Pointer(&p.message[0])), 1)
		}
		if errno != 0 || n != 1 {
			syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 125, 0, 0)
		}
	}
	_, _, errno = syscall.RawSyscall(syscall.SYS_EXECVE, uintptr(unsafe.Pointer(p.path)),
		uintptr(unsafe.Pointer(&p.argv[0])), uintptr(unsafe.Pointer(&p.env[0])))
	p.send(TagFailed, uint32(errno))
	for {
		syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 125, 0, 0)
	}
}

func (p *program) install() (uintptr, syscall.Errno) {
	var flags uintptr
	if p.notify {
		flags = secNewListener | secWaitKillable
	}
	const mode = secModeFilter
	fd, _, errno := syscall.RawSyscall(sysSeccomp, mode, flags, uintptr(unsafe.Pointer(&p.prog)))
	if errno == syscall.EINVAL && p.notify { // WAIT_KILLABLE_RECV is Linux 5.19
		flags = secNewListener
		fd, _, errno = syscall.RawSyscall(sysSeccomp, mode, flags, uintptr(unsafe.Pointer(&p.prog)))
	}
	return fd, errno
}

func (p *program) send(tag byte, value uint32) {
	p.message[0] = tag
	p.message[1], p.message[2], p.message[3], p.message[4] = byte(value), byte(value>>8), byte(value>>16), byte(value>>24)
	syscall.RawSyscall(syscall.SYS_WRITE, p.control, uintptr(unsafe.Pointer(&p.message[0])), uintptr(len(p.message)))
}
