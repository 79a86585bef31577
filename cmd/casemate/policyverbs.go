package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"casemate"
	"casemate/deploy/bundle"
	"casemate/deploy/manifest"
	"casemate/node"
	"casemate/policy/analysis"
)

func (a *app) policyCommand() *cobra.Command {
	c := &cobra.Command{Use: "policy", Short: "Explain decisions, ask who can do what, replay history against a change, take away what is not used",
		Long: `A decision comes from statements in layers: guardrails, the boundary of a role, the scope of a key, the role, the resource's
own policy. These verbs show which of them had a say, for a request or for a recorded event, and read the record to tell
what a change would have done and what was granted for nothing.`}
	c.AddCommand(a.policyExplain(), a.policyWhoCan(), a.policyWhatCan(), a.policySimulate(), a.policyUnused(), a.policyTighten())
	return c
}

// policyFlags are what verbs about one request share.
func policyFlags(c *cobra.Command, q *node.PolicyQuestion, context *[]string) *cobra.Command {
	c.Flags().StringVar(&q.Request, "request", "", `instead of an action and a resource: "GET /orders/7", as a route hears it`)
	c.Flags().StringVar(&q.Host, "host", "", "of --request, where routes are kept apart by host")
	c.Flags().StringArrayVar(context, "context", nil, "value of a condition key: jwt:sub=ada, aws:SourceIp=203.0.113.7, aws:PrincipalTag/team=blue; again for more")
	return c
}

// contextOf reads KEY=VALUE.
func contextOf(list []string) (map[string][]string, error) {
	m := map[string][]string{}
	for _, text := range list {
		key, value, ok := strings.Cut(text, "=")
		if !ok || !strings.Contains(key, ":") {
			return nil, &casemate.Error{Code: casemate.Invalid, Field: "--context", Message: fmt.Sprintf("%q is not KEY=VALUE", text), Hint: "jwt:sub=ada"}
		}
		m[key] = append(m[key], value)
	}
	return m, nil
}

func (a *app) policyExplain() *cobra.Command {
	var q node.PolicyQuestion
	var context []string
	c := &cobra.Command{Use: "explain [RECORD]", Short: "Show every statement that a decision looked at, in order, and why each did or did not apply", Args: cobra.MaximumNArgs(1),
		Long: `Takes a request, as somebody, or the id of a record. The verdict is the one that the node comes to: the same policies are
asked. For a record the policies of today are shown beside what was decided then.`,
		Example: `  casemate policy explain --as role/clerk --request "GET /orders/7" --context jwt:sub=ada
  casemate policy explain --as function/orders --action secretsmanager:GetSecretValue --resource arn:aws:secretsmanager:us-east-1:000000000000:secret:db
  casemate policy explain 0b1f6f0c-9d2e-4c1e-8a57-1d2f3a4b5c6d --json`,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if len(args) > 0 {
				q.Record = args[0]
			}
			if q.Record == "" && q.As == "" {
				return &casemate.Error{Code: casemate.Invalid, Field: "--as", Message: "who asks is missing", Hint: "--as role/NAME, function/NAME, operator/NAME, key/ck_... or nobody; or the id of a record"}
			}
			if q.Context, err = contextOf(context); err != nil {
				return err
			}
			var out []node.Explained
			if err := a.call(cmd.Context(), "policy.explain", q, &out); err != nil {
				return err
			}
			return a.show(out, func(w io.Writer) {
				for i := range out {
					explainedPage(w, &out[i])
				}
			})
		}}
	c.Flags().StringVar(&q.As, "as", "", "who asks: role/NAME, function/NAME, operator/NAME, key/ck_... or nobody")
	c.Flags().StringVar(&q.Action, "action", "", "IAM action: lambda:InvokeFunction")
	c.Flags().StringVar(&q.Resource, "resource", "", "ARN")
	return policyFlags(c, &q, &context)
}

