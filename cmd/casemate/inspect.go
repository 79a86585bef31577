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
	"casemate/catalog"
)

// inspection is all that holds for one function now: what it is, who may call it, what it may do, how it is kept apart.
type inspection struct {
	App      string               `json:"app"`
	Version  *casemate.Version    `json:"version"`
	Fresh    string               `json:"fresh"`            // how every event gets its state
	Rewind   string               `json:"rewind,omitempty"` // WebAssembly: why instances are not rewound
	Routes   []casemate.Route     `json:"routes"`
	URL      string               `json:"url,omitempty"`
	May      []casemate.Statement `json:"may"`
	Boundary []casemate.Statement `json:"boundary,omitempty"`
	Resource []casemate.Statement `json:"resource_policy,omitempty"`
	Live     []box                `json:"sandboxes"`
	Missing  []string             `json:"missing_walls,omitempty"`
}

func (n *node) inspectBuiltins() map[string]builtin {
	type ask struct {
		Function string `json:"function"`
	}
	return map[string]builtin{"inspect": named(question("casemate:ReadState", "function", func(_ context.Context, l *casemate.Launch, in ask) (any, error) {
		if err := covers(l, n.judge, "casemate:ReadState", "function", in.Function); err != nil {
			return nil, err
		}
		return n.inspect(in.Function)
	}))}
}

func (n *node) inspect(function string) (*inspection, error) {
	snap := n.catalog.Snapshot()
	v := snap.Function(function)
	if v == nil {
		return nil, casemate.Errorf(casemate.NotFound, "casemate list shows what is deployed", "there is no function %q", function)
	}
	app, _ := snap.App(v.App)
	role := app.Roles[v.Role]
	out := &inspection{App: v.App, Version: v, Routes: []casemate.Route{}, May: append([]casemate.Statement{}, role.Statements...),
		Boundary: role.Boundary, Resource: app.Resources[v.ARN], Live: []box{}}
	for i := range app.Routes {
		if r := app.Routes[i]; r.Function == function {
			out.Routes = append(out.Routes, r)
			if r.URL {
				out.URL = catalog.URLID(v.ARN) + "." + n.cfg.Domain
			}
		}
	}
	for _, b := range n.boxes() {
		if b.Function == v.App+"/"+function {
			out.Live = append(out.Live, b)
		}
	}
	for _, m := range n.walls.Missing() {
		out.Missing = append(out.Missing, m.Name)
	}
	out.Fresh, out.Rewind = n.fresh(v)
	return out, nil
}

// fresh says in a sentence where the state of an event begins.
func (n *node) fresh(v *casemate.Version) (how, rewind string) {
	switch v.Isolation {
	case casemate.IsolationWarm:
		return "a sandbox is reused, as on AWS: state can pass between events", ""
	case casemate.IsolationTenant:
		return "a sandbox is reused for one tenant alone (" + or(v.Tenant, "X-Amz-Tenant-Id, else the caller") + ")", ""
	}
	if v.Runtime.Family() != "wasm" {
		return "a sandbox of its own for every event, destroyed after it", ""
	}
	return n.freshInstance(v)
}

func (a *app) inspectCommand() *cobra.Command {
	return &cobra.Command{Use: "inspect FUNCTION", Short: "Show one function: its limits, callers, rights, isolation and sandboxes", Args: cobra.ExactArgs(1),
		Long:    "Shows what is in force for one function: who may call it, what it may do, how its events are kept apart and, for\nWebAssembly, whether instances are rewound and why not.",
		Example: "  casemate inspect price\n  casemate inspect orders --json | jq .may",
		RunE: func(cmd *cobra.Command, args []string) error {
			var x inspection
			if err := a.callOn(cmd.Context(), args[0], "inspect", map[string]string{"function": args[0]}, &x); err != nil {
				return err
			}
			return a.show(&x, func(w io.Writer) { x.page(w) })
		}}
}

func (x *inspection) page(w io.Writer) {
	v, l := x.Version, x.Version.Limits
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-12s %s\n", name, printable(fmt.Sprintf(format, args...)))
	}
	line("function", "%s/%s version %d, %s", x.App, v.Function, v.Number, v.Runtime)
	line("code", "sha256 %.12s, %s, deployed %s", v.Code, size(v.CodeSize), when(v.Created))
	line("isolation", "%s: %s", v.Isolation, x.Fresh)
	if x.Rewind != "" {
		line("", "not rewound, but made anew for every event: %s", x.Rewind)
	}
	if v.Isolation != casemate.IsolationRequest {
		line("", "for %s or %d events at most", l.Lifetime, l.Events)
	}
	if v.Spare > 0 {
		line("provisioned", "%d kept initialised", v.Spare)
	}
	line("limits", "%s a run, %d MB, %d at once, /tmp %d MB, %d processes, %d open files", l.Timeout, l.MemoryMB, l.Concurrency, l.TmpMB, l.Pids, l.Files)
	if l.CPU > 0 {
		line("", "%g cores", float64(l.CPU)/1000)
	}
	line("", "log %s a run, %d connections, %s to and from outside a run", size(l.Output), l.Connections, size(l.Traffic))
	for _, m := range x.Missing {
		line("MISSING", "the sandbox wall %s", m)
	}
	for i := range x.Routes {
		r := &x.Routes[i]
		line("called by", "%s %s, takes: %s", or(r.Host, "any host"), r.ID, takes(&r.Auth))
		if text := browserText(r.Browser); text != "" {
			line("", "%s", text)
		}
	}
	if len(x.Routes) == 0 {
		line("called by", "no route; operators, and roles with the grant \"invoke %s\"", v.Function)
	}
	if x.URL != "" {
		line("url", "https://%s", x.URL)
	}
	x.rights(line)
	for i := range x.Live {
		s := &x.Live[i]
		line("sandbox", "%s, since %s, events: %d", s.State, when(s.Started), s.Runs)
	}
}

// rights lists what the function may do, in the words of the manifest where it has them.
func (x *inspection) rights(line func(name, format string, args ...any)) {
	if len(x.May) == 0 {
		line("may", "nothing: no host, no service, no other function")
	}
	for _, s := range x.May {
		line(map[bool]string{true: "may", false: "may not"}[s.Effect == casemate.Allow], "%s on %s  (%s)",
			strings.Join(slices.Concat(s.Action, s.NotAction), ", "), strings.Join(slices.Concat(s.Resource, s.NotResource), ", "), or(s.Origin, "statement"))
	}
	for _, c := range x.Version.Children {
		line("may", "execute %s (sha256 %.12s)", c.Path, or(c.SHA256, x.Version.Code))
	}
	if len(x.Version.Children) == 0 && x.Version.Runtime.Family() != "wasm" {
		line("may not", "execute another program")
	}
	for _, s := range x.Boundary {
		line("boundary", "%s %s on %s", s.Effect, strings.Join(s.Action, ", "), strings.Join(s.Resource, ", "))
	}
}

// idleFor is how long ago a moment was, coarsely.
func idleFor(now, at time.Time) string {
	switch d := now.Sub(at); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	default:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
}
