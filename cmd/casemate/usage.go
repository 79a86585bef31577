package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"casemate"
	"casemate/meter"
)

func (a *app) usageCommand() *cobra.Command {
	var f meter.Filter
	var days int
	var by string
	c := &cobra.Command{Use: "usage", Short: "Show runs, CPU, memory-time, bytes, traffic to the outside and cost per function, caller or day", Args: cobra.NoArgs,
		Example: "  casemate usage --by caller --days 7\n  casemate usage --function orders --by day --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch by {
			case "function":
				f.PerFunction = true
			case "caller":
				f.PerCaller = true
			case "day":
				f.PerDay = true
			case "all":
				f.PerDay, f.PerFunction, f.PerCaller = true, true, true
			default:
				return &casemate.Error{Code: casemate.Invalid, Field: "--by", Message: fmt.Sprintf("%q is none of them", by), Hint: "function, caller, day or all"}
			}
			f.Until = time.Now().UTC()
			f.From = f.Until.AddDate(0, 0, 1-days)
			var rows []meter.Row
			if err := a.call(cmd.Context(), "usage", f, &rows); err != nil {
				return err
			}
			if len(rows) == 0 {
				if err := a.known(cmd.Context(), functionNoun, f.Function); err != nil {
					return err
				}
			}
			return a.show(rows, func(w io.Writer) { usageTable(w, rows) })
		}}
	c.Flags().StringVar(&by, "by", "function", "function, caller, day or all")
	c.Flags().IntVar(&days, "days", 30, "so many days, today included (UTC)")
	within(c.Flags(), "days", 1, meter.MaxDays)
	c.Flags().StringVar(&f.Function, "function", "", "only of this function")
	c.Flags().StringVar(&f.Principal, "principal", "", "only of this caller")
	return c
}

func usageTable(w io.Writer, rows []meter.Row) {
	t := newTable("DAY", "FUNCTION", "CALLER", "RUNS", "FAILED", "REFUSED", "QUEUED", "COLD", "CPU ms", "GB-s", "IN", "OUT", "OUTSIDE", "BLOCKED", "COST")
	for i := range rows {
		r := &rows[i]
		t.add(or(r.Day, "-"), or(r.Function, "-"), or(r.Principal, "-"), fmt.Sprint(r.Runs), fmt.Sprint(r.Failures), fmt.Sprint(r.Refusals), fmt.Sprint(r.Queued),
			fmt.Sprint(r.Cold), fmt.Sprintf("%.1f", r.CPUMillis()), fmt.Sprintf("%.4f", r.GBSeconds()), size(r.In), size(r.Out),
			fmt.Sprintf("%d, %s in, %s out", r.Connections, size(r.Received), size(r.Sent)), fmt.Sprint(r.Blocked), r.Cost.String())
	}
	t.print(w)
}
