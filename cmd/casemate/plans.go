package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"casemate"
	"casemate/node"
)

func (a *app) plansCommand() *cobra.Command {
	return &cobra.Command{Use: "plans", Short: "List usage plans, and what their holders used of them today and this month", Args: cobra.NoArgs,
		Long: `Lists the usage plans that are deployed (plans: in casemate.yaml), and for each holder, route, function and account with a
daily or monthly quota what is used and left. Days and months are calendar ones, in UTC. A crash of the node counts up to the
32nd part of a quota as used, never less than was.`,
		Example: "  casemate plans\n  casemate plans --json | jq '.uses[] | select(.day.left == 0)'",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var p node.PlanPage
			if err := a.call(cmd.Context(), "plans", nil, &p); err != nil {
				return err
			}
			return a.show(p, func(w io.Writer) { plansTable(w, &p) })
		}}
}

func plansTable(w io.Writer, p *node.PlanPage) {
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

func usedText(s *node.Spent) string {
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
