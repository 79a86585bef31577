package queue

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"casemate"
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
	Lineage    *casemate.Lineage    `json:"l,omitempty"`
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
	d := store.Fields{Rest: b}
	kept := d.Bytes(d.Unsigned())
	if d.Bad || json.Unmarshal(kept, &m) != nil {
		return m, "", errRecord
	}
	return m, string(d.Rest), nil
}

func parsePut(r store.Record) (put, error) {
	d := store.Fields{Rest: r.Data[1:]}
	p := put{num: d.Unsigned(), sent: d.Signed(), due: d.Signed(), first: d.Signed(), receives: int(d.Unsigned())}
	copy(p.id[:], d.Bytes(uint64(len(p.id))))
	copy(p.secret[:], d.Bytes(uint64(len(p.secret))))
	if p.rest = d.Rest; d.Bad || len(p.rest) == 0 {
		return put{}, errRecord
	}
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
	d := store.Fields{Rest: data[1:]}
	c.op = data[0]
	switch c.op {
	case 'x':
		return c, nil
	case 't':
		c.now, c.due = d.Signed(), d.Signed()
	case 'v':
		c.due = d.Signed()
		c.undo = d.Unsigned() == 1
	case 'd':
	default:
		return c, errRecord
	}
	n := d.Unsigned()
	if d.Bad || n > uint64(len(d.Rest)) {
		return c, errRecord
	}
	c.nums = make([]uint64, 0, n)
	for range n {
		c.nums = append(c.nums, d.Unsigned())
	}
	if d.Bad || len(d.Rest) > 0 {
		return c, errRecord
	}
	return c, nil
}
