package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"casemate"
	"casemate/lambda"
	"casemate/sandbox/jail"
)

// A waiting sandbox holds no code, no secret, no grant and no name: it is made for a class of versions and handed out
// once. One kind has an interpreter that runs and stands in a read; the other is a jail without a program. Both are
// stopped until they are taken.

// class is what a waiting sandbox has to know before it is started. The zero class is the empty jail, which serves
// every version.
type class struct {
	key     string
	runtime casemate.Runtime
	program program
}

// Bounds that a waiting interpreter starts with; an assignment only narrows them.
const (
	waitingMemory = 4 << 30
	waitingPids   = 1024
	waitingFiles  = 1 << 16
	waitingTmp    = 64 << 20
	waitingFile   = 1 << 40
)

// maxShelves bounds the classes that have waiting sandboxes at once.
const maxShelves = 8

// shelfRetry is how long nothing is started for a class after a start failed.
const shelfRetry = 30 * time.Second

// bootTime bounds the start of a waiting sandbox; it happens at low priority on a machine that may be busy.
const bootTime = time.Minute

// shelf holds the waiting sandboxes of a class. All of it is under the pool's lock.
type shelf struct {
	class
	ready []*instance // the one that waits longest first
	used  time.Time   // when one was asked for last
	retry time.Time   // not before this
}

// early are variables that count while a process starts and not later: a version with one of them needs a process of its
// own from the start. Names that end with an underscore are prefixes.
var early = []string{"NODE_", "PYTHON_", "PYTHON", "LD_", "LC_", "UV_", "MALLOC_", "OPENSSL_", "ICU_", "V8_", "GLIBC_", "LANG", "LANGUAGE", "TZ",
	"TZDIR", "LOCPATH", "GCONV_", "AWS_LAMBDA_EXEC_WRAPPER"}

// isEarly reports whether a variable is one of them. NODE_ENV is for programs: Node itself never looks at it.
func isEarly(name string) bool {
	if name == "NODE_ENV" {
		return false
	}
	return strings.HasPrefix(name, "PYTHON") || slices.ContainsFunc(early, func(e string) bool {
		return name == e || strings.HasSuffix(e, "_") && strings.HasPrefix(name, e)
	})
}

// classOf finds the class of interpreter that a version can start from; ok is false when it needs a process of its own.
func (p *Pool) classOf(v *casemate.Version, pr program) (c class, ok bool) {
	l := limits(v)
	if !p.assigns || pr.profile == "provided" || len(v.Children) > 0 || l.Pids > waitingPids || l.Files > waitingFiles {
		return c, false
	}
	for name := range v.Env {
		if isEarly(name) {
			return c, false
		}
	}
	return class{key: fmt.Sprintf("%s %q %q", v.Runtime, pr.argv, pr.etc), runtime: v.Runtime, program: pr}, true
}

// adopt gives a need a sandbox that waits; nil when there is none, or none that works: a fresh one says what is wrong.
func (p *Pool) adopt(ctx context.Context, n *need) *instance {
	if n.attended() {
		return nil // its first process is another, with descriptors of its own
	}
	if c, ok := p.classOf(n.version, n.program); ok && !n.changesStart() {
		if i := p.unshelve(c); i != nil {
			return p.assign(ctx, i, n, p.lateAssignment(n))
		}
	}
	if i := p.unshelve(class{}); i != nil {
		return p.assign(ctx, i, n, p.assignment(n))
	}
	return nil
}

// changesStart reports whether the door sets a variable that must be there from the start.
func (n *need) changesStart() bool {
	if n.door == nil {
		return false
	}
	for name := range n.door.Doorway().Env {
		if isEarly(name) {
			return true
		}
	}
	return false
}

// lateAssignment is the part of an assignment that an interpreter that runs already does not have.
func (p *Pool) lateAssignment(n *need) jail.Assignment {
	a := p.assignment(n)
	a.Argv, a.Env, a.Dir, a.Profile, a.Mounts = nil, nil, "", "", n.shared()
	for name := range n.program.etc {
		delete(a.Etc, name)
	}
	return a
}

