// Package keeper does what a room has to do now and then, in one goroutine that its owner ends and waits for.
package keeper

import (
	"context"
	"time"
)

// Keeper is at work until Stop.
type Keeper struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// Every calls do each time d has passed, one call after the other, with a context that ends with the keeper; ctx gives its
// values only. What do fails with, and says, is its own affair: an error that came because the context ended is none.
func Every(ctx context.Context, d time.Duration, do func(ctx context.Context)) *Keeper {
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	k := &Keeper{cancel: cancel, done: make(chan struct{})}
	go k.work(run, d, do)
	return k
}

func (k *Keeper) work(ctx context.Context, d time.Duration, do func(ctx context.Context)) {
	defer close(k.done)
	tick := time.NewTicker(d)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			do(ctx)
		}
	}
}

// Stop ends the keeper and waits for it. It may be called more than once.
func (k *Keeper) Stop() {
	k.cancel()
	<-k.done
}
