package store_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"casemate"
	"casemate/store"
)

const damageRecords = 300

// damageFolder makes a closed node with a stream, a bucket and a queue of known content.
func damageFolder(t *testing.T) string {
	t.Helper()
	ctx := context.Background()
	dir := t.TempDir()
	n := openNode(t, store.Config{Dir: dir})
	s, kv, q := parts(t, n)
	for i := range damageRecords {
		if _, err := s.Append(ctx, fmt.Appendf(nil, "record %d of the audit trail", i+1), casemate.Wait(i%2)); err != nil {
			t.Fatal(err)
		}
		if i%3 == 0 {
			if _, err := kv.Put(ctx, fmt.Sprintf("key%d", i%60), fmt.Appendf(nil, "value %d", i), store.AnyRevision); err != nil {
				t.Fatal(err)
			}
			if err := q.Put(ctx, fmt.Sprintf("item%d", i), fmt.Appendf(nil, "event %d", i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	closeNode(t, n)
	return dir
}

func openNode(t *testing.T, cfg store.Config) *store.Node {
	t.Helper()
	n, err := store.Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

func closeNode(t *testing.T, n *store.Node) {
	t.Helper()
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
}

func parts(t *testing.T, n *store.Node) (store.Stream, store.KV, store.Queue) {
	t.Helper()
	s, err1 := n.Stream("audit")
	kv, err2 := n.KV("state")
	q, err3 := n.Queue("events")
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	return s, kv, q
}

// inspect reads everything back. It gives the errors that were reported and fails the test when content is wrong
// without one.
func inspect(t *testing.T, what, dir string) (reported []error) {
	t.Helper()
	ctx := context.Background()
	n, err := store.Open(ctx, store.Config{Dir: dir})
	if err != nil {
		return []error{err}
	}
	defer n.Close()
	if err := inspectStream(t, what, n); err != nil {
		reported = append(reported, err)
	}
	if kv, err := n.KV("state"); err != nil {
		reported = append(reported, err)
	} else if all, err := kv.List(ctx, ""); err != nil || len(all) != 20 {
		t.Errorf("%s: %d keys without an error (%v)", what, len(all), err)
	} else {
		for _, e := range all {
			var k, v int
			fmt.Sscanf(e.Key, "key%d", &k)
			if fmt.Sscanf(string(e.Value), "value %d", &v); v%60 != k || v < damageRecords-60 {
				t.Errorf("%s: key %s is %q without an error", what, e.Key, e.Value)
			}
		}
	}
	if q, err := n.Queue("events"); err != nil {
		reported = append(reported, err)
	} else if depth, _, err := q.Depth(ctx); err != nil || depth != damageRecords/3 {
		t.Errorf("%s: %d items without an error (%v)", what, depth, err)
	}
	return reported
}

func inspectStream(t *testing.T, what string, n *store.Node) error {
	t.Helper()
	s, err := n.Stream("audit")
	if err != nil {
		return err
	}
	for at := uint64(1); at <= damageRecords; {
		msgs, err := s.Read(context.Background(), at, 100)
		if err != nil {
			return err
		}
		if len(msgs) == 0 {
			t.Errorf("%s: the stream ends before record %d without an error", what, at)
			return nil
		}
		for _, m := range msgs {
			if want := fmt.Sprintf("record %d of the audit trail", at); m.Seq != at || string(m.Data) != want {
				t.Errorf("%s: record %d is %d %q without an error", what, at, m.Seq, m.Data)
			}
			at++
		}
	}
	return nil
}

func stateFiles(t *testing.T, dir string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && d.Name() != "lock" {
			files = append(files, p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func copyFolder(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

var namesRecord = regexp.MustCompile(`record \d+ of (stream audit|bucket state|queue events) is damaged`)

// mustName checks that damage to a journal's blocks is reported as a Fault that names the record.
func mustName(t *testing.T, what string, reported []error) {
	t.Helper()
	if len(reported) == 0 {
		t.Errorf("%s: not noticed", what)
	}
	for _, err := range reported {
		if casemate.CodeOf(err) != casemate.Fault || !namesRecord.MatchString(err.Error()) {
			t.Errorf("%s: reported as %s: %v", what, casemate.CodeOf(err), err)
		}
	}
}

// TestFlippedBit flips one bit anywhere in the folder: the content that comes back is right, or there is an error. A
// flip within a stored block is always an error that names the record.
func TestFlippedBit(t *testing.T) {
	flips := 20
	if os.Getenv("CASEMATE_FULL") == "1" {
		flips = 1000
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	dir := damageFolder(t)
	noticed := 0
	for range flips {
		broken := copyFolder(t, dir)
		files := stateFiles(t, broken)
		file := files[rnd.IntN(len(files))]
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if len(raw) == 0 {
			continue
		}
		bit := rnd.IntN(8 * len(raw))
		raw[bit/8] ^= 1 << (bit % 8)
		if err := os.WriteFile(file, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		what := fmt.Sprintf("bit %d of %s", bit, strings.TrimPrefix(file, broken))
		reported := inspect(t, what, broken)
		if strings.HasSuffix(file, ".blk") {
			mustName(t, what, reported)
		}
		if len(reported) > 0 {
			noticed++
		}
	}
	if noticed == 0 {
		t.Error("no flip was noticed")
	}
	t.Logf("%d of %d flips were noticed, the others did no harm", noticed, flips)
}

// TestTruncated cuts the blocks of each journal, at their end, in the middle and altogether.
func TestTruncated(t *testing.T) {
	dir := damageFolder(t)
	for _, cut := range []struct {
		name string
		keep func(size int64) int64
	}{{"last byte", func(n int64) int64 { return n - 1 }}, {"half", func(n int64) int64 { return n / 2 }},
		{"all", func(int64) int64 { return 0 }}} {
		for _, journal := range []string{"S-audit", "B-state", "Q-events"} {
			broken := copyFolder(t, dir)
			blocks, err := filepath.Glob(filepath.Join(broken, "engine/jetstream/$G/streams", journal, "msgs/*.blk"))
			if err != nil || len(blocks) == 0 {
				t.Fatalf("no blocks of %s: %v", journal, err)
			}
			last := blocks[len(blocks)-1]
			st, err := os.Stat(last)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(last, cut.keep(st.Size())); err != nil {
				t.Fatal(err)
			}
			mustName(t, cut.name+" of "+journal, inspect(t, cut.name+" of "+journal, broken))
		}
	}
}

// TestLostWhole removes what JetStream has of a journal: the mark remembers that there was something.
func TestLostWhole(t *testing.T) {
	dir := damageFolder(t)
	for _, journal := range []string{"S-audit", "B-state", "Q-events"} {
		broken := copyFolder(t, dir)
		if err := os.RemoveAll(filepath.Join(broken, "engine/jetstream/$G/streams", journal)); err != nil {
			t.Fatal(err)
		}
		mustName(t, "whole "+journal, inspect(t, "whole "+journal, broken))
	}
	broken := copyFolder(t, dir)
	if err := os.Remove(filepath.Join(broken, "marks", "S-audit")); err != nil {
		t.Fatal(err)
	}
	if reported := inspect(t, "mark", broken); len(reported) != 1 {
		t.Errorf("a lost mark was not noticed: %v", reported)
	}
}

func TestDamagedBlob(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	n := openNode(t, store.Config{Dir: dir})
	digest, _, err := n.Blobs().Put(ctx, strings.NewReader(strings.Repeat("code", 1000)))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "blobs", digest)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw[100] ^= 4
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := n.Blobs().Open(ctx, digest)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadAll(r); err == nil || !strings.Contains(err.Error(), digest) {
		t.Errorf("a damaged blob was read: %v", err)
	}
}

func TestOneNodeAFolder(t *testing.T) {
	dir := t.TempDir()
	n := openNode(t, store.Config{Dir: dir})
	_, err := store.Open(context.Background(), store.Config{Dir: dir})
	if casemate.CodeOf(err) != casemate.Unavailable || !strings.Contains(err.Error(), "another node runs on this folder") {
		t.Fatalf("second node: %v", err)
	}
	closeNode(t, n)
	closeNode(t, openNode(t, store.Config{Dir: dir}))
	if _, err := store.Open(context.Background(), store.Config{}); casemate.CodeOf(err) != casemate.Invalid {
		t.Fatalf("no folder: %v", err)
	}
}

// TestFileModes: nobody but the node's user may read a byte of its state.
func TestFileModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	n := openNode(t, store.Config{Dir: dir})
	s, _, _ := parts(t, n)
	if _, err := s.Append(context.Background(), nil, casemate.Written); err != nil {
		t.Fatal(err)
	}
	if _, _, err := n.Blobs().Put(context.Background(), strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	closeNode(t, n)
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", p, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestClosed: a closed node answers, refuses, and leaves no goroutine behind.
func TestClosed(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	ctx := context.Background()
	n := openNode(t, store.Config{Dir: t.TempDir()})
	s, kv, q := parts(t, n)
	waited := make(chan error, 2)
	go func() { waited <- s.Wait(ctx, 1) }()
	go func() { _, err := q.Next(ctx); waited <- err }()
	closeNode(t, n)
	_, err := s.Append(ctx, nil, casemate.Durable)
	_, err2 := kv.Put(ctx, "k", nil, store.AnyRevision)
	_, err3 := n.Stream("another")
	for _, err := range []error{err, err2, err3, q.Put(ctx, "id", nil), <-waited, <-waited} {
		if casemate.CodeOf(err) != casemate.Unavailable {
			t.Errorf("after Close: %v", err)
		}
	}
	closeNode(t, n)
}

// TestFlippedSequence flips bits in the head of JetStream's second record, where a flip that the engine gets to see makes
// it run out of memory.
func TestFlippedSequence(t *testing.T) {
	dir := damageFolder(t)
	path := "engine/jetstream/$G/streams/S-audit/msgs/1.blk"
	raw, err := os.ReadFile(filepath.Join(dir, path))
	if err != nil {
		t.Fatal(err)
	}
	second := int(binary.LittleEndian.Uint32(raw) &^ (1 << 31))
	bits := []int{0, 31, 32, 39, 72, 93, 94, 95, 160}
	if os.Getenv("CASEMATE_FULL") == "1" {
		bits = bits[:0]
		for bit := range 22 * 8 {
			bits = append(bits, bit)
		}
	}
	for _, bit := range bits {
		broken := copyFolder(t, dir)
		flipped := bytes.Clone(raw)
		flipped[second+bit/8] ^= 1 << (bit % 8)
		if err := os.WriteFile(filepath.Join(broken, path), flipped, 0o600); err != nil {
			t.Fatal(err)
		}
		what := fmt.Sprintf("bit %d of the second record", bit)
		mustName(t, what, inspect(t, what, broken))
	}
}

// TestFlippedHeaderLength flips bits in the length of the second record's headers, which no checksum of JetStream covers: the
// answer of the engine then has its own headers in the payload, or the payload in its headers.
func TestFlippedHeaderLength(t *testing.T) {
	dir := damageFolder(t)
	bits := []int{0, 4, 6, 30}
	if os.Getenv("CASEMATE_FULL") == "1" {
		bits = bits[:0]
		for bit := range 32 {
			bits = append(bits, bit)
		}
	}
	for _, journal := range []string{"S-audit", "B-state", "Q-events"} {
		path := "engine/jetstream/$G/streams/" + journal + "/msgs/1.blk"
		raw, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		second := int(binary.LittleEndian.Uint32(raw) &^ (1 << 31))
		if raw[second+3]>>7 != 1 || string(raw[second+22:second+22+len(journal)]) != journal {
			t.Fatalf("%s: the second record has no headers behind its subject", journal)
		}
		for _, bit := range bits {
			broken := copyFolder(t, dir)
			flipped := bytes.Clone(raw)
			flipped[second+22+len(journal)+bit/8] ^= 1 << (bit % 8)
			if err := os.WriteFile(filepath.Join(broken, path), flipped, 0o600); err != nil {
				t.Fatal(err)
			}
			what := fmt.Sprintf("bit %d of the length of headers in %s", bit, journal)
			mustName(t, what, inspect(t, what, broken))
		}
	}
}

// TestUnfinishedBlob: what a killed node had not finished storing is gone when the next one opens.
func TestUnfinishedBlob(t *testing.T) {
	dir := t.TempDir()
	closeNode(t, openNode(t, store.Config{Dir: dir}))
	left := filepath.Join(dir, "blobs", "put-123")
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	closeNode(t, openNode(t, store.Config{Dir: dir}))
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the unfinished blob is still there: %v", err)
	}
}
