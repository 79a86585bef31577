package deploy

import (
	"fmt"

	"casemate"
	"casemate/catalog"
	"casemate/deploy/manifest"
)

// budgets adds the manifest's ceilings in money.
func (d *Deployer) budgets(a *catalog.App, m *manifest.Manifest, found *manifest.Problems) {
	list, err := m.Ceilings()
	if err != nil {
		found.Add(m.At("/budgets"), "/budgets", "", "%s", err)
		return
	}
	for i, b := range list {
		if d.cfg.Budget == nil {
			break
		}
		if err := d.cfg.Budget(b); err != nil {
			ptr := fmt.Sprintf("/budgets/%d", i)
			found.Add(m.At(ptr), ptr, casemate.AsError(err).Hint, "%s", casemate.AsError(err).Message)
		}
	}
	a.Budgets = list
}

// budgets says which ceilings come, go and change. One more, or a lower one, lets nobody do more.
func (c *comparer) budgets(was, is []casemate.Budget) {
	byID := func(list []casemate.Budget) map[string]casemate.Budget {
		m := map[string]casemate.Budget{}
		for _, b := range list {
			m[b.ID()] = b
		}
		return m
	}
	old, fresh := byID(was), byID(is)
	for _, id := range union(old, fresh) {
		o, had := old[id]
		n, has := fresh[id]
		switch {
		case !had:
			c.say(KindLimit, "add", "budget "+id, false, "%s", n.Amount)
		case !has:
			c.say(KindLimit, "remove", "budget "+id, !o.Soft, "%s", o.Amount)
		case o.Depth != n.Depth:
			c.say(KindLimit, "change", "budget "+id, n.Depth == 0 || o.Depth > 0 && n.Depth > o.Depth, "depth %d instead of %d", n.Depth, o.Depth)
		case o.Amount != n.Amount || o.Currency != n.Currency:
			c.say(KindLimit, "change", "budget "+id, !o.Soft && n.Amount > o.Amount, "%s, was %s", n.Amount, o.Amount)
		}
	}
}
