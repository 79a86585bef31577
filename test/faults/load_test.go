package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"

	"casemate"
	"casemate/authn"
)

// promise is what callers were told, over the lives of one node.
type promise struct {
	mu       sync.Mutex
	queued   map[string]string // function of each event answered with 202, by id
	answered map[string]string // function of each call answered with 200 or with the function's failure, by id
	hung     map[string]bool   // trace ids of calls that were under way when the node died
	keys     map[string]*key
	asked    int // newest generation sent
	deployed int // newest generation acknowledged
	broken   []string
}

// key is an API key, and what its owner was told of it.
type key struct {
	secret  string
	asked   bool // its revocation was sent
	revoked bool // and acknowledged
}

func newPromise() *promise {
	return &promise{queued: map[string]string{}, answered: map[string]string{}, hung: map[string]bool{}, keys: map[string]*key{}}
}

func (p *promise) breach(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.broken) < 20 {
		p.broken = append(p.broken, fmt.Sprintf(format, args...))
	}
}

// load is mixed work on one life of a node. Its workers stop when the node does not answer any more, or ctx ends.
type load struct {
	t     *testing.T
	n     *node
	p     *promise
	key   string
	ctx   context.Context
	count chan struct{} // one for each acknowledgement
	group sync.WaitGroup
	seed  uint64
}

// open makes a load without workers.
func (p *promise) open(t *testing.T, n *node, key string, seed uint64) *load {
	l := &load{t: t, n: n, p: p, key: key, count: make(chan struct{}, 1<<16), seed: seed}
	var stop context.CancelFunc
	l.ctx, stop = context.WithCancel(t.Context())
	go func() { <-n.Ended; stop() }()
	return l
}

// begin starts the workers. Enough acknowledgements are awaited with reach.
func (p *promise) begin(t *testing.T, n *node, key string, seed uint64) *load {
	l := p.open(t, n, key, seed)
	l.worker(0, func(*rand.Rand) bool { return l.sync("POST", "/echo", "echo", 200) })
	l.worker(1, func(*rand.Rand) bool { return l.sync("POST", "/echo", "echo", 200) })
	l.worker(2, func(*rand.Rand) bool { return l.sync("POST", "/warm", "warm", 200) })
	l.worker(3, func(*rand.Rand) bool { return l.sync("POST", "/trap", "trap", 502) })
	for i := range 3 {
		l.worker(4+uint64(i), func(r *rand.Rand) bool { return l.async([]string{"echo", "echo", "warm", "trap"}[r.IntN(4)]) })
	}
	l.worker(7, func(*rand.Rand) bool { return l.keys() })
	l.worker(8, func(*rand.Rand) bool { return l.deploys() })
	for i := range 2 {
		l.group.Go(func() { l.hang(fmt.Sprintf("%016x%016x", seed|1, i+1)) })
	}
	return l
}

func (l *load) worker(i uint64, step func(*rand.Rand) bool) {
	rnd := rand.New(rand.NewPCG(l.seed, i))
	l.group.Go(func() {
		for l.ctx.Err() == nil && step(rnd) {
			l.count <- struct{}{}
		}
	})
}

// reach waits for so many acknowledgements.
func (l *load) reach(acks int) {
	l.t.Helper()
	for range acks {
		select {
		case <-l.count:
		case <-l.n.Ended:
			l.t.Fatalf("the node ended by itself: %v\n%s", l.n.Err, l.n.Said)
		}
	}
}

// end waits for the workers, which end with the node.
func (l *load) end() {
	l.t.Helper()
	for done := false; !done; {
		select {
		case <-l.count:
		default:
			done = true
		}
	}
	l.group.Wait()
	for _, b := range l.p.broken {
		l.t.Error(b)
	}
}

