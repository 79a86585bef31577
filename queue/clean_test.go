package queue

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"casemate"
)

// Messages that stay are appended again while the journal around them is cleaned. Their order in their group, and what was
// received of them, are the same after a restart, wherever their records stand by then.
// Lambda checklist: 60
func TestCleaningKeepsTheOrderOfEachGroup(t *testing.T) {
	d := newDesk(t)
	q := d.make("line.fifo", nil)
	want, bulk := "", strings.Repeat("x", 200_000)
	for i := range 120 { // 24 MB through a journal that wastes 4
		d.clock.Advance(dedupWindow / 20)
		if i%10 == 0 {
			body := fmt.Sprint(i)
			send(t, q, Outgoing{Body: body, Group: "stays", Dedup: body})
			want += body + " "
		}
		send(t, q, Outgoing{Body: bulk, Group: "goes", Dedup: fmt.Sprint("bulk", i)})
		for _, m := range receive(t, q, 100) {
			if m.Group == "goes" {
				remove(t, q, m)
			} else if err := q.Change(t.Context(), []Hide{{Handle: m.Handle}})[0]; err != nil {
				t.Fatal(err)
			}
		}
		if i%12 == 11 {
			d.reopen()
			q = d.queue("line.fifo")
			list := receive(t, q, 100)
			for _, m := range list {
				if err := q.Change(t.Context(), []Hide{{Handle: m.Handle}})[0]; err != nil {
					t.Fatal(err)
				}
			}
			if got := bodies(list); got != want {
				t.Fatalf("after %d: %s is handed out, %s was sent", i+1, got, want)
			}
		}
	}
}

// A crash in the middle of a move leaves a message in both queues. The next start takes it out of the one that it was on its
// way from, so that it does not come back when it is deleted in the other.
func TestMovesThatWereCutOffAreEnded(t *testing.T) {
	d := newDesk(t)
	d.make("dead", nil)
	q := d.make("jobs", func(s *Spec) { s.Redrive = &Redrive{Target: ARN(casemate.DefaultPlace, "dead"), Max: 1} })
	begin := func(from, to *Queue) {
		t.Helper()
		d.clock.Advance(time.Second)
		for _, it := range from.s.items {
			m, err := from.message(t.Context(), it)
			if err != nil {
				t.Fatal(err)
			}
			_, pending, err := to.begin(t.Context(), &to.def.Load().Spec, &Outgoing{Body: m.Body}, &origin{it, from.ARN, ""})
			if err == nil {
				err = pending.Wait(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	counts := func(jobs, dead int) {
		t.Helper()
		d.reopen()
		q = d.queue("jobs")
		if a, b := q.Counts().Visible, d.queue("dead").Counts().Visible; a != jobs || b != dead {
			t.Fatalf("%d messages are in the queue and %d among the dead, want %d and %d", a, b, jobs, dead)
		}
	}
	send(t, q, text1("one"), text1("two"))
	begin(q, d.queue("dead"))
	send(t, q, text1("three"))
	counts(1, 2)
	begin(d.queue("dead"), q) // and back
	counts(3, 0)
}

// What is in the dead-letter queue already is not put there again when it could not be taken away here.
func TestAMoveGoesOnWhereItFailed(t *testing.T) {
	d := newDesk(t)
	dead := d.make("dead", nil)
	q := d.make("jobs", func(s *Spec) { s.Redrive = &Redrive{Target: dead.ARN, Max: 1} })
	send(t, q, text1("one"))
	for _, it := range q.s.items {
		it.copied = dead
		if err := q.bury(t.Context(), it, ""); err != nil {
			t.Fatal(err)
		}
	}
	if q.Counts().Visible != 0 || dead.Counts().Visible != 0 {
		t.Errorf("%+v here, %+v there", q.Counts(), dead.Counts())
	}
}
