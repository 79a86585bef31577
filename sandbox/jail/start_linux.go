package jail

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"casemate/sandbox/jail/calls"
	"casemate/sandbox/jail/cgroup"
	"casemate/sandbox/jail/stage"
)

// Start puts a program behind the walls and returns when it runs. The context bounds the start only, not the
// program. The caller must call Close on the child, which ends it.
func Start(ctx context.Context, s Spec) (*Child, error) {
	l, err := theLauncher()
	if err != nil {
		return nil, err
	}
	if s.Limits, err = s.Limits.filled(); err != nil {
		return nil, fmt.Errorf("jail: %w", err)
	}
	o, err := s.order()
	if err == nil {
		err = l.admit(&s, o, s.Mounts)
	}
	if err != nil {
		return nil, fmt.Errorf("jail: %w", err)
	}
	c, err := l.start(ctx, &s, o, true)
	var we *WallError
	if errors.As(err, &we) && s.AllowWeak && we.Missing[0].Name == WallNotify {
		// Some outer sandbox already holds the one notifier that the kernel allows, or forbids to fetch it.
		c, err = l.start(ctx, &s, o, false)
		if err == nil {
			c.weaken(we.Missing...)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("jail: %w", err)
	}
	return c, nil
}

// start makes one attempt.
func (l *launcher) start(ctx context.Context, s *Spec, o *stage.Order, notify bool) (c *Child, err error) {
	f, err := l.filter(s.Profile, calls.Options{Notify: notify, Children: s.becomes(), Trace: s.trace != nil})
	if err != nil {
		return nil, err
	}
	o.Filter, o.Notify, o.Root, o.Wait = f.Code, f.Notifies, l.root, s.wait
	c = &Child{launcher: l, spec: s, heard: f.Calls}
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	if o.UID = s.UID; l.root && o.UID == 0 {
		c.uid = l.takeUID()
		o.UID = c.uid
	}
	weak := c.confine(&s.Limits, s.broken)
	if len(weak) > 0 && !s.AllowWeak {
		return c, &WallError{weak}
	}
	o.Limits.DataBytes = dataBytes(weak, s.Limits)
	control, err := l.spawnStage(s, o, c)
	defer func() {
		if control != nil {
			control.Close()
		}
	}()
	if err != nil {
		return c, err
	}
	if s.wait {
		p := &pending{spec: *s, control: control, notify: notify, weak: weak}
		control = nil
		return c, c.prepared(ctx, p)
	}
	out, err := converse(ctx, c, control)
	if s.probe && errors.Is(err, unix.ENOENT) {
		err = nil // every wall stood when the exec found no program
	}
	if err != nil {
		return c, err
	}
	c.stand(out, weak)
	if len(s.Places) > 0 {
		c.pending = &pending{spec: *s, weak: weak}
	}
	return c, nil
}

// stand notes which walls hold.
func (c *Child) stand(out stage.Outcome, weak []Missing) {
	c.Walls = append(out.Held, c.group.Held()...)
	c.weaken(append(weak, named(out.Missing)...)...)
}

// dataBytes bounds each process where no control group bounds them together: weaker, but an endless allocation ends.
func dataBytes(weak []Missing, l Limits) int64 {
	for _, m := range weak {
		if m.Name == WallMemory {
			return 2*l.MemoryBytes + 64<<20
		}
	}
	return 0
}

func groupLimits(l Limits) cgroup.Limits {
	return cgroup.Limits{MemoryBytes: l.MemoryBytes, Pids: l.Pids, CPUMillis: l.CPUMillis}
}

// confine makes the jail's control groups and says which walls they do not make.
func (c *Child) confine(l *Limits, broken []string) (weak []Missing) {
	g, absent := c.launcher.cgroups.Make(groupLimits(*l), broken)
	c.group = g
	if l.Yields {
		_ = g.Yield(true) // politeness, not a wall
	}
	for _, m := range absent {
		weak = append(weak, missing(m.Name, m.Err.Error()))
	}
	return weak
}

// spawnStage spawns the stage in its cgroup, with its order.
func (l *launcher) spawnStage(s *Spec, o *stage.Order, c *Child) (*net.UnixConn, error) {
	data := o.Encode()
	if len(data) > stage.MaxOrder {
		return nil, fmt.Errorf("order of %d bytes, at most %d", len(data), stage.MaxOrder)
	}
	ours, theirs, err := controlPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		ours.Close()
		return nil, err
	}
	defer null.Close()
	// The order waits for the stage, not the stage for the order: on a busy machine each turn taken is milliseconds.
	if _, err = ours.Write(data); err == nil {
		c.process, err = l.spawn(s.files(theirs, null), c.group)
	}
	if err != nil {
		ours.Close()
		return nil, err
	}
	return ours, nil
}

