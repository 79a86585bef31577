package audit

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"casemate"
	"casemate/audit/proof"
)

// openCheckpoints reads the key and finds the newest checkpoint, in the store and in the copy beside it. The copy is
// written after the store; when it is ahead, the store is older than it was.
func (l *Log) openCheckpoints(ctx context.Context) error {
	last, err := l.marks.Last(ctx)
	if err != nil {
		return err
	}
	if err := l.openKey(last > 0); err != nil {
		return fmt.Errorf("signing key: %w", err)
	}
	if last > 0 {
		ms, err := l.marks.Read(ctx, last, 1)
		if err != nil {
			return err
		}
		if len(ms) != 1 {
			return errors.New("the newest checkpoint cannot be read")
		}
		if l.newest, err = proof.Open(ms[0].Data, l.check); err != nil {
			return &Tampering{Kind: "checkpoint", Detail: err.Error()}
		}
	}
	text, err := l.openCopy()
	if err != nil {
		return fmt.Errorf("copy of the checkpoints: %w", err)
	}
	if text == "" && l.newest.Note != "" {
		return l.keepCopy(l.newest.Note)
	}
	if text == "" {
		return nil
	}
	c, err := proof.Open([]byte(text), l.check)
	switch {
	case err != nil:
		return &Tampering{Kind: "checkpoint", Detail: "the copy beside the store: " + err.Error()}
	case c.Size > l.newest.Size:
		return &Tampering{Kind: "rolled-back", First: l.newest.Size + 1, Last: c.Size,
			Detail: fmt.Sprintf("the store's newest checkpoint counts %d records, its copy %d", l.newest.Size, c.Size)}
	case c.Size < l.newest.Size:
		return l.keepCopy(l.newest.Note)
	case c.Hash() != l.newest.Hash():
		return &Tampering{Kind: "rewritten", First: 1, Last: c.Size, Detail: "the store's newest checkpoint differs from its copy"}
	}
	return nil
}

// openKey reads the signing key, or makes one when the log has never been sealed: a new key on an old log would
// disown everything signed before.
func (l *Log) openKey(sealed bool) error {
	raw, err := os.ReadFile(l.cfg.Key)
	if errors.Is(err, fs.ErrNotExist) {
		if sealed {
			return casemate.Errorf(casemate.Unavailable, "put "+l.cfg.Key+" back, from a backup", "the audit log is sealed but its signing key is missing")
		}
		return l.makeKey()
	}
	if err != nil {
		return err
	}
	info, err := os.Stat(l.cfg.Key)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return casemate.Errorf(casemate.Unavailable, "chmod 600 "+l.cfg.Key, "others may read the audit log's signing key (mode %v)", info.Mode().Perm())
	}
	secret, public, _ := strings.Cut(strings.TrimSpace(string(raw)), "\n")
	if err := l.useKey(secret, public); err != nil {
		return casemate.Errorf(casemate.Fault, "put "+l.cfg.Key+" back, from a backup", "the audit log's signing key is damaged: %w", err)
	}
	return nil
}

func (l *Log) makeKey() error {
	secret, public, err := note.GenerateKey(rand.Reader, l.cfg.Origin)
	if err != nil {
		return err
	}
	if err := l.useKey(secret, public); err != nil {
		return err
	}
	f, err := os.OpenFile(l.cfg.Key, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, secret+"\n"+public+"\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		err = errors.Join(err, os.Remove(l.cfg.Key)) // half a key would stop every later start
	}
	return err
}

// useKey sets signer and verifier. Errors of the note package may quote the key, so they are not passed on.
func (l *Log) useKey(secret, public string) error {
	var err1, err2 error
	l.signer, err1 = note.NewSigner(secret)
	l.check, err2 = note.NewVerifier(public)
	if err1 != nil || err2 != nil || l.signer.KeyHash() != l.check.KeyHash() {
		return errors.New("malformed key file")
	}
	if l.signer.Name() != l.cfg.Origin || l.check.Name() != l.cfg.Origin {
		return fmt.Errorf("the key belongs to log %q, not to %q", l.signer.Name(), l.cfg.Origin)
	}
	l.public = public
	return nil
}

// openCopy opens the copy and returns its last whole checkpoint; a torn last line is cut off.
func (l *Log) openCopy() (string, error) {
	f, err := os.OpenFile(filepath.Join(l.cfg.Dir, fileCopy), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", err
	}
	l.copy = f
	text, end, err := lastCheckpoint(f)
	l.copyEnd = end
	return text, errors.Join(err, f.Truncate(end))
}

// lastCheckpoint reads the last whole line of a copy and says where it ends.
func lastCheckpoint(f *os.File) (text string, end int64, err error) {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return "", 0, err
	}
	tail := make([]byte, min(info.Size(), 4*proof.MaxNote))
	start := info.Size() - int64(len(tail))
	if _, err := f.ReadAt(tail, start); err != nil {
		return "", info.Size(), err
	}
	whole := bytes.LastIndexByte(tail, '\n') + 1
	if whole == 0 && start == 0 {
		return "", 0, nil
	}
	line := tail[:max(whole-1, 0)]
	text, err = proof.ReadMark(line[bytes.LastIndexByte(line, '\n')+1:])
	if err != nil || text == "" {
		return "", info.Size(), &Tampering{Kind: "checkpoint", Detail: "the copy beside the store is malformed"}
	}
	return text, start + int64(whole), nil
}

