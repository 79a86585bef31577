package sandbox

import (
	"context"
	"net"
	"slices"

	"casemate"
)

// Where debuggers of Node and Python listen inside a sandbox: the ports that their users know. Each sandbox has a loopback of
// its own, which nobody outside reaches but through Pool.Debug.
const (
	nodePort   = 9229
	pythonPort = 5678
)

// debugged is the word for a sandbox that a debugger may steer, beside the walls that are missing: every record of a run in
// it says so.
const debugged = "debugger"

// debugs says whether a version's runtime takes a debugger: when the node was told so, and at no function's wish.
func (p *Pool) debugs(v *casemate.Version) bool {
	if p.cfg.Debug == nil || v == nil || !p.cfg.Debug(v) {
		return false
	}
	family := v.Runtime.Family()
	return family == "nodejs" || family == "python"
}

// withDebugger is how a runtime is started that takes one. Node tells where it listens at /json/list and not on stderr, which
// is the function's log.
func (n *need) withDebugger(family string, argv []string) []string {
	switch {
	case !n.debug:
		return argv
	case family == "nodejs":
		return slices.Insert(argv, 1, "--inspect=127.0.0.1:9229", "--inspect-publish-uid=http")
	}
	return append(argv, "--debug")
}

// Debug connects to the debugger of the sandbox that a function has now, and says whether it speaks HTTP, as Node's does.
// Only functions that Config.Debug names have one. The caller closes the connection.
func (p *Pool) Debug(ctx context.Context, function string) (c net.Conn, web bool, err error) {
	p.mu.Lock()
	var i *instance
	for x := range p.live {
		if x.version != nil && x.version.Function == function && x.beside != nil && !x.stale && !x.dead() && p.debugs(x.version) && (i == nil || x.started.After(i.started)) {
			i = x
		}
	}
	p.mu.Unlock()
	if i == nil {
		return nil, false, casemate.Errorf(casemate.Unavailable, "mend what keeps it from starting, or call it once", "no sandbox of %s runs", function)
	}
	port := pythonPort
	if web = i.version.Runtime.Family() == "nodejs"; web {
		port = nodePort
	}
	c, err = i.beside.dial(ctx, port)
	return c, web, err
}

// begin notes that a sandbox of a version is being started; false: one is already, and a version with a debugger has one at a
// time.
func (p *Pool) begin(v *casemate.Version) bool {
	if !p.debugs(v) {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.starting[v.ID] || p.lives(v.ID) {
		return false
	}
	p.starting[v.ID] = true
	return true
}

// begun undoes begin, however the start went.
func (p *Pool) begun(v *casemate.Version) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.starting[v.ID] {
		delete(p.starting, v.ID)
		p.wake()
	}
}

// lives says whether a version has a sandbox. The caller holds the lock.
func (p *Pool) lives(versionID string) bool {
	for i := range p.live {
		if i.version != nil && i.version.ID == versionID && !i.dead() {
			return true
		}
	}
	return false
}

// wake has those look again who wait for a sandbox. The caller holds the lock.
func (p *Pool) wake() {
	close(p.back)
	p.back = make(chan struct{})
}

// sole hands out the one sandbox of a version with a debugger, and waits while another event has it. nil: there is none, and
// the caller starts it between begin, which has happened, and begun.
func (p *Pool) sole(ctx context.Context, v *casemate.Version, key string) (*instance, error) {
	for {
		p.mu.Lock()
		back := p.back
		p.mu.Unlock()
		if i := p.take(key); i != nil {
			return i, nil
		}
		if i := p.provisioned(v); i != nil {
			return i, nil
		}
		if p.begin(v) {
			return nil, nil
		}
		select {
		case <-back:
		case <-ctx.Done():
			return nil, &casemate.Error{Code: casemate.Exhausted, Message: "the function is being debugged: its one sandbox is busy", Retry: 1,
				Hint: "let it go on, and send it again", Err: ctx.Err()}
		}
	}
}

// waiting takes a sandbox that can have the event at once, or nil.
func (r *run) waiting(ctx context.Context) (i *instance, err error) {
	p, v := r.pool, r.launch.Version
	if p.debugs(v) {
		return p.sole(ctx, v, r.key)
	}
	if r.key != "" {
		i = p.take(r.key)
	}
	if i == nil {
		i = p.provisioned(v)
	}
	return i, nil
}
