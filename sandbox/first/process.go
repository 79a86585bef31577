package first

import (
	"os"
	"strings"
	"sync"
	"syscall"
)

// The descriptors that the process is started with besides the standard ones.
const (
	control = 3 // a packet socket to the node
	output  = 4 // of the extensions
	framed  = 5 // the runtime's log of whole entries, which it has as its first one
)

// init is the early dispatch: in the first process of a sandbox it never returns, so nothing of the rest of the binary is
// initialised. What this package imports is ready as soon as os is.
func init() {
	if len(os.Args) > 1 && os.Args[0] == Path {
		os.Exit(serve(os.Args[1:]))
	}
}

// processes is what was started. Starting and noting the number happen under one lock, or an end could come before its
// number is known.
type processes struct {
	mu      sync.Mutex
	number  map[int]byte // by process id
	started chan struct{}
	runtime []string
}

// serve runs until the node closes the socket, or kills the process.
func serve(args []string) int {
	syscall.CloseOnExec(control)
	syscall.CloseOnExec(output)
	syscall.CloseOnExec(framed)
	// No other program of the sandbox shall read or change this one's memory; the node believes it no further all the same.
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_DUMPABLE, 0, 0)
	p := &processes{number: map[int]byte{}, started: make(chan struct{}, 1)}
	var extensions []string
	for k, arg := range args {
		if arg == Separator {
			extensions, p.runtime = args[:k], args[k+1:]
			break
		}
	}
	if len(p.runtime) == 0 {
		return 125
	}
	go p.reap()
	env := Environment(os.Environ())
	for k, path := range extensions {
		p.start(byte(k), []string{path}, env, []uintptr{0, output, output})
	}
	return p.listen()
}

// listen does what the node says.
func (p *processes) listen() int {
	buf := make([]byte, Size+1)
	for {
		n, err := syscall.Read(control, buf)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			return 0
		}
		m, err := Decode(buf[:n])
		if err != nil {
			return 125
		}
		switch m.Kind {
		case Start:
			p.start(Runtime, p.runtime, os.Environ(), []uintptr{0, 1, 2, framed})
		case Term:
			p.signal(m.Number, syscall.SIGTERM)
		case Kill:
			p.signal(m.Number, syscall.SIGKILL)
		case Connect:
			go connect(m.Number, int(uint16(m.Value)))
		}
	}
}

// start starts a program with these files as its own.
func (p *processes) start(number byte, argv, env []string, files []uintptr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	pid, err := syscall.ForkExec(argv[0], argv, &syscall.ProcAttr{Env: env, Files: files})
	if err != nil {
		errno, _ := err.(syscall.Errno)
		tell(Message{Failed, number, uint32(errno)}, nil)
		return
	}
	p.number[pid] = number
	select {
	case p.started <- struct{}{}:
	default:
	}
}

// signal reaches a process that was started and not reaped: its number is its own until then.
func (p *processes) signal(number byte, s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for pid, n := range p.number {
		if n == number {
			_ = syscall.Kill(pid, s) // a process that has ended meanwhile is still there to be reaped
		}
	}
}

// reap waits for every process of the sandbox: orphans come here, too.
func (p *processes) reap() {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if err == syscall.ECHILD {
			<-p.started
			continue
		}
		if err != nil {
			continue
		}
		p.mu.Lock()
		number, known := p.number[pid]
		delete(p.number, pid)
		p.mu.Unlock()
		if known {
			tell(Message{Ended, number, uint32(status)}, nil)
		}
	}
}

// connect opens a connection to a server inside and hands it to the node, which has no way of its own into the sandbox.
func connect(number byte, port int) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err == nil {
		defer syscall.Close(fd)
		_ = syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_SNDTIMEO, &syscall.Timeval{Sec: 1}) // bounds the connect, too (socket(7))
		err = syscall.Connect(fd, &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
	}
	if err != nil {
		errno, _ := err.(syscall.Errno)
		tell(Message{Connected, number, uint32(max(errno, 1))}, nil)
		return
	}
	tell(Message{Connected, number, 0}, syscall.UnixRights(fd))
}

// tell sends a message; a node that is gone has ended the sandbox.
func tell(m Message, rights []byte) { _ = syscall.Sendmsg(control, m.Encode(), rights, nil, 0) }

// Environment is what extensions get of a function's environment: all but the names that begin with an underscore and
// those that describe the runtime
// (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html#runtimes-extensions-api-lifecycle).
func Environment(function []string) []string {
	env := make([]string, 0, len(function))
	for _, entry := range function {
		name, _, _ := strings.Cut(entry, "=")
		switch name {
		case "AWS_EXECUTION_ENV", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "LAMBDA_RUNTIME_DIR", "LAMBDA_TASK_ROOT",
			"PWD", "SHLVL", "PYTHONPATH", "NODE_PATH":
			continue
		}
		if !strings.HasPrefix(name, "_") {
			env = append(env, entry)
		}
	}
	return env
}
