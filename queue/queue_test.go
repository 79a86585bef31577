package queue

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"casemate"
	"casemate/internal/casetest/storetest"
	"casemate/store"
)

// desk is a room on a store in a folder, with a clock that the test moves.
type desk struct {
	*Room
	t     testing.TB
	dir   string
	clock *storetest.Clock
	node  *store.Node
}

func newDesk(t testing.TB) *desk {
	d := &desk{t: t, dir: t.TempDir(), clock: storetest.NewClock()}
	d.open()
	t.Cleanup(func() { d.close() })
	return d
}

func (d *desk) open() {
	d.t.Helper()
	n, err := store.Open(d.t.Context(), store.Config{Dir: d.dir, Clock: d.clock.Now})
	if err != nil {
		d.t.Fatal(err)
	}
	r, err := Open(d.t.Context(), Config{Store: n, Place: casemate.DefaultPlace, Clock: d.clock.Now})
	if err != nil {
		d.t.Fatal(err)
	}
	d.node, d.Room = n, r
}

func (d *desk) close() {
	d.t.Helper()
	if err := d.Room.Close(); err != nil {
		d.t.Error(err)
	}
	if err := d.node.Close(); err != nil {
		d.t.Error(err)
	}
}

func (d *desk) reopen() { d.close(); d.open() }

func (d *desk) make(name string, change func(s *Spec)) *Queue {
	d.t.Helper()
	s := Defaults()
	s.FIFO = len(name) > 5 && name[len(name)-5:] == ".fifo"
	if change != nil {
		change(&s)
	}
	q, err := d.Create(context.Background(), name, s, nil, "")
	if err != nil {
		d.t.Fatal(err)
	}
	return q
}

func (d *desk) queue(name string) *Queue {
	d.t.Helper()
	q, err := d.Queue(name)
	if err != nil {
		d.t.Fatal(err)
	}
	return q
}

func send(t testing.TB, q *Queue, list ...Outgoing) []Sent {
	t.Helper()
	sent, errs := q.Send(context.Background(), list)
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	return sent
}

