package work

import (
	"testing"
	"testing/synctest"
)

func TestWaitIsForTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Group
		let, done := make(chan struct{}), 0
		if !g.Begin() || !g.Go(func() { <-let; done++ }) {
			t.Fatal("a group that has not ended takes nothing")
		}
		g.End()
		g.End()
		if g.Begin() || g.Go(func() { done += 10 }) {
			t.Error("a group that has ended takes more")
		}
		waited := make(chan struct{})
		go func() {
			g.Wait()
			close(waited)
		}()
		g.Done()
		synctest.Wait()
		select {
		case <-waited:
			t.Fatal("it did not wait for the goroutine")
		default:
		}
		close(let)
		<-waited
		if done != 1 {
			t.Error(done)
		}
	})
}
