package stage

import (
	"errors"
	"path"
	"strconv"
	"syscall"
	"unsafe"
)

// bound takes every capability out of the bounding and ambient sets and locks the bits that would give one back.
func (s *stager) bound() error {
	last := 63
	for c := 0; c <= last; c++ {
		if err := prctl(prCapbsetDrop, uintptr(c)); errors.Is(err, syscall.EINVAL) {
			break // past the kernel's last capability
		} else if err != nil {
			return doing("dropping capability "+strconv.Itoa(c), err)
		}
	}
	if err := prctl(prCapAmbient, prAmbientClear); err != nil {
		return doing("clearing ambient capabilities", err)
	}
	// SECBIT_NOROOT, NO_SETUID_FIXUP, KEEP_CAPS_LOCKED, NO_CAP_AMBIENT_RAISE and the locks (capabilities(7)).
	const bits = 1<<0 | 1<<1 | 1<<2 | 1<<3 | 1<<5 | 1<<6 | 1<<7
	if err := prctl(prSecurebits, bits); err != nil {
		return doing("locking securebits", err)
	}
	return nil
}

// become switches to the jail's own uid. Raw calls: this thread alone becomes the program.
func (s *stager) become() error {
	if !s.Root {
		if syscall.Geteuid() != UID {
			return errors.New("uid " + strconv.Itoa(syscall.Geteuid()) + " inside")
		}
		return nil
	}
	uid := uintptr(s.UID)
	if uid == 0 {
		return errors.New("uid 0")
	}
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETGROUPS, 0, 0, 0); errno != 0 {
		return doing("dropping groups", errno)
	}
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESGID, uid, uid, uid); errno != 0 {
		return doing("switching gid", errno)
	}
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, uid, uid, uid); errno != 0 {
		return doing("switching uid", errno)
	}
	return nil
}

// dropCaps empties the permitted, effective and inheritable sets and looks at the kernel's own account of it.
func dropCaps() error {
	head := struct { // struct __user_cap_header_struct; pid 0 is the caller
		version uint32
		pid     int32
	}{version: capVersion3}
	var data [2]struct{ effective, permitted, inheritable uint32 }
	for _, nr := range []uintptr{syscall.SYS_CAPSET, syscall.SYS_CAPGET} {
		if _, _, errno := syscall.RawSyscall(nr, uintptr(unsafe.Pointer(&head)), uintptr(unsafe.Pointer(&data)), 0); errno != 0 {
			return errno
		}
	}
	for _, d := range data {
		if d.effective|d.permitted|d.inheritable != 0 {
			return errors.New("capabilities left")
		}
	}
	return nil
}

// The resource limits that package syscall does not name [asm-generic/resource.h].
const (
	rlimitNproc      = 6
	rlimitMemlock    = 8
	rlimitSigpending = 11
	rlimitMsgqueue   = 12
	rlimitNice       = 13
	rlimitRtprio     = 14
)

// setLimits lowers resource limits; a hard limit that is lower already stays. Raw, because Go's own Setrlimit
// remembers the descriptor limit and puts it back at exec.
func setLimits(l Limits) error {
	set := []struct {
		resource int
		value    uint64
	}{
		{syscall.RLIMIT_CORE, 1}, // 1, not 0: the value that also keeps the host's core_pattern program from being run (core(5))
		{syscall.RLIMIT_NOFILE, uint64(l.Files)},
		{rlimitNproc, uint64(l.Pids)},
		{syscall.RLIMIT_FSIZE, uint64(l.FileBytes)},
		{rlimitMemlock, 64 << 10},
		{rlimitMsgqueue, 0},
		{rlimitSigpending, 1024},
		{rlimitNice, 0},
		{rlimitRtprio, 0},
		{syscall.RLIMIT_DATA, uint64(l.DataBytes)},
	}
	for _, r := range set {
		if r.resource == syscall.RLIMIT_DATA && r.value == 0 {
			continue
		}
		var now syscall.Rlimit
		if err := prlimit(r.resource, nil, &now); err != nil {
			return doing("reading limit "+strconv.Itoa(r.resource), err)
		}
		value := min(r.value, now.Max)
		if err := prlimit(r.resource, &syscall.Rlimit{Cur: value, Max: value}, nil); err != nil {
			return doing("setting limit "+strconv.Itoa(r.resource)+" to "+strconv.FormatUint(value, 10), err)
		}
	}
	return nil
}

