package budget

import "casemate"

// Spent is what a causal chain has spent and what is held for it now; 0 for one that nobody knows.
func (p *Purse) Spent(id string) casemate.Money {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.chains[id]
	if c == nil {
		return 0
	}
	return add(c.spent, c.held)
}
