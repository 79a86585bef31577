package sandbox

import (
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"casemate"
)

// TestPoolSurvivesKills: while sandboxes of every kind are killed in whatever they do, and versions go and come back, each
// run ends with an answer or with a failure of its own sandbox, and nothing is counted twice or left behind.
func TestPoolSurvivesKills(t *testing.T) {
	b := newBench(t, withSpares(1), func(c *Config) { c.MaxSandboxes, c.MaxKept, c.IdleTimeout = 4, 2, time.Second })
	kept := warm(b.node("index.handler", `exports.handler = async () => 1`))
	kept.Spare = 1
	tenants := b.python(`def handler(e, c): return 1`)
	tenants.Isolation = casemate.IsolationTenant
	versions := []*casemate.Version{kept, tenants, b.node("index.handler", `exports.handler = async () => 1`)}
	for _, v := range versions {
		b.pool.Prepare(v)
	}
	stop := make(chan struct{})
	var killer, callers sync.WaitGroup
	killer.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			b.pool.mu.Lock()
			for i := range b.pool.live {
				if rand.IntN(10) == 0 && !i.dead() {
					_ = i.process.Signal(syscall.SIGKILL) // it may be gone by now
				}
			}
			b.pool.mu.Unlock()
			if v := versions[rand.IntN(len(versions))]; rand.IntN(5) == 0 {
				b.pool.Drop(v.ID)
				b.pool.Prepare(v)
			}
			b.pool.Snapshot()
		}
	})
	for range 4 {
		callers.Go(func() {
			for range 15 {
				res, err := b.pool.Run(t.Context(), &casemate.Launch{Version: versions[rand.IntN(len(versions))], RequestID: casemate.NewID(),
					Partition: string(rune('a' + rand.IntN(3))), Payload: []byte(`{}`)})
				switch {
				case err != nil:
					t.Error(err)
				case res.Failure == "" && string(res.Payload) != "1",
					res.Failure != "" && res.Failure != casemate.FailureExit && res.Failure != casemate.FailureInit:
					t.Errorf("%q %s", res.Failure, res.Payload)
				}
			}
		})
	}
	callers.Wait()
	close(stop)
	killer.Wait()
	for _, v := range versions {
		b.pool.Drop(v.ID)
	}
	waitFor(t, "empty", func() bool { return len(b.pool.Snapshot()) == 0 && len(b.pool.slots) == 0 })
}
