package node

import (
	"context"
	"strings"
	"time"

	"casemate"
	"casemate/catalog"
	"casemate/policy"
)

// GuardrailQuestion sets the organisation's guardrails; an empty document takes them back.
type GuardrailQuestion struct {
	Policy string `json:"policy"` // IAM JSON
	DryRun bool   `json:"dry_run,omitempty"`
}

// guardrailBuiltins are the acts on what holds over every app. They are nobody's to do who may only deploy.
func (n *node) guardrailBuiltins() map[string]builtin {
	return map[string]builtin{
		"guardrails.show": question("casemate:ReadGuardrails", "guardrails", func(ctx context.Context, _ *casemate.Launch, _ struct{}) (any, error) {
			return n.catalog.Guardrails(ctx)
		}),
		"guardrails.set": question(catalog.ActionGuardrails, "guardrails", func(ctx context.Context, l *casemate.Launch, q GuardrailQuestion) (any, error) {
			g := &catalog.Guardrails{At: time.Now().UTC(), By: l.Principal.Name(), Statements: []casemate.Statement{}}
			if strings.TrimSpace(q.Policy) != "" {
				var err error
				if g.Statements, err = policy.Parse([]byte(q.Policy), "guardrail of the organisation"); err != nil {
					return nil, err
				}
			}
			next, err := n.catalog.PreviewGuardrails(ctx, g)
			if err != nil {
				return nil, err
			}
			if !q.DryRun {
				return g, n.catalog.SetGuardrails(ctx, g)
			}
			return n.simulate(ctx, HistoryQuestion{}, next)
		}),
	}
}