// page is one explanation for people: what applies in full, what is about other actions only counted.
func explainedPage(w io.Writer, x *node.Explained) {
	d := &x.Decision
	fmt.Fprintf(w, "%s  %s on %s\n", strings.ToUpper(d.Verdict.String()), printable(x.Action), printable(x.Resource))
	fmt.Fprintf(w, "  as %s, role %s\n  because %s\n", printable(x.Principal), or(printable(x.Role), "-"), printable(d.Reason))
	if x.Was != nil && x.Was.Verdict != d.Verdict {
		fmt.Fprintf(w, "  BUT it was decided otherwise then: %s by %s: %s\n", x.Was.Verdict, or(x.Was.Statement, "nothing"), printable(x.Was.Reason))
	}
	if len(x.Missing) > 0 {
		fmt.Fprintf(w, "  not recorded then, and looked at now: %s\n", printable(strings.Join(x.Missing, ", ")))
	}
	if d.Hint != "" && d.Verdict != casemate.Allowed {
		fmt.Fprintf(w, "  hint: %s\n", printable(d.Hint))
	}
	t := newTable("", "LAYER", "EFFECT", "STATEMENT", "WHY", "WRITTEN")
	others := 0
	for i := range x.Steps {
		s := &x.Steps[i]
		if s.Why == "it is about other actions" {
			others++
			continue
		}
		mark, why := "no", s.Why
		if s.Applies {
			mark, why = "yes", "applies"
		}
		if s.Decides {
			mark, why = "=>", "applies, and decides"
		}
		t.add(mark, s.Layer, string(s.Effect), s.Statement, why, or(s.Origin, "-"))
	}
	if len(t.rows) > 0 {
		t.print(w)
	}
	if others > 0 {
		fmt.Fprintf(w, "%s about other actions; --json lists them\n", count(int64(others), "statement"))
	}
	if len(x.Absent) > 0 {
		fmt.Fprintf(w, "not set, so without a say: %s\n", strings.Join(x.Absent, ", "))
	}
	fmt.Fprintln(w)
}

func (a *app) policyWhoCan() *cobra.Command {
	var q node.PolicyQuestion
	var context []string
	var everybody bool
	c := &cobra.Command{Use: "who-can ACTION RESOURCE", Short: "List who can do something: every role of callers and functions, and nobody", Args: cobra.MaximumNArgs(2),
		Example: "  casemate policy who-can secretsmanager:GetSecretValue arn:aws:secretsmanager:us-east-1:000000000000:secret:db\n  casemate policy who-can --request \"GET /orders/7\"",
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if len(args) == 2 {
				q.Action, q.Resource = args[0], args[1]
			} else if len(args) == 1 || q.Request == "" {
				return &casemate.Error{Code: casemate.Invalid, Field: "ACTION RESOURCE", Message: "both are needed", Hint: `or --request "GET /orders/7"`}
			}
			if q.Context, err = contextOf(context); err != nil {
				return err
			}
			var out []analysis.Right
			if err := a.call(cmd.Context(), "policy.whocan", q, &out); err != nil {
				return err
			}
			return a.show(out, func(w io.Writer) {
				rightTable(w, out, func(r *analysis.Right) string { return r.Who }, "WHO", everybody)
			})
		}}
	c.Flags().BoolVar(&everybody, "all", false, "those who cannot, too, with the reason")
	return policyFlags(c, &q, &context)
}

func (a *app) policyWhatCan() *cobra.Command {
	var q node.PolicyQuestion
	var context []string
	c := &cobra.Command{Use: "what-can PRINCIPAL", Short: "List the routes, functions, secrets and parameters that somebody can reach", Args: cobra.ExactArgs(1),
		Example: "  casemate policy what-can role/clerk\n  casemate policy what-can function/orders --json",
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			q.As = args[0]
			if q.Context, err = contextOf(context); err != nil {
				return err
			}
			var out []analysis.Right
			if err := a.call(cmd.Context(), "policy.whatcan", q, &out); err != nil {
				return err
			}
			return a.show(out, func(w io.Writer) {
				rightTable(w, out, func(r *analysis.Right) string { return r.Action + " on " + r.Resource }, "WHAT", true)
			})
		}}
	c.Flags().StringArrayVar(&context, "context", nil, "value of a condition key: jwt:sub=ada")
	return c
}

func rightTable(w io.Writer, list []analysis.Right, subject func(*analysis.Right) string, head string, everybody bool) {
	t := newTable(head, "CAN", "BY", "DEPENDS ON")
	for i := range list {
		r := &list[i]
		if r.Can == analysis.No && !everybody {
			continue
		}
		t.add(subject(r), r.Can, or(r.Statement, or(r.Reason, "-")), or(strings.Join(r.Keys, ", "), "-"))
	}
	if len(t.rows) == 0 {
		fmt.Fprintln(w, "nobody and nothing")
		return
	}
	t.print(w)
}

