package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"casemate"
	"casemate/node"
)

func (a *app) asyncCommand() *cobra.Command {
	c := &cobra.Command{Use: "async", Short: "Show queued and dead asynchronous events; replay or drop a dead one"}
	one := func(use, short, builtin, done string) *cobra.Command {
		return &cobra.Command{Use: use, Short: short, Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
			var q node.IDQuestion
			if err := a.call(cmd.Context(), builtin, node.IDQuestion{ID: args[0]}, &q); err != nil {
				return err
			}
			return a.show(q, func(w io.Writer) { fmt.Fprintln(w, done, q.ID) })
		}}
	}
	c.AddCommand(&cobra.Command{Use: "list", Short: "Show the queue's depth and the dead-letter list", Args: cobra.NoArgs,
		Example: "  casemate async list", RunE: func(cmd *cobra.Command, _ []string) error {
			var s node.AsyncState
			if err := a.call(cmd.Context(), "async.list", nil, &s); err != nil {
				return err
			}
			return a.show(s, func(w io.Writer) { asyncPage(w, &s) })
		}}, one("replay ID", "Put a dead event back into the queue", "async.replay", "queued again:"),
		one("drop ID", "Forget a dead event", "async.drop", "dropped:"))
	return c
}

func asyncPage(w io.Writer, s *node.AsyncState) {
	fmt.Fprintf(w, "queued: %d", s.Queued)
	if s.Queued > 0 {
		fmt.Fprintf(w, ", oldest since %s", when(s.Oldest))
	}
	fmt.Fprintf(w, "\ndead: %d\n", len(s.Dead))
	if len(s.Functions) > 0 {
		t := newTable("FUNCTION", "QUEUED", "OLDEST", "DEAD", "TELLS")
		for i := range s.Functions {
			f := &s.Functions[i]
			oldest := "-"
			if f.Queued > 0 {
				oldest = when(f.Oldest)
			}
			t.add(f.Function, fmt.Sprint(f.Queued), oldest, fmt.Sprint(f.Dead), told(f.Destinations))
		}
		t.print(w)
	}
	if len(s.Dead) == 0 {
		return
	}
	t := newTable("DIED", "FUNCTION", "WHY", "ATTEMPTS", "CODE", "ID", "DESTINATION")
	for i := range s.Dead {
		d := &s.Dead[i]
		t.add(when(d.Died), d.Function, d.Condition, fmt.Sprint(d.Attempts), or(string(d.Failure), d.Code.String()), d.ID, d.Destination)
	}
	t.print(w)
}

// told is who is told how a function's events ended.
func told(d *casemate.Destinations) string {
	if d == nil {
		return "-"
	}
	var all []string
	for _, x := range []struct{ when, arn string }{{"success", d.OnSuccess}, {"failure", d.OnFailure}, {"dead letter", d.DeadLetter}} {
		if x.arn != "" {
			all = append(all, x.when+" "+x.arn)
		}
	}
	return strings.Join(all, ", ")
}
