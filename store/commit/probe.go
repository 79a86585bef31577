package commit

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// JetStream believes the sequence in a stored record's head before it checks the record's sum: one flipped bit there
// makes it fill the gap, sequence by sequence, until memory is gone (nats-server 2.15.2, indexCacheBuf). So the heads are
// walked before the engine starts. The rest of a record it checks itself, and so do we when a record is read.
//
//	record of a .blk file: length u32, bit 31 for headers | sequence u64, bit 63 for a tombstone, bit 62 for an erased
//	one | time i64 | length of the subject u16 | subject | length of the headers u32 if any, headers | payload | hash u64
const (
	storedHead = 22
	storedHash = 8
	seqBits    = 1<<62 - 1
	tombstone  = 1 << 63
)

// probe walks the stored blocks of every journal below the engine's folder.
func probe(engine string) error {
	dirs, err := filepath.Glob(filepath.Join(engine, "jetstream", "$G", "streams", "*"))
	if err != nil {
		return fmt.Errorf("looking for journals: %w", err)
	}
	for _, dir := range dirs {
		err := probeJournal(filepath.Join(dir, "msgs"))
		var g *gap
		if errors.As(err, &g) {
			return damaged(g.seq, journalName(filepath.Base(dir)), err)
		}
		if err != nil {
			return fmt.Errorf("looking through %s: %w", journalName(filepath.Base(dir)), err)
		}
	}
	return nil
}

func probeJournal(msgs string) error {
	files, err := filepath.Glob(filepath.Join(msgs, "*.blk"))
	if err != nil {
		return err
	}
	slices.SortFunc(files, func(a, b string) int { return fileNumber(a) - fileNumber(b) })
	p := prober{}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		if err := errors.Join(p.walk(f), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

func fileNumber(path string) int {
	n, err := strconv.Atoi(strings.TrimSuffix(filepath.Base(path), ".blk"))
	if err != nil {
		return -1
	}
	return n
}

// prober remembers where the last record was.
type prober struct {
	message uint64 // its JetStream sequence
	end     uint64 // the number after its last record
}

// walk looks at one file. An unfinished record at its end is JetStream's to cut off; the mark tells whether it mattered.
func (p *prober) walk(f io.ReadSeeker) error {
	r := bufio.NewReaderSize(f, 4096)
	head := make([]byte, storedHead+1<<16+4) // the longest subject, and the length of headers behind it
	for {
		if _, err := io.ReadFull(r, head[:storedHead]); err != nil {
			return ended(err)
		}
		length := binary.LittleEndian.Uint32(head)
		size := int(length &^ (1 << 31))
		seq := binary.LittleEndian.Uint64(head[4:])
		if size < storedHead+storedHash || size > 2*maxFrame {
			return nil
		}
		body := size - storedHead
		if seq&tombstone == 0 {
			if seq &= seqBits; p.message != 0 && seq > p.message+1 {
				return &gap{seq: max(p.end, 1)}
			}
			p.message = max(p.message, seq)
			n := int(binary.LittleEndian.Uint16(head[20:]))
			used, err := p.block(r, n, length&(1<<31) != 0, body, head[storedHead:])
			if err != nil {
				return ended(err)
			}
			body -= used
		}
		if err := skip(f, r, body); err != nil {
			return ended(err)
		}
	}
}

// skip goes n bytes on without reading what is not in the buffer.
func skip(f io.ReadSeeker, r *bufio.Reader, n int) error {
	if n <= r.Buffered() {
		_, err := r.Discard(n)
		return err
	}
	if _, err := f.Seek(int64(n-r.Buffered()), io.SeekCurrent); err != nil {
		return err
	}
	r.Reset(f)
	return nil
}

// block reads as much of a record's body as tells which of our records it holds, and says how much that was.
func (p *prober) block(r *bufio.Reader, subject int, headers bool, body int, scratch []byte) (used int, err error) {
	skip := subject
	if headers {
		if body < subject+4 {
			return 0, nil
		}
		if _, err := io.ReadFull(r, scratch[:subject+4]); err != nil {
			return 0, err
		}
		used = subject + 4
		skip = int(binary.LittleEndian.Uint32(scratch[subject:]))
	}
	if skip < 0 || skip > body-used-blockHead {
		return used, nil
	}
	n, err := r.Discard(skip)
	used += n
	if err != nil {
		return used, err
	}
	if _, err := io.ReadFull(r, scratch[:blockHead]); err != nil {
		return used, err
	}
	if binary.LittleEndian.Uint32(scratch) == blockMagic && binary.LittleEndian.Uint32(scratch[4:]) == checksum(scratch[8:blockHead]) {
		p.end = binary.LittleEndian.Uint64(scratch[16:]) + uint64(binary.LittleEndian.Uint32(scratch[8:]))
	}
	return used + blockHead, nil
}

func ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// journalName undoes what Host.Journal makes of a kind and a name, for messages.
func journalName(id string) string {
	kinds := map[byte]string{'S': "stream", 'B': "bucket", 'Q': "queue"}
	if len(id) < 2 || kinds[id[0]] == "" {
		return id
	}
	name := []byte{}
	for rest := id[2:]; rest != ""; rest = rest[1:] {
		if rest[0] == '=' && len(rest) > 2 {
			if c, err := strconv.ParseUint(rest[1:3], 16, 8); err == nil {
				name, rest = append(name, byte(c)), rest[2:]
				continue
			}
		}
		name = append(name, rest[0])
	}
	return kinds[id[0]] + " " + string(name)
}
