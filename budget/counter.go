package budget

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"slices"
	"sync"
	"time"

	"casemate"
	"casemate/store"
)

// window is the money of one counter in one span of time.
type window struct {
	Start   int64          `json:"start"`   // unix seconds; 0: all time
	Booked  casemate.Money `json:"booked"`  // the sum of the records up to counterDoc.Upto
	Granted casemate.Money `json:"granted"` // allotted durably: may be spent without asking the disk
	Lost    casemate.Money `json:"lost,omitempty"`

	spent casemate.Money // what came of what began: Booked and what is on its way there
	held  casemate.Money // for what is under way
	asked casemate.Money // a grant that is being written
	cut   casemate.Money // was granted when the machine stopped
	noted bool           // that a soft budget is overspent was said
}

// kept is how many windows a counter remembers: a clock that jumps a month ahead and back finds what was spent.
const kept = 3

// counter counts what falls under one budget and one name.
type counter struct {
	rule    *rule
	name    string
	windows []*window  // by falling start
	io      sync.Mutex // one write of its document at a time, each with the latest state
	dirty   bool
	more    bool // a larger grant was asked for ahead
}

// counterDoc is a counter in the store.
type counterDoc struct {
	Rule    string   `json:"rule"`
	Name    string   `json:"name,omitempty"`
	Windows []window `json:"windows"`
	Upto    uint64   `json:"upto"`           // number of the last record that Booked holds
	Boot    string   `json:"boot,omitempty"` // of the machine, while shares are out; empty: closed in peace
}

func (d *counterDoc) past(start int64) bool {
	for _, w := range d.Windows {
		if w.Start >= start {
			return false
		}
	}
	return true
}

func counterKey(id, name string) string {
	sum := sha256.Sum256([]byte(id + "\x00" + name))
	return "c/" + hex.EncodeToString(sum[:16])
}

// at gives the window that at falls in. One that is older than all that are remembered counts in the oldest of them: what
// it held is not forgotten by setting a clock.
func (c *counter) at(start int64) *window {
	for _, w := range c.windows {
		if w.Start == start {
			return w
		}
	}
	if n := len(c.windows); n >= kept && start < c.windows[n-1].Start {
		return c.windows[n-1]
	}
	w := &window{Start: start}
	c.windows = append(c.windows, w)
	slices.SortFunc(c.windows, func(a, b *window) int { return int(min(max(b.Start-a.Start, -1), 1)) })
	if len(c.windows) > kept {
		c.windows = c.windows[:kept]
	}
	return w
}

// add is a sum that stays at the largest amount rather than wrap.
func add(a, b casemate.Money) casemate.Money {
	if s, ok := a.Plus(b); ok {
		return s
	}
	return math.MaxInt64
}

// taken is what can not be given out again.
func (w *window) taken() casemate.Money { return add(add(w.spent, w.held), w.Lost) }

// grant has a share of at least need more allotted to w, durably. It returns when the share is there, or cannot be.
func (p *Purse) grant(ctx context.Context, c *counter, w *window, need casemate.Money) error {
	c.io.Lock()
	defer c.io.Unlock()
	p.mu.Lock()
	want := add(w.taken(), need)
	limit := c.rule.Amount
	if want <= w.Granted || want > limit { // somebody else asked for it meanwhile, or there is none: the next look says which
		p.mu.Unlock()
		return nil
	}
	w.asked = min(limit, add(want, max(limit/16, 16*need)))
	p.mu.Unlock()
	err := p.write(ctx, c)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		w.Granted = max(w.Granted, w.asked)
	}
	w.asked = 0
	return err
}

// write stores the counter as it is now; its io lock is held.
func (p *Purse) write(ctx context.Context, c *counter) error {
	p.mu.Lock()
	d := counterDoc{Rule: c.rule.id, Name: c.name, Upto: p.tape.next - 1, Boot: p.boot}
	for _, w := range c.windows {
		x := *w
		x.Granted = max(x.Granted, x.asked)
		d.Windows = append(d.Windows, x)
	}
	c.dirty = false
	p.mu.Unlock()
	return p.put(ctx, counterKey(d.Rule, d.Name), d)
}

func (p *Purse) put(ctx context.Context, key string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	_, err = p.kv.Put(ctx, key, data, store.AnyRevision)
	return err
}

const patience = 10 * time.Second
