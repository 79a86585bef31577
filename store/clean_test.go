package store_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"casemate/internal/casetest/storetest"
	"casemate/store"
)

func folderBytes(t *testing.T, dir string) (size int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return size
}

// TestBucketStaysSmall overwrites and deletes far more than what stays, while some keys are never touched again: those
// must survive the cleaning of the blocks that they were first written in.
func TestBucketStaysSmall(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	n := openNode(t, store.Config{Dir: dir})
	_, kv, _ := parts(t, n)
	want := map[string][]byte{}
	revs := map[string]uint64{}
	put := func(key string, value []byte) {
		rev, err := kv.Put(ctx, key, value, store.AnyRevision)
		if err != nil {
			t.Error(err)
		}
		want[key], revs[key] = value, rev
	}
	for i := range 20 {
		put(fmt.Sprintf("old%d", i), bytes.Repeat([]byte{byte(i)}, 1000))
	}
	const written = 40 << 20
	for i := range written / 200_000 {
		put(fmt.Sprintf("hot%d", i%5), bytes.Repeat([]byte{byte(i)}, 200_000))
		put("gone", []byte{1})
		if err := kv.Delete(ctx, "gone", store.AnyRevision); err != nil {
			t.Fatal(err)
		}
	}
	delete(want, "gone")
	if size := folderBytes(t, dir); size > written/2 {
		t.Errorf("%d MiB on disk after %d MiB were written over 1 MiB", size>>20, written>>20)
	}
	for range 2 {
		all, err := kv.List(ctx, "")
		if err != nil || len(all) != len(want) {
			t.Fatalf("%d keys, want %d: %v", len(all), len(want), err)
		}
		for _, e := range all {
			if !bytes.Equal(e.Value, want[e.Key]) || e.Revision != revs[e.Key] {
				t.Errorf("key %s is wrong, revision %d, want %d", e.Key, e.Revision, revs[e.Key])
			}
		}
		closeNode(t, n)
		n = openNode(t, store.Config{Dir: dir})
		_, kv, _ = parts(t, n)
	}
}

// TestQueueStaysSmall passes far more through a queue than stays in it.
func TestQueueStaysSmall(t *testing.T) {
	ctx := context.Background()
	clock := storetest.NewClock()
	dir := t.TempDir()
	n := openNode(t, store.Config{Dir: dir, Clock: clock.Now})
	_, _, q := parts(t, n)
	put := func(id string, size int) {
		if err := q.Put(ctx, id, bytes.Repeat([]byte(id[:1]), size)); err != nil {
			t.Error(err)
		}
	}
	put("waits", 5000)
	d := mustNext(t, q)
	if err := d.Retry(ctx, 100*time.Hour); err != nil {
		t.Fatal(err)
	}
	put("held", 5000)
	held := mustNext(t, q)
	const written = 40 << 20
	for i := range written / 800_000 {
		var wg sync.WaitGroup
		for k := range 4 {
			wg.Go(func() { put(fmt.Sprintf("x%d-%d", i, k), 200_000) })
		}
		wg.Wait()
		for range 4 {
			d := mustNext(t, q)
			if len(d.Data) != 200_000 || d.Data[9] != 'x' {
				t.Fatalf("item %s has %d bytes", d.ID, len(d.Data))
			}
			if err := d.Done(ctx); err != nil {
				t.Fatal(err)
			}
		}
		clock.Advance(5 * time.Second)
		if err := held.Extend(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if size := folderBytes(t, dir); size > written*3/4 {
		t.Errorf("%d MiB on disk after %d MiB went through", size>>20, written>>20)
	}
	closeNode(t, n)
	n = openNode(t, store.Config{Dir: dir, Clock: clock.Now})
	_, _, q = parts(t, n)
	if depth, _, err := q.Depth(ctx); err != nil || depth != 2 {
		t.Fatalf("depth %d: %v", depth, err)
	}
	if d := mustNext(t, q); d.ID != "held" || d.Attempt != 2 || len(d.Data) != 5000 || d.Data[0] != 'h' {
		t.Errorf("got %s, attempt %d, %d bytes", d.ID, d.Attempt, len(d.Data))
	}
	clock.Advance(100 * time.Hour)
	got := map[string]int{}
	for range 2 {
		d := mustNext(t, q)
		got[d.ID] = d.Attempt
	}
	if got["waits"] != 2 || got["held"] != 3 {
		t.Errorf("attempts %v", got)
	}
}

func mustNext(t *testing.T, q store.Queue) *store.Delivery {
	t.Helper()
	d, err := q.Next(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestDeepQueue: items whose data is not kept in memory are read back from the disk.
func TestDeepQueue(t *testing.T) {
	ctx := context.Background()
	n := openNode(t, store.Config{Dir: t.TempDir()})
	_, _, q := parts(t, n)
	var wg sync.WaitGroup
	const items = 40
	for i := range items {
		wg.Go(func() {
			if err := q.Put(ctx, fmt.Sprint("i", i), bytes.Repeat([]byte{byte(i)}, 500_000)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for range items {
		d := mustNext(t, q)
		var i int
		if _, err := fmt.Sscanf(d.ID, "i%d", &i); err != nil || !bytes.Equal(d.Data, bytes.Repeat([]byte{byte(i)}, 500_000)) {
			t.Errorf("item %s has %d bytes that are not its own", d.ID, len(d.Data))
		}
	}
}
