package proof

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Tampering says what is wrong with a log, and where. First..Last are the record numbers (from 1) that cannot be
// trusted: one record where its own hash gives it away, a range where only a checkpoint does.
type Tampering struct {
	Kind        string // edited, deleted, reordered, truncated, rolled-back, rewritten, checkpoint, malformed
	First, Last int64
	Line        int64 // of the export, from 1; 0 when it is about the log as a whole
	Detail      string
}

// Error names the kind, the place and the reason.
func (t *Tampering) Error() string {
	where := fmt.Sprintf("record %d", t.First)
	if t.Last > t.First {
		where = fmt.Sprintf("records %d to %d", t.First, t.Last)
	}
	if t.Line > 0 {
		where += fmt.Sprintf(" (line %d)", t.Line)
	}
	if t.First <= 0 {
		return "audit log: " + t.Kind + ": " + t.Detail
	}
	return "audit log: " + t.Kind + ": " + where + ": " + t.Detail
}

// Trust is what the verifier knows from elsewhere. Without a key an export is only shown to be consistent with the key
// it carries; without a known checkpoint a log cut back to an older checkpoint cannot be told from an older log.
type Trust struct {
	Key   string // public key, "<origin>+<hash>+<base64>"; empty: the export's own
	Known []byte // a checkpoint kept elsewhere; the log must extend it
}

// Report is what a verification saw. It is filled as far as the reading came, also when there is an error.
type Report struct {
	Records     int64      `json:"records"`
	Checkpoints int64      `json:"checkpoints"`
	Newest      Checkpoint `json:"newest"`
	Key         string     `json:"key"`
	Pinned      bool       `json:"pinned"`           // the key was given by the caller
	Extends     int64      `json:"extends,omitzero"` // size of the known checkpoint that the log was shown to extend
}

// Verify reads an export to its end and returns a *Tampering for the first thing that is not as it was sealed, or the
// error of r. It holds one line in memory, at most 2 MiB.
func Verify(r io.Reader, t Trust) (Report, error) {
	v := &verifier{in: bufio.NewReaderSize(r, 64<<10), trust: t}
	err := v.run()
	v.report.Records = v.front.N
	return v.report, err
}

type verifier struct {
	in     *bufio.Reader
	trust  Trust
	key    note.Verifier
	head   Checkpoint
	known  *Checkpoint
	front  Frontier
	line   int64
	long   []byte
	sealed int64  // records under the last checkpoint line
	last   string // note of the last line, "" when that was a record
	report Report
}

func (v *verifier) bad(kind string, first, last int64, format string, args ...any) error {
	return &Tampering{Kind: kind, First: first, Last: last, Line: v.line, Detail: fmt.Sprintf(format, args...)}
}

func (v *verifier) run() error {
	if err := v.readHead(); err != nil {
		return err
	}
	for {
		line, err := v.next()
		if errors.Is(err, io.EOF) {
			return v.finish()
		}
		if err != nil {
			return err
		}
		if bytes.HasPrefix(line, []byte(`{"checkpoint":`)) {
			err = v.checkpoint(line)
		} else {
			err = v.record(line)
		}
		if err != nil {
			return err
		}
	}
}

// next returns a line without its newline; it is valid until the next call. A last line without one is cut short.
func (v *verifier) next() ([]byte, error) {
	v.line++
	v.long = v.long[:0]
	for {
		part, err := v.in.ReadSlice('\n')
		if err == nil && len(v.long) == 0 {
			return part[:len(part)-1], nil
		}
		v.long = append(v.long, part...)
		switch {
		case err == nil:
			return v.long[:len(v.long)-1], nil
		case len(v.long) > maxLine:
			return nil, v.bad("malformed", v.front.N+1, v.front.N+1, "line longer than %d bytes", maxLine)
		case errors.Is(err, io.EOF) && len(v.long) > 0:
			return nil, v.bad("truncated", v.front.N+1, v.front.N+1, "the last line is cut short")
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}

func (v *verifier) readHead() error {
	line, err := v.next()
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = v.bad("malformed", 1, 1, "the export is empty")
		}
		return err
	}
	var h exportHead
	if err := canonical(line, &h); err != nil || h.Format != exportFormat {
		return v.bad("malformed", 1, 1, "the first line is not the head of an export")
	}
	v.report.Key, v.report.Pinned = h.Key, v.trust.Key != ""
	if v.trust.Key != "" && v.trust.Key != h.Key {
		return v.bad("checkpoint", 1, 1, "the export carries another key than the trusted one")
	}
	if v.key, err = note.NewVerifier(h.Key); err != nil {
		return v.bad("checkpoint", 1, 1, "public key: %v", err)
	}
	if v.head, err = Open([]byte(h.Checkpoint), v.key); err != nil {
		return v.bad("checkpoint", 1, 1, "newest checkpoint: %v", err)
	}
	v.report.Newest = v.head
	if len(v.trust.Known) == 0 {
		return nil
	}
	k, err := Open(v.trust.Known, v.key)
	if err != nil {
		return v.bad("checkpoint", 1, 1, "the checkpoint kept elsewhere was not signed by this log: %v", err)
	}
	if k.Size > v.head.Size {
		return v.bad("rolled-back", v.head.Size+1, k.Size, "the log once had %d records, this one has %d", k.Size, v.head.Size)
	}
	v.known = &k
	return v.compareKnown()
}

