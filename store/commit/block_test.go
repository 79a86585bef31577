package commit

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"
)

func makeBlock(first uint64, payloads [][]byte) []byte {
	buf := make([]byte, blockHead)
	for i, p := range payloads {
		buf = appendFrame(buf, first+uint64(i), int64(i)-5, p[:len(p)/2], p[len(p)/2:])
	}
	sealBlock(buf, first, len(payloads))
	return buf
}

func TestBlockComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := rapid.Uint64Range(1, 1<<60).Draw(t, "first")
		payloads := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 300), 1, 20).Draw(t, "payloads")
		buf := makeBlock(first, payloads)
		from, end, err := blockRange(buf)
		if err != nil || from != first || end != first+uint64(len(payloads)) {
			t.Fatalf("range %d-%d: %v", from, end, err)
		}
		i := 0
		got, err := walkFrames(buf[blockHead:], first, func(r Record) bool {
			if r.Seq != first+uint64(i) || r.At != int64(i)-5 || !bytes.Equal(r.Data, payloads[i]) {
				t.Fatalf("record %d is %d %q", i, r.Seq, r.Data)
			}
			i++
			return true
		})
		if err != nil || got != end {
			t.Fatalf("walked to %d: %v", got, err)
		}
	})
}

// TestBlockDamage: no single flipped bit and no cut goes unnoticed.
func TestBlockDamage(t *testing.T) {
	buf := makeBlock(7, [][]byte{[]byte("one"), []byte("two two"), nil, []byte("four")})
	for bit := range 8 * len(buf) {
		broken := bytes.Clone(buf)
		broken[bit/8] ^= 1 << (bit % 8)
		if whole(broken, 7, 11) {
			t.Errorf("bit %d was flipped and not noticed", bit)
		}
	}
	for cut := range buf {
		if whole(buf[:cut], 7, 11) {
			t.Errorf("a cut at %d was not noticed", cut)
		}
	}
}

func whole(buf []byte, first, end uint64) bool {
	f, e, err := blockRange(buf)
	if err != nil || f != first || e != end {
		return false
	}
	got, err := walkFrames(buf[blockHead:], f, func(Record) bool { return true })
	return err == nil && got == end
}

func FuzzBlock(f *testing.F) {
	f.Add(makeBlock(1, [][]byte{[]byte("seed"), nil}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, buf []byte) {
		first, end, err := blockRange(buf)
		if err != nil {
			return
		}
		seen := uint64(0)
		if _, err := walkFrames(buf[blockHead:], first, func(r Record) bool {
			if r.Seq != first+seen {
				t.Fatalf("record %d after %d", r.Seq, first+seen)
			}
			seen++
			return true
		}); err == nil && seen > uint64(len(buf))/frameHead {
			t.Fatalf("%d records in %d bytes, head says %d", seen, len(buf), end-first)
		}
	})
}

func FuzzSpool(f *testing.F) {
	f.Add(spoolFile("saltsalt", [][]uint64{{3, 4}, {5}}), uint64(2))
	f.Add([]byte("saltsalt"), uint64(0))
	f.Fuzz(func(t *testing.T, raw []byte, settled uint64) {
		records, torn, err := spoolRecords(raw, settled)
		if torn > len(raw) || err != nil && records != nil {
			t.Fatalf("%d of %d bytes torn, %d records with error %v", torn, len(raw), len(records), err)
		}
		for i := 1; i < len(records); i++ {
			if records[i].Seq <= records[i-1].Seq {
				t.Fatalf("record %d after %d", records[i].Seq, records[i-1].Seq)
			}
		}
		var g *gap
		if err != nil && !errors.As(err, &g) {
			t.Fatalf("an error without a record: %v", err)
		}
	})
}

func FuzzProbe(f *testing.F) {
	f.Add([]byte("\x1e\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00aaaaaaaa\x00\x00hashhash"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p := prober{}
		err := p.walk(bytes.NewReader(raw))
		var g *gap
		if err != nil && !errors.As(err, &g) {
			t.Fatalf("an error without a record: %v", err)
		}
	})
}

// TestMemoryOfBlocks: a durable block's memory serves the next one, unless a reader has part of it.
func TestMemoryOfBlocks(t *testing.T) {
	j := &Journal{host: &Host{}, next: 1}
	write := func(text string) *block {
		b := j.open(len(text))
		b.buf = appendFrame(b.buf, j.next, 0, nil, []byte(text))
		b.count++
		j.next++
		return b
	}
	settle := func(b *block) {
		b.sealed = true
		sealBlock(b.buf, b.first, b.count)
		j.settle(b, b.first)
	}
	settle(write("one"))
	second := write("two")
	lent := j.pendingFrames(2)
	settle(second)
	third := write("six")
	r, _, err := nextFrame(lent[0].frames)
	if err != nil || string(r.Data) != "two" || &third.buf[0] == &second.buf[0] {
		t.Errorf("a reader's record became %q, %v", r.Data, err)
	}
	settle(third)
	if fourth := write("ten"); &fourth.buf[0] != &third.buf[0] {
		t.Error("the memory of a durable block was not used again")
	}
}
