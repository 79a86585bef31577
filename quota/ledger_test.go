package quota_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"casemate"
	"casemate/quota"
)

var t0 = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func rate(perSecond float64, burst int) casemate.Rate {
	return casemate.Rate{PerSecond: perSecond, Burst: burst}
}

// refused is the refusal of a demand, or nil when there was room.
func refused(t testing.TB, l *quota.Ledger, now time.Time, d casemate.Demand) (casemate.Reservation, *casemate.Error) {
	t.Helper()
	r, turn, err := l.Reserve(now, d)
	if turn != nil {
		l.Settle(now, r)
		r, err = casemate.Reservation{}, turn.Expired()
	}
	if err == nil {
		return r, nil
	}
	var e *casemate.Error
	if !errors.As(err, &e) || e.Code != casemate.Exhausted || e.Retry < 1 || e.Rule == "" || e.Hint == "" || r != (casemate.Reservation{}) {
		t.Fatalf("a refusal without code, wait, rule or hint, or with a reservation: %#v, %v", err, r)
	}
	return r, e
}

// model is the textbook token bucket, in units of a billionth of a token: exact where the rate divides 10^9.
type model struct {
	tokens, last, rate, burst int64
}

func (m *model) fill(now int64) {
	if now > m.last {
		m.tokens = min(m.tokens+(now-m.last)*m.rate, m.burst*1e9)
		m.last = now
	}
}

// Every answer, every wait and every rule is the one of three plain token buckets taken together or not at all, with a
// clock that jumps to and fro.
func TestReserveIsThreeTokenBuckets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := quota.New(quota.Config{})
		models := map[string]*model{}
		var clock, latest int64
		rates := rapid.SampledFrom([]int64{1, 2, 5, 10, 1000})
		sourceRate, routeRate, functionRate := rates.Draw(t, "source"), rates.Draw(t, "route"), rates.Draw(t, "function")
		burst := int64(rapid.IntRange(1, 4).Draw(t, "burst"))
		for step := range rapid.IntRange(1, 60).Draw(t, "steps") {
			clock += rapid.Int64Range(-2e8, 1e9).Draw(t, "step")
			if latest = max(latest, clock); step == 0 {
				latest = clock // time starts at the first demand
			}
			d := casemate.Demand{
				Source: rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "a"), SourceRate: rate(float64(sourceRate), int(burst)),
				Principal: rapid.SampledFrom([]string{"", "ann"}).Draw(t, "p"),
				Route:     rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "r"), RouteRate: rate(float64(routeRate), int(burst)),
				Function: rapid.SampledFrom([]string{"", "f"}).Draw(t, "f"), FunctionRate: rate(float64(functionRate), int(burst)),
				Concurrency: math.MaxInt32,
			}
			var wanted []*model
			want := func(name, key string, r int64) {
				if name == "" {
					return
				}
				if models[key] == nil {
					models[key] = &model{tokens: burst * 1e9, last: latest, rate: r, burst: burst}
				}
				models[key].fill(latest)
				wanted = append(wanted, models[key])
			}
			want(d.Source, "source "+d.Source, sourceRate)
			want(d.Route, "route "+d.Principal+" "+d.Route, routeRate)
			want(d.Function, "function "+d.Function, functionRate)
			var wait int64
			for _, m := range wanted {
				if m.tokens < 1e9 {
					wait = max(wait, (1e9-m.tokens+m.rate-1)/m.rate)
				}
			}
			r, _, err := l.Reserve(t0.Add(time.Duration(clock)), d)
			if (err == nil) != (wait == 0) {
				t.Fatalf("at %d: %v, and the model waits %d ns", clock, err, wait)
			}
			if err == nil {
				for _, m := range wanted {
					m.tokens -= 1e9
				}
				l.Settle(t0.Add(time.Duration(clock)), r)
			} else if got := casemate.AsError(err).Retry; int64(got) != (wait+1e9-1)/1e9 {
				t.Fatalf("retry after %d s, the model waits %d ns", got, wait)
			}
		}
	})
}

