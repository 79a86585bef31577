package queue

import (
	"strconv"
	"testing"

	"casemate"
)

// ended waits for a move's end.
func (d *desk) ended(from string) Move {
	d.t.Helper()
	d.moves.work.Wait()
	return d.Moves(from)[0]
}

// dead fills a dead-letter queue with n messages of a queue.
func (d *desk) dead(q *Queue, n int) {
	d.t.Helper()
	for i := range n {
		send(d.t, q, text1(strconv.Itoa(i)))
		m := receive(d.t, q, 1)
		if err := q.Bury(d.t.Context(), m[0].Handle, "test"); err != nil {
			d.t.Fatal(err)
		}
	}
}

func TestMoves(t *testing.T) {
	d := newDesk(t)
	dlq := d.make("dlq", nil)
	jobs := d.make("jobs", func(s *Spec) { s.Redrive = &Redrive{dlq.ARN, 3} })
	d.make("stray", nil)
	if _, err := d.StartMove("jobs", "", nil, 0); casemate.AsError(err).AWS != "UnsupportedOperation" {
		t.Errorf("jobs is nobody's dead-letter queue: %v", err)
	}
	d.dead(jobs, 3)
	send(t, dlq, text1("sent here by itself"))
	if _, err := d.StartMove("dlq", "", []string{"jobs"}, 0); err != nil {
		t.Fatal(err)
	}
	if m := d.ended("dlq"); m.Status != MoveCompleted || m.Moved != 3 || m.Total != 4 || jobs.Counts().Visible != 3 || dlq.Counts().Visible != 1 {
		t.Errorf("%+v, %+v", m, dlq.Counts())
	}
	// What came from nowhere can only go where somebody says.
	if _, err := d.StartMove("dlq", "", []string{"jobs"}, 0); err != nil {
		t.Fatal(err)
	}
	if m := d.ended("dlq"); m.Status != MoveFailed || m.Failure != "CouldNotDetermineMessageSource" {
		t.Errorf("%+v", m)
	}
	for _, to := range []string{"dlq", "nosuch"} {
		if _, err := d.StartMove("dlq", to, nil, 0); err == nil {
			t.Errorf("moved to %s", to)
		}
	}
	if _, err := d.StartMove("dlq", "stray", nil, 0); err != nil {
		t.Fatal(err)
	}
	if m := d.ended("dlq"); m.Status != MoveCompleted || m.Moved != 1 || dlq.Counts().Visible != 0 {
		t.Errorf("%+v", m)
	}
}

// Messages go back only to queues that the caller was asked about, whatever they say they came from.
func TestMovesStayWithinWhatWasAsked(t *testing.T) {
	d := newDesk(t)
	dlq := d.make("dlq", nil)
	jobs := d.make("jobs", func(s *Spec) { s.Redrive = &Redrive{dlq.ARN, 3} })
	d.make("other", func(s *Spec) { s.Redrive = &Redrive{dlq.ARN, 3} })
	d.dead(jobs, 2)
	if _, err := d.StartMove("dlq", "", []string{"other"}, 0); err != nil {
		t.Fatal(err)
	}
	if m := d.ended("dlq"); m.Moved != 0 || jobs.Counts().Visible != 0 || dlq.Counts().Visible != 2 {
		t.Errorf("%+v, %+v", m, jobs.Counts())
	}
}

// One at a time; one that is cancelled leaves the rest; the end of the room ends it.
func TestMovesEnd(t *testing.T) {
	d := newDesk(t)
	dlq := d.make("dlq", nil)
	jobs := d.make("jobs", func(s *Spec) { s.Redrive = &Redrive{dlq.ARN, 3} })
	d.dead(jobs, 5)
	m, err := d.StartMove("dlq", "", []string{"jobs"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.StartMove("dlq", "", []string{"jobs"}, 1); casemate.AsError(err).AWS != "UnsupportedOperation" {
		t.Errorf("two at once: %v", err)
	}
	if x, err := d.CancelMove("dlq", m.ID); err != nil || x.Status != MoveCancelling {
		t.Errorf("%+v, %v", x, err)
	}
	if m := d.ended("dlq"); m.Status != MoveCancelled || m.Moved > 1 || jobs.Counts().Visible != m.Moved || dlq.Counts().Visible != 5-m.Moved {
		t.Errorf("%+v", m)
	}
	if _, err := d.CancelMove("dlq", m.ID); casemate.AsError(err).AWS != "ResourceNotFoundException" {
		t.Errorf("ended twice: %v", err)
	}
	if _, err := d.StartMove("dlq", "", []string{"jobs"}, 1); err != nil {
		t.Fatal(err)
	}
	d.reopen()
	if len(d.Moves("dlq")) != 0 {
		t.Error("a move of before")
	}
}
