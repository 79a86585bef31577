package jail

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"casemate/sandbox/jail/calls"
)

// watcher answers the system calls that the filter hands over: those that may lead out (connect, sendto with an address,
// sendmsg, sendmmsg), the execution of programs, and those that are refused and worth a record.
//
// The record is best effort: a thread of the jail may change memory between our look and the kernel's. What a wall
// depends on is never read there: a refusal does not look; a connect let through meets the node's own listeners or
// nobody; a second program let through meets Landlock, which knows the files themselves.
type watcher struct {
	fd    int
	wake  [2]int // a pipe; closing its write end ends run
	heard map[int32]calls.Call
	begun bool // the stage has become the program

	mu        sync.Mutex // over the rest
	own       map[netip.Addr]bool
	onConnect func(network, address string) bool
	onCall    func(Call)
	programs  *programs
	trace     func(name string)
}

// newWatcher serves a notifier as a spec says.
func newWatcher(notifier *os.File, s *Spec, heard map[int32]calls.Call) *watcher {
	w := &watcher{fd: int(notifier.Fd()), heard: heard}
	w.follow(s)
	if err := unix.Pipe2(w.wake[:], unix.O_CLOEXEC); err != nil {
		w.wake = [2]int{-1, -1} // poll ignores it; the notifier's own hang-up still ends run
	}
	return w
}

// follow answers as a spec says from now on. Addresses of Listen, loopback and local sockets pass; others are asked about.
func (w *watcher) follow(s *Spec) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.own, w.onConnect, w.onCall, w.programs = map[netip.Addr]bool{}, s.OnConnect, s.OnCall, s.programs
	w.trace = s.trace
	for _, l := range s.Listen {
		if _, addr, err := parseListen(l); err == nil {
			w.own[addr.Addr().Unmap()] = true
		}
	}
	if w.onConnect == nil {
		w.onConnect = func(string, string) bool { return false }
	}
	if w.onCall == nil {
		w.onCall = func(Call) {}
	}
}

// notification and response are struct seccomp_notif and seccomp_notif_resp (linux/seccomp.h).
type notification struct {
	id    uint64
	pid   uint32
	flags uint32
	nr    int32
	arch  uint32
	ip    uint64
	args  [6]uint64
}

type response struct {
	id    uint64
	value int64
	errno int32
	flags uint32
}

// run answers until the jail has ended or stop was called.
func (w *watcher) run() {
	defer unix.Close(w.wake[0])
	fds := []unix.PollFd{{Fd: int32(w.fd), Events: unix.POLLIN}, {Fd: int32(w.wake[0]), Events: unix.POLLIN}}
	p := pace{left: callBurst, at: time.Now()}
	for {
		_, err := unix.Poll(fds, -1)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		// POLLHUP on the notifier: the last process with this filter has gone.
		if err != nil || fds[1].Revents != 0 || fds[0].Revents&unix.POLLIN == 0 {
			return
		}
		if w.traces() {
			p.left = callBurst
		}
		if !p.wait(w.wake[0]) {
			return
		}
		var n notification
		if w.ioctl(unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&n)) != nil {
			continue // the caller was killed in between
		}
		r := response{id: n.id, errno: -int32(w.answer(&n))}
		if r.errno == 0 {
			r.flags = unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE
		}
		w.ioctl(unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&r)) // ENOENT: killed in between
	}
}

// callBurst calls are looked at at once, and so many per second: each costs the node, not the jail, some 10 us of CPU.
// A jail that connects without end waits for itself.
const callBurst = 2000

// pace is a token bucket of one goroutine.
type pace struct {
	left float64
	at   time.Time
}

// wait takes a token, waiting for one when there is none; false when wake became readable meanwhile.
func (p *pace) wait(wake int) bool {
	now := time.Now()
	p.left = min(callBurst, p.left+now.Sub(p.at).Seconds()*callBurst) - 1
	p.at = now
	if p.left >= 0 {
		return true
	}
	fds := []unix.PollFd{{Fd: int32(wake), Events: unix.POLLIN}}
	for end := now.Add(time.Duration(-p.left / callBurst * float64(time.Second))); ; {
		ms := int(time.Until(end)/time.Millisecond) + 1
		if ms <= 0 {
			return true
		}
		n, err := unix.Poll(fds, ms)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return false
		default:
			return n == 0
		}
	}
}

func (w *watcher) stop() {
	unix.Close(w.wake[1])
}

