package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"casemate"
	"casemate/node"
)

func (a *app) inspectCommand() *cobra.Command {
	return &cobra.Command{Use: "inspect FUNCTION", Short: "Show one function: its limits, callers, rights, isolation and sandboxes", Args: cobra.ExactArgs(1),
		Long:    "Shows what is in force for one function: who may call it, what it may do, how its events are kept apart and, for\nWebAssembly, whether instances are rewound and why not.",
		Example: "  casemate inspect price\n  casemate inspect orders --json | jq .may",
		RunE: func(cmd *cobra.Command, args []string) error {
			var x node.Inspection
			if err := a.callOn(cmd.Context(), args[0], "inspect", map[string]string{"function": args[0]}, &x); err != nil {
				return a.near(cmd.Context(), err, functionNoun, args[0])
			}
			return a.show(&x, func(w io.Writer) { inspectionPage(w, &x) })
		}}
}

func inspectionPage(w io.Writer, x *node.Inspection) {
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
	if n := v.AtOnce(); n > 1 {
		line("", "up to %d events at once in one sandbox", n)
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
	for _, s := range x.Resource {
		if text, err := json.Marshal(s); err == nil { // as whoever wrote it knows it
			line("its policy", "%s", printable(string(text)))
		}
	}
	if x.Lent != "" {
		line("runs as", "role %s, which it was given through Lambda's API", x.Lent)
	}
	rightLines(x, line)
	for i := range x.Live {
		s := &x.Live[i]
		line("sandbox", "%s, since %s, events: %d", s.State, when(s.Started), s.Runs)
	}
}

// rightLines lists what the function may do, in the words of the manifest where it has them.
func rightLines(x *node.Inspection, line func(name, format string, args ...any)) {
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
	for _, l := range x.Version.Layers {
		line("layer", "%s sha256 %.12s, %s", or(l.ARN, "of the manifest,"), l.Code, size(l.Size))
		for _, e := range l.Extensions {
			line("runs", "the extension %s beside it", e)
		}
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
