package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"casemate/node"
)

func (a *app) scheduleCommand() *cobra.Command {
	c := &cobra.Command{Use: "schedule", Short: "Show schedules; run one now"}
	c.AddCommand(&cobra.Command{Use: "list", Short: "Show the schedules of all apps, when they ran and when they run next", Args: cobra.NoArgs,
		Example: "  casemate schedule list --json", RunE: func(cmd *cobra.Command, _ []string) error {
			var all []node.ScheduleState
			if err := a.call(cmd.Context(), "schedule.list", nil, &all); err != nil {
				return err
			}
			return a.show(all, func(w io.Writer) { schedulePage(w, all) })
		}}, &cobra.Command{Use: "run APP/NAME", Short: "Have a schedule's function run now, beside its own moments", Args: cobra.ExactArgs(1),
		Example: "  casemate schedule run shop/nightly", RunE: func(cmd *cobra.Command, args []string) error {
			var q node.IDQuestion
			if err := a.callOn(cmd.Context(), args[0], "schedule.run", node.IDQuestion{ID: args[0]}, &q); err != nil {
				return a.near(cmd.Context(), err, scheduleNoun, args[0])
			}
			return a.show(q, func(w io.Writer) {
				fmt.Fprintf(w, "queued: %s; casemate audit show %s tells what came of it\n", q.ID, q.ID)
			})
		}})
	return c
}

func schedulePage(w io.Writer, all []node.ScheduleState) {
	t := newTable("SCHEDULE", "FUNCTION", "WHEN", "ZONE", "LAST", "NEXT", "RESULT")
	for i := range all {
		s := &all[i]
		next := when(s.Next)
		if s.Disabled {
			next = "disabled"
		}
		t.add(s.ID(), s.Target(), s.When, or(s.Zone, "UTC"), when(s.Last), next, s.Result)
	}
	t.print(w)
}
