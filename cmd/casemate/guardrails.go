package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"casemate"
	"casemate/catalog"
	"casemate/node"
	"casemate/policy/analysis"
)

// maxGuardrails bounds a document of guardrails; the policy room has its own bound below it.
const maxGuardrails = 1 << 20

func (a *app) guardrailsCommand() *cobra.Command {
	c := &cobra.Command{Use: "guardrails", Short: "Show and set what holds over every app of the node, whatever apps allow",
		Long: `Guardrails are an IAM policy of the organisation. A Deny in it wins over every app, role and resource policy. If it has an
Allow, it is the list of all that may be allowed at all. The operator's own way to change it cannot be taken away.`}
	c.AddCommand(a.guardrailsShow(), a.guardrailsSet())
	return c
}

func (a *app) guardrailsShow() *cobra.Command {
	return &cobra.Command{Use: "show", Short: "Show the guardrails in force", Args: cobra.NoArgs, Example: "  casemate guardrails show --json > guardrails.json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var g catalog.Guardrails
			if err := a.call(cmd.Context(), "guardrails.show", nil, &g); err != nil {
				return err
			}
			return a.show(&g, func(w io.Writer) { guardrailPage(w, &g) })
		}}
}

func guardrailPage(w io.Writer, g *catalog.Guardrails) {
	if len(g.Statements) == 0 {
		fmt.Fprintln(w, "none is set: casemate guardrails set FILE")
		return
	}
	fmt.Fprintf(w, "set %s by %s\n", when(g.At), printable(g.By))
	t := newTable("EFFECT", "ACTION", "RESOURCE", "IF", "SID")
	for i := range g.Statements {
		s := &g.Statements[i]
		var conditions []string
		for operator, keys := range s.Condition {
			for key, values := range keys {
				conditions = append(conditions, key+" "+operator+" "+strings.Join(values, "|"))
			}
		}
		except := func(not, list []string) string {
			if len(not) > 0 {
				return "all but " + strings.Join(not, ", ")
			}
			return strings.Join(list, ", ")
		}
		t.add(string(s.Effect), except(s.NotAction, s.Action), except(s.NotResource, s.Resource), or(strings.Join(conditions, "; "), "-"), or(s.Sid, "-"))
	}
	t.print(w)
}

func (a *app) guardrailsSet() *cobra.Command {
	var q node.GuardrailQuestion
	var none bool
	c := &cobra.Command{Use: "set FILE", Short: "Put an IAM policy in force over every app; - reads standard input", Args: cobra.MaximumNArgs(1),
		Long:    "Takes effect at once, for every app. With --plan nothing changes: the record is replayed, and what history needed and\nwould be denied is shown.",
		Example: "  casemate guardrails set organisation.json --plan\n  casemate guardrails set organisation.json\n  casemate guardrails set --none",
		RunE: func(cmd *cobra.Command, args []string) error {
			if none == (len(args) == 1) {
				return &casemate.Error{Code: casemate.Invalid, Field: "FILE", Message: "name a file, or say --none", Hint: "casemate guardrails set organisation.json"}
			}
			if !none {
				text, err := a.document(args[0])
				if err != nil {
					return err
				}
				q.Policy = string(text)
			}
			if q.DryRun {
				return a.guardrailPlan(cmd.Context(), q)
			}
			var g catalog.Guardrails
			if err := a.call(cmd.Context(), "guardrails.set", q, &g); err != nil {
				return err
			}
			return a.show(&g, func(w io.Writer) { guardrailPage(w, &g) })
		}}
	c.Flags().BoolVar(&q.DryRun, "plan", false, "only show what they would have refused")
	c.Flags().BoolVar(&none, "none", false, "take all of them back")
	return c
}

func (a *app) guardrailPlan(ctx context.Context, q node.GuardrailQuestion) error {
	r := &analysis.Report{}
	if err := a.call(ctx, "guardrails.set", q, r); err != nil {
		return err
	}
	return a.show(r, func(w io.Writer) { reportPage(w, r) })
}

// document reads a file, or standard input.
func (a *app) document(name string) ([]byte, error) {
	in := a.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, &casemate.Error{Code: casemate.NotFound, Field: name, Message: "cannot be opened", Hint: "name a file with an IAM policy", Err: err}
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxGuardrails+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if len(text) > maxGuardrails || len(strings.TrimSpace(string(text))) == 0 {
		return nil, &casemate.Error{Code: casemate.Invalid, Field: name, Message: "is empty, or larger than 1 MB", Hint: "an IAM policy: {\"Version\": \"2012-10-17\", \"Statement\": [...]}"}
	}
	return text, nil
}
