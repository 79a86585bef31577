package sandbox

import (
	"fmt"
	"net"
	"os"
	"path"
	"sync"
	"syscall"
	"time"

	"casemate"
	"casemate/lambda"
	"casemate/sandbox/first"
	"casemate/sandbox/jail"
)

// What a sandbox gets to end itself, as on Lambda: nothing without an extension
// (https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-shutdown).
const (
	graceTime    = 500 * time.Millisecond // with internal extensions, or a function that asked for SIGTERM
	shutdownTime = 2 * time.Second        // with external ones, all together
	runtimeShare = 3 * shutdownTime / 10  // of it what the runtime gets after SIGTERM, before its extensions hear of the end
)

// beside is what runs next to the runtime of a sandbox: its extensions, and the first process that started them. What the
// first process says decides about this sandbox and nothing else.
type beside struct {
	paths   []string // of the extensions inside
	control *net.UnixConn
	now     func() time.Time

	mu      sync.Mutex
	ended   map[string]bool // by name
	change  chan struct{}   // closed and replaced when one ends
	ending  bool            // the shutdown has begun: who ends now was told to
	crashed chan struct{}   // closed when one ended before
	typ     string          // of the error, once crashed is closed
	how     string
	dials   map[byte]chan dialled
	next    byte
}

// besides opens what the first process of a sandbox with extensions needs. The caller closes the files.
func (p *Pool) besides(i *instance, paths []string) ([]*os.File, error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("making the socket to the first process: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "control"), os.NewFile(uintptr(fds[1]), "control")
	defer ours.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		theirs.Close()
		return nil, fmt.Errorf("making the socket to the first process: %w", err)
	}
	out, err := i.logs.pipe("extension", nil)
	if err != nil {
		theirs.Close()
		conn.Close()
		return nil, fmt.Errorf("opening the log of extensions: %w", err)
	}
	b := &beside{paths: paths, control: conn.(*net.UnixConn), now: p.cfg.Clock, ended: map[string]bool{}, change: make(chan struct{}),
		crashed: make(chan struct{}), dials: map[byte]chan dialled{}}
	names := make([]string, len(paths))
	for k, p := range paths {
		names[k] = path.Base(p)
	}
	i.beside = b
	if len(paths) == 0 {
		return []*os.File{theirs, out}, nil
	}
	i.api.Expect(names)
	i.api.Reach(b.dial)
	raw := i.version.Logging.JSON()
	i.logs.hear(func(stream, text string) { i.api.Log(stream, text, raw) })
	i.tellStart()
	return []*os.File{theirs, out}, nil
}

// run listens to the first process until it has gone, and starts the runtime once every extension has registered, as
// Lambda does.
func (b *beside) run(i *instance) {
	registered := i.api.Registered()
	if len(b.paths) == 0 { // there is only a debugger to be led to
		none := make(chan struct{})
		close(none)
		registered = none
	}
	i.served.Go(func() {
		select {
		case <-registered:
			b.tell(first.Message{Kind: first.Start, Number: first.Runtime})
		case <-b.crashed:
		case <-i.over:
		}
	})
	buf, oob := make([]byte, first.Size+1), make([]byte, syscall.CmsgSpace(4))
	for left := len(b.paths) + maxStray; left > 0; {
		n, oobn, _, _, err := b.control.ReadMsgUnix(buf, oob)
		if err != nil || n == 0 {
			return
		}
		fd := received(oob[:oobn])
		m, err := first.Decode(buf[:n])
		if err != nil {
			break
		}
		if m.Kind == first.Connected {
			if !b.connected(m, fd) {
				left--
			}
			continue
		}
		if fd >= 0 {
			syscall.Close(fd)
		}
		left--
		b.hear(i, m)
	}
	_ = i.child.Kill() // it is not the process that was started any more
}

// maxStray is how many messages a first process may send that nothing asked for, besides the end of each extension: that of
// the runtime, and connections that came too late.
const maxStray = 64

