package deploy

import (
	"context"
	"fmt"
	"strings"

	"casemate"
	"casemate/catalog"
)

// DeleteRequest names an app that goes.
type DeleteRequest struct {
	App    string `json:"app"`
	Expect int    `json:"expect,omitempty"`  // generation that the plan was made against; 0: whatever is in force
	DryRun bool   `json:"dry_run,omitempty"` // only say what would go
}

// Delete takes an app away, with its history: there is nothing to roll back to. Its secrets and parameters, and the record of what
// it did, stay: they are not the app's to take along. Outcome.Changed is false for a dry run.
func (d *Deployer) Delete(ctx context.Context, r DeleteRequest) (*Outcome, error) {
	if err := d.may(r.App); err != nil {
		return nil, err
	}
	snap := d.cfg.Catalog.Snapshot()
	current, revision := snap.App(r.App)
	if revision == 0 {
		return nil, casemate.Errorf(casemate.NotFound, "casemate list shows what is deployed", "there is no app %q", strings.ToValidUTF8(r.App, "?"))
	}
	if current == nil { // stored, and refused by today's rules: nothing of it is in force
		current = &catalog.App{Name: r.App}
	}
	if r.Expect != 0 && current.Generation != r.Expect {
		return nil, casemate.Errorf(casemate.Conflict, "look at the plan again", "app %s is not at generation %d any more", r.App, r.Expect)
	}
	next := &catalog.App{Name: r.App}
	if err := d.importers(current, next); err != nil {
		return nil, err
	}
	out := &Outcome{Plan: compare(current, next), Generation: current.Generation, Versions: map[string]int{}}
	if what := d.beyond(current, next); len(what) > 0 && d.guard.Beyond != nil {
		if err := d.guard.Beyond(r.App, what); err != nil {
			return nil, err
		}
	}
	now := d.cfg.Clock()
	if r.DryRun {
		return out, d.cfg.Catalog.CheckRemove(ctx, r.App, now)
	}
	if err := d.cfg.Catalog.Remove(ctx, r.App, revision, now); err != nil {
		return nil, fmt.Errorf("deleting app %s: %w", r.App, err)
	}
	d.unseal(ctx, current, next)
	out.Changed = true
	return out, nil
}
