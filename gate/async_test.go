package gate

import (
	"context"
	"errors"
	"testing"
	"time"

	"casemate"
)

// memQueue is a queue of one worker whose time is the test's.
type memQueue struct {
	items []*Delivery
	dead  []DeadLetter
	full  error
	delay []time.Duration
	done  int
}

func (q *memQueue) Put(_ context.Context, id, _ string, data []byte) error {
	if q.full != nil {
		return q.full
	}
	d := &Delivery{ID: id, Data: data}
	d.Done = func(context.Context) error { q.done++; return nil }
	d.Retry = func(_ context.Context, after time.Duration) error {
		q.delay = append(q.delay, after)
		q.items = append(q.items, d)
		return nil
	}
	q.items = append(q.items, d)
	return nil
}

func (q *memQueue) Next(ctx context.Context) (*Delivery, error) {
	if len(q.items) == 0 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	d := q.items[0]
	q.items = q.items[1:]
	d.Attempt++
	return d, nil
}

func (q *memQueue) bury(_ context.Context, d DeadLetter) error {
	q.dead = append(q.dead, d)
	return nil
}

// drain delivers until nothing is left, at most n times.
func (q *memQueue) drain(t *testing.T, g *Gate, n int) {
	t.Helper()
	for range n {
		if len(q.items) == 0 {
			return
		}
		d, err := q.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := g.deliver(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
}

func accept(t *testing.T, r *rig, q *memQueue) *Gate {
	t.Helper()
	g, e := r.gate(t, q), event()
	e.Async = true
	res, err := g.Handle(t.Context(), e)
	if err != nil || !res.Accepted {
		t.Fatalf("got %v, %v", res, err)
	}
	return g
}

func TestAsyncRunsOnceAndIsDone(t *testing.T) {
	r, q := newRig(), &memQueue{}
	g := accept(t, r, q)
	if len(r.closed) != 1 || r.closed[0].Outcome.Status != "queued" {
		t.Fatalf("record of the intake: %+v", r.closed)
	}
	q.drain(t, g, 5)
	if q.done != 1 || len(q.dead) != 0 || len(r.closed) != 2 {
		t.Fatalf("done %d, dead %v, records %d", q.done, q.dead, len(r.closed))
	}
	run := r.closed[1]
	if run.ID != "e1#1" || run.Event != "e1" || run.Chain != "e1" || run.Principal != "key/a" || !run.Outcome.OK {
		t.Errorf("record of the run: %+v", run)
	}
}

// Lambda checklist: 43
func TestAsyncRetriesTwiceThenDies(t *testing.T) {
	r, q := newRig(), &memQueue{}
	runs := 0
	r.runner = func(context.Context, *casemate.Launch) (*casemate.Result, error) {
		runs++
		return &casemate.Result{Failure: casemate.FailureHandled}, nil
	}
	g := accept(t, r, q)
	q.drain(t, g, 10)
	if runs != 3 || len(q.delay) != 2 || q.delay[0] != time.Minute || q.delay[1] != 2*time.Minute {
		t.Errorf("%d runs, delays %v", runs, q.delay)
	}
	if len(q.dead) != 1 || q.dead[0].Condition != "RetriesExhausted" || q.dead[0].Attempts != 3 || len(q.dead[0].Event) == 0 {
		t.Errorf("dead letters %+v", q.dead)
	}
}

func TestAsyncThrottleIsNoAttempt(t *testing.T) {
	r, q := newRig(), &memQueue{}
	g := accept(t, r, q)
	refusals := 5
	r.reserve = func(casemate.Demand) error {
		if refusals > 0 {
			refusals--
			return casemate.Errorf(casemate.Exhausted, "", "no room")
		}
		return nil
	}
	q.drain(t, g, 10)
	if q.done != 1 || len(q.dead) != 0 || len(q.delay) != 5 || q.delay[4] != 16*time.Second {
		t.Errorf("done %d, dead %v, delays %v", q.done, q.dead, q.delay)
	}
	if last := r.closed[len(r.closed)-1]; last.ID != "e1#1" {
		t.Errorf("the run after throttles is attempt %s", last.ID)
	}
}

func TestAsyncTooOldDies(t *testing.T) {
	r, q := newRig(), &memQueue{}
	g := accept(t, r, q)
	r.now = r.now.Add(2 * time.Hour)
	q.drain(t, g, 5)
	if len(q.dead) != 1 || q.dead[0].Condition != "EventAgeExceeded" {
		t.Errorf("dead letters %+v", q.dead)
	}
}

func TestAsyncRefusedLaterDies(t *testing.T) {
	r, q := newRig(), &memQueue{}
	g := accept(t, r, q)
	r.decision = casemate.Decision{}
	q.drain(t, g, 5)
	if len(q.dead) != 1 || q.dead[0].Condition != "Refused" || q.dead[0].Code != casemate.Forbidden {
		t.Errorf("dead letters %+v", q.dead)
	}
}

func TestAsyncDamagedItemDies(t *testing.T) {
	r, q := newRig(), &memQueue{}
	g := r.gate(t, q)
	if err := q.Put(t.Context(), "x", "", []byte("{broken")); err != nil {
		t.Fatal(err)
	}
	q.drain(t, g, 5)
	if len(q.dead) != 1 || q.done != 1 {
		t.Errorf("dead letters %+v, done %d", q.dead, q.done)
	}
}

func TestAsyncIsNotAcceptedUnlessQueued(t *testing.T) {
	r, q := newRig(), &memQueue{full: casemate.Errorf(casemate.Unavailable, "", "disk full")}
	e := event()
	e.Async = true
	_, err := r.gate(t, q).Handle(t.Context(), e)
	if casemate.CodeOf(err) != casemate.Unavailable || r.closed[0].Outcome.Status != "refused" {
		t.Errorf("got %v, record %+v", err, r.closed)
	}
}

func TestWorkersStop(t *testing.T) {
	r, q := newRig(), &memQueue{}
	g := r.gate(t, q)
	g.Start(t.Context())
	g.Stop() // hangs when a worker does not end
	if _, err := q.Next(canceled()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestCutRunIsNoAttempt: a run that the stopping node ended is not the function's failure. It had no retry left.
func TestCutRunIsNoAttempt(t *testing.T) {
	r, q := newRig(), &memQueue{}
	find := r.find
	r.find = func(e *casemate.Event) (*casemate.Match, error) {
		m, err := find(e)
		m.Version.Async.Retries = 0
		return m, err
	}
	g := accept(t, r, q)
	r.runner = func(context.Context, *casemate.Launch) (*casemate.Result, error) {
		g.Cut()
		return &casemate.Result{Failure: casemate.FailureExit}, nil
	}
	q.drain(t, g, 1)
	if len(q.items) != 1 || len(q.dead) != 0 || q.done != 0 {
		t.Errorf("%d queued, %d dead, %d done", len(q.items), len(q.dead), q.done)
	}
	if last := r.closed[len(r.closed)-1]; last.Outcome.Code != casemate.Unavailable {
		t.Errorf("recorded as %+v", last.Outcome)
	}
	if _, err := g.Handle(t.Context(), event()); casemate.CodeOf(err) != casemate.Unavailable {
		t.Errorf("a caller whose run was cut hears %v", err)
	}
}

func canceled() context.Context {
	ctx, stop := context.WithCancel(context.Background())
	stop()
	return ctx
}

func TestDeadLetterLivesAgain(t *testing.T) {
	r, q := newRig(), &memQueue{}
	g := accept(t, r, q)
	r.now = r.now.Add(2 * time.Hour)
	q.drain(t, g, 5)
	again, err := Again(q.dead[0].Event, r.now)
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Put(t.Context(), "e1~x", "", again); err != nil {
		t.Fatal(err)
	}
	q.drain(t, g, 5)
	if last := r.closed[len(r.closed)-1]; len(q.dead) != 1 || !last.Outcome.OK || last.Event != "e1" {
		t.Errorf("dead %+v, last record %+v", q.dead, last)
	}
}

func TestBuiltinsAreNotQueued(t *testing.T) {
	r, q := newRig(), &memQueue{}
	find := r.find
	r.find = func(e *casemate.Event) (*casemate.Match, error) {
		m, err := find(e)
		v := *m.Version
		v.Runtime, m.Version = "builtin", &v
		return m, err
	}
	e := event()
	e.Async = true
	if _, err := r.gate(t, q).Handle(t.Context(), e); casemate.CodeOf(err) != casemate.Invalid || len(q.items) != 0 {
		t.Errorf("got %v, queued %d", err, len(q.items))
	}
}
