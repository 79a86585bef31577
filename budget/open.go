package budget

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"time"

	"casemate"
	"casemate/store"
)

// Keys of the bucket, by prefix: the operator's budgets, the manifests', tags and price books; counters; the place in the log.
const (
	bucket      = "budget"
	prefixRule  = "r/"
	prefixApp   = "a/"
	prefixTags  = "t/"
	prefixBook  = "b/"
	prefixCount = "c/"
)

// Open takes up what was stored, adds the records that were closed since, and starts the goroutine that writes. The audit
// log must have been opened before: what was cut off is in it by now.
func Open(ctx context.Context, cfg Config) (*Purse, error) {
	if cfg.Store == nil || cfg.Read == nil || cfg.Last == nil || cfg.Book == nil {
		return nil, errors.New("opening the purse: the configuration is incomplete")
	}
	if cfg.Every <= 0 {
		cfg.Every = 5 * time.Second
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Cores <= 0 {
		cfg.Cores = runtime.NumCPU()
	}
	kv, err := cfg.Store.KV(bucket)
	if err != nil {
		return nil, fmt.Errorf("opening the purse: %w", err)
	}
	p := &Purse{cfg: cfg, kv: kv, book: cfg.Book, boot: cfg.Boot, more: make(chan *ask, 64), apps: map[string][]casemate.Budget{}, tags: map[string][]string{},
		counters: map[string]map[string]*counter{}, chains: map[string]*chain{}, worst: map[string]casemate.Money{}, merged: map[subjectKey][]string{}, claims: map[string]*claim{}}
	p.tape = tape{next: cfg.Last() + 1, early: map[uint64]entry{}}
	if p.boot == "" {
		p.boot = "unknown"
	}
	if err := p.load(ctx); err != nil {
		return nil, fmt.Errorf("opening the purse: %w", err)
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p.cancel = cancel
	p.work.Go(func() { p.writer(run) })
	return p, nil
}

// load reads the bucket and brings every counter to the end of the log.
func (p *Purse) load(ctx context.Context) error {
	if err := p.keepBook(ctx); err != nil {
		return err
	}
	es, err := p.kv.List(ctx, "")
	if err != nil {
		return err
	}
	for _, e := range es {
		var err error
		switch key := e.Key; {
		case strings.HasPrefix(key, prefixRule):
			var b casemate.Budget
			if b, err = decode[casemate.Budget](e.Value); err == nil {
				p.own = append(p.own, b)
			}
		case strings.HasPrefix(key, prefixApp):
			p.apps[key[len(prefixApp):]], err = decode[[]casemate.Budget](e.Value)
		case strings.HasPrefix(key, prefixTags):
			var t Tagging
			if t, err = decode[Tagging](e.Value); err == nil {
				p.tags[t.Of] = t.Tags
			}
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", e.Key, err)
		}
	}
	p.rebuild()
	return p.restore(ctx, es)
}

// restore gives counters what was stored of them.
func (p *Purse) restore(ctx context.Context, es []store.Entry) error {
	upto := map[*counter]uint64{}
	for _, e := range es {
		switch {
		case e.Key == keyPosition:
			at, err := decode[position](e.Value)
			if err != nil || at.Next < 1 {
				return fmt.Errorf("reading %s: %w", e.Key, errors.Join(err, errors.New("no position")))
			}
			p.tape.next, p.tape.saved = min(at.Next, p.tape.next), at.Next
			for _, c := range at.Chains {
				p.chains[c.ID] = &chain{id: c.ID, spent: c.Booked, booked: c.Booked, limit: c.Limit, pending: c.Pending, last: c.Last}
			}
		case strings.HasPrefix(e.Key, prefixCount):
			d, err := decode[counterDoc](e.Value)
			if err != nil || counterKey(d.Rule, d.Name) != e.Key {
				return fmt.Errorf("reading %s: %w", e.Key, errors.Join(err, errors.New("not its own")))
			}
			r := p.index.rules[d.Rule]
			// Taken away: if it comes back, the log says what was spent. Or one of many that did not come this time.
			if r == nil || r.name == "*" && d.past(r.start(p.cfg.Clock())) {
				if err := p.kv.Delete(ctx, e.Key, store.AnyRevision); err != nil {
					return err
				}
				continue
			}
			c := p.counter(r, d.Name)
			upto[c] = d.Upto
			p.stored(c, &d)
		}
	}
	return p.replay(ctx, upto)
}

// stored takes over what was stored of a counter. Shares that were out when the machine stopped count as spent: the last
// records may be gone with it. When only the process stopped, the records are there.
func (p *Purse) stored(c *counter, d *counterDoc) {
	for _, w := range d.Windows {
		x := &window{Start: w.Start, Booked: w.Booked, Lost: w.Lost, spent: w.Booked}
		if d.Boot != "" && d.Boot != p.boot {
			x.cut = w.Granted
		}
		c.windows = append(c.windows, x)
	}
}

// replay adds the records since, to each counter from its own place on.
func (p *Purse) replay(ctx context.Context, upto map[*counter]uint64) error {
	err := p.cfg.Read(ctx, p.tape.next, func(seq uint64, r *casemate.Record) error {
		e := entryOf(r)
		p.tape.next = seq + 1
		p.rechain(r, &e)
		if e.cost == 0 {
			return nil
		}
		p.index.cover(&e.subject, func(r *rule, name string) {
			if c := p.counter(r, name); seq > upto[c] {
				w := c.at(r.start(e.at))
				w.Booked, w.spent = add(w.Booked, e.cost), add(w.spent, e.cost)
				c.dirty = true
			}
		})
		return nil
	})
	p.sweep(p.cfg.Clock())
	for _, of := range p.counters {
		for _, c := range of {
			for _, w := range c.windows {
				w.Lost, w.cut = max(w.Lost, w.cut-w.spent), 0
			}
		}
	}
	return err
}

// rechain adds a record to its chain. Which of them have something queued shows at the end; the others are swept.
func (p *Purse) rechain(r *casemate.Record, e *entry) {
	c := p.chains[r.Chain]
	if c == nil {
		if r.Chain == "" || len(p.chains) >= maxChains {
			return
		}
		c = &chain{id: r.Chain, limit: p.index.chain.Amount}
		p.chains[r.Chain] = c
	}
	c.booked, c.spent, c.last = add(c.booked, e.cost), add(c.spent, e.cost), p.cfg.Clock().Unix()
	switch {
	case r.Outcome.Status == "queued":
		c.pending++
	case r.Source == casemate.SourceAsync && r.Outcome.OK && c.pending > 0:
		c.pending--
	}
}

// writer stores what changed, and has shares grow before they are used up.
func (p *Purse) writer(ctx context.Context) {
	tick := time.NewTicker(p.cfg.Every)
	defer tick.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case a := <-p.more:
			err = p.grant(ctx, a.c, a.w, p.ahead(a))
			p.mu.Lock()
			a.c.more = false
			p.mu.Unlock()
		case <-tick.C:
			err = p.save(ctx, false)
		}
		if err != nil && ctx.Err() == nil {
			p.cfg.Log.Warn("budgets are not written", "err", err)
		}
	}
}

// ahead is how much more a counter is given before it asks.
func (p *Purse) ahead(a *ask) casemate.Money {
	p.mu.Lock()
	defer p.mu.Unlock()
	limit := a.c.rule.Amount
	return min(max(limit-a.w.taken(), 0), limit/16+1)
}

// Close stores everything and gives the shares back. Nothing may run any more; store and audit log must still be open.
func (p *Purse) Close() error {
	p.cancel()
	p.work.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := p.catchUp(ctx); err != nil {
		return err
	}
	p.mu.Lock()
	p.boot = ""
	for _, of := range p.counters {
		for _, c := range of {
			for _, w := range c.windows {
				w.Granted = 0
			}
		}
	}
	p.mu.Unlock()
	return p.save(ctx, true)
}