// Never more than rate x time + burst is granted, whatever the rate, also one that does not divide a second.
func TestNeverMoreThanTheRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := quota.New(quota.Config{})
		r := rate(rapid.Float64Range(0.0001, 1e6).Draw(t, "rate"), rapid.IntRange(1, 50).Draw(t, "burst"))
		var now, latest time.Duration
		granted := 0
		for ask := range rapid.IntRange(1, 300).Draw(t, "asks") {
			if ask > 0 {
				now += time.Duration(rapid.Int64Range(-5e5, 2e6).Draw(t, "step"))
			}
			latest = max(latest, now)
			if _, _, err := l.Reserve(t0.Add(now), casemate.Demand{Source: "s", SourceRate: r}); err == nil {
				granted++
			}
			if most := r.PerSecond*latest.Seconds() + float64(r.Burst); float64(granted) > most+1e-6 {
				t.Fatalf("%d granted after %v at %v", granted, latest, r)
			}
		}
	})
}

func TestRetryIsExact(t *testing.T) {
	l := quota.New(quota.Config{})
	d := casemate.Demand{Principal: "ann", Route: "POST /orders", RouteRate: rate(1.0/60, 2)}
	for range 2 {
		if _, e := refused(t, l, t0, d); e != nil {
			t.Fatal(e)
		}
	}
	_, e := refused(t, l, t0.Add(500*time.Millisecond), d)
	if e == nil || e.Retry != 60 || e.Rule != "rate of route POST /orders" {
		t.Fatalf("%+v", e)
	}
	if _, e = refused(t, l, t0.Add(59999999999), d); e == nil || e.Retry != 1 {
		t.Fatalf("a token came early: %+v", e)
	}
	if _, e = refused(t, l, t0.Add(time.Minute), d); e != nil {
		t.Fatalf("no token when it was promised: %v", e)
	}
}

// A limit that is zero, negative or no number is the default limit, never "unlimited".
func TestDefaults(t *testing.T) {
	standard := casemate.DefaultLimits()
	for _, r := range []casemate.Rate{{}, rate(-1, 5), rate(math.NaN(), 5), rate(math.Inf(1), 5), rate(0, 1e9)} {
		for _, d := range []casemate.Demand{
			{Source: "s", SourceRate: r}, {Route: "r", RouteRate: r}, {Function: "f", FunctionRate: r, Concurrency: 1e9},
		} {
			l := quota.New(quota.Config{NodeConcurrency: 1e9, SourceRate: r})
			n := 0
			for ; n < 10_000; n++ {
				if _, e := refused(t, l, t0, d); e != nil {
					break
				}
			}
			if n != standard.Rate.Burst {
				t.Errorf("%+v: %d at once, want %d", d, n, standard.Rate.Burst)
			}
		}
	}
	for _, c := range []int{0, -1, math.MinInt} {
		l := quota.New(quota.Config{NodeConcurrency: c})
		n := 0
		for ; n < 10_000; n++ {
			if _, e := refused(t, l, t0, casemate.Demand{Function: "f", Concurrency: c, FunctionRate: rate(1e6, 1e6)}); e != nil {
				break
			}
		}
		if n != standard.Concurrency {
			t.Errorf("concurrency %d: %d at once, want %d", c, n, standard.Concurrency)
		}
		l = quota.New(quota.Config{NodeConcurrency: c})
		for n = 0; n < 10_000; n++ {
			if _, e := refused(t, l, t0, casemate.Demand{Function: "f", Concurrency: 1e6, FunctionRate: rate(1e6, 1e6)}); e != nil {
				break
			}
		}
		if n != 256 {
			t.Errorf("node concurrency %d: %d at once", c, n)
		}
	}
}

func TestConcurrencyRulesAndSettle(t *testing.T) {
	l := quota.New(quota.Config{NodeConcurrency: 3})
	price := casemate.Demand{Function: "arn:aws:lambda:us-east-1:000000000000:function:price", Concurrency: 2}
	other := casemate.Demand{Function: "arn:aws:lambda:us-east-1:000000000000:function:other", Concurrency: 2}
	first, _ := refused(t, l, t0, price)
	second, _ := refused(t, l, t0, price)
	if _, e := refused(t, l, t0, price); e == nil || e.Rule != "concurrency of function price" {
		t.Fatalf("%+v", e)
	}
	third, _ := refused(t, l, t0, other)
	if _, e := refused(t, l, t0, other); e == nil || e.Rule != "concurrency of the node" {
		t.Fatalf("%+v", e)
	}
	l.Settle(t0, first)
	l.Settle(t0, first)
	l.Settle(t0, casemate.Reservation{})
	l.Settle(t0, casemate.Reservation{Function: price.Function, Ticket: third.Ticket})
	l.Settle(t0, casemate.Reservation{Function: "unknown", Ticket: 999})
	if l.Running() != 2 {
		t.Fatalf("%d runs after settling one in odd ways", l.Running())
	}
	if _, e := refused(t, l, t0, price); e != nil {
		t.Fatalf("a settled place is not given again: %v", e)
	}
	if _, e := refused(t, l, t0, price); e == nil {
		t.Fatal("a second settle made room")
	}
	l.Settle(t0, second)
	l.Settle(t0, third)
	if l.Running() != 1 {
		t.Fatalf("%d runs, want 1", l.Running())
	}
}

