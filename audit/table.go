package audit

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"sync"

	"casemate"
	"casemate/audit/entry"
)

// Layout of the in-flight file: a header page, then slots of equal size. A slot is
//
//	length uint32 (0: free) | CRC-32 of the rest uint32 | floor uint64 | opening (JSON record, cut to fit)
//
// where floor is a sequence below which the record's closing cannot be. The file is mapped shared: what is stored in it
// survives a killed process at once. It is not synced: after a power cut it may be empty, and so may be the memory of
// the runs themselves.
const (
	tableMagic = "CMFLIGHT1\n"
	headerSize = 4096
	slotSize   = 1024
	slotHead   = 16
)

// slot is the life of one opened record.
type slot struct {
	index   int
	closing bool // an End has it in hand
}

// table holds the openings of what is in flight. Bounded: full means refused, never unrecorded.
type table struct {
	mu   sync.Mutex
	mem  []byte // nil once closed
	free []int  // last in, first out: the working set stays small
	open map[string]*slot
	file *mapping

	scratch sync.Pool // of *[slotSize]byte
}

func newTable(m *mapping, slots int) *table {
	t := &table{mem: m.mem, file: m, open: make(map[string]*slot, 64)}
	for i := slots - 1; i >= 0; i-- {
		t.free = append(t.free, i)
	}
	return t
}

// take writes r's opening into a free slot. When it returns nil the opening survives kill -9.
func (t *table) take(r *casemate.Record, floor uint64) error {
	return t.write(r, floor, func() error {
		if t.open[r.ID] != nil {
			return casemate.Errorf(casemate.Conflict, "use a fresh request id", "an event of this id is in flight already")
		}
		return nil
	})
}

// renew writes r's opening once more, as it is now: into another slot, so that at every moment one of the two is whole.
func (t *table) renew(r *casemate.Record, floor uint64) error {
	var old *slot
	return t.write(r, floor, func() error {
		if old = t.open[r.ID]; old == nil || old.closing {
			return casemate.Errorf(casemate.Conflict, "", "record %q is not open", r.ID)
		}
		return nil
	}, func() {
		binary.LittleEndian.PutUint32(t.mem[headerSize+old.index*slotSize:], 0)
		t.free = append(t.free, old.index)
	})
}

// write puts r's opening into a free slot if may agrees, and calls then; both under the lock.
func (t *table) write(r *casemate.Record, floor uint64, may func() error, then ...func()) error {
	buf, ok := t.scratch.Get().(*[slotSize]byte)
	if !ok {
		buf = new([slotSize]byte)
	}
	defer t.scratch.Put(buf)
	text := entry.AppendOpening(buf[:slotHead], r, slotSize)
	binary.LittleEndian.PutUint64(text[8:], floor)
	binary.LittleEndian.PutUint32(text[4:], crc32.ChecksumIEEE(text[8:]))
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.mem == nil:
		return casemate.Errorf(casemate.Unavailable, "the node is stopping", "the record is closed")
	case len(t.free) == 0:
		e := casemate.Errorf(casemate.Unavailable, "raise the number of record slots, or send less at once",
			"too many events in flight to record one more")
		e.Retry = 1
		return e
	}
	if err := may(); err != nil {
		return err
	}
	i := t.free[len(t.free)-1]
	t.free = t.free[:len(t.free)-1]
	t.open[r.ID] = &slot{index: i}
	at := t.mem[headerSize+i*slotSize:]
	copy(at[4:slotSize], text[4:])
	binary.LittleEndian.PutUint32(at, uint32(len(text)-slotHead)) // last: a torn opening stays free
	for _, f := range then {
		f()
	}
	return nil
}

// hold marks the record as being closed, so that a second close finds nothing.
func (t *table) hold(id string) (*slot, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.open[id]
	if s == nil || s.closing {
		return nil, fmt.Errorf("closing record: %w", casemate.Errorf(casemate.Conflict, "", "record %q is not open", id))
	}
	s.closing = true
	return s, nil
}

func (t *table) release(id string, s *slot) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mem == nil {
		return
	}
	binary.LittleEndian.PutUint32(t.mem[headerSize+s.index*slotSize:], 0)
	delete(t.open, id)
	t.free = append(t.free, s.index)
}

func (t *table) inFlight() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.open)
}

func (t *table) close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mem == nil {
		return nil
	}
	t.mem = nil
	return t.file.close()
}

// leftover is a slot found occupied at start-up.
type leftover struct {
	index   int
	floor   uint64
	opening casemate.Record
	err     error // the opening cannot be read
}

// leftovers reads the occupied slots of a table written by an earlier process.
func leftovers(mem []byte) []leftover {
	var all []leftover
	for i := 0; headerSize+(i+1)*slotSize <= len(mem); i++ {
		at := mem[headerSize+i*slotSize:][:slotSize]
		n := int(binary.LittleEndian.Uint32(at))
		if n == 0 {
			continue
		}
		l := leftover{index: i}
		switch {
		case n > slotSize-slotHead:
			l.err = fmt.Errorf("slot %d: length %d out of bounds", i, n)
		case crc32.ChecksumIEEE(at[8:slotHead+n]) != binary.LittleEndian.Uint32(at[4:]):
			l.err = fmt.Errorf("slot %d: checksum differs", i)
		default:
			l.floor = binary.LittleEndian.Uint64(at[8:])
			if err := json.Unmarshal(at[slotHead:slotHead+n], &l.opening); err != nil {
				l.err = fmt.Errorf("slot %d: %w", i, err)
			}
		}
		all = append(all, l)
	}
	return all
}
