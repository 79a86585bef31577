package audit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"casemate/audit/proof"
)

// Export seals the log and writes all of it in the form that Verify reads. Memory is bounded; w is neither buffered
// beyond the call nor closed.
func (l *Log) Export(ctx context.Context, w io.Writer) error {
	newest, err := l.Seal(ctx)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(w, 64<<10)
	head, err := proof.Head(l.public, newest.Note)
	if err != nil {
		return err
	}
	if _, err := out.Write(head); err != nil {
		return err
	}
	done := int64(-1) // records under the last written checkpoint
	for seq := uint64(1); done < newest.Size; {
		ms, err := l.marks.Read(ctx, seq, batch)
		if err != nil || len(ms) == 0 {
			return fmt.Errorf("reading checkpoint %d: %w", seq, errors.Join(err, io.ErrUnexpectedEOF))
		}
		for _, m := range ms {
			c, err := proof.Open(m.Data, l.check)
			if err != nil {
				return &Tampering{Kind: "checkpoint", Detail: err.Error()}
			}
			if c.Size > done && c.Size <= newest.Size {
				if err := l.exportTo(ctx, out, max(done, 0), c); err != nil {
					return err
				}
				done = c.Size
			}
		}
		seq = ms[len(ms)-1].Seq + 1
	}
	return out.Flush()
}

// exportTo writes records (from, c.Size] and c. The leaf hashes are those of the tree, not of the records at hand.
func (l *Log) exportTo(ctx context.Context, out *bufio.Writer, from int64, c Checkpoint) error {
	var line []byte
	for from < c.Size {
		n := min(batch, c.Size-from)
		ms, err := l.records.Read(ctx, uint64(from)+1, int(n))
		if err != nil || len(ms) == 0 {
			return fmt.Errorf("reading record %d: %w", from+1, errors.Join(err, io.ErrUnexpectedEOF))
		}
		hs, err := l.tree.leaves(from, from+int64(len(ms)))
		if err != nil {
			return err
		}
		for i, m := range ms {
			line = proof.AppendRecord(line[:0], m.Seq, hs[i], m.Data)
			if _, err := out.Write(line); err != nil {
				return err
			}
		}
		from += int64(len(ms))
	}
	line, err := proof.Mark(c.Note)
	if err == nil {
		_, err = out.Write(line)
	}
	return err
}

// Verify reads the whole live log the way the offline verifier would, against its own key and the newest checkpoint in
// the copy beside the store. It returns a *Tampering for the first thing that is wrong.
func (l *Log) Verify(ctx context.Context) (Report, error) {
	known, err := l.knownCheckpoint()
	if err != nil {
		return Report{}, err
	}
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := l.Export(ctx, w)
		w.CloseWithError(err)
		done <- err
	}()
	report, err := Verify(r, Trust{Key: l.public, Known: known})
	r.Close()
	if e := <-done; err == nil {
		err = e
	}
	return report, err
}

// knownCheckpoint re-reads the copy, which somebody may have kept and put back.
func (l *Log) knownCheckpoint() ([]byte, error) {
	f, err := os.Open(filepath.Join(l.cfg.Dir, fileCopy))
	if err != nil {
		return nil, fmt.Errorf("copy of the checkpoints: %w", err)
	}
	defer f.Close()
	text, _, err := lastCheckpoint(f)
	return []byte(text), err
}
