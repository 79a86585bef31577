package deploy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"casemate"
	"casemate/catalog"
	"casemate/catalog/code"
)

// maxEdits bounds how often an edit is made again because somebody else was faster.
const maxEdits = 10

// Edit changes an app as Lambda's management API does: what edit makes of a copy of the app passes the same checks and the same
// guard as a deploy, and is swapped in all at once or not at all. An app that is not there is made, and one whose last function
// goes goes with it. edit may be called more than once, because it is made again on what somebody else has put in force
// meanwhile; what it returns is returned. It leaves versions as they are and replaces them: new ones are named here. by is the
// principal's name.
func (d *Deployer) Edit(ctx context.Context, app, by string, edit func(*catalog.App) error) error {
	for n := 1; ; n++ {
		current, revision := d.cfg.Catalog.Snapshot().App(app)
		err := d.edit(ctx, app, by, current, revision, edit)
		if err == nil || casemate.CodeOf(err) != casemate.Conflict || n == maxEdits || ctx.Err() != nil {
			return err
		}
		if _, now := d.cfg.Catalog.Snapshot().App(app); now == revision {
			return err // nobody was faster: it is the edit that is refused
		}
	}
}

func (d *Deployer) edit(ctx context.Context, app, by string, current *catalog.App, revision uint64, edit func(*catalog.App) error) error {
	if err := d.may(app); err != nil {
		return err
	}
	next := &catalog.App{Name: app, Environment: d.cfg.Environment, Functions: map[string]*catalog.Function{}, Roles: map[string]catalog.Role{}}
	if current != nil {
		next = current.Clone()
		next.Note = ""
	} else if revision != 0 {
		return casemate.Errorf(casemate.Conflict, "casemate list shows why", "app %s is stored and not in force: today's rules refuse it", app)
	}
	if err := edit(next); err != nil {
		return err
	}
	for id, m := range next.Mappings { // a function takes its event sources with it
		if next.Functions[m.Function] == nil {
			Disconnect(next, id)
		}
	}
	next.Provide()
	if err := d.fresh(ctx, current, next); err != nil {
		return err
	}
	if len(next.Functions) == 0 {
		if current == nil {
			return nil
		}
		_, err := d.Delete(ctx, DeleteRequest{App: app, Expect: current.Generation})
		return err
	}
	c := change{current: current, next: next, revision: revision}
	if err := d.check(ctx, &c, nil); err != nil {
		return err
	}
	_, err := d.swap(ctx, c, by)
	return err
}

// fresh names the versions that an edit made, and refuses one whose code is not there.
func (d *Deployer) fresh(ctx context.Context, current, next *catalog.App) error {
	for _, name := range slices.Sorted(maps.Keys(next.Functions)) {
		f := next.Functions[name]
		var had []*casemate.Version
		if current != nil && current.Functions[name] != nil {
			had = current.Functions[name].Versions
		}
		for _, v := range f.Versions {
			if slices.Contains(had, v) {
				continue
			}
			var err error
			if v.ID, err = identity(v); err != nil {
				return err
			}
			if has, err := d.cfg.Blobs.Has(ctx, v.Code); err != nil {
				return fmt.Errorf("looking for the code of %s: %w", name, err)
			} else if !has {
				return casemate.Errorf(casemate.NotFound, "send it again", "the code of %s is gone", name)
			}
			if err := d.fits(ctx, v); err != nil {
				return err
			}
		}
		trim(f)
	}
	return nil
}

// Keep stores code for Edit, once it has been looked at as every deploy's is, and gives its digest. What no version names is
// nobody's.
func (d *Deployer) Keep(ctx context.Context, runtime casemate.Runtime, data []byte) (digest string, err error) {
	if runtime.Family() == "wasm" {
		err = d.cfg.Inspect(data)
	} else {
		err = code.Inspect(bytes.NewReader(data), int64(len(data)), code.Bounds{})
	}
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	digest = hex.EncodeToString(sum[:])
	return digest, d.put(ctx, digest, bytes.NewReader(data))
}

// inherited is what a function keeps when a manifest is deployed over it: its versions but the one that was not published, and
// its aliases and tags. What it may do, who may call it, and what runs, the manifest says.
func inherited(f *catalog.Function) ([]*casemate.Version, *catalog.Managed) {
	versions := slices.DeleteFunc(slices.Clone(f.Versions), func(v *casemate.Version) bool { return v.Draft() })
	if f.Managed == nil {
		return versions, nil
	}
	m := *f.Managed
	m.Role = ""
	if m.Standing != nil {
		kept := *m.Standing
		kept.URLs = nil // their routes go, unless the manifest has one
		m.Standing = &kept
	}
	return versions, &m
}