// A demand refused by one bucket spends nothing of the others.
func TestAllOrNothing(t *testing.T) {
	once := rate(0.001, 1)
	full := casemate.Demand{Source: "s", SourceRate: once, Principal: "p", Route: "r", RouteRate: once, Function: "f", FunctionRate: once, Concurrency: 1}
	for name, c := range map[string]struct {
		spend casemate.Demand
		left  []casemate.Demand
	}{
		"source":   {casemate.Demand{Source: "s", SourceRate: once}, []casemate.Demand{{Principal: "p", Route: "r", RouteRate: once}, {Function: "f", FunctionRate: once}}},
		"route":    {casemate.Demand{Principal: "p", Route: "r", RouteRate: once}, []casemate.Demand{{Source: "s", SourceRate: once}, {Function: "f", FunctionRate: once}}},
		"function": {casemate.Demand{Function: "f", FunctionRate: once}, []casemate.Demand{{Source: "s", SourceRate: once}, {Principal: "p", Route: "r", RouteRate: once}}},
	} {
		l := quota.New(quota.Config{})
		r, e := refused(t, l, t0, c.spend)
		if e != nil {
			t.Fatal(e)
		}
		l.Settle(t0, r)
		if _, e := refused(t, l, t0, full); e == nil || !strings.HasPrefix(e.Rule, "rate of "+name) {
			t.Fatalf("%s: %+v", name, e)
		}
		for _, d := range c.left {
			if _, e := refused(t, l, t0, d); e != nil {
				t.Errorf("%s was refused, yet: %v", name, e)
			}
		}
	}
	l := quota.New(quota.Config{NodeConcurrency: 1})
	held, _ := refused(t, l, t0, casemate.Demand{Function: "g"})
	full.Principal = "" // who has a name may wait, which is another test
	if _, e := refused(t, l, t0, full); e == nil || e.Rule != "concurrency of the node" {
		t.Fatalf("%+v", e)
	}
	l.Settle(t0, held)
	if _, e := refused(t, l, t0, full); e != nil {
		t.Errorf("the node was full, yet: %v", e)
	}
}

// A clock that goes backwards, by a step or for ever, mints nothing and breaks nothing.
func TestClockBackwards(t *testing.T) {
	l := quota.New(quota.Config{})
	d := casemate.Demand{Source: "s", SourceRate: rate(1, 3)}
	granted := 0
	// The first time seen is 1 January of year 1; the step to t0 is the only forward one and may fill the bucket once more.
	const most = 3 + 3
	for i := range 10_000 {
		now := t0.Add(-time.Duration(i) * time.Hour)
		if i%2 == 1 {
			now = t0
		}
		if i%7 == 0 {
			now = time.Time{}
		}
		if _, e := refused(t, l, now, d); e == nil {
			granted++
		}
	}
	if granted > most {
		t.Fatalf("%d granted", granted)
	}
}

// A flood of new keys finds room only as long as there is some; it never pushes a spent bucket out for a full one.
func TestFloodOfKeys(t *testing.T) {
	l := quota.New(quota.Config{MaxKeys: 64})
	once := rate(0.001, 1)
	victim := casemate.Demand{Source: "victim", SourceRate: once}
	if _, e := refused(t, l, t0, victim); e != nil {
		t.Fatal(e)
	}
	granted := 0
	for i := range 50_000 {
		if _, e := refused(t, l, t0, casemate.Demand{Source: fmt.Sprint("flood ", i), SourceRate: once}); e == nil {
			granted++
		}
	}
	if granted > 64 {
		t.Errorf("%d of the flood got through 64 buckets and a shared one", granted)
	}
	if _, e := refused(t, l, t0, victim); e == nil {
		t.Error("the flood refilled the victim's bucket")
	}
	later := t0.Add(2000 * time.Second)
	if _, e := refused(t, l, later, casemate.Demand{Source: "new", SourceRate: once}); e != nil {
		t.Errorf("full buckets are not given up: %v", e)
	}
}

