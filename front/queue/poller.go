package queue

import (
	"context"
	"sync"
	"time"

	"casemate"
	"casemate/internal/pause"
	"casemate/pattern"
)

// poller takes the messages of one mapping: one goroutine receives, and one for each batch gives it to the function.
type poller struct {
	f       *Front
	m       *casemate.Mapping
	filters []*pattern.Pattern
	cancel  context.CancelFunc
	done    chan struct{}
	broken  bool
	gone    bool // no mapping any more
	room    *room
	batches sync.WaitGroup

	mu     sync.Mutex
	status Status
}

const (
	pollWait   = 20 * time.Second // of one look at an empty queue
	maxPause   = time.Minute
	maxPayload = 6 << 20 // bytes of one event, as of Lambda
	envelope   = 1 << 10 // bytes that are kept free of them
)

func (p *poller) over() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func (p *poller) now() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status
}

func (p *poller) say(state, result string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if state != "" {
		p.status.State = state
	}
	if result != "" {
		p.status.Result = result
	}
}

// run polls until ctx ends and then waits for what it began.
func (p *poller) run(ctx context.Context) {
	defer p.batches.Wait()
	if p.m.Disabled || p.broken {
		p.say(Disabled, "")
		return
	}
	p.say(Enabled, "")
	wait := p.f.c.Pause
	for ctx.Err() == nil {
		err := p.poll(ctx)
		if err == nil {
			wait = p.f.c.Pause
			continue
		}
		if ctx.Err() != nil {
			break
		}
		p.say("", "PROBLEM: "+casemate.AsError(err).Message)
		p.f.c.Log.Warn("taking from a queue", "mapping", p.m.ID, "source", p.m.Source, "err", err)
		if !pause.For(ctx, wait) {
			break
		}
		wait = min(2*wait, maxPause)
	}
	p.say(Disabling, "")
}

// poll takes one batch and hands it over. It has room for it first: what is taken is begun.
func (p *poller) poll(ctx context.Context) error {
	for _, action := range [...]string{"sqs:ReceiveMessage", "sqs:DeleteMessage"} {
		if err := p.f.c.May(p.m, action); err != nil {
			return err
		}
	}
	source, err := p.f.c.Open(p.m.Source)
	if err != nil {
		return err
	}
	if err := p.room.enter(ctx); err != nil {
		return err
	}
	list, err := p.gather(ctx, &source)
	if err != nil || len(list) == 0 {
		p.room.leave()
		return err
	}
	p.batches.Go(func() {
		defer p.room.leave()
		// It is finished even while stopping: its run may have had effects, and its end must be recorded.
		b := batch{poller: p, source: source, begun: time.Now(), stopping: ctx}
		b.take(context.WithoutCancel(ctx), list)
	})
	return nil
}

// gather receives until the batch is full, its window is over, or there are no more messages where there is no window.
func (p *poller) gather(ctx context.Context, s *Source) ([]Message, error) {
	list, err := s.Receive(ctx, p.m.Batch, pollWait)
	if err != nil || len(list) == 0 || p.m.Window <= 0 {
		return list, err
	}
	until := time.Now().Add(min(p.m.Window, s.Visibility/2))
	size := sizeOf(list)
	for len(list) < p.m.Batch && size < maxPayload {
		left := time.Until(until)
		if left <= 0 {
			break
		}
		more, err := s.Receive(ctx, p.m.Batch-len(list), min(left, pollWait))
		if err != nil { // what is there is there
			break
		}
		size += sizeOf(more)
		list = append(list, more...)
	}
	return list, nil
}

func sizeOf(list []Message) (n int) {
	for i := range list {
		n += len(list[i].Record.Body)
	}
	return n
}

// room is how many events of a mapping run at once: no more than it says, fewer while the function is throttled, and one more
// again with every event that it took.
type room struct {
	mu     sync.Mutex
	most   int
	allow  float64
	busy   int
	change chan struct{}
}

func newRoom(m *casemate.Mapping, slots int) *room {
	most := slots
	if m.Concurrency > 0 {
		most = m.Concurrency
	}
	return &room{most: most, allow: float64(min(most, 5)), change: make(chan struct{})}
}

func (r *room) enter(ctx context.Context) error {
	for {
		r.mu.Lock()
		if float64(r.busy) < r.allow {
			r.busy++
			r.mu.Unlock()
			return nil
		}
		change := r.change
		r.mu.Unlock()
		select {
		case <-change:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (r *room) leave() { r.update(func() { r.busy-- }) }

// taken has one more run at once, throttled half as many.
func (r *room) taken() {
	r.update(func() { r.allow = min(r.allow+1, float64(r.most)) })
}

func (r *room) throttled() { r.update(func() { r.allow = max(r.allow/2, 1) }) }

func (r *room) update(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
	close(r.change)
	r.change = make(chan struct{})
}
