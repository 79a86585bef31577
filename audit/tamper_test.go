package audit

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"casemate/audit/proof"
	"casemate/store"
)

// sealedLog makes a log of n records under several checkpoints.
func sealedLog(t *testing.T, n int) (*tape, string, *Log) {
	t.Helper()
	s, dir := newTape(), t.TempDir()
	l := openLog(t, config(t, s, dir))
	for i := 0; i < n; i += 50 {
		run(t, l, i, min(i+50, n))
		if _, err := l.Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return s, dir, l
}

func export(t *testing.T, l *Log) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := l.Export(t.Context(), &b); err != nil {
		t.Fatalf("Export: %v", err)
	}
	return b.Bytes()
}

func TestUntouchedExportVerifies(t *testing.T) {
	for _, n := range []int{0, 1, 2, 49, 50, 51, 1100} {
		_, _, l := sealedLog(t, n)
		b := export(t, l)
		for _, trust := range []Trust{{}, {Key: l.PublicKey()}, {Key: l.PublicKey(), Known: []byte(l.State().Newest.Note)}} {
			r, err := Verify(bytes.NewReader(b), trust)
			if err != nil || r.Records != int64(n) || r.Pinned != (trust.Key != "") || trust.Known != nil && r.Extends != int64(n) {
				t.Errorf("%d records: %+v, %v", n, r, err)
			}
		}
		if r, err := l.Verify(t.Context()); err != nil || r.Records != int64(n) {
			t.Errorf("live, %d records: %+v, %v", n, r, err)
		}
		closeLog(t, l)
	}
}

// mutate changes an export in one random way; it returns nil when the draw changes nothing.
func mutate(rnd *rand.Rand, b []byte) (string, []byte) {
	lines := bytes.SplitAfter(b, []byte("\n"))
	lines = lines[:len(lines)-1]
	i, j := rnd.IntN(len(lines)), rnd.IntN(len(lines))
	isMark := func(i int) bool { return bytes.HasPrefix(lines[i], []byte(`{"checkpoint"`)) }
	switch rnd.IntN(8) {
	case 0, 1: // one byte anywhere, every field and signature included
		c := bytes.Clone(b)
		c[rnd.IntN(len(c))] ^= byte(1 + rnd.IntN(255))
		return "flip", c
	case 2:
		at := rnd.IntN(len(b))
		return "insert", append(append(bytes.Clone(b[:at]), byte(rnd.IntN(256))), b[at:]...)
	case 3:
		at := rnd.IntN(len(b) - 1)
		return "drop byte", append(bytes.Clone(b[:at]), b[at+1:]...)
	case 4:
		if isMark(i) && i != len(lines)-1 {
			return "", nil // an inner checkpoint left out takes nothing from what is shown
		}
		return fmt.Sprint("delete line ", i), bytes.Join(append(append([][]byte{}, lines[:i]...), lines[i+1:]...), nil)
	case 5:
		c := append([][]byte{}, lines...)
		c[i], c[j] = c[j], c[i]
		return fmt.Sprint("swap lines ", i, j), bytes.Join(c, nil)
	case 6:
		return fmt.Sprint("duplicate line ", i, " at ", j), bytes.Join(append(append(append([][]byte{}, lines[:j]...), lines[i]), lines[j:]...), nil)
	default:
		return "truncate", bytes.Clone(b[:rnd.IntN(len(b))])
	}
}

func TestEveryMutationOfAnExportIsFound(t *testing.T) {
	trials := 2000
	if os.Getenv("CASEMATE_FULL") == "1" {
		trials = 10000
	}
	_, _, l := sealedLog(t, 70)
	defer closeLog(t, l)
	b := export(t, l)
	trust := Trust{Key: l.PublicKey()}
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 1))
	for done := 0; done < trials; {
		what, c := mutate(rnd, b)
		if c == nil || bytes.Equal(b, c) {
			continue
		}
		done++
		_, err := Verify(bytes.NewReader(c), trust)
		var found *Tampering
		if !errors.As(err, &found) {
			t.Fatalf("seed %d: %s not found: %v", seed, what, err)
		}
		if first := firstDifference(b, c); found.First > first+1 {
			t.Fatalf("seed %d: %s: the first bad record is about %d, the verifier says %v", seed, what, first, found)
		}
	}
}

// firstDifference counts the whole records before the first byte that differs.
func firstDifference(a, b []byte) int64 {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	return int64(bytes.Count(a[:i], []byte("\n{\"seq\":"))) + 1
}

