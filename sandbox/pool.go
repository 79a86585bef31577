package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"casemate"
	"casemate/sandbox/api"
)

// Pool runs functions in sandboxes and keeps warm ones. It is safe for concurrent use; Close ends all of it.
type Pool struct {
	cfg        Config
	bootstraps string // folder of the unpacked runtimes
	userland   userland
	uids       uids
	slots      chan struct{} // one per sandbox that exists, retiring ones included
	ending     sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	running map[string]int         // runs by version id
	idle    map[string][]*instance // by version id, the one used last at the end
	live    map[*instance]struct{}
	back    chan struct{} // closed and replaced when a sandbox becomes idle
}

// New makes a pool. Nothing is started before the first run. The caller closes it.
func New(cfg Config) (*Pool, error) {
	if err := cfg.fill(context.Background()); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	p := &Pool{
		cfg: cfg, bootstraps: filepath.Join(dir, "bootstrap"), userland: readUserland(), uids: uids{used: map[int]bool{}},
		slots: make(chan struct{}, cfg.MaxSandboxes), running: map[string]int{}, idle: map[string][]*instance{},
		live: map[*instance]struct{}{}, back: make(chan struct{}),
	}
	if err := unpackBootstraps(p.bootstraps); err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	empty := filepath.Join(p.bootstraps, "empty") // readable whatever the umask
	if err := errors.Join(os.Mkdir(empty, 0o755), os.Chmod(empty, 0o755)); err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	return p, nil
}

var errClosed = casemate.Errorf(casemate.Unavailable, "send it again in a moment", "the node is stopping")

// enter counts a run of a version in, up to its concurrency.
func (p *Pool) enter(v *casemate.Version) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return errClosed
	}
	if p.running[v.ID] >= limits(v).Concurrency {
		return &casemate.Error{Code: casemate.Exhausted, Message: "the function runs as often as it may at once", Retry: 1,
			Field: "limits.concurrency", Hint: "send it again, or raise limits.concurrency"}
	}
	p.running[v.ID]++
	p.ending.Add(1)
	return nil
}

func (p *Pool) leave(v *casemate.Version) {
	p.mu.Lock()
	if p.running[v.ID]--; p.running[v.ID] == 0 {
		delete(p.running, v.ID)
	}
	p.mu.Unlock()
	p.ending.Done()
}

// take hands out a warm sandbox, or nil.
func (p *Pool) take(v *casemate.Version) *instance {
	for {
		p.mu.Lock()
		list := p.idle[v.ID]
		if len(list) == 0 {
			p.mu.Unlock()
			return nil
		}
		i := list[len(list)-1]
		p.setIdle(v.ID, list[:len(list)-1])
		p.mu.Unlock()
		if i.thaw() == nil && !i.dead() && p.young(i) {
			return i
		}
		p.retire(i)
	}
}

func (p *Pool) setIdle(id string, list []*instance) {
	if len(list) == 0 {
		delete(p.idle, id)
		return
	}
	p.idle[id] = list
}

func (p *Pool) young(i *instance) bool {
	return i.events < p.cfg.MaxEvents && p.cfg.Clock().Sub(i.started) < p.cfg.MaxLifetime
}

// fresh starts a sandbox when the node has room. cold is false when a warm one came back while it waited for room.
func (p *Pool) fresh(ctx context.Context, v *casemate.Version, request string) (i *instance, cold bool, err error) {
	if i, err = p.room(ctx, v); i != nil || err != nil {
		return i, false, err
	}
	if i, err = p.start(ctx, v, request); err != nil {
		<-p.slots
		return nil, true, err
	}
	p.mu.Lock()
	p.live[i] = struct{}{}
	p.mu.Unlock()
	return i, true, nil
}

// room waits until one more sandbox may exist, and counts it. An idle one of another version makes room; a warm one of
// this version that comes back meanwhile is the better answer.
func (p *Pool) room(ctx context.Context, v *casemate.Version) (*instance, error) {
	for {
		p.mu.Lock()
		back := p.back
		p.mu.Unlock()
		select {
		case p.slots <- struct{}{}:
			return nil, nil
		default:
		}
		if v.Isolation == casemate.IsolationWarm {
			if i := p.take(v); i != nil {
				return i, nil
			}
		}
		p.evict()
		select {
		case p.slots <- struct{}{}:
			return nil, nil
		case <-back:
		case <-ctx.Done():
			return nil, &casemate.Error{Code: casemate.Exhausted, Message: "the node has no sandbox free", Retry: 1,
				Hint: "send it again; the operator can raise the number of sandboxes", Err: ctx.Err()}
		}
	}
}

// evict retires the sandbox that has been idle longest.
func (p *Pool) evict() {
	p.mu.Lock()
	var oldest *instance
	for _, list := range p.idle {
		if oldest == nil || list[0].idleSince.Before(oldest.idleSince) {
			oldest = list[0]
		}
	}
	found := oldest != nil && p.removeIdle(oldest)
	p.mu.Unlock()
	if found {
		p.retire(oldest)
	}
}

// removeIdle takes a sandbox out of the idle ones; false when a run has it. The caller holds the lock.
func (p *Pool) removeIdle(i *instance) bool {
	list := p.idle[i.version.ID]
	k := slices.Index(list, i)
	if k < 0 {
		return false
	}
	p.setIdle(i.version.ID, slices.Delete(list, k, k+1))
	return true
}

