package gate

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"casemate"
)

// till is a purse that counts what it is asked.
type till struct {
	holds, settles int
	refuse         error
	spend          casemate.Spend
	done           bool
	ran            bool
	cost           casemate.Money
	keep           bool
}

func (p *till) Hold(_ context.Context, _ time.Time, s *casemate.Spend) (casemate.Hold, error) {
	if p.refuse != nil {
		return casemate.Hold{}, p.refuse
	}
	p.holds++
	p.spend = *s
	return casemate.Hold{Event: s.Event, Amount: 100, Book: "b", Tags: []string{"team=web"}, Keep: p.keep}, nil
}

func (p *till) Settle(_ context.Context, _ time.Time, h casemate.Hold, r *casemate.Record, ran bool) (casemate.Money, string) {
	p.settles++
	p.done, p.ran = h.Done, ran
	if r.Usage.Wall > 0 {
		p.cost = 7
	}
	return p.cost, h.Book
}

func (r *rig) withPurse(t *testing.T, p *till, q *memQueue, change func(c *Config)) *Gate {
	t.Helper()
	g := r.gate(t, q)
	g.c.Purse = p
	if change != nil {
		change(&g.c)
	}
	return g
}

// TestMoneyIsHeldAndSettledOnceOnEveryPath: whatever becomes of an event, what was held is given back exactly once.
func TestMoneyIsHeldAndSettledOnceOnEveryPath(t *testing.T) {
	used := func(f casemate.Failure) func(context.Context, *casemate.Launch) (*casemate.Result, error) {
		return func(context.Context, *casemate.Launch) (*casemate.Result, error) {
			return &casemate.Result{Failure: f, Usage: casemate.Usage{Wall: time.Millisecond}, Effects: []casemate.Effect{{Kind: casemate.EffectConnect, Verdict: casemate.Allowed, Out: 5, In: 3},
				{Kind: casemate.EffectConnect, Verdict: casemate.Denied, Out: 50}}}, nil
		}
	}
	for name, c := range map[string]struct {
		rig   func(r *rig)
		gate  func(c *Config)
		event func(e *casemate.Event)
		holds int
		ran   bool
		done  bool
		cost  casemate.Money
	}{
		"answered": {rig: func(r *rig) { r.runner = used("") }, holds: 1, ran: true, done: true, cost: 7},
		"failed":   {rig: func(r *rig) { r.runner = used(casemate.FailureExit) }, holds: 1, ran: true, cost: 7},
		"the platform failed": {rig: func(r *rig) {
			r.runner = func(context.Context, *casemate.Launch) (*casemate.Result, error) { return nil, errors.New("x") }
		}, holds: 1, ran: true},
		"the run panicked": {rig: func(r *rig) {
			r.runner = func(context.Context, *casemate.Launch) (*casemate.Result, error) { panic("x") }
		}, holds: 1, ran: true},
		"the check panicked": {rig: func(r *rig) { r.clean = func([]byte) ([]byte, error) { panic("x") } }, holds: 1},
		"the body is refused": {rig: func(r *rig) {
			r.clean = func([]byte) ([]byte, error) { return nil, casemate.Errorf(casemate.Invalid, "", "no") }
		}, holds: 1},
		"the answer is refused": {rig: func(r *rig) { r.runner = used("") }, gate: func(c *Config) {
			c.Leave = func(*casemate.Match, *casemate.Event, *casemate.Principal, *casemate.Result) error {
				return casemate.Errorf(casemate.FunctionFailed, "", "no")
			}
		}, holds: 1, ran: true, cost: 7},
		"answered from what was kept": {gate: func(c *Config) {
			c.Kept = func(context.Context, time.Time, *casemate.Match, *casemate.Event, *casemate.Principal, func(context.Context) (*casemate.Result, error)) (*casemate.Result, error) {
				return &casemate.Result{Usage: casemate.Usage{Wall: time.Hour}}, nil
			}
		}, holds: 1, done: true},
		"a dry run":             {event: func(e *casemate.Event) { e.DryRun = true }},
		"refused by the policy": {rig: func(r *rig) { r.decision = casemate.Decision{} }},
		"no room": {rig: func(r *rig) {
			r.reserve = func(casemate.Demand) error { return casemate.Errorf(casemate.Exhausted, "", "no") }
		}},
		"the hold cannot be kept": {gate: func(c *Config) { c.Keep = func(*casemate.Record) error { return errors.New("full") } }, holds: 1},
	} {
		t.Run(name, func(t *testing.T) {
			r, p, e := newRig(), &till{keep: true}, event()
			if c.rig != nil {
				c.rig(r)
			}
			if c.event != nil {
				c.event(e)
			}
			_, _ = r.withPurse(t, p, nil, c.gate).Handle(t.Context(), e)
			rec := r.closed[0]
			if p.holds != c.holds || p.settles != c.holds || p.ran != c.ran || p.done != c.done || rec.Cost != c.cost {
				t.Errorf("held %d, settled %d, ran %v, done %v, cost %d", p.holds, p.settles, p.ran, p.done, rec.Cost)
			}
			if c.holds > 0 && (rec.Held != 100 || rec.Book != "b" || len(rec.Tags) != 1 || rec.Key != "a") {
				t.Errorf("%+v", rec)
			}
			if c.cost > 0 && (rec.Usage.Sent != 5 || rec.Usage.Received != 3) {
				t.Errorf("%+v", rec.Usage)
			}
		})
	}
}

