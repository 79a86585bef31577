package sandbox

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"casemate"
	"casemate/lambda"
	"casemate/sandbox/api"
	"casemate/sandbox/jail"
)

// instance is one sandbox: a jailed process, its Runtime API, its logs and its door. One run uses it at a time.
type instance struct {
	version *casemate.Version // nil while it waits; written under the pool's lock
	child   *jail.Child
	process *os.Process // the same process, for signals that cannot hit a successor of its number
	api     *api.Server
	logs    *runLog
	fx      *effects
	door    Door
	orders  net.Conn         // to an interpreter that waits; nil when it does not
	runtime casemate.Runtime // of an interpreter that waits
	class   string           // of one that waits
	release func()           // of the code

	served sync.WaitGroup
	exited chan struct{} // closed after exit is set: the runtime has ended
	ends   sync.Once     // of exit
	exit   jail.Exit
	over   chan struct{}   // closed when every process of the sandbox has ended
	lost   func(*instance) // called when its runtime has ended

	shift  *shift  // nil: it has one event at a time
	beside *beside // nil: it has no extensions of its own
	debug  bool    // a debugger may steer it
	entry  string  // what its runtime is started with
	reason string  // of its end, for extensions: "spindown", "timeout" or "failure"

	uid     int
	born    time.Time
	started time.Time     // when it became its version's
	ready   time.Duration // from started to the first /next
	events  atomic.Int64  // runs
	used    jail.Usage    // up to the end of the last run

	observed bool  // its files are seen since before its first run
	blind    error // why they are not

	key       string    // of the events that may share it; under the pool's lock
	counted   bool      // likewise: it holds a slot
	idleSince time.Time // likewise
	stale     bool      // likewise: its version was dropped

	mu     sync.Mutex // over the rest
	frozen bool
	gone   bool
	timers []*time.Timer
}

// startError gives a jail that could not be made its code: a missing wall is the operator's to put up or to waive, a
// program that the kernel does not execute is the function's own fault.
func startError(err error, request, program string) error {
	var walls *jail.WallError
	if errors.As(err, &walls) {
		return &casemate.Error{Code: casemate.Unavailable, Err: err,
			Message: "this node cannot isolate native functions: a sandbox wall is missing",
			Hint:    "run casemate doctor; --allow-weak-sandbox runs without it, and every record then says so"}
	}
	var changed *jail.MismatchError
	if errors.As(err, &changed) {
		return &casemate.Error{Code: casemate.Conflict, Err: err, Message: changed.Error(),
			Hint: "deploy the function again to allow the program as it is now"}
	}
	var errno syscall.Errno
	if strings.HasPrefix(program, "/var/task/") && errors.As(err, &errno) && slices.Contains(notExecutable, errno) {
		return &entryError{lambda.NoEntrypoint(request, "fork/exec "+program+": "+errno.Error())}
	}
	return fmt.Errorf("starting a sandbox: %w", err)
}

// notExecutable is what execve(2) says of a file that is no program here: a wrong architecture, no interpreter.
var notExecutable = []syscall.Errno{syscall.ENOENT, syscall.ENOEXEC, syscall.EACCES}

// usage is what the sandbox used since the last call; how it ended says whether memory ran out.
func (i *instance) usage() jail.Usage {
	now, err := i.child.Spent()
	if err != nil {
		now = i.used
	}
	d := jail.Usage{CPU: now.CPU - i.used.CPU, PeakBytes: now.PeakBytes}
	i.used = now
	return d
}

// kill ends every process of the sandbox and returns when they are gone.
func (i *instance) kill() {
	_ = i.child.Kill() // fails only for a process that is gone, or one that only Close can end
	<-i.over
}

// end notes how the runtime ended. With a process of its own in front of it that is not the end of the sandbox.
func (i *instance) end(x jail.Exit) {
	i.ends.Do(func() {
		i.exit = x
		close(i.exited)
		i.lost(i)
	})
}

// finished says whether every process of the sandbox has ended.
func (i *instance) finished() bool {
	select {
	case <-i.over:
		return true
	default:
		return false
	}
}

// starved says whether the memory limit killed something.
func (i *instance) starved() bool {
	u, err := i.child.Usage()
	return err == nil && u.OOM
}

// destroy ends the sandbox and gives everything back. It may be called on one that never came up.
func (i *instance) destroy() {
	if i.child != nil {
		switch {
		case i.beside != nil:
			i.beside.shutdown(i)
		case i.api.Extended():
			i.terminate()
		}
		_ = i.process.Release()
		_ = i.child.Close() // what it cannot give back is the jail's to report; the sandbox is over
	}
	if i.orders != nil {
		i.orders.Close()
	}
	if i.beside != nil {
		i.beside.control.Close()
	}
	i.api.Close()
	i.served.Wait()
	if i.door != nil {
		i.door.Close()
	}
	i.logs.wait()
	i.release()
}

// terminate asks politely first.
func (i *instance) terminate() {
	if i.thaw() != nil || i.process.Signal(syscall.SIGTERM) != nil {
		return
	}
	t := time.NewTimer(graceTime)
	defer t.Stop()
	select {
	case <-i.exited:
	case <-t.C:
	}
}

// thaw stops the timers that would stop or end an idle sandbox and lets it run.
func (i *instance) thaw() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, t := range i.timers {
		t.Stop()
	}
	i.timers = nil
	i.api.Awake()
	if !i.frozen {
		return nil
	}
	i.frozen = false
	if err := i.child.Thaw(); err != nil {
		return fmt.Errorf("thawing a sandbox: %w", err)
	}
	return nil
}

// claim stops the timers of a sandbox that waits and leaves it as it is.
func (i *instance) claim() {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, t := range i.timers {
		t.Stop()
	}
	i.timers = nil
}

// restPause is when freezing is tried again.
const restPause = 10 * time.Millisecond

// freeze stops every process of an idle sandbox.
func (i *instance) freeze() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.timers == nil || i.frozen || i.gone {
		return // a run took it
	}
	if !i.api.Rest() { // telemetry is on its way into the sandbox
		i.timers[0] = time.AfterFunc(restPause, i.freeze)
		return
	}
	i.frozen = i.child.Freeze() == nil
}
