package store_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"pgregory.net/rapid"

	"casemate"
	"casemate/internal/casetest/storetest"
	"casemate/store"
)

// TestNodeIsLikeMemory does the same random things to both stores: every answer must be the same. Each run has a bucket
// and a queue of its own on one node.
func TestNodeIsLikeMemory(t *testing.T) {
	clock := storetest.NewClock()
	node := openNode(t, store.Config{Dir: t.TempDir(), Clock: clock.Now})
	memory := store.Memory(clock.Now)
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		actions := kvActions(t, fmt.Sprint("run", run), node, memory)
		maps.Copy(actions, queueActions(t, clock, fmt.Sprint("run", run), node, memory))
		t.Repeat(actions)
	})
}

// same compares two errors by what a caller can tell apart.
func same(t *rapid.T, what string, a, b error) {
	t.Helper()
	if (a == nil) != (b == nil) || a != nil && casemate.CodeOf(a) != casemate.CodeOf(b) {
		t.Fatalf("%s: node %v, memory %v", what, a, b)
	}
}

func kvActions(t *rapid.T, name string, node, memory store.Store) map[string]func(*rapid.T) {
	ctx := context.Background()
	a, err1 := node.KV(name)
	b, err2 := memory.KV(name)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	key := rapid.SampledFrom([]string{"a", "a/b", "a/c", "b"})
	// expectation draws one that may be right: both stores count revisions on their own.
	expectation := func(t *rapid.T, key string) (inNode, inMemory uint64) {
		switch rapid.SampledFrom([]string{"any", "new", "current", "old"}).Draw(t, "expect") {
		case "any":
			return store.AnyRevision, store.AnyRevision
		case "new":
			return store.NewKey, store.NewKey
		case "old":
			return 1 << 50, 1 << 50
		}
		ea, _ := a.Get(ctx, key)
		eb, _ := b.Get(ctx, key)
		return ea.Revision, eb.Revision
	}
	return map[string]func(*rapid.T){
		"set": func(t *rapid.T) {
			k, v := key.Draw(t, "key"), rapid.SliceOf(rapid.Byte()).Draw(t, "value")
			ra, rb := expectation(t, k)
			_, err1 := a.Put(ctx, k, v, ra)
			_, err2 := b.Put(ctx, k, v, rb)
			same(t, "put", err1, err2)
		},
		"delete": func(t *rapid.T) {
			k := key.Draw(t, "key")
			ra, rb := expectation(t, k)
			same(t, "delete", a.Delete(ctx, k, ra), b.Delete(ctx, k, rb))
		},
		"list": func(t *rapid.T) {
			prefix := rapid.SampledFrom([]string{"", "a", "a/", "z"}).Draw(t, "prefix")
			la, err1 := a.List(ctx, prefix)
			lb, err2 := b.List(ctx, prefix)
			same(t, "list", err1, err2)
			if len(la) != len(lb) {
				t.Fatalf("list: node %d, memory %d", len(la), len(lb))
			}
			for i := range la {
				if la[i].Key != lb[i].Key || string(la[i].Value) != string(lb[i].Value) {
					t.Fatalf("list: node %q, memory %q", la[i].Key, lb[i].Key)
				}
			}
		},
	}
}

func queueActions(t *rapid.T, clock *storetest.Clock, name string, node, memory store.Store) map[string]func(*rapid.T) {
	ctx := context.Background()
	a, err1 := node.Queue(name)
	b, err2 := memory.Queue(name)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	var held [][2]*store.Delivery
	pick := func(t *rapid.T) (da, db *store.Delivery) {
		if len(held) == 0 {
			t.Skip("nothing was delivered")
		}
		d := rapid.SampledFrom(held).Draw(t, "delivery")
		return d[0], d[1]
	}
	durations := rapid.SampledFrom([]time.Duration{0, time.Second, time.Minute, store.DedupWindow, store.DefaultLease, 20 * time.Minute})
	return map[string]func(*rapid.T){
		"put": func(t *rapid.T) {
			id := rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "id")
			same(t, "put", a.Put(ctx, id, []byte(id)), b.Put(ctx, id, []byte(id)))
		},
		"next": func(t *rapid.T) {
			short, cancel := context.WithTimeout(ctx, time.Millisecond)
			defer cancel()
			db, err := b.Next(short)
			if err != nil {
				if da, err := a.Next(short); err == nil {
					t.Fatalf("node gave %s, attempt %d, memory nothing", da.ID, da.Attempt)
				}
				return
			}
			da, err := a.Next(ctx)
			if err != nil || da.ID != db.ID || da.Attempt != db.Attempt || string(da.Data) != string(db.Data) || !da.Enqueued.Equal(db.Enqueued) {
				t.Fatalf("node %+v (%v), memory %+v", da, err, db)
			}
			held = append(held, [2]*store.Delivery{da, db})
		},
		"done": func(t *rapid.T) {
			da, db := pick(t)
			same(t, "done", da.Done(ctx), db.Done(ctx))
		},
		"retry": func(t *rapid.T) {
			da, db := pick(t)
			after := durations.Draw(t, "after")
			same(t, "retry", da.Retry(ctx, after), db.Retry(ctx, after))
		},
		"extend": func(t *rapid.T) {
			da, db := pick(t)
			same(t, "extend", da.Extend(ctx), db.Extend(ctx))
		},
		"advance": func(t *rapid.T) { clock.Advance(durations.Draw(t, "time")) },
		"": func(t *rapid.T) {
			na, oa, err1 := a.Depth(ctx)
			nb, ob, err2 := b.Depth(ctx)
			same(t, "depth", err1, err2)
			if na != nb || !oa.Equal(ob) {
				t.Fatalf("depth: node %d since %v, memory %d since %v", na, oa, nb, ob)
			}
		},
	}
}
