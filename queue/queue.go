package queue

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"sync/atomic"
	"time"

	"casemate"
	"casemate/store"
)

// Queue is one queue. It is safe for concurrent use.
type Queue struct {
	Name string
	ARN  string

	room    *Room
	def     atomic.Pointer[Definition]
	s       *state
	j       *store.Journal
	waiting int // under the room's lock of waits
	purged  atomic.Int64
	ended   atomic.Bool
}

// Definition is what the queue is now. It must not be changed.
func (q *Queue) Definition() *Definition { return q.def.Load() }

// Send takes messages, at most MaxBatch of them. Each is durable when its error is nil; of a FIFO queue, one whose
// deduplication id is known is answered like the first and not queued again. They keep their order.
func (q *Queue) Send(ctx context.Context, list []Outgoing) ([]Sent, []error) {
	sent, errs, begun := make([]Sent, len(list)), make([]error, len(list)), make([]store.Pending, len(list))
	spec := &q.def.Load().Spec
	for i := range list {
		if errs[i] = list[i].check(spec); errs[i] == nil {
			sent[i], begun[i], errs[i] = q.begin(ctx, spec, &list[i], nil)
		}
	}
	for i := range list {
		if errs[i] == nil {
			errs[i] = begun[i].Wait(ctx)
		}
	}
	return sent, errs
}

// origin is where a message that is moved here came from.
type origin struct {
	item   *item
	source string // ARN
	reason string
}

var errKnown = errors.New("the deduplication id is known")

// begin puts one message into the journal.
func (q *Queue) begin(ctx context.Context, spec *Spec, o *Outgoing, from *origin) (Sent, store.Pending, error) {
	m := meta{Attributes: o.Attributes, Trace: o.Trace, Group: o.Group, Dedup: o.Dedup, Sender: o.Sender, Lineage: o.Lineage}
	p := put{}
	_, _ = rand.Read(p.secret[:]) // it never fails
	_, _ = rand.Read(p.id[:])
	p.id[6], p.id[8] = p.id[6]&0x0f|0x40, p.id[8]&0x3f|0x80
	if from != nil {
		p.id, m.Source, m.Reason = from.item.id, from.source, from.reason
	}
	body, err := payload(&m, o.Body)
	if err != nil {
		return Sent{}, store.Pending{}, err
	}
	delay := spec.Delay
	if o.Delay != nil {
		delay = *o.Delay
	}
	first := uint64(0)
	num, pending, err := q.j.Begin(ctx, casemate.Durable, func(uint64) ([]byte, []byte, error) {
		if q.ended.Load() {
			return nil, nil, missing(q.Name)
		}
		now := q.s.clock().UnixNano()
		if p.sent = now; from != nil && !spec.FIFO {
			p.sent = from.item.sent
		}
		if delay > 0 && from == nil {
			p.due = now + int64(delay)
		}
		if spec.FIFO && from == nil {
			q.s.forget(now)
			if x, known := q.s.seen[dedupKey(&m, spec.DedupGroup)]; known {
				first, p.id = x.num, x.id
				return nil, nil, errKnown
			}
		}
		return p.head(), body, q.room.roomy(q.s, len(body), from != nil)
	})
	if errors.Is(err, errKnown) {
		num, err = first, q.j.Await(ctx, func() (bool, error) { return q.j.Settled() >= first, q.j.Trouble() })
	}
	if err != nil {
		return Sent{}, store.Pending{}, err
	}
	out := Sent{ID: uuid(p.id), BodyMD5: BodyMD5(o.Body), AttributeMD5: AttributesMD5(o.Attributes), TraceMD5: traceMD5(o.Trace)}
	if spec.FIFO {
		out.Sequence = sequence(num)
	}
	return out, pending, nil
}