// record takes a line {"seq":n,"leaf":"h","record":r}: r must hash to h, and n must be the next number.
func (v *verifier) record(line []byte) error {
	n := v.front.N + 1
	rest, ok := bytes.CutPrefix(line, []byte(`{"seq":`))
	digits := bytes.IndexByte(rest, ',')
	if !ok || digits < 0 || digits > 19 {
		return v.bad("malformed", n, n, "neither a record nor a checkpoint")
	}
	var buf [20]byte
	if want := strconv.AppendInt(buf[:0], n, 10); !bytes.Equal(rest[:digits], want) {
		return v.outOfOrder(string(rest[:digits]), n)
	}
	const before, between = `,"leaf":"`, `","record":`
	rest = rest[digits:]
	if len(rest) < len(before)+2*tlog.HashSize+len(between)+3 || rest[len(rest)-1] != '}' ||
		string(rest[:len(before)]) != before || string(rest[len(before)+2*tlog.HashSize:][:len(between)]) != between {
		return v.bad("malformed", n, n, "not a record line")
	}
	said := rest[len(before):][:2*tlog.HashSize]
	hash := tlog.RecordHash(rest[len(before)+2*tlog.HashSize+len(between) : len(rest)-1])
	var is [2 * tlog.HashSize]byte
	hex.Encode(is[:], hash[:])
	if !bytes.Equal(said, is[:]) {
		return v.bad("edited", n, n, "the record does not have the hash it was sealed with")
	}
	v.front.Add(hash, nil)
	v.last = ""
	return v.compareKnown()
}

func (v *verifier) outOfOrder(said string, n int64) error {
	got, err := strconv.ParseInt(said, 10, 64)
	switch {
	case err != nil:
		return v.bad("malformed", n, n, "record number %q", said)
	case got > n:
		return v.bad("deleted", n, got-1, "record %d follows record %d", got, n-1)
	}
	return v.bad("reordered", n, n, "record %d stands where record %d belongs", got, n)
}

func (v *verifier) checkpoint(line []byte) error {
	n := v.front.N
	var e exportCheckpoint
	if err := canonical(line, &e); err != nil {
		return v.bad("malformed", n, n, "checkpoint line: %v", err)
	}
	c, err := Open([]byte(e.Checkpoint), v.key)
	switch {
	case err != nil:
		return v.bad("checkpoint", n, n, "%v", err)
	case c.Size != n:
		return v.bad("deleted", min(n, c.Size)+1, max(n, c.Size), "a checkpoint of %d records follows record %d", c.Size, n)
	case v.report.Checkpoints > 0 && n == v.sealed:
		return v.bad("malformed", n, n, "two checkpoints of the same size")
	case c.root != v.front.Root():
		return v.bad("edited", v.sealed+1, n, "these records do not have the hash that was signed on %s", c.Time.Format("2006-01-02 15:04:05"))
	}
	v.report.Checkpoints++
	v.sealed, v.last = n, e.Checkpoint
	return nil
}

func (v *verifier) compareKnown() error {
	if v.known == nil || v.front.N != v.known.Size {
		return nil
	}
	if v.front.Root() != v.known.root {
		return v.bad("rewritten", 1, v.known.Size, "these records do not have the hash of the checkpoint kept elsewhere")
	}
	v.report.Extends = v.known.Size
	return nil
}

// finish holds the end against the head: all of the records that the newest checkpoint counts, sealed, and no more.
func (v *verifier) finish() error {
	n := v.front.N
	switch {
	case n < v.head.Size:
		return v.bad("truncated", n+1, v.head.Size, "the log ends after record %d of %d", n, v.head.Size)
	case v.last == "":
		return v.bad("truncated", v.sealed+1, n, "no checkpoint covers the last records")
	case v.last != v.head.Note:
		return v.bad("checkpoint", v.sealed, n, "the log does not end with the checkpoint its head names")
	}
	return nil
}