// controlPair is the socket between node and stage; one write is one message.
func controlPair() (*net.UnixConn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("making the control socket: %w", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "control")
	ours := os.NewFile(uintptr(fds[0]), "control")
	defer ours.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return conn.(*net.UnixConn), theirs, nil
}

// converse listens to the stage until it is the program (the socket closes by itself) or has failed.
func converse(ctx context.Context, c *Child, control *net.UnixConn) (out stage.Outcome, err error) {
	stop := interrupt(ctx, control)
	defer stop()
	ready := false
	buf, oob := make([]byte, 64<<10), make([]byte, unix.CmsgSpace(4*stage.MaxPassed))
	for {
		n, oobn, _, _, err := control.ReadMsgUnix(buf, oob)
		switch {
		case ctx.Err() != nil:
			_ = c.takeSockets(oob[:oobn]) // what came all the same is for Close to give back
			return out, ctx.Err()
		case err != nil || n == 0:
			if !ready {
				return out, fmt.Errorf("the stage ended without a word")
			}
			return out, nil
		case buf[0] == stage.TagNotifier && n == 5:
			if err := c.fetchNotifier(int(le32(buf[1:]))); err != nil {
				return out, &WallError{[]Missing{missing(WallNotify, err.Error())}}
			}
			if _, err := control.Write([]byte{0}); err != nil {
				return out, err
			}
		case buf[0] == stage.TagFailed && n == 5:
			return out, fmt.Errorf("executing the program: %w", unix.Errno(le32(buf[1:])))
		default:
			if err := c.hear(buf[:n], oob[:oobn], &out); err != nil {
				return out, err
			}
			ready = true
		}
	}
}

// interrupt ends reads from the stage together with ctx.
func interrupt(ctx context.Context, control *net.UnixConn) (stop func() bool) {
	return context.AfterFunc(ctx, func() { control.SetReadDeadline(time.Unix(1, 0)) })
}

// named adds the remedies.
func named(absent []stage.Missing) []Missing {
	ms := make([]Missing, len(absent))
	for i, m := range absent {
		ms[i] = missing(m.Name, m.Why)
	}
	return ms
}

func le32(b []byte) uint32 {
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}

// hear takes the stage's account of its walls, and the sockets that come with it.
func (c *Child) hear(data, oob []byte, out *stage.Outcome) error {
	if err := c.takeSockets(oob); err != nil {
		return err
	}
	if err := out.Decode(data); err != nil {
		return fmt.Errorf("reading the stage's report: %w", err)
	}
	switch {
	case out.Fatal == "":
		return nil
	case len(out.Missing) > 0 && out.Wall == "":
		return &WallError{named(out.Missing)}
	case out.Wall == "" || strings.Contains(out.Fatal, unix.ENOENT.Error()):
		return errors.New(out.Fatal) // the caller's mistake, a path that is not there: not a wall that is missing
	}
	return &WallError{[]Missing{missing(out.Wall, out.Fatal)}}
}

// takeSockets wraps the descriptors that came with a message, in the order of Spec.Listen.
func (c *Child) takeSockets(oob []byte) error {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return fmt.Errorf("reading descriptors: %w", err)
	}
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			return fmt.Errorf("reading descriptors: %w", err)
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			c.sockets = append(c.sockets, os.NewFile(uintptr(fd), "jail socket"))
		}
	}
	return nil
}
