package stage

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// bound takes every capability out of the bounding and ambient sets and locks the bits that would give one back.
func (s *stager) bound() error {
	last := 63
	for c := 0; c <= last; c++ {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0); errors.Is(err, unix.EINVAL) {
			break // past the kernel's last capability
		} else if err != nil {
			return fmt.Errorf("dropping capability %d: %w", c, err)
		}
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("clearing ambient capabilities: %w", err)
	}
	// SECBIT_NOROOT, NO_SETUID_FIXUP, KEEP_CAPS_LOCKED, NO_CAP_AMBIENT_RAISE and the locks (capabilities(7)).
	const bits = 1<<0 | 1<<1 | 1<<2 | 1<<3 | 1<<5 | 1<<6 | 1<<7
	if err := unix.Prctl(unix.PR_SET_SECUREBITS, bits, 0, 0, 0); err != nil {
		return fmt.Errorf("locking securebits: %w", err)
	}
	return nil
}

// become switches to the jail's own uid. Raw calls: this thread alone becomes the program.
func (s *stager) become() error {
	if !s.Root {
		if unix.Geteuid() != UID {
			return fmt.Errorf("uid %d inside", unix.Geteuid())
		}
		return nil
	}
	uid := uintptr(s.UID)
	if uid == 0 {
		return errors.New("uid 0")
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, 0, 0, 0); errno != 0 {
		return fmt.Errorf("dropping groups: %w", errno)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESGID, uid, uid, uid); errno != 0 {
		return fmt.Errorf("switching gid: %w", errno)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uid, uid, uid); errno != 0 {
		return fmt.Errorf("switching uid: %w", errno)
	}
	return nil
}

// dropCaps empties the permitted, effective and inheritable sets and looks at the kernel's own account of it.
func dropCaps() error {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capset(&hdr, &data[0]); err != nil {
		return err
	}
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return err
	}
	for _, d := range data {
		if d.Effective|d.Permitted|d.Inheritable != 0 {
			return errors.New("capabilities left")
		}
	}
	return nil
}

// setLimits lowers resource limits; a hard limit that is lower already stays. Raw, because Go's own Setrlimit
// remembers the descriptor limit and puts it back at exec.
func setLimits(l Limits) error {
	set := []struct {
		resource int
		value    uint64
	}{
		{unix.RLIMIT_CORE, 1}, // 1, not 0: the value that also keeps the host's core_pattern program from being run (core(5))
		{unix.RLIMIT_NOFILE, uint64(l.Files)},
		{unix.RLIMIT_NPROC, uint64(l.Pids)},
		{unix.RLIMIT_FSIZE, uint64(l.FileBytes)},
		{unix.RLIMIT_MEMLOCK, 64 << 10},
		{unix.RLIMIT_MSGQUEUE, 0},
		{unix.RLIMIT_SIGPENDING, 1024},
		{unix.RLIMIT_NICE, 0},
		{unix.RLIMIT_RTPRIO, 0},
		{unix.RLIMIT_DATA, uint64(l.DataBytes)},
	}
	for _, r := range set {
		if r.resource == unix.RLIMIT_DATA && r.value == 0 {
			continue
		}
		var now unix.Rlimit
		if err := prlimit(r.resource, nil, &now); err != nil {
			return fmt.Errorf("reading limit %d: %w", r.resource, err)
		}
		value := min(r.value, now.Max)
		if err := prlimit(r.resource, &unix.Rlimit{Cur: value, Max: value}, nil); err != nil {
			return fmt.Errorf("setting limit %d to %d: %w", r.resource, value, err)
		}
	}
	return nil
}

func prlimit(resource int, set, get *unix.Rlimit) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_PRLIMIT64, 0, uintptr(resource), uintptr(unsafe.Pointer(set)),
		uintptr(unsafe.Pointer(get)), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// The Landlock access rights (landlock(7)) by what a part of the tree is for.
const (
	landlockRead = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	landlockAll  = 1<<13 - 1 // the first version's thirteen rights
	landlockFile = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_READ_FILE |
		unix.LANDLOCK_ACCESS_FS_TRUNCATE
)

// landlock puts the second wall around the files: read everywhere, run from executable mounts, write to /tmp, the
// writable mounts and the devices. No abstract socket and no signal out of the jail, where the kernel knows scopes.
func (s *stager) landlock() error {
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return errno
	}
	attr := unix.LandlockRulesetAttr{Handled_access_fs: landlockAll}
	if abi >= 2 {
		attr.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_REFER
	}
	if abi >= 3 {
		attr.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	if abi >= 5 {
		attr.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	}
	if abi >= 6 {
		attr.Scoped = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL
	}
	ruleset, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr), 0)
	if errno != 0 {
		return errno
	}
	defer unix.Close(int(ruleset))
	writable := attr.Handled_access_fs &^ (unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV)
	rules := map[string]uint64{"/": landlockRead, "/tmp": writable}
	for _, name := range devices {
		rules["/dev/"+name] = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE
	}
	for _, m := range s.Mounts {
		rights := uint64(landlockRead)
		if m.Writable {
			rights = writable &^ unix.LANDLOCK_ACCESS_FS_EXECUTE
		}
		if m.Exec {
			rights |= unix.LANDLOCK_ACCESS_FS_EXECUTE
		}
		rules[m.Target] = rights
	}
	for target, rights := range rules {
		if err := addRule(int(ruleset), target, rights, attr.Handled_access_fs); err != nil {
			return fmt.Errorf("rule for %s: %w", target, err)
		}
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_LANDLOCK_RESTRICT_SELF, ruleset, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

func addRule(ruleset int, target string, rights, handled uint64) error {
	fd, err := unix.Open(target, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		rights &= landlockFile // a right over directories on a file is an error
	}
	attr := unix.LandlockPathBeneathAttr{Allowed_access: rights & handled, Parent_fd: int32(fd)}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset), unix.LANDLOCK_RULE_PATH_BENEATH,
		uintptr(unsafe.Pointer(&attr)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
