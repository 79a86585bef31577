// Package sourcetest is the conformance suite of event sources beside HTTP: what a queue does with what it accepted, every
// other source must do.
package sourcetest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"casemate"
)

// Subject is one source under test, at work on a function.
type Subject struct {
	Send  func(id, group string) error          // nil: the source has accepted it
	Items func(payload []byte) []string         // ids of what an event holds, in their order
	Left  func() int                            // accepted, and neither taken nor put aside
	Aside func() map[string]string              // put aside for good: id to reason
	Later func()                                // lets so much time pass that what failed comes again
	Stop  func()                                // takes nothing more and waits for what is under way
	Who   func(e *casemate.Event) (kind string) // "" when principal and credential are the source's own
}

// Maker starts a source whose events go to h. Ordered says that what has one group keeps its order.
type Maker struct {
	Source  casemate.Source
	Ordered bool
	Make    func(t *testing.T, h casemate.Handler) *Subject
}

// Run runs the suite.
func Run(t *testing.T, m Maker) {
	t.Run("everything accepted arrives", m.arrives)
	t.Run("what failed comes again", m.again)
	t.Run("one that is refused blocks nobody", m.refused)
	t.Run("a throttled function loses nothing", m.throttled)
	t.Run("stop waits for what is under way", m.stops)
}

// function is what the events go to.
type function struct {
	t    *testing.T
	m    *Maker
	s    *Subject
	news chan struct{}

	mu     sync.Mutex
	seen   []string
	events map[string]bool
	act    func(ids []string) (*casemate.Result, error) // nil: it takes everything
}

func (m *Maker) start(t *testing.T, act func(ids []string) (*casemate.Result, error)) *function {
	f := &function{t: t, m: m, news: make(chan struct{}, 1), events: map[string]bool{}, act: act}
	ready := make(chan struct{})
	f.s = m.Make(t, func(_ context.Context, e *casemate.Event) (*casemate.Result, error) {
		<-ready
		return f.take(e)
	})
	close(ready)
	t.Cleanup(f.s.Stop)
	return f
}

func (f *function) take(e *casemate.Event) (*casemate.Result, error) {
	ids := f.s.Items(e.Payload)
	f.mu.Lock()
	f.check(e, ids)
	f.seen = append(f.seen, ids...)
	f.mu.Unlock()
	defer func() {
		select {
		case f.news <- struct{}{}:
		default:
		}
	}()
	if f.act == nil {
		return &casemate.Result{}, nil
	}
	return f.act(ids)
}

// check holds an event to what every source's event is.
func (f *function) check(e *casemate.Event, ids []string) {
	switch {
	case e.Source != f.m.Source:
		f.t.Errorf("source %q", e.Source)
	case e.ID == "" || f.events[e.ID]:
		f.t.Errorf("an event without an id of its own: %q", e.ID)
	case e.Target.Function == "" || e.Action != "lambda:InvokeFunction" || e.Resource == "":
		f.t.Errorf("an event for nobody: %+v %s %s", e.Target, e.Action, e.Resource)
	case !json.Valid(e.Payload) || len(ids) == 0:
		f.t.Errorf("an event of nothing: %s", e.Payload)
	case len(e.Trace.TraceID) != 32 || e.Received.IsZero() || e.Attempt < 1:
		f.t.Errorf("an event without its circumstances: %+v", e)
	case f.s.Who(e) != "":
		f.t.Errorf("in whose name: %s", f.s.Who(e))
	}
	f.events[e.ID] = true
}

// until waits, letting time pass, until done.
func (f *function) until(done func() bool) {
	f.t.Helper()
	for !done() {
		select {
		case <-f.news:
		case <-f.t.Context().Done():
			f.t.Fatal("the test is over")
		case <-time.After(20 * time.Millisecond):
			f.s.Later()
		}
	}
}

