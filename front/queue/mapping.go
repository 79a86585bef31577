package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"casemate"
	"casemate/lambda"
	"casemate/pattern"
)

// Message is one that was received.
type Message struct {
	Record lambda.SQSRecord
	Group  string // of a FIFO queue; its messages stay in their order

	Lineage *casemate.Lineage // of the run that sent it; nil: none did
}

// Queue is what the messages are in. Receive waits for the first message no longer than wait, and then gives what there is, most
// of all. Release makes messages visible again: after some time, and without counting their receive when undo is set.
type Queue interface {
	Receive(ctx context.Context, most int, wait time.Duration) ([]Message, error)
	Delete(ctx context.Context, handles []string) error
	Release(ctx context.Context, handles []string, after time.Duration, undo bool) error
	Bury(ctx context.Context, m *Message, reason string) error // NotFound: there is no dead-letter queue
}

// Source is a queue that was found, with what a mapping has to know of it.
type Source struct {
	Queue
	FIFO       bool
	Visibility time.Duration
}

// Config is what the front needs. All but Log and Clock is required.
type Config struct {
	Handler casemate.Handler
	Open    func(arn string) (Source, error)
	// May says whether the function of a mapping may do this on its queue: whoever may only send to a function must not read a
	// queue through it.
	May func(m *casemate.Mapping, action string) error
	// Dead lists a message that can never be taken, where its queue has no dead-letter queue.
	Dead  func(ctx context.Context, m *casemate.Mapping, msg *Message, reason error) error
	Place casemate.Place
	Clock func() time.Time // nil: time.Now
	Log   *slog.Logger     // nil: nowhere
	Slots int              // events at once of a mapping that bounds nothing; default 16
	Pause time.Duration    // first wait after a failure to take or give; default a second, growing to a minute
}

// The states of a mapping, as Lambda's API has them.
const (
	Creating  = "Creating"
	Enabled   = "Enabled"
	Disabling = "Disabling"
	Disabled  = "Disabled"
)

// Status is how a mapping stands.
type Status struct {
	State  string
	Result string // of what it did last: "No records processed", "OK", "PROBLEM: ..."
}

// Front polls the queues of all mappings. Set says which there are; Stop ends it.
type Front struct {
	c Config

	mu      sync.Mutex
	pollers map[string]*poller
	stopped bool
}

// New makes a front without mappings.
func New(c Config) (*Front, error) {
	if c.Handler == nil || c.Open == nil || c.May == nil || c.Dead == nil {
		return nil, errors.New("opening the queue source: something is missing from its configuration")
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Slots <= 0 {
		c.Slots = 16
	}
	if c.Pause <= 0 {
		c.Pause = time.Second
	}
	return &Front{c: c, pollers: map[string]*poller{}}, nil
}

// Set has exactly these mappings at work. One that changed takes nothing more as it was, and begins anew; what it has taken it
// finishes. It does not wait.
func (f *Front) Set(all []*casemate.Mapping) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped {
		return
	}
	next := map[string]*poller{}
	for _, m := range all {
		if p := f.pollers[m.ID]; p != nil && same(p.m, m) {
			next[m.ID] = p
			continue
		}
		next[m.ID] = f.start(m, f.pollers[m.ID])
	}
	for id, p := range f.pollers {
		if next[id] != p {
			p.cancel()
		}
	}
	for id, p := range f.pollers {
		if next[id] == nil && !p.over() { // still at work on what it took: Stop waits for it, and another Set follows it
			p.gone = true
			next[id] = p
		}
	}
	f.pollers = next
}

func same(a, b *casemate.Mapping) bool {
	x, y := *a, *b
	x.Filters, y.Filters = nil, nil
	return fmt.Sprint(x) == fmt.Sprint(y) && fmt.Sprintf("%q", a.Filters) == fmt.Sprintf("%q", b.Filters)
}

// start makes a poller; it waits for the one before it, so that no two hold more than one's share.
func (f *Front) start(m *casemate.Mapping, before *poller) *poller {
	ctx, cancel := context.WithCancel(context.Background())
	p := &poller{f: f, m: m, cancel: cancel, done: make(chan struct{}), status: Status{Creating, "No records processed"}, room: newRoom(m, f.c.Slots)}
	for _, text := range m.Filters {
		x, err := pattern.Parse([]byte(text))
		if err != nil {
			p.status.Result = "PROBLEM: a filter is no pattern"
			p.broken = true
		}
		p.filters = append(p.filters, x)
	}
	go func() {
		defer close(p.done)
		if before != nil {
			before.cancel()
			<-before.done
		}
		p.run(ctx)
	}()
	return p
}

// Status tells how a mapping stands; ok is false for one that is not there.
func (f *Front) Status(id string) (Status, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.pollers[id]
	if p == nil || p.gone {
		return Status{}, false
	}
	return p.now(), true
}

// Stop takes nothing more, gives back what nobody began, and waits for what is under way.
func (f *Front) Stop() {
	f.mu.Lock()
	f.stopped = true
	all := f.pollers
	f.mu.Unlock()
	for _, p := range all {
		p.cancel()
	}
	for _, p := range all {
		<-p.done
	}
}