func TestTamperingIsNamed(t *testing.T) {
	s, _, l := sealedLog(t, 130)
	defer closeLog(t, l)
	b := export(t, l)
	older := s.reel(streamCheckpoints).ms[1].Data // of 100 records
	line := func(i int) []byte { return bytes.SplitAfter(b, []byte("\n"))[i] }
	replace := func(old, new []byte) []byte { return bytes.Replace(b, old, new, 1) }
	forged := bytes.Replace(line(30), []byte(`"clerk"`), []byte(`"admin"`), 1)
	h := hashOf(t, forged)
	resealed := append(append(append([]byte{}, forged[:bytes.Index(forged, []byte(`"leaf":"`))+8]...), h...), forged[bytes.Index(forged, []byte(`","record"`)):]...)
	_, _, other := sealedLog(t, 130)
	defer closeLog(t, other)
	for _, c := range []struct {
		name, kind  string
		first, last int64
		in          []byte
		trust       Trust
	}{
		{"one field edited", "edited", 30, 30, replace(line(30), forged), Trust{}},
		{"edited and its hash made to fit", "edited", 1, 50, replace(line(30), resealed), Trust{}},
		{"one record cut out", "deleted", 30, 30, replace(line(30), nil), Trust{}},
		{"two records swapped", "deleted", 30, 30, replace(append(bytes.Clone(line(30)), line(31)...), append(bytes.Clone(line(31)), line(30)...)), Trust{}},
		{"a record repeated", "reordered", 31, 31, replace(line(30), append(bytes.Clone(line(30)), line(30)...)), Trust{}},
		{"cut at a checkpoint", "truncated", 51, 130, b[:bytes.Index(b, line(52))], Trust{}},
		{"cut before the last checkpoint", "truncated", 101, 130, b[:len(b)-len(line(133))], Trust{}},
		{"another key's log", "checkpoint", 1, 1, export(t, other), Trust{Key: l.PublicKey()}},
		{"older log against a newer checkpoint", "rolled-back", 101, 130, rollBack(t, b, l, older), Trust{Known: []byte(l.State().Newest.Note)}},
		{"empty", "malformed", 1, 1, nil, Trust{}},
	} {
		_, err := Verify(bytes.NewReader(c.in), c.trust)
		var found *Tampering
		if !errors.As(err, &found) || found.Kind != c.kind || found.First != c.first || found.Last != c.last {
			t.Errorf("%s: want %s %d-%d, got %v", c.name, c.kind, c.first, c.last, err)
		}
	}
}

func hashOf(t *testing.T, line []byte) []byte {
	t.Helper()
	at := bytes.Index(line, []byte(`"record":`)) + len(`"record":`)
	return proof.AppendRecord(nil, 1, tlog.RecordHash(line[at:len(line)-2]), nil)[len(`{"seq":1,"leaf":"`):][:64]
}

// rollBack makes the export that an honest log would have given when older was its newest checkpoint.
func rollBack(t *testing.T, b []byte, l *Log, older []byte) []byte {
	t.Helper()
	head, err := proof.Head(l.PublicKey(), string(older))
	if err != nil {
		t.Fatal(err)
	}
	mark, err := proof.Mark(string(older))
	if err != nil {
		t.Fatal(err)
	}
	cut := append(head, b[bytes.IndexByte(b, '\n')+1:bytes.Index(b, mark)+len(mark)]...)
	if r, err := Verify(bytes.NewReader(cut), Trust{Key: l.PublicKey()}); err != nil || r.Records != 100 {
		t.Fatalf("the rolled-back log alone is consistent, but: %+v, %v", r, err)
	}
	return cut
}

func TestStoreThatWasChangedIsFound(t *testing.T) {
	cutTo := func(n int) func([]store.Message) []store.Message {
		return func(ms []store.Message) []store.Message { return ms[:n] }
	}
	for _, c := range []struct {
		name    string
		kind    string
		atBoot  bool
		records func([]store.Message) []store.Message
		marks   func([]store.Message) []store.Message
		tree    bool // the tree file is lost as well
	}{
		{"records rolled back", "rolled-back", true, cutTo(80), nil, false},
		{"everything rolled back", "rolled-back", true, cutTo(50), cutTo(1), true},
		{"checkpoints rolled back", "rolled-back", true, nil, cutTo(2), false},
		{"a record edited, tree file intact", "edited", false, editRecord, nil, false},
		{"a record edited, tree file lost", "edited", true, editRecord, nil, true},
		{"a checkpoint forged", "checkpoint", true, nil, func(ms []store.Message) []store.Message {
			ms[len(ms)-1].Data = bytes.Replace(ms[len(ms)-1].Data, []byte("2026"), []byte("2025"), 1)
			return ms
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, dir, l := sealedLog(t, 130)
			closeLog(t, l)
			if c.records != nil {
				s.reel(streamRecords).edit(c.records)
			}
			if c.marks != nil {
				s.reel(streamCheckpoints).edit(c.marks)
			}
			if c.tree {
				if err := os.Remove(filepath.Join(dir, fileTree)); err != nil {
					t.Fatal(err)
				}
			}
			l, err := Open(t.Context(), config(t, s, dir))
			if err == nil {
				defer closeLog(t, l)
				if c.atBoot {
					t.Fatal("the node started on it")
				}
				_, err = l.Verify(t.Context())
			}
			var found *Tampering
			if !errors.As(err, &found) || found.Kind != c.kind {
				t.Fatalf("want %s, got %v", c.kind, err)
			}
		})
	}
}

