package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"casemate"
	"casemate/quota"
)

// use is what one holder of a plan, or one route, function or account, has used of its quotas.
type use struct {
	Plan   string `json:"plan,omitempty"`
	Kind   string `json:"kind"` // caller, route, function, account
	Of     string `json:"of"`   // principal, app and route, ARN, account
	Caller string `json:"caller,omitempty"`
	Day    *spent `json:"day,omitempty"`
	Month  *spent `json:"month,omitempty"`
}

// spent is one period of a quota.
type spent struct {
	Used int64     `json:"used"`
	Most int64     `json:"quota"`
	Left int64     `json:"left"`
	Ends time.Time `json:"ends"`
}

// planPage is every plan, and what was used of quotas.
type planPage struct {
	Plans []*casemate.Plan `json:"plans"`
	Uses  []use            `json:"uses"`
}

func (n *node) planBuiltins() map[string]builtin {
	return map[string]builtin{"plans": question("casemate:ReadUsage", "usage", func(context.Context, *casemate.Launch, struct{}) (any, error) {
		plans := n.catalog.Snapshot().Plans()
		page := planPage{Plans: []*casemate.Plan{}, Uses: []use{}}
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

func spentOf(s quota.Span, ends time.Time) *spent {
	if s.Most <= 0 {
		return nil
	}
	return &spent{Used: s.Used, Most: s.Most, Left: max(s.Most-s.Used, 0), Ends: ends}
}

func (a *app) plansCommand() *cobra.Command {
	return &cobra.Command{Use: "plans", Short: "List usage plans, and what their holders used of them today and this month", Args: cobra.NoArgs,
		Long: `Lists the usage plans that are deployed (plans: in casemate.yaml), and for each holder, route, function and account with a
daily or monthly quota what is used and left. Days and months are calendar ones, in UTC. A crash of the node counts up to the
32nd part of a quota as used, never less than was.`,
		Example: "  casemate plans\n  casemate plans --json | jq '.uses[] | select(.day.left == 0)'",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var p planPage
			if err := a.call(cmd.Context(), "plans", nil, &p); err != nil {
				return err
			}
			return a.show(p, func(w io.Writer) { plansTable(w, &p) })
		}}
}

func plansTable(w io.Writer, p *planPage) {
	t := newTable("PLAN", "APP", "RATE", "AT ONCE", "DAY", "MONTH", "ROUTES OF THEIR OWN")
	for _, x := range p.Plans {
		t.add(x.Name, x.App, limitRate(x.Rate), limitCount(int64(x.Concurrency)), limitCount(x.Day), limitCount(x.Month), or(strings.Join(slices.Sorted(maps.Keys(x.Routes)), ", "), "-"))
	}
	t.print(w)
	if len(p.Uses) == 0 {
		fmt.Fprintln(w, "\nnothing was used of any daily or monthly quota")
		return
	}
	fmt.Fprintln(w)
	t = newTable("PLAN", "USED BY", "TODAY", "THIS MONTH")
	for i := range p.Uses {
		u := &p.Uses[i]
		t.add(or(u.Plan, "-"), strings.TrimSpace(u.Of+" "+u.Caller), usedText(u.Day), usedText(u.Month))
	}
	t.print(w)
}

func usedText(s *spent) string {
	if s == nil {
		return "-"
	}
	return fmt.Sprintf("%d of %d", s.Used, s.Most)
}

func limitCount(n int64) string {
	if n <= 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

func limitRate(r casemate.Rate) string {
	if r.PerSecond == 0 {
		return "-"
	}
	return rateText(r)
}
