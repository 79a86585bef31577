package commit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"casemate"
)

// run commits until the journal is stopped and, if the disk lets it, empty.
func (j *Journal) run() {
	defer close(j.stopped)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		b, wait, stopping := j.due()
		if b == nil {
			if stopping {
				return
			}
			timer.Reset(wait)
			select {
			case <-j.wake:
			case <-j.quit:
			case <-timer.C:
			}
			continue
		}
		if err := j.commit(b); err != nil {
			j.host.cfg.Log.Warn("commit failed", "journal", j.name, "records", b.count, "err", err, "cause", errors.Unwrap(err))
			if stopping {
				return
			}
			timer.Reset(retryAfter)
			select {
			case <-j.quit:
			case <-timer.C:
			}
			continue
		}
		j.clean()
	}
}

// due gives the block to commit now, or how long to wait for one.
func (j *Journal) due() (b *block, wait time.Duration, stopping bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.blocks) == 0 || j.blocks[0].count == 0 {
		return nil, time.Hour, j.closed
	}
	b = j.blocks[0]
	if b.waiters == 0 && !b.sealed && len(b.buf) < blockBytes && !j.closed {
		if left := linger - time.Since(b.born); left > 0 {
			return nil, left, false
		}
	}
	return b, 0, j.closed
}

func (j *Journal) commit(b *block) error {
	j.gather(b)
	j.mu.Lock()
	b.sealed = true
	sealBlock(b.buf, b.first, b.count)
	j.mu.Unlock()
	seq, err := j.publish(b)
	if err == nil {
		// The mark goes first: whatever a writer was told is in it.
		err = j.mark.write(b.first+uint64(b.count)-1, j.mark.base, false)
	}
	if err != nil {
		j.refuse(err)
		return err
	}
	j.settle(b, seq)
	return nil
}

// gather lets the writers that the last commit woke join this block. Yielding is enough: they are runnable already, and
// the loop ends as soon as the crowd is back or nobody more arrives. A lone writer is not waited for at all.
func (j *Journal) gather(b *block) {
	const patience = 4
	still, before := 0, -1
	for still < patience {
		j.mu.Lock()
		crowd, now, sealed := j.crowd, b.waiters, b.sealed
		j.mu.Unlock()
		if crowd <= 1 || now >= crowd || sealed {
			return
		}
		if now == before {
			still++
		} else {
			still = 0
		}
		before = now
		runtime.Gosched()
	}
}

// publish stores the block as one JetStream message. A slow disk is waited for; a stopped engine is started again. The
// expected last sequence makes a repeated attempt harmless.
func (j *Journal) publish(b *block) (uint64, error) {
	if err := j.host.RoomFor(len(b.buf)); err != nil {
		return 0, err
	}
	var err error
	var e *engine
	for mute, tries := 0, 0; mute < 2 && tries < publishTries; tries++ {
		e = j.host.engine.Load()
		err = j.try(func(ctx context.Context) error {
			_, err := e.js.PublishMsg(ctx, &nats.Msg{Subject: j.id, Data: b.buf},
				jetstream.WithExpectLastSequence(j.tail), jetstream.WithRetryAttempts(0))
			return err
		})
		if err == nil {
			return j.tail + 1, nil
		}
		found, answered := j.stored(b)
		if found {
			return j.tail + 1, nil
		}
		if !errors.Is(err, context.DeadlineExceeded) || j.host.ctx.Err() != nil {
			break
		}
		if answered {
			mute++ // it reads but does not store: a write has failed, and it refuses all others from then on
		}
	}
	if errors.Is(err, context.DeadlineExceeded) || !e.well() {
		err = errors.Join(err, j.host.replace(e))
	}
	u := casemate.Errorf(casemate.Unavailable, "see the node's log; the store tries again by itself", "the store cannot write")
	u.Retry, u.Err = 5, err
	return 0, u
}

const (
	publishTry   = time.Second
	publishTries = 30
)

func (j *Journal) try(f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(j.host.ctx, publishTry)
	defer cancel()
	return f(ctx)
}

// stored tells whether a block whose acknowledgement was lost is in JetStream, if JetStream answers.
func (j *Journal) stored(b *block) (found, answered bool) {
	err := j.try(func(ctx context.Context) error {
		return j.host.engine.Load().fetch(ctx, j.id, j.tail+1, 1, 1, func(seq uint64, data []byte) error {
			found = seq == j.tail+1 && bytes.Equal(data, b.buf)
			return nil
		})
	})
	return err == nil && found, err == nil
}

// refuse tells every waiting writer that its record is not known to be durable.
func (j *Journal) refuse(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.trouble = err
	for _, b := range j.blocks {
		b.tell(err)
	}
	j.announce()
}

func (b *block) tell(err error) {
	if !b.told {
		b.told, b.err = true, err
		close(b.done)
	}
}

