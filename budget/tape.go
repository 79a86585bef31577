package budget

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"casemate"
	"casemate/meter/price"
)

// tape adds records to counters strictly in the order of the log, so that what is stored is the sum of records 1 to next-1
// and nothing else. Those that come early wait; when too many do they are dropped, and read from the log.
type tape struct {
	next  uint64
	early map[uint64]entry
	saved uint64 // position in the store
}

// entry is what one record adds.
type entry struct {
	at      time.Time
	subject subject
	cost    casemate.Money
}

const maxEarly = 4096

func entryOf(r *casemate.Record) entry {
	if r.Source == price.SourceNode { // what stands ready is its function's and its account's, and nobody's call
		return entry{at: r.Opened, cost: max(r.Cost, 0), subject: subject{app: r.App, function: r.Function, account: price.Account(r.Resource), chain: r.Chain, tags: r.Tags}}
	}
	return entry{at: r.Opened, cost: max(r.Cost, 0), subject: subject{app: r.App, function: functionOf(r), caller: r.Principal, key: r.Key, role: r.Role,
		account: price.Account(r.Resource), chain: r.Chain, tags: r.Tags}}
}

// functionOf is what Spend.Function said: operations of the platform have none.
func functionOf(r *casemate.Record) string {
	if r.App == "casemate" {
		return ""
	}
	return r.Function
}

// Count adds record number seq of the log. It is cheap and does no I/O; records may come out of order, twice or not at all:
// what is missing is read from the log.
func (p *Purse) Count(seq uint64, r *casemate.Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.claims[r.ID]
	if c != nil && c.settled {
		delete(p.claims, r.ID)
	}
	if seq < p.tape.next {
		return
	}
	e := entryOf(r)
	if e.cost > 0 && len(p.index.kinds) > 0 {
		p.uncounted(&e, c)
	}
	switch {
	case seq == p.tape.next:
		p.book1(&e)
		p.drain()
	case len(p.tape.early) < maxEarly:
		p.tape.early[seq] = e
	}
	if c != nil && c.settled {
		p.giveBack(c)
	}
}

// uncounted adds a record to the live sums of the counters that its hold did not know: budgets that came in between.
func (p *Purse) uncounted(e *entry, c *claim) {
	p.index.cover(&e.subject, func(r *rule, name string) {
		k := p.counter(r, name)
		if c != nil {
			for _, x := range c.refs {
				if x.c == k {
					return
				}
			}
		}
		w := k.at(r.start(e.at))
		w.spent = add(w.spent, e.cost)
	})
}

func (p *Purse) drain() {
	for {
		e, ok := p.tape.early[p.tape.next]
		if !ok {
			return
		}
		delete(p.tape.early, p.tape.next)
		p.book1(&e)
	}
}

// book1 adds the next record.
func (p *Purse) book1(e *entry) {
	p.tape.next++
	if e.cost == 0 {
		return
	}
	p.index.cover(&e.subject, func(r *rule, name string) {
		k := p.counter(r, name)
		w := k.at(r.start(e.at))
		w.Booked = add(w.Booked, e.cost)
		k.dirty = true
	})
	if c := p.chains[e.subject.chain]; c != nil {
		c.booked = add(c.booked, e.cost)
	}
}

// catchUp reads what the log has and the tape has not.
func (p *Purse) catchUp(ctx context.Context) error {
	last := p.cfg.Last() // not under the lock: it may wait for a sealing, which counts records
	p.mu.Lock()
	from := p.tape.next
	p.mu.Unlock()
	if last < from {
		return nil
	}
	ahead := errors.New("the tape is ahead of what was read")
	err := p.cfg.Read(ctx, from, func(seq uint64, r *casemate.Record) error {
		if seq > last {
			return ahead
		}
		p.Count(seq, r)
		return nil
	})
	if err != nil && !errors.Is(err, ahead) {
		return fmt.Errorf("reading the audit log: %w", err)
	}
	return nil
}

// position is the tape's place in the store, with the chains that wait.
type position struct {
	Next   uint64       `json:"next"`
	Chains []chainState `json:"chains,omitempty"`
}

