package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"casemate"
)

// Remove takes an app away: its functions, routes, roles, policies and guardrails are gone at once for everybody, and so is its
// history. expect is the revision that Snapshot.App gave; when the app has moved on since, the error is a Conflict. On any error the
// old snapshot serves on. What the app stored elsewhere (secrets, queues' messages, records) is not the catalog's and stays.
func (c *Catalog) Remove(ctx context.Context, name string, expect uint64, now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.Snapshot()
	was, ok := old.heads[name]
	if !ok {
		return casemate.Errorf(casemate.NotFound, "casemate list shows what is deployed", "there is no app %q", name)
	}
	if was.revision != expect {
		return casemate.Errorf(casemate.Conflict, "look at the plan again", "app %s was changed by somebody else", name)
	}
	gone := &App{Name: name, At: now, gone: true}
	next, err := c.build(ctx, old, []*App{gone}, nil)
	if err != nil {
		return err
	}
	if err := c.open(old, next, gone); err != nil {
		return err
	}
	if err := c.kv.Delete(ctx, keyPrefix+name, expect); err != nil {
		if casemate.CodeOf(err) == casemate.Conflict {
			err = errors.Join(err, c.reload(ctx))
		}
		return fmt.Errorf("removing the head of app %s: %w", name, err)
	}
	c.publish(next)
	return nil
}

// CheckRemove builds what Remove would put in force, and throws it away: nil means that Remove can only fail in the store.
func (c *Catalog) CheckRemove(ctx context.Context, name string, now time.Time) error {
	old, gone := c.Snapshot(), &App{Name: name, At: now, gone: true}
	next, err := c.build(ctx, old, []*App{gone}, nil)
	if err != nil {
		return err
	}
	return c.open(old, next, gone)
}