func uuid(b [16]byte) string {
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// Ask says what to receive.
type Ask struct {
	Most       int            // messages
	Visibility *time.Duration // nil: the queue's
	Wait       time.Duration  // for the first one
	For        string         // who waits, by name; empty: the node itself, whose own receives are not counted among those that wait
}

// Receive hands out visible messages, and hides them from others until they are deleted or their visibility timeout is
// over. Messages that were received as often as the queue's redrive policy allows are moved to its dead-letter queue instead.
// None, without an error, means that there are none.
func (q *Queue) Receive(ctx context.Context, a Ask) ([]Message, error) {
	until := time.Now().Add(a.Wait)
	waits := false
	for {
		list, next, changed, err := q.take(ctx, a)
		left := time.Until(until)
		if len(list) > 0 || err != nil || left <= 0 {
			return list, err
		}
		if !waits {
			leave, err := q.room.wait(q, a.For)
			if err != nil {
				return nil, err
			}
			defer leave()
			waits = true
		}
		if next > 0 {
			left = min(left, next)
		}
		if err := q.pause(ctx, changed, left); err != nil {
			return nil, err
		}
	}
}

// recheck bounds how long a blocked Receive trusts a timer: the clock is injected, so time may jump under it.
const recheck = 250 * time.Millisecond

func (q *Queue) pause(ctx context.Context, changed <-chan struct{}, d time.Duration) error {
	timer := time.NewTimer(min(d, recheck))
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	case <-q.room.closing:
		return refusal(casemate.Unavailable, "", "the node is stopping")
	case <-ctx.Done():
		return ctx.Err()
	}
	if q.ended.Load() {
		return missing(q.Name)
	}
	return nil
}

var errNothing = errors.New("nothing is visible")

// taken are the messages of one receive, as they stood.
type taken struct {
	items []*item
	dead  []*item // to be moved
	old   []*item // whose retention is over
}

// take does one look. changed is closed when there may be more, next is when something becomes visible by itself.
func (q *Queue) take(ctx context.Context, a Ask) (list []Message, next time.Duration, changed <-chan struct{}, err error) {
	var got taken
	def := q.def.Load()
	visibility := def.Spec.Visibility
	if a.Visibility != nil {
		visibility = *a.Visibility
	}
	_, err = q.j.Append(ctx, casemate.Written, func(uint64) ([]byte, []byte, error) {
		if q.ended.Load() {
			return nil, nil, missing(q.Name)
		}
		now := q.s.clock().UnixNano()
		wakes := q.s.wake(now)
		if q.s.held >= MaxInFlight {
			return nil, nil, refusal(casemate.Exhausted, "OverLimit", "Too many messages in flight: delete some.")
		}
		got = q.s.pick(now, min(a.Most, MaxInFlight-q.s.held), &def.Spec)
		if len(got.items)+len(got.dead)+len(got.old) == 0 {
			changed = q.j.Listen()
			if wakes > 0 {
				next = time.Duration(wakes - now)
			}
			return nil, nil, errNothing
		}
		c := change{op: 't', now: now, due: now + int64(visibility)}
		for _, it := range got.items {
			c.nums = append(c.nums, it.num)
		}
		return c.encode(), nil, nil
	})
	switch {
	case errors.Is(err, errNothing):
		return nil, next, changed, nil
	case err != nil:
		q.back(&got)
		return nil, 0, nil, err
	}
	q.settle(ctx, &got)
	list, err = q.load(ctx, got.items)
	if len(list) > 0 {
		err = nil
	}
	if len(list) == 0 && err == nil { // others were moved or dropped: look again at once
		now := make(chan struct{})
		close(now)
		changed = now
	}
	return list, 0, changed, err
}

// pick takes visible messages off the heaps. The caller holds the lock and puts them in flight, or back.
func (s *state) pick(now int64, most int, spec *Spec) (got taken) {
	for len(got.items) < most && len(got.dead)+len(got.old) < maxSweep {
		var it *item
		if s.fifo {
			if s.open.Len() == 0 {
				return got
			}
			g := s.open.Pop()
			g.queued = false
			s.pickGroup(g, now, most, spec, &got)
			continue
		}
		if s.ready.Len() == 0 {
			return got
		}
		it = s.ready.Pop()
		it.shown = false
		if !it.gone && !it.held && !it.moving && it.due <= now {
			got.sort(it, now, spec)
		}
	}
	return got
}

// maxSweep bounds what one receive moves away or drops.
const maxSweep = 100

