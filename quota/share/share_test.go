package share

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"casemate"
	"casemate/quota"
	"casemate/store"
)

var t0 = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

func open(t testing.TB, s store.Store) *Room {
	t.Helper()
	r, err := Open(t.Context(), Config{Store: s, Clock: func() time.Time { return t0 }})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// crash ends a room without the exact figures that a stop writes.
func (r *Room) crash() {
	r.cancel()
	<-r.done
}

func planned(who string, day int64) casemate.Demand {
	return casemate.Demand{Principal: who, Plan: &casemate.Plan{Name: "basic", Limit: casemate.Limit{Day: day}}}
}

// let counts how many of n get in.
func let(t testing.TB, r *Room, n int, d casemate.Demand) (in int) {
	t.Helper()
	for range n {
		switch _, err := r.Reserve(t.Context(), t0, d); casemate.CodeOf(err) {
		case casemate.Exhausted:
		default:
			if err != nil {
				t.Fatal(err)
			}
			in++
		}
	}
	return in
}

// TestQuotaOverCrashes: a node that is killed again and again never lets in more than the quota, and one crash loses at most
// a share. A stop loses nothing.
func TestQuotaOverCrashes(t *testing.T) {
	const most = 640
	s := store.Memory(func() time.Time { return t0 })
	total, crashes := 0, 0
	for crashes = 0; total < most/2; crashes++ {
		r := open(t, s)
		total += let(t, r, 37, planned("ann", most))
		r.crash()
	}
	r := open(t, s)
	total += let(t, r, 10, planned("ann", most))
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r = open(t, s)
	total += let(t, r, 2*most, planned("ann", most))
	if least := most - crashes*most/32; total > most || total < least {
		t.Errorf("%d let in of %d over %d crashes, want at least %d", total, most, crashes, least)
	}
	if n := let(t, r, 10, planned("bob", 7)); n != 7 {
		t.Errorf("another got %d of 7", n)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r = open(t, s)
	if n := let(t, r, 10, planned("bob", 7)); n != 0 {
		t.Errorf("a restart gave %d anew", n)
	}
	r.crash()
}

// TestQuotaExactUnderRace: 32 callers of one key at once get exactly its quota, and no more.
func TestQuotaExactUnderRace(t *testing.T) {
	r := open(t, store.Memory(func() time.Time { return t0 }))
	var in atomic.Int64
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for range 40 {
				_, err := r.Reserve(context.Background(), t0, planned("ann", 500))
				switch {
				case err == nil:
					in.Add(1)
				case casemate.CodeOf(err) != casemate.Exhausted:
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if in.Load() != 500 {
		t.Errorf("%d let in of 500", in.Load())
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

// broken is a store whose quotas cannot be written.
type broken struct{ store.Store }

type brokenKV struct{ store.KV }

func (b broken) KV(name string) (store.KV, error) {
	kv, err := b.Store.KV(name)
	return brokenKV{kv}, err
}

func (brokenKV) Put(context.Context, string, []byte, uint64) (uint64, error) {
	return 0, errors.New("disk full")
}

// TestNoShareNoEntry: what cannot be stored is not handed out.
func TestNoShareNoEntry(t *testing.T) {
	r := open(t, broken{store.Memory(func() time.Time { return t0 })})
	defer r.crash()
	if _, err := r.Reserve(t.Context(), t0, planned("ann", 10)); casemate.CodeOf(err) != casemate.Unavailable {
		t.Errorf("%v", err)
	}
	if _, err := r.Reserve(t.Context(), t0, casemate.Demand{Principal: "bob"}); err != nil {
		t.Errorf("who has no quota needs no store: %v", err)
	}
}

// TestDamagedQuota: a quota that cannot be read stops the start; it is not given anew.
func TestDamagedQuota(t *testing.T) {
	s := store.Memory(func() time.Time { return t0 })
	kv, err := s.KV(bucket)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Put(t.Context(), "caller/x", []byte(`{"kind":"caller","name":"y"}`), store.AnyRevision); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Config{Store: s}); err == nil {
		t.Error("opened")
	}
}

// TestPastQuotasGo: what a month ago was used is forgotten.
func TestPastQuotasGo(t *testing.T) {
	s := store.Memory(func() time.Time { return t0 })
	r := open(t, s)
	let(t, r, 3, planned("ann", 10))
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	later, err := Open(t.Context(), Config{Store: s, Clock: func() time.Time { return t0.AddDate(0, 1, 0) }})
	if err != nil {
		t.Fatal(err)
	}
	defer later.crash()
	if n := len(later.Counts()); n != 0 {
		t.Errorf("%d are kept", n)
	}
}

// TestWaits: who waits for a place gets it when one comes back, is refused when its patience ends, and holds nothing when it
// goes away; a panic after that leaks nothing either.
func TestWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := Open(t.Context(), Config{Store: store.Memory(time.Now), Quota: quota.Config{NodeConcurrency: 100}})
		if err != nil {
			t.Fatal(err)
		}
		defer r.crash()
		run := func(who string) casemate.Demand {
			return casemate.Demand{Principal: who, Function: "f", Concurrency: 4, FunctionRate: casemate.Rate{PerSecond: 1e6, Burst: 1e6}}
		}
		var held []casemate.Reservation
		for range 4 {
			h, err := r.Reserve(t.Context(), time.Now(), run("flood"))
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, h)
		}
		start := time.Now()
		if _, err := r.Reserve(t.Context(), time.Now(), run("flood")); casemate.CodeOf(err) != casemate.Exhausted || time.Since(start) != 0 {
			t.Fatalf("the flooder is refused after %v: %v", time.Since(start), err)
		}
		if _, err := r.Reserve(t.Context(), time.Now(), run("ann")); casemate.CodeOf(err) != casemate.Exhausted || time.Since(start) != 500*time.Millisecond {
			t.Fatalf("refused after %v: %v", time.Since(start), err)
		}
		gone, leave := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := r.Reserve(gone, time.Now(), run("ann")); casemate.CodeOf(err) != casemate.Unavailable {
				t.Errorf("who went away got %v", err)
			}
		})
		synctest.Wait()
		leave()
		wg.Wait()
		wg.Go(func() {
			h, err := r.Reserve(t.Context(), time.Now(), run("ann"))
			if err != nil {
				t.Error(err)
			}
			r.Settle(time.Now(), h)
		})
		synctest.Wait()
		<-time.After(100 * time.Millisecond) // of the bubble
		r.Settle(time.Now(), held[0])
		wg.Wait()
		for _, h := range held {
			r.Settle(time.Now(), h)
		}
		if n := r.Running(); n != 0 {
			t.Errorf("%d run", n)
		}
	})
}

// BenchmarkReserveWithQuota shows that a request that counts against a quota does not wait for its writes.
func BenchmarkReserveWithQuota(b *testing.B) {
	r := open(b, store.Memory(func() time.Time { return t0 }))
	defer r.crash()
	d := planned("ann", 1e12)
	b.ReportAllocs()
	for range b.N {
		if _, err := r.Reserve(b.Context(), t0, d); err != nil {
			b.Fatal(err)
		}
	}
}
