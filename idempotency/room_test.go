package idempotency

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"casemate"
	"casemate/internal/casetest/storetest"
	"casemate/store"
)

func openRoom(t *testing.T, st store.Store, clock *storetest.Clock, most, caller int) *Room {
	t.Helper()
	r, err := Open(t.Context(), Config{Store: st, Clock: clock.Now, Most: most, MostCaller: caller})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func once(clock *storetest.Clock, key, id string) casemate.Once {
	return casemate.Once{Key: key, Caller: "w", Asked: "a", ID: id, At: clock.Now()}
}

// accept gives the id that stands for the key, and whether the event was put.
func accept(t *testing.T, r *Room, o casemate.Once) (id string, put bool) {
	t.Helper()
	id, err := r.Accept(t.Context(), o, func() error { put = true; return nil })
	if err != nil {
		t.Fatal(err)
	}
	return id, put
}

func TestAKeyIsAcceptedOnceInItsWindow(t *testing.T) {
	clock := storetest.NewClock()
	st := store.Memory(clock.Now)
	r := openRoom(t, st, clock, 0, 0)
	for i, c := range []struct {
		o    casemate.Once
		id   string
		put  bool
		wait time.Duration
	}{
		{once(clock, "k", "e1"), "e1", true, Window - time.Second}, {once(clock, "k", "e2"), "e1", false, 0}, {once(clock, "other", "e3"), "e3", true, time.Second},
	} {
		c.o.At = clock.Now()
		if id, put := accept(t, r, c.o); id != c.id || put != c.put {
			t.Errorf("%d: %s, put %v", i, id, put)
		}
		clock.Advance(c.wait)
	}
	if id, put := accept(t, r, once(clock, "k", "e4")); id != "e4" || !put {
		t.Errorf("after the window: %s, put %v", id, put)
	}
	another := once(clock, "k", "e5")
	another.Asked = "b"
	_, err := r.Accept(t.Context(), another, func() error { t.Error("it was queued"); return nil })
	if e := casemate.AsError(err); e.Code != casemate.Conflict || e.AWS != "IdempotentParameterMismatchException" {
		t.Errorf("another request: %v", err)
	}
	if id, put := accept(t, openRoom(t, st, clock, 0, 0), once(clock, "k", "e6")); id != "e4" || put {
		t.Errorf("opened again: %s, put %v", id, put)
	}
}

// TestKilledBetweenQueueAndKey: whoever was killed there answered nobody. The event that was queued and the one that was sent again are
// one: whichever is claimed first.
func TestKilledBetweenQueueAndKey(t *testing.T) {
	for _, first := range []string{"retry", "worker"} {
		clock := storetest.NewClock()
		r := openRoom(t, store.Memory(clock.Now), clock, 0, 0)
		lost := once(clock, "k", "lost") // queued, its key not written
		clock.Advance(time.Second)
		want := "again"
		if first == "worker" {
			want = "lost"
			if mine, err := r.Claim(t.Context(), lost); !mine || err != nil {
				t.Fatal(mine, err)
			}
		}
		if id, put := accept(t, r, once(clock, "k", "again")); id != want || put != (first == "retry") {
			t.Errorf("%s first: %s, put %v", first, id, put)
		}
		for _, o := range []casemate.Once{lost, once(clock, "k", "again")} {
			if mine, err := r.Claim(t.Context(), o); mine != (o.ID == want) || err != nil {
				t.Errorf("%s first: %s is the one: %v, %v", first, o.ID, mine, err)
			}
		}
	}
}

// TestAnAcceptedEventIsNotLostToItsKey: one that waits for longer than the window runs, though its key stands for another by then.
func TestAnAcceptedEventIsNotLostToItsKey(t *testing.T) {
	clock := storetest.NewClock()
	r := openRoom(t, store.Memory(clock.Now), clock, 0, 0)
	old := once(clock, "k", "old")
	accept(t, r, old)
	clock.Advance(Window)
	now := once(clock, "k", "new")
	accept(t, r, now)
	for _, o := range []casemate.Once{old, now} {
		if mine, err := r.Claim(t.Context(), o); !mine || err != nil {
			t.Errorf("%s: %v, %v", o.ID, mine, err)
		}
	}
}

func TestBounds(t *testing.T) {
	clock := storetest.NewClock()
	r := openRoom(t, store.Memory(clock.Now), clock, 3, 2)
	full := func(o casemate.Once) bool {
		_, err := r.Accept(t.Context(), o, func() error { return nil })
		if err != nil && (casemate.CodeOf(err) != casemate.Exhausted || casemate.AsError(err).Retry == 0) {
			t.Error(err)
		}
		return err != nil
	}
	mine := func(key string) casemate.Once { return once(clock, key, key) }
	theirs := func(key string) casemate.Once { o := mine(key); o.Caller = "x"; return o }
	if full(mine("a")) || full(mine("b")) || !full(mine("c")) || full(mine("a")) || full(theirs("d")) || !full(theirs("e")) {
		t.Error("the bounds do not hold")
	}
	if _, err := r.Accept(t.Context(), theirs("f"), func() error { return errors.New("disk full") }); casemate.CodeOf(err) != casemate.Exhausted {
		t.Error(err)
	}
	clock.Advance(Window + time.Minute)
	r.sweep()
	r.work.Wait()
	if full(mine("g")) || full(theirs("h")) || r.total != 2 {
		t.Errorf("nothing was forgotten: %d", r.total)
	}
	if _, err := r.Accept(t.Context(), theirs("i"), func() error { return errors.New("disk full") }); err == nil || r.total != 2 || r.callers["x"] != 1 {
		t.Errorf("%v, %d remembered", err, r.total)
	}
}

// TestManyAtOnce: of all that come with one key at once, one is queued, and all hear its id.
func TestManyAtOnce(t *testing.T) {
	clock := storetest.NewClock()
	r := openRoom(t, store.Memory(clock.Now), clock, 0, 0)
	var puts atomic.Int32
	var ids sync.Map
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			id, err := r.Accept(context.Background(), once(clock, "k", fmt.Sprint("e", i)), func() error { puts.Add(1); return nil })
			if err != nil {
				t.Error(err)
			}
			ids.Store(id, true)
		})
	}
	all.Wait()
	n := 0
	ids.Range(func(any, any) bool { n++; return true })
	if puts.Load() != 1 || n != 1 || len(r.busy) != 0 {
		t.Errorf("%d puts, %d ids, %d busy", puts.Load(), n, len(r.busy))
	}
}

// TestTheWorkerIsFaster: an event is taken from the queue before its key is written, on a store where what is written shows once it is
// durable. It runs, and its caller hears of it.
func TestTheWorkerIsFaster(t *testing.T) {
	clock := storetest.NewClock()
	st, err := store.Open(t.Context(), store.Config{Dir: t.TempDir(), Clock: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	r := openRoom(t, st, clock, 0, 0)
	for i := range 20 {
		o := once(clock, fmt.Sprint("k", i), fmt.Sprint("e", i))
		var worker sync.WaitGroup
		id, err := r.Accept(t.Context(), o, func() error {
			worker.Go(func() {
				if mine, err := r.Claim(context.Background(), o); !mine || err != nil {
					t.Errorf("%s is not run: %v", o.ID, err)
				}
			})
			return nil
		})
		if id != o.ID || err != nil {
			t.Errorf("%s: %s, %v", o.ID, id, err)
		}
		worker.Wait()
	}
	if r.total != 20 {
		t.Errorf("%d remembered", r.total)
	}
}
