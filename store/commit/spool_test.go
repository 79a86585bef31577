package commit

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// spoolFile makes a spool's bytes: one group for each list of sequences.
func spoolFile(salt string, groups [][]uint64) []byte {
	raw := []byte(salt)
	for _, seqs := range groups {
		head := append([]byte(salt), make([]byte, 8)...)
		var frames []byte
		for _, seq := range seqs {
			frames = appendFrame(frames, seq, 0, nil, []byte("payload"))
		}
		binary.LittleEndian.PutUint32(head[saltSize:], uint32(len(frames)))
		binary.LittleEndian.PutUint32(head[saltSize+4:], checksum(head[:saltSize+4]))
		raw = append(append(raw, head...), frames...)
	}
	return raw
}

func loadSpool(t *testing.T, a, b []byte, settled uint64) (*spool, []uint64, int, error) {
	t.Helper()
	dir := t.TempDir()
	s := &spool{paths: [2]string{filepath.Join(dir, "a"), filepath.Join(dir, "b")}}
	for i, raw := range [][]byte{a, b} {
		if err := os.WriteFile(s.paths[i], raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	records, torn, err := s.load(settled)
	t.Cleanup(func() { s.close() })
	var seqs []uint64
	for _, r := range records {
		seqs = append(seqs, r.Seq)
	}
	return s, seqs, torn, err
}

func TestSpoolLoad(t *testing.T) {
	full := spoolFile("saltsalt", [][]uint64{{3, 4}, {5}, {6, 7}})
	zeros := append(bytes.Clone(full), make([]byte, 4096)...)
	for _, c := range []struct {
		name    string
		a, b    []byte
		settled uint64
		want    int
		gap     uint64
		torn    bool
	}{
		{name: "empty"},
		{name: "all", a: full, settled: 2, want: 5},
		{name: "some settled", a: full, settled: 4, want: 3},
		{name: "all settled", a: full, settled: 7},
		{name: "both files", a: full, b: spoolFile("saltSALT", [][]uint64{{8}, {9}}), settled: 3, want: 6},
		{name: "files swapped", a: spoolFile("saltSALT", [][]uint64{{8}, {9}}), b: full, settled: 3, want: 6},
		{name: "an older file", a: spoolFile("saltSALT", [][]uint64{{1}}), b: full, settled: 2, want: 5},
		{name: "a hole that was settled", a: spoolFile("saltsalt", [][]uint64{{3}, {9}}), settled: 8, want: 1},
		{name: "a hole", a: spoolFile("saltsalt", [][]uint64{{3}, {9}}), settled: 3, gap: 4},
		{name: "JetStream is behind", a: full, settled: 1, gap: 2},
		{name: "cut in a frame", a: full[:len(full)-3], settled: 2, want: 3, torn: true},
		{name: "cut in a group's head", a: full[:len(full)-2*(frameHead+7)-4], settled: 2, want: 3, torn: true},
		{name: "grown before its data came", a: zeros, settled: 2, want: 5, torn: true},
		{name: "cut in the salt", a: full[:5], torn: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, seqs, torn, err := loadSpool(t, c.a, c.b, c.settled)
			var g *gap
			if c.gap != 0 && (!errors.As(err, &g) || g.seq != c.gap) || c.gap == 0 && err != nil {
				t.Fatalf("error %v, want a gap at %d", err, c.gap)
			}
			if len(seqs) != c.want || c.torn != (torn > 0) {
				t.Fatalf("records %v, %d bytes torn", seqs, torn)
			}
			for i, seq := range seqs {
				if seq != c.settled+1+uint64(i) {
					t.Fatalf("records %v after %d", seqs, c.settled)
				}
			}
		})
	}
}

// TestSpoolDamage: a flipped bit is an error, or the record is not handed out with other content. Only what the last
// group holds may be taken for an unfinished write, and only when its length says so.
func TestSpoolDamage(t *testing.T) {
	full := spoolFile("saltsalt", [][]uint64{{3, 4}, {5}})
	silent := 0
	for bit := range 8 * len(full) {
		raw := bytes.Clone(full)
		raw[bit/8] ^= 1 << (bit % 8)
		_, seqs, torn, err := loadSpool(t, raw, nil, 2)
		if err == nil && (len(seqs) != 3 || torn > 0) {
			silent++
		}
		if err == nil && len(seqs) == 3 {
			t.Errorf("bit %d was flipped and not noticed", bit)
		}
	}
	if silent > 0 {
		t.Errorf("%d flips passed for an unfinished write", silent)
	}
}

// TestSpoolTurns writes through several turns of the two files and reads the rest back.
func TestSpoolTurns(t *testing.T) {
	s, _, _, err := loadSpool(t, nil, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	payload := make([]byte, 100_000)
	const last, settled = 200, 170
	for seq := uint64(1); seq <= last; seq++ {
		behind := max(seq, 200-settled) - (200 - settled)
		if err := s.write([][]byte{appendFrame(nil, seq, 0, nil, payload)}, seq, behind); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range s.files {
		if st, err := f.Stat(); err != nil || st.Size() > 2*spoolTurn {
			t.Errorf("a file has %d bytes: %v", st.Size(), err)
		}
	}
	again := &spool{paths: s.paths}
	defer again.close()
	records, torn, err := again.load(settled)
	if err != nil || torn != 0 || len(records) != last-settled {
		t.Fatalf("%d records, %d bytes torn: %v", len(records), torn, err)
	}
	if err := again.write([][]byte{appendFrame(nil, last+1, 0, nil, nil)}, last+1, settled); err != nil {
		t.Fatal(err)
	}
	third := &spool{paths: s.paths}
	defer third.close()
	if records, _, err := third.load(settled); err != nil || len(records) != last+1-settled {
		t.Fatalf("%d records after writing on: %v", len(records), err)
	}
	if err := third.reclaim(last+1, true); err != nil {
		t.Fatal(err)
	}
	for _, f := range third.files {
		if st, err := f.Stat(); err != nil || st.Size() != 0 {
			t.Errorf("a file keeps %d bytes: %v", st.Size(), err)
		}
	}
}

func TestMark(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mark")
	m, found, err := openMark(path)
	if err != nil || found {
		t.Fatalf("new mark: %v %v", found, err)
	}
	for i := range uint64(5) {
		if err := m.write(10+i, i, i == 3); err != nil {
			t.Fatal(err)
		}
	}
	m.file.Close()
	raw, err := os.ReadFile(path)
	if err != nil || len(raw) != 2*slotSize {
		t.Fatalf("%d bytes: %v", len(raw), err)
	}
	reopen := func(raw []byte) (uint64, bool, error) {
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		m, found, err := openMark(path)
		if err != nil {
			return 0, found, err
		}
		m.file.Close()
		return m.acked, found, nil
	}
	if acked, found, err := reopen(raw); acked != 14 || !found || err != nil {
		t.Errorf("acked %d %v %v", acked, found, err)
	}
	for bit := range 8 * len(raw) {
		broken := bytes.Clone(raw)
		broken[bit/8] ^= 1 << (bit % 8)
		if acked, found, err := reopen(broken); acked < 13 || !found || err != nil {
			t.Errorf("bit %d: acked %d %v %v", bit, acked, found, err)
		}
	}
	if _, _, err := reopen(bytes.Repeat([]byte{9}, 2*slotSize)); err == nil {
		t.Error("a mark of garbage was taken for a new one")
	}
}
