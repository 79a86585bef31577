package sandbox

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"casemate"
	"casemate/sandbox/api"
	"casemate/sandbox/jail"
)

// Pool runs functions in sandboxes and keeps warm ones. It is safe for concurrent use; Close ends all of it.
type Pool struct {
	cfg        Config
	bootstraps string // folder of the unpacked runtimes
	self       string // the node's own binary, the first process of sandboxes with extensions
	userland   userland
	uids       uids
	slots      chan struct{} // one per sandbox that is a version's, retiring ones included
	ending     sync.WaitGroup
	assigns    bool            // interpreters that run already can be made a version's
	ctx        context.Context // ends with Close: of what is made ahead
	cancel     context.CancelFunc
	salt       [16]byte // of the names of partitions

	mu      sync.Mutex
	closed  bool
	running map[string]int         // runs by version id
	idle    map[string][]*instance // by key, the one used last at the end
	shared  map[string][]*instance // by key, those with several events at once that have some
	live    map[*instance]struct{}
	back    chan struct{} // closed and replaced when a sandbox becomes idle

	shelves  map[string]*shelf    // of waiting sandboxes, by class
	inForce  map[string]*standing // by version id
	standing map[string]*standing // those of them with sandboxes of their own
	pins     map[string]int       // versions in force, by class
	filling  bool                 // fill runs
	starting map[string]bool      // versions with a debugger whose one sandbox is being started, by id
}