func prlimit(resource int, set, get *syscall.Rlimit) error {
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, 0, uintptr(resource), uintptr(unsafe.Pointer(set)),
		uintptr(unsafe.Pointer(get)), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// The Landlock access rights (landlock(7)) by what a part of the tree is for.
const (
	rightExecute    = 1 << 0
	rightWriteFile  = 1 << 1
	rightReadFile   = 1 << 2
	rightReadDir    = 1 << 3
	rightMakeChar   = 1 << 6
	rightMakeBlock  = 1 << 11
	rightRefer      = 1 << 13
	rightTruncate   = 1 << 14
	rightIoctl      = 1 << 15
	landlockRead    = rightReadFile | rightReadDir
	landlockAll     = 1<<13 - 1 // the first version's thirteen rights
	landlockFile    = rightExecute | rightWriteFile | rightReadFile | rightTruncate
	landlockVersion = 1           // LANDLOCK_CREATE_RULESET_VERSION
	landlockBeneath = 1           // LANDLOCK_RULE_PATH_BENEATH
	landlockTCP     = 1<<0 | 1<<1 // bind and connect
	landlockScopes  = 1<<0 | 1<<1 // no abstract socket and no signal out
)

// rulesetAttr is struct landlock_ruleset_attr.
type rulesetAttr struct{ fs, net, scoped uint64 }

// landlock puts the second wall around the files: read everywhere, write to /tmp, the writable mounts and the devices,
// execute the order's programs, by the files themselves and not by their paths. No abstract socket and no signal out of the jail, where the kernel knows scopes
// (version 6). Version 7 adds nothing that restricts. TCP is left alone but for a mute program: Landlock knows ports, no
// addresses, and a function's own servers on loopback may have any port.
func (s *stager) landlock() error {
	abi, _, errno := syscall.Syscall(sysCreateRules, 0, 0, landlockVersion)
	if errno != 0 {
		return errno
	}
	attr := rulesetAttr{fs: landlockAll}
	if abi >= 2 {
		attr.fs |= rightRefer
	}
	if abi >= 3 {
		attr.fs |= rightTruncate
	}
	if abi >= 4 && s.Mute {
		attr.net = landlockTCP // no rule follows that would allow a port
	}
	if abi >= 5 {
		attr.fs |= rightIoctl
	}
	if abi >= 6 {
		attr.scoped = landlockScopes
	}
	ruleset, _, errno := syscall.Syscall(sysCreateRules, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr), 0)
	if errno != 0 {
		return errno
	}
	defer syscall.Close(int(ruleset))
	writable := attr.fs &^ (rightMakeChar | rightMakeBlock | rightIoctl)
	rules := map[string]uint64{"/": landlockRead, "/tmp": writable &^ rightExecute}
	for _, name := range devices {
		rules["/dev/"+name] = rightReadFile | rightWriteFile
	}
	for _, place := range s.Places {
		rules[path.Dir(place)] |= landlockRead // a rule on a mount point does not reach what is mounted there
	}
	for _, m := range s.Mounts {
		rights := uint64(landlockRead)
		if m.Writable {
			rights = writable &^ rightExecute
		}
		rules[m.Target] = rights
	}
	for _, p := range s.Programs {
		rules[p.Path] |= landlockRead | rightExecute
	}
	for target, rights := range rules {
		if err := s.addRule(int(ruleset), target, rights, attr.fs); err != nil {
			return doing("rule for "+target, err)
		}
	}
	if _, _, errno := syscall.RawSyscall(sysRestrictSelf, ruleset, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// is says whether a file is the pinned one, and unchanged.
func (p *Program) is(st *syscall.Stat_t) bool {
	return int64(st.Dev) == p.Device && int64(st.Ino) == p.Inode && st.Size == p.Size && st.Ctim.Nano() == p.Changed
}

func (s *stager) addRule(ruleset int, target string, rights, handled uint64) error {
	fd, err := syscall.Open(target, oPath|syscall.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		return err
	}
	for _, p := range s.Programs {
		if p.Path == target && p.Pinned && !p.is(&st) {
			return errors.New("the program was replaced after it was looked at")
		}
	}
	if st.Mode&syscall.S_IFMT != syscall.S_IFDIR {
		rights &= landlockFile // a right over directories on a file is an error
	}
	attr := struct { // struct landlock_path_beneath_attr, which the kernel packs: 12 bytes
		allowed uint64
		parent  int32
	}{rights & handled, int32(fd)}
	_, _, errno := syscall.Syscall6(sysAddRule, uintptr(ruleset), landlockBeneath,
		uintptr(unsafe.Pointer(&attr)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