type chainState struct {
	ID      string         `json:"id"`
	Booked  casemate.Money `json:"booked"`
	Limit   casemate.Money `json:"limit"`
	Pending int            `json:"pending"`
	Last    int64          `json:"last"`
}

// save stores every counter that changed, then the position.
func (p *Purse) save(ctx context.Context, all bool) error {
	p.mu.Lock()
	hole := len(p.tape.early) > 0
	p.mu.Unlock()
	if hole {
		if err := p.catchUp(ctx); err != nil {
			return err
		}
	}
	var dirty []*counter
	p.mu.Lock()
	p.sweep(p.cfg.Clock())
	for _, of := range p.counters {
		for _, c := range of {
			if c.dirty || all {
				dirty = append(dirty, c)
			}
		}
	}
	at := position{Next: p.tape.next}
	for _, c := range p.chains {
		if c.pending > 0 && len(at.Chains) < maxKeptChains {
			at.Chains = append(at.Chains, chainState{c.id, c.booked, c.limit, c.pending, c.last})
		}
	}
	same := at.Next == p.tape.saved
	p.mu.Unlock()
	if err := p.writeAll(ctx, dirty); err != nil {
		return fmt.Errorf("storing a budget: %w", err)
	}
	if same {
		return nil
	}
	if err := p.put(ctx, keyPosition, at); err != nil {
		return fmt.Errorf("storing the budgets' place in the log: %w", err)
	}
	p.mu.Lock()
	p.tape.saved = at.Next
	p.mu.Unlock()
	return nil
}

const (
	keyPosition   = "pos"
	maxKeptChains = 5000
	writers       = 16 // counters on their way to the store at once: they share commits
)

func (p *Purse) writeAll(ctx context.Context, list []*counter) error {
	var work sync.WaitGroup
	errs := make([]error, writers)
	for n := range min(writers, len(list)) {
		work.Go(func() {
			for i := n; i < len(list) && errs[n] == nil; i += writers {
				c := list[i]
				c.io.Lock()
				errs[n] = p.write(ctx, c)
				c.io.Unlock()
				if errs[n] != nil {
					p.mu.Lock()
					c.dirty = true
					p.mu.Unlock()
				}
			}
		})
	}
	work.Wait()
	return errors.Join(errs...)
}

// learn makes the counters of rules say what the log says of the windows that are open now. Records from upto on come by
// the tape.
func (p *Purse) learn(ctx context.Context, rules []*rule, upto uint64) error {
	now, first := p.cfg.Clock(), int64(math.MaxInt64)
	for _, r := range rules {
		first = min(first, r.start(now))
	}
	from, err := p.find(ctx, first, upto)
	if err != nil || from >= upto {
		return err
	}
	x, stop := newIndex(rules, p.index.chain), errors.New("enough")
	err = p.cfg.Read(ctx, from, func(seq uint64, r *casemate.Record) error {
		if seq >= upto {
			return stop
		}
		e := entryOf(r)
		if e.cost == 0 {
			return nil
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		x.cover(&e.subject, func(r *rule, name string) {
			if start := r.start(e.at); start == r.start(now) && p.index.rules[r.id] == r {
				k := p.counter(r, name)
				w := k.at(start)
				w.Booked, w.spent = add(w.Booked, e.cost), add(w.spent, e.cost)
				k.dirty = true
			}
		})
		return nil
	})
	if errors.Is(err, stop) {
		err = nil
	}
	return err
}

// find is the number of a record before which none was opened at or after start: records come nearly in order of their
// time, so a day's margin is enough, and the search is by halves.
func (p *Purse) find(ctx context.Context, start int64, upto uint64) (uint64, error) {
	low, high, stop := uint64(1), upto, errors.New("one is enough")
	for low < high {
		mid, late := low+(high-low)/2, true
		err := p.cfg.Read(ctx, mid, func(_ uint64, r *casemate.Record) error {
			late = r.Opened.Unix() >= start-86400
			return stop
		})
		if err != nil && !errors.Is(err, stop) {
			return 0, err
		}
		if late {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return low, nil
}

func decode[T any](data []byte) (v T, err error) {
	err = json.Unmarshal(data, &v)
	return v, err
}
