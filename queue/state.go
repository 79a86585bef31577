package queue

import (
	"bytes"
	"slices"
	"sync/atomic"
	"time"

	"casemate/store"
)

// item is where one message stands. It is guarded by the journal's lock.
type item struct {
	num, at    uint64 // at: the record that holds it now
	sent       int64
	put        int64 // when its record was made, here: later than sent when it was moved here
	due        int64 // not handed out before: a delay, or the end of its visibility timeout
	first      int64
	receives   int
	size       int
	held       bool // in flight
	durable    bool
	gone       bool
	delayed    bool
	shown      bool   // in the heap of those that are ready
	moving     bool   // on its way out: a receive came upon it
	copied     *Queue // where it stands already: it could not be taken away here yet
	id, secret [16]byte
	group      *group // FIFO queues alone
	data       []byte // the record's payload; nil when it is not in memory
}

// group is one message group of a FIFO queue: its messages in their order, and how many are in flight. While any is, none
// of the others is handed out.
type group struct {
	name   string
	items  []*item
	held   int
	queued bool // in the heap of those that may have something
}

// state is a queue's journal as it amounts to: store.State.
type state struct {
	clock   func() time.Time
	fifo    bool
	cache   *atomic.Int64 // bytes of bodies in memory, of the whole room
	items   map[uint64]*item
	ready   store.Heap[*item] // standard: by number
	hidden  store.Heap[*item] // delayed and in flight, by due
	groups  map[string]*group
	open    store.Heap[*group] // FIFO: groups that may have something, by the number of their first message
	seen    map[string]seen
	recent  []recent // of seen, oldest first
	bytes   int64
	held    int
	delayed int
}

type seen struct {
	num uint64
	id  [16]byte
}

type recent struct {
	key     string
	num     uint64
	expires int64
}

// dedupWindow is how long a FIFO queue knows a deduplication id.
const dedupWindow = 5 * time.Minute

const (
	itemCost = 64       // bytes that a journal adds to a message, about
	maxCache = 64 << 20 // bodies in memory, of all queues of a room
)

func newState(clock func() time.Time, fifo bool, cache *atomic.Int64) *state {
	return &state{clock: clock, fifo: fifo, cache: cache, items: map[uint64]*item{}, groups: map[string]*group{}, seen: map[string]seen{}}
}

// Sequenced makes changes hold at once: that of a message in memory may run ahead of the disk, since a restart before then
// just delivers it again. A put is handed out only when it is durable.
func (s *state) Sequenced(r store.Record, _ bool) error {
	if len(r.Data) == 0 {
		return errRecord
	}
	if r.Data[0] == 'p' {
		return s.enter(r)
	}
	c, err := parseChange(r.Data)
	if err != nil {
		return err
	}
	if c.op == 'x' {
		for _, it := range s.items {
			s.remove(it)
		}
		s.groups, s.open, s.ready, s.hidden = map[string]*group{}, store.Heap[*group]{}, store.Heap[*item]{}, store.Heap[*item]{}
		return nil
	}
	for _, num := range c.nums {
		if it := s.items[num]; it != nil {
			s.apply(&c, it)
		}
	}
	return nil
}

func (s *state) apply(c *change, it *item) {
	switch c.op {
	case 'd':
		s.remove(it)
	case 't':
		it.receives++
		if it.first == 0 {
			it.first = c.now
		}
		s.hold(it, c.due)
	case 'v':
		if c.undo && it.receives > 0 {
			it.receives--
		}
		s.hold(it, c.due)
		if c.due <= s.clock().UnixNano() {
			s.release(it)
		}
	}
}

// hold puts a message in flight, or changes how long it stays there.
func (s *state) hold(it *item, due int64) {
	s.undelay(it)
	if !it.held {
		it.held = true
		s.held++
		if it.group != nil {
			it.group.held++
		}
	}
	it.due = due
	if it.durable {
		s.hide(it)
	}
}

// hide has wake look at a message when it is due. Entries that later changes made void are let go of when they are many.
func (s *state) hide(it *item) {
	if s.hidden.Len() > 2*len(s.items)+64 {
		s.hidden.Drop(func(due int64, it *item) bool { return it.gone || it.due != due })
	}
	s.hidden.Push(it.due, it)
}

// release makes a message visible again.
func (s *state) release(it *item) {
	s.undelay(it)
	if it.held {
		it.held = false
		s.held--
		if it.group != nil {
			it.group.held--
		}
	}
	s.show(it)
}

func (s *state) undelay(it *item) {
	if it.delayed {
		it.delayed = false
		s.delayed--
	}
}

// show puts a visible message where Receive looks for it.
func (s *state) show(it *item) {
	if !it.durable {
		return
	}
	if it.group == nil {
		if it.shown {
			return
		}
		it.shown = true
		s.ready.Push(int64(it.num), it)
		return
	}
	s.offer(it.group)
}

