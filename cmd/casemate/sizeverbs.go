package main

import (
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"casemate"
	"casemate/meter"
	"casemate/node"
)

func (a *app) forecastCommand() *cobra.Command {
	return &cobra.Command{Use: "forecast", Short: "Say what this month may come to, with a range", Args: cobra.NoArgs, Example: "  casemate forecast --json",
		Long: "It looks at the costs of the days before, says by which method, and says nothing when there are too few.\nAmounts are before what free quantities and tiers take off the bill.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var f meter.Forecast
			if err := a.call(cmd.Context(), "forecast", nil, &f); err != nil {
				return err
			}
			return a.show(f, func(w io.Writer) {
				fmt.Fprintf(w, "%s so far: %s\n", f.Month, f.SoFar)
				if f.Few != "" {
					fmt.Fprintf(w, "no forecast: %s\n", f.Few)
					return
				}
				fmt.Fprintf(w, "at its end: %s, between %s and %s\nby %s (%s, %s left)\n", f.Likely, f.Low, f.High, f.Method, count(int64(f.Full), "full day"), count(int64(f.Left), "day"))
			})
		}}
}

func (a *app) rightsizeCommand() *cobra.Command {
	q := node.SizeQuestion{}
	c := &cobra.Command{Use: "rightsize [FUNCTION]", Short: "Suggest memory, timeout, concurrency and provisioned from recorded runs, with the money saved", Args: cobra.MaximumNArgs(1),
		Long:    fmt.Sprintf("It goes by the runs in the record and says how many it saw; of a function with fewer than %d it says nothing.", meter.EnoughRuns),
		Example: "  casemate rightsize\n  casemate rightsize price --days 30 --json",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				q.Function = args[0]
			}
			var list []meter.Size
			if err := a.call(cmd.Context(), "rightsize", q, &list); err != nil {
				return err
			}
			if len(list) == 0 {
				if err := a.known(cmd.Context(), functionNoun, q.Function); err != nil {
					return err
				}
			}
			if !slices.ContainsFunc(list, func(s meter.Size) bool { return s.Few == "" }) {
				return casemate.Errorf(casemate.NotFound, "come back when they ran more, or look at more --days", "no function has enough runs: too few to say anything")
			}
			return a.show(list, func(w io.Writer) { sizePage(w, list) })
		}}
	c.Flags().IntVar(&q.Days, "days", 14, "so many days back")
	within(c.Flags(), "days", 1, 90)
	return c
}

func sizePage(w io.Writer, list []meter.Size) {
	t := newTable("FUNCTION", "RUNS", "KEY", "NOW", "TO", "WHY", "SAVES A MONTH")
	for i := range list {
		s := &list[i]
		name := s.App + "/" + s.Function
		if s.Few != "" {
			t.add(name, fmt.Sprint(s.Runs), "-", "-", "-", s.Few, "-")
			continue
		}
		if len(s.Advice) == 0 {
			t.add(name, fmt.Sprint(s.Runs), "-", "-", "-", "it has the right size", "-")
		}
		for k, x := range s.Advice {
			saves := "-"
			if k == 0 && s.PerMonth > 0 {
				saves = s.PerMonth.String()
			}
			t.add(name, fmt.Sprint(s.Runs), x.Key, x.Now, x.To, x.Why, saves)
		}
	}
	t.print(w)
}
