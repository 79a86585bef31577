package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"time"

	"casemate"
	"casemate/store/commit"
)

// nodeQueue is a journal of what happened to items and, in memory, where each one stands: about 200 bytes an item, and
// the data of the first cacheBytes. Its fields are guarded by the journal's lock. An item's number is the sequence of the
// record that first put it.
//
//	put:   'p' | number uvarint, 0 for the record's own sequence | enqueued i64 | due i64 | attempt uvarint | length of the id uvarint | id | data
//	taken: 't' | number uvarint | attempt uvarint
//	retry: 'r' | number uvarint | due varint (Unix nanoseconds)
//	done:  'd' | number uvarint
//
// A taken record is only Written: it keeps the count of attempts over a killed node, so that an item which kills its
// node is not on its first attempt for ever. Leases are not kept: the workers of a node end with it.
type nodeQueue struct {
	name   string
	clock  func() time.Time
	lease  time.Duration
	j      *commit.Journal
	items  map[uint64]*queueItem
	order  []uint64                // numbers as put; those of finished items at the front are dropped
	labels map[string]*labelled    // by what follows the last LabelMark of an id
	ready  commit.Heap[*queueItem] // by number
	hidden commit.Heap[*queueItem] // by due: delayed and leased
	seen   map[string]uint64
	recent []queueSeen // of seen, oldest first
	bytes  int64
	cached int
}

type queueItem struct {
	num, at  uint64 // at: the record that holds it now
	id       string
	enqueued int64
	due      int64 // not handed out before: a delay or a lease
	attempt  int
	size     int
	held     bool
	durable  bool
	data     []byte // nil when not cached
}

type queueSeen struct {
	id      string
	num     uint64
	expires int64
}

const cacheBytes = 8 << 20

func newNodeQueue(name string, clock func() time.Time, lease time.Duration) *nodeQueue {
	return &nodeQueue{
		name: name, clock: clock, lease: lease, items: map[uint64]*queueItem{}, labels: map[string]*labelled{}, seen: map[string]uint64{},
	}
}

var errKnown = errors.New("the id is known")

func (q *nodeQueue) Put(ctx context.Context, id string, data []byte) error {
	if err := firstError(checkKey(id), checkSize(len(id)+len(data))); err != nil {
		return err
	}
	var first uint64
	_, err := q.j.Append(ctx, casemate.Durable, func(uint64) ([]byte, []byte, error) {
		now := q.clock().UnixNano()
		q.expire(now)
		if first = q.seen[id]; first != 0 {
			return nil, nil, errKnown
		}
		return putHead(0, now, 0, 0, id), data, nil
	})
	if !errors.Is(err, errKnown) {
		return err
	}
	return q.j.Await(ctx, func() (bool, error) { return q.j.Settled() >= first, q.j.Trouble() })
}

func (q *nodeQueue) expire(now int64) {
	n := 0
	for ; n < len(q.recent) && q.recent[n].expires <= now; n++ {
		if s := q.recent[n]; q.seen[s.id] == s.num {
			delete(q.seen, s.id)
		}
	}
	q.recent = q.recent[n:]
}

func (q *nodeQueue) Next(ctx context.Context) (*Delivery, error) {
	for {
		var it *queueItem
		var wait time.Duration
		var changed <-chan struct{}
		_, err := q.j.Append(ctx, casemate.Written, func(uint64) ([]byte, []byte, error) {
			if it, wait = q.peek(q.clock().UnixNano()); it == nil {
				changed = q.j.Listen()
				return nil, nil, errNothing
			}
			return binary.AppendUvarint(itemHead('t', it.num), uint64(it.attempt+1)), nil, nil
		})
		switch {
		case err == nil:
			return q.deliver(ctx, it)
		case !errors.Is(err, errNothing):
			return nil, err
		}
		if err := pause(ctx, changed, wait); err != nil {
			return nil, err
		}
	}
}

var errNothing = errors.New("nothing is visible")

// peek gives the first visible item, or how long none will become visible by itself.
func (q *nodeQueue) peek(now int64) (*queueItem, time.Duration) {
	for q.hidden.Len() > 0 {
		due, it := q.hidden.First()
		if due > now {
			break
		}
		q.hidden.Pop()
		if q.items[it.num] == it && it.due == due {
			it.held = false
			q.ready.Push(int64(it.num), it)
		}
	}
	for q.ready.Len() > 0 {
		_, it := q.ready.First()
		if q.items[it.num] == it && it.due <= now {
			return it, 0
		}
		q.ready.Pop()
		if q.items[it.num] == it { // an entry too many, or a clock that went back
			q.hidden.Push(it.due, it)
		}
	}
	if q.hidden.Len() == 0 {
		return nil, 0
	}
	due, _ := q.hidden.First()
	return nil, time.Duration(due - now)
}

