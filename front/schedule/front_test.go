package schedule

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"casemate"
)

// marks keeps marks in memory, and fails when told to.
type marks struct {
	mu   sync.Mutex
	all  map[string]Mark
	fail error
}

func (m *marks) Get(_ context.Context, id string) (Mark, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.all[id], nil
}

func (m *marks) Keep(_ context.Context, id string, x Mark) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	m.all[id] = x
	return nil
}

func (m *marks) Drop(_ context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.all, id)
	return nil
}

// rig is a front with a corridor that takes everything, unless refuse says something else.
type rig struct {
	*Front
	marks  *marks
	mu     sync.Mutex
	events []*casemate.Event
	at     []time.Duration // since the test began
	begun  time.Time
	jump   time.Duration // of the clock on the wall
	run    func(e *casemate.Event) (*casemate.Result, error)
}

func start(t *testing.T, m *marks) *rig {
	t.Helper()
	r := &rig{marks: m, begun: time.Now()}
	f, err := New(Config{Marks: m, Place: casemate.DefaultPlace, Clock: r.clock, Handler: func(_ context.Context, e *casemate.Event) (*casemate.Result, error) {
		r.mu.Lock()
		r.events, r.at = append(r.events, e), append(r.at, time.Since(r.begun))
		run := r.run
		r.mu.Unlock()
		if run != nil {
			return run(e)
		}
		return &casemate.Result{Accepted: e.Async}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	r.Front = f
	return r
}

func (r *rig) clock() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Now().Add(r.jump)
}

// seen are the minutes at which events came.
func (r *rig) seen() (minutes []int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range r.at {
		minutes = append(minutes, int(d/time.Minute))
	}
	return minutes
}

// all are the events so far.
func (r *rig) all() []*casemate.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

func every(when string) *casemate.Schedule {
	return &casemate.Schedule{App: "shop", Name: "tick", Function: "report", When: when}
}

// after lets fake time go by.
func after(d time.Duration) { <-time.After(d); synctest.Wait() }

// Lambda checklist: 65
func TestMomentsAreEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, &marks{all: map[string]Mark{}})
		r.Set([]*casemate.Schedule{every("rate(5 minutes)")})
		after(16 * time.Minute)
		if got := r.seen(); !slices.Equal(got, []int{5, 10, 15}) {
			t.Fatalf("events at minutes %v", got)
		}
		e := r.all()[0]
		var shape struct {
			Version, ID, Source, Account, Time, Region string
			Type                                       string `json:"detail-type"`
			Resources                                  []string
			Detail                                     map[string]any
		}
		if err := json.Unmarshal(e.Payload, &shape); err != nil {
			t.Fatal(err)
		}
		rule := "arn:aws:events:us-east-1:000000000000:rule/shop-tick"
		if shape.Version != "0" || shape.Source != "aws.events" || shape.Type != "Scheduled Event" || shape.Time != r.begun.Add(5*time.Minute).UTC().Format(time.RFC3339) ||
			!slices.Equal(shape.Resources, []string{rule}) || shape.Detail == nil || len(shape.Detail) != 0 || shape.ID != e.ID || shape.Account != "000000000000" {
			t.Errorf("%s", e.Payload)
		}
		if !e.Async || e.Source != casemate.SourceSchedule || e.Target.Function != "report" || e.Credential.As.ID != "schedule/shop/tick" || e.Context["aws:sourcearn"][0] != rule || r.all()[1].ID == e.ID {
			t.Errorf("%+v", e)
		}
		if s, ok := r.Status("shop/tick"); !ok || s.Result != "queued" || !s.Next.Equal(r.begun.Add(20*time.Minute)) || !s.Last.Equal(r.begun.Add(15*time.Minute)) {
			t.Errorf("%+v", s)
		}
		r.Stop()
		after(time.Hour)
		if got := len(r.seen()); got != 3 {
			t.Errorf("%d events after Stop", got)
		}
	})
}

