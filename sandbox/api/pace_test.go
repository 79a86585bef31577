package api

import (
	"testing"
	"time"
)

func TestPaceHoldsBackWhatEventsDoNotNeed(t *testing.T) {
	var p pace
	now := time.Unix(1, 0)
	for i := range spareRequests {
		if wait := p.spend(now); wait != 0 {
			t.Fatalf("request %d waits %v", i, wait)
		}
	}
	if wait := p.spend(now); wait != time.Second/spareRequests {
		t.Errorf("the first one too many waits %v", wait)
	}
	if wait := p.spend(now); wait != 2*time.Second/spareRequests {
		t.Errorf("the second one waits %v", wait)
	}
	now = now.Add(time.Second)
	if wait := p.spend(now); wait != 0 {
		t.Errorf("a second later it waits %v", wait)
	}
	for range 10 * spareRequests { // events at full speed, two requests each
		p.earn()
		if p.spend(now)+p.spend(now) != 0 {
			t.Fatal("a runtime waits")
		}
	}
	if p.left > spareRequests+eventRequests {
		t.Errorf("%v requests were saved", p.left)
	}
}