// Runs are counted also where their function shares a bucket with others, and after it gets one of its own.
func TestFloodOfFunctions(t *testing.T) {
	l := quota.New(quota.Config{MaxKeys: 16, NodeConcurrency: 1000})
	var held []casemate.Reservation
	for i := range 200 {
		if r, e := refused(t, l, t0, casemate.Demand{Function: fmt.Sprint("f", i), Concurrency: 2}); e == nil {
			held = append(held, r)
		}
	}
	if l.Running() != len(held) || len(held) > 18 {
		t.Fatalf("%d run, %d held", l.Running(), len(held))
	}
	for _, r := range held {
		l.Settle(t0, r)
		l.Settle(t0, r)
	}
	if l.Running() != 0 {
		t.Fatalf("%d still run", l.Running())
	}
}

// A function with a run in flight keeps its place in the table, however idle its rate.
func TestRunsAreNotForgotten(t *testing.T) {
	l := quota.New(quota.Config{MaxKeys: 16})
	long := casemate.Demand{Function: "long", Concurrency: 1}
	held, e := refused(t, l, t0, long)
	if e != nil {
		t.Fatal(e)
	}
	later := t0.Add(time.Hour)
	for i := range 1000 {
		r, _ := refused(t, l, later.Add(time.Duration(i)*time.Second), casemate.Demand{Function: fmt.Sprint("f", i), Concurrency: 1000})
		l.Settle(later, r)
	}
	if _, e := refused(t, l, later.Add(time.Hour), long); e == nil || e.Rule != "concurrency of function long" {
		t.Fatalf("the run was forgotten: %+v", e)
	}
	l.Settle(later, held)
	if _, e := refused(t, l, later.Add(time.Hour), long); e != nil || l.Running() != 1 {
		t.Fatalf("%v, %d run", e, l.Running())
	}
}

func TestConcurrencyUnderRace(t *testing.T) {
	const most, node = 4, 6
	l := quota.New(quota.Config{NodeConcurrency: node})
	var running [2]atomic.Int64
	var total, granted atomic.Int64
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			f := g % 2
			d := casemate.Demand{
				Source: fmt.Sprint(g), Principal: fmt.Sprint(g % 3), Route: "r", RouteRate: rate(1e6, 1e6), SourceRate: rate(1e6, 1e6),
				Function: fmt.Sprint("f", f), FunctionRate: rate(1e6, 1e6), Concurrency: most,
			}
			for i := range 2000 {
				r, turn, err := l.Reserve(t0.Add(time.Duration(i)*time.Millisecond), d)
				if err != nil {
					continue
				}
				if turn != nil {
					l.Settle(t0, r)
					continue
				}
				granted.Add(1)
				if n := running[f].Add(1); n > most {
					t.Errorf("%d runs of one function", n)
				}
				if n := total.Add(1); n > node {
					t.Errorf("%d runs on the node", n)
				}
				total.Add(-1)
				running[f].Add(-1)
				l.Settle(t0, r)
				l.Settle(t0, r)
			}
		})
	}
	wg.Wait()
	if l.Running() != 0 || granted.Load() == 0 {
		t.Fatalf("%d still run, %d were granted", l.Running(), granted.Load())
	}
}

func BenchmarkReserve(b *testing.B) {
	l := quota.New(quota.Config{})
	d := casemate.Demand{
		Source: "198.51.100.7", SourceRate: rate(1e6, 1e6), Principal: "key/ck_1", Route: "orders POST /orders", RouteRate: rate(1e6, 1e6),
		Function: "arn:aws:lambda:us-east-1:000000000000:function:price", FunctionRate: rate(1e6, 1e6), Concurrency: 10,
	}
	b.ReportAllocs()
	for i := range b.N {
		r, _, err := l.Reserve(t0.Add(time.Duration(i)*time.Microsecond), d)
		if err != nil {
			b.Fatal(err)
		}
		l.Settle(t0, r)
	}
}
