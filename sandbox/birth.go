package sandbox

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"casemate"
	"casemate/sandbox/api"
	"casemate/sandbox/jail"
)

// need is what a sandbox of a version takes, gathered before it is known which sandbox that will be.
type need struct {
	version *casemate.Version
	program program
	dir     string // of the code
	opt     string // of the layers; "": it has none
	release func() // of both
	door    Door
	fx      *effects
	request string
	began   time.Time

	extensions []string // to be started beside the runtime, by their paths inside
	debug      bool     // a debugger may steer it
}

// attended says whether another process than the runtime comes first in the sandbox, which starts programs and leads the node
// to what listens inside.
func (n *need) attended() bool { return len(n.extensions) > 0 || n.debug }

// gather fetches the code of a version and makes its door.
func (p *Pool) gather(ctx context.Context, v *casemate.Version, request string) (*need, error) {
	n := &need{version: v, fx: &effects{}, request: request, began: p.cfg.Clock(), debug: p.debugs(v)}
	var err error
	if n.dir, n.release, err = p.cfg.Code(ctx, v); err != nil {
		return nil, fmt.Errorf("fetching the code: %w", err)
	}
	if err = p.layers(ctx, n); err == nil {
		n.program, err = p.program(n)
	}
	if err == nil && len(n.extensions) > 0 && atOnce(v) > 1 {
		err = casemate.Errorf(casemate.Invalid, "leave out its extensions, or sandbox_concurrency", "an extension is told of one event at a time, and a sandbox of the function has several")
	}
	if err == nil && p.cfg.Doors != nil {
		if n.door, err = p.cfg.Doors(v, n.fx.add); err != nil {
			err = fmt.Errorf("making the door: %w", err)
		}
	}
	if err != nil {
		n.release()
		return nil, err
	}
	return n, nil
}

// start gives a version a sandbox, one that waits when there is one, and returns when its program runs; it may not be
// initialised yet. l is the event that it is started for, nil when it is made ahead: what it asks for while it initialises
// is that event's doing, or functions that call each other while they initialise would never be seen to loop.
func (p *Pool) start(ctx context.Context, v *casemate.Version, l *casemate.Launch) (*instance, error) {
	request := ""
	if l != nil {
		request = l.RequestID
	}
	n, err := p.gather(ctx, v, request)
	if err != nil {
		return nil, err
	}
	if l != nil && n.door != nil {
		n.door.Begin(l)
	}
	if i := p.adopt(ctx, n); i != nil {
		return i, nil
	}
	i := p.blank()
	p.own(i, n)
	spec := p.spec(n, i.uid)
	if n.attended() {
		i.entry = n.program.argv[0]
		if spec.Files, err = p.besides(i, n.extensions); err != nil {
			i.destroy()
			return nil, err
		}
	}
	if err := i.launch(ctx, &spec, jail.Start); err != nil {
		i.destroy()
		return nil, startError(err, request, spec.Argv[0])
	}
	if err = i.serve(0); err == nil {
		err = i.open()
	}
	if err != nil {
		i.destroy()
		return nil, err
	}
	return i, nil
}

// blank is a sandbox without a process, and nobody's. What it writes before it is somebody's is read and dropped.
func (p *Pool) blank() *instance {
	uid := p.uids.take()
	i := &instance{uid: uid, born: p.cfg.Clock(), exited: make(chan struct{}), over: make(chan struct{}), reason: "spindown", fx: &effects{}, release: func() { p.uids.give(uid) }, lost: p.lost}
	i.started = i.born
	i.logs = &runLog{emit: func(string, string, string, string) {}}
	i.api = api.New(func(x casemate.Effect) { i.fx.add(x) }, p.cfg.Clock, api.Identity{})
	return i
}

