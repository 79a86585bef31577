package sandbox

import (
	"sync"
	"time"

	"casemate"
)

// effects collects what a sandbox did outside its own memory, up to a bound: a function cannot fill the record.
type effects struct {
	mu      sync.Mutex
	list    []casemate.Effect
	dropped int
}

// maxEffects of one run; more are counted, and the count is the last effect.
const maxEffects = 256

func (e *effects) add(x casemate.Effect) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.list) >= maxEffects {
		e.dropped++
		return
	}
	e.list = append(e.list, x)
}

// take hands out what was collected and starts anew.
func (e *effects) take(now time.Time) []casemate.Effect {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := e.list
	if e.dropped > 0 {
		list = append(list, casemate.Effect{At: now, Kind: "flood", Target: "effects", Reason: "further effects were not listed"})
	}
	e.list, e.dropped = nil, 0
	return list
}
