package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"casemate"
	"casemate/meter"
)

// sizeQuestion asks about so many days back.
type sizeQuestion struct {
	Days     int    `json:"days"`
	Function string `json:"function,omitempty"`
}

func (n *node) sizeBuiltins() map[string]builtin {
	return map[string]builtin{
		"forecast": question("casemate:ReadBill", "bill", func(ctx context.Context, _ *casemate.Launch, _ struct{}) (any, error) {
			now := time.Now().UTC()
			rows, err := n.meter.Load().Usage(ctx, meter.Filter{From: now.AddDate(0, 0, -60), Until: now, PerDay: true})
			if err != nil {
				return nil, err
			}
			return meter.ForecastMonth(rows, now), nil
		}),
		"rightsize": question("casemate:ReadUsage", "usage", func(ctx context.Context, _ *casemate.Launch, q sizeQuestion) (any, error) {
			if q.Days < 1 || q.Days > 90 {
				return nil, &casemate.Error{Code: casemate.Invalid, Field: "--days", Message: "out of bounds", Hint: "1 to 90"}
			}
			var sizes meter.Sizes
			from := time.Now().AddDate(0, 0, -q.Days)
			err := n.purse.Load().Since(ctx, from, func(r *casemate.Record) error {
				if !r.Opened.Before(from) {
					sizes.Add(r)
				}
				return nil
			})
			if err != nil {
				return nil, err
			}
			return n.sizes(&sizes, q.Function), nil
		}),
	}
}

// sizes are those of the versions in force.
func (n *node) sizes(s *meter.Sizes, only string) []meter.Size {
	snap, out := n.catalog.Snapshot(), []meter.Size{}
	for _, name := range snap.Apps() {
		app, _ := snap.App(name)
		for fn, f := range app.Functions {
			if only == "" || only == fn {
				out = append(out, s.Of(f.Number(f.Live), n.purse.Load().Book()))
			}
		}
	}
	slices.SortFunc(out, func(a, b meter.Size) int { return strings.Compare(a.Function, b.Function) })
	return out
}

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
	q := sizeQuestion{}
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
			if !slices.ContainsFunc(list, func(s meter.Size) bool { return s.Few == "" }) {
				return casemate.Errorf(casemate.NotFound, "come back when they ran more, or look at more --days", "no function has enough runs: too few to say anything")
			}
			return a.show(list, func(w io.Writer) { sizePage(w, list) })
		}}
	c.Flags().IntVar(&q.Days, "days", 14, "so many days back")
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
