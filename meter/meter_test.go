package meter

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"casemate"
	"casemate/store"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// ledger is an audit log as far as the meter sees one.
type ledger struct {
	mu      sync.Mutex
	records []casemate.Record
}

func (l *ledger) append(r casemate.Record) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records = append(l.records, r)
	return uint64(len(l.records))
}

func (l *ledger) read(ctx context.Context, from uint64, do func(uint64, *casemate.Record) error) error {
	l.mu.Lock()
	rs := l.records[min(int(from)-1, len(l.records)):]
	l.mu.Unlock()
	for i := range rs {
		if err := do(from+uint64(i), &rs[i]); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func record(i int) casemate.Record {
	r := casemate.Record{
		Function: fmt.Sprint("f", i%3), Principal: fmt.Sprint("key/", i%5), Closed: noon.Add(time.Duration(i) * time.Hour),
		Usage:   casemate.Usage{Wall: time.Duration(i) * time.Millisecond, CPU: time.Duration(i) * time.Microsecond, MemoryMB: 128, In: 10, Out: int64(i), Cold: i%7 == 0},
		Outcome: casemate.Outcome{OK: true, Status: "answered"},
	}
	switch i % 11 {
	case 1:
		r.Outcome = casemate.Outcome{Code: casemate.Forbidden, Status: "refused"}
	case 2:
		r.Outcome = casemate.Outcome{Code: casemate.FunctionFailed, Status: "failed", Failure: casemate.FailureExit}
	case 3:
		r.Outcome = casemate.Outcome{OK: true, Status: "queued"}
	case 4:
		r.Outcome = casemate.Outcome{Code: casemate.Unavailable, Status: "interrupted"}
	case 5:
		r.Source = sourceNode
	}
	return r
}

func open(t *testing.T, l *ledger, s store.Store) *Meter {
	t.Helper()
	m, err := Open(t.Context(), Config{Store: s, Read: l.read, Interval: time.Hour, Clock: func() time.Time { return noon.AddDate(0, 0, 30) }})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func everything(t *testing.T, m *Meter) []Row {
	t.Helper()
	rows, err := m.Usage(t.Context(), Filter{From: noon.AddDate(0, 0, -1), Until: noon.AddDate(0, 0, 90), PerDay: true, PerFunction: true, PerCaller: true})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func mustEqualTheLog(t *testing.T, m *Meter, l *ledger) {
	t.Helper()
	want, err := Recompute(t.Context(), l.read)
	if err != nil {
		t.Fatal(err)
	}
	got := everything(t, m)
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("row %d differs from the log:\n got %+v\nwant %+v", i, got[i], want[i])
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d rows, the log gives %d", len(got), len(want))
	}
}

func TestFigures(t *testing.T) {
	l, s := &ledger{}, store.Memory(time.Now)
	m := open(t, l, s)
	count := func(r casemate.Record) { m.Count(l.append(r), &r) }
	base := casemate.Record{Function: "orders", Principal: "key/a", Closed: noon}
	run := base
	run.Usage = casemate.Usage{Wall: 2 * time.Second, CPU: 30 * time.Millisecond, MemoryMB: 512, In: 5, Out: 7, Cold: true}
	run.Outcome = casemate.Outcome{OK: true, Status: "answered"}
	failed, refused, queued, nobody := run, base, base, base
	failed.Outcome = casemate.Outcome{Status: "failed"}
	failed.Usage.Cold = false
	refused.Outcome = casemate.Outcome{Status: "refused"}
	queued.Outcome = casemate.Outcome{OK: true, Status: "queued"}
	nobody.Principal, nobody.Outcome.Status = "", "refused"
	for _, r := range []casemate.Record{run, run, failed, refused, queued, nobody} {
		count(r)
	}
	rows, err := m.Usage(t.Context(), Filter{From: noon, Until: noon, Function: "orders", PerCaller: true})
	want := []Row{
		{Principal: "anonymous", Counts: Counts{Refusals: 1}},
		{Principal: "key/a", Counts: Counts{Runs: 3, Failures: 1, Refusals: 1, Queued: 1, Cold: 2, CPU: 90 * time.Millisecond,
			Wall: 6 * time.Second, MBMicros: 512 * 6e6, In: 15, Out: 21}},
	}
	if err != nil || !reflect.DeepEqual(rows, want) {
		t.Fatalf("%+v, %v", rows, err)
	}
	if gb, cpu := rows[1].GBSeconds(), rows[1].CPUMillis(); gb != 3 || cpu != 90 {
		t.Errorf("%v GB-s, %v CPU-ms", gb, cpu)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestWhateverTheOrderTheFiguresAreThoseOfTheLog(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l, s := &ledger{}, store.Memory(time.Now)
		m := open(t, l, s)
		n := rapid.IntRange(0, 200).Draw(rt, "records")
		var offered []uint64
		for i := range n {
			seq := l.append(record(i))
			for range rapid.IntRange(0, 2).Draw(rt, "times offered") { // not at all, once, twice
				offered = append(offered, seq)
			}
		}
		rand.New(rand.NewPCG(1, uint64(n))).Shuffle(len(offered), func(i, j int) { offered[i], offered[j] = offered[j], offered[i] })
		for _, seq := range offered {
			m.Count(seq, &l.records[seq-1])
			if rapid.IntRange(0, 20).Draw(rt, "settle") == 0 {
				if err := m.settle(t.Context()); err != nil {
					rt.Fatal(err)
				}
			}
		}
		mustEqualTheLog(t, m, l)
		if err := m.Close(); err != nil {
			rt.Fatal(err)
		}
		m = open(t, l, s)
		mustEqualTheLog(t, m, l)
		if err := m.Close(); err != nil {
			rt.Fatal(err)
		}
	})
}

// flaky is a store that dies in the middle of a write, again and again.
type flaky struct {
	store.Store
	left int
	mu   sync.Mutex
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
	k.f.mu.Lock()
	k.f.left--
	dead := k.f.left < 0
	k.f.mu.Unlock()
	if dead {
		return 0, errors.New("killed")
	}
	return k.KV.Put(ctx, key, value, expect)
}

func TestKilledMeterCatchesUpFromTheLog(t *testing.T) {
	l, s := &ledger{}, store.Memory(time.Now)
	for round := range 60 {
		f := &flaky{Store: s, left: 1 << 30}
		m := open(t, l, s)
		m.keeper.Stop() // the process dies: nothing below is ever closed
		m.kv = flakyKV{m.kv, f}
		for i := range 30 {
			r := record(round*30 + i)
			seq := l.append(r)
			if i%4 != 0 { // some die between the append and the count
				m.Count(seq, &r)
			}
		}
		f.left = round // the store takes a few more rows, of some twenty
		err := m.settle(t.Context())
		if died := f.left < 0; died != (err != nil) {
			t.Fatalf("round %d: %v", round, err)
		}
	}
	m := open(t, l, s)
	mustEqualTheLog(t, m, l)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFloodOfCallersIsBounded(t *testing.T) {
	l, s := &ledger{}, store.Memory(time.Now)
	m := open(t, l, s)
	for i := range maxRows + 500 {
		r := casemate.Record{Function: "f", Principal: fmt.Sprint("jwt/", i), Closed: noon, Outcome: casemate.Outcome{OK: true, Status: "answered"}}
		m.Count(l.append(r), &r)
	}
	rows := everything(t, m)
	if len(rows) != maxRows+1 || rows[0].Principal != Others || rows[0].Runs != 500 {
		t.Fatalf("%d rows, first %+v", len(rows), rows[0])
	}
	mustEqualTheLog(t, m, l)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFilters(t *testing.T) {
	l, s := &ledger{}, store.Memory(time.Now)
	for i := range 200 {
		l.append(record(i))
	}
	m := open(t, l, s)
	sum := func(f Filter) (n int64, rows int) {
		rs, err := m.Usage(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rs {
			n += r.Runs + r.Refusals + r.Queued
		}
		return n, len(rs)
	}
	all := Filter{From: noon.AddDate(0, 0, -1), Until: noon.AddDate(0, 0, 20)}
	perCaller, perDay, one, oneDay := all, all, all, all
	perCaller.PerCaller, perDay.PerDay, one.Principal = true, true, "key/3"
	oneDay.From, oneDay.Until = noon.AddDate(0, 0, 1), noon.AddDate(0, 0, 1)
	for name, c := range map[string]struct {
		f    Filter
		n    int64
		rows int
	}{
		"by function": {all, 182, 3}, "by caller": {perCaller, 182, 5}, "by day": {perDay, 182, 9},
		"one caller": {one, 37, 3}, "one day": {oneDay, 22, 3}, "today by default": {Filter{}, 0, 0},
	} {
		if n, rows := sum(c.f); n != c.n || rows != c.rows {
			t.Errorf("%s: %d events in %d rows, want %d in %d", name, n, rows, c.n, c.rows)
		}
	}
	for _, f := range []Filter{{From: noon, Until: noon.AddDate(0, 0, -1)}, {From: noon.AddDate(-5, 0, 0), Until: noon}} {
		if _, err := m.Usage(t.Context(), f); err == nil || casemate.CodeOf(err) != casemate.Invalid {
			t.Errorf("%v to %v: %v", f.From, f.Until, err)
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestDamageIsNotCountedOver(t *testing.T) {
	for key, value := range map[string]string{keyCounted: "many", noon.Format(dayForm) + "/00": "{}"} {
		s := store.Memory(time.Now)
		kv, err := s.KV(bucket)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := kv.Put(t.Context(), key, []byte(value), store.AnyRevision); err != nil {
			t.Fatal(err)
		}
		l := &ledger{}
		l.append(record(0))
		if _, err := Open(t.Context(), Config{Store: s, Read: l.read}); err == nil {
			t.Errorf("opened over %s = %s", key, value)
		}
	}
}

func BenchmarkCount(b *testing.B) {
	l := &ledger{}
	m, err := Open(b.Context(), Config{Store: store.Memory(time.Now), Read: l.read, Interval: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	m.table.loaded(noon.Format(dayForm), nil)
	r := record(6)
	r.Closed = noon
	b.ReportAllocs()
	seq := uint64(0)
	for b.Loop() {
		seq++
		m.Count(seq, &r)
	}
	if m.table.next() != seq+1 {
		b.Fatal("records were left out")
	}
}

// What runs did outside is counted from their effects; what was refused counts apart.
func TestOutsideIsCounted(t *testing.T) {
	r := casemate.Record{Source: casemate.SourceHTTP, Function: "f", Outcome: casemate.Outcome{OK: true, Status: "answered"}, Effects: []casemate.Effect{
		{Kind: casemate.EffectConnect, Target: "a.example:443", Verdict: casemate.Allowed, Count: 2, In: 10, Out: 3},
		{Kind: casemate.EffectConnect, Target: "b.example:443", Verdict: casemate.Allowed, Count: 1, In: 1, Out: 1},
		{Kind: casemate.EffectService, Target: "sts:GetCallerIdentity", Verdict: casemate.Allowed, In: 100},
		{Kind: casemate.EffectConnect, Target: "c.example:443", Count: 3}, {Kind: casemate.EffectResolve, Target: "d.example"}}}
	d := delta(&r)
	if d.Connections != 3 || d.Received != 11 || d.Sent != 4 || d.Blocked != 4 {
		t.Errorf("%+v", d.Counts)
	}
	sum := d.Counts
	sum.add(&d.Counts)
	if sum.Connections != 6 || sum.Received != 22 || sum.Sent != 8 || sum.Blocked != 8 {
		t.Errorf("%+v", sum)
	}
}

// TestDayIsThereBeforeItsRecords: a day's first records are counted as they come, and not read from the log again.
func TestDayIsThereBeforeItsRecords(t *testing.T) {
	l, now := &ledger{}, noon.Add(11*time.Hour+50*time.Minute)
	m, err := Open(t.Context(), Config{Store: store.Memory(time.Now), Read: l.read, Interval: time.Hour, Clock: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 * maxEarly {
		r := casemate.Record{Function: "f", Closed: now.Add(time.Duration(i%2) * time.Hour), Outcome: casemate.Outcome{OK: true, Status: "answered"}}
		m.Count(l.append(r), &r)
	}
	if n := m.table.next(); n != 3*maxEarly+1 {
		t.Errorf("record %d would be read from the log", n)
	}
	mustEqualTheLog(t, m, l)
}
