package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"casemate"
	"casemate/budget"
	"casemate/node"
)

func (a *app) budgetCommand() *cobra.Command {
	c := &cobra.Command{Use: "budget", Short: "Set, list and remove ceilings in money",
		Long: `A hard budget is never passed: the most that a run can cost is held back before it starts, and given back when it cost
less. Who comes when there is no money left gets 429, and hears which budget and when it starts anew. A soft budget is
noted in the record and by "casemate posture".

What may have one: app/NAME, function/NAME, caller/ID, key/ID, role/NAME, tag/NAME=VALUE, account/ID, node, and chain (an
event with everything that descends from it). caller/*, key/*, function/* and so on give each its own. Manifests set
budgets for their own app as well (budgets:); the operator's hold beside them, and no deploy changes them.
Amounts are in the currency of the price book, see "casemate prices"; days and months are UTC.`}
	c.AddCommand(a.budgetSet(), a.budgetList(), a.budgetRemove(), a.budgetTag(), a.budgetTags())
	return c
}

func (a *app) budgetSet() *cobra.Command {
	var b casemate.Budget
	var amount string
	c := &cobra.Command{Use: "set FOR", Short: "Set a budget, or another amount for one that is there", Args: cobra.ExactArgs(1),
		Example: `  casemate budget set app/shop --amount 20 --per month
  casemate budget set 'caller/*' --amount 0.10 --per day
  casemate budget set tag/team=web --amount "50 USD" --per month --soft
  casemate budget set chain --amount 0.05 --depth 4`,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			b.For = args[0]
			if b.For == "chain" && !cmd.Flags().Changed("per") {
				b.Per = "chain"
			}
			if b.Amount, b.Currency, err = casemate.ParseAmount(amount); err != nil {
				e := casemate.AsError(err)
				e.Field = "--amount"
				return e
			}
			if err := b.Check(); err != nil {
				return err
			}
			if err := a.call(cmd.Context(), "budget.set", b, nil); err != nil {
				return err
			}
			a.noteUnknown(cmd.Context(), b.For)
			return a.show(b, func(w io.Writer) { fmt.Fprintf(w, "set: %s, %s\n", b.ID(), b.Amount) })
		}}
	c.Flags().StringVar(&amount, "amount", "", "amount: 5, 0.25 or \"5 USD\"")
	c.Flags().StringVar(&b.Per, "per", "month", "day, month or total; of a chain: chain")
	c.Flags().BoolVar(&b.Soft, "soft", false, "note what goes past it, and refuse nothing")
	c.Flags().IntVar(&b.Depth, "depth", 0, "of a chain: calls from function to function at most")
	within(c.Flags(), "depth", 1, casemate.MaxDepth)
	_ = c.MarkFlagRequired("amount")
	return c
}

func (a *app) budgetList() *cobra.Command {
	return &cobra.Command{Use: "list", Aliases: []string{"ls"}, Short: "List budgets, what is spent and held of each, and when it starts anew", Args: cobra.NoArgs,
		Example: "  casemate budget list\n  casemate budget list --json   # amounts in billionths",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var list []budget.Status
			if err := a.call(cmd.Context(), "budget.list", nil, &list); err != nil {
				return err
			}
			return a.show(list, func(w io.Writer) { budgetTable(w, list) })
		}}
}

func budgetTable(w io.Writer, list []budget.Status) {
	t := newTable("BUDGET", "OF", "AMOUNT", "SPENT", "HELD", "LEFT", "STARTS ANEW", "SET IN")
	for i := range list {
		s := &list[i]
		resets := "never"
		if !s.Resets.IsZero() {
			resets = s.Resets.UTC().Format(time.RFC3339)
		}
		spent, left := (s.Spent + s.Lost).String(), s.Left.String()
		if s.For == "chain" {
			spent, left, resets = "each", "each", "each"
		}
		if s.Stop != "" {
			left = "STOPPED: " + s.Stop
		}
		t.add(s.ID, or(s.Name, "-"), s.Amount.String()+" "+s.Currency, spent, s.Held.String(), left, resets, or(s.Origin, "default"))
	}
	t.print(w)
}

func (a *app) budgetRemove() *cobra.Command {
	return &cobra.Command{Use: "remove BUDGET", Aliases: []string{"rm"}, Short: "Take a budget of the operator's away, by its name in the list", Args: cobra.MinimumNArgs(1),
		Example: "  casemate budget remove app/shop per month",
		RunE: func(cmd *cobra.Command, args []string) error {
			id := strings.Join(args, " ")
			if err := a.call(cmd.Context(), "budget.remove", node.IDQuestion{ID: id}, nil); err != nil {
				return err
			}
			return a.show(node.IDQuestion{ID: id}, func(w io.Writer) { fmt.Fprintf(w, "removed: %s\n", id) })
		}}
}

func (a *app) budgetTag() *cobra.Command {
	return &cobra.Command{Use: "tag OF [NAME=VALUE...]", Short: "Give an app, function, role or key its cost allocation tags; none takes them away", Args: cobra.MinimumNArgs(1),
		Long:    "Budgets for tag/NAME=VALUE and bills by tag go by these. Neither manifests nor callers can set them: they could choose\nwhose money they spend. A key's tag wins over that of its role, a function's over its app's.",
		Example: "  casemate budget tag app/shop team=web env=prod\n  casemate budget tag key/ck_ab12 team=partners",
		RunE: func(cmd *cobra.Command, args []string) error {
			t := budget.Tagging{Of: args[0], Tags: args[1:]}
			if err := a.call(cmd.Context(), "budget.tag", t, nil); err != nil {
				return err
			}
			a.noteUnknown(cmd.Context(), t.Of)
			return a.show(t, func(w io.Writer) { fmt.Fprintf(w, "%s: %s\n", t.Of, or(strings.Join(t.Tags, " "), "no tags")) })
		}}
}

func (a *app) budgetTags() *cobra.Command {
	return &cobra.Command{Use: "tags", Short: "List what has cost allocation tags", Args: cobra.NoArgs, Example: "  casemate budget tags --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var list []budget.Tagging
			if err := a.call(cmd.Context(), "budget.tags", nil, &list); err != nil {
				return err
			}
			return a.show(list, func(w io.Writer) {
				t := newTable("OF", "TAGS")
				for _, x := range list {
					t.add(x.Of, strings.Join(x.Tags, " "))
				}
				t.print(w)
			})
		}}
}