// deliver reads the item's data and makes the delivery.
func (q *nodeQueue) deliver(ctx context.Context, it *queueItem) (*Delivery, error) {
	q.j.Lock()
	d := &Delivery{ID: it.id, Attempt: it.attempt, Enqueued: time.Unix(0, it.enqueued).UTC(), Data: bytes.Clone(it.data)}
	cached := it.data != nil || it.size == 0
	q.j.Unlock()
	if !cached {
		data, err := q.load(ctx, it)
		if err != nil {
			return nil, errors.Join(err, q.hide(ctx, it, d.Attempt, 0))
		}
		d.Data = data
	}
	num := it.num
	d.Done = func(ctx context.Context) error {
		_, err := q.j.Append(ctx, casemate.Durable, func(uint64) ([]byte, []byte, error) {
			if q.items[num] != it {
				return nil, nil, errNothing
			}
			return itemHead('d', num), nil, nil
		})
		if errors.Is(err, errNothing) {
			return nil
		}
		return err
	}
	d.Retry = func(ctx context.Context, after time.Duration) error { return q.hide(ctx, it, d.Attempt, after) }
	d.Extend = func(ctx context.Context) error { return q.extend(ctx, it, d.Attempt) }
	return d, nil
}

// load reads an item's data from the journal, where cleaning may move it meanwhile.
func (q *nodeQueue) load(ctx context.Context, it *queueItem) ([]byte, error) {
	r, err := q.j.ReadMoved(ctx, func() uint64 { return it.at })
	if err != nil {
		return nil, err
	}
	p, err := parsePut(r)
	return bytes.Clone(p.data), err
}

// leased tells whether attempt still holds the item.
func (q *nodeQueue) leased(it *queueItem, attempt int, now int64) error {
	if q.items[it.num] != it || !it.held || it.attempt != attempt || it.due <= now {
		return leaseLost(q.name, it.id)
	}
	return nil
}

func (q *nodeQueue) hide(ctx context.Context, it *queueItem, attempt int, after time.Duration) error {
	_, err := q.j.Append(ctx, casemate.Durable, func(uint64) ([]byte, []byte, error) {
		now := q.clock().UnixNano()
		due := now + int64(max(after, 0))
		return binary.AppendVarint(itemHead('r', it.num), due), nil, q.leased(it, attempt, now)
	})
	return err
}

func (q *nodeQueue) extend(ctx context.Context, it *queueItem, attempt int) error {
	q.j.Lock()
	defer q.j.Unlock()
	now := q.clock().UnixNano()
	if err := firstError(ctx.Err(), q.leased(it, attempt, now)); err != nil {
		return err
	}
	it.due = now + int64(q.lease)
	q.hidden.Push(it.due, it)
	return nil
}

func (q *nodeQueue) Depth(ctx context.Context) (uint64, time.Time, error) {
	q.j.Lock()
	defer q.j.Unlock()
	for len(q.order) > 0 && q.items[q.order[0]] == nil {
		q.order = q.order[1:]
	}
	if len(q.order) == 0 {
		return 0, time.Time{}, ctx.Err()
	}
	return uint64(len(q.items)), time.Unix(0, q.items[q.order[0]].enqueued).UTC(), ctx.Err()
}

// Sequenced takes effect at once for everything but a put, which is handed out only when durable: what happens to an
// item in memory may run ahead of the disk, since a restart before then just delivers it again.
func (q *nodeQueue) Sequenced(r commit.Record, replay bool) error {
	if len(r.Data) > 0 && r.Data[0] == 'p' {
		return q.enter(r)
	}
	op, num, arg, err := parseItem(r)
	it := q.items[num]
	if err != nil || it == nil {
		return err
	}
	switch {
	case op == 'd':
		q.remove(it)
	case op == 'r':
		it.due, it.held = arg, false
		if it.durable {
			q.hidden.Push(it.due, it)
		}
	case replay:
		it.attempt = int(arg)
	default:
		q.ready.Pop() // it is the top: peek said so under the same mu
		it.attempt, it.held, it.due = int(arg), true, q.clock().UnixNano()+int64(q.lease)
		q.hidden.Push(it.due, it)
	}
	return nil
}

