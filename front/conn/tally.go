package conn

import (
	"context"
	"sync"
	"time"

	"casemate"
)

const (
	maxTallied = 4096     // sources with a count
	others     = "others" // source of what is counted beyond that
)

// Tally counts what is refused without becoming an event, and tells it once a second. A refusal that nobody reads about
// would be a gap in the record, and one record for each would be a flood of its own. Its methods may be called concurrently.
type Tally struct {
	told func(casemate.Turned)

	mu    sync.Mutex
	count map[casemate.Turned]int // keys without Times
}

// NewTally makes a tally that tells told; nil: nobody is told.
func NewTally(told func(casemate.Turned)) *Tally {
	if told == nil {
		told = func(casemate.Turned) {}
	}
	return &Tally{told: told, count: map[casemate.Turned]int{}}
}

// Add counts t, as often as t.Times says.
func (y *Tally) Add(t casemate.Turned) {
	n := t.Times
	t.Times = 0
	y.mu.Lock()
	defer y.mu.Unlock()
	if _, known := y.count[t]; !known && len(y.count) >= maxTallied {
		t = casemate.Turned{Source: others, Rule: "limits of " + others}
	}
	y.count[t] += n
}

// tell hands on what was counted.
func (y *Tally) tell() {
	y.mu.Lock()
	counted := y.count
	y.count = map[casemate.Turned]int{}
	y.mu.Unlock()
	for t, n := range counted {
		t.Times = n
		y.told(t)
	}
}

// Keep tells once a second, and a last time when ctx ends.
func (y *Tally) Keep(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			y.tell()
			return
		case <-tick.C:
			y.tell()
		}
	}
}
