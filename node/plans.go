package node

import (
	"context"
	"maps"
	"slices"
	"time"

	"casemate"
	"casemate/quota"
)

// use is what one holder of a plan, or one route, function or account, has used of its quotas.
type use struct {
	Plan   string `json:"plan,omitempty"`
	Kind   string `json:"kind"` // caller, route, function, account
	Of     string `json:"of"`   // principal, app and route, ARN, account
	Caller string `json:"caller,omitempty"`
	Day    *Spent `json:"day,omitempty"`
	Month  *Spent `json:"month,omitempty"`
}

// Spent is one period of a quota.
type Spent struct {
	Used int64     `json:"used"`
	Most int64     `json:"quota"`
	Left int64     `json:"left"`
	Ends time.Time `json:"ends"`
}

// PlanPage is every plan, and what was used of quotas.
type PlanPage struct {
	Plans []*casemate.Plan `json:"plans"`
	Uses  []use            `json:"uses"`
}

func (n *node) planBuiltins() map[string]builtin {
	return map[string]builtin{"plans": question("casemate:ReadUsage", "usage", func(context.Context, *casemate.Launch, struct{}) (any, error) {
		plans := n.catalog.Snapshot().Plans()
		page := PlanPage{Plans: []*casemate.Plan{}, Uses: []use{}}
		for _, name := range slices.Sorted(maps.Keys(plans)) {
			page.Plans = append(page.Plans, plans[name])
		}
		now := time.Now()
		for _, c := range n.quota.Counts() {
			u := use{Plan: c.Plan, Kind: c.Kind, Of: c.Name, Caller: c.Caller}
			if day, month := c.At(now); day.Most > 0 || month.Most > 0 {
				u.Day, u.Month = spentOf(day, quota.NextDay(now)), spentOf(month, quota.NextMonth(now))
				page.Uses = append(page.Uses, u)
			}
		}
		return page, nil
	})}
}

func spentOf(s quota.Span, ends time.Time) *Spent {
	if s.Most <= 0 {
		return nil
	}
	return &Spent{Used: s.Used, Most: s.Most, Left: max(s.Most-s.Used, 0), Ends: ends}
}
