package schedule

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"casemate"
	"casemate/internal/pause"
	"casemate/lambda"
	"casemate/schedule"
)

// Mark is what is known of a schedule durably.
type Mark struct {
	Since time.Time `json:"since"` // when it came into force: rates count from here
	Done  time.Time `json:"done"`  // the last moment that was taken care of
	Text  string    `json:"text"`  // what it was then; another text is another schedule
}

// Marks keeps a mark for each schedule, by its id. Keep is durable when it returns; Get gives the zero Mark for one that is not known.
type Marks interface {
	Get(ctx context.Context, id string) (Mark, error)
	Keep(ctx context.Context, id string, m Mark) error
	Drop(ctx context.Context, id string) error
}

// Config is what the front needs. Handler and Marks are required.
type Config struct {
	Handler casemate.Handler
	Marks   Marks
	Place   casemate.Place
	Clock   func() time.Time // nil: time.Now
	Log     *slog.Logger     // nil: nowhere
}

// Bounds of time. The wall clock may jump, so nobody waits for long without looking at it.
const (
	look      = time.Minute
	firstWait = time.Second // after a moment that could not be queued
	maxWait   = time.Minute
	behind    = time.Hour // a mark that is farther in the future was made by a clock that was wrong
	maxMissed = 100       // moments that are made up for
)

// Front runs schedules. Set says which there are; Stop ends it.
type Front struct {
	c Config

	mu      sync.Mutex
	at      map[string]*timer
	running sync.WaitGroup
	stopped bool
}

// timer is one schedule at work.
type timer struct {
	f      *Front
	s      casemate.Schedule
	when   schedule.Expression
	cancel context.CancelFunc
	done   chan struct{}
	runs   sync.WaitGroup
	busy   chan struct{} // has room for the one run that may go on, when they must not overlap

	mu     sync.Mutex
	status Status

	keeping sync.Mutex
	reached Mark // how far the schedule is
	going   bool // a run goes on in here: the mark is kept when it ends
}

// Status is how a schedule stands.
type Status struct {
	Last   time.Time // the last moment that was taken care of
	Next   time.Time // zero: none comes any more
	Result string    // of the last one: "queued", "ran", "left out: ...", "PROBLEM: ..."
}

