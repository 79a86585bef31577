package deploy

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"casemate"
	"casemate/catalog"
	"casemate/deploy/bundle"
)

// Vault keeps values sealed, by name.
type Vault interface {
	Put(ctx context.Context, name string, value []byte) error
	Get(ctx context.Context, name string) ([]byte, error)
	Drop(ctx context.Context, name string) error
}

// around is what this node knows.
func (d *Deployer) around(ctx context.Context) *bundle.Around {
	return &bundle.Around{At: d.cfg.Address, Exports: d.exports(""), Recall: func(stack string) (map[string]string, []string, error) {
		app, _ := d.cfg.Catalog.Snapshot().App(stack)
		if app == nil || app.Template == nil {
			return nil, nil, nil
		}
		all := maps.Clone(app.Template.Parameters)
		for name, at := range app.Template.Sealed {
			if d.cfg.Vault == nil {
				continue
			}
			value, err := d.cfg.Vault.Get(ctx, at)
			if casemate.CodeOf(err) == casemate.NotFound { // of a generation that was gone back to: it has to be given again
				continue
			}
			if err != nil {
				return nil, nil, fmt.Errorf("reading the parameter %s: %w", name, err)
			}
			if all == nil {
				all = map[string]string{}
			}
			all[name] = string(value)
		}
		return all, nil, nil
	}}
}

// exports are those of all apps but one.
func (d *Deployer) exports(but string) map[string]string {
	all, snap := map[string]string{}, d.cfg.Catalog.Snapshot()
	for _, name := range snap.Apps() {
		if app, _ := snap.App(name); name != but && app != nil && app.Template != nil {
			maps.Copy(all, app.Template.Exports)
		}
	}
	return all
}

// remembers writes what the next deploy may leave unsaid into an app. A secret that did not change keeps its place in the vault; fresh
// are those that the vault has yet to get, by their name there.
func (d *Deployer) remembers(ctx context.Context, next, current *catalog.App, m *bundle.Memory) (fresh map[string]string, err error) {
	if m == nil {
		return nil, nil
	}
	t := m.Template
	fresh = map[string]string{}
	for name, value := range m.Secret {
		if d.cfg.Vault == nil {
			continue
		}
		at := ""
		if current != nil && current.Template != nil {
			at = current.Template.Sealed[name]
		}
		if at != "" {
			if had, err := d.cfg.Vault.Get(ctx, at); err != nil || string(had) != value {
				at = ""
			}
		}
		if at == "" {
			at = "template-" + casemate.NewID()
			fresh[at] = value
		}
		if t.Sealed == nil {
			t.Sealed = map[string]string{}
		}
		t.Sealed[name] = at
	}
	next.Template = &t
	others := d.exports(next.Name)
	for name := range t.Exports {
		if _, taken := others[name]; taken {
			return nil, &casemate.Error{Code: casemate.Conflict, Field: name, Message: "another stack exports this name", Hint: "export it under another name: !Sub \"${AWS::StackName}-...\""}
		}
	}
	return fresh, nil
}

// importers refuses to take away, or to change, what other stacks import, as on AWS.
func (d *Deployer) importers(current, next *catalog.App) error {
	if current == nil || current.Template == nil {
		return nil
	}
	snap := d.cfg.Catalog.Snapshot()
	for _, name := range snap.Apps() {
		app, _ := snap.App(name)
		if app == nil || app.Template == nil || name == next.Name {
			continue
		}
		for _, x := range app.Template.Imports {
			was, ours := current.Template.Exports[x]
			is, still := "", false
			if next.Template != nil {
				is, still = next.Template.Exports[x]
			}
			if ours && (!still || is != was) {
				return &casemate.Error{Code: casemate.Conflict, Field: x, Message: "the stack " + name + " imports it, and it would not be there as it is", Hint: "deploy " + name + " without the import first"}
			}
		}
	}
	return nil
}

// seal gives the vault what it has yet to get.
func (d *Deployer) seal(ctx context.Context, fresh map[string]string) error {
	for at, value := range fresh {
		if err := d.cfg.Vault.Put(ctx, at, []byte(value)); err != nil {
			return fmt.Errorf("keeping a parameter: %w", err)
		}
	}
	return nil
}

// unseal drops what the app that is in force has no use for any more. What cannot be dropped is only sealed bytes that nobody names.
func (d *Deployer) unseal(ctx context.Context, was, is *catalog.App) {
	if was == nil || was.Template == nil || d.cfg.Vault == nil {
		return
	}
	for name, at := range was.Template.Sealed {
		if is.Template == nil || is.Template.Sealed[name] != at {
			_ = d.cfg.Vault.Drop(ctx, at)
		}
	}
}

// Recall tells what the next deploy of an app's template may leave unsaid. Values of NoEcho parameters are not told.
func (d *Deployer) Recall(_ context.Context, r HistoryRequest) (*bundle.Recalled, error) {
	if err := d.may(r.App); err != nil {
		return nil, err
	}
	out := &bundle.Recalled{Exports: d.exports("")}
	if app, _ := d.cfg.Catalog.Snapshot().App(r.App); app != nil && app.Template != nil {
		out.Parameters, out.Kept = app.Template.Parameters, slices.Sorted(maps.Keys(app.Template.Sealed))
	}
	return out, nil
}
