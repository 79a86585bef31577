// Package pause waits between tries.
package pause

import (
	"context"
	"time"
)

// For waits for d; it is false when ctx ended first.
func For(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
