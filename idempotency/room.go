// Package idempotency remembers which asynchronous events were accepted under an idempotency key, so that one that is sent again
// is accepted once. What it remembers is durable before the caller hears of it, for Window, and bounded: where there is no
// more room, events with a key are refused, never forgotten early.
package idempotency

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"casemate"
	"casemate/store"
)

// Window is how long a key is remembered.
const Window = time.Hour

// Bounds of what is remembered: about 300 bytes of memory and disk each.
const (
	Most       = 100_000 // keys, on a node
	MostCaller = 25_000  // of them by one caller
	pause      = time.Minute
)

// Config is what the room needs; all but Log, Most and MostCaller.
type Config struct {
	Store      store.Store
	Clock      func() time.Time
	Log        *slog.Logger
	Most       int
	MostCaller int
}

// Room knows the keys. All methods may be called concurrently.
type Room struct {
	cfg    Config
	kv     store.KV
	ctx    context.Context // of the sweep; ended by Close
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu      sync.Mutex
	busy    map[string]chan struct{} // keys that are being accepted
	callers map[string]int           // keys remembered or being accepted, by caller
	total   int
	swept   time.Time
	closed  bool
}

// Open counts what is remembered.
func Open(ctx context.Context, cfg Config) (*Room, error) {
	if cfg.Store == nil || cfg.Clock == nil {
		return nil, errors.New("opening the idempotency keys: the configuration is incomplete")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Most <= 0 {
		cfg.Most = Most
	}
	if cfg.MostCaller <= 0 {
		cfg.MostCaller = MostCaller
	}
	kv, err := cfg.Store.KV("idempotency")
	if err != nil {
		return nil, fmt.Errorf("opening the idempotency keys: %w", err)
	}
	all, err := kv.List(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("opening the idempotency keys: %w", err)
	}
	r := &Room{cfg: cfg, kv: kv, busy: map[string]chan struct{}{}, callers: map[string]int{}, total: len(all)}
	r.ctx, r.cancel = context.WithCancel(context.WithoutCancel(ctx))
	for _, e := range all {
		o, err := read(e)
		if err != nil {
			return nil, err
		}
		r.callers[o.Caller]++
	}
	return r, nil
}

// Close ends the sweep. The store must still be open.
func (r *Room) Close() error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.cancel()
	r.work.Wait()
	return nil
}

func read(e store.Entry) (o casemate.Once, err error) {
	if err = json.Unmarshal(e.Value, &o); err != nil {
		err = fmt.Errorf("reading idempotency key %.12s: %w", e.Key, err)
	}
	return o, err
}

// known is what is remembered of a key. revision is what a write of it expects.
func (r *Room) known(ctx context.Context, key string) (was casemate.Once, revision uint64, err error) {
	e, err := r.kv.Get(ctx, key)
	if casemate.CodeOf(err) == casemate.NotFound {
		return was, store.NewKey, nil
	}
	if err != nil {
		return was, 0, fmt.Errorf("reading an idempotency key: %w", err)
	}
	was, err = read(e)
	return was, e.Revision, err
}

// Accept gives the id of the event that o.Key stands for: that of an earlier one within the window, or that of o, after put has
// made it durable. An earlier one that asked for something else is a Conflict; no room is Exhausted. When put was done and the key
// could not be written, the event runs all the same, and is the one that the key stands for: see Claim.
func (r *Room) Accept(ctx context.Context, o casemate.Once, put func() error) (id string, err error) {
	leave, err := r.enter(ctx, o.Key)
	if err != nil {
		return "", err
	}
	defer leave()
	r.sweep()
	was, revision, err := r.known(ctx, o.Key)
	if err != nil {
		return "", err
	}
	if revision != store.NewKey && o.At.Sub(was.At) < Window {
		return same(was, o)
	}
	if revision == store.NewKey {
		if err := r.room(&o); err != nil {
			return "", err
		}
	}
	if err := put(); err != nil {
		if revision == store.NewKey {
			r.give(o.Caller)
		}
		return "", err
	}
	// Also for a caller that is gone: who asks next must find what was written.
	if err = r.write(context.WithoutCancel(ctx), o, revision); err != nil {
		if revision == store.NewKey {
			r.give(o.Caller)
		}
		return "", err
	}
	return o.ID, nil
}

func same(was, o casemate.Once) (string, error) {
	if was.Asked == o.Asked {
		return was.ID, nil
	}
	return "", &casemate.Error{Code: casemate.Conflict, Field: "Idempotency-Key", AWS: "IdempotentParameterMismatchException",
		Message: "this idempotency key was used for another request", Hint: "send a new request with a key of its own; one is remembered for " + Window.String()}
}