func editRecord(ms []store.Message) []store.Message {
	ms[33].Data = bytes.Replace(ms[33].Data, []byte(`"clerk"`), []byte(`"admin"`), 1)
	return ms
}

func TestDamagedFilesBesideTheStoreAreRepairedOrNamed(t *testing.T) {
	for _, c := range []struct {
		name, file string
		change     func([]byte) []byte
		starts     bool
	}{
		{"tree cut short", fileTree, func(b []byte) []byte { return b[:len(b)/3] }, true},
		{"tree flipped", fileTree, func(b []byte) []byte { b[40*32] ^= 1; b[len(b)-1] ^= 1; return b }, true},
		{"tree lost", fileTree, func([]byte) []byte { return nil }, true},
		{"copy torn", fileCopy, func(b []byte) []byte { return append(b, `{"checkpoint":"cas`...) }, true},
		{"copy lost", fileCopy, func([]byte) []byte { return nil }, true},
		{"copy forged", fileCopy, func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("2026"), []byte("2025")) }, false},
		{"key garbled", fileKey, func(b []byte) []byte { return b[5:] }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, dir, l := sealedLog(t, 130)
			closeLog(t, l)
			path := filepath.Join(dir, c.file)
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, c.change(raw), 0o600); err != nil {
				t.Fatal(err)
			}
			l, err = Open(t.Context(), config(t, s, dir))
			if (err == nil) != c.starts {
				t.Fatalf("starts: %v", err)
			}
			if err != nil {
				if strings.Contains(err.Error(), "PRIVATE") || strings.Contains(err.Error(), "ATE+KEY") {
					t.Fatalf("the key is in the error: %v", err)
				}
				return
			}
			run(t, l, 130, 140)
			if r, err := l.Verify(t.Context()); err != nil || r.Records != 140 {
				t.Fatalf("%+v, %v", r, err)
			}
			closeLog(t, l)
		})
	}
}

func TestLostOrOpenKeyIsRefused(t *testing.T) {
	s, dir, l := sealedLog(t, 10)
	closeLog(t, l)
	key := filepath.Join(dir, fileKey)
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), config(t, s, dir)); err == nil || !strings.Contains(err.Error(), "others may read") {
		t.Fatalf("world-readable key: %v", err)
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), config(t, s, dir)); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Fatalf("lost key: %v", err)
	}
}

func TestCheckpointHasOneSpellingAndTheHeadIsTheEnd(t *testing.T) {
	_, _, l := sealedLog(t, 60)
	defer closeLog(t, l)
	newest := l.State().Newest
	at := strings.Index(newest.Note, "— ")
	for name, bad := range map[string]string{
		"signature repeated":  newest.Note + newest.Note[at:],
		"another signature":   newest.Note + strings.Replace(newest.Note[at:], "casemate/audit", "elsewhere", 1),
		"no signature":        newest.Note[:at],
		"size with a zero":    strings.Replace(newest.Note, "\n60\n", "\n060\n", 1),
		"text after the end":  newest.Note + "\n",
		"another log's":       strings.ReplaceAll(newest.Note, "casemate/audit", "casemate/other"),
		"longer than allowed": newest.Note + strings.Repeat("x", proof.MaxNote),
	} {
		if _, err := proof.Open([]byte(bad), l.check); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	again, err := proof.Sign(l.signer, newest.Size, newest.Hash(), noon.AddDate(1, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	old, err := proof.Mark(newest.Note)
	if err != nil {
		t.Fatal(err)
	}
	other, err := proof.Mark(again.Note)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Verify(bytes.NewReader(bytes.Replace(export(t, l), old, other, 1)), Trust{Key: l.PublicKey()})
	var found *Tampering
	if !errors.As(err, &found) || found.Kind != "checkpoint" {
		t.Errorf("an end that the head does not name: %v", err)
	}
}
