package node

import (
	"context"
	"fmt"
	"time"

	"casemate"
	"casemate/budget"
)

// budgetBuiltins set and tell of budgets. A manifest's are changed by deploying it, and the operator's by nobody who only may
// deploy.
func (n *node) budgetBuiltins() map[string]builtin {
	purse := n.purse.Load()
	done := struct {
		Done bool `json:"done"`
	}{true}
	return map[string]builtin{
		"budget.list": question("casemate:ListBudgets", "budget", func(context.Context, *casemate.Launch, struct{}) (any, error) {
			return purse.List(time.Now()), nil
		}),
		"budget.set": question("casemate:SetBudget", "budget", func(ctx context.Context, l *casemate.Launch, b casemate.Budget) (any, error) {
			b.Origin = "set by " + l.Principal.Name() + " on " + time.Now().UTC().Format(time.DateOnly)
			return done, purse.Set(ctx, b)
		}),
		"budget.remove": question("casemate:RemoveBudget", "budget", func(ctx context.Context, _ *casemate.Launch, q IDQuestion) (any, error) {
			return done, purse.Remove(ctx, q.ID)
		}),
		"budget.tag": question("casemate:SetBudget", "budget", func(ctx context.Context, _ *casemate.Launch, t budget.Tagging) (any, error) {
			return done, purse.Tag(ctx, t)
		}),
		"budget.tags": question("casemate:ListBudgets", "budget", func(context.Context, *casemate.Launch, struct{}) (any, error) {
			return purse.Tags(), nil
		}),
	}
}

// budgetPosture tells of budgets that are overspent, nearly spent or out of order.
func (n *node) budgetPosture(now time.Time) (fs []Finding) {
	for _, s := range n.purse.Load().List(now) {
		what := "budget " + s.ID
		if s.Name != "" {
			what += ", " + s.Name
		}
		spent := s.Spent + s.Lost
		switch {
		case s.For == "chain":
		case s.Stop != "":
			fs = append(fs, Finding{"high", "expired", what, s.Stop + ": everything under it is refused", "casemate budget set " + s.For})
		case s.Soft && spent > s.Amount:
			fs = append(fs, Finding{"medium", "overspent", what, fmt.Sprintf("%s of %s is spent", spent, s.Amount), "find out by whom: casemate bill"})
		case !s.Soft && spent/4 >= s.Amount/5 && s.Amount > 0:
			fs = append(fs, Finding{"medium", "overspent", what, fmt.Sprintf("%s of %s is spent; past it comes 429", spent, s.Amount), "casemate budget set, or find out by whom: casemate bill"})
		}
		if s.Lost > 0 {
			fs = append(fs, Finding{"low", "weak", what, s.Lost.String() + " counts as spent, because records may have been lost with the machine", "it starts anew with its span of time"})
		}
	}
	return fs
}
