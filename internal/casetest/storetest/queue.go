package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"casemate"
	"casemate/store"
)

func runQueue(t *testing.T, m Maker) {
	t.Run("life of an item", func(t *testing.T) { queueLife(t, m) })
	t.Run("labels", func(t *testing.T) { queueLabels(t, m) })
	t.Run("dedup", func(t *testing.T) { queueDedup(t, m) })
	t.Run("lease", func(t *testing.T) { queueLease(t, m) })
	t.Run("retry", func(t *testing.T) { queueRetry(t, m) })
	t.Run("many workers", func(t *testing.T) { queueWorkers(t, m) })
	t.Run("next blocks", func(t *testing.T) { queueBlocks(t, m) })
	t.Run("survives", func(t *testing.T) { queueSurvives(t, m) })
}

func queue(t *testing.T, s store.Store) store.Queue {
	t.Helper()
	q, err := s.Queue("suite")
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func enqueue(t *testing.T, q store.Queue, id, data string) {
	t.Helper()
	if err := q.Put(context.Background(), id, []byte(data)); err != nil {
		t.Fatalf("put %s: %v", id, err)
	}
}

func next(t *testing.T, q store.Queue) *store.Delivery {
	t.Helper()
	d, err := q.Next(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// nothing checks that no item is visible now. An ended context is the answer of a Next that found none.
func nothing(t *testing.T, q store.Queue) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if d, err := q.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("something was visible: %+v %v", d, err)
	}
}

func depth(t *testing.T, q store.Queue, want uint64) time.Time {
	t.Helper()
	n, oldest, err := q.Depth(context.Background())
	if err != nil || n != want {
		t.Fatalf("depth %d, want %d: %v", n, want, err)
	}
	return oldest
}

func done(t *testing.T, d *store.Delivery) {
	t.Helper()
	if err := d.Done(context.Background()); err != nil {
		t.Fatalf("done %s: %v", d.ID, err)
	}
}

func queueLife(t *testing.T, m Maker) {
	clock := NewClock()
	q := queue(t, m.Open(t, clock.Now))
	if oldest := depth(t, q, 0); !oldest.IsZero() {
		t.Fatalf("an empty queue's oldest item is of %v", oldest)
	}
	start := clock.Now()
	for i := range 3 {
		enqueue(t, q, fmt.Sprint("id", i), fmt.Sprint("data", i))
		clock.Advance(time.Second)
	}
	if oldest := depth(t, q, 3); !oldest.Equal(start) {
		t.Fatalf("oldest %v, want %v", oldest, start)
	}
	for i := range 3 {
		d := next(t, q)
		if d.ID != fmt.Sprint("id", i) || string(d.Data) != fmt.Sprint("data", i) || d.Attempt != 1 ||
			!d.Enqueued.Equal(start.Add(time.Duration(i)*time.Second)) {
			t.Fatalf("delivery %d: %+v", i, d)
		}
		if i == 1 {
			continue // stays leased: still counted
		}
		done(t, d)
		done(t, d)
	}
	if oldest := depth(t, q, 1); !oldest.Equal(start.Add(time.Second)) {
		t.Fatalf("oldest %v", oldest)
	}
	nothing(t, q)
	wantCode(t, "put over the bound", q.Put(context.Background(), "big", make([]byte, store.MaxRecord+1)), casemate.TooLarge)
	wantCode(t, "put without an id", q.Put(context.Background(), "", nil), casemate.Invalid)
}

// queueLabels: items are counted by what follows the last "@" of their ids, and survive with it.
func queueLabels(t *testing.T, m Maker) {
	clock := NewClock()
	q := queue(t, m.Open(t, clock.Now))
	start := clock.Now()
	for i := range 300 {
		enqueue(t, q, fmt.Sprint("id", i, "@", []string{"a", "b"}[i%2]), "x")
		clock.Advance(time.Second)
	}
	enqueue(t, q, "none", "x")
	for range 298 { // more than half is gone: a of 298 and b of 299 stay
		done(t, next(t, q))
	}
	want := fmt.Sprint([]store.Depth{{Label: "", Items: 1, Oldest: start.Add(300 * time.Second)}, {Label: "a", Items: 1, Oldest: start.Add(298 * time.Second)}, {Label: "b", Items: 1, Oldest: start.Add(299 * time.Second)}})
	if got, err := q.Depths(context.Background()); fmt.Sprint(got) != want || err != nil {
		t.Fatalf("%v, want %s: %v", got, want, err)
	}
	for range 3 {
		done(t, next(t, q))
	}
	if got, err := q.Depths(context.Background()); len(got) != 0 || err != nil {
		t.Fatalf("%v: %v", got, err)
	}
}

func queueDedup(t *testing.T, m Maker) {
	clock := NewClock()
	q := queue(t, m.Open(t, clock.Now))
	enqueue(t, q, "same", "first")
	enqueue(t, q, "same", "second")
	depth(t, q, 1)
	d := next(t, q)
	if string(d.Data) != "first" {
		t.Fatalf("got %q", d.Data)
	}
	done(t, d)
	clock.Advance(store.DedupWindow - time.Second)
	enqueue(t, q, "same", "third")
	depth(t, q, 0)
	clock.Advance(time.Second)
	enqueue(t, q, "same", "fourth")
	if d := next(t, q); string(d.Data) != "fourth" || d.Attempt != 1 {
		t.Fatalf("after the window: %+v", d)
	}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() { enqueue(t, q, "race", "x") })
	}
	wg.Wait()
	depth(t, q, 2)
}

