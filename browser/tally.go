package browser

import (
	"sync"

	"casemate"
)

// maxTally bounds how many kinds of preflights are told apart before they are told.
const maxTally = 1024

// Tally counts preflights until somebody writes them down. The zero Tally is empty; it may be used concurrently.
type Tally struct {
	mu    sync.Mutex
	count map[casemate.Preflight]int
}

// Add counts one; its Times does not matter. Of those beyond the bound the source is left out.
func (t *Tally) Add(p casemate.Preflight) {
	p.Times = 0
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count == nil {
		t.count = map[casemate.Preflight]int{}
	}
	if _, known := t.count[p]; !known && len(t.count) >= maxTally {
		p = casemate.Preflight{Source: "others", Rule: p.Rule}
	}
	t.count[p]++
}

// Take gives what was counted since the last Take.
func (t *Tally) Take() (all []casemate.Preflight) {
	t.mu.Lock()
	counted := t.count
	t.count = nil
	t.mu.Unlock()
	for p, n := range counted {
		p.Times = n
		all = append(all, p)
	}
	return all
}
