package service

import (
	"context"
	"sync"
	"time"
)

// Refusals that one sandbox gets at once, and per second after that. Each leaves a record: a sandbox that asks on and on for
// what it may not have waits for its answers, so that it fills neither the log nor the node's time.
const (
	refusalBurst  = 100
	refusalSecond = 20
)

// pace is the place of a sandbox's next refusal in time. The zero pace has its whole burst.
type pace struct {
	mu   sync.Mutex
	full time.Time // when the burst is whole again
}

// take counts a refusal at now and gives how long its answer waits.
func (p *pace) take(now time.Time) time.Duration {
	const each = time.Second / refusalSecond
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.full.Before(now) {
		p.full = now
	}
	p.full = p.full.Add(each)
	return max(0, p.full.Sub(now)-refusalBurst*each)
}

// wait waits for d, or for the end of ctx.
func wait(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
