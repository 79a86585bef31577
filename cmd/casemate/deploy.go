package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"

	"github.com/spf13/cobra"

	"casemate"
	"casemate/deploy"
	"casemate/deploy/bundle"
	"casemate/deploy/manifest"
	"casemate/front/admin"
)

func (a *app) deployCommand() *cobra.Command {
	var p project
	var planOnly bool
	c := &cobra.Command{Use: "deploy [FOLDER | TEMPLATE | BUNDLE]", Short: "Build, show what changes (permissions first), and deploy", Args: cobra.MaximumNArgs(1),
		Long: `Reads casemate.yaml in FOLDER (default: here), runs the build commands of its functions, packs everything into one
bundle and sends it. The node checks it, says what changes, permissions first, and swaps it in all at once: on any error
the version before serves on. Deploying what is already in force changes nothing.

A SAM or CloudFormation TEMPLATE (template.yaml in FOLDER, where there is no casemate.yaml) is deployed in the same way. What
becomes of each of its resources is listed every time: honoured, ignored, not served yet; what has a security meaning that
cannot be kept stops the deploy. docs/sam.md says more. A BUNDLE is what casemate package wrote.`,
		Example: "  casemate deploy\n  casemate deploy examples/orders --plan\n  casemate deploy template.yaml --stack-name shop --parameter-overrides Stage=prod",
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("expect") && p.options.Expect == 0 {
				p.options.Expect = bundle.Unborn
			}
			return a.packed(cmd.Context(), &p, args, func(app string, bundle *os.File) error {
				if planOnly {
					return a.plan(cmd.Context(), app, bundle)
				}
				return a.apply(cmd.Context(), app, bundle)
			})
		}}
	p.flags(c)
	c.Flags().BoolVar(&planOnly, "plan", false, "only show what would change")
	c.Flags().IntVar(&p.options.Expect, "expect", 0, "refuse unless this generation is in force: the one a reviewed plan was made against; 0: the app is not there yet")
	within(c.Flags(), "expect", 0, unbounded)
	c.Flags().StringVar(&p.options.Note, "note", "", "one line for the history")
	return c
}

// asInvalid gives an uncoded complaint about the project its code.
func asInvalid(err error) error {
	if e := casemate.AsError(err); e.Code != casemate.Fault {
		return e
	}
	return &casemate.Error{Code: casemate.Invalid, Message: err.Error(), Hint: "casemate init writes a manifest that holds", Err: err}
}

// build runs the build commands of a manifest, in its folder, with the caller's own environment.
func (a *app) build(ctx context.Context, dir string, m *manifest.Manifest) error {
	done := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(m.Functions)) {
		command := m.Functions[name].Build
		if command == "" || done[command] {
			continue
		}
		done[command] = true
		fmt.Fprintf(a.errs, "building %s: %s\n", name, printable(command))
		cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
		cmd.Dir, cmd.Stdout, cmd.Stderr = dir, a.errs, a.errs
		if err := cmd.Run(); err != nil {
			return &casemate.Error{Code: casemate.Invalid, Field: "functions/" + name + "/build", Message: "the build failed", Hint: "run it by hand in " + dir, Err: err}
		}
	}
	return nil
}

func (a *app) upload(ctx context.Context, app, builtin string, bundle *os.File, out any) error {
	if _, err := bundle.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("sending the bundle: %w", err)
	}
	return a.withClient(func(c *admin.Client) error { return c.On(app).Upload(ctx, builtin, bundle, out) })
}

func (a *app) plan(ctx context.Context, app string, bundle *os.File) error {
	var p deploy.Plan
	if err := a.upload(ctx, app, "deploy.plan", bundle, &p); err != nil {
		return err
	}
	return a.show(p, func(w io.Writer) { fmt.Fprint(w, p.String()) })
}

func (a *app) apply(ctx context.Context, app string, bundle *os.File) error {
	var out deploy.Outcome
	if err := a.upload(ctx, app, "deploy.apply", bundle, &out); err != nil {
		return err
	}
	return a.show(out, func(w io.Writer) { outcomePage(w, &out) })
}

func outcomePage(w io.Writer, out *deploy.Outcome) {
	var b bytes.Buffer
	if out.Plan != nil {
		b.WriteString(out.Plan.String())
	}
	if !out.Changed {
		fmt.Fprintf(&b, "nothing to do: generation %d is already so\n", out.Generation)
	} else {
		fmt.Fprintf(&b, "generation %d is in force\n", out.Generation)
	}
	w.Write(b.Bytes())
}

func (a *app) rollbackCommand() *cobra.Command {
	var q deploy.RollbackRequest
	c := &cobra.Command{Use: "rollback [APP]", Short: "Put an earlier generation of an app, or version of a function, in force again", Args: cobra.MaximumNArgs(1),
		Example: "  casemate rollback shop\n  casemate rollback --function orders --to 3",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				q.App = args[0]
			}
			var out deploy.Outcome
			if err := a.callOn(cmd.Context(), q.App, "deploy.rollback", q, &out); err != nil {
				if q.Function != "" {
					return a.near(cmd.Context(), err, functionNoun, q.Function)
				}
				return a.near(cmd.Context(), err, appNoun, q.App)
			}
			return a.show(out, func(w io.Writer) {
				if q.DryRun {
					fmt.Fprint(w, out.Plan.String())
					return
				}
				outcomePage(w, &out)
			})
		}}
	c.Flags().StringVar(&q.Function, "function", "", "only this function")
	c.Flags().IntVar(&q.To, "to", 0, "generation of the app, or version of the function (default: the one before)")
	within(c.Flags(), "to", 1, unbounded)
	c.Flags().BoolVar(&q.DryRun, "plan", false, "only show what would change")
	return c
}

func (a *app) historyCommand() *cobra.Command {
	return &cobra.Command{Use: "history APP", Short: "List the generations of an app and the versions of its functions", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var h deploy.History
			if err := a.callOn(cmd.Context(), args[0], "deploy.history", deploy.HistoryRequest{App: args[0]}, &h); err != nil {
				return a.near(cmd.Context(), err, appNoun, args[0])
			}
			return a.show(h, func(w io.Writer) { historyPage(w, &h) })
		}}
}

func historyPage(w io.Writer, h *deploy.History) {
	t := newTable("GENERATION", "AT", "BY", "NOTE")
	for _, g := range h.Generations {
		mark := ""
		if g.Number == h.Generation {
			mark = " (in force)"
		}
		t.add(fmt.Sprint(g.Number)+mark, when(g.At), or(g.By, "-"), or(g.Note, "-"))
	}
	t.print(w)
	fmt.Fprintln(w)
	t = newTable("FUNCTION", "VERSION", "MADE", "CODE", "SIZE")
	for _, name := range slices.Sorted(maps.Keys(h.Functions)) {
		for _, v := range h.Functions[name] {
			mark := ""
			if v.Number == h.Live[name] {
				mark = " (in force)"
			}
			t.add(name, fmt.Sprint(v.Number)+mark, when(v.Created), v.Code[:min(12, len(v.Code))], size(v.CodeSize))
		}
	}
	t.print(w)
}
