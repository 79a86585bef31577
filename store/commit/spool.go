package commit

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// spool keeps records that were acknowledged as Written until JetStream has them: two append-only files that take turns,
// so that one can be emptied while the other fills. Nothing here is fsynced: it survives a killed process.
//
// A record is spooled together with every earlier one that JetStream does not have yet. What a restart finds beyond
// JetStream's last record is therefore dense, and replaying it gives each record the sequence its writer was told.
//
// A file starts with a random salt; each write is one group. The salt lets a reader find the next group behind a damaged
// one, and keeps what a caller sends from passing for a group.
//
//	group: salt [8]byte | bytes of frames u32 | crc32c(salt, bytes) u32 | frames
type spool struct {
	paths [2]string
	files [2]*os.File
	salts [2][]byte
	last  [2]uint64 // highest sequence in each file
	now   int       // the file in use
	off   int64     // where its next group goes
	dirty bool      // a failed write may have left bytes behind off
	group []byte    // scratch
}

const (
	saltSize  = 8
	groupHead = saltSize + 8
	spoolTurn = 4 << 20 // bytes after which the files take turns
)

// gap names the first record that is missing or damaged.
type gap struct{ seq uint64 }

func (g *gap) Error() string { return fmt.Sprintf("record %d cannot be read", g.seq) }

// load opens both files and gives what they hold beyond settled, dense; writing goes on behind it. torn counts bytes of a
// last write that a killed process or a power cut left unfinished; nobody was told that it was there. Damage anywhere
// else is a *gap.
func (s *spool) load(settled uint64) (records []Record, torn int, err error) {
	var found [2][]Record
	for i := range s.files {
		if s.files[i], err = os.OpenFile(s.paths[i], os.O_RDWR|os.O_CREATE, 0o600); err != nil {
			return nil, 0, fmt.Errorf("opening spool: %w", err)
		}
		raw, err := io.ReadAll(s.files[i])
		if err != nil {
			return nil, 0, fmt.Errorf("reading spool: %w", err)
		}
		rs, left, err := spoolRecords(raw, settled)
		if err != nil {
			return nil, 0, err
		}
		found[i], torn = rs, torn+left
		if n := len(rs); n > 0 && rs[n-1].Seq > s.last[1-i] {
			s.now, s.salts[i], s.off, s.dirty = i, raw[:saltSize], int64(len(raw)-left), left > 0
		}
		if n := len(rs); n > 0 {
			s.last[i] = rs[n-1].Seq
		}
	}
	want := settled + 1
	for _, r := range append(found[1-s.now], found[s.now]...) {
		if r.Seq < want {
			continue
		}
		if r.Seq > want {
			return nil, 0, &gap{seq: want}
		}
		records, want = append(records, r), want+1
	}
	return records, torn, nil
}

// spoolRecords reads one file. Damage names the first record that it hides, at least the one after settled.
func spoolRecords(raw []byte, settled uint64) (records []Record, torn int, err error) {
	if len(raw) < saltSize {
		return nil, len(raw), nil
	}
	salt, raw := raw[:saltSize], raw[saltSize:]
	var last uint64
	for len(raw) > 0 {
		n, ok := groupSize(raw, salt)
		if !ok && (len(raw) < groupHead || zeroTail(raw)) || ok && n > len(raw)-groupHead {
			return records, len(raw), nil
		}
		if !ok {
			return nil, 0, &gap{seq: max(last, settled) + 1}
		}
		frames := raw[groupHead : groupHead+n]
		first, _, err := nextFrame(frames)
		if err == nil && first.Seq <= last {
			err = errForm
		}
		bad := max(last, settled) + 1
		if err == nil {
			bad, err = walkFrames(frames, first.Seq, func(r Record) bool { records = append(records, r); return true })
		}
		if err != nil && len(raw) == groupHead+n && zeroTail(frames) {
			return records, len(raw), nil
		}
		if err != nil {
			return nil, 0, &gap{seq: bad}
		}
		last, raw = bad-1, raw[groupHead+n:]
	}
	return records, 0, nil
}

// groupSize reads a group's head.
func groupSize(raw, salt []byte) (int, bool) {
	if len(raw) < groupHead || !bytes.Equal(raw[:saltSize], salt) ||
		binary.LittleEndian.Uint32(raw[saltSize+4:]) != checksum(raw[:saltSize+4]) {
		return 0, false
	}
	return int(binary.LittleEndian.Uint32(raw[saltSize:])), true
}

// zeroTail tells a file system that grew a file before its data came (a power cut) from a flipped bit.
func zeroTail(b []byte) bool { return len(b) >= 8 && allZero(b[len(b)-8:]) }

// write adds one group of frames, the last of which has sequence last. settled frees the other file for its turn. After
// an error nothing counts as written: the next write goes to the same place.
func (s *spool) write(frames [][]byte, last, settled uint64) error {
	if other := 1 - s.now; s.off > spoolTurn && s.last[other] <= settled {
		if err := s.begin(other); err != nil {
			return err
		}
	}
	if s.salts[s.now] == nil {
		if err := s.begin(s.now); err != nil {
			return err
		}
	}
	if s.dirty {
		if err := s.files[s.now].Truncate(s.off); err != nil {
			return fmt.Errorf("emptying spool: %w", err)
		}
	}
	g := append(s.group[:0], s.salts[s.now]...)
	g = append(g, 0, 0, 0, 0, 0, 0, 0, 0)
	for _, f := range frames {
		g = append(g, f...)
	}
	binary.LittleEndian.PutUint32(g[saltSize:], uint32(len(g)-groupHead))
	binary.LittleEndian.PutUint32(g[saltSize+4:], checksum(g[:saltSize+4]))
	if s.group = g; cap(g) > maxScratch {
		s.group = nil
	}
	s.dirty = true
	if _, err := s.files[s.now].WriteAt(g, s.off); err != nil {
		return fmt.Errorf("writing spool: %w", errors.Join(err, s.files[s.now].Truncate(s.off)))
	}
	s.dirty = false
	s.off += int64(len(g))
	s.last[s.now] = last
	return nil
}

const maxScratch = 1 << 20

// begin empties a file and puts it to use.
func (s *spool) begin(i int) error {
	salt := make([]byte, saltSize)
	rand.Read(salt) // never fails (crypto/rand, Go 1.24)
	if err := s.files[i].Truncate(0); err != nil {
		return fmt.Errorf("emptying spool: %w", err)
	}
	if _, err := s.files[i].WriteAt(salt, 0); err != nil {
		return fmt.Errorf("writing spool: %w", err)
	}
	s.salts[i], s.now, s.off, s.last[i], s.dirty = salt, i, saltSize, 0, false
	return nil
}

// reclaim gives the disk back what is not needed any more; settled is the last durable record.
func (s *spool) reclaim(settled uint64, urgent bool) error {
	for i, f := range s.files {
		if s.last[i] == 0 || s.last[i] > settled || i == s.now && !urgent && s.off < spoolTurn {
			continue
		}
		if err := f.Truncate(0); err != nil {
			return fmt.Errorf("emptying spool: %w", err)
		}
		s.last[i] = 0
		if i == s.now {
			s.salts[i], s.off, s.dirty = nil, 0, false
		}
	}
	return nil
}

func (s *spool) close() error {
	var errs []error
	for _, f := range s.files {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}
