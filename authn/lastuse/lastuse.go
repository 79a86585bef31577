// Package lastuse knows when keys were used last: noted in memory on the path of each event, and written to the store now and then.
// What a node that is killed had not written is forgotten: a key then seems to have been idle for up to the time between two writes.
package lastuse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"
	"time"

	"casemate/store"
)

// Grain is how exact a last use is.
const Grain = time.Minute

// Use is when one key was used last. The zero Use is of a key that never was. It is safe for concurrent use.
type Use struct {
	at atomic.Int64 // Unix seconds
}

// Note tells of a use.
func (u *Use) Note(now time.Time) {
	if s := now.Unix(); s-u.at.Load() >= int64(Grain/time.Second) {
		u.at.Store(s)
	}
}

// Follow takes over what is known of the same key.
func (u *Use) Follow(old *Use) { u.at.Store(old.at.Load()) }

// Time is the last use; zero: never.
func (u *Use) Time() time.Time {
	if s := u.at.Load(); s > 0 {
		return time.Unix(s, 0).UTC()
	}
	return time.Time{}
}

// Uses are those of all keys of a bucket. Its methods are called one at a time.
type Uses struct {
	kv    store.KV
	saved map[string]int64 // in the store
}

// Open opens a bucket that holds nothing else.
func Open(s store.Store, bucket string) (*Uses, error) {
	kv, err := s.KV(bucket)
	return &Uses{kv: kv, saved: map[string]int64{}}, err
}

// Load reads last uses into those that of gives, by the id of the key; nil: there is no such key.
func (u *Uses) Load(ctx context.Context, of func(id string) *Use) error {
	all, err := u.kv.List(ctx, "")
	if err != nil {
		return fmt.Errorf("reading last uses: %w", err)
	}
	for _, e := range all {
		var at int64
		if x := of(e.Key); x != nil && json.Unmarshal(e.Value, &at) == nil {
			x.at.Store(at)
			u.saved[e.Key] = at
		}
	}
	return nil
}

// Save writes those that changed. One that cannot be written is tried again the next time.
func (u *Uses) Save(ctx context.Context, all iter.Seq2[string, *Use]) error {
	var errs []error
	for id, x := range all {
		at := x.at.Load()
		if at == 0 || at == u.saved[id] {
			continue
		}
		if _, err := u.kv.Put(ctx, id, fmt.Append(nil, at), store.AnyRevision); err != nil {
			errs = append(errs, fmt.Errorf("saving last use of %s: %w", id, err))
			continue
		}
		u.saved[id] = at
	}
	return errors.Join(errs...)
}
