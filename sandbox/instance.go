package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"casemate"
	"casemate/lambda"
	"casemate/sandbox/api"
	"casemate/sandbox/jail"
)

// instance is one sandbox: a jailed process, its Runtime API, its logs and its door. One run uses it at a time.
type instance struct {
	version *casemate.Version
	child   *jail.Child
	process *os.Process // the same process, for signals that cannot hit a successor of its number
	api     *api.Server
	logs    *runLog
	fx      *effects
	door    Door
	release func() // of the code

	served sync.WaitGroup
	exited chan struct{} // closed after exit is set
	exit   jail.Exit

	started time.Time
	ready   time.Duration // from start to the first /next
	events  int
	used    jail.Usage // up to the end of the last run

	idleSince time.Time // under the pool's lock
	stale     bool      // likewise: its version was dropped

	mu     sync.Mutex // over the rest
	frozen bool
	gone   bool
	timers []*time.Timer
}

// start makes a sandbox and returns when its program runs; it may not be initialised yet.
func (p *Pool) start(ctx context.Context, v *casemate.Version, request string) (_ *instance, err error) {
	i := &instance{version: v, fx: &effects{}, exited: make(chan struct{}), started: p.cfg.Clock()}
	i.logs = &runLog{emit: func(stream, request, text string) {
		p.cfg.Logs(casemate.LogLine{At: p.cfg.Clock(), App: v.App, Function: v.Function, Version: v.Number,
			Request: request, Stream: stream, Text: text})
	}}
	dir, release, err := p.cfg.Code(ctx, v)
	if err != nil {
		return nil, fmt.Errorf("fetching the code: %w", err)
	}
	i.release = release
	defer func() {
		if err != nil {
			i.destroy()
		}
	}()
	pr, err := p.program(v, request, dir)
	if err != nil {
		return nil, err
	}
	if pr.note != "" {
		i.logs.platform("RUNTIME " + pr.note)
	}
	if p.cfg.Doors != nil {
		if i.door, err = p.cfg.Doors(v, i.fx.add); err != nil {
			return nil, fmt.Errorf("making the door: %w", err)
		}
	}
	uid := p.uids.take()
	spec := p.spec(v, pr, dir, uid, i.door)
	i.release = func() { release(); p.uids.give(uid) }
	spec.OnConnect = func(network, address string) bool {
		i.fx.add(casemate.Effect{At: p.cfg.Clock(), Kind: casemate.EffectConnect, Target: address, Reason: "no grant names this address (" + network + ")"})
		return false
	}
	if w, ok := i.door.(watcher); ok {
		spec.OnConnect = w.OnConnect
	}
	spec.OnCall = func(c jail.Call) { i.fx.add(called(c, p.cfg.Clock())) }
	return i, i.launch(ctx, &spec, request, p.cfg.Clock, p.identity(v))
}

// launch starts the jail and serves it.
func (i *instance) launch(ctx context.Context, spec *jail.Spec, request string, now func() time.Time, id api.Identity) error {
	var err error
	if spec.Stdout, err = i.logs.pipe("stdout"); err != nil {
		return fmt.Errorf("opening stdout: %w", err)
	}
	defer spec.Stdout.Close()
	if spec.Stderr, err = i.logs.pipe("stderr"); err != nil {
		return fmt.Errorf("opening stderr: %w", err)
	}
	defer spec.Stderr.Close()
	if i.child, err = jail.Start(ctx, *spec); err != nil {
		return startError(err, request, spec.Argv[0])
	}
	i.process, _ = os.FindProcess(i.child.Pid()) // never fails on Unix; before Wait the number is still its own
	i.served.Go(func() {
		i.exit, _ = i.child.Wait() // an error leaves the zero Exit, and the process is gone all the same
		close(i.exited)
	})
	i.api = api.New(i.fx.add, now, id)
	if err := i.serve(); err != nil {
		return err
	}
	if i.door == nil {
		return nil
	}
	for k, text := range i.door.Doorway().Listen {
		if err := i.open(k, text[:3]); err != nil {
			return err
		}
	}
	return nil
}

func (i *instance) serve() error {
	l, err := i.child.Listener(0)
	if err != nil {
		return fmt.Errorf("opening the Runtime API: %w", err)
	}
	i.served.Go(func() { i.api.Serve(l) }) // ends with Close
	return nil
}

// open hands the k-th socket of the door to it.
func (i *instance) open(k int, network string) error {
	if network == "udp" {
		c, err := i.child.PacketConn(k + 1)
		if err != nil {
			return fmt.Errorf("opening the door: %w", err)
		}
		i.door.Serve(k, nil, c)
		return nil
	}
	l, err := i.child.Listener(k + 1)
	if err != nil {
		return fmt.Errorf("opening the door: %w", err)
	}
	i.door.Serve(k, l, nil)
	return nil
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
	var errno syscall.Errno
	if strings.HasPrefix(program, "/var/task/") && errors.As(err, &errno) && slices.Contains(notExecutable, errno) {
		return &entryError{lambda.NoEntrypoint(request, "fork/exec "+program+": "+errno.Error())}
	}
	return fmt.Errorf("starting a sandbox: %w", err)
}

// notExecutable is what execve(2) says of a file that is no program here: a wrong architecture, no interpreter.
var notExecutable = []syscall.Errno{syscall.ENOENT, syscall.ENOEXEC, syscall.EACCES}

// usage is what the sandbox used since the last call.
func (i *instance) usage() jail.Usage {
	now, err := i.child.Usage()
	if err != nil {
		now = i.used
	}
	d := jail.Usage{CPU: now.CPU - i.used.CPU, PeakBytes: now.PeakBytes, OOM: now.OOM && !i.used.OOM}
	i.used = now
	return d
}

// kill ends every process of the sandbox and returns when they are gone.
func (i *instance) kill() {
	_ = i.child.Kill() // fails only for a process that is gone, or one that only Close can end
	<-i.exited
}

// graceTime is what a function that asked for SIGTERM gets to end itself, as on Lambda with an internal extension.
const graceTime = 500 * time.Millisecond

// destroy ends the sandbox and gives everything back. It may be called on one that never came up.
func (i *instance) destroy() {
	if i.child != nil {
		if i.api != nil && i.api.Extended() {
			i.terminate()
		}
		_ = i.process.Release()
		_ = i.child.Close() // what it cannot give back is the jail's to report; the sandbox is over
	}
	if i.api != nil {
		i.api.Close()
	}
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
	if !i.frozen {
		return nil
	}
	i.frozen = false
	if err := i.child.Thaw(); err != nil {
		return fmt.Errorf("thawing a sandbox: %w", err)
	}
	return nil
}

// freeze stops every process of an idle sandbox.
func (i *instance) freeze() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.timers == nil || i.frozen || i.gone {
		return // a run took it
	}
	i.frozen = i.child.Freeze() == nil
}

func (p *Pool) identity(v *casemate.Version) api.Identity {
	return api.Identity{FunctionName: v.Function, FunctionVersion: lambda.VersionName(v.Number),
		Handler: v.Handler, AccountID: p.cfg.Place.Account}
}
