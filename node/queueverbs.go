package node

import (
	"cmp"
	"context"
	"time"

	"casemate"
	"casemate/queue"
)

// QueueState is one queue as `casemate queue` shows it.
type QueueState struct {
	Name       string       `json:"name"`
	App        string       `json:"app,omitempty"`
	DeadLetter string       `json:"dead_letter,omitempty"`
	Counts     queue.Counts `json:"messages"`
	Functions  []Consumer   `json:"functions,omitempty"`
}

// Consumer is a function that gets a queue's messages.
type Consumer struct {
	Function string `json:"function"`
	Mapping  string `json:"mapping"`
	State    string `json:"state"`
	Last     string `json:"last,omitempty"`
}

// QueueQuestion is about one queue.
type QueueQuestion struct {
	Name  string `json:"name"`
	Body  string `json:"body,omitempty"`  // send
	Group string `json:"group,omitempty"` // send
	Dedup string `json:"dedup,omitempty"` // send
	To    string `json:"to,omitempty"`    // redrive: "" is where they came from
	Most  int    `json:"most,omitempty"`  // peek, redrive
}

// QueueMessage is one message as peek shows it.
type QueueMessage struct {
	ID         string                     `json:"id"`
	Body       string                     `json:"body"`
	Sent       time.Time                  `json:"sent"`
	Receives   int                        `json:"receives"`
	Group      string                     `json:"group,omitempty"`
	Attributes map[string]queue.Attribute `json:"attributes,omitempty"`
	Source     string                     `json:"source,omitempty"`
	Reason     string                     `json:"reason,omitempty"`
}

// QueueDone says what was done to how many messages.
type QueueDone struct {
	Name string `json:"name"`
	ID   string `json:"id,omitempty"`
	Done int    `json:"messages"`
}

const mostPeeked = 1000

func (n *node) queueBuiltins() map[string]builtin {
	about := func(action string, do func(ctx context.Context, l *casemate.Launch, q *queue.Queue, in QueueQuestion) (any, error)) builtin {
		return named(question(action, "queue", func(ctx context.Context, l *casemate.Launch, in QueueQuestion) (any, error) {
			if err := covers(l, n.judge, action, "queue", in.Name); err != nil {
				return nil, err
			}
			q, err := n.queues.Queue(in.Name)
			if err != nil {
				return nil, err
			}
			return do(ctx, l, q, in)
		}))
	}
	return map[string]builtin{
		"queue.list": question("casemate:ListQueues", "queue", func(context.Context, *casemate.Launch, struct{}) (any, error) { return n.queueStates(), nil }),
		"queue.peek": about("casemate:PeekQueue", peekQueue), "queue.send": about("casemate:SendToQueue", sendToQueue),
		"queue.redrive": about("casemate:RedriveQueue", n.redriveQueue),
		"queue.purge": about("casemate:PurgeQueue", func(ctx context.Context, _ *casemate.Launch, q *queue.Queue, _ QueueQuestion) (any, error) {
			c := q.Counts()
			return QueueDone{Name: q.Name, Done: c.Visible + c.InFlight + c.Delayed}, q.Purge(ctx)
		}),
		"queue.delete": about("casemate:DeleteQueue", func(ctx context.Context, _ *casemate.Launch, q *queue.Queue, _ QueueQuestion) (any, error) {
			if app := q.Definition().App; app != "" {
				return nil, casemate.Errorf(casemate.Conflict, "take it out of the manifest and deploy", "the queue %s is declared by app %s", q.Name, app)
			}
			c := q.Counts()
			return QueueDone{Name: q.Name, Done: c.Visible + c.InFlight + c.Delayed}, n.queues.Delete(ctx, q.Name)
		}),
	}
}

func (n *node) queueStates() []QueueState {
	all := []QueueState{}
	mappings := n.catalog.Snapshot().Mappings()
	for _, q := range n.queues.List("") {
		d := q.Definition()
		s := QueueState{Name: q.Name, App: d.App, Counts: q.Counts()}
		if d.Spec.Redrive != nil {
			s.DeadLetter, _ = n.cfg.Place.QueueName(d.Spec.Redrive.Target)
		}
		for _, m := range mappings {
			if m.Source != q.ARN {
				continue
			}
			c := Consumer{Function: m.Target(), Mapping: m.ID}
			if st, ok := n.sources.Load().Status(m.ID); ok {
				c.State, c.Last = st.State, st.Result
			}
			s.Functions = append(s.Functions, c)
		}
		all = append(all, s)
	}
	return all
}

func peekQueue(ctx context.Context, _ *casemate.Launch, q *queue.Queue, in QueueQuestion) (any, error) {
	if in.Most <= 0 || in.Most > mostPeeked {
		return nil, casemate.Errorf(casemate.Invalid, "1 to 1000", "%d messages are not shown at once", in.Most)
	}
	list, err := q.Peek(ctx, in.Most)
	out := []QueueMessage{}
	for _, m := range list {
		out = append(out, QueueMessage{m.ID, m.Body, m.Sent, m.Receives, m.Group, m.Attributes, m.Source, m.Reason})
	}
	return out, err
}

func sendToQueue(ctx context.Context, l *casemate.Launch, q *queue.Queue, in QueueQuestion) (any, error) {
	sent, errs := q.Send(ctx, []queue.Outgoing{{Body: in.Body, Group: in.Group, Dedup: in.Dedup, Sender: l.Principal.Name()}})
	return QueueDone{Name: q.Name, ID: sent[0].ID, Done: 1}, errs[0]
}

// redriveQueue moves messages back to where they came from, or to a queue that the caller may send to.
func (n *node) redriveQueue(ctx context.Context, l *casemate.Launch, q *queue.Queue, in QueueQuestion) (any, error) {
	if in.To != "" {
		if err := n.judge(l, "casemate:SendToQueue", "queue", in.To); err != nil {
			return nil, err
		}
	}
	if in.Most < 0 {
		return nil, casemate.Errorf(casemate.Invalid, "1 or more; 0 for all", "%d messages cannot be moved", in.Most)
	}
	in.Most = cmp.Or(in.Most, 100_000)
	moved, err := n.queues.Redrive(ctx, q.Name, in.To, in.Most)
	return QueueDone{Name: q.Name, Done: moved}, err
}
