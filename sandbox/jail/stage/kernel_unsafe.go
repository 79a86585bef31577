package stage

import (
	"syscall"
	"unsafe"
)

// The parts of the kernel's interface that package syscall does not have. golang.org/x/sys has them all, but its path
// sorts late: waiting for it would wake up a tenth of the binary before the dispatch. Numbers from 424 on are the same on
// every architecture (asm-generic/unistd.h); the values are those of the headers named in brackets.
const (
	sysOpenTree     = 428
	sysMoveMount    = 429
	sysFsopen       = 430
	sysFsconfig     = 431
	sysFsmount      = 432
	sysCloseRange   = 436
	sysOpenat2      = 437
	sysMountSetattr = 442
	sysCreateRules  = 444 // landlock_create_ruleset
	sysAddRule      = 445
	sysRestrictSelf = 446
)

const (
	atFdcwd     = -100     // [linux/fcntl.h]
	atEmptyPath = 0x1000   // likewise
	oPath       = 0x200000 // [asm-generic/fcntl.h]

	cloneNewCgroup    = 0x02000000 // [linux/sched.h]
	closeRangeCloexec = 1 << 2     // [linux/close_range.h]

	openTreeClone   = 1 // [linux/mount.h]
	moveFromFD      = 4 // MOVE_MOUNT_F_EMPTY_PATH
	attrReadOnly    = 1 // MOUNT_ATTR_RDONLY
	attrNoSuid      = 2
	attrNoDev       = 4
	attrNoExec      = 8
	resolveInRoot   = 0x10 // RESOLVE_IN_ROOT [linux/openat2.h]
	fsCloexec       = 1    // FSOPEN_CLOEXEC, FSMOUNT_CLOEXEC
	fsconfigString  = 1
	fsconfigCreate  = 6
	prPdeathsig     = 1 // [linux/prctl.h]
	prCapbsetDrop   = 24
	prSecurebits    = 28
	prNoNewPrivs    = 38
	prCapAmbient    = 47
	prAmbientClear  = 4
	capVersion3     = 0x20080522 // [linux/capability.h]
	secModeFilter   = 1          // [linux/seccomp.h]
	secNewListener  = 1 << 3
	secWaitKillable = 1 << 5
)

// mountAttr is struct mount_attr [linux/mount.h].
type mountAttr struct{ set, clr, propagation, userns uint64 }

// call is a system call by its number; r is its result.
func call(number uintptr, a ...uintptr) (r int, err error) {
	var args [6]uintptr
	copy(args[:], a)
	r1, _, errno := syscall.Syscall6(number, args[0], args[1], args[2], args[3], args[4], args[5])
	if errno != 0 {
		return -1, errno
	}
	return int(r1), nil
}

// withPath is call with a path as its second argument, as the calls over mounts have it.
func withPath(number uintptr, dir int, path string, rest ...uintptr) (int, error) {
	p, err := syscall.BytePtrFromString(path)
	if err != nil {
		return -1, err
	}
	var args [4]uintptr
	copy(args[:], rest)
	r, _, errno := syscall.Syscall6(number, uintptr(dir), uintptr(unsafe.Pointer(p)), args[0], args[1], args[2], args[3])
	if errno != 0 {
		return -1, errno
	}
	return int(r), nil
}

func prctl(op int, args ...uintptr) error {
	var a [4]uintptr
	copy(a[:], args)
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, uintptr(op), a[0], a[1], a[2], a[3], 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func openTree(path string) (int, error) {
	return withPath(sysOpenTree, atFdcwd, path, openTreeClone|syscall.O_CLOEXEC)
}

func setMountAttr(dir int, path string, flags int, attr *mountAttr) error {
	p, err := syscall.BytePtrFromString(path)
	if err != nil {
		return err
	}
	_, _, errno := syscall.Syscall6(sysMountSetattr, uintptr(dir), uintptr(unsafe.Pointer(p)), uintptr(flags),
		uintptr(unsafe.Pointer(attr)), unsafe.Sizeof(*attr), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func moveMount(tree int, target string) error {
	empty, err := syscall.BytePtrFromString("")
	if err != nil {
		return err
	}
	to, err := syscall.BytePtrFromString(target)
	if err != nil {
		return err
	}
	cwd := atFdcwd
	_, _, errno := syscall.Syscall6(sysMoveMount, uintptr(tree), uintptr(unsafe.Pointer(empty)), uintptr(cwd),
		uintptr(unsafe.Pointer(to)), moveFromFD, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// newMount makes a detached file system of a kind with its settings.
func newMount(kind string, attr uintptr, settings ...[2]string) (int, error) {
	name, err := syscall.BytePtrFromString(kind)
	if err != nil {
		return -1, err
	}
	r, _, errno := syscall.Syscall(sysFsopen, uintptr(unsafe.Pointer(name)), fsCloexec, 0)
	if errno != 0 {
		return -1, doing("opening "+kind, errno)
	}
	fs := int(r)
	defer syscall.Close(fs)
	for _, s := range settings {
		key, err := syscall.BytePtrFromString(s[0])
		if err != nil {
			return -1, err
		}
		value, err := syscall.BytePtrFromString(s[1])
		if err != nil {
			return -1, err
		}
		_, _, errno := syscall.Syscall6(sysFsconfig, uintptr(fs), fsconfigString, uintptr(unsafe.Pointer(key)),
			uintptr(unsafe.Pointer(value)), 0, 0)
		if errno != 0 {
			return -1, doing("setting "+kind+" "+s[0]+"="+s[1], errno)
		}
	}
	if _, err := call(sysFsconfig, uintptr(fs), fsconfigCreate); err != nil {
		return -1, doing("making "+kind, err)
	}
	fd, err := call(sysFsmount, uintptr(fs), fsCloexec, attr)
	if err != nil {
		return -1, doing("mounting "+kind, err)
	}
	return fd, nil
}

// interfaceFlags sets an interface's flags (netdevice(7)).
func interfaceFlags(fd int, name string, flags uint16) error {
	var request struct { // struct ifreq
		name  [syscall.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}
	copy(request.name[:syscall.IFNAMSIZ-1], name)
	request.flags = flags
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&request)))
	if errno != 0 {
		return errno
	}
	return nil
}

// routeRequest is a netlink message that makes every address of a family local (rtnetlink(7)).
type routeRequest struct {
	syscall.NlMsghdr
	syscall.RtMsg
	syscall.RtAttr
	device uint32
}

func (r *routeRequest) bytes() []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(r)), unsafe.Sizeof(*r))
}

// netlinkError reads the answer to a request.
func netlinkError(answer []byte) (errno int32, ok bool) {
	const size = syscall.SizeofNlMsghdr + syscall.SizeofNlMsgerr
	var head struct {
		syscall.NlMsghdr
		syscall.NlMsgerr
	}
	if copy(unsafe.Slice((*byte)(unsafe.Pointer(&head)), size), answer) < size || head.NlMsghdr.Type != syscall.NLMSG_ERROR {
		return 0, false
	}
	return head.Error, true
}
