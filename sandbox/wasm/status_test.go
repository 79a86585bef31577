package wasm

import (
	"context"
	"os"
	"testing"
	"time"

	"casemate"
	"casemate/internal/casetest/guests"
)

// TestWorkers: a worker is listed from its start to its end, with what its events did.
func TestWorkers(t *testing.T) {
	e, inside, on := &exit{}, make(chan bool), make(chan bool)
	e.fetch = func(context.Context, *casemate.Fetch) (*casemate.Fetched, error) {
		e.record(casemate.Effect{Kind: casemate.EffectConnect, Target: "a.example:80", Verdict: casemate.Denied})
		inside <- true
		<-on
		return nil, casemate.Errorf(casemate.Forbidden, "", "no grant")
	}
	b := newBed(t, func(c *Config) {
		c.Doors, c.MaxWorkers = e.doors, 1
		start := c.Start
		c.Start = func(ctx context.Context, s *Spec) (*Started, error) {
			if s.Cache != "" { // not the compile step
				inside <- true
				<-on
			}
			return start(ctx, s)
		}
	})
	v := b.version("fetch", guests.FetchReactor(nil))
	v.Isolation = casemate.IsolationTenant
	if list := b.Workers(); len(list) != 0 {
		t.Errorf("before the first event: %+v", list)
	}
	ended := make(chan bool)
	go func() {
		defer close(ended)
		l := b.launch(v, ask(request, 1))
		l.Partition = "the tenant"
		if _, err := b.Run(context.Background(), l); err != nil {
			t.Error(err)
		}
	}()
	check := func(state string, runs, refused int) WorkerStatus {
		t.Helper()
		list := b.Workers()
		if len(list) != 1 {
			t.Fatalf("%d workers", len(list))
		}
		w := list[0]
		if w.State != state || w.App != "app" || w.Function != "fetch" || w.Version != 1 || w.Runs != runs || w.Refused != refused || len(w.Partition) != 8 ||
			w.Isolation != casemate.IsolationTenant {
			t.Errorf("%+v; want it %s with %d runs", w, state, runs)
		}
		return w
	}
	<-inside
	check("starting", 0, 0)
	on <- true
	<-inside
	if w := check("busy", 0, 1); w.Started.IsZero() || w.PID == 0 || w.CPU == 0 && w.Memory == 0 {
		t.Errorf("%+v", w)
	}
	on <- true
	<-ended
	check("idle", 1, 1)
	b.Drop(v.ID)
	if list := b.Workers(); len(list) != 0 {
		t.Errorf("after the last: %+v", list)
	}
}

// A bare process is measured by what the test knows of it.
func (b bare) PID() int                  { return b.cmd.Process.Pid }
func (b bare) Memory() (now, peak int64) { return int64(os.Getpagesize()), int64(os.Getpagesize()) }
func (b bare) CPU() time.Duration        { return 0 }