// keep makes a sandbox available for the next event and stops its processes until then.
func (p *Pool) keep(i *instance) {
	p.mu.Lock()
	if p.closed || i.stale || i.dead() || !p.young(i) {
		p.mu.Unlock()
		p.retire(i)
		return
	}
	i.idleSince = p.cfg.Clock()
	i.mu.Lock()
	left := min(p.cfg.IdleTimeout, p.cfg.MaxLifetime-i.idleSince.Sub(i.started))
	i.timers = []*time.Timer{time.AfterFunc(p.cfg.FreezeAfter, i.freeze), time.AfterFunc(left, func() { p.expire(i) })}
	i.mu.Unlock()
	p.idle[i.version.ID] = append(p.idle[i.version.ID], i)
	close(p.back)
	p.back = make(chan struct{})
	p.mu.Unlock()
}

// keepLater keeps a sandbox whose runtime answered and still works, when it is done by the deadline of its run.
func (p *Pool) keepLater(i *instance, inv *api.Invocation) {
	p.ending.Go(func() {
		if i.waitIdle(inv, inv.Deadline().Sub(p.cfg.Clock())) && inv.IsIdle() {
			p.keep(i)
			return
		}
		p.end(i)
	})
}

// expire ends a sandbox that nobody used.
func (p *Pool) expire(i *instance) {
	p.mu.Lock()
	found := p.removeIdle(i)
	p.mu.Unlock()
	if found {
		p.retire(i)
	}
}

// retire ends a sandbox in the background. Close waits for it.
func (p *Pool) retire(i *instance) {
	p.ending.Go(func() { p.end(i) })
}

func (p *Pool) end(i *instance) {
	i.stopTimers()
	i.destroy()
	p.mu.Lock()
	delete(p.live, i)
	p.mu.Unlock()
	<-p.slots
}

// Drop retires every sandbox of a version: idle ones now, busy ones after their run. A version that runs again later,
// after a rollback say, is started afresh.
func (p *Pool) Drop(versionID string) {
	p.mu.Lock()
	list := p.idle[versionID]
	delete(p.idle, versionID)
	p.mark(versionID, true)
	p.mu.Unlock()
	for _, i := range list {
		p.retire(i)
	}
	if p.cfg.Wasm != nil {
		p.cfg.Wasm.Drop(versionID)
	}
}

// Keep undoes Drop for sandboxes that are still busy: the version came back.
func (p *Pool) Keep(versionID string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mark(versionID, false)
}

// mark says of a version's sandboxes whether they end after their run. The caller holds the lock.
func (p *Pool) mark(versionID string, stale bool) {
	for i := range p.live {
		if i.version.ID == versionID {
			i.stale = stale
		}
	}
}

// Close refuses new runs, ends idle sandboxes, waits for runs until ctx ends, then kills them. Nothing of the pool runs
// when it returns.
func (p *Pool) Close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	idle := p.idle
	p.idle = map[string][]*instance{}
	p.mu.Unlock()
	for _, list := range idle {
		for _, i := range list {
			p.retire(i)
		}
	}
	done := make(chan struct{})
	go func() { p.ending.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		p.mu.Lock()
		for i := range p.live {
			_ = i.child.Kill() // its run sees the end and cleans up
		}
		p.mu.Unlock()
		<-done
	}
	var err error
	if p.cfg.Wasm != nil {
		err = p.cfg.Wasm.Close(ctx)
	}
	return errors.Join(err, os.RemoveAll(p.bootstraps))
}

// Status is one sandbox as an operator sees it.
type Status struct {
	App      string    `json:"app"`
	Function string    `json:"function"`
	Version  int       `json:"version"`
	Started  time.Time `json:"started"`
	Events   int       `json:"events"`
	State    string    `json:"state"` // busy, idle, frozen
	Walls    []string  `json:"walls"`
	Weak     []string  `json:"weak,omitempty"`
}

// Snapshot lists the native sandboxes that exist now, in the order they were started.
func (p *Pool) Snapshot() []Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]Status, 0, len(p.live))
	for i := range p.live {
		v := i.version
		s := Status{App: v.App, Function: v.Function, Version: v.Number, Started: i.started, State: "busy",
			Walls: i.child.Walls, Weak: i.child.Weak}
		if slices.Contains(p.idle[v.ID], i) { // only then nobody else writes its fields
			s.State, s.Events = i.state(), i.events
		}
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b Status) int { return a.Started.Compare(b.Started) })
	return list
}

// uids hands out a user of its own to each sandbox of a node that runs as root, next to the jail's own pool, so that
// /etc/passwd inside can name it.
type uids struct {
	mu   sync.Mutex
	next int
	used map[int]bool
}

// A range that no distribution hands out (systemd, "Users, Groups, UIDs and GIDs").
const (
	firstUID = 0x70200000
	uidCount = 1 << 20
)

func (u *uids) take() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	for {
		uid := firstUID + u.next
		u.next = (u.next + 1) % uidCount
		if !u.used[uid] {
			u.used[uid] = true
			return uid
		}
	}
}

func (u *uids) give(uid int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.used, uid)
}