func receive(t testing.TB, q *Queue, most int) []Message {
	t.Helper()
	list, err := q.Receive(context.Background(), Ask{Most: most})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func bodies(list []Message) string {
	s := ""
	for _, m := range list {
		s += m.Body + " "
	}
	return s
}

func remove(t testing.TB, q *Queue, list ...Message) {
	t.Helper()
	for _, m := range list {
		if errs := q.Delete(context.Background(), []string{m.Handle}); errs[0] != nil {
			t.Fatal(errs[0])
		}
	}
}

func text1(body string) Outgoing { return Outgoing{Body: body} }

func TestAMessageComesBackUntilItIsDeleted(t *testing.T) {
	d := newDesk(t)
	q := d.make("jobs", nil)
	send(t, q, text1("a"))
	one := receive(t, q, 10)
	if bodies(one) != "a " || one[0].Receives != 1 {
		t.Fatalf("first: %+v", one)
	}
	if two := receive(t, q, 10); len(two) != 0 {
		t.Fatalf("in flight, and handed out: %+v", two)
	}
	d.clock.Advance(30*time.Second + 1)
	two := receive(t, q, 10)
	if bodies(two) != "a " || two[0].Receives != 2 || two[0].Handle == one[0].Handle || !two[0].First.Equal(one[0].First) {
		t.Fatalf("second: %+v", two)
	}
	remove(t, q, one...) // an old handle: somebody else has it now
	d.clock.Advance(31 * time.Second)
	three := receive(t, q, 10)
	if len(three) != 1 {
		t.Fatal("deleted with the handle of an earlier receive")
	}
	remove(t, q, three...)
	remove(t, q, three...) // twice is no error
	d.clock.Advance(time.Hour)
	if left := receive(t, q, 10); len(left) != 0 {
		t.Fatalf("deleted, and back: %+v", left)
	}
	if c := q.Counts(); c != (Counts{}) {
		t.Errorf("counts of an empty queue: %+v", c)
	}
}

func TestHandlesAreBoundToTheirReceive(t *testing.T) {
	d := newDesk(t)
	q, other := d.make("jobs", nil), d.make("other", nil)
	send(t, q, text1("a"))
	m := receive(t, q, 1)[0]
	forged := handle("jobs", m.num, 1, [16]byte{})
	for name, c := range map[string]struct {
		q *Queue
		h string
	}{"garbage": {q, "xyz"}, "forged": {q, forged}, "cut": {q, m.Handle[:70]}, "flipped": {q, m.Handle[:71] + string(rune(m.Handle[71]^1))}} {
		if err := c.q.Delete(t.Context(), []string{c.h})[0]; casemate.AsError(err) == nil || casemate.AsError(err).AWS != "ReceiptHandleIsInvalid" {
			t.Errorf("%s: %v", name, err)
		}
	}
	send(t, other, text1("b"))
	_ = other.Delete(t.Context(), []string{m.Handle})
	if c := other.Counts(); c.Visible != 1 {
		t.Error("the handle of one queue deleted from another")
	}
	if c := q.Counts(); c.InFlight != 1 {
		t.Errorf("a forged handle did something: %+v", c)
	}
}

func TestEverythingSurvivesAReopen(t *testing.T) {
	d := newDesk(t)
	q := d.make("jobs", func(s *Spec) { s.Visibility = time.Minute })
	for i := range 5 {
		send(t, q, Outgoing{Body: strconv.Itoa(i), Attributes: map[string]Attribute{"n": {DataType: "Number", Text: "1"}}, Trace: "Root=1", Sender: "AIDA"})
	}
	got := receive(t, q, 3)
	remove(t, q, got[0])
	if err := q.Change(t.Context(), []Hide{{Handle: got[1].Handle, For: 2 * time.Hour}})[0]; err != nil {
		t.Fatal(err)
	}
	delay := 10 * time.Minute
	send(t, q, Outgoing{Body: "late", Delay: &delay})
	before := q.Counts()
	d.reopen()
	q = d.queue("jobs")
	if after := q.Counts(); after != before || after != (Counts{Visible: 2, InFlight: 2, Delayed: 1, Bytes: before.Bytes}) {
		t.Fatalf("before %+v, after %+v", before, after)
	}
	remove(t, q, got[1]) // the handle of before
	d.clock.Advance(time.Minute + 1)
	list := receive(t, q, 10)
	if len(list) != 3 || list[0].Body != "2" || list[0].Receives != 2 || list[0].Attributes["n"].Text != "1" || list[0].Trace != "Root=1" || list[0].Sender != "AIDA" {
		t.Fatalf("%+v", list)
	}
	d.clock.Advance(delay)
	if list := receive(t, q, 10); len(list) != 4 {
		t.Fatalf("%s", bodies(list))
	}
}

func TestFIFOKeepsTheOrderOfEachGroup(t *testing.T) {
	d := newDesk(t)
	q := d.make("jobs.fifo", nil)
	for i := range 4 {
		for _, g := range []string{"a", "b"} {
			send(t, q, Outgoing{Body: g + strconv.Itoa(i), Group: g, Dedup: fmt.Sprint(g, i)})
		}
	}
	one := receive(t, q, 2)
	if bodies(one) != "a0 a1 " {
		t.Fatalf("first: %s", bodies(one))
	}
	two := receive(t, q, 10)
	if bodies(two) != "b0 b1 b2 b3 " {
		t.Fatalf("a group in flight is blocked: %s", bodies(two))
	}
	remove(t, q, one[0])
	if list := receive(t, q, 10); len(list) != 0 {
		t.Fatalf("a group with one in flight: %s", bodies(list))
	}
	if err := q.Change(t.Context(), []Hide{{Handle: one[1].Handle}})[0]; err != nil {
		t.Fatal(err)
	}
	three := receive(t, q, 10)
	if bodies(three) != "a1 a2 a3 " {
		t.Fatalf("after one came back: %s", bodies(three))
	}
	if three[0].Sequence >= three[1].Sequence || len(three[0].Sequence) != 20 {
		t.Errorf("sequence numbers %s, %s", three[0].Sequence, three[1].Sequence)
	}
	d.clock.Advance(31 * time.Second)
	if err := q.Delete(t.Context(), []string{three[0].Handle})[0]; casemate.CodeOf(err) != casemate.Invalid {
		t.Errorf("a handle whose time is over: %v", err)
	}
	if list := receive(t, q, 10); bodies(list) != "b0 b1 b2 b3 a1 a2 a3 " {
		t.Errorf("all are back in their order: %s", bodies(list))
	}
}

func TestFIFOOrderUnderConcurrency(t *testing.T) {
	d := newDesk(t)
	q := d.make("jobs.fifo", func(s *Spec) { s.Visibility = time.Hour })
	const groups, each = 8, 20
	var wg sync.WaitGroup
	for g := range groups {
		wg.Go(func() {
			for i := range each {
				_, errs := q.Send(t.Context(), []Outgoing{{Body: strconv.Itoa(i), Group: strconv.Itoa(g), Dedup: fmt.Sprint(g, "-", i)}})
				if errs[0] != nil {
					t.Error(errs[0])
				}
			}
		})
	}
	var mu sync.Mutex
	seen, left := map[string]int{}, groups*each
	busy := map[string]bool{}
	for range 6 {
		wg.Go(func() {
			for {
				list, err := q.Receive(t.Context(), Ask{Most: 3, Wait: time.Second})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for i, m := range list {
					if busy[m.Group] && (i == 0 || list[i-1].Group != m.Group) {
						t.Errorf("group %s is with two at once", m.Group)
					}
					if busy[m.Group] = true; m.Body != strconv.Itoa(seen[m.Group]) {
						t.Errorf("group %s: %s after %d", m.Group, m.Body, seen[m.Group])
					}
					seen[m.Group]++
					left--
				}
				for _, m := range list {
					busy[m.Group] = false
				}
				done := left <= 0
				var handles []string
				for _, m := range list {
					handles = append(handles, m.Handle)
				}
				mu.Unlock()
				if len(handles) > 0 {
					for _, err := range q.Delete(t.Context(), handles) {
						if err != nil {
							t.Error(err)
						}
					}
				}
				if done {
					return
				}
			}
		})
	}
	wg.Wait()
	if c := q.Counts(); c.Visible+c.InFlight != 0 {
		t.Errorf("left: %+v", c)
	}
}

func TestFIFODeduplicates(t *testing.T) {
	d := newDesk(t)
	q := d.make("jobs.fifo", func(s *Spec) { s.ContentDedup = true })
	first := send(t, q, Outgoing{Body: "x", Group: "a"})[0]
	again := send(t, q, Outgoing{Body: "x", Group: "b"})[0]
	if again.ID != first.ID || again.Sequence != first.Sequence {
		t.Errorf("a duplicate by content: %+v, %+v", first, again)
	}
	send(t, q, Outgoing{Body: "x", Group: "a", Dedup: "own"})
	remove(t, q, receive(t, q, 10)...)
	d.reopen() // it is known for five minutes, deleted or not
	q = d.queue("jobs.fifo")
	d.clock.Advance(dedupWindow - time.Second)
	if again := send(t, q, Outgoing{Body: "x", Group: "a"})[0]; again.ID != first.ID {
		t.Error("a duplicate after a restart")
	}
	d.clock.Advance(2 * time.Second)
	if again := send(t, q, Outgoing{Body: "x", Group: "a"})[0]; again.ID == first.ID {
		t.Error("a duplicate after five minutes")
	}
	scoped := d.make("scoped.fifo", func(s *Spec) { s.ContentDedup, s.DedupGroup = true, true })
	if a, b := send(t, scoped, Outgoing{Body: "x", Group: "a"})[0], send(t, scoped, Outgoing{Body: "x", Group: "b"})[0]; a.ID == b.ID {
		t.Error("the scope is the group")
	}
}

func TestDelayAndRetention(t *testing.T) {
	d := newDesk(t)
	q := d.make("jobs", func(s *Spec) { s.Delay, s.Retention = 5*time.Second, time.Hour })
	none := time.Duration(0)
	send(t, q, text1("late"), Outgoing{Body: "now", Delay: &none})
	if c := q.Counts(); c.Delayed != 1 || c.Visible != 1 {
		t.Errorf("%+v", c)
	}
	if list := receive(t, q, 10); bodies(list) != "now " {
		t.Fatalf("%s", bodies(list))
	}
	d.clock.Advance(5 * time.Second)
	if list := receive(t, q, 10); bodies(list) != "late " {
		t.Fatalf("%s", bodies(list))
	}
	d.clock.Advance(time.Hour)
	if list := receive(t, q, 10); len(list) != 0 {
		t.Fatalf("older than the retention: %s", bodies(list))
	}
	send(t, q, text1("sits"))
	d.clock.Advance(2 * time.Hour)
	d.sweep(t.Context())
	if c := q.Counts(); c != (Counts{}) {
		t.Errorf("kept: %+v", c)
	}
}

func TestReceivedTooOftenGoesToTheDeadLetterQueue(t *testing.T) {
	for _, suffix := range []string{"", ".fifo"} {
		d := newDesk(t)
		dead := d.make("dead"+suffix, nil)
		q := d.make("jobs"+suffix, func(s *Spec) { s.Redrive = &Redrive{dead.ARN, 2} })
		out := Outgoing{Body: "bad"}
		next := Outgoing{Body: "good"}
		if suffix != "" {
			out.Group, out.Dedup, next.Group, next.Dedup = "g", "1", "g", "2"
		}
		send(t, q, out)
		id := ""
		for range 2 {
			list := receive(t, q, 1)
			if bodies(list) != "bad " {
				t.Fatalf("%q: %s", suffix, bodies(list))
			}
			id = list[0].ID
			d.clock.Advance(31 * time.Second)
		}
		send(t, q, next)
		list, err := q.Receive(t.Context(), Ask{Most: 10, Wait: 5 * time.Second})
		if err != nil || bodies(list) != "good " {
			t.Fatalf("%q: it does not block what follows: %s %v", suffix, bodies(list), err)
		}
		moved := receive(t, dead, 10)
		if len(moved) != 1 || moved[0].ID != id || moved[0].Source != q.ARN || moved[0].Receives != 3 && moved[0].Receives != 1 {
			t.Fatalf("%q: %+v", suffix, moved)
		}
		d.clock.Advance(31 * time.Second)
		if n, err := d.Redrive(t.Context(), dead.Name, "", 10); n != 1 || err != nil {
			t.Fatalf("%q: redrive %d %v", suffix, n, err)
		}
		if got := d.Sources(dead.Name); len(got) != 1 || got[0] != q.Name {
			t.Errorf("sources %v", got)
		}
	}
}

func TestRedrivePoliciesAreHeldToWhatThereIs(t *testing.T) {
	d := newDesk(t)
	dead, fifo := d.make("dead", nil), d.make("dead.fifo", nil)
	shut := d.make("shut", func(s *Spec) { s.Allow = &Allow{Permission: "denyAll"} })
	some := d.make("some", func(s *Spec) { s.Allow = &Allow{"byQueue", []string{ARN(casemate.DefaultPlace, "jobs")}} })
	for _, c := range []struct {
		name, target string
		ok           bool
	}{{"jobs", dead.ARN, true}, {"j1", fifo.ARN, false}, {"j2", shut.ARN, false}, {"j3", some.ARN, false}, {"j4", ARN(casemate.DefaultPlace, "none"), false}, {"j5", "x", false}} {
		s := Defaults()
		s.Redrive = &Redrive{c.target, 3}
		_, err := d.Create(t.Context(), c.name, s, nil, "")
		if (err == nil) != c.ok {
			t.Errorf("%s to %s: %v", c.name, c.target, err)
		}
	}
	if err := d.Change(t.Context(), "jobs", func(x *Definition) error { x.Spec.Redrive = &Redrive{some.ARN, 3}; return nil }); err != nil {
		t.Error(err)
	}
}

func TestLongPollsWakeAndAreBounded(t *testing.T) {
	d := newDesk(t)
	d.Room.cfg.Waiters = 8
	q := d.make("jobs", nil)
	var wg sync.WaitGroup
	got := make(chan error, 3)
	ctx, cancel := context.WithCancel(t.Context())
	for range 3 {
		wg.Go(func() {
			_, err := q.Receive(ctx, Ask{Most: 1, Wait: 20 * time.Second, For: "me"})
			got <- err
		})
	}
	if err := <-got; casemate.CodeOf(err) != casemate.Exhausted {
		t.Errorf("the third to wait: %v", err)
	}
	send(t, q, text1("a"))
	if err := <-got; err != nil {
		t.Errorf("woken: %v", err)
	}
	cancel()
	if err := <-got; err == nil {
		t.Error("the other one is to hear that it was cancelled")
	}
	wg.Wait()
	if q.waiting != 0 || d.waiting != 0 || len(d.waiters) != 0 {
		t.Errorf("%d and %d wait, of %d callers", q.waiting, d.waiting, len(d.waiters))
	}
}

// TestWhoWaitsOnManyQueuesShutsNobodyOut: with queues of its own one caller could hold every place, and have others and the mappings of
// apps turned away.
func TestWhoWaitsOnManyQueuesShutsNobodyOut(t *testing.T) {
	d := newDesk(t)
	d.Room.cfg.Waiters = 8
	queues := []*Queue{d.make("one", nil), d.make("two", nil), d.make("three", nil)}
	for i, q := range []*Queue{queues[0], queues[1], queues[1], queues[2], queues[2]} {
		if _, err := d.wait(q, "flood"); (err == nil) != (i < 4) {
			t.Errorf("the flood on %s: %v", q.Name, err)
		}
	}
	if _, err := d.wait(queues[0], "other"); err != nil {
		t.Errorf("another caller: %v", err)
	}
	if _, err := d.wait(queues[0], "other"); casemate.CodeOf(err) != casemate.Exhausted {
		t.Errorf("a third one on a queue: %v", err)
	}
	if _, err := d.wait(queues[0], ""); err != nil {
		t.Errorf("the node itself: %v", err)
	}
}

func TestDeletedQueuesLeaveNothing(t *testing.T) {
	d := newDesk(t)
	q := d.make("jobs", nil)
	send(t, q, text1("secret"))
	slot := q.Definition().Slot
	if err := d.Delete(t.Context(), "jobs"); err != nil {
		t.Fatal(err)
	}
	if _, errs := q.Send(t.Context(), []Outgoing{text1("x")}); casemate.CodeOf(errs[0]) != casemate.NotFound {
		t.Errorf("sent to a deleted queue: %v", errs[0])
	}
	next := d.make("other.fifo", nil)
	if next.Definition().Slot != slot {
		t.Fatalf("slot %d, then %d", slot, next.Definition().Slot)
	}
	if list := receive(t, next, 10); len(list) != 0 {
		t.Errorf("the next one of the slot has %s", bodies(list))
	}
	send(t, next, Outgoing{Body: "mine", Group: "g", Dedup: "1"})
	d.reopen()
	if list := receive(t, d.queue("other.fifo"), 10); bodies(list) != "mine " {
		t.Errorf("after a restart: %s", bodies(list))
	}
	if _, err := d.Queue("jobs"); casemate.CodeOf(err) != casemate.NotFound {
		t.Error("a deleted queue came back")
	}
}

func TestQueuesAreBounded(t *testing.T) {
	d := newDesk(t)
	d.Room.cfg.Messages, d.Room.cfg.Queues = 2, 1
	q := d.make("jobs", nil)
	send(t, q, text1("a"), text1("b"))
	if _, errs := q.Send(t.Context(), []Outgoing{text1("c")}); casemate.CodeOf(errs[0]) != casemate.Exhausted {
		t.Errorf("one too many: %v", errs[0])
	}
	if _, err := d.Create(t.Context(), "more", Defaults(), nil, ""); casemate.CodeOf(err) != casemate.Exhausted {
		t.Errorf("a queue too many: %v", err)
	}
	if err := q.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := q.Purge(t.Context()); casemate.AsError(err).AWS != "PurgeQueueInProgress" {
		t.Errorf("twice: %v", err)
	}
	send(t, q, text1("a"))
}

func TestDeclaredQueues(t *testing.T) {
	d := newDesk(t)
	dead := Defaults()
	jobs := Defaults()
	jobs.Redrive = &Redrive{ARN(casemate.DefaultPlace, "a-dead"), 3}
	want := map[string]Spec{"a-jobs": jobs, "a-dead": dead}
	for range 2 {
		if err := d.Declare(t.Context(), "a", want); err != nil {
			t.Fatal(err)
		}
	}
	send(t, d.queue("a-jobs"), text1("x"))
	if err := d.Declare(t.Context(), "b", want); err == nil {
		t.Error("another app's queue was taken")
	}
	if err := d.Declare(t.Context(), "a", map[string]Spec{"a-dead": dead}); err != nil {
		t.Fatal(err)
	}
	if q := d.queue("a-jobs"); q.Definition().App != "" || q.Counts().Visible != 1 {
		t.Errorf("not declared any more: %+v", q.Definition())
	}
}