// TestAKilledNodeQueuesAgain: what was given and not marked comes again, under the same id.
func TestAKilledNodeQueuesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &marks{all: map[string]Mark{}}
		r := start(t, m)
		r.Set([]*casemate.Schedule{every("rate(5 minutes)")})
		after(4 * time.Minute)
		m.mu.Lock()
		m.fail = errors.New("killed")
		m.mu.Unlock()
		after(time.Minute + time.Second/2)
		first := r.all()[0].ID
		r.Stop()
		m.mu.Lock()
		m.fail = nil
		m.mu.Unlock()
		again := start(t, m)
		again.Set([]*casemate.Schedule{every("rate(5 minutes)")})
		after(time.Second)
		if len(again.all()) != 1 || again.all()[0].ID != first {
			t.Errorf("the moment came %d times again", len(again.all()))
		}
		again.Stop()
	})
}

// TestAKilledNodeMakesUpForARunInPlace: until such a run ends, its moment is not done. Those that were left out meanwhile are.
func TestAKilledNodeMakesUpForARunInPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &marks{all: map[string]Mark{}}
		r := start(t, m)
		begin := time.Now()
		kept := func() Mark {
			mark, err := m.Get(t.Context(), "shop/tick")
			if err != nil {
				t.Fatal(err)
			}
			return mark
		}
		done := func() time.Duration { return kept().Done.Sub(begin) }
		r.run = func(*casemate.Event) (*casemate.Result, error) {
			<-time.After(7 * time.Minute)
			return &casemate.Result{}, nil
		}
		s := every("rate(5 minutes)")
		s.Overlap = casemate.ScheduleAlone
		r.Set([]*casemate.Schedule{s})
		after(11 * time.Minute)
		if got := done(); got >= 5*time.Minute {
			t.Fatalf("done until %v while the run of minute 5 goes on", got)
		}
		killed := &marks{all: map[string]Mark{"shop/tick": kept()}}
		after(2 * time.Minute)
		if got := done(); got != 10*time.Minute {
			t.Errorf("done until %v after it", got)
		}
		r.Stop()
		again := start(t, killed)
		again.Set([]*casemate.Schedule{s})
		after(time.Second)
		if len(again.all()) != 1 {
			t.Errorf("the moments came %d times again", len(again.all()))
		}
		again.Stop()
	})
}

func TestMissedMoments(t *testing.T) {
	for missed, want := range map[string]int{"": 1, casemate.ScheduleAll: 6, casemate.ScheduleSkip: 0} {
		synctest.Test(t, func(t *testing.T) {
			m := &marks{all: map[string]Mark{}}
			s := every("cron(0/10 * * * ? *)")
			s.Missed = missed
			r := start(t, m)
			r.Set([]*casemate.Schedule{s})
			after(time.Minute)
			r.Stop()
			<-time.After(time.Hour)
			r = start(t, m)
			r.Set([]*casemate.Schedule{s})
			after(time.Second)
			if len(r.all()) != want {
				t.Errorf("missed %q: %d events, want %d", missed, len(r.all()), want)
			}
			after(10 * time.Minute) // and it goes on
			if len(r.all()) != want+1 {
				t.Errorf("missed %q: then %d events", missed, len(r.all()))
			}
			r.Stop()
		})
	}
	synctest.Test(t, func(t *testing.T) { // bounded
		m := &marks{all: map[string]Mark{}}
		s := every("rate(1 minute)")
		s.Missed = casemate.ScheduleAll
		r := start(t, m)
		r.Set([]*casemate.Schedule{s})
		after(time.Second)
		r.Stop()
		<-time.After(1000 * time.Minute)
		r = start(t, m)
		r.Set([]*casemate.Schedule{s})
		after(time.Second)
		if len(r.all()) != maxMissed {
			t.Errorf("%d events", len(r.all()))
		}
		r.Stop()
	})
}

