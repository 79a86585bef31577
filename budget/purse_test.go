package budget

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"casemate"
	"casemate/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// postPaid is accounting as others do it: it looks at what was spent, and adds the cost afterwards. It is here to show that
// the tests below notice.
type postPaid struct {
	*Purse
	mu    sync.Mutex
	limit casemate.Money
	spent casemate.Money
}

func (p *postPaid) Hold(_ context.Context, _ time.Time, s *casemate.Spend) (casemate.Hold, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.spent >= p.limit {
		return casemate.Hold{}, casemate.Errorf(casemate.Exhausted, "", "over")
	}
	return casemate.Hold{Event: s.Event}, nil
}

func (p *postPaid) Settle(_ context.Context, _ time.Time, _ casemate.Hold, r *casemate.Record, _ bool) (casemate.Money, string) {
	m, err := p.book.Cost(r)
	if err != nil {
		return 0, ""
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spent += m
	return m, p.book.Digest
}

type purse interface {
	Hold(ctx context.Context, now time.Time, s *casemate.Spend) (casemate.Hold, error)
	Settle(ctx context.Context, now time.Time, h casemate.Hold, r *casemate.Record, ran bool) (casemate.Money, string)
}

// flood has 512 callers send ten times what the budget pays for, all at once, and gives what was paid for.
func flood(t *testing.T, w *world, p purse, v *casemate.Version, runs int) (paid casemate.Money, ran, refused int64) {
	t.Helper()
	var left, sum, no atomic.Int64
	left.Store(int64(runs))
	var all sync.WaitGroup
	together := make(chan struct{})
	for range 512 {
		all.Go(func() {
			<-together
			for left.Add(-1) >= 0 {
				s := w.spend(v, "key/a")
				h, err := p.Hold(t.Context(), noon, &s)
				if err != nil {
					if casemate.CodeOf(err) != casemate.Exhausted {
						t.Error(err)
					}
					no.Add(1)
					continue
				}
				r := casemate.Record{ID: s.Event, Chain: s.Chain, Opened: s.Opened, App: s.App, Function: s.Function, Principal: s.Principal, Held: h.Amount,
					Usage: casemate.Usage{Wall: time.Duration(1+rand.IntN(1000)) * time.Millisecond, MemoryMB: v.Limits.MemoryMB}, Outcome: casemate.Outcome{OK: true, Status: "answered"}}
				r.Cost, r.Book = p.Settle(t.Context(), noon, h, &r, true)
				w.purse.Count(w.append(r), &r)
				sum.Add(int64(r.Cost))
			}
		})
	}
	close(together)
	all.Wait()
	return casemate.Money(sum.Load()), int64(runs) - no.Load(), no.Load()
}

func TestHardBudgetUnderAFloodOf512Callers(t *testing.T) {
	w := newWorld(t)
	v := version("shop", "price", 10)
	limit := 400 * worst(w.book, v)
	w.set("function/price", "day", limit)
	paid, ran, refused := flood(t, w, w.purse, v, 10_000)
	if paid > limit || refused == 0 {
		t.Errorf("paid %s of %s, %d ran, %d refused", paid, limit, ran, refused)
	}
	for { // one at a time it goes to the end
		e, err := w.hold(w.spend(v, "key/a"))
		if err != nil {
			break
		}
		paid += w.end(e, time.Second)
	}
	if paid > limit || paid <= limit-worst(w.book, v) {
		t.Errorf("stopped at %s of %s, although a run holds %s", paid, limit, worst(w.book, v))
	}
	if s := w.status("function/price per day"); s.Spent != paid || s.Held != 0 {
		t.Errorf("%+v, paid %s", s, paid)
	}
}

// TestPostPaidAccountingOverspends is the same flood against accounting without reservations: 512 calls are let in on the
// last unit.
func TestPostPaidAccountingOverspends(t *testing.T) {
	w := newWorld(t)
	v := version("shop", "price", 10)
	limit := 4 * worst(w.book, v)
	p := &postPaid{Purse: w.purse, limit: limit}
	var holds []casemate.Hold
	for range 512 {
		s := w.spend(v, "key/a")
		if h, err := p.Hold(t.Context(), noon, &s); err == nil {
			holds = append(holds, h)
		}
	}
	for _, h := range holds {
		p.Settle(t.Context(), noon, h, &casemate.Record{App: "shop", Usage: casemate.Usage{Wall: time.Second, MemoryMB: 10}}, true)
	}
	if p.spent <= 100*limit {
		t.Errorf("spent %s of %s: the flood shows nothing", p.spent, limit)
	}
	// ... and with reservations
	w.set("function/price", "day", limit)
	n := 0
	for range 512 {
		if _, err := w.hold(w.spend(v, "key/a")); err == nil {
			n++
		}
	}
	if n != 4 {
		t.Errorf("%d were let in, 4 can be paid", n)
	}
}

func TestRefusalSaysWhichBudgetAndUntilWhen(t *testing.T) {
	w := newWorld(t)
	w.set("caller/*", "day", 0)
	err := w.run(version("shop", "price", 1), "key/ck_1", time.Millisecond)
	var e *casemate.Error
	if !errors.As(err, &e) || e.Code != casemate.Exhausted || e.Rule != "budget caller/* per day, key/ck_1" || !strings.Contains(e.Hint, "2026-05-05T00:00:00Z") || e.Retry != 12*3600 {
		t.Errorf("%+v", e)
	}
	if w.paid(nil) != 0 {
		t.Error("a refusal cost something")
	}
}

func TestEachScopeCountsItsOwn(t *testing.T) {
	v, other := version("shop", "price", 1), version("till", "pay", 1)
	for _, c := range []struct {
		budget   casemate.Budget
		one, two func(s *casemate.Spend)
	}{
		{casemate.Budget{For: "function/price"}, nil, func(s *casemate.Spend) { s.App, s.Function, s.Version = "till", "pay", other }},
		{casemate.Budget{For: "app/shop"}, nil, func(s *casemate.Spend) { s.App, s.Function, s.Version = "till", "pay", other }},
		{casemate.Budget{For: "caller/key/a"}, nil, func(s *casemate.Spend) { s.Principal = "key/b" }},
		{casemate.Budget{For: "caller/*"}, nil, func(s *casemate.Spend) { s.Principal = "key/b" }},
		{casemate.Budget{For: "key/ck_a"}, func(s *casemate.Spend) { s.Key = "ck_a" }, func(s *casemate.Spend) { s.Key = "ck_b" }},
		{casemate.Budget{For: "role/clerk"}, nil, func(s *casemate.Spend) { s.Role = "chef" }},
		{casemate.Budget{For: "account/000000000000"}, nil, func(s *casemate.Spend) { s.Account = "000000000001" }},
		{casemate.Budget{For: "tag/team=web"}, nil, func(s *casemate.Spend) { s.App, s.Function, s.Version = "till", "pay", other }},
		{casemate.Budget{For: "tag/*"}, nil, func(s *casemate.Spend) { s.App, s.Function, s.Version = "till", "pay", other }},
	} {
		t.Run(c.budget.For, func(t *testing.T) {
			w := newWorld(t)
			for of, tag := range map[string]string{"app/shop": "team=web", "app/till": "team=till"} {
				if err := w.purse.Tag(t.Context(), Tagging{of, []string{tag}}); err != nil {
					t.Fatal(err)
				}
			}
			w.set(c.budget.For, "total", worst(w.book, v))
			one := func(change func(*casemate.Spend)) error {
				s := w.spend(v, "key/a")
				if change != nil {
					change(&s)
				}
				e, err := w.hold(s)
				if err == nil {
					w.end(e, time.Second)
				}
				return err
			}
			if err := one(c.one); err != nil {
				t.Fatal(err)
			}
			if err := one(c.one); casemate.CodeOf(err) != casemate.Exhausted {
				t.Errorf("the second: %v", err)
			}
			if err := one(c.two); err != nil {
				t.Errorf("another: %v", err)
			}
			w.kill()
			w.open() // the same from the records
			if err := one(c.one); casemate.CodeOf(err) != casemate.Exhausted {
				t.Errorf("after a restart: %v", err)
			}
		})
	}
}

func TestSoftBudgetIsNotedAndLetsGo(t *testing.T) {
	w := newWorld(t)
	v := version("shop", "price", 1)
	if err := w.purse.Set(t.Context(), casemate.Budget{For: "app/shop", Per: "month", Amount: worst(w.book, v) / 2, Soft: true}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := w.run(v, "key/a", time.Second); err != nil {
			t.Fatal(err)
		}
	}
	for i := range w.records {
		if n := w.records[i].Notes; len(n) != 1 || !strings.Contains(n[0], "budget app/shop per month (soft) is overspent") {
			t.Errorf("record %d notes %q", i, n)
		}
	}
}

// TestMonthBoundaryAndAClockThatJumps: what counts is when an event was opened; a clock that goes back finds what was spent.
func TestMonthBoundaryAndAClockThatJumps(t *testing.T) {
	w := newWorld(t)
	v := version("shop", "price", 1)
	w.set("app/shop", "month", worst(w.book, v))
	w.now = time.Date(2026, 5, 31, 23, 59, 59, 999, time.UTC)
	late, err := w.hold(w.spend(v, "key/a"))
	if err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(time.Second) // June: its own money
	if err := w.run(v, "key/a", time.Second); err != nil {
		t.Fatal(err)
	}
	w.end(late, time.Second) // counts in May
	months := []time.Time{noon, w.now, noon.AddDate(0, 6, 0), w.now, noon, noon.AddDate(0, 6, 0).Add(time.Hour), noon.AddDate(-3, 0, 0), noon.AddDate(20, 0, 0), noon.AddDate(-3, 0, 0), noon}
	fresh := 0
	for i, at := range months {
		w.now = at
		if w.run(v, "key/a", time.Second) == nil {
			fresh++
		}
		if i == 4 {
			w.kill()
			w.open()
		}
	}
	if fresh > 2 { // November, and the year 2046: nothing else is new
		t.Errorf("a jumping clock made %d more windows", fresh)
	}
}

// TestLoopOfThreeFunctionsEndsByItsChain: each run of a loop calls the next; the chain's money ends it within one event.
func TestLoopOfThreeFunctionsEndsByItsChain(t *testing.T) {
	w := newWorld(t)
	loop := []*casemate.Version{version("shop", "a", 1), version("shop", "b", 1), version("shop", "c", 1)}
	one := worst(w.book, loop[0])
	w.set("chain", "chain", 5*one)
	root := w.spend(loop[0], "key/a")
	ran := 0
	var call func(depth int) error
	call = func(depth int) error { // a runaway fan-out of two, by sync calls
		s := w.spend(loop[depth%3], "function/x")
		s.Chain, s.Root, s.Depth, s.Source = root.Chain, depth == 0, depth, casemate.SourceRun
		if depth == 0 {
			s = root
		}
		e, err := w.hold(s)
		if err != nil {
			return err
		}
		ran++
		for range 2 {
			if err = call(depth + 1); err != nil {
				break
			}
		}
		w.end(e, 1001*time.Millisecond)
		return err
	}
	if err := call(0); casemate.CodeOf(err) != casemate.Exhausted {
		t.Fatal(err)
	}
	if ran != 5 || w.paid(nil) > 5*one {
		t.Errorf("%d runs, paid %s; five were paid for", ran, w.paid(nil))
	}
	if n := len(w.purse.chains); n != 0 {
		t.Errorf("%d chains are remembered, none lives", n)
	}
	if err := w.run(loop[0], "key/a", time.Millisecond); err != nil {
		t.Errorf("another chain: %v", err)
	}
}

// TestQueuedLoopOutlivesTheNode: the same through the queue, over kills.
func TestQueuedLoopOutlivesTheNode(t *testing.T) {
	w := newWorld(t)
	v := version("shop", "a", 1)
	one := worst(w.book, v)
	w.set("chain", "chain", 5*one)
	root, ran := w.spend(v, "key/a"), 0
	root.Queue = true
	e, err := w.hold(root)
	if err != nil {
		t.Fatal(err)
	}
	w.end(e, 0)
	for depth := range 12 {
		if err := w.purse.save(t.Context(), false); err != nil && depth%2 == 0 {
			t.Fatal(err)
		}
		s := w.spend(v, "key/a")
		s.Chain, s.Depth, s.Source, s.Root = root.Chain, depth, casemate.SourceAsync, false
		e, err := w.hold(s)
		if err != nil {
			break
		}
		ran++
		next := s
		next.Event, next.Queue, next.Source, next.Version = s.Event+"q", true, casemate.SourceRun, v
		if q, err := w.hold(next); err == nil {
			w.end(q, 0)
		}
		if depth == 1 || depth == 3 {
			w.cut(e)
			w.kill()
			w.open()
			continue
		}
		w.end(e, 1001*time.Millisecond)
	}
	if ran != 5 || w.paid(nil) > 5*one {
		t.Errorf("%d runs, paid %s of %s", ran, w.paid(nil), 5*one)
	}
}

func TestDepthOfAChain(t *testing.T) {
	w := newWorld(t)
	if err := w.purse.Set(t.Context(), casemate.Budget{For: "chain", Per: "chain", Amount: 1 << 40, Depth: 2}); err != nil {
		t.Fatal(err)
	}
	for depth, want := range []bool{true, true, true, false} {
		s := w.spend(version("shop", "a", 1), "key/a")
		s.Depth, s.Root = depth, depth == 0
		if e, err := w.hold(s); (err == nil) != want {
			t.Errorf("depth %d: %v", depth, err)
		} else if err == nil {
			w.end(e, 1)
		}
	}
	free := casemate.Spend{Event: "x", Chain: "y", Depth: 3, Source: casemate.SourceRun, Operation: "sts.GetCallerIdentity"}
	if _, err := w.hold(free); err == nil {
		t.Error("what costs nothing may be as deep as it likes")
	}
}

// TestQueueHoldsAtTheRun: to be queued costs nothing and is refused only where nothing could run; each run asks.
func TestQueueHoldsAtTheRun(t *testing.T) {
	w := newWorld(t)
	v := version("shop", "price", 1)
	w.set("app/shop", "day", 3*worst(w.book, v))
	ids := 0
	for range 50 {
		s := w.spend(v, "key/a")
		s.Queue = true
		if e, err := w.hold(s); err == nil {
			ids++
			w.end(e, 0)
		}
	}
	if s := w.status("app/shop per day"); ids != 50 || s.Spent != 0 || s.Held != 0 {
		t.Fatalf("%d queued, %+v", ids, s)
	}
	ran := 0
	for range ids {
		s := w.spend(v, "key/a")
		s.Source = casemate.SourceAsync
		if e, err := w.hold(s); err == nil {
			ran++
			w.end(e, time.Minute)
		}
	}
	s := w.spend(v, "key/a")
	s.Queue = true
	if _, err := w.hold(s); ran != 3 || casemate.CodeOf(err) != casemate.Exhausted {
		t.Errorf("%d ran; one more to be queued: %v", ran, err)
	}
}

// TestManifestCannotRaiseTheOperatorsBudget, nor forget what was spent by taking its own away and back.
func TestManifestCannotRaiseTheOperatorsBudget(t *testing.T) {
	w := newWorld(t)
	v := version("shop", "price", 1)
	one := worst(w.book, v)
	w.set("app/shop", "day", 2*one)
	mine := func(amount casemate.Money) map[string][]casemate.Budget {
		return map[string][]casemate.Budget{"shop": {{App: "shop", For: "app/shop", Per: "day", Amount: amount}}}
	}
	if err := w.purse.SetApps(t.Context(), mine(one)); err != nil {
		t.Fatal(err)
	}
	if err := w.run(v, "key/a", time.Minute); err != nil {
		t.Fatal(err)
	}
	for _, apps := range []map[string][]casemate.Budget{mine(one), nil, mine(one)} {
		if err := w.purse.SetApps(t.Context(), apps); err != nil {
			t.Fatal(err)
		}
		if err := w.run(v, "key/a", time.Minute); apps != nil && casemate.CodeOf(err) != casemate.Exhausted {
			t.Errorf("%v", err)
		}
	}
	if err := w.purse.SetApps(t.Context(), mine(1<<50)); err != nil {
		t.Fatal(err)
	}
	if err := w.run(v, "key/a", time.Minute); casemate.CodeOf(err) != casemate.Exhausted || w.paid(nil) > 2*one {
		t.Errorf("the operator's budget: %v, paid %s", err, w.paid(nil))
	}
	for _, b := range []casemate.Budget{{App: "shop", For: "node", Per: "day"}, {App: "shop", For: "app/till", Per: "day"}, {App: "shop", For: "chain", Per: "chain"}, {For: "app/shop", Per: "day"}} {
		if err := w.purse.SetApps(t.Context(), map[string][]casemate.Budget{"shop": {b}}); casemate.CodeOf(err) != casemate.Invalid {
			t.Errorf("%+v: %v", b, err)
		}
	}
	if err := w.purse.Remove(t.Context(), "shop: app/shop per day"); casemate.CodeOf(err) != casemate.NotFound {
		t.Errorf("a manifest's budget was removed by hand: %v", err)
	}
}

// TestManifestCountsItsAppAlone: another app's spending by the same caller is none of its business.
func TestManifestCountsItsAppAlone(t *testing.T) {
	w := newWorld(t)
	v, other := version("shop", "price", 1), version("till", "pay", 1)
	if err := w.purse.SetApps(t.Context(), map[string][]casemate.Budget{"shop": {{App: "shop", For: "caller/*", Per: "day", Amount: worst(w.book, v)}}}); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if err := w.run(other, "key/a", time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.run(v, "key/a", time.Minute); err != nil {
		t.Error(err)
	}
}

func TestMoneyAttacks(t *testing.T) {
	w := newWorld(t)
	for _, b := range []casemate.Budget{{For: "node", Per: "day", Amount: -1}, {For: "app/shop", Per: "day", Amount: 5, Currency: "EUR"}, {For: "app/", Per: "day"}, {For: "app", Per: "day"},
		{For: "node/x", Per: "day"}, {For: "moon/x", Per: "day"}, {For: "app/a\nb", Per: "day"}, {For: "tag/team", Per: "day"}, {For: "app/shop", Per: "week"}, {For: "chain", Per: "day"},
		{For: "chain", Per: "chain", Soft: true}, {For: "chain", Per: "chain", Depth: 17}, {For: "app/x", Per: "day", Depth: 1}, {For: "app/x", Per: "day", Currency: "$"}} {
		if err := w.purse.Set(t.Context(), b); casemate.CodeOf(err) != casemate.Invalid {
			t.Errorf("%+v: %v", b, err)
		}
	}
	for _, x := range []Tagging{{"app/shop", []string{"team"}}, {"app/shop", []string{"a=1", "a=2"}}, {"node", []string{"a=1"}}, {"caller/x", []string{"a=1"}}, {"app/shop", []string{"=x"}}} {
		if err := w.purse.Tag(t.Context(), x); casemate.CodeOf(err) != casemate.Invalid {
			t.Errorf("%+v: %v", x, err)
		}
	}
	if len(w.purse.own) != 0 || len(w.purse.Tags()) != 0 {
		t.Error("something was set")
	}
	// amounts at the end of what can be held do not wrap
	w.set("node", "total", 1<<63-1)
	v := version("shop", "big", 10240)
	v.Limits.Timeout = 900 * time.Second
	for range 3 {
		if err := w.run(v, "key/a", time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	c := w.purse.counters["node per total"][""].windows[0]
	c.spent = 1<<63 - 2
	if err := w.run(v, "key/a", time.Hour); casemate.CodeOf(err) != casemate.Exhausted {
		t.Errorf("at the end of all amounts: %v", err)
	}
}

// TestOtherCurrencyStops: prices change their currency, and the budgets do not mean anything any more.
func TestOtherCurrencyStops(t *testing.T) {
	w := newWorld(t)
	w.set("app/shop", "day", 1<<50)
	w.kill()
	other := *w.book
	other.Currency = "EUR"
	w.book = &other
	w.open()
	if err := w.run(version("shop", "price", 1), "key/a", 1); casemate.CodeOf(err) != casemate.Exhausted {
		t.Errorf("%v", err)
	}
	if s := w.status("app/shop per day"); s.Stop == "" {
		t.Errorf("%+v", s)
	}
}

func TestTooManyCallersShareOneCounter(t *testing.T) {
	w := newWorld(t)
	w.purse.SetApps(t.Context(), map[string][]casemate.Budget{"shop": {{App: "shop", For: "caller/*", Per: "day", Amount: 1 << 40, Soft: true}}})
	v := version("shop", "price", 1)
	for range maxNames + 50 {
		if err := w.run(v, "jwt/"+casemate.NewID(), time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	of := w.purse.counters["shop: caller/* per day (soft)"]
	if len(of) != maxNames+1 || of[others] == nil || of[others].windows[0].spent != 50*w.records[0].Cost {
		t.Errorf("%d counters", len(of))
	}
}

// flaky is a store that refuses writes when told so.
type flaky struct {
	store.Store
	broken atomic.Bool
}

type flakyKV struct {
	store.KV
	f *flaky
}

func (f *flaky) KV(name string) (store.KV, error) {
	kv, err := f.Store.KV(name)
	return flakyKV{kv, f}, err
}

func (k flakyKV) Put(ctx context.Context, key string, value []byte, expect uint64) (uint64, error) {
	if k.f.broken.Load() {
		return 0, errors.New("the disk is full")
	}
	return k.KV.Put(ctx, key, value, expect)
}

func TestNoShareNoRun(t *testing.T) {
	w := newWorld(t)
	w.kill()
	f := &flaky{Store: w.store}
	w.store = f
	w.open()
	v := version("shop", "price", 1)
	w.set("app/shop", "day", 1000*worst(w.book, v))
	f.broken.Store(true)
	if err := w.run(v, "key/a", time.Millisecond); casemate.CodeOf(err) != casemate.Unavailable {
		t.Errorf("%v", err)
	}
	if s := w.status("app/shop per day"); s.Held != 0 {
		t.Errorf("%+v", s)
	}
	f.broken.Store(false)
	if err := w.run(v, "key/a", time.Millisecond); err != nil {
		t.Error(err)
	}
}

// TestNothingIsLostOrCountedTwice takes a node through random runs, kills, power cuts, changes of budgets and broken disks:
// what was ever started never comes to more than a hard budget, and after each start the counters are the sums of the log.
func TestNothingIsLostOrCountedTwice(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		defer w.kill()
		v := version("shop", "price", 3)
		one := worst(w.book, v)
		limit := one * casemate.Money(rapid.IntRange(1, 40).Draw(rt, "limit"))
		w.set("function/price", "total", limit)
		w.set("caller/*", "total", limit/2)
		var open []*event
		lossy := false
		started := casemate.Money(0) // what a watt meter would say
		for range rapid.IntRange(1, 80).Draw(rt, "steps") {
			switch k := rapid.IntRange(0, 20).Draw(rt, "step"); {
			case k < 9:
				e, err := w.hold(w.spend(v, rapid.SampledFrom([]string{"key/a", "key/b"}).Draw(rt, "caller")))
				if err == nil {
					open = append(open, e)
				}
			case k < 16 && len(open) > 0:
				i := rapid.IntRange(0, len(open)-1).Draw(rt, "which")
				started += w.end(open[i], time.Duration(rapid.IntRange(1, 1500).Draw(rt, "wall"))*time.Millisecond)
				open = append(open[:i], open[i+1:]...)
			case k == 16:
				if err := w.purse.save(t.Context(), false); err != nil {
					rt.Fatal(err)
				}
			case k == 17:
				w.kill()
				for _, e := range open {
					started += e.hold.Amount
					w.cut(e)
				}
				open = nil
				w.open()
				want := w.paid(nil)
				if s := w.status("function/price per total"); s.Spent != want && !lossy || s.Spent < want || s.Held != 0 {
					rt.Fatalf("after a kill %+v, the log says %s", s, want)
				}
			case k == 18: // the last records are lost, and so is what ran
				w.kill()
				for _, e := range open {
					started += e.hold.Amount
				}
				open = nil
				w.boot, lossy = w.boot+"+", true
				if saved := int(w.purse.tape.saved); saved > 0 {
					w.records = w.records[:max(len(w.records)-rapid.IntRange(0, 3).Draw(rt, "lost"), min(saved-1, len(w.records)))]
				}
				w.open()
			case k == 19 && len(open) == 0:
				if err := w.purse.Close(); err != nil {
					rt.Fatal(err)
				}
				w.open()
				if s := w.status("function/price per total"); s.Spent != w.paid(nil) && !lossy || s.Spent < w.paid(nil) {
					rt.Fatalf("after a close %+v, the log says %s", s, w.paid(nil))
				}
			case k == 20:
				if err := w.purse.Remove(t.Context(), "caller/* per total"); err != nil {
					rt.Fatal(err)
				}
				w.set("caller/*", "total", limit/2)
			}
			held := casemate.Money(0)
			for _, e := range open {
				held += e.hold.Amount
			}
			if started+held > limit {
				rt.Fatalf("%s of %s", started+held, limit)
			}
		}
	})
}

func TestUnsetBudgetsCostNoAllocation(t *testing.T) {
	w := newWorld(t)
	v := version("shop", "price", 1)
	s := w.spend(v, "key/a")
	r := casemate.Record{ID: s.Event, Chain: s.Chain, App: "shop", Usage: casemate.Usage{Wall: time.Millisecond, MemoryMB: 1}}
	seq := w.last() + 1
	each := func() {
		h, err := w.purse.Hold(t.Context(), noon, &s)
		if err != nil {
			t.Fatal(err)
		}
		w.purse.Settle(t.Context(), noon, h, &r, true)
		w.purse.Count(seq, &r)
		seq++
	}
	each()
	if n := testing.AllocsPerRun(1000, each); n != 0 {
		t.Errorf("%v allocations", n)
	}
	w.set("app/shop", "day", 1<<60)
	each()
	if n := testing.AllocsPerRun(1000, each); n > 0 {
		t.Errorf("%v allocations under a budget", n)
	}
}

func BenchmarkHoldAndSettle(b *testing.B) {
	for _, c := range []struct {
		name string
		sets []string
	}{{"unset", nil}, {"one budget", []string{"app/shop"}}, {"four budgets", []string{"app/shop", "caller/*", "function/price", "node"}}} {
		b.Run(c.name, func(b *testing.B) {
			w := newWorld(b)
			for _, x := range c.sets {
				w.set(x, "day", 1<<62)
			}
			v := version("shop", "price", 1)
			s := w.spend(v, "key/a")
			r := casemate.Record{ID: s.Event, Chain: s.Chain, App: "shop", Function: "price", Principal: "key/a", Opened: noon, Usage: casemate.Usage{Wall: time.Millisecond, MemoryMB: 1}}
			seq := w.last() + 1
			b.ReportAllocs()
			for b.Loop() {
				h, err := w.purse.Hold(b.Context(), noon, &s)
				if err != nil {
					b.Fatal(err)
				}
				r.Cost, _ = w.purse.Settle(b.Context(), noon, h, &r, true)
				w.purse.Count(seq, &r)
				seq++
			}
		})
	}
}

// TestEverythingAtOnce is for the race detector, and for locks that wait for each other.
func TestEverythingAtOnce(t *testing.T) {
	w := newWorld(t)
	v := version("shop", "price", 1)
	limit := 300 * worst(w.book, v)
	w.set("function/price", "total", limit)
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for k := range 60 {
				s := w.spend(v, "key/"+string(rune('a'+i)))
				s.Queue = k%7 == 0
				if e, err := w.hold(s); err == nil {
					w.end(e, time.Duration(k)*time.Millisecond)
				}
			}
		})
	}
	all.Go(func() {
		for i := range 20 {
			w.set("caller/*", "day", limit)
			if err := w.purse.SetApps(t.Context(), map[string][]casemate.Budget{"shop": {{App: "shop", For: "app/shop", Per: "day", Amount: limit + casemate.Money(i%2)}}}); err != nil {
				t.Error(err)
			}
			if err := errors.Join(w.purse.Tag(t.Context(), Tagging{"app/shop", []string{"a=" + string(rune('a'+i))}}), w.purse.save(t.Context(), i%2 == 0), w.purse.Remove(t.Context(), "caller/* per day")); err != nil {
				t.Error(err)
			}
			w.purse.List(noon)
			if _, err := w.purse.Bill(t.Context(), noon.AddDate(0, 0, -1), noon.AddDate(0, 0, 1), "tag"); err != nil {
				t.Error(err)
			}
		}
	})
	all.Wait()
	if s := w.status("function/price per total"); s.Spent != w.paid(nil) || s.Held != 0 || s.Spent > limit {
		t.Errorf("%+v, paid %s", s, w.paid(nil))
	}
	if s := w.status("shop: app/shop per day"); s.Spent != w.paid(nil) {
		t.Errorf("a budget that came later knows %s of %s", s.Spent, w.paid(nil))
	}
	if len(w.purse.claims) != 0 || len(w.purse.tape.early) != 0 {
		t.Errorf("%d claims and %d early records are left", len(w.purse.claims), len(w.purse.tape.early))
	}
}

// TestNamesOfYesterdayMakeRoom: ten thousand callers a day do not leave the next day's with one counter for all.
func TestNamesOfYesterdayMakeRoom(t *testing.T) {
	w := newWorld(t)
	v := version("shop", "price", 1)
	if err := w.purse.Set(t.Context(), casemate.Budget{For: "caller/*", Per: "day", Amount: 1 << 40, Soft: true}); err != nil {
		t.Fatal(err)
	}
	for range maxNames {
		if err := w.run(v, "jwt/"+casemate.NewID(), time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	w.now = w.now.AddDate(0, 0, 1)
	if err := w.run(v, "key/new", time.Millisecond); err != nil {
		t.Fatal(err)
	}
	of := w.purse.counters["caller/* per day (soft)"]
	if len(of) != 1 || of["key/new"] == nil {
		t.Errorf("%d counters, the new one %v", len(of), of["key/new"])
	}
	if err := w.purse.save(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	w.kill()
	w.open()
	if of := w.purse.counters["caller/* per day (soft)"]; len(of) != 1 {
		t.Errorf("%d counters after a restart", len(of))
	}
}
