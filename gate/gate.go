// Package gate is the corridor: the one way from an event to a run. Every event, whatever its source, is heard, named,
// found, allowed, given room, checked for form, run and recorded here, in this order and nowhere else.
//
// The gate knows no store, no sandbox and no front: what it needs comes in as the small interfaces below.
package gate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"casemate"
	"casemate/outflow"
)

// Identity turns an event's credential into a principal. No credential gives a principal that is nobody, and no error. m is
// the route that the event came by, or nil: some credentials mean something on their own route alone.
type Identity interface {
	Verify(ctx context.Context, e *casemate.Event, m *casemate.Match) (*casemate.Principal, error)
}

// Catalog finds what an event asks for, in one consistent snapshot.
type Catalog interface {
	Resolve(e *casemate.Event) (*casemate.Match, error)
}

// Quota gives room and takes it back. Reserve takes from every bucket or from none; it may wait for a short time, no longer
// than ctx.
type Quota interface {
	Reserve(ctx context.Context, now time.Time, d casemate.Demand) (casemate.Reservation, error)
	Settle(now time.Time, r casemate.Reservation)
}

// Purse holds money back for the most that an event can cost, and takes what it did cost. A Hold that fails means: refuse.
type Purse interface {
	Hold(ctx context.Context, now time.Time, s *casemate.Spend) (casemate.Hold, error)
	// Settle is called once for every Hold, whatever came of it; ran is false when nothing was started. What it gives is
	// the cost, and the digest of the price book that it was reckoned by.
	Settle(ctx context.Context, now time.Time, h casemate.Hold, r *casemate.Record, ran bool) (cost casemate.Money, book string)
}

// Flow begins a step of a declared order of calls, or refuses it. No other step of the flow that key names begins for
// patience, or until done is told whether this one came to something.
type Flow interface {
	Take(ctx context.Context, now time.Time, s *casemate.FlowStep, key, event string, patience time.Duration) (done func(ctx context.Context, ok bool), err error)
}

// Ledger opens a record before anything is decided and closes it exactly once. A Begin that fails means: refuse.
type Ledger interface {
	Begin(r *casemate.Record) error
	End(ctx context.Context, r *casemate.Record, w casemate.Wait) error
}

// Config is everything the corridor is made of. All fields but those that say what nil means are needed.
type Config struct {
	Identity Identity
	Catalog  Catalog
	Quota    Quota
	Clean    func(m *casemate.Match, e *casemate.Event, raw []byte) (casemate.Cleaned, error) // shield, inbound
	Run      casemate.Runner
	Ledger   Ledger
	Clock    func() time.Time
	Log      *slog.Logger // nil: nothing is logged

	Purse Purse // nil: nothing has a price
	// Plan is the usage plan of a principal, nil for none; an error when the one that is named does not exist. nil: nobody
	// has one.
	Plan func(p *casemate.Principal) (*casemate.Plan, error)
	// Keep has the opened record survive a kill -9 as it is now, with what was held for it. nil: it is forgotten then.
	Keep func(r *casemate.Record) error
	// Leave is the shield, outbound: it may change r.Answer or r.Payload, and refuses what must not leave. nil: all leaves.
	Leave func(m *casemate.Match, e *casemate.Event, p *casemate.Principal, r *casemate.Result) error
	// Sieve looks at the head of an answer that is to leave while it is made, which it may change, and gives what looks at its
	// body; a nil Sieve without an error has the answer come whole, to be looked at by Leave. nil: all of them come whole.
	Sieve  func(m *casemate.Match, e *casemate.Event, head *casemate.Answer) (Sieve, error)
	Stream outflow.Bounds // of answers that leave while they are made; how much one may hold its version says

	Flow Flow // nil: routes that are a step of a flow refuse
	// Kept gives an answer that was kept for an equal event, or has run give one. nil: every event runs.
	Kept func(ctx context.Context, now time.Time, m *casemate.Match, e *casemate.Event, p *casemate.Principal, run func(context.Context) (*casemate.Result, error)) (*casemate.Result, error)

	// Onward is the event by which word of another's end gets to its destination. nil: all of it is listed as dead.
	Onward func(o *Onward) (*casemate.Event, error)

	Watch Watch // nil: nobody counts asynchronous events
	Keys  Keys  // nil: events with an idempotency key are refused

	Room    func() error                                  // nil: there is always room; an error refuses new runs, while looks at the node go on
	Queue   Queue                                         // nil: asynchronous events are refused
	Dead    func(ctx context.Context, d DeadLetter) error // nil exactly when Queue is nil
	Observe []func(r *casemate.Record)                    // told of every closed record: meter, telemetry
	Wait    casemate.Wait                                 // how far the record of a synchronous invoke must be; the zero value is durable
	Source  casemate.Rate                                 // per source address, before anything else is looked at
	Block   Bits                                          // of the network around it; the zero value is /24 and /48
	Workers int                                           // asynchronous events run at once; default 8
}