// enter makes a new item known; one that cleaning moved is known already, unless its first record is gone.
func (q *nodeQueue) enter(r commit.Record) error {
	p, err := parsePut(r)
	if err != nil || q.items[p.num] != nil {
		return err
	}
	q.items[p.num] = &queueItem{
		num: p.num, at: r.Seq, id: p.id, enqueued: p.enqueued, due: p.due, attempt: p.attempt, size: len(p.data),
	}
	q.count(q.items[p.num])
	q.order = q.alive(append(q.order, p.num), len(q.items))
	q.bytes += queueCost(p)
	if expires := p.enqueued + int64(DedupWindow); expires > q.clock().UnixNano() {
		q.seen[p.id] = p.num
		q.recent = append(q.recent, queueSeen{p.id, p.num, expires})
	}
	return nil
}

func (q *nodeQueue) Settle(r commit.Record) error {
	if len(r.Data) == 0 || r.Data[0] != 'p' {
		return nil
	}
	p, err := parsePut(r)
	it := q.items[p.num]
	if err != nil || it == nil {
		return err
	}
	it.at = r.Seq
	if it.durable {
		return nil
	}
	it.durable = true
	if q.cached+len(p.data) <= cacheBytes && len(p.data) > 0 {
		it.data = bytes.Clone(p.data)
		q.cached += len(p.data)
	}
	if it.due > q.clock().UnixNano() {
		q.hidden.Push(it.due, it)
	} else {
		q.ready.Push(int64(it.num), it)
	}
	return nil
}

func (q *nodeQueue) remove(it *queueItem) {
	delete(q.items, it.num)
	q.uncount(it)
	q.bytes -= queueCost(put{id: it.id, data: it.data}) + int64(it.size-len(it.data))
	q.cached -= len(it.data)
	it.data = nil
}

func (q *nodeQueue) Worth() int64 { return q.bytes }

func (q *nodeQueue) Keep(r commit.Record) (head, data []byte) {
	if len(r.Data) == 0 || r.Data[0] != 'p' {
		return nil, nil
	}
	p, err := parsePut(r)
	it := q.items[p.num]
	if err != nil || it == nil || it.at != r.Seq {
		return nil, nil
	}
	due := it.due
	if it.held {
		due = 0 // a lease, not a delay
	}
	return putHead(it.num, it.enqueued, due, it.attempt, it.id), p.data
}

type put struct {
	num           uint64
	enqueued, due int64
	attempt       int
	id            string
	data          []byte
}

func queueCost(p put) int64 { return int64(len(p.id)+len(p.data)) + recordCost + 24 }

func putHead(num uint64, enqueued, due int64, attempt int, id string) []byte {
	head := binary.AppendUvarint(append(make([]byte, 0, 48+len(id)), 'p'), num)
	head = binary.AppendVarint(binary.AppendVarint(head, enqueued), due)
	head = binary.AppendUvarint(binary.AppendUvarint(head, uint64(attempt)), uint64(len(id)))
	return append(head, id...)
}

func parsePut(r commit.Record) (put, error) {
	if len(r.Data) == 0 || r.Data[0] != 'p' {
		return put{}, errRecord
	}
	d := commit.Fields{Rest: r.Data[1:]}
	p := put{num: d.Unsigned(), enqueued: d.Signed(), due: d.Signed(), attempt: int(d.Unsigned())}
	id := d.Bytes(d.Unsigned())
	if d.Bad || len(id) == 0 || len(id) > MaxKey {
		return put{}, errRecord
	}
	if p.num == 0 {
		p.num = r.Seq
	}
	p.id, p.data = string(id), d.Rest
	return p, nil
}

func itemHead(op byte, num uint64) []byte {
	return binary.AppendUvarint(append(make([]byte, 0, 24), op), num)
}

// parseItem reads a record about an item that is there; arg is the attempt or the due time.
func parseItem(r commit.Record) (op byte, num uint64, arg int64, err error) {
	if len(r.Data) == 0 {
		return 0, 0, 0, errRecord
	}
	d := commit.Fields{Rest: r.Data[1:]}
	op, num = r.Data[0], d.Unsigned()
	switch op {
	case 't':
		arg = int64(d.Unsigned())
	case 'r':
		arg = d.Signed()
	case 'd':
	default:
		d.Bad = true
	}
	if d.Bad || len(d.Rest) > 0 {
		return 0, 0, 0, errRecord
	}
	return op, num, arg, nil
}
