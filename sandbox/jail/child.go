package jail

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"casemate/sandbox/jail/calls"
	"casemate/sandbox/jail/cgroup"
	"casemate/sandbox/jail/opened"
)

// Child is one jail with a program in it. Its methods may be called from any goroutine.
type Child struct {
	Walls []string // the walls that hold
	Weak  []string // the walls that are missing and were waived by AllowWeak

	launcher *launcher
	process  *os.Process
	group    *cgroup.Group
	uid      int // of the pool, to give back
	sockets  []*os.File
	notifier *os.File
	spec     *Spec
	heard    map[int32]calls.Call // what the notifier hears of
	watcher  *watcher
	watched  sync.WaitGroup
	opens    *opened.Watch
	weak     []Missing
	pending  *pending // of a jail that waits for its assignment

	once   sync.Once
	closed sync.Once
	exit   Exit
	err    error
	last   atomic.Pointer[Usage] // set at the end
}

func (c *Child) weaken(ms ...Missing) {
	for _, m := range ms {
		c.weak = append(c.weak, m)
		c.Weak = append(c.Weak, m.Name)
	}
}

// Pid is the program's process id on the host. It is 1 inside.
func (c *Child) Pid() int { return c.process.Pid }

// Listener gives the i-th socket of Spec.Listen, which must be a "tcp" one. The caller closes it. It works once.
func (c *Child) Listener(i int) (net.Listener, error) {
	f, err := c.socket(i)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return net.FileListener(f)
}

// PacketConn gives the i-th socket of Spec.Listen, which must be a "udp" one. The caller closes it. It works once.
func (c *Child) PacketConn(i int) (net.PacketConn, error) {
	f, err := c.socket(i)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return net.FilePacketConn(f)
}

func (c *Child) socket(i int) (*os.File, error) {
	if i < 0 || i >= len(c.sockets) || c.sockets[i] == nil {
		return nil, fmt.Errorf("jail: no socket %d, or taken already", i)
	}
	f := c.sockets[i]
	c.sockets[i] = nil
	return f, nil
}

// Wait returns when the program and every other process of the jail have ended. It may be called more than once and
// from several goroutines; all get the same answer.
func (c *Child) Wait() (Exit, error) {
	c.once.Do(func() {
		state, err := c.process.Wait()
		if err != nil {
			c.err = fmt.Errorf("jail: waiting: %w", err)
			return
		}
		// The kernel ends a pid namespace with its first process: nobody is left to use more.
		last := c.group.Usage()
		if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			c.exit = Exit{Code: -1, Signal: status.Signal().String()}
		} else {
			c.exit = Exit{Code: state.ExitCode()}
		}
		if last.CPU == 0 {
			last.CPU = state.UserTime() + state.SystemTime()
		}
		if r, ok := state.SysUsage().(*syscall.Rusage); ok && last.PeakBytes == 0 {
			last.PeakBytes = r.Maxrss << 10
		}
		c.exit.OOM = last.OOM
		c.last.Store(&last)
	})
	return c.exit, c.err
}

// Kill ends every process of the jail at once, frozen ones too. It does not wait. Killing twice is no error.
func (c *Child) Kill() error {
	if err := c.group.Thaw(); err != nil && !errors.Is(err, cgroup.ErrNoFreezer) {
		return errors.Join(err, c.process.Kill())
	}
	if err := c.process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("jail: killing: %w", err)
	}
	return nil
}

// Freeze stops every process of the jail and returns when they stand. Without a freezer they are
// sent SIGSTOP one by one.
func (c *Child) Freeze() error {
	err := c.group.Freeze()
	if errors.Is(err, cgroup.ErrNoFreezer) {
		err = c.stop()
	}
	return err
}

// Thaw lets the jail go on.
func (c *Child) Thaw() error {
	err := c.group.Thaw()
	if errors.Is(err, cgroup.ErrNoFreezer) {
		err = c.goOn()
	}
	return err
}

// Usage is what the jail has used so far, or in all when it has ended.
func (c *Child) Usage() (Usage, error) { return c.usage(c.group.Usage) }

// Spent is Usage, and does not look whether memory ran out.
func (c *Child) Spent() (Usage, error) { return c.usage(c.group.Spent) }

func (c *Child) usage(read func() Usage) (Usage, error) {
	if last := c.last.Load(); last != nil {
		return *last, nil
	}
	u := read()
	if u.CPU == 0 || u.PeakBytes == 0 {
		return cgroup.ProcUsage(c.process.Pid, u)
	}
	return u, nil
}

// Close ends the jail, waits for it and gives everything back: sockets not taken, the notifier, the cgroup, the uid.
func (c *Child) Close() error {
	var errs []error
	c.closed.Do(func() {
		if c.process != nil {
			errs = append(errs, c.Kill())
			_, err := c.Wait()
			errs = append(errs, err)
		}
		for _, f := range c.sockets {
			if f != nil {
				f.Close()
			}
		}
		c.pending.close()
		if c.watcher != nil {
			c.watcher.stop()
			c.watched.Wait()
		}
		if c.notifier != nil {
			c.notifier.Close()
		}
		if c.opens != nil {
			errs = append(errs, c.opens.Close())
		}
		errs = append(errs, c.group.Remove())
		if c.uid != 0 {
			c.launcher.giveUID(c.uid)
		}
	})
	return errors.Join(errs...)
}

// fetchNotifier takes the stage's notifier descriptor and answers it from now on: the stage's own exec asks there, too.
// The stage waits while this happens.
func (c *Child) fetchNotifier(fd int) error {
	pidfd, err := unix.PidfdOpen(c.process.Pid, 0)
	if err != nil {
		return err
	}
	defer unix.Close(pidfd)
	own, err := unix.PidfdGetfd(pidfd, fd, 0)
	if err != nil {
		return fmt.Errorf("fetching the notifier: %w", err)
	}
	unix.CloseOnExec(own)
	c.notifier = os.NewFile(uintptr(own), "seccomp notifier")
	c.watcher = newWatcher(c.notifier, c.spec, c.heard)
	c.watched.Go(c.watcher.run)
	return nil
}