func queueLease(t *testing.T, m Maker) {
	ctx := context.Background()
	clock := NewClock()
	q := queue(t, m.Open(t, clock.Now))
	enqueue(t, q, "a", "x")
	first := next(t, q)
	clock.Advance(store.DefaultLease - time.Second)
	nothing(t, q)
	if err := first.Extend(ctx); err != nil {
		t.Fatal(err)
	}
	clock.Advance(store.DefaultLease - time.Second)
	nothing(t, q)
	clock.Advance(time.Second)
	second := next(t, q)
	if second.Attempt != 2 || second.ID != "a" {
		t.Fatalf("second delivery: %+v", second)
	}
	wantCode(t, "extend of a lost lease", first.Extend(ctx), casemate.Conflict)
	wantCode(t, "retry of a lost lease", first.Retry(ctx, 0), casemate.Conflict)
	done(t, first) // late, but the work was done: nobody needs to repeat it
	depth(t, q, 0)
	wantCode(t, "retry of a finished item", second.Retry(ctx, 0), casemate.Conflict)
	done(t, second)
	clock.Advance(2 * store.DefaultLease)
	nothing(t, q)
}

func queueRetry(t *testing.T, m Maker) {
	ctx := context.Background()
	clock := NewClock()
	q := queue(t, m.Open(t, clock.Now))
	enqueue(t, q, "a", "x")
	enqueue(t, q, "b", "y")
	a := next(t, q)
	if err := a.Retry(ctx, time.Minute); err != nil {
		t.Fatal(err)
	}
	wantCode(t, "second retry of one delivery", a.Retry(ctx, time.Hour), casemate.Conflict)
	b := next(t, q)
	if b.ID != "b" {
		t.Fatalf("got %s while a waits", b.ID)
	}
	nothing(t, q)
	clock.Advance(time.Minute)
	again := next(t, q)
	if again.ID != "a" || again.Attempt != 2 || string(again.Data) != "x" {
		t.Fatalf("after the delay: %+v", again)
	}
	if err := again.Retry(ctx, 0); err != nil {
		t.Fatal(err)
	}
	if third := next(t, q); third.ID != "a" || third.Attempt != 3 {
		t.Fatalf("retry at once: %+v", third)
	}
	depth(t, q, 2)
}

func queueWorkers(t *testing.T, m Maker) {
	ctx, cancel := context.WithCancel(context.Background())
	q := queue(t, m.Open(t, NewClock().Now))
	const producers, each, workers = 8, 25, 8
	var wg, put sync.WaitGroup
	var mu sync.Mutex
	got := map[string]int{}
	for range workers {
		wg.Go(func() {
			for {
				d, err := q.Next(ctx)
				if err != nil {
					return
				}
				mu.Lock()
				got[d.ID]++
				all := len(got) == producers*each
				mu.Unlock()
				if err := d.Done(context.Background()); err != nil {
					t.Error(err)
				}
				if all {
					cancel()
				}
			}
		})
	}
	for p := range producers {
		put.Go(func() {
			for i := range each {
				enqueue(t, q, fmt.Sprintf("%d-%d", p, i), "x")
			}
		})
	}
	put.Wait()
	wg.Wait()
	cancel()
	for id, n := range got {
		if n != 1 {
			t.Errorf("item %s was delivered %d times", id, n)
		}
	}
	depth(t, q, 0)
}

func queueBlocks(t *testing.T, m Maker) {
	q := queue(t, m.Open(t, NewClock().Now))
	got := make(chan *store.Delivery)
	go func() {
		d, err := q.Next(context.Background())
		if err != nil {
			t.Error(err)
		}
		got <- d
	}()
	enqueue(t, q, "late", "x")
	if d := <-got; d == nil || d.ID != "late" {
		t.Fatalf("got %+v", d)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := q.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("next with a dead context: %v", err)
	}
}

func queueSurvives(t *testing.T, m Maker) {
	if m.Reopen == nil {
		t.Skip("this store keeps nothing")
	}
	ctx := context.Background()
	clock := NewClock()
	s := m.Open(t, clock.Now)
	q := queue(t, s)
	start := clock.Now()
	for _, id := range []string{"done", "leased", "later", "fresh"} {
		enqueue(t, q, id, "data of "+id)
	}
	done(t, next(t, q))
	next(t, q)
	if err := next(t, q).Retry(ctx, time.Hour); err != nil {
		t.Fatal(err)
	}
	q = queue(t, m.Reopen(t, s))
	if oldest := depth(t, q, 3); !oldest.Equal(start) {
		t.Fatalf("oldest %v, want %v", oldest, start)
	}
	enqueue(t, q, "done", "a known id")
	depth(t, q, 3)
	// The worker of "leased" died with its node: the item is free again, and its next delivery is a second attempt.
	if d := next(t, q); d.ID != "leased" || d.Attempt != 2 || string(d.Data) != "data of leased" {
		t.Fatalf("got %+v", d)
	}
	if d := next(t, q); d.ID != "fresh" || d.Attempt != 1 {
		t.Fatalf("got %+v", d)
	}
	nothing(t, q)
	clock.Advance(time.Hour)
	if d := next(t, q); d.ID != "leased" || d.Attempt != 3 {
		t.Fatalf("got %+v", d)
	}
	if d := next(t, q); d.ID != "later" || d.Attempt != 2 {
		t.Fatalf("got %+v", d)
	}
}