// Claim reports whether o is the event that its key stands for, and has it be from now on where nothing is known: a node that was killed
// between queueing an event and writing its key answered nobody, and the event that was sent again may be queued, too. Only the one
// that is claimed first runs.
func (r *Room) Claim(ctx context.Context, o casemate.Once) (bool, error) {
	if r.cfg.Clock().Sub(o.At) >= Window { // its key has stood for it long enough
		return true, nil
	}
	leave, err := r.enter(ctx, o.Key) // its caller may be about to write the key
	if err != nil {
		return false, err
	}
	defer leave()
	was, revision, err := r.known(ctx, o.Key)
	switch {
	case err != nil:
		return false, err
	case revision != store.NewKey && was.ID == o.ID:
		return true, nil
	case revision != store.NewKey && o.At.Sub(was.At).Abs() < Window:
		return false, nil
	}
	if revision == store.NewKey { // whether there is room or not: it was accepted; the queue bounds how many these can be
		r.mu.Lock()
		r.hold(o.Caller)
		r.mu.Unlock()
	}
	if err = r.write(ctx, o, revision); err != nil {
		if revision == store.NewKey {
			r.give(o.Caller)
		}
		return false, err
	}
	return true, nil
}

func (r *Room) write(ctx context.Context, o casemate.Once, revision uint64) error {
	data, err := json.Marshal(&o)
	if err != nil {
		return fmt.Errorf("encoding an idempotency key: %w", err)
	}
	if _, err = r.kv.Put(ctx, o.Key, data, revision); err != nil {
		return &casemate.Error{Code: casemate.Unavailable, Message: "the idempotency key cannot be written", Hint: "send it again with the same key", Retry: 1, Err: err}
	}
	return nil
}

// enter waits until nothing else is at work on the key: all that is decided about one is decided one after the other.
func (r *Room) enter(ctx context.Context, key string) (leave func(), err error) {
	for {
		r.mu.Lock()
		other := r.busy[key]
		if other == nil {
			mine := make(chan struct{})
			r.busy[key] = mine
			r.mu.Unlock()
			return func() {
				r.mu.Lock()
				delete(r.busy, key)
				r.mu.Unlock()
				close(mine)
			}, nil
		}
		r.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// room takes the place of one key, or says that there is none.
func (r *Room) room(o *casemate.Once) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := &casemate.Error{Code: casemate.Exhausted, Field: "Idempotency-Key", Rule: "idempotency keys", Hint: "keys are remembered for " + Window.String(), Retry: 60}
	switch {
	case r.callers[o.Caller] >= r.cfg.MostCaller:
		e.Message = fmt.Sprintf("you used %d idempotency keys within %s", r.cfg.MostCaller, Window)
		return e
	case r.total >= r.cfg.Most:
		e.Message = fmt.Sprintf("%d idempotency keys are remembered: there is no room for more", r.cfg.Most)
		return e
	}
	r.hold(o.Caller)
	return nil
}

// hold counts a key in. The caller holds the lock.
func (r *Room) hold(caller string) {
	r.total++
	r.callers[caller]++
}

func (r *Room) give(caller string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.total--
	if r.callers[caller]--; r.callers[caller] <= 0 {
		delete(r.callers, caller)
	}
}

// sweep has what ran out forgotten, at most once a minute and beside those who wait for an answer.
func (r *Room) sweep() {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.cfg.Clock()
	if r.closed || now.Sub(r.swept) < pause && !r.swept.IsZero() {
		return
	}
	r.swept = now
	r.work.Go(func() {
		if err := r.forget(r.ctx, now); err != nil && r.ctx.Err() == nil {
			r.cfg.Log.Warn("idempotency keys that ran out are not forgotten", "err", err)
		}
	})
}

// forget deletes what is older than the window.
func (r *Room) forget(ctx context.Context, now time.Time) error {
	all, err := r.kv.List(ctx, "")
	if err != nil {
		return err
	}
	for _, e := range all {
		o, err := read(e)
		if err != nil || now.Sub(o.At) < Window {
			continue
		}
		leave, err := r.enter(ctx, e.Key)
		if err != nil {
			return err
		}
		err = r.kv.Delete(ctx, e.Key, e.Revision)
		leave()
		switch {
		case err == nil:
			r.give(o.Caller)
		case casemate.CodeOf(err) == casemate.Conflict || casemate.CodeOf(err) == casemate.NotFound: // it was used again
		default:
			return err
		}
	}
	return nil
}
