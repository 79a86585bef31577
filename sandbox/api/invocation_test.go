package api

import (
	"testing"
	"testing/synctest"
	"time"

	"casemate"
	"casemate/lambda"
)

// TestLinger holds how late who waits for an event may be woken by its answer.
func TestLinger(t *testing.T) {
	for name, c := range map[string]struct {
		answer answer
		want   time.Duration
	}{"a plain answer": {answer{}, 250 * time.Millisecond}, "one that broke off": {answer{truncated: true}, 0}, "one that was refused": {answer{refused: true}, 0}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				inv := NewInvocation(&casemate.Launch{}, time.Now(), lambda.MaxResponse, "")
				timer := time.NewTimer(time.Hour)
				inv.Linger(timer, 250*time.Millisecond)
				start := time.Now()
				inv.settle(c.answer, start)
				if <-timer.C; time.Since(start) != c.want || !inv.Settled() || !inv.At().Equal(start) {
					t.Errorf("woken after %v instead of %v; answered at %v", time.Since(start), c.want, inv.At())
				}
			})
		})
	}
}