// pickGroup takes from the front of a group as much as is wanted and visible, and nothing behind what is not.
func (s *state) pickGroup(g *group, now int64, most int, spec *Spec, got *taken) {
	if g.held > 0 {
		return
	}
	for _, it := range g.items {
		if it.gone {
			continue
		}
		if !it.durable || it.moving || it.due > now || len(got.items) >= most || len(got.dead)+len(got.old) >= maxSweep {
			break
		}
		if !got.sort(it, now, spec) {
			break // what follows it waits until it is moved
		}
	}
}

// sort says what becomes of a visible message; false: it is not handed out.
func (t *taken) sort(it *item, now int64, spec *Spec) bool {
	switch {
	case it.sent+int64(spec.Retention) <= now:
		t.old = append(t.old, it)
	case spec.Redrive != nil && it.receives >= spec.Redrive.Max:
		t.dead = append(t.dead, it)
	default:
		t.items = append(t.items, it)
		return true
	}
	it.moving = true
	return false
}

// back shows again what was picked.
func (q *Queue) back(got *taken) {
	q.j.Lock()
	defer q.j.Unlock()
	for _, list := range [...][]*item{got.items, got.dead, got.old} {
		for _, it := range list {
			it.moving = false
			if !it.gone && !it.held {
				q.s.show(it)
			}
		}
	}
}

// settle moves and drops what a receive came upon.
func (q *Queue) settle(ctx context.Context, got *taken) {
	if len(got.old) > 0 {
		if err := q.drop(ctx, casemate.Written, got.old); err != nil {
			q.back(&taken{old: got.old})
		}
	}
	for _, it := range got.dead {
		if err := q.bury(ctx, it, ""); err != nil {
			q.room.cfg.Log.Warn("moving a message to the dead-letter queue", "queue", q.Name, "err", err)
			q.back(&taken{dead: []*item{it}})
		}
	}
}

// drop removes messages.
func (q *Queue) drop(ctx context.Context, w casemate.Wait, list []*item) error {
	c := change{op: 'd'}
	for _, it := range list {
		c.nums = append(c.nums, it.num)
	}
	_, err := q.j.Append(ctx, w, func(uint64) ([]byte, []byte, error) { return c.encode(), nil, nil })
	return err
}

// load reads messages that were taken. One that cannot be read stays in flight until its timeout.
func (q *Queue) load(ctx context.Context, items []*item) (list []Message, err error) {
	for _, it := range items {
		m, lerr := q.message(ctx, it)
		if lerr != nil {
			err = errors.Join(err, lerr)
			continue
		}
		list = append(list, m)
	}
	return list, err
}

// message reads one message, with a handle of its present receive.
func (q *Queue) message(ctx context.Context, it *item) (Message, error) {
	q.j.Lock()
	m := Message{ID: uuid(it.id), Receives: it.receives, Sent: at(it.sent), First: at(it.first), num: it.num}
	secret, data := it.secret, it.data
	q.j.Unlock()
	if data == nil {
		var err error
		if data, err = q.read(ctx, it); err != nil {
			return Message{}, err
		}
	}
	kept, body, err := parsePayload(data)
	if err != nil {
		return Message{}, err
	}
	m.Body, m.Attributes, m.Trace, m.Group, m.Dedup, m.Sender, m.Source, m.Reason = body, kept.Attributes, kept.Trace, kept.Group, kept.Dedup, kept.Sender, kept.Source, kept.Reason
	m.Lineage = kept.Lineage
	m.Handle = handle(q.Name, it.num, m.Receives, secret)
	if q.s.fifo {
		m.Sequence = sequence(it.num)
	}
	return m, nil
}

func at(nanos int64) time.Time {
	if nanos == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanos).UTC()
}

// read reads a message's payload from the journal, where cleaning may move it meanwhile.
func (q *Queue) read(ctx context.Context, it *item) ([]byte, error) {
	r, err := q.j.ReadMoved(ctx, func() uint64 { return it.at })
	if err != nil {
		return nil, err
	}
	p, err := parsePut(r)
	return bytes.Clone(p.rest), err
}
