package gate

import (
	"casemate/internal/pause"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"casemate"
)

// Queue keeps accepted events until they are done. Put is durable when it returns.
type Queue interface {
	// Put takes an event under an id. function is what it counts for while it waits; "": for none.
	Put(ctx context.Context, id, function string, data []byte) error
	Next(ctx context.Context) (*Delivery, error)
}

// Watch is told what asynchronous events come to.
type Watch interface {
	Received(function string)                // it was queued
	Aged(function string, age time.Duration) // an attempt begins
	Dropped(function, why string)            // it will not be tried again
	Undelivered(function string)             // its destination did not take word of its end
}

// unwatched is a Watch that looks away.
type unwatched struct{}

func (unwatched) Received(string)            {}
func (unwatched) Aged(string, time.Duration) {}
func (unwatched) Dropped(string, string)     {}
func (unwatched) Undelivered(string)         {}

// Delivery is one accepted event in the hands of one worker.
type Delivery struct {
	ID      string
	Data    []byte
	Attempt int // deliveries so far, this one included
	Done    func(ctx context.Context) error
	Retry   func(ctx context.Context, after time.Duration) error
}

// DeadLetter is an event that will not be tried again, and why.
type DeadLetter struct {
	ID        string           `json:"id"`
	Function  string           `json:"function"`
	Condition string           `json:"condition"` // RetriesExhausted, EventAgeExceeded, Refused or DestinationFailed
	Attempts  int              `json:"attempts"`
	Code      casemate.Code    `json:"code"`
	Failure   casemate.Failure `json:"failure,omitempty"`
	Accepted  time.Time        `json:"accepted"`
	Died      time.Time        `json:"died"`
	Event     json.RawMessage  `json:"event"` // the queued event, as it can be put back

	Destination string `json:"destination,omitempty"` // ARN of what did not take word of the event's end
	Reason      string `json:"reason,omitempty"`      // why it did not
}

// queued is an accepted event as the queue holds it: already named, allowed, checked and encoded.
type queued struct {
	ID        string              `json:"id"`
	Chain     string              `json:"chain"`
	Parent    string              `json:"parent,omitempty"`
	Depth     int                 `json:"depth,omitempty"`
	Target    casemate.Target     `json:"target"`
	Action    string              `json:"action,omitempty"`
	Resource  string              `json:"resource,omitempty"`
	Principal *casemate.Principal `json:"principal"`
	Context   map[string][]string `json:"context,omitempty"`
	Trace     casemate.Trace      `json:"trace"`
	Accepted  time.Time           `json:"accepted"`
	Retries   int                 `json:"retries"`
	MaxAge    time.Duration       `json:"max_age"`
	Function  string              `json:"function"`
	Payload   []byte              `json:"payload"`
	Client    string              `json:"client_context,omitempty"`
	Tenant    string              `json:"tenant,omitempty"`

	ARN    string                 `json:"arn,omitempty"` // of the function, with a qualifier
	Role   string                 `json:"role,omitempty"`
	Told   *casemate.Destinations `json:"told,omitempty"`
	Onward *Onward                `json:"onward,omitempty"` // set: there is nothing to run, only this to send
	Once   *casemate.Once         `json:"once,omitempty"`   // of an event with an idempotency key
}

// AsyncPayloadLimit is AWS Lambda's for asynchronous events: 1 MB (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html).
const AsyncPayloadLimit = 1 << 20

// Back-off of AWS Lambda's asynchronous invocation: one minute, then two, for the function's own errors; throttles and
// platform errors wait a second, growing to five minutes, for as long as the event's age allows.
const (
	firstRetry  = time.Minute
	secondRetry = 2 * time.Minute
	maxBackoff  = 5 * time.Minute
	maxAge      = 6 * time.Hour
)