func (l *load) sync(method, path, function string, want int) bool {
	a, err := l.n.send(method, path, l.key, `{"a":1}`, "", false)
	if err != nil {
		return false
	}
	if a.status != want {
		l.p.breach("%s answered %d: %s", path, a.status, a.body)
		return false
	}
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	l.p.answered[a.id] = function
	return true
}

func (l *load) async(function string) bool {
	a, err := l.n.send("POST", "/"+function, l.key, `{"a":1}`, "", true)
	if err != nil {
		return false
	}
	if a.status != 202 {
		l.p.breach("%s, asynchronous, answered %d: %s", function, a.status, a.body)
		return false
	}
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	l.p.queued[a.id] = function
	return true
}

// refused notes what the node refused; no answer at all is the end of the node.
func (l *load) refused(what string, err error) bool {
	if c := casemate.CodeOf(err); c != casemate.Unavailable && l.ctx.Err() == nil {
		l.p.breach("%s: %s: %v", what, c, err)
	}
	return false
}

// keys makes a key, uses it, revokes it in most cases and uses it again.
func (l *load) keys() bool {
	var made struct {
		Secret string
		Key    authn.Key
	}
	if err := l.n.call("keys.create", map[string]string{"name": "load", "role": "reader"}, &made); err != nil {
		return l.refused("making a key", err)
	}
	k := &key{secret: made.Secret}
	l.p.mu.Lock()
	l.p.keys[made.Key.ID] = k
	keep := len(l.p.keys)%4 == 0
	l.p.mu.Unlock()
	if !l.opens(k, true) || keep {
		return keep
	}
	l.p.mu.Lock()
	k.asked = true
	l.p.mu.Unlock()
	if err := l.n.call("keys.revoke", map[string]string{"id": made.Key.ID}, nil); err != nil {
		return l.refused("revoking a key", err)
	}
	l.p.mu.Lock()
	k.revoked = true
	l.p.mu.Unlock()
	return l.opens(k, false)
}

func (l *load) opens(k *key, want bool) bool {
	a, err := l.n.send("GET", "/said", k.secret, "", "", false)
	if err != nil {
		return false
	}
	if open := a.status != 401; open != want {
		l.p.breach("a key opens: %t, %t is right (status %d: %s)", open, want, a.status, a.body)
	}
	return true
}

func (l *load) deploys() bool {
	l.p.mu.Lock()
	l.p.asked++
	generation := l.p.asked
	l.p.mu.Unlock()
	if err := l.n.deploy(sayerBundle(l.t, generation)); err != nil {
		return l.refused("deploying", err)
	}
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	l.p.deployed = generation
	return true
}

// hang sends what is never answered: it is under way when the node dies.
func (l *load) hang(trace string) {
	l.p.mu.Lock()
	l.p.hung[trace] = true
	l.p.mu.Unlock()
	if a, err := l.n.send("POST", "/hang", l.key, "", trace, false); err == nil {
		l.p.breach("what hangs was answered with %d: %s", a.status, a.body)
	}
}

// holds asks the node for what is in force: the newest deploy, every key that was made, no key that was revoked.
func (p *promise) holds(t *testing.T, n *node, reader string) {
	t.Helper()
	a, err := n.send("GET", "/said", reader, "", "", false)
	if err != nil {
		t.Fatal(err)
	}
	got, _ := strconv.Atoi(string(a.body))
	if a.status != 200 || got < p.deployed || got > p.asked {
		t.Errorf("deploy %d was acknowledged, %d sent; in force is %q (status %d)", p.deployed, p.asked, a.body, a.status)
	}
	for id, k := range p.keys {
		a, err := n.send("GET", "/said", k.secret, "", "", false)
		switch {
		case err != nil:
			t.Fatal(err)
		case k.revoked && a.status != 401:
			t.Errorf("key %s was revoked and opens again: %d", id, a.status)
		case !k.asked && a.status != 200:
			t.Errorf("key %s was made and does not open: %d %s", id, a.status, a.body)
		}
	}
}
