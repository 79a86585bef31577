package queue

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"casemate/store"
)

// The records of a queue's journal. Times are Unix nanoseconds; a message's number is the sequence of the record that first
// put it.
//
//	put:     'p' | number uvarint, 0 for the record's own sequence | sent | due | first varint | receives uvarint | id 16 | secret 16 | length of the meta uvarint | meta JSON | body
//	taken:   't' | now varint | due varint | count uvarint | numbers uvarint
//	hidden:  'v' | due varint | undo byte | count uvarint | numbers: visible again at due; undo takes the last receive back
//	done:    'd' | count uvarint | numbers
//	purged:  'x'
type put struct {
	num              uint64
	sent, due, first int64
	receives         int
	id, secret       [16]byte
	rest             []byte // meta and body, as they stand
}

// meta is what is kept of a message beside its body. Short names: it stands in every record.
type meta struct {
	Attributes map[string]Attribute `json:"a,omitempty"`
	Trace      string               `json:"x,omitempty"`
	Group      string               `json:"g,omitempty"`
	Dedup      string               `json:"d,omitempty"`
	Sender     string               `json:"w,omitempty"`
	Source     string               `json:"q,omitempty"`
	Reason     string               `json:"r,omitempty"`
}

var errRecord = errors.New("not a record of a queue")

func (p *put) head() []byte {
	b := binary.AppendUvarint(append(make([]byte, 0, 96), 'p'), p.num)
	b = binary.AppendVarint(binary.AppendVarint(binary.AppendVarint(b, p.sent), p.due), p.first)
	b = binary.AppendUvarint(b, uint64(p.receives))
	return append(append(b, p.id[:]...), p.secret[:]...)
}

// payload is meta and body as a record holds them.
func payload(m *meta, body string) ([]byte, error) {
	b, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encoding a message: %w", err)
	}
	out := binary.AppendUvarint(make([]byte, 0, len(b)+len(body)+4), uint64(len(b)))
	return append(append(out, b...), body...), nil
}

func parsePayload(b []byte) (m meta, body string, err error) {
	n, k := binary.Uvarint(b)
	if k <= 0 || n > uint64(len(b)-k) {
		return m, "", errRecord
	}
	b = b[k:]
	if err := json.Unmarshal(b[:n], &m); err != nil {
		return m, "", errRecord
	}
	return m, string(b[n:]), nil
}

func parsePut(r store.Record) (put, error) {
	d := reader{rest: r.Data[1:]}
	p := put{num: d.unsigned(), sent: d.signed(), due: d.signed(), first: d.signed(), receives: int(d.unsigned())}
	if d.bad || len(d.rest) < 33 {
		return put{}, errRecord
	}
	copy(p.id[:], d.rest)
	copy(p.secret[:], d.rest[16:])
	p.rest = d.rest[32:]
	if p.num == 0 {
		p.num = r.Seq
	}
	return p, nil
}

// change is any other record.
type change struct {
	op       byte
	now, due int64
	undo     bool
	nums     []uint64
}

func (c *change) encode() []byte {
	b := append(make([]byte, 0, 32+4*len(c.nums)), c.op)
	switch c.op {
	case 'x':
		return b
	case 't':
		b = binary.AppendVarint(binary.AppendVarint(b, c.now), c.due)
	case 'v':
		b = append(binary.AppendVarint(b, c.due), bit(c.undo))
	}
	b = binary.AppendUvarint(b, uint64(len(c.nums)))
	for _, n := range c.nums {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

func parseChange(data []byte) (c change, err error) {
	d := reader{rest: data[1:]}
	c.op = data[0]
	switch c.op {
	case 'x':
		return c, nil
	case 't':
		c.now, c.due = d.signed(), d.signed()
	case 'v':
		c.due = d.signed()
		c.undo = d.unsigned() == 1
	case 'd':
	default:
		return c, errRecord
	}
	n := d.unsigned()
	if d.bad || n > uint64(len(d.rest)) {
		return c, errRecord
	}
	c.nums = make([]uint64, 0, n)
	for range n {
		c.nums = append(c.nums, d.unsigned())
	}
	if d.bad || len(d.rest) > 0 {
		return c, errRecord
	}
	return c, nil
}

// reader reads variable-length numbers off the front; bad says that one was not there.
type reader struct {
	rest []byte
	bad  bool
}

func (f *reader) unsigned() uint64 {
	v, n := binary.Uvarint(f.rest)
	f.skip(n)
	return v
}

func (f *reader) signed() int64 {
	v, n := binary.Varint(f.rest)
	f.skip(n)
	return v
}

func (f *reader) skip(n int) {
	if n <= 0 {
		f.bad, f.rest = true, nil
		return
	}
	f.rest = f.rest[n:]
}
