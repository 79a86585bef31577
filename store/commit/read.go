package commit

import (
	"context"
	"errors"
	"slices"

	"casemate"
)

// finder knows which JetStream message holds which record: a bounded, sorted sample of blocks, and the last block read.
type finder struct {
	spots []spot
	last  []byte // a block as stored, or nil
	seq   uint64 // its JetStream sequence
}

type spot struct{ first, end, message uint64 }

const maxSpots = 4096

func (f *finder) learn(first, end, message uint64) {
	at, known := slices.BinarySearchFunc(f.spots, first, func(s spot, first uint64) int { return compare(s.first, first) })
	if known {
		return
	}
	f.spots = slices.Insert(f.spots, at, spot{first, end, message})
	if len(f.spots) > maxSpots {
		kept := f.spots[:0]
		for i, s := range f.spots {
			if i%2 == 0 || i == len(f.spots)-1 {
				kept = append(kept, s)
			}
		}
		f.spots = kept
	}
}

// forget drops what was let go: every block that ends at or before record through.
func (f *finder) forget(through uint64) {
	f.spots = slices.DeleteFunc(f.spots, func(s spot) bool { return s.first <= through })
	f.last = nil
}

// between gives the JetStream messages among which the block of record seq must be, both included, and the one to try
// first: a reader that goes on where it stopped needs one message, not a bisection.
func (f *finder) between(seq, last uint64) (lo, hi, try uint64) {
	lo, hi = 1, last
	at, known := slices.BinarySearchFunc(f.spots, seq, func(s spot, seq uint64) int { return compare(s.first, seq) })
	if known {
		at++
	}
	if at < len(f.spots) {
		hi = f.spots[at].message - 1
	}
	if at == 0 {
		return lo, hi, lo + (hi-lo)/2
	}
	s := f.spots[at-1]
	switch {
	case seq < s.end:
		return s.message, s.message, s.message
	case seq == s.end:
		return s.message + 1, hi, s.message + 1
	}
	lo = s.message + 1
	return lo, hi, lo + (hi-lo)/2
}

func compare(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (j *Journal) damage(seq uint64, err error) error { return damaged(seq, j.name, err) }

func damaged(seq uint64, journal string, err error) error {
	return casemate.Errorf(casemate.Fault, "stop the node and restore its folder from a backup; what reads can be exported",
		"record %d of %s is damaged: %w", seq, journal, err)
}

var errMissing = errors.New("it is missing")

const readBytes = 16 << 20 // one read gives at most about this much

// Read gives records from one number on, up to max or readBytes, whichever comes first, but at least one if it is there.
// Damage is an error only when it is the first thing to read.
func (j *Journal) Read(ctx context.Context, from uint64, max int) ([]Record, error) {
	var out []Record
	size := 0
	visit := func(r Record) bool {
		if r.Seq >= from {
			out = append(out, r)
			size += len(r.Data)
		}
		return len(out) < max && size < readBytes
	}
	for {
		want := from + uint64(len(out))
		j.mu.Lock()
		settled, visible := j.settled, j.visible
		pending := j.pendingFrames(want)
		j.mu.Unlock()
		if len(out) >= max || size >= readBytes || want > visible {
			return out, nil
		}
		if want > settled {
			for _, b := range pending {
				walkFrames(b.frames, b.first, func(r Record) bool { return r.Seq <= visible && visit(r) })
			}
			return out, nil
		}
		if err := j.readStored(ctx, want, visit); err != nil {
			if len(out) > 0 {
				return out, nil
			}
			return nil, err
		}
	}
}

// ReadMoved reads one record that cleaning may append anew meanwhile: at, called with the lock held, says where it is now.
func (j *Journal) ReadMoved(ctx context.Context, at func() uint64) (Record, error) {
	for {
		j.mu.Lock()
		seq := at()
		j.mu.Unlock()
		rs, err := j.Read(ctx, seq, 1)
		if err == nil && len(rs) == 1 {
			return rs[0], nil
		}
		j.mu.Lock()
		moved := at() != seq
		j.mu.Unlock()
		if moved {
			continue
		}
		if err == nil {
			err = j.damage(seq, errMissing)
		}
		return Record{}, errors.Join(err, ctx.Err())
	}
}

type frames struct {
	first  uint64
	frames []byte
}

// pendingFrames gives the blocks in memory that hold records from want on; the caller holds mu. Bytes that are in a
// block never change, so they may be read after mu is free: the block's memory is not used again.
func (j *Journal) pendingFrames(want uint64) []frames {
	if want <= j.settled {
		return nil
	}
	var out []frames
	for _, b := range j.blocks {
		if b.count > 0 && b.first+uint64(b.count) > want {
			b.lent = true
			out = append(out, frames{b.first, b.buf[blockHead:len(b.buf):len(b.buf)]})
		}
	}
	return out
}

// readStored visits the records of the one stored block that holds want, from want on.
func (j *Journal) readStored(ctx context.Context, want uint64, visit func(Record) bool) error {
	data, err := j.locate(ctx, want)
	if err != nil {
		return err
	}
	first, _, err := blockRange(data)
	if err != nil {
		return j.damage(want, err)
	}
	seen := false
	bad, err := walkFrames(data[blockHead:], first, func(r Record) bool {
		seen = seen || r.Seq >= want
		return r.Seq < want || visit(r)
	})
	if err != nil && !seen {
		return j.damage(max(bad, want), err)
	}
	return nil
}

// locate finds the stored block that holds record want, by bisection between the blocks it knows.
func (j *Journal) locate(ctx context.Context, want uint64) ([]byte, error) {
	j.mu.Lock()
	lo, hi, mid := j.find.between(want, j.tail)
	j.mu.Unlock()
	for ; lo <= hi; mid = lo + (hi-lo)/2 {
		data, at, err := j.message(ctx, mid)
		if errors.Is(err, errForm) {
			return nil, j.damage(want, err)
		}
		if err != nil {
			return nil, err
		}
		if at > hi || data == nil {
			if mid == lo {
				break
			}
			hi = mid - 1
			continue
		}
		first, end, err := blockRange(data)
		if err != nil {
			return nil, j.damage(want, err)
		}
		j.mu.Lock()
		j.find.learn(first, end, at)
		j.mu.Unlock()
		switch {
		case want < first:
			hi = mid - 1
		case want >= end:
			lo = at + 1
		default:
			return data, nil
		}
	}
	return nil, j.damage(want, errMissing)
}

// message gives the first stored block at or after a JetStream sequence; sequences that were let go are skipped.
func (j *Journal) message(ctx context.Context, seq uint64) (data []byte, at uint64, err error) {
	j.mu.Lock()
	if j.find.last != nil && j.find.seq == seq {
		data = j.find.last
		j.mu.Unlock()
		return data, seq, nil
	}
	j.mu.Unlock()
	err = j.host.engine.Load().fetch(ctx, j.id, seq, 1, 1, func(s uint64, d []byte) error {
		at, data = s, d
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	if data != nil && len(data) <= 2*blockBytes {
		j.mu.Lock()
		j.find.last, j.find.seq = data, at
		j.mu.Unlock()
	}
	return data, at, nil
}
