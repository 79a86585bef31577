package audit

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/mod/sumdb/tlog"

	"casemate/audit/proof"
)

// tree keeps the hashes of the Merkle tree in one file, in the order of tlog.StoredHashIndex, so that proofs and the
// root of any earlier size take a handful of reads. The file is a cache of the stream and never synced: what it lacks
// is computed again, and what it says is believed only where it meets a signed checkpoint.
type tree struct {
	file    *os.File
	front   proof.Frontier
	pending []byte // hashes not written to the file yet
	written int64  // hashes in the file
}

func openTree(path string) (*tree, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	t := &tree{file: f}
	info, err := f.Stat()
	if err == nil {
		err = t.cut(recordsIn(info.Size() / tlog.HashSize))
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return t, nil
}

// recordsIn is the largest n whose stored hashes number at most count.
func recordsIn(count int64) int64 {
	n := count / 2 // StoredHashCount(n) <= 2n
	for tlog.StoredHashCount(n+1) <= count {
		n++
	}
	return n
}

// cut shortens the tree to its first n records. The caller has made sure that the file has as many.
func (t *tree) cut(n int64) error {
	t.pending = t.pending[:0]
	t.written = tlog.StoredHashCount(n)
	if err := t.file.Truncate(t.written * tlog.HashSize); err != nil {
		return err
	}
	t.front = proof.Frontier{N: n}
	for level := 62; level >= 0; level-- {
		if n>>level&1 == 0 {
			continue
		}
		h, err := t.ReadHashes([]int64{tlog.StoredHashIndex(level, n>>level-1)})
		if err != nil {
			return err
		}
		t.front.Peaks = append(t.front.Peaks, h[0])
	}
	return nil
}

func (t *tree) add(leaf tlog.Hash) {
	t.front.Add(leaf, func(h tlog.Hash) { t.pending = append(t.pending, h[:]...) })
}

// flush hands the pending hashes to the operating system.
func (t *tree) flush() error {
	if _, err := t.file.WriteAt(t.pending, t.written*tlog.HashSize); err != nil {
		return fmt.Errorf("writing tree: %w", err)
	}
	t.written += int64(len(t.pending)) / tlog.HashSize
	t.pending = t.pending[:0]
	return nil
}

// ReadHashes reads flushed hashes by their stored index; it makes tree a tlog.HashReader.
func (t *tree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hs := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		if _, err := t.file.ReadAt(hs[i][:], x*tlog.HashSize); err != nil {
			return nil, fmt.Errorf("reading tree: %w", err)
		}
	}
	return hs, nil
}

// leaves reads the flushed hashes of records [from, to) with one read.
func (t *tree) leaves(from, to int64) ([]tlog.Hash, error) {
	if from >= to {
		return nil, nil
	}
	base := tlog.StoredHashIndex(0, from)
	raw := make([]byte, (tlog.StoredHashIndex(0, to-1)-base+1)*tlog.HashSize)
	if _, err := t.file.ReadAt(raw, base*tlog.HashSize); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading tree: %w", err)
	}
	hs := make([]tlog.Hash, 0, to-from)
	for n := from; n < to; n++ {
		hs = append(hs, tlog.Hash(raw[(tlog.StoredHashIndex(0, n)-base)*tlog.HashSize:][:tlog.HashSize]))
	}
	return hs, nil
}

func (t *tree) close() error { return t.file.Close() }
