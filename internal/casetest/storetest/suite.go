// Package storetest is the conformance suite of store.Store: what the in-memory specification does, every other
// implementation must do.
package storetest

import (
	"sync"
	"testing"
	"time"

	"casemate/store"
)

// Maker makes the stores under test. Each Open gives an empty one, cleaned up by the test. Reopen closes s and opens
// what it left behind; it is nil for an implementation that keeps nothing.
type Maker struct {
	Open   func(t *testing.T, clock func() time.Time) store.Store
	Reopen func(t *testing.T, s store.Store) store.Store
}

// Run runs the suite.
func Run(t *testing.T, m Maker) {
	t.Run("kv", func(t *testing.T) { runKV(t, m) })
	t.Run("stream", func(t *testing.T) { runStream(t, m) })
	t.Run("queue", func(t *testing.T) { runQueue(t, m) })
	t.Run("blobs", func(t *testing.T) { runBlobs(t, m) })
	t.Run("names", func(t *testing.T) { runNames(t, m) })
}

// Clock is a clock that a test moves by hand.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock starts at a fixed moment.
func NewClock() *Clock { return &Clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

// Now is the clock's reading.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}