// historyFlags say how far back the record is read.
func historyFlags(c *cobra.Command, q *node.HistoryQuestion) *cobra.Command {
	c.Flags().DurationVar(&q.Since, "since", 0, "only so far back: 24h, 720h (default all)")
	c.Flags().IntVarP(&q.Limit, "limit", "n", 10_000, "read at most so many records, the newest")
	within[time.Duration](c.Flags(), "since", 1, unbounded)
	within(c.Flags(), "limit", 1, 100_000)
	return c
}

func (a *app) policyUnused() *cobra.Command {
	var q node.HistoryQuestion
	c := &cobra.Command{Use: "unused [ROLE]", Short: "List what was granted and never used, with the last use of the rest", Args: cobra.MaximumNArgs(1),
		Long:    "Holds every grant of every role and function against the recorded decisions: calls, services, secrets, hosts that were\nconnected to. A grant that only ever matched what another one before it allowed is called redundant.",
		Example: "  casemate policy unused\n  casemate policy unused clerk --all --since 720h",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				q.Role = args[0]
			}
			var out []analysis.Grant
			if err := a.call(cmd.Context(), "policy.unused", q, &out); err != nil {
				return err
			}
			return a.show(out, func(w io.Writer) { grantTable(w, out) })
		}}
	c.Flags().BoolVar(&q.All, "all", false, "those in use, too")
	return historyFlags(c, &q)
}

func grantTable(w io.Writer, list []analysis.Grant) {
	if len(list) == 0 {
		fmt.Fprintln(w, "every grant was used")
		return
	}
	t := newTable("ROLE", "GRANT", "STATE", "USES", "LAST", "WRITTEN")
	for i := range list {
		g := &list[i]
		state := "in use"
		switch {
		case g.Effect == casemate.Deny:
			state = "denies"
		case g.Unused():
			state = "unused"
		case g.Redundant():
			state = "redundant"
		}
		last := "never"
		if !g.Last.IsZero() {
			last = when(g.Last)
		}
		at, _, _ := strings.Cut(g.Origin, " ")
		t.add(g.Role, or(g.Text, strings.Join(g.Actions, ", ")+" on "+strings.Join(g.Resource, ", ")), state, fmt.Sprint(g.Uses), last, or(at, "-"))
	}
	t.print(w)
}

func (a *app) policySimulate() *cobra.Command {
	return &cobra.Command{Use: "simulate [FOLDER]", Short: "Replay the record against the manifest in FOLDER: what would be decided otherwise", Args: cobra.MaximumNArgs(1),
		Long:    "Packs FOLDER as deploy does, without building, and asks its policies everything that the newest 10,000 records were asked.\nNothing is deployed. Exits 1 when something that was allowed would be denied.",
		Example: "  casemate policy simulate\n  casemate policy simulate examples/orders --json",
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) > 0 {
				dir = args[0]
			}
			r, err := a.simulate(cmd.Context(), dir)
			if err != nil {
				return err
			}
			if err := a.show(r, func(w io.Writer) { reportPage(w, r) }); err != nil {
				return err
			}
			if r.Denials > 0 {
				return casemate.Errorf(casemate.FunctionFailed, "look at each: a grant that is still needed goes back", "%s that history needed would be denied", count(int64(r.Denials), "decision"))
			}
			return nil
		}}
}

func (a *app) simulate(ctx context.Context, dir string) (*analysis.Report, error) {
	file, err := os.CreateTemp("", "casemate-bundle-")
	if err != nil {
		return nil, fmt.Errorf("packing: %w", err)
	}
	defer os.Remove(file.Name())
	defer file.Close()
	m, err := bundle.Pack(dir, manifest.Setting{Place: casemate.DefaultPlace, Now: time.Now()}, bundle.Options{}, file)
	if err != nil {
		return nil, asInvalid(err)
	}
	r := &analysis.Report{}
	return r, a.upload(ctx, m.App, "policy.simulate", file, r)
}