// Bits is how much of an address names the network that one owner may have all of.
type Bits struct{ IPv4, IPv6 int }

// Gate is the corridor, open. Its Handle is a casemate.Handler.
type Gate struct {
	c       Config
	workers sync.WaitGroup
	stop    context.CancelFunc
	cut     atomic.Bool

	mu        sync.Mutex
	throttles map[string]int // deliveries of a queued event that were no attempt, by event id
}

// New checks that the corridor is complete: a missing check is an error here, never an open door later.
func New(c Config) (*Gate, error) {
	switch {
	case c.Identity == nil, c.Catalog == nil, c.Quota == nil, c.Clean == nil, c.Run == nil, c.Ledger == nil, c.Clock == nil:
		return nil, errors.New("opening the gate: a check is missing from its configuration")
	case (c.Queue == nil) != (c.Dead == nil):
		return nil, errors.New("opening the gate: a queue needs a dead-letter list")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Watch == nil {
		c.Watch = unwatched{}
	}
	if c.Workers <= 0 {
		c.Workers = 8
	}
	if c.Block.IPv4 <= 0 {
		c.Block.IPv4 = 24
	}
	if c.Block.IPv6 <= 0 {
		c.Block.IPv6 = 48
	}
	return &Gate{c: c, throttles: map[string]int{}}, nil
}

// Handle takes one event through the corridor. It returns when the run is over (or queued, or refused) and its record
// has come as far as the configuration asks; the record is closed on every path, panics included.
func (g *Gate) Handle(ctx context.Context, e *casemate.Event) (res *casemate.Result, err error) {
	s := g.open(e)
	if err := g.c.Ledger.Begin(&s.rec); err != nil {
		return nil, unavailable("the record cannot be opened", err)
	}
	defer func() {
		if cause := recover(); cause != nil {
			g.c.Log.Error("run panicked", "request", e.ID, "cause", fmt.Sprint(cause))
			res, err = nil, &casemate.Error{Code: casemate.Fault, Message: "internal error", Err: fmt.Errorf("panic: %v", cause)}
		}
		res, err = g.close(ctx, s, res, err)
	}()
	a, err := g.admit(ctx, e, s)
	if err != nil {
		return nil, err
	}
	defer g.settle(ctx, &a, s)
	switch {
	case e.DryRun:
		return &casemate.Result{Match: a.match, Principal: a.principal}, nil
	case e.Async:
		return g.enqueue(ctx, &a, s)
	}
	return g.serve(ctx, &a, s)
}

// wait says how far a record must have come before its caller is answered: acts on the platform itself and accepted
// work are durable always.
func (g *Gate) wait(e *casemate.Event) casemate.Wait {
	if e.Source == casemate.SourceAdmin || e.Async {
		return casemate.Durable
	}
	return g.c.Wait
}

// close writes the outcome into the record, hands it to the ledger and only then lets the answer out.
func (g *Gate) close(ctx context.Context, s *story, res *casemate.Result, err error) (*casemate.Result, error) {
	s.outcome(g.c.Clock(), res, err)
	// The record is written even when the caller has gone: its going away must not leave a gap.
	if lost := g.c.Ledger.End(context.WithoutCancel(ctx), &s.rec, g.wait(s.event)); lost != nil {
		g.c.Log.Error("record not written", "request", s.event.ID, "err", lost)
		return nil, unavailable("the record of this run cannot be written", lost)
	}
	for _, observe := range g.c.Observe {
		observe(&s.rec)
	}
	if res != nil {
		res.Record = s.rec.ID
	}
	return res, err
}

func unavailable(what string, err error) *casemate.Error {
	if e := (*casemate.Error)(nil); errors.As(err, &e) && e.Code == casemate.Unavailable {
		return e
	}
	return &casemate.Error{Code: casemate.Unavailable, Message: what, Hint: "look at the node's log; free disk space if it is full",
		Retry: 5, Err: err}
}

// Refused records requests that a front refused without reading them, as one refusal of so many: none of them is missing
// from the record, and a flood does not fill it.
func (g *Gate) Refused(ctx context.Context, t casemate.Turned) {
	s := g.open(&casemate.Event{Source: casemate.SourceHTTP, SourceIP: t.Source})
	s.rec.Times = t.Times
	if t.Principal != "" {
		s.rec.Principal = t.Principal
	}
	if err := g.c.Ledger.Begin(&s.rec); err != nil {
		g.c.Log.Error("refusals not recorded", "times", t.Times, "err", err)
		return
	}
	err := &casemate.Error{Code: casemate.Exhausted, Message: fmt.Sprintf("%d requests refused unread: the %s was used up", t.Times, t.Rule), Rule: t.Rule}
	_, _ = g.close(ctx, s, nil, s.refuse(casemate.PointRoom, err)) // the refusals were answered already
}
