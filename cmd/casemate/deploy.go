package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"casemate"
	"casemate/authn/certificate"
	"casemate/deploy"
	"casemate/deploy/manifest"
	"casemate/front/admin"
	"casemate/sandbox/wasm"
)

// deployBuiltins are the acts that change what runs.
func (n *node) deployBuiltins() (map[string]builtin, error) {
	d, err := deploy.New(deploy.Config{Catalog: n.catalog, Blobs: n.store.Blobs(), Place: n.cfg.Place, Clock: time.Now, Certificate: certificate.Check, Budget: n.purse.Load().Fits,
		Inspect: func(module []byte) error { _, err := wasm.Inspect(module); return err }, Installed: n.installed, Program: programDigest, Environment: n.cfg.Environment, Issuers: n.identity.CheckIssuers, Reserve: n.reserve})
	if err != nil {
		return nil, err
	}
	// under is the deployer that acts for l's caller: on the app the decision was about, or, where that was any, on those
	// that the policy allows one by one. What reaches beyond the app needs casemate:DeployBeyond on it.
	under := func(l *casemate.Launch, action string) *deploy.Deployer {
		return d.For(l.Event.Resource).Under(deploy.Guard{
			App: func(app string) error { return n.judge(l, action, "app", app) },
			Beyond: func(app string, what []string) error {
				err := n.judge(l, "casemate:DeployBeyond", "app", app)
				if err == nil {
					return nil
				}
				e := *casemate.AsError(err)
				e.Message = "this deploy reaches beyond app " + app + " (" + strings.Join(what, "; ") + "): " + e.Message
				return &e
			}})
	}
	bundle := func(action string, do func(ctx context.Context, l *casemate.Launch) (any, error)) builtin {
		return builtin{action: action, kind: "app", body: bundleLimit, named: true, run: do}
	}
	all := n.policyBuiltins(d)
	maps.Copy(all, n.guardrailBuiltins())
	maps.Copy(all, map[string]builtin{
		"deploy.plan": bundle("casemate:PlanDeploy", func(ctx context.Context, l *casemate.Launch) (any, error) {
			return under(l, "casemate:PlanDeploy").Plan(ctx, l.Payload)
		}),
		"deploy.apply": bundle("casemate:Deploy", func(ctx context.Context, l *casemate.Launch) (any, error) {
			out, err := under(l, "casemate:Deploy").Apply(ctx, l.Payload, l.Principal.Name())
			if err == nil {
				n.prepare(ctx)
			}
			return out, err
		}),
		"deploy.rollback": named(question("casemate:Rollback", "app", func(ctx context.Context, l *casemate.Launch, q deploy.RollbackRequest) (any, error) {
			return under(l, "casemate:Rollback").Rollback(ctx, q, l.Principal.Name())
		})),
		"deploy.history": named(question("casemate:ReadHistory", "app", func(ctx context.Context, l *casemate.Launch, q deploy.HistoryRequest) (any, error) {
			return under(l, "casemate:ReadHistory").History(ctx, q)
		})),
	})
	return all, nil
}

// installed says whether a runtime can run here.
func (n *node) installed(r casemate.Runtime) bool {
	switch r.Family() {
	case "wasm", "provided":
		return true
	case "":
		return false
	}
	_, _, err := n.runtimes.Choose(r)
	return err == nil
}

func (a *app) deployCommand() *cobra.Command {
	var o deploy.Options
	var planOnly, noBuild bool
	c := &cobra.Command{Use: "deploy [FOLDER]", Short: "Build, show what changes (permissions first), and deploy", Args: cobra.MaximumNArgs(1),
		Long: `Reads casemate.yaml in FOLDER (default: here), runs the build commands of its functions, packs everything into one
bundle and sends it. The node checks it, says what changes, permissions first, and swaps it in all at once: on any error
the version before serves on. Deploying what is already in force changes nothing.`,
		Example: "  casemate deploy\n  casemate deploy examples/orders --plan",
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) > 0 {
				dir = args[0]
			}
			if !noBuild {
				if err := a.build(cmd.Context(), dir); err != nil {
					return err
				}
			}
			bundle, err := os.CreateTemp("", "casemate-bundle-")
			if err != nil {
				return fmt.Errorf("packing: %w", err)
			}
			defer os.Remove(bundle.Name())
			defer bundle.Close()
			m, err := deploy.Pack(dir, manifest.Setting{Place: casemate.DefaultPlace, Now: time.Now()}, o, bundle)
			if err != nil {
				return asInvalid(err)
			}
			if planOnly {
				return a.plan(cmd.Context(), m.App, bundle)
			}
			return a.apply(cmd.Context(), m.App, bundle)
		}}
	c.Flags().BoolVar(&planOnly, "plan", false, "only show what would change")
	c.Flags().BoolVar(&noBuild, "no-build", false, "take the code as it lies there")
	c.Flags().BoolVar(&o.LeaveOut, "leave-out-missing", false, "leave out functions whose runtime is not installed on the node, instead of refusing")
	c.Flags().IntVar(&o.Expect, "expect", 0, "refuse unless this generation is in force: the one a reviewed plan was made against")
	c.Flags().StringVar(&o.Environment, "environment", "", "environment that the app is for: dev, staging, prod (default: what the manifest says)")
	c.Flags().StringVar(&o.Note, "note", "", "one line for the history")
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
func (a *app) build(ctx context.Context, dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, manifest.File))
	if err != nil {
		return &casemate.Error{Code: casemate.NotFound, Field: filepath.Join(dir, manifest.File), Message: "cannot be read", Hint: "casemate init writes one", Err: err}
	}
	m, err := manifest.Parse(manifest.File, text, manifest.Setting{Place: casemate.DefaultPlace, Now: time.Now()})
	if err != nil {
		return asInvalid(err)
	}
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
				return err
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
	c.Flags().BoolVar(&q.DryRun, "plan", false, "only show what would change")
	return c
}

func (a *app) historyCommand() *cobra.Command {
	return &cobra.Command{Use: "history APP", Short: "List the generations of an app and the versions of its functions", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var h deploy.History
			if err := a.callOn(cmd.Context(), args[0], "deploy.history", deploy.HistoryRequest{App: args[0]}, &h); err != nil {
				return err
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

// programDigest reads the digest of a program of this machine that functions are to execute.
func programDigest(path string) (string, error) {
	bad := func(hint, format string, args ...any) (string, error) {
		return "", casemate.Errorf(casemate.Invalid, hint, format, args...)
	}
	const elsewhere = "install it on the node's machine, or take it into the code and name it below /var/task"
	if !slices.ContainsFunc([]string{"/usr/bin/", "/usr/lib/", "/usr/libexec/", "/bin/"}, func(dir string) bool { return strings.HasPrefix(path, dir) }) {
		return bad(elsewhere, "a sandbox sees programs of the system only, below /usr/bin, /usr/lib, /usr/libexec and /bin")
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe would wait for its writer
	if err != nil {
		return bad(elsewhere, "it cannot be read: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return bad(elsewhere, "it cannot be read: %w", err)
	case !info.Mode().IsRegular() || info.Mode().Perm()&0o001 == 0:
		return bad("name a program that everybody may execute", "it is no program that everybody may execute")
	case info.Mode()&(os.ModeSetuid|os.ModeSetgid) != 0:
		return bad("name another program", "it runs as another user (set-id)")
	}
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return bad("", "it cannot be read: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