// New makes a front without schedules.
func New(c Config) (*Front, error) {
	if c.Handler == nil || c.Marks == nil {
		return nil, errors.New("opening the schedules: no handler, or nothing to keep marks in")
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Front{c: c, at: map[string]*timer{}}, nil
}

// Set has exactly these schedules at work. One that changed begins anew; what it began before goes on. It does not wait.
func (f *Front) Set(all []*casemate.Schedule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped {
		return
	}
	next := map[string]*timer{}
	for _, s := range all {
		t := f.at[s.ID()]
		if t == nil || t.s != *s {
			t = f.start(*s, t)
		}
		next[s.ID()] = t
	}
	for id, t := range f.at {
		if next[id] == nil {
			f.end(t)
		}
	}
	f.at = next
}

// start makes a timer, which waits for the one before it.
func (f *Front) start(s casemate.Schedule, before *timer) *timer {
	ctx, cancel := context.WithCancel(context.Background())
	t := &timer{f: f, s: s, cancel: cancel, done: make(chan struct{}), busy: make(chan struct{}, 1)}
	if before != nil {
		before.cancel()
		t.busy = before.busy // its run may still go on
	}
	var err error
	if t.when, err = schedule.Parse(s.When, s.Zone); err != nil { // deploy has checked it
		t.status.Result = "PROBLEM: " + casemate.AsError(err).Message
	}
	f.running.Go(func() {
		defer close(t.done)
		if before != nil {
			<-before.done
		}
		if err == nil && !s.Disabled {
			t.run(ctx)
		}
		t.runs.Wait()
	})
	return t
}

// end takes a schedule away, with its mark.
func (f *Front) end(t *timer) {
	t.cancel()
	f.running.Go(func() {
		<-t.done
		f.mu.Lock()
		again := f.at[t.s.ID()] != nil // it came back meanwhile
		f.mu.Unlock()
		if again {
			return
		}
		if err := f.c.Marks.Drop(context.Background(), t.s.ID()); err != nil {
			f.c.Log.Error("forgetting a schedule", "schedule", t.s.ID(), "err", err)
		}
	})
}

// Status tells how a schedule stands; ok is false for one that is not there.
func (f *Front) Status(id string) (s Status, ok bool) {
	f.mu.Lock()
	t := f.at[id]
	f.mu.Unlock()
	if t == nil {
		return Status{}, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.status, true
}

// Run queues an event of a schedule for now, beside its own moments, and gives the id of it.
func (f *Front) Run(ctx context.Context, id string) (string, error) {
	f.mu.Lock()
	t := f.at[id]
	f.mu.Unlock()
	if t == nil {
		return "", casemate.Errorf(casemate.NotFound, "casemate schedule list shows them", "there is no schedule %q", id)
	}
	e := t.event(f.c.Clock(), true)
	e.ID = casemate.NewID() // no moment's
	_, err := f.c.Handler(ctx, e)
	return e.ID, err
}

// Stop begins nothing more and waits for the runs that were begun here.
func (f *Front) Stop() {
	f.mu.Lock()
	f.stopped = true
	for _, t := range f.at {
		t.cancel()
	}
	f.mu.Unlock()
	f.running.Wait()
}

func (t *timer) say(change func(s *Status)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(&t.status)
}

// run takes care of one moment after the other until ctx ends or none comes any more.
func (t *timer) run(ctx context.Context) {
	wait := firstWait
	for ctx.Err() == nil {
		m, err := t.mark(ctx)
		if err == nil {
			err = t.moments(ctx, m)
		}
		if err == nil || ctx.Err() != nil {
			return
		}
		t.f.c.Log.Error("running a schedule", "schedule", t.s.ID(), "err", err)
		t.say(func(s *Status) { s.Result = "PROBLEM: " + casemate.AsError(err).Message })
		pause.For(ctx, wait)
		wait = min(2*wait, maxWait)
	}
}

// mark gives the mark of the schedule, made when there is none of it as it is.
func (t *timer) mark(ctx context.Context) (Mark, error) {
	now := t.f.c.Clock()
	m, err := t.f.c.Marks.Get(ctx, t.s.ID())
	if err != nil {
		return m, fmt.Errorf("reading the mark: %w", err)
	}
	text := t.s.When + "|" + t.s.Zone + "|" + t.s.Start.UTC().Format(time.RFC3339)
	if m.Text != text || m.Done.Sub(now) > behind {
		m = Mark{Since: now, Done: now, Text: text}
		if err := t.f.c.Marks.Keep(ctx, t.s.ID(), m); err != nil {
			return m, fmt.Errorf("keeping the mark: %w", err)
		}
		return m, nil
	}
	return t.missed(ctx, m, now)
}

// missed makes up for what came while nobody was there.
func (t *timer) missed(ctx context.Context, m Mark, now time.Time) (Mark, error) {
	var due []time.Time
	for at := t.next(m, m.Done); !at.IsZero() && !at.After(now); at = t.next(m, at) {
		if due = append(due, at); len(due) > maxMissed {
			due = due[1:]
		}
	}
	switch {
	case len(due) == 0:
		return m, nil
	case t.s.Missed == casemate.ScheduleSkip:
		t.f.c.Log.Warn("moments of a schedule were missed and are left out", "schedule", t.s.ID(), "moments", len(due))
		m.Done = due[len(due)-1]
		return m, t.keep(ctx, m)
	case t.s.Missed != casemate.ScheduleAll:
		due = due[len(due)-1:]
	}
	for _, at := range due {
		if err := t.give(ctx, at); err != nil {
			return m, err
		}
		m.Done = at
		if err := t.keep(ctx, m); err != nil {
			return m, err
		}
	}
	return m, nil
}

// keep notes how far the schedule is, durably; while a run goes on in here, what it began with stays, so that a node that is
// killed meanwhile finds its moment missed.
func (t *timer) keep(ctx context.Context, m Mark) error {
	t.keeping.Lock()
	defer t.keeping.Unlock()
	t.reached = m
	if t.going {
		return nil
	}
	return t.write(ctx)
}

// write keeps the mark. The caller holds keeping.
func (t *timer) write(ctx context.Context) error {
	if err := t.f.c.Marks.Keep(ctx, t.s.ID(), t.reached); err != nil {
		return fmt.Errorf("keeping the mark: %w", err)
	}
	return nil
}

// goes says that a run in here begins.
func (t *timer) goes() {
	t.keeping.Lock()
	defer t.keeping.Unlock()
	t.going = true
}

// ended keeps how far the schedule came while the run of a moment went on.
func (t *timer) ended(ctx context.Context, at time.Time) {
	t.keeping.Lock()
	defer t.keeping.Unlock()
	t.going = false
	if t.reached.Done.Before(at) {
		return // keep comes after this
	}
	if err := t.write(ctx); err != nil {
		t.f.c.Log.Error("ending a run of a schedule", "schedule", t.s.ID(), "err", err)
	}
}

// next is the first moment after a time, between the schedule's start and end.
func (t *timer) next(m Mark, after time.Time) time.Time {
	since := m.Since
	if since.Before(t.s.Start) {
		since = t.s.Start
	}
	if after.Before(t.s.Start) {
		after = t.s.Start.Add(-time.Nanosecond)
	}
	at := t.when.Next(after, since)
	if !t.s.End.IsZero() && at.After(t.s.End) {
		return time.Time{}
	}
	return at
}

// moments waits for the moments and takes care of each.
func (t *timer) moments(ctx context.Context, m Mark) error {
	for {
		at := t.next(m, m.Done)
		t.say(func(s *Status) { s.Last, s.Next = m.Done, at })
		if m.Done.Equal(m.Since) {
			t.say(func(s *Status) { s.Last = time.Time{} })
		}
		if at.IsZero() {
			return nil
		}
		for wait := at.Sub(t.f.c.Clock()); wait > 0; wait = at.Sub(t.f.c.Clock()) {
			if !pause.For(ctx, min(wait, look)) {
				return nil
			}
		}
		if now := t.f.c.Clock(); now.Sub(at) > look { // the clock jumped, or the machine slept
			var err error
			if m, err = t.missed(ctx, m, now); err != nil {
				return err
			}
			continue
		}
		if err := t.give(ctx, at); err != nil {
			return err
		}
		m.Done = at
		if err := t.keep(ctx, m); err != nil {
			return err
		}
	}
}

// give has the function run for a moment. An error means that nothing was begun, and that it may go well later.
func (t *timer) give(ctx context.Context, at time.Time) error {
	if t.s.Overlap != casemate.ScheduleAlone {
		_, err := t.f.c.Handler(ctx, t.event(at, true))
		return t.taken(at, "queued", err)
	}
	select {
	case t.busy <- struct{}{}:
	default:
		t.f.c.Log.Warn("a moment of a schedule is left out: the run before goes on", "schedule", t.s.ID(), "at", at)
		t.say(func(s *Status) { s.Result = "left out: the run before goes on" })
		return nil
	}
	t.goes()
	t.runs.Go(func() {
		ctx := context.WithoutCancel(ctx) // begun is finished: it may have had effects
		defer func() { <-t.busy }()
		defer t.ended(ctx, at)
		res, err := t.f.c.Handler(ctx, t.event(at, false))
		if err == nil && res.Failure != casemate.FailureNone {
			t.say(func(s *Status) { s.Result = "PROBLEM: the function failed: " + string(res.Failure) })
			return
		}
		_ = t.taken(at, "ran", err) // nothing tries it again: its next moment comes
	})
	return nil
}

// taken says what came of a moment. What the corridor refuses for good is left out; what it has no room for is tried again.
func (t *timer) taken(at time.Time, word string, err error) error {
	if err != nil {
		word = "PROBLEM: " + casemate.AsError(err).Message
		switch casemate.CodeOf(err) {
		case casemate.Exhausted, casemate.Unavailable, casemate.Fault:
			t.say(func(s *Status) { s.Result = word })
			return err
		}
		t.f.c.Log.Error("a moment of a schedule was refused", "schedule", t.s.ID(), "at", at, "err", err)
	}
	t.say(func(s *Status) { s.Result = word })
	return nil
}

// event is a moment as the corridor takes it, in the name of the schedule. Its id is that of the moment, however often it is made.
func (t *timer) event(at time.Time, async bool) *casemate.Event {
	place, s := t.f.c.Place, &t.s
	sum := sha256.Sum256([]byte("schedule\x00" + s.ID() + "\x00" + at.UTC().Format(time.RFC3339)))
	sum[6], sum[8] = sum[6]&0x0f|0x40, sum[8]&0x3f|0x80
	id := fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
	rule := place.RuleARN(s)
	payload := []byte(s.Input)
	if len(payload) == 0 {
		payload = lambda.ScheduledEvent(id, place.Account, place.Region, rule, at)
	}
	who := &casemate.Principal{Kind: casemate.KindSchedule, ID: s.Role(), ARN: rule, Account: place.Account, Role: s.Role(), Tags: map[string]string{"app": s.App}}
	return &casemate.Event{ID: id, Source: casemate.SourceSchedule, Target: casemate.Target{Function: s.Target()}, Action: "lambda:InvokeFunction",
		Resource: place.FunctionARN(s.Target()), Credential: casemate.Credential{Kind: casemate.CredentialSchedule, As: who}, Received: t.f.c.Clock(), Attempt: 1,
		Trace: casemate.NewTrace(), ContentType: "application/json", Payload: payload, Size: int64(len(payload)), Async: async,
		Context: map[string][]string{"aws:sourcearn": {rule}, "aws:sourceaccount": {place.Account}}}
}
