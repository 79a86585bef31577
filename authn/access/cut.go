package access

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"casemate"
	"casemate/store"
)

// cutRole begins the name of a cut through all sessions of a role.
const cutRole = "role/"

func (r *Room) loadCuts(ctx context.Context) error {
	entries, err := r.cuts.List(ctx, "")
	if err != nil {
		return fmt.Errorf("reading revoked sessions: %w", err)
	}
	cut := make(map[string]time.Time, len(entries))
	for _, e := range entries {
		var at time.Time
		if err := json.Unmarshal(e.Value, &at); err != nil {
			return fmt.Errorf("reading the revoked session %q: %w", e.Key, err)
		}
		cut[e.Key] = at
	}
	r.cut.Store(&cut)
	return nil
}

// CutRole ends every session of a role that was assumed up to now, and those that came from them. CutSession ends one, by
// its access key's id. Both hold from the moment they return, on success or not; an error means that a restart undoes it.
func (r *Room) CutRole(ctx context.Context, role string) error { return r.end(ctx, cutRole+role) }

// CutSession ends one session; see CutRole.
func (r *Room) CutSession(ctx context.Context, id string) error {
	if !strings.HasPrefix(id, sessionID) || len(id) != len(sessionID)+16 || strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != "" {
		return casemate.Errorf(casemate.Invalid, "ASIA and 16 characters, as the record of sts:AssumeRole has it", "not the id of a session")
	}
	return r.end(ctx, originSession+id)
}

// end writes a cut, and forgets those that no session can be older than.
func (r *Room) end(ctx context.Context, what string) error {
	r.write.Lock()
	defer r.write.Unlock()
	now := r.cfg.Clock().UTC()
	next := maps.Clone(*r.cut.Load())
	next[what] = now
	var errs []error
	for old, at := range next {
		if now.Sub(at) > casemate.MaxSession+skew {
			delete(next, old)
			errs = append(errs, r.cuts.Delete(ctx, old, store.AnyRevision))
		}
	}
	r.cut.Store(&next)
	value, err := json.Marshal(now)
	if err != nil {
		return fmt.Errorf("writing a revoked session: %w", err)
	}
	if _, err := r.cuts.Put(ctx, what, value, store.AnyRevision); err != nil {
		return fmt.Errorf("revoking (until the next start only): %w", err)
	}
	return errors.Join(errs...)
}
