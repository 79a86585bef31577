package flow

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"casemate"
	"casemate/store"
)

func open(t testing.TB, s store.Store, most int) *Room {
	t.Helper()
	r, err := Open(context.Background(), Config{Store: s, Clock: time.Now, Most: most})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func step(n int, again ...int) *casemate.FlowStep {
	s := &casemate.FlowStep{App: "shop", Name: "checkout", Step: n, Steps: 3, Key: "caller", Within: time.Hour}
	for _, a := range again {
		s.Again = s.Again || a == n
	}
	return s
}

// take begins a step and, when it was begun, ends it.
func take(r *Room, s *casemate.FlowStep, key string, ok bool) error {
	done, err := r.Take(context.Background(), time.Now(), s, key, "e", time.Minute)
	if err == nil {
		done(context.Background(), ok)
	}
	return err
}

func TestStepsInTheirOrderAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, store.Memory(time.Now), 0)
		defer r.Close()
		for i, c := range []struct {
			step int
			ok   bool
			want bool
		}{
			{2, true, false}, {3, true, false}, // nothing was begun
			{1, false, true}, {2, true, false}, // the first came to nothing
			{1, true, true}, {1, true, false}, {3, true, false}, // repeated, skipped
			{2, false, true}, {3, true, false}, {2, true, true}, {2, true, false}, {1, true, false},
			{3, true, true}, {3, true, false}, {2, true, false}, {1, true, true}, // over, and from the beginning
		} {
			err := take(r, step(c.step), "k", c.ok)
			if (err == nil) != c.want || err != nil && casemate.CodeOf(err) != casemate.Conflict {
				t.Fatalf("%d: step %d: %v", i, c.step, err)
			}
		}
		if err := take(r, step(2), "other", true); err == nil {
			t.Error("one flow opened the way for another")
		}
	})
}

func TestAgainUntilTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, store.Memory(time.Now), 0)
		defer r.Close()
		for i, c := range []struct {
			step int
			want bool
		}{{1, true}, {1, true}, {2, true}, {1, false}, {3, true}} {
			if err := take(r, step(c.step, 1), "k", true); (err == nil) != c.want {
				t.Fatalf("%d: step %d: %v", i, c.step, err)
			}
		}
	})
}

// Whatever order is tried, steps are taken as a plain counter says.
func TestStepsAreACounter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := store.Memory(time.Now)
		kv, err := s.KV("flows")
		if err != nil {
			t.Fatal(err)
		}
		r := &Room{cfg: Config{Clock: time.Now, Most: 10}, kv: kv}
		stands := map[string]int{}
		for range 30 {
			n, key, ok := rapid.IntRange(1, 3).Draw(t, "step"), rapid.SampledFrom([]string{"a", "b"}).Draw(t, "key"), rapid.Bool().Draw(t, "ok")
			err := take(r, step(n), key, ok)
			if (err == nil) != (n == stands[key]+1) {
				t.Fatalf("step %d of %s at %d: %v", n, key, stands[key], err)
			}
			if err == nil && ok {
				stands[key] = n % 3
			}
		}
	})
}

// Of many calls of one step at the same time, one takes it.
func TestOneOfManyTakesAStep(t *testing.T) {
	r := open(t, store.Memory(time.Now), 0)
	defer r.Close()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var begun []func(context.Context, bool)
	for i := range 32 {
		wg.Go(func() {
			done, err := r.Take(context.Background(), time.Now(), step(1), "k", fmt.Sprint(i), time.Hour)
			if err == nil {
				mu.Lock()
				begun = append(begun, done)
				mu.Unlock()
			} else if casemate.CodeOf(err) != casemate.Conflict {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(begun) != 1 {
		t.Fatalf("%d calls took the step", len(begun))
	}
	if err := take(r, step(2), "k", true); err == nil {
		t.Error("the next step began before this one was answered")
	}
	begun[0](context.Background(), true)
	if err := take(r, step(2), "k", true); err != nil {
		t.Error(err)
	}
}

// A node that ends between a step and its answer leaves the flow where it was; the step may be taken again when nobody can
// be taking it any more.
func TestCutOffStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.Memory(time.Now)
		r := open(t, s, 0)
		if err := take(r, step(1), "k", true); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Take(t.Context(), time.Now(), step(2), "k", "cut", time.Minute); err != nil {
			t.Fatal(err)
		}
		r.Close()
		r = open(t, s, 0)
		defer r.Close()
		if err := take(r, step(2), "k", true); err == nil {
			t.Fatal("the step was taken twice at once")
		}
		if err := take(r, step(3), "k", true); err == nil {
			t.Fatal("a step that nobody answered was skipped")
		}
		<-time.After(time.Minute) // of the bubble's clock
		if err := take(r, step(2), "k", true); err != nil {
			t.Fatal(err)
		}
	})
}

func TestFlowsRunOutAndAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.Memory(time.Now)
		r := open(t, s, 2)
		for _, k := range []string{"a", "b"} {
			if err := take(r, step(1), k, true); err != nil {
				t.Fatal(err)
			}
		}
		if err := take(r, step(1), "c", true); casemate.CodeOf(err) != casemate.Unavailable {
			t.Fatalf("a third flow: %v", err)
		}
		<-time.After(time.Hour)
		if err := take(r, step(2), "a", true); err == nil {
			t.Error("a flow went on after its time")
		}
		<-time.After(2 * sweep)
		synctest.Wait()
		kv, _ := s.KV("flows")
		if all, err := kv.List(t.Context(), ""); err != nil || len(all) != 0 {
			t.Errorf("%d flows are still kept, %v", len(all), err)
		}
		if err := take(r, step(1), "c", true); err != nil {
			t.Error(err)
		}
		r.Close()
	})
}

// brokenKV fails to write.
type brokenKV struct{ store.KV }

func (brokenKV) Put(context.Context, string, []byte, uint64) (uint64, error) {
	return 0, errors.New("full")
}

func TestWhatCannotBeWrittenIsNotBegun(t *testing.T) {
	kv, err := store.Memory(time.Now).KV("flows")
	if err != nil {
		t.Fatal(err)
	}
	r := &Room{cfg: Config{Clock: time.Now, Most: 1}, kv: brokenKV{kv}}
	for range 2 { // and it holds no room
		if err := take(r, step(1), "k", true); err == nil || casemate.CodeOf(err) == casemate.Unavailable {
			t.Fatalf("got %v", err)
		}
	}
}

func FuzzState(f *testing.F) {
	f.Add([]byte(`{"step":1,"until":"2030-01-01T00:00:00Z"}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		kv, err := store.Memory(time.Now).KV("flows")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := kv.Put(context.Background(), "shop/checkout/k", value, store.NewKey); err != nil {
			t.Skip()
		}
		r := &Room{cfg: Config{Clock: time.Now, Most: 1}, kv: kv}
		s, _, err := r.read(context.Background(), "shop/checkout/k", time.Now())
		if err == nil && s.Step != 0 && !time.Now().Before(s.Until) {
			t.Fatal("a flow that ran out goes on")
		}
	})
}