func reportPage(w io.Writer, r *analysis.Report) {
	if r.Questions == 0 {
		fmt.Fprintln(w, "nothing is recorded yet that the policy was asked about")
		return
	}
	fmt.Fprintf(w, "%s of %s since %s: %d as before, %d would be denied, %d would be allowed, %d cannot be told\n", count(int64(r.Questions), "decision"),
		count(int64(r.Records), "record"), when(r.From), r.Same, r.Denials, r.Allows, r.Unknown)
	if len(r.Differences) == 0 {
		return
	}
	t := newTable("WAS", "NOW", "WHO", "ROLE", "WHAT", "WHY", "RECORD")
	for i := range r.Differences {
		d := &r.Differences[i]
		why := or(d.By, d.Reason)
		if len(d.Missing) > 0 {
			why = "not recorded: " + strings.Join(d.Missing, ", ")
		}
		t.add(d.Was, d.Now, d.Principal, or(d.Role, "-"), d.Action+" on "+d.Resource, why, d.Record)
	}
	t.print(w)
	if r.More > 0 {
		fmt.Fprintf(w, "and %d more\n", r.More)
	}
}

func (a *app) policyTighten() *cobra.Command {
	var q node.HistoryQuestion
	var write bool
	c := &cobra.Command{Use: "tighten [FOLDER]", Short: "Print a diff of casemate.yaml that takes away what history did not need, and prove it", Args: cobra.MaximumNArgs(1),
		Long: `Takes grants out that nothing used, and replaces wide ones by the narrow ones that hold every use. The node replays its
record against the result: the diff is only printed when nothing that was allowed would be denied. Roles that nobody has
used yet are left alone (--all). Statements that were written out are named and left to you.`,
		Example: "  casemate policy tighten\n  casemate policy tighten shop --write && casemate deploy shop",
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) > 0 {
				dir = args[0]
			}
			return a.tighten(cmd.Context(), filepath.Join(dir, manifest.File), q, write)
		}}
	c.Flags().BoolVar(&q.All, "all", false, "roles that nobody has used, too")
	c.Flags().BoolVar(&write, "write", false, "change the file as well")
	return historyFlags(c, &q)
}

// tightenOutcome is what `casemate policy tighten --json` prints.
type tightenOutcome struct {
	node.Tightened
	Diff    string `json:"diff"`
	Written bool   `json:"written"`
}

func (a *app) tighten(ctx context.Context, file string, q node.HistoryQuestion, write bool) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return &casemate.Error{Code: casemate.NotFound, Field: file, Message: "cannot be read", Hint: "name the folder that was deployed", Err: err}
	}
	setting := manifest.Setting{Place: casemate.DefaultPlace, Now: time.Now()}
	m, err := manifest.Parse(manifest.File, text, setting)
	if err != nil {
		return asInvalid(err)
	}
	q.App = m.App
	out := tightenOutcome{}
	if err := a.call(ctx, "policy.tighten", q, &out.Tightened); err != nil {
		return err
	}
	if n := out.Proof.Denials; n > 0 {
		return casemate.Errorf(casemate.Conflict, "this is a mistake of Casemate; nothing was changed", "history does not pass the proposal: %s would be denied", count(int64(n), "decision"))
	}
	var edits []manifest.Edit
	for _, c := range out.Changes {
		if c.Grant != "" {
			edits = append(edits, manifest.Edit{Line: manifest.LineOf(manifest.File, c.Origin), Old: c.Grant, New: c.With})
		}
	}
	next, err := manifest.Rewrite(string(text), edits)
	if err != nil {
		return err
	}
	if _, err := manifest.Parse(manifest.File, []byte(next), setting); err != nil {
		return asInvalid(err)
	}
	out.Diff = string(diff.Diff(file, text, file+" (tightened)", []byte(next)))
	if write && len(edits) > 0 {
		if err := os.WriteFile(file, []byte(next), 0o644); err != nil {
			return fmt.Errorf("writing %s: %w", file, err)
		}
		out.Written = true
	}
	return a.show(&out, func(w io.Writer) { out.page(w) })
}

func (out *tightenOutcome) page(w io.Writer) {
	for _, c := range out.Changes {
		if c.Grant == "" {
			fmt.Fprintf(w, "# by hand: %s, %s\n", printable(c.Origin), c.Why)
		}
	}
	if out.Diff == "" {
		fmt.Fprintln(w, "# nothing to take away")
		return
	}
	fmt.Fprint(w, printableLines(out.Diff))
	p := out.Proof
	fmt.Fprintf(w, "# history passes: %s of %s as before, 0 denied", count(int64(p.Same), "decision"), count(int64(p.Records), "record"))
	if p.Unknown > 0 {
		fmt.Fprintf(w, ", %d cannot be told", p.Unknown)
	}
	fmt.Fprintln(w)
}