// New makes a pool. Nothing is started before the first run. The caller closes it.
func New(cfg Config) (*Pool, error) {
	if err := cfg.fill(context.Background()); err != nil {
		return nil, err
	}
	if cfg.NodeSDK != "" {
		sdk, err := nodeSDK(cfg.NodeSDK)
		if err != nil {
			return nil, err
		}
		cfg.NodeSDK = sdk
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	p := &Pool{
		cfg: cfg, bootstraps: filepath.Join(dir, "bootstrap"), userland: readUserland(), uids: uids{used: map[int]bool{}},
		slots: make(chan struct{}, cfg.MaxSandboxes), running: map[string]int{}, idle: map[string][]*instance{}, shared: map[string][]*instance{},
		live: map[*instance]struct{}{}, back: make(chan struct{}), assigns: jail.CanAssign(), shelves: map[string]*shelf{},
		inForce: map[string]*standing{}, standing: map[string]*standing{}, pins: map[string]int{}, starting: map[string]bool{},
	}
	if p.self, err = os.Executable(); err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	rand.Read(p.salt[:]) // never fails
	if err := unpackBootstraps(p.bootstraps); err != nil {
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

// keyOf names the events that may share a sandbox; "" shares with none.
func keyOf(l *casemate.Launch) (string, error) {
	switch v := l.Version; v.Isolation {
	case casemate.IsolationWarm:
		return v.ID, nil
	case casemate.IsolationTenant:
		if l.Partition == "" {
			return "", casemate.Errorf(casemate.Invalid, "say whose event it is as the function's tenant setting asks for it, or set isolation: request",
				"the function keeps tenants apart and the event names none")
		}
		return v.ID + "\x00" + l.Partition, nil
	}
	return "", nil
}

// take hands out a sandbox that is kept for a key, or a place in one that has events of the key, or nil. One that takes several
// events at once is up and can be joined before anybody else looks, so that a burst fills it and starts no others.
func (p *Pool) take(key string) *instance {
	usable := func(i *instance) bool { return i.thaw() == nil && !i.dead() && p.young(i) }
	for {
		p.mu.Lock()
		i := p.join(key)
		list := p.idle[key]
		if i != nil || len(list) == 0 {
			p.mu.Unlock()
			return i
		}
		i = list[len(list)-1]
		p.setIdle(key, list[:len(list)-1])
		several := i.shift != nil
		ok := several && usable(i)
		if ok {
			p.seat(i)
		}
		p.mu.Unlock()
		if ok || !several && usable(i) {
			return i
		}
		p.retire(i)
	}
}

// dedicate notes whose events a sandbox sees from now on.
func (p *Pool) dedicate(i *instance, key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i.key = key
}

func (p *Pool) setIdle(key string, list []*instance) {
	if len(list) == 0 {
		delete(p.idle, key)
		return
	}
	p.idle[key] = list
}

// young reports whether a sandbox may see one more event: however busy it is, its time and its events are counted.
func (p *Pool) young(i *instance) bool {
	if i.debug {
		return true
	}
	most := min(p.cfg.MaxEvents, limits(i.version).Events)
	return i.events.Load() < int64(most) && p.cfg.Clock().Sub(i.started) < p.lifetime(i.version)
}

func (p *Pool) lifetime(v *casemate.Version) time.Duration {
	return min(p.cfg.MaxLifetime, limits(v).Lifetime)
}

// fresh starts a sandbox when the node has room. cold is false when one of its key came back while it waited for room.
func (p *Pool) fresh(ctx context.Context, l *casemate.Launch, key string) (i *instance, cold bool, err error) {
	if i, err = p.room(ctx, key); i != nil || err != nil {
		return i, false, err
	}
	if i, err = p.start(ctx, l.Version, l); err != nil {
		<-p.slots
		return nil, true, err
	}
	p.enlist(i)
	return i, true, nil
}

// enlist counts a sandbox that runs as its version's.
func (p *Pool) enlist(i *instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.live[i], i.counted = struct{}{}, true
}

// room waits until one more sandbox may exist, and counts it. An idle one of another key makes room; one of this key that
// comes back meanwhile is the better answer.
func (p *Pool) room(ctx context.Context, key string) (*instance, error) {
	for {
		p.mu.Lock()
		back := p.back
		p.mu.Unlock()
		select {
		case p.slots <- struct{}{}:
			return nil, nil
		default:
		}
		if key != "" {
			if i := p.take(key); i != nil {
				return i, nil
			}
		}
		p.evict(0)
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

// evict retires the sandbox that has been idle longest, when more than so many are; of those that stand by for a version
// one goes only when there is no other.
func (p *Pool) evict(most int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var oldest *instance
	n := 0
	for _, list := range p.idle {
		n += len(list)
		if oldest == nil || list[0].idleSince.Before(oldest.idleSince) {
			oldest = list[0]
		}
	}
	if oldest != nil && n > most && p.removeIdle(oldest) {
		p.retire(oldest)
	}
	if oldest != nil || most > 0 {
		return
	}
	for _, st := range p.standing {
		if len(st.ready) > 0 {
			p.retire(st.ready[0])
			st.ready = st.ready[1:]
			return
		}
	}
}

// removeIdle takes a sandbox out of the idle ones; false when a run has it. The caller holds the lock.
func (p *Pool) removeIdle(i *instance) bool {
	list := p.idle[i.key]
	k := slices.Index(list, i)
	if k < 0 {
		return false
	}
	p.setIdle(i.key, slices.Delete(list, k, k+1))
	return true
}

// keep makes a sandbox available for the next event of its key and stops its processes until then.
func (p *Pool) keep(i *instance) {
	p.mu.Lock()
	if p.closed || i.stale || i.dead() || !p.young(i) {
		p.mu.Unlock()
		p.retire(i)
		return
	}
	i.idleSince = p.cfg.Clock()
	p.rest(i, min(p.cfg.IdleTimeout, p.lifetime(i.version)-i.idleSince.Sub(i.started)), func() { p.expire(i) })
	p.idle[i.key] = append(p.idle[i.key], i)
	p.wake()
	p.mu.Unlock()
	p.evict(p.cfg.MaxKept)
}

// rest has an unused sandbox stopped soon, and end called after left.
func (p *Pool) rest(i *instance, left time.Duration, end func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.debug { // what listens inside answers at any time
		i.timers = []*time.Timer{}
		return
	}
	i.timers = []*time.Timer{time.AfterFunc(p.cfg.FreezeAfter, i.freeze), time.AfterFunc(left, end)}
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
	defer p.mu.Unlock()
	if p.removeIdle(i) && !p.closed { // what Close found it ends itself
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
	if i.counted {
		<-p.slots
	}
	p.mu.Lock()
	if i.debug {
		p.wake()
	}
	p.refill() // there may be room now for one that should stand by
	p.mu.Unlock()
}

// Drop retires every sandbox of a version: idle ones now, busy ones after their run. Nothing is made ahead for it any
// more. A version that runs again later, after a rollback say, is started afresh.
func (p *Pool) Drop(versionID string) {
	p.mu.Lock()
	p.withdraw(versionID)
	for key, list := range p.idle {
		if list[0].version.ID == versionID {
			delete(p.idle, key)
			for _, i := range list {
				p.retire(i)
			}
		}
	}
	p.mark(versionID, true)
	p.mu.Unlock()
	if p.cfg.Wasm != nil {
		p.cfg.Wasm.Drop(versionID)
	}
}

// mark says of a version's sandboxes whether they end after their run. The caller holds the lock.
func (p *Pool) mark(versionID string, stale bool) {
	for i := range p.live {
		if i.version != nil && i.version.ID == versionID {
			i.stale = stale
		}
	}
}

// Close refuses new runs, ends idle sandboxes, waits for runs until ctx ends, then kills them. Nothing of the pool runs
// when it returns.
func (p *Pool) Close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	p.cancel()
	for _, list := range p.idle {
		for _, i := range list {
			p.retire(i)
		}
	}
	for _, s := range p.shelves {
		for _, i := range s.ready {
			p.retire(i)
		}
		s.ready = nil
	}
	for id := range p.inForce {
		p.withdraw(id)
	}
	p.idle = map[string][]*instance{}
	p.mu.Unlock()
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
