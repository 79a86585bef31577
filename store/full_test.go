package store_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"casemate"
	"casemate/store"
)

func wantFull(t *testing.T, what string, err error) {
	t.Helper()
	var e *casemate.Error
	if !errors.As(err, &e) || e.Code != casemate.Unavailable || !strings.Contains(e.Hint, "free disk space") {
		t.Errorf("%s on a full disk: %v", what, err)
	}
}

// refuses checks that every kind of write is refused and that what was there still reads.
func refuses(t *testing.T, n *store.Node) {
	t.Helper()
	ctx := context.Background()
	s, kv, q := parts(t, n)
	for _, w := range []casemate.Wait{casemate.Durable, casemate.Written} {
		_, err := s.Append(ctx, []byte("no"), w)
		wantFull(t, "append", err)
	}
	_, err := kv.Put(ctx, "k", nil, store.AnyRevision)
	wantFull(t, "put of a key", err)
	wantFull(t, "deletion", kv.Delete(ctx, "before", store.AnyRevision))
	wantFull(t, "put of an item", q.Put(ctx, "id", nil))
	_, _, err = n.Blobs().Put(ctx, strings.NewReader("blob"))
	wantFull(t, "put of a blob", err)
	if msgs, err := s.Read(ctx, 1, 1); err != nil || len(msgs) != 1 || string(msgs[0].Data) != "before" {
		t.Errorf("read on a full disk: %v %v", msgs, err)
	}
	if e, err := kv.Get(ctx, "before"); err != nil || string(e.Value) != "v" {
		t.Errorf("get on a full disk: %v %v", e, err)
	}
}

func writeSome(t *testing.T, n *store.Node) {
	t.Helper()
	ctx := context.Background()
	s, kv, q := parts(t, n)
	_, err1 := s.Append(ctx, []byte("before"), casemate.Durable)
	_, err2 := kv.Put(ctx, "before", []byte("v"), store.AnyRevision)
	err3 := q.Put(ctx, "before", nil)
	_, _, err4 := n.Blobs().Put(ctx, strings.NewReader("blob before"))
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
}

// TestFullDisk says that the disk is full, and then that it is not.
func TestFullDisk(t *testing.T) {
	var free atomic.Int64
	free.Store(1 << 40)
	n := openNode(t, store.Config{Dir: t.TempDir(), Free: func(string) (int64, error) { return free.Load(), nil }})
	writeSome(t, n)
	free.Store(1 << 20)
	// A commit that is under way when the space goes is refused too, and then made good.
	s, _, _ := parts(t, n)
	_, err := s.Append(context.Background(), []byte("at the edge"), casemate.Durable)
	wantFull(t, "append at the edge", err)
	refuses(t, n)
	free.Store(1 << 40)
	if err := s.Wait(context.Background(), 2); err != nil {
		t.Fatal(err)
	}
	writeAgain(t, n)
	if msgs, err := s.Read(context.Background(), 2, 1); err != nil || string(msgs[0].Data) != "at the edge" {
		t.Errorf("the block that waited for space: %v %v", msgs, err)
	}
	closeNode(t, n)
}

// TestRecordsOutlastTheReserve: below the reserve new state is refused and streams are not, so that what is done on a
// full disk, its refusal say, is still recorded.
func TestRecordsOutlastTheReserve(t *testing.T) {
	var free atomic.Int64
	free.Store(1 << 40)
	n := openNode(t, store.Config{Dir: t.TempDir(), Reserve: 1 << 30, Free: func(string) (int64, error) { return free.Load(), nil }})
	writeSome(t, n)
	ctx := context.Background()
	s, kv, q := parts(t, n)
	free.Store(3 << 28)
	for _, w := range []casemate.Wait{casemate.Durable, casemate.Written, casemate.Durable} {
		if _, err := s.Append(ctx, []byte("refused"), w); err != nil {
			t.Errorf("record below the reserve: %v", err)
		}
	}
	_, err := kv.Put(ctx, "k", nil, store.AnyRevision)
	wantFull(t, "put of a key", err)
	wantFull(t, "put of an item", q.Put(ctx, "id", nil))
	wantFull(t, "new work", n.Room())
	free.Store(1 << 40)
	if err := n.Room(); err != nil {
		t.Errorf("after space returned: %v", err)
	}
	writeSome(t, n)
	closeNode(t, n)
}