// settle makes the block's records visible and answers its writers.
func (j *Journal) settle(b *block, seq uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	last := b.first + uint64(b.count) - 1
	j.find.learn(b.first, last+1, seq)
	j.settled, j.tail, j.trouble = last, seq, nil
	j.visible = max(j.visible, last)
	j.held -= len(b.buf) - blockHead
	j.retained += int64(len(b.buf)) + messageCost
	j.crowd = b.waiters
	if j.blocks = j.blocks[1:]; len(j.blocks) == 0 {
		j.blocks = nil
	}
	if j.state != nil {
		walkFrames(b.buf[blockHead:], b.first, func(r Record) bool { // our own bytes: they decode
			if err := j.state.Settle(r); err != nil {
				j.host.cfg.Log.Error("applying a record failed", "journal", j.name, "sequence", r.Seq, "err", err)
			}
			return true
		})
	}
	if err := j.spool.reclaim(last, j.host.full.Load()); err != nil {
		j.host.cfg.Log.Warn("the spool keeps its space", "journal", j.name, "err", err)
	}
	if j.state == nil && !b.lent && cap(b.buf) <= 2*blockBytes { // a state keeps parts of it
		j.idle = b.buf
	}
	b.tell(nil)
	j.announce()
}

const messageCost = 64 // bytes that JetStream adds to a block, about

// sweep is the cleaning of a bucket or queue under way: records of the oldest blocks that are still needed have been
// appended again; once those are durable the old blocks go.
type sweep struct {
	through uint64 // last record of the blocks to let go; 0: no sweep
	message uint64 // JetStream sequence of the first block to keep
	after   uint64 // the record that must be durable before
	bytes   int64  // of the blocks to let go
	again   int64  // no new sweep before this much is retained
}

const (
	slack      = 4 << 20   // waste that is always tolerated
	sweepBytes = 256 << 10 // swept at once
	sweepBatch = 256       // blocks
)

// clean does one step of the cleaning, after a commit. Waste stays below the size of what is live, plus slack.
func (j *Journal) clean() {
	if j.state == nil {
		return
	}
	j.mu.Lock()
	s, waste := j.sweep, j.retained-2*j.state.Worth()-slack
	ready, begin := s.through != 0 && j.settled >= s.after, s.through == 0 && waste > 0 && j.retained > s.again
	j.mu.Unlock()
	var err error
	switch {
	case ready:
		err = j.letGo(s)
	case begin:
		err = j.collect()
	}
	if err != nil {
		j.host.cfg.Log.Warn("cleaning failed", "journal", j.name, "err", err)
	}
}

// collect appends what is still needed of the oldest blocks again.
func (j *Journal) collect() error {
	ctx, cancel := context.WithTimeout(j.host.ctx, askTimeout)
	defer cancel()
	s, records, err := j.oldest(ctx)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed || s.through == 0 {
		j.sweep.again = j.retained + 1<<20
		return nil
	}
	for _, r := range records {
		if head, data := j.state.Keep(r); head != nil {
			seq, b, err := j.place(again, r.At, head, data)
			if err != nil {
				return err
			}
			s.after, b.born = seq, time.Time{}
		}
	}
	s.again = j.sweep.again
	j.sweep = s
	return nil
}

// again places a record nobody waits for.
const again = 255

// oldest reads blocks from the front, up to a bound and to records that the state may still need for their age.
func (j *Journal) oldest(ctx context.Context) (s sweep, records []Record, err error) {
	j.mu.Lock()
	settled := j.settled
	j.mu.Unlock()
	young := j.host.cfg.Clock().Add(-j.young).UnixNano()
	stop := errors.New("enough")
	err = j.host.engine.Load().fetch(ctx, j.id, 1, sweepBatch, sweepBytes, func(seq uint64, data []byte) error {
		first, end, err := blockRange(data)
		if err != nil {
			return fmt.Errorf("sweeping block %d: %w", seq, err)
		}
		var rs []Record
		if _, err := walkFrames(data[blockHead:], first, func(r Record) bool { rs = append(rs, r); return true }); err != nil {
			return fmt.Errorf("sweeping block %d: %w", seq, err)
		}
		if end > settled || s.bytes > sweepBytes || rs[len(rs)-1].At > young {
			return stop
		}
		s.through, s.message = end-1, seq+1
		s.bytes += int64(len(data)) + messageCost
		records = append(records, rs...)
		return nil
	})
	if errors.Is(err, stop) {
		err = nil
	}
	return s, records, err
}

// letGo removes swept blocks. The mark says so first, fsynced: a journal that starts later than it may is damage.
func (j *Journal) letGo(s sweep) error {
	if err := j.mark.write(j.mark.acked, s.through, true); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(j.host.ctx, askTimeout)
	defer cancel()
	stream, err := j.host.engine.Load().js.Stream(ctx, j.id)
	if err == nil {
		err = stream.Purge(ctx, jetstream.WithPurgeSequence(s.message))
	}
	if err != nil {
		return fmt.Errorf("letting go of swept blocks: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.find.forget(s.through)
	j.retained -= s.bytes
	j.sweep = sweep{}
	return nil
}
