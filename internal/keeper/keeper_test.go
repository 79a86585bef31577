package keeper

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestEveryUntilStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls, ended := 0, false
		ctx, cancel := context.WithCancel(t.Context())
		k := Every(ctx, time.Minute, func(ctx context.Context) {
			if calls++; calls == 3 {
				<-ctx.Done() // a call that is under way is told, and waited for
				ended = true
			}
		})
		cancel() // the starter's context ends nothing
		<-time.After(150 * time.Second)
		synctest.Wait()
		if calls != 2 {
			t.Fatalf("%d calls", calls)
		}
		<-time.After(time.Minute)
		synctest.Wait()
		k.Stop()
		k.Stop()
		if calls != 3 || !ended {
			t.Errorf("%d calls, ended %v", calls, ended)
		}
	})
}
