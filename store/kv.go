package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strings"

	"casemate"
	"casemate/store/commit"
)

// nodeKV is a bucket: a journal of puts and deletions and, in memory, what they amount to. Memory is about the size of
// the keys and values. Its fields are guarded by the journal's lock.
//
//	record: op ('p' or 'd') | revision uvarint, 0 for the record's own sequence | length of the key uvarint | key | value
type nodeKV struct {
	bucket string
	j      *commit.Journal
	live   map[string]*kvItem
	keys   []string           // of live, sorted
	ahead  map[string]kvAhead // what writes that are not durable yet will leave
	bytes  int64
}

type kvItem struct {
	value []byte
	rev   uint64
	at    uint64 // the record that holds it now: cleaning moves old ones
}

type kvAhead struct{ rev, seq uint64 } // rev 0: deleted

var errRecord = errors.New("not a record of this kind")

func (k *nodeKV) Get(ctx context.Context, key string) (Entry, error) {
	if err := firstError(ctx.Err(), checkKey(key)); err != nil {
		return Entry{}, err
	}
	k.j.Lock()
	defer k.j.Unlock()
	it := k.live[key]
	if it == nil {
		return Entry{}, noKey(k.bucket, key)
	}
	return Entry{Key: key, Value: bytes.Clone(it.value), Revision: it.rev}, nil
}

func (k *nodeKV) List(ctx context.Context, prefix string) ([]Entry, error) {
	k.j.Lock()
	defer k.j.Unlock()
	var out []Entry
	at, _ := slices.BinarySearch(k.keys, prefix)
	for _, key := range k.keys[at:] {
		if !strings.HasPrefix(key, prefix) {
			break
		}
		it := k.live[key]
		out = append(out, Entry{Key: key, Value: bytes.Clone(it.value), Revision: it.rev})
	}
	return out, ctx.Err()
}

func (k *nodeKV) Put(ctx context.Context, key string, value []byte, expect uint64) (uint64, error) {
	if err := firstError(checkKey(key), checkSize(len(key)+len(value))); err != nil {
		return 0, err
	}
	return k.j.Append(ctx, casemate.Durable, func(uint64) ([]byte, []byte, error) {
		return kvHead('p', 0, key), value, expected(k.bucket, key, k.current(key), expect)
	})
}

func (k *nodeKV) Delete(ctx context.Context, key string, expect uint64) error {
	if err := checkKey(key); err != nil {
		return err
	}
	_, err := k.j.Append(ctx, casemate.Durable, func(uint64) ([]byte, []byte, error) {
		rev := k.current(key)
		if rev == 0 {
			return nil, nil, noKey(k.bucket, key)
		}
		return kvHead('d', 0, key), nil, expected(k.bucket, key, rev, expect)
	})
	return err
}

// current is a key's revision as the next writer must see it, durable or not; 0 when there is none.
func (k *nodeKV) current(key string) uint64 {
	if a, ok := k.ahead[key]; ok {
		return a.rev
	}
	if it := k.live[key]; it != nil {
		return it.rev
	}
	return 0
}

func kvHead(op byte, rev uint64, key string) []byte {
	head := make([]byte, 0, 16+len(key))
	head = binary.AppendUvarint(append(head, op), rev)
	return append(binary.AppendUvarint(head, uint64(len(key))), key...)
}

// parseKV reads a record; rev is its own sequence unless it was moved.
func parseKV(r commit.Record) (op byte, rev uint64, key string, value []byte, err error) {
	if len(r.Data) == 0 || r.Data[0] != 'p' && r.Data[0] != 'd' {
		return 0, 0, "", nil, errRecord
	}
	d := commit.Fields{Rest: r.Data[1:]}
	rev = d.Unsigned()
	name := d.Bytes(d.Unsigned())
	if d.Bad || len(name) == 0 || len(name) > MaxKey {
		return 0, 0, "", nil, errRecord
	}
	if rev == 0 {
		rev = r.Seq
	}
	return r.Data[0], rev, string(name), d.Rest, nil
}

func (k *nodeKV) Sequenced(r commit.Record, _ bool) error {
	op, rev, key, _, err := parseKV(r)
	if err != nil || rev != r.Seq {
		return err
	}
	a := kvAhead{seq: r.Seq}
	if op == 'p' {
		a.rev = rev
	}
	k.ahead[key] = a
	return nil
}

func (k *nodeKV) Settle(r commit.Record) error {
	op, rev, key, value, err := parseKV(r)
	if err != nil {
		return err
	}
	if k.ahead[key].seq == r.Seq {
		delete(k.ahead, key)
	}
	it := k.live[key]
	switch {
	case op == 'd' && it != nil:
		at, _ := slices.BinarySearch(k.keys, key)
		k.keys = slices.Delete(k.keys, at, at+1)
		k.bytes -= kvCost(key, it.value)
		delete(k.live, key)
	case op == 'd':
	case it == nil:
		at, _ := slices.BinarySearch(k.keys, key)
		k.keys = slices.Insert(k.keys, at, key)
		k.live[key] = &kvItem{value: bytes.Clone(value), rev: rev, at: r.Seq}
		k.bytes += kvCost(key, value)
	case rev >= it.rev:
		k.bytes += int64(len(value) - len(it.value))
		it.value, it.rev, it.at = bytes.Clone(value), rev, r.Seq
	}
	return nil
}

func kvCost(key string, value []byte) int64 { return int64(len(key)+len(value)) + recordCost + 4 }

func (k *nodeKV) Worth() int64 { return k.bytes }

// Keep moves an entry that still stands where r is. One with a write under way is not moved: that write is durable
// before r's block goes, and a moved copy behind a deletion would bring the key back.
func (k *nodeKV) Keep(r commit.Record) (head, data []byte) {
	op, _, key, value, err := parseKV(r)
	it := k.live[key]
	if _, writing := k.ahead[key]; err != nil || op != 'p' || writing || it == nil || it.at != r.Seq {
		return nil, nil
	}
	return kvHead('p', it.rev, key), value
}