// enqueue stores an admitted event durably; the caller's 202 comes after.
func (g *Gate) enqueue(ctx context.Context, a *admitted, s *story) (*casemate.Result, error) {
	if g.c.Queue == nil {
		return nil, &casemate.Error{Code: casemate.Unavailable, Message: "this node takes no asynchronous events"}
	}
	if a.match.Version.Runtime == "builtin" {
		return nil, s.refuse(casemate.PointForm, casemate.Errorf(casemate.Invalid, "ask again without async", "an operation of the platform runs at once or not at all"))
	}
	if len(a.payload) > AsyncPayloadLimit {
		return nil, s.refuse(casemate.PointForm, tooLarge(AsyncPayloadLimit))
	}
	e, v := a.event, a.match.Version
	policy := v.Async
	if a.match.Async != nil {
		policy = *a.match.Async
	}
	q := queued{ID: e.ID, Chain: e.Chain, Parent: e.Parent, Depth: e.Depth, Target: e.Target, Action: e.Action, Resource: e.Resource,
		Principal: a.principal, Context: e.Context, Trace: e.Trace, Accepted: e.Received, Retries: policy.Retries, MaxAge: policy.MaxAge,
		Function: v.Function, Payload: a.payload, Client: e.ClientContext, Tenant: a.tenant,
		ARN: qualified(a), Role: v.Role}
	if t := a.match.Told; t != nil {
		q.Told = t
	} else if t := v.Told(); t != (casemate.Destinations{}) {
		q.Told = &t
	}
	if q.MaxAge <= 0 || q.MaxAge > maxAge {
		q.MaxAge = maxAge
	}
	var err error
	if q.Once, err = g.once(a); err != nil {
		return nil, s.refuse(casemate.PointForm, err)
	}
	data, err := json.Marshal(&q)
	if err != nil {
		return nil, fmt.Errorf("encoding an accepted event: %w", err)
	}
	again, err := g.queue(ctx, &q, func() error { return g.c.Queue.Put(ctx, e.ID, v.Function, data) })
	switch casemate.CodeOf(err) {
	case casemate.Conflict:
		return nil, s.refuse(casemate.PointForm, err)
	case casemate.Exhausted:
		return nil, s.refuse(casemate.PointRoom, err)
	}
	if err != nil {
		return nil, fmt.Errorf("queueing: %w", err)
	}
	if a.ok, a.again = true, again != ""; !a.again {
		g.c.Watch.Received(v.Function)
	}
	return &casemate.Result{Accepted: true, Again: again, Match: a.match, Principal: a.principal}, nil
}

// qualified is the ARN that the function was called by, with $LATEST where that has no qualifier.
func qualified(a *admitted) string {
	arn := invoked(a)
	if strings.Count(arn, ":") < 7 { // arn:aws:lambda:<region>:<account>:function:<name>
		arn += ":$LATEST"
	}
	return arn
}

// Start begins to run queued events, Config.Workers at a time. Stop ends it.
func (g *Gate) Start(ctx context.Context) {
	if g.c.Queue == nil || g.stop != nil {
		return
	}
	ctx, g.stop = context.WithCancel(ctx)
	for range g.c.Workers {
		g.workers.Go(func() { g.work(ctx) })
	}
}

// Stop takes no more queued events and waits for the running ones. What was not done stays queued.
func (g *Gate) Stop() {
	if g.stop != nil {
		g.stop()
	}
	g.workers.Wait()
}

// Cut says that runs are being ended from outside, so that Stop need not wait for them: their failures are the node's from
// now on. Who waits for one is told to come again, and a queued event stays queued.
func (g *Gate) Cut() { g.cut.Store(true) }

func (g *Gate) work(ctx context.Context) {
	for ctx.Err() == nil {
		d, err := g.c.Queue.Next(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			g.c.Log.Error("taking from the queue", "err", err)
			if !pause.For(ctx, time.Second) {
				return
			}
			continue
		}
		// A delivery is finished even while stopping: its run may have had effects, and its end must be recorded.
		if err := g.deliver(context.WithoutCancel(ctx), d); err != nil {
			g.c.Log.Error("delivering a queued event", "request", d.ID, "err", err)
		}
	}
}

