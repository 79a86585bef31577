package stage

import (
	"errors"
	"os"
	"runtime"
	"strconv"
	"syscall"

	"casemate/internal/walls"
)

// init is the early dispatch: in a re-executed stage it never returns, so nothing of the rest of the binary is
// initialised. It is the one init of the project. Go initialises ready packages in order of their paths (Go spec,
// "Program initialization"), and this one is ready as soon as os is: nothing it imports may need more.
func init() {
	if len(os.Args) == 1 && os.Args[0] == Name {
		runtime.LockOSThread() // capabilities, seccomp and Landlock belong to a thread: this one becomes the program
		stage()
		os.Exit(125)
	}
}

// stager is the state of one stage: what it was told, and what held so far.
type stager struct {
	*Order
	control int
	out     Outcome
	sockets []int
	procFD  int
	procErr error
	host    int // the old root, of a stage that waits
}

// stage runs inside the new namespaces, as the last Go code before the program. It returns only on failure.
func stage() {
	s := &stager{Order: new(Order)}
	if err := s.receive(); err != nil {
		return // the node is gone or never was: nobody to tell
	}
	up := s.build
	if !walls.Up {
		up = s.open
	}
	err := up()
	var e *stageError
	if errors.As(err, &e) {
		s.out.Wall = e.wall
	}
	if err != nil {
		s.out.Fatal = err.Error()
	}
	s.report(nil)
}

// stageError is a failure that a wall is to blame for.
type stageError struct {
	wall string
	err  error
}

func (e *stageError) Error() string { return e.wall + ": " + e.err.Error() }
func (e *stageError) Unwrap() error { return e.err }

// build puts up the walls in the order in which they depend on each other and then becomes the program.
func (s *stager) build() error {
	steps := []struct {
		wall string
		must bool // nothing can be jailed without it
		do   func() error
	}{
		{WallNamespaces, true, s.separate},
		{WallCgroupNS, false, func() error { return syscall.Unshare(cloneNewCgroup) }},
		{WallNet, true, s.network},
		{WallRoot, true, s.root},
		{WallProc, false, s.proc},
		{WallRoot, true, s.wait},
		{WallRoot, true, s.seal},
		{WallNoNewPrivs, true, func() error { return prctl(prNoNewPrivs, 1) }},
		{WallLandlock, false, s.landlock},
		{WallCaps, true, s.bound},
		{WallUID, true, s.become},
		{WallCaps, true, dropCaps},
	}
	for _, step := range steps {
		err := errors.New("broken for a test")
		if !s.broke(step.wall) {
			err = step.do()
		}
		switch {
		case err == nil:
			s.held(step.wall)
		case step.must:
			return &stageError{step.wall, err}
		default:
			s.out.Missing = append(s.out.Missing, Missing{step.wall, err.Error()})
		}
	}
	if len(s.out.Missing) > 0 && !s.AllowWeak {
		return errors.New("walls missing")
	}
	return s.enter()
}

func (s *stager) broke(wall string) bool {
	for _, b := range s.Broken {
		if b == wall {
			return true
		}
	}
	return false
}

func (s *stager) held(wall string) {
	if !walls.Up {
		return
	}
	for _, h := range s.out.Held {
		if h == wall {
			return
		}
	}
	s.out.Held = append(s.out.Held, wall)
}

// receive takes the order from descriptor 0. The control socket then goes above everything that is the program's.
func (s *stager) receive() error {
	control, err := call(syscall.SYS_FCNTL, 0, syscall.F_DUPFD_CLOEXEC, 3+MaxPassed)
	if err != nil {
		return err
	}
	s.control = control
	buf := make([]byte, MaxOrder)
	n, err := syscall.Read(control, buf)
	if err != nil {
		return err
	}
	return s.Order.Decode(buf[:n])
}

// report sends the Outcome, and with it the descriptors that the node shall have.
func (s *stager) report(fds []int) error {
	var rights []byte
	if len(fds) > 0 {
		rights = syscall.UnixRights(fds...)
	}
	return syscall.Sendmsg(s.control, s.out.Encode(), rights, nil, 0)
}

// separate checks that the namespaces are really new and gives them a name. The clone made them.
func (s *stager) separate() error {
	if os.Getpid() != 1 {
		return errors.New("pid " + strconv.Itoa(os.Getpid()) + " in an own pid namespace")
	}
	syscall.Umask(0) // the modes of the new root are as written here, whatever the node's mask is
	if err := syscall.Sethostname([]byte(s.Hostname)); err != nil {
		return doing("setting the host name", err)
	}
	return syscall.Setdomainname([]byte("(none)"))
}

// enter sets the limits, closes what is left, puts up the system call filter and becomes the program.
//
// Danger: once the filter is up this thread makes raw system calls only, because the Go runtime may need one that the
// program does not get. So everything the last steps need is made before.
func (s *stager) enter() error {
	if walls.Up {
		if err := setLimits(s.Limits); err != nil {
			return err
		}
	}
	if err := syscall.Chdir(s.Dir); err != nil {
		return doing("entering "+s.Dir, err)
	}
	null, err := syscall.Open("/dev/null", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return doing("opening /dev/null", err)
	}
	if err := syscall.Dup3(null, 0, 0); err != nil {
		return err
	}
	if _, err := call(sysCloseRange, uintptr(3+s.Files), 1<<32-1, closeRangeCloexec); err != nil {
		return doing("closing descriptors", err)
	}
	// The node's death must end the jail; changing credentials has cleared the signal that the clone set.
	if err := prctl(prPdeathsig, uintptr(syscall.SIGKILL)); err != nil {
		return doing("tying the jail to the node", err)
	}
	syscall.Umask(0o022)
	p, err := newProgram(s.Order, s.control)
	if err != nil {
		return err
	}
	if !s.Root {
		s.held(WallUserNS)
	}
	s.held(WallSeccomp)
	if s.Notify {
		s.held(WallNotify)
	}
	if err := s.report(s.sockets); err != nil {
		return err
	}
	wall := WallSeccomp
	if s.Notify {
		wall = WallNotify
	}
	if s.broke(wall) || s.broke(WallSeccomp) {
		return &stageError{wall, errors.New("broken for a test")}
	}
	if err := p.filterAndExec(); err != nil {
		return &stageError{wall, err}
	}
	return nil
}