func (w *watcher) ioctl(request uint, arg unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(w.fd), uintptr(request), uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}

// answer decides on a call: 0 lets it go on.
func (w *watcher) answer(n *notification) unix.Errno {
	w.mu.Lock()
	defer w.mu.Unlock()
	call, ok := w.heard[n.nr]
	switch {
	case !ok:
		return unix.EPERM
	case call.Traced:
		w.trace(call.Name)
		return 0
	case call.Errno == 0 && call.Name == "execve":
		return w.execute(n)
	case call.Errno == 0:
		if network, address, foreign := w.look(n, call.Name); foreign && !w.onConnect(network, address) {
			return unix.ECONNREFUSED
		}
		return 0
	}
	if target, tell := w.about(n, call.Name); tell {
		w.onCall(Call{Name: call.Name, Target: target})
	}
	return unix.Errno(call.Errno)
}

// traces says that a test counts calls: nobody waits then.
func (w *watcher) traces() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.trace != nil
}

// memory opens the memory of the thread that called. The caller closes it. nil when it cannot be read, or nobody waits
// for an answer any more.
func (w *watcher) memory(n *notification) *os.File {
	mem, err := os.Open("/proc/" + strconv.Itoa(int(n.pid)) + "/mem")
	if err != nil {
		return nil
	}
	// The pid may have been reused before the open; a notification still valid after it says it was not.
	if w.ioctl(unix.SECCOMP_IOCTL_NOTIF_ID_VALID, unsafe.Pointer(&n.id)) != nil {
		mem.Close()
		return nil
	}
	return mem
}

// look reads where a call wants to go. A call whose memory cannot be read is foreign: it is refused.
func (w *watcher) look(n *notification, name string) (network, address string, foreign bool) {
	mem := w.memory(n)
	if mem == nil {
		return "unknown", "unreadable", true
	}
	defer mem.Close()
	switch name {
	case "connect":
		return w.judge(mem, "connect", n.args[1], n.args[2])
	case "sendto":
		return w.judge(mem, "send", n.args[4], n.args[5])
	case "sendmsg":
		return w.message(mem, n.args[1])
	case "sendmmsg":
		const maxMessages = 1024 // the kernel takes no more at once (UIO_MAXIOV)
		const size = 64          // struct mmsghdr: a msghdr of 56 bytes and a length, padded
		for i := range min(n.args[2], maxMessages) {
			if network, address, foreign = w.message(mem, n.args[1]+i*size); foreign {
				return network, address, true
			}
		}
		return "", "", false
	}
	return "unknown", "call " + name, true
}

// message judges a struct msghdr: the name's pointer and length are its first two fields.
func (w *watcher) message(mem *os.File, at uint64) (network, address string, foreign bool) {
	var head [12]byte
	if _, err := mem.ReadAt(head[:], int64(at)); err != nil {
		return "unknown", "unreadable", true
	}
	name, size := binary.NativeEndian.Uint64(head[0:]), binary.NativeEndian.Uint32(head[8:])
	if name == 0 || size == 0 {
		return "", "", false
	}
	return w.judge(mem, "send", name, uint64(size))
}

func (w *watcher) judge(mem *os.File, network string, at, size uint64) (string, string, bool) {
	raw := make([]byte, min(size, unix.SizeofSockaddrAny))
	if _, err := mem.ReadAt(raw, int64(at)); err != nil {
		return network, "unreadable", true
	}
	address, local := parseSockaddr(raw)
	if address.IsValid() {
		ip := address.Addr()
		local = ip.IsLoopback() || ip.IsUnspecified() || w.own[ip]
	}
	return network, address.String(), !local
}

// parseSockaddr reads a struct sockaddr. local is true for the families that cannot leave the jail anyway and for
// what is too short to be an address: the kernel refuses those itself.
func parseSockaddr(raw []byte) (address netip.AddrPort, local bool) {
	if len(raw) < 2 {
		return address, true
	}
	switch binary.NativeEndian.Uint16(raw) {
	case unix.AF_INET:
		if len(raw) < 8 {
			return address, true
		}
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(raw[4:8])), binary.BigEndian.Uint16(raw[2:])), false
	case unix.AF_INET6:
		if len(raw) < 24 {
			return address, true
		}
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(raw[8:24])).Unmap(), binary.BigEndian.Uint16(raw[2:])), false
	}
	return address, true
}