// TestClockJumps: forward is time that was missed; backward repeats nothing, and a clock that had been far ahead stops nothing.
func TestClockJumps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &marks{all: map[string]Mark{}}
		r := start(t, m)
		r.Set([]*casemate.Schedule{every("cron(0/10 * * * ? *)")})
		after(11 * time.Minute)
		r.mu.Lock()
		r.jump = 3 * time.Hour
		r.mu.Unlock()
		after(2 * time.Minute)
		if got := len(r.seen()); got != 2 { // one of its own, one for the eighteen
			t.Fatalf("forward: %d events", got)
		}
		r.mu.Lock()
		r.jump = 3*time.Hour - 5*time.Minute
		r.mu.Unlock()
		ids := map[string]bool{}
		after(30 * time.Minute)
		for _, e := range r.all() {
			if ids[e.ID] {
				t.Errorf("%s came twice", e.ID)
			}
			ids[e.ID] = true
		}
		r.Stop()
		r = start(t, m) // the clock is right again: three hours behind the mark
		r.Set([]*casemate.Schedule{every("cron(0/10 * * * ? *)")})
		after(11 * time.Minute)
		if len(r.seen()) != 1 {
			t.Errorf("backward: %d events", len(r.seen()))
		}
		r.Stop()
	})
}

func TestRunsThatMustNotOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, &marks{all: map[string]Mark{}})
		r.run = func(e *casemate.Event) (*casemate.Result, error) {
			if e.Async {
				t.Error("queued")
			}
			<-time.After(12 * time.Minute)
			return &casemate.Result{}, nil
		}
		s := every("rate(5 minutes)")
		s.Overlap = casemate.ScheduleAlone
		r.Set([]*casemate.Schedule{s})
		after(16 * time.Minute)
		if st, _ := r.Status("shop/tick"); st.Result != "left out: the run before goes on" {
			t.Errorf("%+v", st)
		}
		changed := *s // a run of what it was before counts as well
		changed.Input = "{}"
		r.Set([]*casemate.Schedule{&changed})
		after(5 * time.Minute)
		if got := r.seen(); !slices.Equal(got, []int{5, 20}) {
			t.Errorf("events at minutes %v", got)
		}
		r.Stop() // waits
	})
}

func TestWhatTheCorridorSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, &marks{all: map[string]Mark{}})
		left := 3
		r.run = func(e *casemate.Event) (*casemate.Result, error) {
			if left--; left > 0 {
				return nil, casemate.Errorf(casemate.Exhausted, "", "no room")
			}
			return &casemate.Result{Accepted: true}, nil
		}
		r.Set([]*casemate.Schedule{every("rate(5 minutes)")})
		after(6 * time.Minute)
		if len(r.all()) != 3 || r.all()[0].ID != r.all()[2].ID {
			t.Errorf("no room: tried %d times", len(r.all()))
		}
		r.mu.Lock()
		r.run = func(*casemate.Event) (*casemate.Result, error) {
			return nil, casemate.Errorf(casemate.Forbidden, "", "not allowed")
		}
		r.mu.Unlock()
		after(5 * time.Minute)
		if st, _ := r.Status("shop/tick"); len(r.all()) != 4 || st.Result != "PROBLEM: not allowed" {
			t.Errorf("refused: tried %d times, %+v", len(r.all()), st)
		}
		r.Stop()
	})
}

func TestStartEndAndOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &marks{all: map[string]Mark{}}
		r := start(t, m)
		begin := time.Now()
		s := every("rate(5 minutes)")
		s.Start, s.End = begin.Add(time.Hour), begin.Add(time.Hour+11*time.Minute)
		once := &casemate.Schedule{App: "shop", Name: "once", Function: "report", When: "at(" + begin.Add(90*time.Minute).UTC().Format("2006-01-02T15:04:05") + ")"}
		off := &casemate.Schedule{App: "shop", Name: "off", Function: "report", When: "rate(1 minute)", Disabled: true}
		r.Set([]*casemate.Schedule{s, once, off})
		after(5 * time.Hour)
		if got := r.seen(); !slices.Equal(got, []int{65, 70, 90}) {
			t.Errorf("events at minutes %v", got)
		}
		r.Set([]*casemate.Schedule{off})
		synctest.Wait()
		if len(m.all) != 0 {
			t.Errorf("marks of schedules that are gone: %v", m.all)
		}
		r.Stop()
	})
}
