package queue

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"casemate"
)

// first gives the items that were put first, in their order.
func first(list []*item, most int) []*item {
	slices.SortFunc(list, func(a, b *item) int {
		switch {
		case a.num < b.num:
			return -1
		case a.num > b.num:
			return 1
		}
		return 0
	})
	return list[:min(most, len(list))]
}

// bury moves a message to the dead-letter queue: durable there before it leaves here, so that a crash between the two leaves
// it in both, never in none. The next start ends the move: see finish.
func (q *Queue) bury(ctx context.Context, it *item, reason string) error {
	r := q.def.Load().Spec.Redrive
	if r == nil {
		return casemate.Errorf(casemate.NotFound, "give it one: dead_letter in the manifest, RedrivePolicy in SQS", "queue %s has no dead-letter queue", q.Name)
	}
	to, err := q.room.ByARN(r.Target)
	if err != nil {
		return err
	}
	return q.move(ctx, it, to, q.ARN, reason)
}

func (q *Queue) move(ctx context.Context, it *item, to *Queue, source, reason string) error {
	data := it.data
	if data == nil {
		var err error
		if data, err = q.read(ctx, it); err != nil {
			return err
		}
	}
	m, body, err := parsePayload(data)
	if err != nil {
		return err
	}
	q.j.Lock()
	copied := it.copied == to
	q.j.Unlock()
	if copied { // somebody may have deleted it there by now
		return q.drop(ctx, casemate.Durable, []*item{it})
	}
	o := Outgoing{Body: body, Attributes: m.Attributes, Trace: m.Trace, Group: m.Group, Dedup: m.Dedup, Sender: m.Sender, Lineage: m.Lineage}
	_, pending, err := to.begin(ctx, &to.def.Load().Spec, &o, &origin{it, source, reason})
	if err == nil {
		err = pending.Wait(ctx)
	}
	if err != nil {
		return err
	}
	q.j.Lock()
	it.copied = to
	q.j.Unlock()
	return q.drop(ctx, casemate.Durable, []*item{it})
}

// finish ends the moves that a crash cut off between a queue and its dead-letter queue, in either direction: a message that
// stands in both stays where it was put last. Otherwise one that was deleted there would come back from here.
func (r *Room) finish(ctx context.Context) error {
	for _, q := range r.List("") {
		x := q.Definition().Spec.Redrive
		if x == nil {
			continue
		}
		dead, err := r.ByARN(x.Target)
		if err != nil {
			continue // it was deleted
		}
		left, right := twice(q, dead)
		for from, list := range map[*Queue][]*item{q: left, dead: right} {
			if len(list) == 0 {
				continue
			}
			if err := from.drop(ctx, casemate.Durable, list); err != nil {
				return fmt.Errorf("ending moves from the queue %s: %w", from.Name, err)
			}
		}
	}
	return nil
}

// twice gives the messages that stand in both of two queues: those to take out of the first, and those to take out of the second.
func twice(a, b *Queue) (left, right []*item) {
	there := map[[16]byte]*item{}
	b.j.Lock()
	for _, it := range b.s.items {
		there[it.id] = it
	}
	b.j.Unlock()
	a.j.Lock()
	defer a.j.Unlock()
	for _, it := range a.s.items {
		switch other := there[it.id]; {
		case other == nil:
		case it.put < other.put:
			left = append(left, it)
		case it.put > other.put:
			right = append(right, other)
		}
	}
	return left, right
}

// Bury moves a message that was received to the dead-letter queue of its queue before its time, and says why. NotFound when
// there is none.
func (q *Queue) Bury(ctx context.Context, handle, reason string) error {
	q.j.Lock()
	it, current, err := q.held(handle)
	q.j.Unlock()
	if err != nil || it == nil || !current {
		return err
	}
	return q.bury(ctx, it, reason)
}

// Redrive moves up to most visible messages of a dead-letter queue back to where they came from, or to a queue that is named,
// and says how many it moved. Those that were sent here by themselves stay where no queue is named.
func (r *Room) Redrive(ctx context.Context, from, to string, most int) (moved int, err error) {
	return r.redrive(ctx, from, to, most, nil, nil)
}

// redrive tells next, if there is one, before each message how many it moved, and ends where next says no. Where no queue is
// named, messages go back to those of back alone; nil: to any.
func (r *Room) redrive(ctx context.Context, from, to string, most int, back []string, next func(moved int) bool) (moved int, err error) {
	q, err := r.Queue(from)
	if err != nil {
		return 0, err
	}
	var list []*item
	q.j.Lock()
	now := q.s.clock().UnixNano()
	q.s.wake(now)
	for _, it := range q.s.items {
		if it.durable && !it.held && it.due <= now {
			list = append(list, it)
		}
	}
	q.j.Unlock()
	for _, it := range first(list, most) {
		if next != nil && !next(moved) {
			break
		}
		if !q.stands(it) { // somebody received it meanwhile
			continue
		}
		dest := to
		if to == "" {
			m, err := q.message(ctx, it)
			if err != nil || m.Source == "" {
				continue
			}
			if dest = m.Source[strings.LastIndexByte(m.Source, ':')+1:]; back != nil && !slices.Contains(back, dest) {
				continue
			}
		}
		t, err := r.Queue(dest)
		if err != nil {
			return moved, err
		}
		if t.s.fifo != q.s.fifo {
			return moved, refusal(casemate.Invalid, "UnsupportedOperation", "A FIFO queue's messages go to FIFO queues alone.")
		}
		if err := q.move(ctx, it, t, "", ""); err != nil {
			return moved, err
		}
		moved++
	}
	return moved, nil
}

// stands reports whether a message is still there, and in nobody's hands.
func (q *Queue) stands(it *item) bool {
	q.j.Lock()
	defer q.j.Unlock()
	return !it.gone && !it.held && !it.moving
}