func TestNoMoneyNoRun(t *testing.T) {
	r, ran := newRig(), false
	r.runner = func(context.Context, *casemate.Launch) (*casemate.Result, error) {
		ran = true
		return &casemate.Result{}, nil
	}
	p := &till{refuse: &casemate.Error{Code: casemate.Exhausted, Message: "there is no money left", Rule: "budget app/x per day"}}
	e := event()
	e.Body = body{t}
	_, err := r.withPurse(t, p, nil, nil).Handle(t.Context(), e)
	if casemate.CodeOf(err) != casemate.Exhausted || ran || p.settles != 0 || r.settled != 1 {
		t.Errorf("%v, ran %v, settled %d, room given back %d", err, ran, p.settles, r.settled)
	}
	if last := r.closed[0].Points[len(r.closed[0].Points)-2]; last.Name != casemate.PointRoom || !strings.Contains(last.Reason, "budget app/x per day") {
		t.Errorf("%+v", last)
	}
}

// body fails the test when it is read.
type body struct{ t *testing.T }

func (b body) Read([]byte) (int, error) {
	b.t.Error("the body was read before the money was there")
	return 0, errors.New("no")
}

// TestQueuedEventHoldsAgainWhenItRuns, and waits when there is no money by then: that is no attempt.
func TestQueuedEventHoldsAgainWhenItRuns(t *testing.T) {
	r, q, p := newRig(), &memQueue{}, &till{}
	g, e := r.withPurse(t, p, q, nil), event()
	e.Async = true
	if _, err := g.Handle(t.Context(), e); err != nil || !p.spend.Queue || p.settles != 1 {
		t.Fatalf("%v, %+v", err, p)
	}
	p.refuse = casemate.Errorf(casemate.Exhausted, "", "no money")
	q.drain(t, g, 3)
	if len(q.delay) != 3 || len(q.dead) != 0 || p.holds != 1 {
		t.Fatalf("%d delays, %d dead, %d holds", len(q.delay), len(q.dead), p.holds)
	}
	p.refuse = nil
	q.drain(t, g, 1)
	if p.holds != 2 || p.settles != 2 || p.spend.Queue || p.spend.Root || p.spend.Source != casemate.SourceAsync || !p.done || q.done != 1 {
		t.Errorf("%+v, done %d", p, q.done)
	}
}