// offer has a group looked at, when nothing of it is in flight.
func (s *state) offer(g *group) {
	for len(g.items) > 0 && g.items[0].gone {
		g.items[0] = nil
		g.items = g.items[1:]
	}
	switch {
	case len(g.items) == 0 && g.held == 0:
		if s.groups[g.name] == g {
			delete(s.groups, g.name)
		}
	case g.held == 0 && !g.queued:
		g.queued = true
		s.open.Push(int64(g.items[0].num), g)
	}
}

// enter makes a new message known; one that cleaning moved is known already, unless its first record is gone.
func (s *state) enter(r store.Record) error {
	p, err := parsePut(r)
	if err != nil || s.items[p.num] != nil {
		return err
	}
	it := &item{num: p.num, at: r.Seq, sent: p.sent, put: r.At, due: p.due, first: p.first, receives: p.receives, size: len(p.rest), id: p.id, secret: p.secret}
	s.items[p.num] = it
	s.bytes += int64(it.size) + itemCost
	if !s.fifo {
		return nil
	}
	m, _, err := parsePayload(p.rest)
	if err != nil {
		return err
	}
	it.group = s.groups[m.Group]
	if it.group == nil {
		it.group = &group{name: m.Group}
		s.groups[m.Group] = it.group
	}
	it.group.enter(it)
	if expires := r.At + int64(dedupWindow); p.num == r.Seq && expires > s.clock().UnixNano() {
		for _, key := range [...]string{dedupKey(&m, false), dedupKey(&m, true)} {
			s.seen[key] = seen{p.num, p.id}
			s.recent = append(s.recent, recent{key, p.num, expires})
		}
	}
	return nil
}

// enter puts a message where its number says: after a restart, one that cleaning moved may be read behind those that were sent later.
func (g *group) enter(it *item) {
	at := len(g.items)
	for at > 0 && g.items[at-1].num > it.num {
		at--
	}
	g.items = slices.Insert(g.items, at, it)
}

// dedupKey is what a duplicate has in common with the first: in the whole queue, or in its group. Both are noted, so that
// the queue's scope may change.
func dedupKey(m *meta, grouped bool) string {
	if grouped {
		return m.Group + "\x00" + m.Dedup
	}
	return m.Dedup
}

func (s *state) forget(now int64) {
	n := 0
	for ; n < len(s.recent) && s.recent[n].expires <= now; n++ {
		if x := s.recent[n]; s.seen[x.key].num == x.num {
			delete(s.seen, x.key)
		}
	}
	s.recent = s.recent[n:]
}

// Settle hands a message out once it is durable.
func (s *state) Settle(r store.Record) error {
	if len(r.Data) == 0 || r.Data[0] != 'p' {
		return nil
	}
	p, err := parsePut(r)
	it := s.items[p.num]
	if err != nil || it == nil {
		return err
	}
	it.at = r.Seq
	if it.durable {
		return nil
	}
	it.durable = true
	if n := int64(len(p.rest)); s.cache.Load()+n <= maxCache {
		s.cache.Add(n)
		it.data = bytes.Clone(p.rest)
	}
	if it.due > s.clock().UnixNano() {
		if it.receives > 0 && !it.held { // moved by the cleaning while it was in flight
			s.hold(it, it.due)
			return nil
		}
		if !it.held {
			it.delayed = true
			s.delayed++
		}
		s.hide(it)
		return nil
	}
	s.release(it)
	return nil
}

func (s *state) remove(it *item) {
	delete(s.items, it.num)
	s.bytes -= int64(it.size) + itemCost
	s.cache.Add(-int64(len(it.data)))
	it.gone, it.data = true, nil
	s.undelay(it)
	if it.held {
		s.held--
		it.held = false
		if it.group != nil {
			it.group.held--
		}
	}
	if it.group != nil {
		s.offer(it.group)
	}
}

// wake shows what has become visible by the time now, and gives when the next message does; 0: none will by itself.
func (s *state) wake(now int64) (next int64) {
	for s.hidden.Len() > 0 {
		due, it := s.hidden.First()
		holds := !it.gone && it.due == due
		if holds && due > now {
			return due
		}
		s.hidden.Pop()
		if holds {
			s.release(it)
		}
	}
	return 0
}

// Worth is what the messages take.
func (s *state) Worth() int64 { return s.bytes }

// Keep appends again what is still there.
func (s *state) Keep(r store.Record) (head, data []byte) {
	if len(r.Data) == 0 || r.Data[0] != 'p' {
		return nil, nil
	}
	p, err := parsePut(r)
	it := s.items[p.num]
	if err != nil || it == nil || it.at != r.Seq {
		return nil, nil
	}
	now := put{num: it.num, sent: it.sent, due: it.due, first: it.first, receives: it.receives, id: it.id, secret: it.secret}
	return now.head(), p.rest
}
