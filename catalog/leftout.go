package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"casemate"
)

// LeftOut is an app in the store that today's rules refuse: it was deployed before one of them became stricter. Nothing of it
// is served, nobody has its roles, and its history is kept: deploying it again, or rolling back, puts it in force.
type LeftOut struct {
	App  string
	Why  string
	Hint string
}

// LeftOut lists the apps that are stored and not in force, by name.
func (s *Snapshot) LeftOut() []LeftOut { return s.left }

// assemble builds a snapshot of all apps. Where that fails it takes one app at a time, and leaves out those that cannot be
// taken. An app whose guardrails hold over others is not left out: its error is everybody's.
func (c *Catalog) assemble(ctx context.Context, apps []*App, heads map[string]head, g *Guardrails) (*Snapshot, error) {
	all, err := c.buildUnder(ctx, emptySnapshot(c.cfg.Place), apps, heads, g)
	if err == nil || ctx.Err() != nil {
		return all, err
	}
	next, base := c.buildUnder(ctx, emptySnapshot(c.cfg.Place), nil, nil, g)
	if base != nil { // no app is the reason
		return nil, err
	}
	for _, a := range apps {
		if len(a.Guardrails) == 0 {
			continue // first those that bind others: what is refused besides them is refused under them
		}
		if next, err = c.buildUnder(ctx, next, []*App{a}, map[string]head{a.Name: heads[a.Name]}, nil); err != nil {
			return nil, fmt.Errorf("app %s cannot be left out, because its guardrails hold over every app: %w", a.Name, err)
		}
	}
	var left []LeftOut
	for _, a := range apps {
		if len(a.Guardrails) > 0 {
			continue
		}
		with, err := c.buildUnder(ctx, next, []*App{a}, map[string]head{a.Name: heads[a.Name]}, nil)
		if err != nil {
			if rule := (*casemate.Error)(nil); ctx.Err() != nil || errors.Is(err, errStore) || !errors.As(err, &rule) {
				return nil, err // the store's fault, or ours: no rule of today's
			}
			e := casemate.AsError(err)
			left = append(left, LeftOut{App: a.Name, Why: e.Error(), Hint: hint(a.Name, e.Hint)})
			continue
		}
		next = with
	}
	next.left = left
	for _, x := range left {
		next.heads[x.App] = heads[x.App] // what is deployed next follows on it
	}
	return next, nil
}

func hint(app, own string) string {
	text := "deploy app " + app + " again, or roll it back: casemate history " + app
	if own != "" && !strings.Contains(own, "deploy") {
		text = own + "; then " + text
	}
	return text
}

// without is left less the apps that are in force now.
func without(left []LeftOut, changed []*App) []LeftOut {
	if len(left) == 0 {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(left), func(x LeftOut) bool {
		return slices.ContainsFunc(changed, func(a *App) bool { return a.Name == x.App })
	})
}

// errStore marks what is no rule's refusal: a document could not be read.
var errStore = errors.New("reading a contract's document")

// refused is an error of the rules that an app is held to, told apart from one of the store.
func refused(err error) error {
	if e := (*casemate.Error)(nil); err == nil || errors.As(err, &e) {
		return err
	}
	return &casemate.Error{Code: casemate.Invalid, Message: err.Error(), Err: err}
}
