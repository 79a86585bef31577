package store

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"
)

type memoryQueue struct {
	name    string
	clock   func() time.Time
	mu      sync.Mutex
	items   []*memoryItem        // in the order of Put
	seen    map[string]time.Time // id -> when it was put
	changed chan struct{}        // closed and replaced when an item may have become visible
}

type memoryItem struct {
	id       string
	data     []byte
	enqueued time.Time
	attempt  int
	visible  time.Time // not handed out before: delay or lease
	held     bool      // handed out and not given back; over when visible has passed
}

func (q *memoryQueue) Put(ctx context.Context, id string, data []byte) error {
	if err := firstError(ctx.Err(), checkKey(id), checkSize(len(id)+len(data))); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.clock()
	for known, at := range q.seen {
		if now.Sub(at) >= DedupWindow {
			delete(q.seen, known)
		}
	}
	if _, known := q.seen[id]; known {
		return nil
	}
	q.seen[id] = now
	q.items = append(q.items, &memoryItem{id: id, data: bytes.Clone(data), enqueued: now})
	q.signal()
	return nil
}

// signal wakes every blocked Next; the caller holds mu.
func (q *memoryQueue) signal() {
	close(q.changed)
	q.changed = make(chan struct{})
}

func (q *memoryQueue) Next(ctx context.Context) (*Delivery, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		d, wait, changed := q.take()
		if d != nil {
			return d, nil
		}
		if err := pause(ctx, changed, wait); err != nil {
			return nil, err
		}
	}
}

// take leases the first visible item, or says how long none will become visible by itself (0: never).
func (q *memoryQueue) take() (d *Delivery, wait time.Duration, changed <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.clock()
	for _, it := range q.items {
		if left := it.visible.Sub(now); left > 0 {
			if wait == 0 || left < wait {
				wait = left
			}
			continue
		}
		it.attempt++
		it.visible, it.held = now.Add(DefaultLease), true
		return q.delivery(it, it.attempt), 0, nil
	}
	return nil, wait, q.changed
}

func (q *memoryQueue) delivery(it *memoryItem, attempt int) *Delivery {
	return &Delivery{
		ID: it.id, Data: bytes.Clone(it.data), Attempt: attempt, Enqueued: it.enqueued,
		Done: func(ctx context.Context) error {
			q.mu.Lock()
			defer q.mu.Unlock()
			if i := slices.Index(q.items, it); i >= 0 {
				q.items = slices.Delete(q.items, i, i+1)
			}
			return ctx.Err()
		},
		Retry: func(ctx context.Context, after time.Duration) error {
			return q.hide(ctx, it, attempt, after, false)
		},
		Extend: func(ctx context.Context) error { return q.hide(ctx, it, attempt, DefaultLease, true) },
	}
}

// hide moves the moment at which a leased item becomes visible; only the holder of the lease may.
func (q *memoryQueue) hide(ctx context.Context, it *memoryItem, attempt int, d time.Duration, held bool) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.clock()
	if !it.held || it.attempt != attempt || !it.visible.After(now) || !slices.Contains(q.items, it) {
		return leaseLost(q.name, it.id)
	}
	it.visible, it.held = now.Add(max(d, 0)), held
	q.signal()
	return ctx.Err()
}

func (q *memoryQueue) Depth(ctx context.Context) (uint64, time.Time, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) == 0 {
		return 0, time.Time{}, ctx.Err()
	}
	return uint64(len(q.items)), q.items[0].enqueued, ctx.Err()
}

// pause blocks until changed is closed, about wait has passed (0: no limit) or ctx is done.
func pause(ctx context.Context, changed <-chan struct{}, wait time.Duration) error {
	var fired <-chan time.Time
	if wait > 0 {
		timer := time.NewTimer(min(wait, recheck))
		defer timer.Stop()
		fired = timer.C
	}
	select {
	case <-changed:
	case <-fired:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}
