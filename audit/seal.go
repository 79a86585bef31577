package audit

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"casemate"
	"casemate/audit/proof"
)

// batch is how many records are read from the stream at once.
const batch = 512

// sealer seals every Interval, and sooner when Every records wait or one is owed. Close stops and awaits it.
func (l *Log) sealer(ctx context.Context) {
	defer close(l.done)
	tick := time.NewTicker(l.cfg.Interval)
	defer tick.Stop()
	told := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-l.wake:
		}
		err := l.pay(ctx)
		if err == nil {
			_, err = l.Seal(ctx)
		}
		switch {
		case err == nil && told != "":
			l.cfg.Log.Info("audit log is sealed again")
			told = ""
		case err != nil && ctx.Err() == nil && err.Error() != told: // a full disk is asked about with every request
			told = err.Error()
			l.cfg.Log.Error("audit log cannot be sealed", "err", err)
		}
	}
}

// Seal brings every record of the stream under a signed checkpoint and returns the newest one. Without new records it
// signs nothing.
func (l *Log) Seal(ctx context.Context) (Checkpoint, error) {
	l.sealing.Lock()
	defer l.sealing.Unlock()
	l.trouble = l.seal(ctx)
	return l.newest, l.trouble
}

func (l *Log) seal(ctx context.Context) error {
	last, err := l.records.Last(ctx)
	if err != nil {
		return fmt.Errorf("sealing: %w", err)
	}
	if int64(last) < l.tree.front.N {
		return &Tampering{Kind: "rolled-back", First: int64(last) + 1, Last: l.tree.front.N, Detail: "sealed records are gone from the store"}
	}
	if l.newest.Note != "" && l.newest.Size == int64(last) {
		return nil
	}
	if last > l.durable.Load() {
		if last, err = l.settle(ctx); err != nil {
			return err
		}
	}
	if err := l.fold(ctx, int64(last)); err != nil {
		return err
	}
	c, err := proof.Sign(l.signer, l.tree.front.N, l.tree.front.Root(), l.cfg.Clock())
	if err != nil {
		return err
	}
	if _, err := l.marks.Append(ctx, []byte(c.Note), casemate.Durable); err != nil {
		return fmt.Errorf("storing checkpoint: %w", err)
	}
	if err := l.keepCopy(c.Note); err != nil {
		return err
	}
	l.newest = c
	return nil
}

// ActionSeal is the action of the records that the log writes about itself.
const ActionSeal = "audit.seal"

// settle makes everything written so far durable before it is signed: otherwise a power cut could take records that a
// checkpoint counts, and an honest log would look rolled back. A stream has no gaps, so a durable record at the end
// makes all before it durable. It returns that record's sequence.
func (l *Log) settle(ctx context.Context) (uint64, error) {
	now := l.cfg.Clock()
	r := &casemate.Record{
		ID: "seal-" + casemate.NewID(), Source: "node", Action: ActionSeal, Resource: l.cfg.Origin, Principal: "node",
		Opened: now, Closed: now, Outcome: casemate.Outcome{OK: true, Status: "answered"},
		Decision: casemate.Decision{Verdict: casemate.Allowed, Layer: "node", Reason: "the node seals its own record"},
	}
	r.Event, r.Chain = r.ID, r.ID
	seq, err := l.append(ctx, r, casemate.Durable)
	if err != nil {
		return 0, fmt.Errorf("settling: %w", err)
	}
	return seq, nil
}

// fold takes the records after the tree's end, up to number upto, into the tree.
func (l *Log) fold(ctx context.Context, upto int64) error {
	for l.tree.front.N < upto {
		seq := uint64(l.tree.front.N) + 1
		if h, ok := l.cache.take(seq); ok {
			l.tree.add(h)
			continue
		}
		ms, err := l.records.Read(ctx, seq, int(min(batch, upto-l.tree.front.N)))
		if err != nil {
			return fmt.Errorf("reading record %d: %w", seq, err)
		}
		if len(ms) == 0 {
			return &Tampering{Kind: "truncated", First: int64(seq), Last: upto, Detail: "the stream ends early"}
		}
		for i, m := range ms {
			if m.Seq != seq+uint64(i) {
				return &Tampering{Kind: "deleted", First: int64(seq) + int64(i), Last: int64(m.Seq) - 1, Detail: "the stream has a gap"}
			}
			l.cache.take(m.Seq)
			l.tree.add(tlog.RecordHash(m.Data))
		}
	}
	return l.tree.flush()
}