// writeAgain retries a durable write until the committer has seen the space; it is asked again by every try.
func writeAgain(t *testing.T, n *store.Node) {
	t.Helper()
	s, _, _ := parts(t, n)
	for {
		_, err := s.Append(context.Background(), []byte("after"), casemate.Durable)
		if err == nil {
			writeSome(t, n)
			return
		}
		if casemate.CodeOf(err) != casemate.Unavailable {
			t.Fatal(err)
		}
		runtime.Gosched()
	}
}

// mountSmall gives a disk of its own of 24 MiB. Without root there is none; CI must have it.
func mountSmall(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=24m,mode=700"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("mounting a small disk: %v", err)
		}
		t.Skipf("SKIPPED: a real full disk needs root to mount a small one: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestSmallDisk fills a real disk through the store, then frees some.
func TestSmallDisk(t *testing.T) {
	disk := mountSmall(t)
	n, err := store.Open(context.Background(), store.Config{Dir: filepath.Join(disk, "state"), Reserve: 8 << 20, Pending: 2 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	ballast := filepath.Join(disk, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 6<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	writeSome(t, n)
	acked := fill(t, n)
	refuses(t, n)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	writeAgain(t, n)
	closeNode(t, n)
	checkFilled(t, filepath.Join(disk, "state"), acked)
}

// TestDiskFilledByOthers takes the last byte behind the store's back, so that the engine meets the full disk itself and
// gives up: the store starts it again when there is space.
func TestDiskFilledByOthers(t *testing.T) {
	disk := mountSmall(t)
	lie := func(string) (int64, error) { return 1 << 40, nil }
	n, err := store.Open(context.Background(), store.Config{Dir: filepath.Join(disk, "state"), Free: lie})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	writeSome(t, n)
	acked := fill(t, n)
	if len(acked) == 0 {
		t.Fatal("nothing fitted on the disk")
	}
	if err := syscall.Mount("", disk, "", syscall.MS_REMOUNT, "size=64m,mode=700"); err != nil {
		t.Fatal(err)
	}
	writeAgain(t, n)
	closeNode(t, n)
	checkFilled(t, filepath.Join(disk, "state"), acked)
}

// fill appends with many writers until each has been refused, and gives what was acknowledged.
func fill(t *testing.T, n *store.Node) map[uint64]byte {
	t.Helper()
	s, _, _ := parts(t, n)
	var mu sync.Mutex
	var wg sync.WaitGroup
	acked := map[uint64]byte{}
	for w := range 8 {
		wg.Go(func() {
			data := bytes.Repeat([]byte{byte('a' + w)}, 20_000)
			for {
				seq, err := s.Append(context.Background(), data, casemate.Wait(w%2))
				if err != nil {
					if casemate.CodeOf(err) != casemate.Unavailable {
						t.Errorf("filling the disk: %v", err)
					}
					return
				}
				mu.Lock()
				acked[seq] = data[0]
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return acked
}

func checkFilled(t *testing.T, dir string, acked map[uint64]byte) {
	t.Helper()
	n := openNode(t, store.Config{Dir: dir, Reserve: 1})
	s, err := n.Stream("audit")
	if err != nil {
		t.Fatal(err)
	}
	last, err := s.Last(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	got := map[uint64]byte{}
	for at := uint64(1); at <= last; {
		msgs, err := s.Read(context.Background(), at, 100)
		if err != nil || len(msgs) == 0 {
			t.Fatalf("record %d: %v", at, err)
		}
		for _, m := range msgs {
			got[m.Seq] = m.Data[0]
			at = m.Seq + 1
		}
	}
	for seq, c := range acked {
		if got[seq] != c {
			t.Errorf("record %d: %q, acknowledged was %q", seq, got[seq], c)
		}
	}
	closeNode(t, n)
}