func (f *function) send(n, groups int) (ids []string) {
	f.t.Helper()
	for i := range n {
		id, group := fmt.Sprintf("m%03d", i), fmt.Sprintf("g%d", i%groups)
		if err := f.s.Send(id, group); err != nil {
			f.t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

func (f *function) saw() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.seen)
}

// ordered checks that of each group nothing was seen for the first time before what is ahead of it.
func (f *function) ordered(ids []string, groups int) {
	f.t.Helper()
	if !f.m.Ordered {
		return
	}
	next, seen := map[int]int{}, map[string]bool{}
	for _, id := range f.saw() {
		i := slices.Index(ids, id)
		if i < 0 || seen[id] {
			continue
		}
		seen[id] = true
		if g := i % groups; i != next[g]*groups+g {
			f.t.Errorf("group %d: %s came before what is ahead of it: %v", g, id, f.saw())
			return
		}
		next[i%groups]++
	}
}

func (f *function) empty() bool { return f.s.Left() == 0 }

func (f *function) all(ids []string) {
	f.t.Helper()
	seen := f.saw()
	for _, id := range ids {
		if !slices.Contains(seen, id) {
			f.t.Errorf("%s was accepted and never came", id)
		}
	}
}

// through sends n of several groups and has all of them arrive, those of a group in their order.
func (f *function) through(n, groups int) {
	f.t.Helper()
	ids := f.send(n, groups)
	f.until(f.empty)
	f.all(ids)
	f.ordered(ids, groups)
}

// kept checks that nothing was put aside.
func (f *function) kept() {
	f.t.Helper()
	if aside := f.s.Aside(); len(aside) > 0 {
		f.t.Errorf("put aside: %v", aside)
	}
}

func (m *Maker) arrives(t *testing.T) {
	f := m.start(t, nil)
	f.through(40, 4)
	f.kept()
}

func (m *Maker) again(t *testing.T) {
	var mu sync.Mutex
	failed := map[string]bool{}
	f := m.start(t, func(ids []string) (*casemate.Result, error) {
		mu.Lock()
		defer mu.Unlock()
		if !failed[ids[0]] {
			failed[ids[0]] = true
			return &casemate.Result{Failure: casemate.FailureHandled}, nil
		}
		return &casemate.Result{}, nil
	})
	f.through(10, 2)
	twice := 0
	for id := range failed {
		n := 0
		for _, s := range f.saw() {
			if s == id {
				n++
			}
		}
		if n > 1 {
			twice++
		}
	}
	if twice == 0 {
		t.Error("nothing that failed came again")
	}
}

func (m *Maker) refused(t *testing.T) {
	f := m.start(t, func(ids []string) (*casemate.Result, error) {
		if slices.Contains(ids, "m003") {
			return nil, casemate.Errorf(casemate.Invalid, "", "this one is no good")
		}
		return &casemate.Result{}, nil
	})
	ids := f.send(12, 3)
	f.until(f.empty)
	f.all(ids)
	aside := f.s.Aside()
	if len(aside) != 1 || !strings.Contains(aside["m003"], "no good") {
		t.Errorf("put aside: %v", aside)
	}
}

func (m *Maker) throttled(t *testing.T) {
	var mu sync.Mutex
	n := 0
	f := m.start(t, func([]string) (*casemate.Result, error) {
		mu.Lock()
		defer mu.Unlock()
		if n++; n < 12 {
			return nil, casemate.Errorf(casemate.Exhausted, "", "no room")
		}
		return &casemate.Result{}, nil
	})
	f.through(10, 2)
	f.kept() // a throttle is no reason to put aside
}

func (m *Maker) stops(t *testing.T) {
	begun, end := make(chan struct{}), make(chan struct{})
	var once sync.Once
	var mu sync.Mutex
	finished := 0
	f := m.start(t, func([]string) (*casemate.Result, error) {
		once.Do(func() { close(begun) })
		<-end
		mu.Lock()
		defer mu.Unlock()
		finished++
		return &casemate.Result{}, nil
	})
	f.send(10, 5)
	<-begun
	stopped := make(chan struct{})
	go func() { f.s.Stop(); close(stopped) }()
	select {
	case <-stopped:
		t.Error("stopped with a run under way")
	case <-time.After(20 * time.Millisecond):
	}
	close(end)
	<-stopped
	mu.Lock()
	n := finished
	mu.Unlock()
	if n == 0 || n != len(f.events) {
		t.Errorf("%d of %d runs were waited for", n, len(f.events))
	}
	f.s.Later()
	if seen := f.saw(); len(seen)+f.s.Left() < 10 {
		t.Errorf("%d were seen and %d are left, of 10", len(seen), f.s.Left())
	}
}
