package operator

import (
	"fmt"
	"sync"
	"time"

	"casemate"
)

// Bounds of guessing. A guess counts before it is looked at: a thousand at once are no more than a thousand in a row.
const (
	freeGuesses = 3 // of one name from one place, before there is a wait
	freeNames   = 20
	longestWait = 15 * time.Minute
	dayGuesses  = 100 // of one name, from all places together that it never signed in from
	guessDay    = 24 * time.Hour
	mostPlaces  = 4096 // that are remembered beside those of operators
)

// tries are the failed guesses of one name.
type tries struct {
	Since   time.Time      `json:"since"` // when Strange began to count
	Strange int            `json:"strange"`
	From    map[string]try `json:"from"` // by place
}

// try is what came from one place.
type try struct {
	Fails int       `json:"fails"`
	Last  time.Time `json:"last"`
	Until time.Time `json:"until"` // nothing is looked at before
}

// wait is how long nothing is looked at from there.
func (t *try) wait(now time.Time) time.Duration {
	if now.Sub(t.Last) > guessDay {
		*t = try{}
	}
	return max(t.Until.Sub(now), 0)
}

// count adds a guess.
func (t *try) count(now time.Time, free int) {
	t.Fails++
	t.Last = now
	if n := t.Fails - free; n > 0 {
		t.Until = now.Add(min(time.Second<<min(n-1, 20), longestWait))
	}
}

// generations is a map that forgets what was not touched for long once it is full.
type generations[V any] struct{ young, old map[string]*V }

func (g *generations[V]) get(key string) *V {
	if v := g.young[key]; v != nil {
		return v
	}
	v := g.old[key]
	if v == nil {
		v = new(V)
	}
	if len(g.young) >= mostPlaces || g.young == nil {
		g.young, g.old = map[string]*V{}, g.young
	}
	g.young[key] = v
	return v
}

// place is where an attempt comes from: a known machine, or a network.
type place struct {
	key   string // "device:...", "session:...", or a network
	known bool   // the name has signed in from there before
}

// limiter bounds guessing by name and place. Whoever guesses from one place waits by itself: the name is not locked
// elsewhere. From everywhere together there are so many guesses a day, which do not count against places that are known.
// Names that do not exist are counted in the same way.
type limiter struct {
	mu     sync.Mutex
	names  map[string]*tries // of operators that exist
	ghosts generations[tries]
	places generations[try] // guesses of any name, by strange place
	dirty  map[string]bool
}

func newLimiter() *limiter { return &limiter{names: map[string]*tries{}, dirty: map[string]bool{}} }

func (l *limiter) tries(name string, exists bool) *tries {
	if !exists {
		return l.ghosts.get(name)
	}
	t := l.names[name]
	if t == nil {
		t = &tries{}
		l.names[name] = t
	}
	l.dirty[name] = true
	return t
}

// take counts a guess before it is looked at. An error says that it must not be.
func (l *limiter) take(now time.Time, name string, exists bool, p place) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tries(name, exists)
	if now.Sub(t.Since) > guessDay {
		t.Since, t.Strange = now, 0
		for key, x := range t.From {
			if now.Sub(x.Last) > guessDay {
				delete(t.From, key)
			}
		}
	}
	x := t.From[p.key]
	if wait := x.wait(now); wait > 0 { // before the place's own count: who hammers on one name does not use up the others'
		return fmt.Errorf("%d guesses from %s: wait %v", x.Fails, p.key, wait.Round(time.Second))
	}
	if !p.known {
		if t.Strange >= dayGuesses {
			return fmt.Errorf("%d guesses from places that are not known, which is the bound of a day", t.Strange)
		}
		all := l.places.get(p.key)
		if wait := all.wait(now); wait > 0 {
			return fmt.Errorf("too many guesses of any name from %s: wait %v", p.key, wait.Round(time.Second))
		}
		all.count(now, freeNames)
		t.Strange++
	}
	if t.From == nil {
		t.From = map[string]try{}
	}
	x.count(now, freeGuesses)
	t.From[p.key] = x
	return nil
}

// undo takes a guess back that was not looked at.
func (l *limiter) undo(name string, exists bool, p place) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tries(name, exists)
	if x := t.From[p.key]; x.Fails > 0 {
		x.Fails, x.Until = x.Fails-1, time.Time{}
		t.From[p.key] = x
	}
	l.stranger(t, p)
}

// right is for a guess that was right: the place has none against it any more.
func (l *limiter) right(name string, p place) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tries(name, true)
	delete(t.From, p.key)
	l.stranger(t, p)
}

func (l *limiter) stranger(t *tries, p place) {
	if p.known {
		return
	}
	t.Strange = max(t.Strange-1, 0)
	if x := l.places.get(p.key); x.Fails > 0 {
		x.Fails, x.Until = x.Fails-1, time.Time{}
	}
}

// forget is for a name that was unlocked, or is gone.
func (l *limiter) forget(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.names, name)
	l.dirty[name] = true
}

// network is where a caller at an address is. "" is this machine.
func network(ip string) string {
	if ip == "" {
		return "this machine"
	}
	return casemate.SourceOf(ip)
}
