package budget

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"casemate"
	"casemate/meter/price"
	"casemate/store"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// oneEach is a book where a run costs its configured megabytes x milliseconds in whole units, and nothing else.
const oneEach = "currency: USD\ngb_seconds: {price: \"1024\"}\n"

// world is a node as far as a purse sees one: a store, an audit log, a clock.
type world struct {
	t     testing.TB
	store store.Store
	book  *price.Book
	boot  string
	purse *Purse

	mu      sync.Mutex
	now     time.Time
	records []casemate.Record
	events  int
}

func newWorld(t testing.TB) *world {
	b, err := price.Parse([]byte(oneEach))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, store: store.Memory(time.Now), book: b, boot: "one", now: noon}
	w.open()
	t.Cleanup(func() { w.kill() })
	return w
}

func (w *world) clock() time.Time { w.mu.Lock(); defer w.mu.Unlock(); return w.now }

func (w *world) read(ctx context.Context, from uint64, do func(uint64, *casemate.Record) error) error {
	w.mu.Lock()
	rs := w.records[min(int(from)-1, len(w.records)):]
	w.mu.Unlock()
	for i := range rs {
		if err := do(from+uint64(i), &rs[i]); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (w *world) last() uint64 { w.mu.Lock(); defer w.mu.Unlock(); return uint64(len(w.records)) }

func (w *world) open() {
	w.t.Helper()
	p, err := Open(context.Background(), Config{Store: w.store, Read: w.read, Last: w.last, Book: w.book, Cores: 1, Boot: w.boot, Every: time.Hour, Clock: w.clock,
		Outside: func(*casemate.Version) bool { return false }})
	if err != nil {
		w.t.Fatal(err)
	}
	w.purse = p
}

// kill ends the process: nothing is closed.
func (w *world) kill() { w.purse.cancel(); w.purse.work.Wait() }

// version is one whose run costs at most `most` units: its timeout is a millisecond and the second that a run may be late.
func version(app, function string, most int) *casemate.Version {
	return &casemate.Version{ID: fmt.Sprint(app, function, most), App: app, Function: function, Account: "000000000000", Runtime: "wasm",
		Limits: casemate.Limits{Timeout: time.Millisecond, MemoryMB: most, Response: 1}}
}

// worst is what a version's run holds: its megabytes for 1001 ms, at a unit for a thousandth of 1000 x 1.024.
func worst(b *price.Book, v *casemate.Version) casemate.Money {
	m, err := b.Worst(v.Limits, 1, false)
	if err != nil {
		return -1
	}
	return m
}

type event struct {
	spend casemate.Spend
	hold  casemate.Hold
	rec   casemate.Record
}

func (w *world) spend(v *casemate.Version, caller string) casemate.Spend {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events++
	id := fmt.Sprint("e", w.events)
	return casemate.Spend{Event: id, Chain: id, Root: true, Opened: w.now, Source: casemate.SourceHTTP, App: v.App, Function: v.Function, Account: v.Account, Principal: caller, Role: "clerk", Version: v}
}

func (w *world) hold(s casemate.Spend) (*event, error) {
	h, err := w.purse.Hold(context.Background(), w.clock(), &s)
	e := &event{spend: s, hold: h}
	e.rec = casemate.Record{ID: s.Event, Event: s.Event, Chain: s.Chain, Source: s.Source, Opened: s.Opened, App: s.App, Function: s.Function, Principal: s.Principal, Role: s.Role, Key: s.Key,
		Resource: "arn:aws:lambda:us-east-1:" + s.Account + ":function:" + s.Function, Held: h.Amount, Book: h.Book, Tags: h.Tags}
	return e, err
}

// end runs the event for so long, settles it and writes its record.
func (w *world) end(e *event, wall time.Duration) casemate.Money {
	e.rec.Outcome = casemate.Outcome{OK: true, Status: "answered"}
	if e.spend.Version != nil && !e.spend.Queue {
		e.rec.Usage = casemate.Usage{Wall: wall, MemoryMB: e.spend.Version.Limits.MemoryMB}
	}
	if e.spend.Queue {
		e.rec.Outcome.Status = "queued"
	}
	e.hold.Done = true
	e.rec.Cost, e.rec.Book = w.purse.Settle(context.Background(), w.clock(), e.hold, &e.rec, true)
	w.purse.Count(w.append(e.rec), &e.rec)
	return e.rec.Cost
}

func (w *world) append(r casemate.Record) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.records = append(w.records, r)
	return uint64(len(w.records))
}

// cut is what the audit log makes of an event that the node's end interrupted.
func (w *world) cut(e *event) {
	r := e.rec
	r.Outcome = casemate.Outcome{Code: casemate.Unavailable, Status: "interrupted"}
	r.Cost = r.Held
	if !e.hold.Keep {
		r.Held, r.Cost, r.Book = 0, 0, ""
	}
	w.append(r)
}

func (w *world) run(v *casemate.Version, caller string, wall time.Duration) error {
	e, err := w.hold(w.spend(v, caller))
	if err == nil {
		w.end(e, wall)
	}
	return err
}

func (w *world) set(text, per string, amount casemate.Money) {
	w.t.Helper()
	if err := w.purse.Set(context.Background(), casemate.Budget{For: text, Per: per, Amount: amount}); err != nil {
		w.t.Fatal(err)
	}
}

// paid is the sum of the records that a budget covers.
func (w *world) paid(of func(r *casemate.Record) bool) (sum casemate.Money) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.records {
		if of == nil || of(&w.records[i]) {
			sum += w.records[i].Cost
		}
	}
	return sum
}

func (w *world) status(id string) Status {
	w.t.Helper()
	for _, s := range w.purse.List(w.clock()) {
		if s.ID == id {
			return s
		}
	}
	w.t.Fatalf("no budget %q", id)
	return Status{}
}
