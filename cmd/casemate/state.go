package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"casemate"
	"casemate/node"
)

func (a *app) listCommand() *cobra.Command {
	return &cobra.Command{Use: "list", Aliases: []string{"ls"}, Short: "List functions, routes and live sandboxes", Args: cobra.NoArgs,
		Example: "  casemate list\n  casemate list --json | jq -r '.functions[].url'", RunE: func(cmd *cobra.Command, _ []string) error {
			var s node.State
			if err := a.call(cmd.Context(), "state", nil, &s); err != nil {
				return err
			}
			return a.show(s, func(w io.Writer) { statePage(w, &s) })
		}}
}

func statePage(w io.Writer, s *node.State) {
	t := newTable("FUNCTION", "VERSION", "RUNTIME", "ISOLATION", "TIMEOUT", "MEMORY", "AT ONCE", "URL")
	for i := range s.Functions {
		f := &s.Functions[i]
		t.add(f.App+"/"+f.Name, fmt.Sprint(f.Version), string(f.Runtime), string(f.Isolation), f.Limits.Timeout.String(), fmt.Sprintf("%d MB", f.Limits.MemoryMB), fmt.Sprint(f.Limits.Concurrency), or(f.URL, "-"))
	}
	t.print(w)
	fmt.Fprintln(w)
	t = newTable("ROUTE", "HOST", "FUNCTION", "TAKES", "RATE OF ONE CALLER", "CONTRACT")
	for i := range s.Routes {
		r := &s.Routes[i]
		contract := "none"
		if r.Contract != "" {
			contract = fmt.Sprintf("%.12s", r.Contract)
		}
		t.add(r.ID, or(r.Host, "any"), r.Function, takes(&r.Auth), rateText(r.Rate), contract)
	}
	t.print(w)
	fmt.Fprintf(w, "\n%d running, %d sandboxes live, %d records, up since %s\n", s.Running, len(s.Sandboxes), s.Audit.Records, when(s.Started))
}

func takes(a *casemate.Auth) string {
	text := ""
	for _, k := range a.Kinds {
		text += " " + takenBy(a, k)
	}
	if a.Open != nil {
		text += " ANYONE until " + a.Open.Expires.Format("2006-01-02")
	}
	return or(text, " nobody")[1:]
}

func rateText(r casemate.Rate) string {
	if r.PerSecond == 0 {
		return "default"
	}
	return fmt.Sprintf("%g/s burst %d", r.PerSecond, r.Burst)
}
