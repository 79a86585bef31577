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
	"casemate/audit"
	"casemate/catalog"
	"casemate/sandbox"
)

// functionState is one function as it stands.
type functionState struct {
	App       string             `json:"app"`
	Name      string             `json:"name"`
	Version   int                `json:"version"`
	ID        string             `json:"id"`
	Runtime   casemate.Runtime   `json:"runtime"`
	Isolation casemate.Isolation `json:"isolation"`
	Limits    casemate.Limits    `json:"limits"`
	URL       string             `json:"url,omitempty"` // host of its function URL
}

// state is what is deployed and what runs.
type state struct {
	Functions []functionState  `json:"functions"`
	Routes    []casemate.Route `json:"routes"`
	Sandboxes []sandbox.Status `json:"sandboxes"`
	Running   int              `json:"running"`
	Audit     audit.State      `json:"audit"`
	Started   time.Time        `json:"started"`
	Revision  string           `json:"revision"`
}

func (n *node) stateBuiltins() map[string]builtin {
	return map[string]builtin{
		"state": question("casemate:ReadState", "node", func(context.Context, *casemate.Launch, struct{}) (any, error) {
			return n.state(), nil
		}),
		"senders": question("casemate:ReadState", "node", func(ctx context.Context, _ *casemate.Launch, _ struct{}) (any, error) {
			return n.senders(ctx), nil
		}),
		"posture": question("casemate:ReadPosture", "node", func(context.Context, *casemate.Launch, struct{}) (any, error) {
			return n.posture(time.Now()), nil
		}),
	}
}

func (n *node) state() state {
	snap := n.catalog.Snapshot()
	s := state{Functions: []functionState{}, Routes: []casemate.Route{}, Sandboxes: n.pool.Snapshot(), Running: n.quota.Running(), Audit: n.audit.State(),
		Started: n.started, Revision: snap.Revision}
	for _, name := range snap.Apps() {
		app, _ := snap.App(name)
		s.Routes = append(s.Routes, app.Routes...)
		for fn, f := range app.Functions {
			v := f.Number(f.Live)
			fs := functionState{App: name, Name: fn, Version: v.Number, ID: v.ID, Runtime: v.Runtime, Isolation: v.Isolation, Limits: v.Limits}
			for i := range app.Routes {
				if r := &app.Routes[i]; r.URL && r.Function == fn {
					fs.URL = catalog.URLID(v.ARN) + "." + n.cfg.Domain
				}
			}
			s.Functions = append(s.Functions, fs)
		}
	}
	slices.SortFunc(s.Functions, func(a, b functionState) int { return strings.Compare(a.App+"/"+a.Name, b.App+"/"+b.Name) })
	return s
}

func (a *app) listCommand() *cobra.Command {
	return &cobra.Command{Use: "list", Aliases: []string{"ls"}, Short: "List functions, routes and live sandboxes", Args: cobra.NoArgs,
		Example: "  casemate list\n  casemate list --json | jq -r '.functions[].url'", RunE: func(cmd *cobra.Command, _ []string) error {
			var s state
			if err := a.call(cmd.Context(), "state", nil, &s); err != nil {
				return err
			}
			return a.show(s, func(w io.Writer) { statePage(w, &s) })
		}}
}

func statePage(w io.Writer, s *state) {
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
