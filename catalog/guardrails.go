package catalog

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"casemate"
)

// Guardrails are the organisation's: statements that hold for every app and role of the node, and that nothing an app says
// can widen. A set that only denies leaves the rest to roles; one that allows is a list of all that may be allowed at all.
type Guardrails struct {
	Statements []casemate.Statement `json:"statements"`
	At         time.Time            `json:"at,omitzero"`
	By         string               `json:"by,omitempty"`
}

// ActionGuardrails is the act of setting them.
const ActionGuardrails = "casemate:PutGuardrails"

// keyGuardrails is beside the apps' keys in the catalog's bucket.
const keyGuardrails = "guardrails"

// digest changes with the statements.
func (g *Guardrails) digest() string {
	return digestOf(g.Statements)
}

// digestOf is "" for an empty list, and else changes with it.
func digestOf[T any](list []T) string {
	if len(list) == 0 {
		return ""
	}
	data, err := json.Marshal(list)
	if err != nil { // plain data always encodes
		return err.Error()
	}
	return fmt.Sprintf("%x", sha256.Sum256(data))
}

// readGuardrails gives what is stored, and its revision; none is an empty set at revision 0.
func (c *Catalog) readGuardrails(ctx context.Context) (*Guardrails, uint64, error) {
	g := &Guardrails{}
	list, err := c.kv.List(ctx, keyGuardrails)
	if err != nil {
		return nil, 0, fmt.Errorf("reading the guardrails: %w", err)
	}
	for _, e := range list {
		if e.Key != keyGuardrails {
			continue
		}
		if err := json.Unmarshal(e.Value, g); err != nil {
			return nil, 0, fmt.Errorf("reading the guardrails: %w", err)
		}
		return g, e.Revision, nil
	}
	return g, 0, nil
}

// Guardrails gives those that are set.
func (c *Catalog) Guardrails(ctx context.Context) (*Guardrails, error) {
	g, _, err := c.readGuardrails(ctx)
	return g, err
}

// PreviewGuardrails compiles the policies that would be in force under g, and changes nothing.
func (c *Catalog) PreviewGuardrails(ctx context.Context, g *Guardrails) (casemate.Decider, error) {
	next, err := c.under(ctx, g)
	if err != nil {
		return nil, err
	}
	return next.Policy, nil
}

func (c *Catalog) under(ctx context.Context, g *Guardrails) (*Snapshot, error) {
	old := c.Snapshot()
	next, err := c.buildUnder(ctx, old, nil, nil, g)
	if err != nil {
		return nil, err
	}
	// Whatever app there is must stay deployable, and the guardrails changeable, by the platform's own roles.
	for _, name := range append([]string{"*"}, old.Apps()...) {
		if err := c.open(old, next, &App{Name: name, At: g.At}); err != nil {
			return nil, err
		}
	}
	return next, nil
}

// SetGuardrails puts g in force in place of those before, for every app at once. What would keep the platform's own roles
// from undoing it is a Conflict.
func (c *Catalog) SetGuardrails(ctx context.Context, g *Guardrails) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	next, err := c.under(ctx, g)
	if err != nil {
		return err
	}
	_, revision, err := c.readGuardrails(ctx)
	if err != nil {
		return err
	}
	value, err := json.Marshal(g)
	if err != nil {
		return fmt.Errorf("writing the guardrails: %w", err)
	}
	if _, err := c.kv.Put(ctx, keyGuardrails, value, revision); err != nil {
		if casemate.CodeOf(err) == casemate.Conflict {
			err = errors.Join(err, c.reload(ctx))
		}
		return fmt.Errorf("storing the guardrails: %w", err)
	}
	c.publish(next)
	return nil
}

// allowsAny reports whether a list of guardrails says what may be allowed, and not only what may not.
func allowsAny(list []casemate.Statement) bool {
	return slices.ContainsFunc(list, func(s casemate.Statement) bool { return s.Effect == casemate.Allow })
}

// environments says what belongs to which environment; nil when no app is in one.
func (b *builder) environments() []casemate.Environment {
	all, named := map[string]*casemate.Environment{}, false
	for _, name := range b.Apps() {
		a := b.apps[name]
		e := all[a.Environment]
		if e == nil {
			e = &casemate.Environment{Name: a.Environment}
			all[a.Environment] = e
		}
		named = named || a.Environment != ""
		e.Apps = append(e.Apps, name)
		e.Roles = append(e.Roles, a.roles()...)
		for _, fn := range slices.Sorted(maps.Keys(a.Functions)) {
			e.Functions = append(e.Functions, b.place.FunctionARN(fn))
		}
	}
	if !named {
		return nil
	}
	var list []casemate.Environment
	for _, name := range slices.Sorted(maps.Keys(all)) {
		list = append(list, *all[name])
	}
	return list
}
