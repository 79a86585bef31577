package catalog

import (
	"context"

	"casemate"
)

// Preview compiles the policies that would be in force after a Swap of a, and changes nothing. docs are as for Check.
func (c *Catalog) Preview(ctx context.Context, a *App, docs map[string][]byte) (casemate.Decider, error) {
	b := builder{cfg: &c.cfg, load: func(digest string) ([]byte, error) {
		if doc, ok := docs[digest]; ok {
			return doc, nil
		}
		return c.read(ctx, digest, maxContract)
	}}
	if err := b.next(c.Snapshot(), []*App{a}, nil); err != nil {
		return nil, err
	}
	return b.Snapshot.Policy, nil
}

// Roles are the statements of every role of every app, those of functions included. They must not be changed.
func (s *Snapshot) Roles() map[string][]casemate.Statement {
	all := map[string][]casemate.Statement{}
	for _, a := range s.apps {
		for name, r := range a.Roles {
			all[name] = r.Statements
		}
	}
	return all
}
