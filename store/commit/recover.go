package commit

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"casemate"
)

// openJournal recovers a journal: JetStream's blocks, checked against the mark, then what only the spool has. A journal
// from which an acknowledged record is missing is refused with an error that names the record.
func openJournal(ctx context.Context, h *Host, name, id string, st State, young time.Duration) (*Journal, error) {
	j := &Journal{
		host: h, name: name, id: id, state: st, young: young,
		wake: make(chan struct{}, 1), quit: make(chan struct{}), stopped: make(chan struct{}),
	}
	for i, end := range [...]string{".a", ".b"} {
		j.spool.paths[i] = filepath.Join(h.cfg.Dir, "spool", id+end)
	}
	if err := j.recover(ctx); err != nil {
		j.closeFiles()
		var g *gap
		if errors.As(err, &g) {
			return nil, j.damage(g.seq, err)
		}
		return nil, fmt.Errorf("opening %s: %w", name, err)
	}
	go j.run()
	return j, nil
}

func (j *Journal) recover(ctx context.Context) error {
	var found bool
	var err error
	if j.mark, found, err = openMark(filepath.Join(j.host.cfg.Dir, "marks", j.id)); err != nil {
		return err
	}
	info, err := j.attach(ctx, found)
	if err != nil {
		return err
	}
	j.tail, j.retained = info.State.LastSeq, int64(info.State.Bytes)
	if err := j.bounds(ctx, info.State); err != nil {
		return err
	}
	if found && j.settled < j.mark.acked {
		return &gap{seq: j.settled + 1}
	}
	if !found && j.settled > 0 {
		return casemate.Errorf(casemate.Fault, "restore the node's folder from a backup", "the mark of %s is missing", j.name)
	}
	if err := j.replay(ctx); err != nil {
		return err
	}
	if err := j.mark.write(j.settled, j.mark.base, true); err != nil {
		return err
	}
	return j.unspool()
}

// attach makes the JetStream stream, or finds it. One that was there before must be there again.
func (j *Journal) attach(ctx context.Context, expected bool) (*jetstream.StreamInfo, error) {
	js := j.host.engine.Load().js
	stream, err := js.Stream(ctx, j.id)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		if expected && j.mark.acked > 0 {
			return nil, &gap{seq: j.mark.base + 1}
		}
		record := j.state == nil
		stream, err = js.CreateStream(ctx, jetstream.StreamConfig{
			Name: j.id, Subjects: []string{j.id}, Storage: jetstream.FileStorage, Retention: jetstream.LimitsPolicy,
			Discard: jetstream.DiscardNew, MaxMsgs: -1, MaxBytes: -1, AllowDirect: true, Replicas: 1,
			DenyDelete: record, DenyPurge: record, // a stream is a record: nobody can take from it, not even we
		})
	}
	if err != nil {
		return nil, err
	}
	return stream.Info(ctx)
}

// bounds reads the first and the last block.
func (j *Journal) bounds(ctx context.Context, st jetstream.StreamState) error {
	j.settled, j.next = j.mark.base, j.mark.base+1
	if st.Msgs == 0 {
		return nil
	}
	read := func(seq uint64) (first, end uint64, err error) {
		data, at, err := j.message(ctx, seq)
		if err != nil {
			return 0, 0, err
		}
		if data == nil || at != seq {
			return 0, 0, errMissing
		}
		return blockRange(data)
	}
	first, end, err := read(st.FirstSeq)
	if err == nil && first > j.mark.base+1 || errors.Is(err, errMissing) || errors.Is(err, errSum) || errors.Is(err, errForm) {
		return &gap{seq: j.mark.base + 1}
	}
	if err != nil {
		return err
	}
	j.find.learn(first, end, st.FirstSeq)
	last, end, err := read(st.LastSeq)
	if errors.Is(err, errMissing) || errors.Is(err, errSum) || errors.Is(err, errForm) {
		return &gap{seq: j.mark.acked}
	}
	if err != nil {
		return err
	}
	j.find.learn(last, end, st.LastSeq)
	j.settled, j.next = max(end-1, j.mark.base), max(end, j.mark.base+1)
	j.visible = j.settled
	if want := st.LastSeq - st.FirstSeq + 1; st.Msgs != want {
		return j.hole(ctx, st)
	}
	return nil
}

// hole names the first record that is missing between two blocks that are there.
func (j *Journal) hole(ctx context.Context, st jetstream.StreamState) error {
	want := uint64(0)
	return j.scan(ctx, st.FirstSeq, func(_ uint64, first, end uint64, _ []byte) error {
		if want != 0 && first != want && first > j.mark.base+1 {
			return &gap{seq: want}
		}
		want = end
		return nil
	})
}

// scan visits all stored blocks from a JetStream sequence on.
func (j *Journal) scan(ctx context.Context, from uint64, visit func(message, first, end uint64, data []byte) error) error {
	last := uint64(0)
	for before := uint64(0); from <= j.tail && from != before; {
		before = from
		err := j.host.engine.Load().fetch(ctx, j.id, from, 512, 4<<20, func(seq uint64, data []byte) error {
			first, end, err := blockRange(data)
			if err != nil {
				return &gap{seq: last + 1}
			}
			from, last = seq+1, end-1
			return visit(seq, first, end, data)
		})
		if errors.Is(err, errForm) {
			return &gap{seq: max(last, j.mark.base) + 1}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// replay gives a bucket or queue its records back. A stream's are checked when they are read.
func (j *Journal) replay(ctx context.Context) error {
	if j.state == nil {
		return nil
	}
	want := j.mark.base + 1
	err := j.scan(ctx, 1, func(message, first, end uint64, data []byte) error {
		if end <= want {
			return nil // cleaned away, but the removal did not reach the disk
		}
		if first > want {
			return &gap{seq: want}
		}
		j.find.learn(first, end, message)
		var failed error
		bad, err := walkFrames(data[blockHead:], first, func(r Record) bool {
			if r.Seq >= want {
				want, failed = r.Seq+1, firstError(j.state.Sequenced(r, true), j.state.Settle(r))
			}
			return failed == nil
		})
		if err != nil {
			return &gap{seq: bad}
		}
		return failed
	})
	if err == nil && want <= j.settled {
		return &gap{seq: want}
	}
	return err
}

func firstError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// unspool puts records that only the spool has back into blocks, under the numbers that their writers know.
func (j *Journal) unspool() error {
	records, torn, err := j.spool.load(j.settled)
	if err != nil {
		return err
	}
	if torn > 0 {
		j.host.cfg.Log.Warn("the spool ends in an unfinished write", "journal", j.name, "bytes", torn)
	}
	j.replaying = true
	defer func() { j.replaying = false }()
	for _, r := range records {
		seq, b, err := j.place(again, r.At, nil, r.Data)
		if err != nil {
			return err
		}
		b.spooled, j.visible = len(b.buf), seq
	}
	return nil
}

// close waits for the committer, answers whoever still waits and closes the files.
func (j *Journal) close() error {
	<-j.stopped
	j.refuse(closedError())
	return errors.Join(j.mark.file.Sync(), j.closeFiles())
}

func (j *Journal) closeFiles() error {
	if j.mark == nil {
		return j.spool.close()
	}
	return errors.Join(j.mark.file.Close(), j.spool.close())
}