// keepCopy adds a checkpoint to the copy. What a failed write left behind is written over by the next.
func (l *Log) keepCopy(text string) error {
	line, err := proof.Mark(text)
	if err == nil {
		_, err = l.copy.WriteAt(line, l.copyEnd)
	}
	if err == nil {
		err = l.copy.Sync()
	}
	if err != nil {
		return fmt.Errorf("copying checkpoint: %w", err)
	}
	l.copyEnd += int64(len(line))
	return nil
}

// reconcile brings the tree to the newest checkpoint and holds its root against it. A tree file that does not fit is
// computed anew from the stream; when that does not fit either, the stream is not what was signed.
func (l *Log) reconcile(ctx context.Context) error {
	last, err := l.records.Last(ctx)
	if err != nil {
		return err
	}
	l.last.Store(last)
	size := l.newest.Size
	l.durable.Store(uint64(size))
	l.cache.sealed = uint64(size) // nothing runs yet
	if int64(last) < size {
		return &Tampering{Kind: "rolled-back", First: int64(last) + 1, Last: size,
			Detail: fmt.Sprintf("the log once had %d records, the store has %d", size, last)}
	}
	if l.tree.front.N > size {
		if err := l.tree.cut(size); err != nil {
			return err
		}
	}
	if err := l.fold(ctx, size); err != nil {
		return err
	}
	if size == 0 || l.tree.front.Root() == l.newest.Hash() {
		return nil
	}
	l.cfg.Log.Warn("audit tree file does not fit its checkpoint; computing it anew", "records", size)
	if err := l.tree.cut(0); err != nil {
		return err
	}
	return l.replay(ctx)
}

// replay computes the tree from the stream alone and names the first range that is not what was signed.
func (l *Log) replay(ctx context.Context) error {
	last, err := l.marks.Last(ctx)
	if err != nil {
		return err
	}
	for seq := uint64(1); seq <= last; seq++ {
		ms, err := l.marks.Read(ctx, seq, 1)
		if err != nil || len(ms) != 1 {
			return fmt.Errorf("reading checkpoint %d: %w", seq, err)
		}
		c, err := proof.Open(ms[0].Data, l.check)
		if err != nil {
			return &Tampering{Kind: "checkpoint", Detail: err.Error()}
		}
		from := l.tree.front.N
		if c.Size < from {
			continue
		}
		if err := l.fold(ctx, c.Size); err != nil {
			return err
		}
		if l.tree.front.Root() != c.Hash() {
			return &Tampering{Kind: "edited", First: from + 1, Last: c.Size,
				Detail: "these records do not have the hash that was signed on " + c.Time.Format("2006-01-02 15:04:05")}
		}
	}
	return nil
}

// recover closes what the table still holds from an earlier process, then gives every slot free. A record whose
// closing did reach the stream is not closed again, however often the node dies in here.
func (l *Log) recover(ctx context.Context, file *mapping) error {
	if magic := file.mem[:min(len(tableMagic), len(file.mem))]; magic[0] != 0 && string(magic) != tableMagic {
		return errors.New("the in-flight table is not one of this version")
	}
	left := leftovers(file.mem)
	closed, err := l.closedSince(ctx, left)
	if err != nil {
		return err
	}
	told := map[string]bool{} // an opening that was renewed may be there twice; the one that tells of money goes first
	slices.SortStableFunc(left, func(a, b leftover) int { return cmp.Compare(b.opening.Held, a.opening.Held) })
	for _, o := range left {
		r := o.opening
		if o.err == nil && told[r.ID] {
			continue
		}
		told[r.ID] = true
		if o.err != nil {
			r = casemate.Record{ID: casemate.NewID(), Action: "unreadable", Opened: l.cfg.Clock()}
			r.Event, r.Chain = r.ID, r.ID
			l.cfg.Log.Error("an opened record cannot be read", "err", o.err)
		}
		if o.err == nil && closed[r.ID] > o.floor { // an attempt before this one may have had the same id
			continue
		}
		r.Closed, r.Cost = l.cfg.Clock(), r.Held // nobody knows what it did: it costs what was held for it
		r.Outcome = casemate.Outcome{Code: casemate.Unavailable, Status: "interrupted", Detail: "the node stopped while this was in flight"}
		if _, err := l.append(ctx, &r, casemate.Durable); err != nil {
			return err
		}
	}
	clear(file.mem)
	copy(file.mem, tableMagic)
	if want := headerSize + int64(l.cfg.Slots)*slotSize; int64(len(file.mem)) != want {
		if err := file.remap(want); err != nil {
			return err
		}
	}
	l.table = newTable(file, l.cfg.Slots)
	return nil
}

// closedSince collects the ids of the records that reached the stream since the oldest leftover was opened, each with
// its last sequence.
func (l *Log) closedSince(ctx context.Context, left []leftover) (map[string]uint64, error) {
	closed := make(map[string]uint64)
	if len(left) == 0 {
		return closed, nil
	}
	floor := l.last.Load()
	for _, o := range left {
		if o.err == nil {
			floor = min(floor, o.floor)
		}
	}
	for seq := floor + 1; ; {
		ms, err := l.records.Read(ctx, seq, batch)
		if err != nil || len(ms) == 0 {
			return closed, err
		}
		for _, m := range ms {
			var r struct {
				ID string `json:"id"`
			}
			if json.Unmarshal(m.Data, &r) == nil {
				closed[r.ID] = m.Seq
			}
		}
		seq = ms[len(ms)-1].Seq + 1
	}
}
