package queue

import (
	"context"
	"crypto/subtle"
	"errors"
	"strconv"
	"time"

	"casemate"
)

// errHandle is a receipt handle that nobody was given for this queue.
func errHandle(text string) error {
	return refusal(casemate.NotFound, "ReceiptHandleIsInvalid", "The input receipt handle \""+shown(text)+"\" is not a valid receipt handle.")
}

// held finds the message that a handle is for. nil: it is gone. current says that the handle is of the last receive. The
// caller holds the lock.
func (q *Queue) held(text string) (it *item, current bool, err error) {
	num, receives, ok := parseHandle(text)
	if !ok {
		return nil, false, errHandle(text)
	}
	if it = q.s.items[num]; it == nil {
		return nil, false, nil
	}
	if subtle.ConstantTimeCompare([]byte(handle(q.Name, num, receives, it.secret)), []byte(text)) != 1 {
		return nil, false, errHandle(text)
	}
	return it, receives == it.receives, nil
}

// Delete removes messages by their handles, durably. One that is gone already is deleted. A handle of an earlier receive
// deletes nothing, since somebody else may be at work on the message by now: that is no error, but of FIFO queues.
func (q *Queue) Delete(ctx context.Context, handles []string) []error {
	errs := make([]error, len(handles))
	_, err := q.j.Append(ctx, casemate.Durable, func(uint64) ([]byte, []byte, error) {
		c, now := change{op: 'd'}, q.s.clock().UnixNano()
		for i, h := range handles {
			it, current, err := q.held(h)
			switch {
			case err != nil:
				errs[i] = err
			case it == nil:
			case q.s.fifo && (!current || it.due <= now):
				errs[i] = invalid("ReceiptHandle", shown(h), "The receipt handle has expired.")
			case current:
				c.nums = append(c.nums, it.num)
			}
		}
		if len(c.nums) == 0 {
			return nil, nil, errNothing
		}
		return c.encode(), nil, nil
	})
	if err != nil && !errors.Is(err, errNothing) {
		for i := range errs {
			if errs[i] == nil {
				errs[i] = err
			}
		}
	}
	return errs
}

// Hide is a change of one message's visibility timeout.
type Hide struct {
	Handle string
	For    time.Duration // from now; 0: it is visible at once
	Undo   bool          // the receive does not count: it never got to anybody
}

// Change changes visibility timeouts of messages in flight. It survives a killed process.
func (q *Queue) Change(ctx context.Context, list []Hide) []error {
	errs := make([]error, len(list))
	for i, h := range list {
		if h.For < 0 || h.For > MaxVisibility {
			errs[i] = invalid("VisibilityTimeout", strconv.Itoa(int(h.For/time.Second)), "VisibilityTimeout must be an integer between 0 and 43200.")
			continue
		}
		_, err := q.j.Append(ctx, casemate.Written, func(uint64) ([]byte, []byte, error) {
			now := q.s.clock().UnixNano()
			it, current, err := q.held(h.Handle)
			if err != nil {
				return nil, nil, err
			}
			if it == nil || !current || !it.held || it.due <= now {
				return nil, nil, refusal(casemate.Invalid, "MessageNotInflight", "The message referred to is not in flight.")
			}
			c := change{op: 'v', due: now + int64(h.For), undo: h.Undo, nums: []uint64{it.num}}
			return c.encode(), nil, nil
		})
		errs[i] = err
	}
	return errs
}

// Counts are how many messages a queue has, as of now.
type Counts struct {
	Visible  int   `json:"visible"`
	InFlight int   `json:"in_flight"`
	Delayed  int   `json:"delayed"`
	Bytes    int64 `json:"bytes"`
}

// Counts counts.
func (q *Queue) Counts() Counts {
	q.j.Lock()
	defer q.j.Unlock()
	q.s.wake(q.s.clock().UnixNano())
	return Counts{Visible: len(q.s.items) - q.s.held - q.s.delayed, InFlight: q.s.held, Delayed: q.s.delayed, Bytes: q.s.bytes}
}

// Purge removes every message. Twice within a minute is refused, as SQS does.
func (q *Queue) Purge(ctx context.Context) error {
	now := q.s.clock().Unix()
	if last := q.purged.Load(); last != 0 && now-last < 60 {
		return refusal(casemate.Exhausted, "PurgeQueueInProgress", "Only one PurgeQueue operation on "+q.Name+" is allowed every 60 seconds.")
	}
	q.purged.Store(now)
	return q.empty(ctx)
}

func (q *Queue) empty(ctx context.Context) error {
	_, err := q.j.Append(ctx, casemate.Durable, func(uint64) ([]byte, []byte, error) { return (&change{op: 'x'}).encode(), nil, nil })
	return err
}

// Peek shows up to most messages from the front without receiving them: their handles are empty, and no receive counts.
func (q *Queue) Peek(ctx context.Context, most int) ([]Message, error) {
	var list []*item
	q.j.Lock()
	for _, it := range q.s.items {
		if it.durable {
			list = append(list, it)
		}
	}
	q.j.Unlock()
	list = first(list, most)
	out, err := q.load(ctx, list)
	for i := range out {
		out[i].Handle = ""
	}
	if len(out) > 0 {
		err = nil // what was deleted meanwhile cannot be read
	}
	return out, err
}

// expire drops messages whose retention is over, wherever they stand.
func (q *Queue) expire(ctx context.Context) error {
	var old []*item
	q.j.Lock()
	before := q.s.clock().Add(-q.def.Load().Spec.Retention).UnixNano()
	for _, it := range q.s.items {
		if it.sent <= before && it.durable && len(old) < 10_000 {
			old = append(old, it)
		}
	}
	q.j.Unlock()
	if len(old) == 0 {
		return nil
	}
	return q.drop(ctx, casemate.Written, old)
}