// hear notes the end of a program.
func (b *beside) hear(i *instance, m first.Message) {
	status := syscall.WaitStatus(m.Value)
	switch {
	case m.Number == first.Runtime && m.Kind == first.Failed:
		b.fail(fmt.Sprintf("fork/exec %s: %s", i.entry, syscall.Errno(m.Value)), "Runtime.InvalidEntrypoint")
	case m.Number == first.Runtime && status.Signaled():
		i.end(jail.Exit{Code: -1, Signal: status.Signal().String(), OOM: i.starved()})
	case m.Number == first.Runtime:
		i.end(jail.Exit{Code: status.ExitStatus(), OOM: i.starved()})
	case int(m.Number) >= len(b.paths):
	case m.Kind == first.Failed:
		b.fail(fmt.Sprintf("fork/exec %s: %s", b.paths[m.Number], syscall.Errno(m.Value)), "Extension.LaunchError")
	default:
		how := "exit status " + fmt.Sprint(status.ExitStatus())
		if status.Signaled() {
			how = "signal: " + status.Signal().String()
		}
		name := path.Base(b.paths[m.Number])
		typ, init := i.api.ExtensionError(name)
		switch {
		case typ == "":
			typ = "Extension.Crash"
		case init:
			typ, how = "Extension.InitError", typ+", "+how
		default:
			typ, how = "Extension.ExitError", typ+", "+how
		}
		b.left(name, typ, how)
	}
}

// left notes that an extension has ended. Before the shutdown that is the end of its sandbox.
func (b *beside) left(name, typ, how string) {
	b.mu.Lock()
	b.ended[name] = true
	close(b.change)
	b.change = make(chan struct{})
	ending := b.ending
	b.mu.Unlock()
	if !ending {
		b.fail(how, typ)
	}
}

// fail ends the sandbox's usefulness, once.
func (b *beside) fail(how, typ string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.typ == "" {
		b.typ, b.how = typ, how
		close(b.crashed)
	}
}

// crash is what the event sees that an extension took down.
func (i *instance) crash(request string, kind casemate.Failure) *failure {
	b := i.beside
	return &failure{kind, lambda.ExtensionEnded(request, b.typ, b.how).JSON(), "an extension ended: " + b.typ + ", " + b.how}
}

// broken is closed when an extension has ended too early; of a sandbox without extensions it never is.
func (i *instance) broken() <-chan struct{} {
	if i.beside == nil {
		return nil
	}
	return i.beside.crashed
}

func (b *beside) tell(m first.Message) { _, _ = b.control.Write(m.Encode()) } // to one that is gone: the sandbox has ended

// halt ends the runtime, and leaves extensions their time.
func (i *instance) halt() {
	if i.beside == nil {
		i.kill()
		return
	}
	i.beside.tell(first.Message{Kind: first.Kill, Number: first.Runtime})
	if !i.waitExit(graceTime) {
		i.kill()
	}
}

// shutdown is the last phase of a sandbox with extensions: SIGTERM to the runtime, SHUTDOWN to those that asked for it,
// and the rest of the time until they have ended. What is left is killed with the sandbox.
func (b *beside) shutdown(i *instance) {
	b.mu.Lock()
	b.ending = true
	b.mu.Unlock()
	if i.finished() || i.thaw() != nil {
		return
	}
	deadline := b.now().Add(shutdownTime)
	t := time.NewTimer(shutdownTime)
	defer t.Stop()
	if !i.dead() {
		b.tell(first.Message{Kind: first.Term, Number: first.Runtime})
		if !i.waitExit(runtimeShare) {
			b.tell(first.Message{Kind: first.Kill, Number: first.Runtime})
		}
	}
	told := i.api.Shutdown(i.reason, deadline)
	for {
		b.mu.Lock()
		change, left := b.change, 0
		for _, name := range told {
			if !b.ended[name] {
				left++
			}
		}
		b.mu.Unlock()
		if left == 0 {
			return
		}
		select {
		case <-change:
		case <-i.over:
			return
		case <-t.C:
			return
		}
	}
}

// dialled is a connection into a sandbox, or why there is none.
type dialled struct {
	fd  int
	err error
}

// connected hands a connection to whoever asked for it; false: nobody did, or not any more.
func (b *beside) connected(m first.Message, fd int) (wanted bool) {
	b.mu.Lock()
	ch := b.dials[m.Number]
	delete(b.dials, m.Number)
	b.mu.Unlock()
	d := dialled{fd: fd}
	if m.Value != 0 || fd < 0 {
		d.err = fmt.Errorf("connecting inside the sandbox: %w", syscall.Errno(m.Value))
	}
	if ch == nil || d.err != nil && fd >= 0 {
		syscall.Close(fd)
	}
	if ch != nil {
		ch <- d
	}
	return ch != nil
}

// received takes the descriptor that came with a message; -1: there is none. More than one is nobody's.
func received(oob []byte) int {
	messages, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		return -1
	}
	fd := -1
	for _, m := range messages {
		fds, err := syscall.ParseUnixRights(&m)
		if err != nil {
			continue
		}
		for _, x := range fds {
			if fd >= 0 {
				syscall.Close(x)
				continue
			}
			syscall.CloseOnExec(x)
			fd = x
		}
	}
	return fd
}
