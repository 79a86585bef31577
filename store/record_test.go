package store

import (
	"bytes"
	"testing"

	"casemate/store/commit"
)

func FuzzBucketRecord(f *testing.F) {
	f.Add(append(kvHead('p', 0, "key"), "value"...), uint64(3))
	f.Add(kvHead('d', 9, "key"), uint64(12))
	f.Fuzz(func(t *testing.T, data []byte, seq uint64) {
		op, rev, key, value, err := parseKV(commit.Record{Seq: seq, Data: data})
		if err != nil {
			return
		}
		again := append(kvHead(op, rev, key), value...)
		op2, rev2, key2, value2, err := parseKV(commit.Record{Seq: seq, Data: again})
		if err != nil || op2 != op || rev2 != rev || key2 != key || !bytes.Equal(value2, value) {
			t.Fatalf("%q %d %q came back as %q %d %q: %v", op, rev, key, op2, rev2, key2, err)
		}
	})
}

func FuzzQueueRecord(f *testing.F) {
	f.Add(append(putHead(0, 5, -5, 2, "id"), "data"...), uint64(3))
	f.Add(itemHead('d', 9), uint64(12))
	f.Fuzz(func(t *testing.T, data []byte, seq uint64) {
		r := commit.Record{Seq: seq, Data: data}
		if op, num, _, err := parseItem(r); err == nil && op != data[0] {
			t.Fatalf("operation %q of item %d in %q", op, num, data)
		}
		p, err := parsePut(r)
		if err != nil || p.attempt < 0 {
			return
		}
		again, err := parsePut(commit.Record{Seq: seq, Data: append(putHead(p.num, p.enqueued, p.due, p.attempt, p.id), p.data...)})
		if err != nil || again.num != p.num || again.id != p.id || again.due != p.due || again.enqueued != p.enqueued ||
			again.attempt != p.attempt || !bytes.Equal(again.data, p.data) {
			t.Fatalf("%+v came back as %+v: %v", p, again, err)
		}
	})
}
