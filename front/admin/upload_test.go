package admin

import (
	"testing"
	"time"
)

// A byte now and then keeps a call no longer than the call's bytes would take at the slowest pace.
func TestBodiesThatTrickleEnd(t *testing.T) {
	start := time.Unix(1e9, 0)
	u := &upload{left: maxBody}
	now := start
	for n := 0; now.Before(u.until(now)); n++ {
		if now = now.Add(stallTime / 3); n > 10 {
			t.Fatal("it goes on")
		}
		u.left--
	}
	if held := now.Sub(start); held > 2*stallTime {
		t.Errorf("held for %v", held)
	}
	steady := &upload{left: maxBody}
	now = start
	for steady.left > 0 { // twice the slowest pace, to the last byte
		if until := steady.until(now); !now.Before(until) || until.Sub(now) > stallTime {
			t.Fatalf("%d bytes in %v: until %v", maxBody-steady.left, now.Sub(start), until)
		}
		now = now.Add(10 * time.Second)
		steady.left -= 20 * slowest
	}
}