// deliver takes one queued event through the corridor again and decides what becomes of it.
func (g *Gate) deliver(ctx context.Context, d *Delivery) error {
	var q queued
	if err := json.Unmarshal(d.Data, &q); err != nil {
		return g.buried(ctx, d, &q, DeadLetter{Condition: endRefused, Code: casemate.Fault})
	}
	if q.Onward != nil {
		return g.pass(ctx, d, &q)
	}
	if mine, err := g.mine(ctx, &q); err != nil {
		return d.Retry(ctx, g.backoff(d.ID))
	} else if !mine {
		return d.Done(ctx) // nobody was told that it was accepted
	}
	attempt := d.Attempt - g.throttled(d.ID)
	if g.c.Clock().Sub(q.Accepted) > q.MaxAge {
		return g.over(ctx, d, &q, end{condition: endAge, runs: attempt - 1})
	}
	g.c.Watch.Aged(q.Function, g.c.Clock().Sub(q.Accepted))
	res, err := g.Handle(ctx, q.event(attempt))
	if err != nil {
		return g.refused(ctx, d, &q, casemate.CodeOf(err))
	}
	switch {
	case res.Failure == casemate.FailureNone:
		return g.over(ctx, d, &q, end{endSuccess, attempt, res})
	case attempt <= q.Retries:
		return d.Retry(ctx, []time.Duration{firstRetry, secondRetry}[min(attempt-1, 1)])
	}
	return g.over(ctx, d, &q, end{endRetries, attempt, res})
}

// refused deals with a delivery that did not run: for want of room or by our own fault it waits, and that is no attempt;
// what was allowed when it was accepted and is refused now is dead.
func (g *Gate) refused(ctx context.Context, d *Delivery, q *queued, code casemate.Code) error {
	switch code {
	case casemate.Exhausted, casemate.Unavailable, casemate.Fault:
		if g.cut.Load() {
			return d.Retry(ctx, 0)
		}
		return d.Retry(ctx, g.backoff(d.ID))
	}
	g.c.Watch.Dropped(q.Function, endRefused)
	return g.buried(ctx, d, q, DeadLetter{Condition: endRefused, Attempts: d.Attempt - g.throttled(d.ID), Code: code})
}

func (q *queued) event(attempt int) *casemate.Event {
	e := &casemate.Event{ID: q.ID, Chain: q.Chain, Parent: q.Parent, Depth: q.Depth, Source: casemate.SourceAsync, Target: q.Target,
		Action: q.Action, Resource: q.Resource, Credential: casemate.Credential{Kind: casemate.CredentialRun, As: q.Principal},
		Context: q.Context, Attempt: attempt, Trace: q.Trace.Child(), Payload: q.Payload, ClientContext: q.Client, Tenant: q.Tenant}
	return e
}

func (g *Gate) throttled(id string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.throttles[id]
}

// backoff notes that a delivery was no attempt and gives its delay.
func (g *Gate) backoff(id string) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.throttles[id]
	g.throttles[id] = n + 1
	return min(time.Second<<min(n, 12), maxBackoff)
}

func (g *Gate) forget(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.throttles, id)
}

// bury lists an event that failed, and that no destination is told of.
func (g *Gate) bury(ctx context.Context, d *Delivery, q *queued, x end) error {
	dead := DeadLetter{Condition: x.condition, Attempts: x.runs, Code: casemate.Timeout}
	if x.res != nil {
		dead.Code, dead.Failure = casemate.FunctionFailed, x.res.Failure
	}
	return g.buried(ctx, d, q, dead)
}

// buried lists an event as dead, durably, before it leaves the queue. One that only had word to bring keeps its place's name:
// the event that it was about may be listed as well.
func (g *Gate) buried(ctx context.Context, d *Delivery, q *queued, dead DeadLetter) error {
	dead.ID, dead.Function, dead.Accepted, dead.Died = d.ID, q.Function, q.Accepted, g.c.Clock()
	if q.ID != "" { // a damaged item has only its place in the queue
		dead.Event = d.Data
	}
	if q.ID != "" && q.Onward == nil {
		dead.ID = q.ID
	}
	if err := g.c.Dead(ctx, dead); err != nil {
		return fmt.Errorf("listing a dead letter: %w", err)
	}
	g.forget(d.ID)
	return d.Done(ctx)
}

// Again makes a dead letter's event ready to be queued once more: its age counts from now.
func Again(event json.RawMessage, now time.Time) ([]byte, error) {
	var q queued
	if err := json.Unmarshal(event, &q); err != nil {
		return nil, fmt.Errorf("reading a dead letter's event: %w", err)
	}
	q.Accepted, q.Once = now, nil // it runs once more, whatever its key stands for by now
	return json.Marshal(&q)
}
