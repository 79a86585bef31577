package commit

import (
	"context"
	"sync"
	"time"

	"casemate"
)

// Journal is the group commit under every stream, bucket and queue: a dense sequence of records, kept as blocks in one
// JetStream stream. Writers put their record into the open block and wait; one goroutine commits block after block, and
// whatever arrives while a commit is under way is the next block. One writer alone waits for nobody.
//
// A record's number is given when it enters its block and never changes: a block is retried until JetStream has it, so
// an error of Unavailable says "not known to be durable", not "will never happen".
//
// Durable is answered when JetStream has fsynced the block. Written is answered when the record, and every earlier one
// that JetStream does not have, is in the spool; blocks that only Written records wait for linger for up to
// 25 ms to fill. A Durable append makes all earlier records of its journal durable.
type Journal struct {
	host  *Host
	name  string        // as messages say it: "stream audit"
	id    string        // of the JetStream stream, the mark and the spool
	state State         // nil for a stream
	young time.Duration // records of at most this age are not cleaned away

	wake    chan struct{} // tells the committer that there may be work
	quit    chan struct{}
	stopped chan struct{}

	mu        sync.Mutex // guards what follows and the state; held over one write(2) to the spool at most
	next      uint64     // the next record's number
	blocks    []*block   // not durable yet, oldest first; the last may be open
	held      int        // bytes in blocks
	blind     int        // bytes spooled since the disk was last looked at
	spool     spool
	visible   uint64        // readers see records up to here: durable or spooled
	grown     chan struct{} // closed when visible or held change; nil when nobody listens
	trouble   error         // why the last commit failed; new writes are refused while it is set
	closed    bool
	replaying bool   // records come from the spool
	settled   uint64 // the last durable record
	tail      uint64 // its JetStream sequence
	retained  int64  // bytes of the blocks in JetStream
	crowd     int    // writers that waited for the last block
	idle      []byte // of a block that is durable, for the next one
	find      finder
	sweep     sweep
	mark      *mark // the committer's alone once open
}

// State is what a bucket or a queue makes of its records. It is called with the journal locked; see Lock.
type State interface {
	Sequenced(r Record, replay bool) error // r has its number; replay: r comes from disk
	Settle(r Record) error                 // r is durable; in order
	Worth() int64                          // bytes of the records that are still needed, about
	Keep(r Record) (head, data []byte)     // r to be appended again when it is still needed; nil: let it go
}

// block is one commit.
type block struct {
	first   uint64
	count   int
	waiters int
	buf     []byte
	spooled int // bytes of buf that are in the spool
	sealed  bool
	born    time.Time
	done    chan struct{} // closed when the block is durable or a first attempt failed
	told    bool          // done is closed
	lent    bool          // a reader has part of buf
	err     error
}

const (
	blockBytes = 512 << 10 // a block takes no further record beyond
	blockCount = 4096
	linger     = 25 * time.Millisecond // of a block that nobody waits for; its records are in the spool
	retryAfter = 100 * time.Millisecond

	measureBytes = 256 << 10 // spooled between two looks at the disk
)

// Compose gives the payload of the record that will have number seq, or refuses. It is called with
// the lock held.
type Compose func(seq uint64) (head, data []byte, err error)

