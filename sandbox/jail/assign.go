package jail

import (
	"context"
	"errors"
	"fmt"
	"net"

	"casemate/sandbox/jail/calls"
	"casemate/sandbox/jail/stage"
)

// Assignment is what a jail that was made ahead learns only when it is handed out. It can be given once.
type Assignment struct {
	// Argv, Env and Dir are those of Spec. Of a jail whose program runs already they must be empty.
	Argv []string
	Env  []string
	Dir  string
	// Profile of the program, of a prepared jail; empty is that of its Spec.
	Profile string
	// Mounts come on top of Spec.Mounts. Of a jail whose program runs already they must be read-only and lie at
	// Spec.Places.
	Mounts []Mount
	Etc    map[string][]byte // small files, new or instead of those of Spec.Etc
	Limits Limits            // instead of Spec.Limits; of a program that runs already they only become narrower
	Listen []string          // sockets besides those of Spec.Listen; they are numbered on from there
	// OnConnect takes the place of Spec.OnConnect.
	OnConnect func(network, address string) (pass bool)
	OnCall    func(Call) // likewise
	// Children, Wrapped and Own are those of Spec. Of a program that runs already they must be empty.
	Children []Program
	Wrapped  string
	Own      []string
}

// ErrRootless is returned by Assign for a program that runs already on a node without root. Entering the jail's
// namespaces would need a process that is single-threaded (setns(2), CLONE_NEWUSER), which no Go program is; a helper
// inside would have to keep capabilities next to the program.
var ErrRootless = errors.New("jail: a running program can be assigned by a root node only")

// CanAssign says whether this node can assign something to programs that run already.
func CanAssign() bool {
	l, err := theLauncher()
	return err == nil && l.root && canVisit
}

// pending is what is kept of a jail's order until its assignment.
type pending struct {
	spec    Spec
	control *net.UnixConn // to the stage; nil when the program runs already
	notify  bool          // the filter of its program may notify
	weak    []Missing
}

func (p *pending) close() {
	if p != nil && p.control != nil {
		p.control.Close()
	}
}

// Prepare builds a jail up to the point where it would have to know its program, and returns when it waits there. Argv,
// Env and Dir of the spec are not looked at. Child.Assign starts the program; until then the child has no Walls and no
// sockets. The caller must call Close on the child.
func Prepare(ctx context.Context, s Spec) (*Child, error) {
	s.wait, s.Argv, s.Env, s.Dir = true, []string{"/waiting"}, nil, ""
	return Start(ctx, s)
}

// Assign hands the jail out. A prepared one must not be frozen, or it never answers. After an error the jail is of no use any more: the caller closes it.
func (c *Child) Assign(ctx context.Context, a Assignment) error {
	p := c.pending
	if p == nil {
		return errors.New("jail: nothing can be assigned, or something was already")
	}
	c.pending = nil
	defer p.close()
	s := p.spec
	s.Mounts, s.Etc, s.Listen, s.Places, s.Symlinks = a.Mounts, a.Etc, a.Listen, nil, nil
	s.Limits, s.OnConnect, s.OnCall = a.Limits, a.OnConnect, a.OnCall
	s.Children, s.Wrapped, s.Own = a.Children, a.Wrapped, a.Own
	var err error
	if s.Limits, err = s.Limits.filled(); err != nil {
		return fmt.Errorf("jail: %w", err)
	}
	if a.Profile != "" {
		s.Profile = a.Profile
	}
	if s.Argv, s.Env, s.Dir = a.Argv, a.Env, a.Dir; p.control == nil {
		if len(a.Argv)+len(a.Env)+len(a.Dir)+len(a.Profile)+len(a.Children)+len(a.Wrapped)+len(a.Own) > 0 {
			return errors.New("jail: the program runs already")
		}
		s.Argv = p.spec.Argv
	}
	rest, err := s.order()
	if err == nil && p.control != nil {
		err = c.admitLate(p, &s, rest)
	}
	if err != nil {
		return fmt.Errorf("jail: %w", err)
	}
	if err := c.narrow(s.Limits); err != nil {
		return fmt.Errorf("jail: %w", err)
	}
	if rest.UID = p.spec.UID; c.uid != 0 {
		rest.UID = c.uid
	}
	rest.Limits.DataBytes = dataBytes(p.weak, s.Limits)
	s.Listen = append(append([]string(nil), p.spec.Listen...), a.Listen...)
	c.follow(&s)
	if p.control != nil {
		err = c.complete(ctx, p, rest)
	} else {
		err = c.visit(p, rest)
	}
	if err != nil {
		return fmt.Errorf("jail: assigning: %w", err)
	}
	return nil
}

// narrow changes the limits of the jail as a whole.
func (c *Child) narrow(l Limits) error {
	return errors.Join(c.group.Change(groupLimits(l)), c.group.Yield(l.Yields))
}

// complete gives a waiting stage the rest of its order and listens until it is the program.
func (c *Child) complete(ctx context.Context, p *pending, rest *stage.Order) error {
	f, err := c.launcher.filter(c.spec.Profile, calls.Options{Notify: p.notify, Children: c.spec.becomes()})
	if err != nil {
		return err
	}
	rest.Filter, rest.Notify, c.heard = f.Code, f.Notifies, f.Calls
	data := rest.Encode()
	if len(data) > stage.MaxOrder {
		return fmt.Errorf("order of %d bytes, at most %d", len(data), stage.MaxOrder)
	}
	if _, err := p.control.Write(data); err != nil {
		return fmt.Errorf("telling the stage: %w", err)
	}
	out, err := converse(ctx, c, p.control)
	if err != nil {
		return err
	}
	c.stand(out, p.weak)
	return nil
}

// follow answers the program's questions as another spec says from now on.
func (c *Child) follow(s *Spec) {
	c.spec = s
	if c.watcher != nil {
		c.watcher.follow(s)
	}
}

// prepared waits until a stage stands still. It keeps the control socket.
func (c *Child) prepared(ctx context.Context, p *pending) error {
	stop := interrupt(ctx, p.control)
	defer stop()
	c.pending = p // Close lets go of the socket
	buf := make([]byte, 64<<10)
	n, err := p.control.Read(buf)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil || n == 0:
		return errors.New("the stage ended without a word")
	case buf[0] == stage.TagWaiting && n == 1:
		return nil
	}
	var out stage.Outcome
	if err := c.hear(buf[:n], nil, &out); err != nil {
		return err
	}
	return errors.New("the stage did not wait")
}

// Memory is what the whole jail has in memory now, in bytes; 0 where no control group counts it.
func (c *Child) Memory() int64 { return c.group.Memory() }
