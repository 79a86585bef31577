package lastuse

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	"casemate/store"
)

// A use is known to the minute, and by whoever opens the bucket next; of a key that is gone nothing comes back.
func TestUsesSurvive(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	s := store.Memory(func() time.Time { return now })
	uses, err := Open(s, "used")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*Use{"a": {}, "b": {}, "never": {}}
	all["a"].Note(now)
	all["a"].Note(now.Add(Grain - time.Second)) // within the grain
	all["b"].Note(now.Add(Grain))
	if err := uses.Save(t.Context(), maps.All(all)); err != nil {
		t.Fatal(err)
	}
	if uses, err = Open(s, "used"); err != nil {
		t.Fatal(err)
	}
	read := map[string]*Use{"a": {}, "never": {}}
	if err := uses.Load(t.Context(), func(id string) *Use { return read[id] }); err != nil {
		t.Fatal(err)
	}
	if !read["a"].Time().Equal(now) || !read["never"].Time().IsZero() {
		t.Errorf("%v, %v", read["a"].Time(), read["never"].Time())
	}
	var next Use
	if next.Follow(read["a"]); !next.Time().Equal(now) {
		t.Error(next.Time())
	}
}

// deaf is a bucket that takes nothing.
type deaf struct {
	store.KV
	asked int
}

func (d *deaf) Put(context.Context, string, []byte, uint64) (uint64, error) {
	d.asked++
	return 0, errors.New("the disk is full")
}

// What could not be written is tried again; what is written already is not.
func TestUsesAreSavedOnce(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	uses, err := Open(store.Memory(func() time.Time { return now }), "used")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*Use{"a": {}}
	all["a"].Note(now)
	broken := &deaf{KV: uses.kv}
	whole := uses.kv
	for _, c := range []struct {
		kv    store.KV
		fails bool
		asked int
	}{{broken, true, 1}, {broken, true, 2}, {whole, false, 2}, {broken, false, 2}} {
		uses.kv = c.kv
		if err := uses.Save(t.Context(), maps.All(all)); (err != nil) != c.fails || broken.asked != c.asked {
			t.Errorf("%+v: %v after %d", c, err, broken.asked)
		}
	}
}