// assign makes a waiting sandbox a version's; nil when that fails.
func (p *Pool) assign(ctx context.Context, i *instance, n *need, a jail.Assignment) *instance {
	i.used, _ = i.child.Usage() // without it the start of the interpreter is on this run's bill
	p.own(i, n)
	err := i.process.Signal(syscall.SIGCONT)
	if err == nil {
		err = i.child.Assign(ctx, a)
	}
	if err != nil {
		p.disown(i)
		p.rejected(i, err)
		return nil
	}
	err = i.open()
	if i.orders == nil && err == nil {
		err = i.serve(0)
	}
	if err == nil && i.orders != nil {
		err = i.tell(ctx, p.variables(n, 4)) // after the socket for orders
	}
	if err != nil {
		i.kill() // its run sees the end, and starts another
	}
	return i
}

// tell lets an interpreter go on as a function, with its environment.
func (i *instance) tell(ctx context.Context, env []string) error {
	defer i.orders.Close()
	stop := context.AfterFunc(ctx, func() { i.orders.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := i.orders.Write([]byte(strings.Join(env, "\x00"))); err != nil {
		return fmt.Errorf("telling the runtime its environment: %w", err)
	}
	return nil
}

// boot makes a sandbox of a class and returns when it waits.
func (p *Pool) boot(ctx context.Context, c class) (*instance, error) {
	i := p.blank()
	i.runtime, i.class = c.runtime, c.key
	if err := i.boot(ctx, p.waitingSpec(c, i.uid), c.runtime != ""); err != nil {
		i.destroy()
		return nil, err
	}
	// Stopped and not frozen: what is stopped dies at once when the node is killed, and goes on in microseconds.
	if err := i.process.Signal(syscall.SIGSTOP); err != nil {
		i.destroy()
		return nil, fmt.Errorf("stopping a sandbox that waits: %w", err)
	}
	return i, nil
}

func (p *Pool) waitingSpec(c class, uid int) jail.Spec {
	s := p.base(uid)
	s.Limits = jail.Limits{MemoryBytes: waitingMemory, Pids: waitingPids, Files: waitingFiles, TmpBytes: waitingTmp, FileBytes: waitingFile, Yields: true}
	if s.Profile = c.program.profile; c.runtime == "" {
		s.Profile = "provided" // replaced by that of the program
		return s
	}
	s.Argv, s.Places = c.program.argv, append(s.Places, taskDir, taskDir+"/lib")
	s.Mounts = append(s.Mounts, c.program.mounts...)
	for name, text := range c.program.etc {
		s.Etc[name] = text
	}
	s.Env = slices.DeleteFunc(lambda.Environment(lambda.Sandbox{Runtime: string(c.runtime)}), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return lambda.Reserved(name)
	})
	s.Env = append(s.Env, "AWS_LAMBDA_RUNTIME_API="+apiAddress, "LAMBDA_RUNTIME_DIR=/var/runtime", "_CASEMATE_WAITS=3")
	return s
}

func (i *instance) boot(ctx context.Context, spec jail.Spec, interpreter bool) error {
	if !interpreter {
		return i.launch(ctx, &spec, jail.Prepare)
	}
	theirs, err := i.orderPair()
	if err != nil {
		return fmt.Errorf("making the socket for orders: %w", err)
	}
	defer theirs.Close()
	spec.Files = []*os.File{theirs}
	if err := i.launch(ctx, &spec, jail.Start); err != nil {
		return err
	}
	theirs.Close() // its end shows when the process ends
	if err := i.serve(0); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { i.orders.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := i.orders.Read(make([]byte, 1)); err != nil { // it writes one byte when it is up
		return fmt.Errorf("waiting for the runtime: %w", errors.Join(err, ctx.Err()))
	}
	i.observed = i.child.Observe(packaged...) == nil // else its first run tries again, and says why
	return nil
}

// orderPair opens the socket over which an interpreter says that it is up and hears whose it is.
func (i *instance) orderPair() (*os.File, error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "orders"), os.NewFile(uintptr(fds[1]), "orders")
	defer ours.Close()
	if i.orders, err = net.FileConn(ours); err != nil {
		theirs.Close()
		return nil, err
	}
	return theirs, nil
}
