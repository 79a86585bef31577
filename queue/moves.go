package queue

import (
	"context"
	"slices"
	"sync"
	"time"

	"casemate"
)

// The states of a move.
const (
	MoveRunning    = "RUNNING"
	MoveCompleted  = "COMPLETED"
	MoveCancelling = "CANCELLING"
	MoveCancelled  = "CANCELLED"
	MoveFailed     = "FAILED"
)

// MaxMoveRate is the most messages a second that a move may be held to.
const MaxMoveRate = 500

const (
	keptMoves  = 10 // of one queue, the newest
	mostMoving = 16 // at once, of all queues
)

// Move is one way of messages out of a dead-letter queue, back to where they came from or to one queue: SQS's message move task
// (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html). It moves those that were
// there when it began, and ends with the node: what it had moved then stays moved.
type Move struct {
	ID      string
	Source  string // names of queues
	Target  string // "": where each came from
	Rate    int    // messages a second; 0: as fast as they go
	Started time.Time
	Status  string
	Moved   int
	Total   int // when it began
	Failure string
}

// moves are those under way, and the last of each queue.
type moves struct {
	mu      sync.Mutex
	all     map[string][]*Move // newest first
	cancels map[string]context.CancelFunc
	work    sync.WaitGroup
	ended   bool
}

// end stops them and waits.
func (m *moves) end() {
	m.mu.Lock()
	m.ended = true
	for _, cancel := range m.cancels {
		cancel()
	}
	m.mu.Unlock()
	m.work.Wait()
}

// forget ends the move out of a queue that is no more, and what is known of those before it.
func (m *moves) forget(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, x := range m.all[name] {
		if cancel := m.cancels[x.ID]; cancel != nil {
			cancel()
		}
	}
	delete(m.all, name)
}

// StartMove begins a move. There is one at a time for a queue, and the queue must be some queue's dead-letter queue. Without a
// queue to, messages go back to those of the queues of back that they came from, and the others stay.
func (r *Room) StartMove(from, to string, back []string, rate int) (*Move, error) {
	q, err := r.Queue(from)
	if err != nil {
		return nil, err
	}
	if len(r.Sources(from)) == 0 {
		return nil, refusal(casemate.Invalid, "UnsupportedOperation", "Source queue must be configured as a Dead Letter Queue.")
	}
	if to != "" {
		t, err := r.Queue(to)
		switch {
		case err != nil:
			return nil, err
		case t == q:
			return nil, refusal(casemate.Invalid, "InvalidParameterValue", "Source queue arn and destination queue arn cannot be the same.")
		case t.s.fifo != q.s.fifo:
			return nil, refusal(casemate.Invalid, "UnsupportedOperation", "A FIFO queue's messages go to FIFO queues alone.")
		}
	}
	m := &r.moves
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ended {
		return nil, &casemate.Error{Code: casemate.Unavailable, Message: "the node is stopping", Retry: 5}
	}
	for _, other := range m.all[from] {
		if m.cancels[other.ID] != nil {
			return nil, refusal(casemate.Invalid, "UnsupportedOperation", "There is already a task running. Only one active task is allowed for a source queue arn at a given time.")
		}
	}
	if len(m.cancels) >= mostMoving {
		return nil, refusal(casemate.Exhausted, "RequestThrottled", "Too many message move tasks are under way.")
	}
	x := &Move{ID: casemate.NewID(), Source: from, Target: to, Rate: rate, Started: r.cfg.Clock(), Status: MoveRunning, Total: q.Counts().Visible}
	ctx, cancel := context.WithCancel(context.Background())
	if m.all == nil {
		m.all, m.cancels = map[string][]*Move{}, map[string]context.CancelFunc{}
	}
	m.all[from] = slices.Insert(m.all[from], 0, x)
	m.all[from] = m.all[from][:min(len(m.all[from]), keptMoves)]
	m.cancels[x.ID] = cancel
	m.work.Go(func() { r.moveAll(ctx, x, back) })
	was := *x
	return &was, nil
}

// moveAll does a move from its beginning to its end.
func (r *Room) moveAll(ctx context.Context, x *Move, back []string) {
	m := &r.moves
	moved, err := r.redrive(context.WithoutCancel(ctx), x.Source, x.Target, x.Total, back, func(moved int) bool {
		m.mu.Lock()
		x.Moved = moved
		m.mu.Unlock()
		if x.Rate > 0 && moved > 0 {
			t := time.NewTimer(time.Second / time.Duration(x.Rate))
			defer t.Stop()
			select {
			case <-ctx.Done():
			case <-t.C:
			}
		}
		return ctx.Err() == nil
	})
	m.mu.Lock()
	defer m.mu.Unlock()
	x.Moved = moved
	switch {
	case ctx.Err() != nil:
		x.Status = MoveCancelled
	case err != nil:
		x.Status, x.Failure = MoveFailed, casemate.AsError(err).Message
	case moved == 0 && x.Total > 0 && x.Target == "":
		x.Status, x.Failure = MoveFailed, "CouldNotDetermineMessageSource"
	default:
		x.Status = MoveCompleted
	}
	m.cancels[x.ID]()
	delete(m.cancels, x.ID)
}

// Moves are the last moves out of a queue, the newest first.
func (r *Room) Moves(from string) []Move {
	r.moves.mu.Lock()
	defer r.moves.mu.Unlock()
	var list []Move
	for _, x := range r.moves.all[from] {
		list = append(list, *x)
	}
	return list
}

// CancelMove ends a move; what was moved stays where it is.
func (r *Room) CancelMove(from, id string) (*Move, error) {
	r.moves.mu.Lock()
	defer r.moves.mu.Unlock()
	for _, x := range r.moves.all[from] {
		if cancel := r.moves.cancels[id]; x.ID == id && cancel != nil {
			x.Status = MoveCancelling
			cancel()
			was := *x
			return &was, nil
		}
	}
	return nil, refusal(casemate.NotFound, "ResourceNotFoundException", "The task is not there, or has ended.")
}
