package storetest

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"

	"casemate"
	"casemate/store"
)

func runKV(t *testing.T, m Maker) {
	t.Run("expectations", func(t *testing.T) { kvExpectations(t, m) })
	t.Run("list", func(t *testing.T) { kvList(t, m) })
	t.Run("one winner", func(t *testing.T) { kvOneWinner(t, m) })
	t.Run("values are copies", func(t *testing.T) { kvCopies(t, m) })
	t.Run("survives", func(t *testing.T) { kvSurvives(t, m) })
}

func openKV(t *testing.T, m Maker) (store.Store, store.KV) {
	t.Helper()
	s := m.Open(t, NewClock().Now)
	return s, bucket(t, s)
}

func bucket(t *testing.T, s store.Store) store.KV {
	t.Helper()
	kv, err := s.KV("suite")
	if err != nil {
		t.Fatal(err)
	}
	return kv
}

func wantCode(t *testing.T, what string, err error, want casemate.Code) {
	t.Helper()
	if err == nil {
		t.Fatalf("%s: no error, want %s", what, want)
	}
	if got := casemate.CodeOf(err); got != want {
		t.Fatalf("%s: %s (%v), want %s", what, got, err, want)
	}
}

func mustPut(t *testing.T, kv store.KV, key, value string, expect uint64) uint64 {
	t.Helper()
	rev, err := kv.Put(context.Background(), key, []byte(value), expect)
	if err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
	return rev
}

func kvExpectations(t *testing.T, m Maker) {
	ctx := context.Background()
	_, kv := openKV(t, m)
	_, err := kv.Get(ctx, "a")
	wantCode(t, "get of a missing key", err, casemate.NotFound)
	wantCode(t, "delete of a missing key", kv.Delete(ctx, "a", store.AnyRevision), casemate.NotFound)
	_, err = kv.Put(ctx, "a", nil, 7)
	wantCode(t, "put of a missing key at a revision", err, casemate.Conflict)
	first := mustPut(t, kv, "a", "1", store.NewKey)
	_, err = kv.Put(ctx, "a", []byte("x"), store.NewKey)
	wantCode(t, "second create", err, casemate.Conflict)
	second := mustPut(t, kv, "a", "2", first)
	other := mustPut(t, kv, "b", "", store.AnyRevision)
	if !(first < second && second < other) || first == 0 {
		t.Fatalf("revisions do not grow: %d %d %d", first, second, other)
	}
	_, err = kv.Put(ctx, "a", []byte("x"), first)
	wantCode(t, "put at an old revision", err, casemate.Conflict)
	wantCode(t, "delete at an old revision", kv.Delete(ctx, "a", first), casemate.Conflict)
	e, err := kv.Get(ctx, "a")
	if err != nil || e.Revision != second || string(e.Value) != "2" || e.Key != "a" {
		t.Fatalf("get: %+v %v", e, err)
	}
	if err := kv.Delete(ctx, "a", second); err != nil {
		t.Fatal(err)
	}
	_, err = kv.Get(ctx, "a")
	wantCode(t, "get after delete", err, casemate.NotFound)
	if again := mustPut(t, kv, "a", "3", store.NewKey); again <= other {
		t.Fatalf("revision %d after %d", again, other)
	}
}

func kvList(t *testing.T, m Maker) {
	ctx := context.Background()
	_, kv := openKV(t, m)
	keys := []string{"fn/é", "fn/a.b c*>", "fn/\u4e16/\x01", "fo", "f", "fn/", "x"}
	for _, k := range keys {
		mustPut(t, kv, k, "v"+k, store.NewKey)
	}
	if err := kv.Delete(ctx, "fn/", store.AnyRevision); err != nil {
		t.Fatal(err)
	}
	got, err := kv.List(ctx, "fn/")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"fn/a.b c*>", "fn/é", "fn/\u4e16/\x01"}
	if len(got) != len(want) {
		t.Fatalf("list: %d entries, want %d", len(got), len(want))
	}
	for i, e := range got {
		if e.Key != want[i] || string(e.Value) != "v"+want[i] || e.Revision == 0 {
			t.Errorf("entry %d is %q (%d) = %q", i, e.Key, e.Revision, e.Value)
		}
	}
	if all, err := kv.List(ctx, ""); err != nil || len(all) != 6 {
		t.Fatalf("list of all: %d, %v", len(all), err)
	}
	if none, err := kv.List(ctx, "zz"); err != nil || len(none) != 0 {
		t.Fatalf("list of none: %d, %v", len(none), err)
	}
}

// kvOneWinner: of many writers that expect the same revision exactly one may win, at every step.
func kvOneWinner(t *testing.T, m Maker) {
	ctx := context.Background()
	_, kv := openKV(t, m)
	const writers, steps = 8, 20
	var wg sync.WaitGroup
	var mu sync.Mutex
	wins := map[uint64]int{}
	for w := range writers {
		wg.Go(func() {
			for range steps {
				cur, err := kv.Get(ctx, "k")
				if err != nil && casemate.CodeOf(err) != casemate.NotFound {
					t.Error(err)
					return
				}
				_, err = kv.Put(ctx, "k", fmt.Appendf(nil, "%d", w), cur.Revision)
				if err != nil {
					if casemate.CodeOf(err) != casemate.Conflict {
						t.Error(err)
					}
					continue
				}
				mu.Lock()
				wins[cur.Revision]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for rev, n := range wins {
		if n != 1 {
			t.Errorf("revision %d was replaced %d times", rev, n)
		}
	}
	if len(wins) == 0 {
		t.Error("nobody won")
	}
}

func kvCopies(t *testing.T, m Maker) {
	ctx := context.Background()
	_, kv := openKV(t, m)
	value := []byte("before")
	if _, err := kv.Put(ctx, "k", value, store.NewKey); err != nil {
		t.Fatal(err)
	}
	copy(value, "after!")
	e, err := kv.Get(ctx, "k")
	if err != nil {
		t.Fatal(err)
	}
	copy(e.Value, "broken")
	list, err := kv.List(ctx, "")
	if err != nil || len(list) != 1 || !bytes.Equal(list[0].Value, []byte("before")) {
		t.Fatalf("stored value changed from outside: %+v %v", list, err)
	}
}

func kvSurvives(t *testing.T, m Maker) {
	if m.Reopen == nil {
		t.Skip("this store keeps nothing")
	}
	ctx := context.Background()
	s, kv := openKV(t, m)
	var last uint64
	for i := range 50 {
		last = mustPut(t, kv, fmt.Sprintf("k%d", i%7), fmt.Sprint(i), store.AnyRevision)
	}
	if err := kv.Delete(ctx, "k3", store.AnyRevision); err != nil {
		t.Fatal(err)
	}
	before, _ := kv.List(ctx, "")
	kv = bucket(t, m.Reopen(t, s))
	after, err := kv.List(ctx, "")
	if err != nil || len(after) != len(before) || len(after) != 6 {
		t.Fatalf("%d entries after reopening, %d before: %v", len(after), len(before), err)
	}
	for i := range after {
		if after[i].Key != before[i].Key || after[i].Revision != before[i].Revision || !bytes.Equal(after[i].Value, before[i].Value) {
			t.Errorf("entry %q changed", before[i].Key)
		}
	}
	if rev := mustPut(t, kv, "k3", "new", store.NewKey); rev <= last {
		t.Errorf("revision %d after reopening, %d before", rev, last)
	}
}
