package gate

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"casemate"
)

type watcher []string

func (w *watcher) Received(f string) { *w = append(*w, "received "+f) }
func (w *watcher) Aged(f string, age time.Duration) {
	*w = append(*w, fmt.Sprint("aged ", f, " ", age))
}
func (w *watcher) Dropped(f, why string) { *w = append(*w, "dropped "+f+" "+why) }
func (w *watcher) Undelivered(f string)  { *w = append(*w, "undelivered "+f) }

// TestAsyncEventsAreCounted: each that is queued, every attempt, and what is given up.
func TestAsyncEventsAreCounted(t *testing.T) {
	r, q, w := newRig(), &memQueue{}, &watcher{}
	r.runner = func(context.Context, *casemate.Launch) (*casemate.Result, error) {
		r.now = r.now.Add(time.Second)
		return &casemate.Result{Failure: casemate.FailureHandled}, nil
	}
	g := r.gate(t, q)
	g.c.Watch = w
	e := event()
	e.Async = true
	if _, err := g.Handle(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	f := q.items[0]
	q.drain(t, g, 10)
	name := q.dead[0].Function
	want := []string{"received " + name, "aged " + name + " 0s", "aged " + name + " 1s", "aged " + name + " 2s", "dropped " + name + " RetriesExhausted"}
	if !slices.Equal(*w, want) || f == nil {
		t.Errorf("counted %q, want %q", *w, want)
	}
}
