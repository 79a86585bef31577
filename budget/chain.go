package budget

import (
	"time"

	"casemate"
)

// chain is what an event and all that descends from it spend. It lives as long as anything of it runs or waits.
type chain struct {
	id      string
	spent   casemate.Money
	held    casemate.Money
	booked  casemate.Money // by the records up to the tape's place
	limit   casemate.Money
	open    int   // holds
	pending int   // accepted to run later, as far as is known
	last    int64 // unix seconds
}

// Bounds of chains: how many are remembered, and how long one whose queued events were not heard of again.
const (
	maxChains = 1 << 17
	chainLife = 7 * time.Hour // a queued event is given up after six
	rootRoom  = 8             // a default chain budget is at least so many times the worst case of its first event
)

// chained finds the chain of a spending, or begins it. It refuses what the chain has no money for.
func (p *Purse) chained(now time.Time, s *casemate.Spend, r *rule, amount casemate.Money) (*chain, error) {
	if s.Depth > depth(r) {
		return nil, p.refuse(r, "", now, "this event is deeper in its causal chain than "+r.id+" lets it be")
	}
	if r.stop {
		return nil, p.refuse(r, "", now, "the budget of chains is in "+r.Currency+", prices are in "+p.book.Currency)
	}
	c := p.chains[s.Chain]
	if c == nil {
		if len(p.chains) >= maxChains && (s.Queue || !s.Root) {
			e := casemate.Errorf(casemate.Exhausted, "send fewer asynchronous events at once", "too many causal chains wait on this node")
			e.Retry = 60
			return nil, e
		}
		c = p.spare()
		*c = chain{id: s.Chain, limit: r.Amount, spent: s.Before, booked: s.Before}
		if r.built {
			c.limit = max(c.limit, saturated(amount, rootRoom))
		}
		p.chains[s.Chain] = c
	}
	if add(add(c.spent, c.held), amount) > c.limit {
		if c.open == 0 && c.pending == 0 && c.spent == s.Before {
			p.drop(c)
		}
		return nil, p.refuse(r, s.Chain, now, "")
	}
	c.last = now.Unix()
	return c, nil
}

func depth(r *rule) int {
	if r.Depth > 0 {
		return r.Depth
	}
	return casemate.MaxDepth
}

func saturated(m casemate.Money, times int64) casemate.Money {
	if m > (1<<62)/casemate.Money(times) {
		return 1 << 62
	}
	return m * casemate.Money(times)
}

func (p *Purse) spare() *chain {
	if n := len(p.free); n > 0 {
		c := p.free[n-1]
		p.free = p.free[:n-1]
		return c
	}
	return new(chain)
}

// drop forgets a chain of which nothing runs or waits.
func (p *Purse) drop(c *chain) {
	delete(p.chains, c.id)
	if len(p.free) < 4096 {
		p.free = append(p.free, c)
	}
}

// leave is the end of one of its events.
func (c *chain) leave(amount, cost casemate.Money, queued, attempt, done bool) {
	c.held -= amount
	c.spent = add(c.spent, cost)
	c.open--
	if queued && done {
		c.pending++
	}
	if attempt && done && c.pending > 0 {
		c.pending--
	}
}

// sweep forgets chains whose queued events were not heard of for longer than any can wait.
func (p *Purse) sweep(now time.Time) {
	for _, c := range p.chains {
		if c.open == 0 && (c.pending == 0 || now.Unix()-c.last > int64(chainLife/time.Second)) {
			p.drop(c)
		}
	}
}