// own makes a sandbox a version's: its log, its record, its door and its code. From here on destroy gives all of it back.
func (p *Pool) own(i *instance, n *need) {
	v, uid := n.version, i.uid
	p.mu.Lock()
	i.version, i.started, i.fx, i.door, i.debug = v, n.began, n.fx, n.door, n.debug
	p.mu.Unlock()
	i.release = func() { n.release(); p.uids.give(uid) }
	i.logs.adopt(func(stream, level, request, text string) {
		p.cfg.Logs(casemate.LogLine{At: p.cfg.Clock(), App: v.App, Function: v.Function, Version: v.Number,
			Request: request, Stream: stream, Level: level, Text: text})
	}, limits(v).Output)
	if most := atOnce(v); most > 1 {
		i.shift = &shift{most: most}
		i.api.Several(most)
	}
	i.api.Identify(api.Identity{FunctionName: v.Function, FunctionVersion: v.Name(), Handler: v.Handler,
		AccountID: p.cfg.Place.Account})
	if n.program.note != "" {
		i.logs.platform("RUNTIME " + n.program.note)
	}
}

// disown takes back what own gave, for a sandbox that turned out to be of no use.
func (p *Pool) disown(i *instance) {
	uid := i.uid
	p.mu.Lock()
	i.version, i.door, i.shift = nil, nil, nil
	p.mu.Unlock()
	i.release = func() { p.uids.give(uid) }
	i.logs.adopt(func(string, string, string, string) {}, 0)
}

// onConnect and onCall judge and record what the jail sees.
func (p *Pool) onConnect(n *need) func(network, address string) bool {
	if w, ok := n.door.(watcher); ok {
		return w.OnConnect
	}
	return func(network, address string) bool {
		n.fx.add(casemate.Effect{At: p.cfg.Clock(), Kind: casemate.EffectConnect, Target: address, Reason: "no grant names this address (" + network + ")"})
		return false
	}
}

func (p *Pool) onCall(n *need) func(jail.Call) {
	return func(c jail.Call) { n.fx.add(called(c, p.cfg.Clock())) }
}

// launch starts the jail, by jail.Start or jail.Prepare.
func (i *instance) launch(ctx context.Context, spec *jail.Spec, start func(context.Context, jail.Spec) (*jail.Child, error)) error {
	var err error
	if spec.Stdout, err = i.logs.pipe("stdout", nil); err != nil {
		return fmt.Errorf("opening stdout: %w", err)
	}
	defer spec.Stdout.Close()
	if spec.Stderr, err = i.logs.pipe("stderr", nil); err != nil {
		return fmt.Errorf("opening stderr: %w", err)
	}
	defer spec.Stderr.Close()
	framed, err := i.logs.framed()
	if err != nil {
		return err
	}
	defer framed.Close()
	for _, f := range spec.Files {
		defer f.Close()
	}
	spec.Files = append(spec.Files, framed)
	if i.child, err = start(ctx, *spec); err != nil {
		return err
	}
	i.process, _ = os.FindProcess(i.child.Pid()) // never fails on Unix; before Wait the number is still its own
	i.served.Go(func() {
		x, _ := i.child.Wait() // an error leaves the zero Exit, and the process is gone all the same
		i.end(x)
		close(i.over)
	})
	if i.beside != nil {
		i.served.Go(func() { i.beside.run(i) }) // ends with the first process
	}
	return nil
}

// serve answers at the k-th socket of the jail as the Runtime API.
func (i *instance) serve(k int) error {
	l, err := i.child.Listener(k)
	if err != nil {
		return fmt.Errorf("opening the Runtime API: %w", err)
	}
	i.served.Go(func() { i.api.Serve(l) }) // ends with Close
	return nil
}

// open hands the sockets of the door to it. They come after that of the Runtime API.
func (i *instance) open() error {
	if i.door == nil {
		return nil
	}
	for k, text := range i.door.Doorway().Listen {
		var l net.Listener
		var c net.PacketConn
		var err error
		if text[:3] == "udp" {
			c, err = i.child.PacketConn(k + 1)
		} else {
			l, err = i.child.Listener(k + 1)
		}
		if err != nil {
			return fmt.Errorf("opening the door: %w", err)
		}
		i.door.Serve(k, l, c)
	}
	return nil
}