// Append adds one record and waits as w says. When ctx ends first the record may still become durable.
func (j *Journal) Append(ctx context.Context, w casemate.Wait, c Compose) (uint64, error) {
	seq, b, err := j.enter(ctx, w, c)
	if err != nil || w == casemate.Written {
		return seq, err
	}
	select {
	case <-b.done:
		return seq, b.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// Begin adds one record and does not wait for it: the Pending does. Records of one writer keep their order, so that whoever
// has several begins them all and then waits.
func (j *Journal) Begin(ctx context.Context, w casemate.Wait, c Compose) (uint64, Pending, error) {
	seq, b, err := j.enter(ctx, w, c)
	if err != nil || w == casemate.Written {
		return seq, Pending{}, err
	}
	return seq, Pending{b}, nil
}

// Pending is a record that was begun. The zero Pending has come as far as it should.
type Pending struct{ b *block }

// Wait returns when the record is durable, or is not known to become so. When ctx ends first it may still become durable.
func (p Pending) Wait(ctx context.Context) error {
	if p.b == nil {
		return nil
	}
	select {
	case <-p.b.done:
		return p.b.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// enter places a record, waiting for room while too much is held.
func (j *Journal) enter(ctx context.Context, w casemate.Wait, c Compose) (uint64, *block, error) {
	for {
		if err := ctx.Err(); err != nil {
			return 0, nil, err
		}
		j.mu.Lock()
		err := j.ready()
		if err == nil && j.held < j.host.cfg.Pending {
			seq, b, err := j.compose(w, c)
			j.mu.Unlock()
			return seq, b, err
		}
		grown := j.Listen()
		j.mu.Unlock()
		if err != nil {
			return 0, nil, err
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return 0, nil, ctx.Err()
		}
	}
}

func (j *Journal) ready() error {
	if j.closed {
		return closedError()
	}
	if j.trouble != nil {
		return j.trouble
	}
	if j.state == nil {
		return j.host.roomy(j.host.cfg.Reserve / 2)
	}
	return j.host.roomy(j.host.cfg.Reserve)
}

// Listen gives a channel that is closed when something is settled, spooled or refused. The caller holds the lock.
func (j *Journal) Listen() <-chan struct{} {
	if j.grown == nil {
		j.grown = make(chan struct{})
	}
	return j.grown
}

func (j *Journal) announce() {
	if j.grown != nil {
		close(j.grown)
		j.grown = nil
	}
}

func (j *Journal) compose(w casemate.Wait, c Compose) (uint64, *block, error) {
	head, data, err := c(j.next)
	if err != nil {
		return 0, nil, err
	}
	if len(head)+len(data) > maxFrame {
		return 0, nil, casemate.Errorf(casemate.TooLarge, "store less in one record", "the record is over the bound of %d bytes", maxFrame)
	}
	return j.place(w, j.host.cfg.Clock().UnixNano(), head, data)
}

// place puts a record into the open block, and into the spool when nobody will wait for the block.
func (j *Journal) place(w casemate.Wait, at int64, head, data []byte) (uint64, *block, error) {
	b, seq := j.open(len(head)+len(data)), j.next
	start := len(b.buf)
	b.buf = appendFrame(b.buf, seq, at, head, data)
	if w == casemate.Written {
		if err := j.spoolAll(seq); err != nil {
			b.buf = b.buf[:start]
			return 0, nil, err
		}
		j.visible = seq
		j.announce()
		if j.blind += len(b.buf) - start; j.blind > measureBytes {
			j.blind = 0
			j.host.measure()
		}
	}
	b.count++
	j.next++
	j.held += len(b.buf) - start
	if w == casemate.Durable {
		b.waiters++
	}
	if b.waiters == 1 || b.count == 1 || len(b.buf) >= blockBytes {
		j.poke()
	}
	if j.state == nil {
		return seq, b, nil
	}
	payload := b.buf[start+frameHead:]
	return seq, b, j.state.Sequenced(Record{Seq: seq, At: at, Data: payload[:len(payload):len(payload)]}, j.replaying)
}

// open gives the block that the next record goes to.
func (j *Journal) open(size int) *block {
	if n := len(j.blocks); n > 0 {
		b := j.blocks[n-1]
		if !b.sealed && (b.count == 0 || b.count < blockCount && len(b.buf)+size < blockBytes) {
			return b
		}
		b.sealed = true
	}
	buf := append(j.idle[:0], make([]byte, blockHead)...)
	if j.idle = nil; cap(buf) < blockHead+frameHead+size {
		buf = make([]byte, blockHead, blockHead+frameHead+max(size, 1024))
	}
	b := &block{first: j.next, buf: buf, spooled: blockHead, born: time.Now(), done: make(chan struct{})}
	j.blocks = append(j.blocks, b)
	return b
}

// spoolAll writes what is not durable and not spooled yet; the last of it has number seq.
func (j *Journal) spoolAll(seq uint64) error {
	frames := make([][]byte, 0, 4)
	for _, b := range j.blocks {
		if b.spooled < len(b.buf) {
			frames = append(frames, b.buf[b.spooled:])
		}
	}
	if err := j.spool.write(frames, seq, j.settled); err != nil {
		j.host.cfg.Log.Error("spooling failed", "journal", j.name, "err", err)
		e := fullError()
		e.Err = err
		return e
	}
	for _, b := range j.blocks {
		b.spooled = len(b.buf)
	}
	return nil
}

func (j *Journal) poke() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// Lock gives the caller the journal's state for a short while; nothing that waits may be done under it.
func (j *Journal) Lock() { j.mu.Lock() }

// Unlock ends Lock.
func (j *Journal) Unlock() { j.mu.Unlock() }

// Settled is the number of the last durable record. The caller holds the lock.
func (j *Journal) Settled() uint64 { return j.settled }

// Visible is the number of the last record that Read shows. The caller holds the lock.
func (j *Journal) Visible() uint64 { return j.visible }

// Trouble is why the last commit failed, until one succeeds. The caller holds the lock.
func (j *Journal) Trouble() error { return j.trouble }

// Await blocks until reached, called with the lock held, says so or fails.
func (j *Journal) Await(ctx context.Context, reached func() (bool, error)) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		j.mu.Lock()
		ok, err := reached()
		closed, grown := j.closed, j.Listen()
		j.mu.Unlock()
		if ok || err != nil {
			return err
		}
		if closed {
			return closedError()
		}
		select {
		case <-grown:
		case <-ctx.Done():
		}
	}
}

// stop asks the committer to settle what is there and end.
func (j *Journal) stop() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.closed {
		j.closed = true
		j.announce()
		close(j.quit)
	}
}
