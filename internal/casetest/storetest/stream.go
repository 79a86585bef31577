package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"casemate"
	"casemate/store"
)

func runStream(t *testing.T, m Maker) {
	t.Run("order", func(t *testing.T) { streamOrder(t, m) })
	t.Run("concurrent appends", func(t *testing.T) { streamConcurrent(t, m) })
	t.Run("wait", func(t *testing.T) { streamWait(t, m) })
	t.Run("bounds", func(t *testing.T) { streamBounds(t, m) })
	t.Run("survives", func(t *testing.T) { streamSurvives(t, m) })
}

func stream(t *testing.T, s store.Store) store.Stream {
	t.Helper()
	st, err := s.Stream("suite")
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func mustAppend(t *testing.T, st store.Stream, data []byte, w casemate.Wait) uint64 {
	t.Helper()
	seq, err := st.Append(context.Background(), data, w)
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

func streamOrder(t *testing.T, m Maker) {
	ctx := context.Background()
	clock := NewClock()
	st := stream(t, m.Open(t, clock.Now))
	if last, err := st.Last(ctx); err != nil || last != 0 {
		t.Fatalf("last of an empty stream: %d %v", last, err)
	}
	if got, err := st.Read(ctx, 1, 10); err != nil || len(got) != 0 {
		t.Fatalf("read of an empty stream: %d %v", len(got), err)
	}
	for i := range 40 {
		if seq := mustAppend(t, st, fmt.Appendf(nil, "m%d", i+1), casemate.Wait(i%2)); seq != uint64(i+1) {
			t.Fatalf("append %d got sequence %d", i+1, seq)
		}
		clock.Advance(time.Second)
	}
	for _, c := range []struct {
		from     uint64
		max, len int
	}{{0, 3, 3}, {1, 100, 40}, {7, 5, 5}, {38, 100, 3}, {40, 1, 1}, {41, 1, 0}, {900, 5, 0}, {3, 0, 0}} {
		got, err := st.Read(ctx, c.from, c.max)
		if err != nil || len(got) != c.len {
			t.Fatalf("read from %d max %d: %d messages, %v", c.from, c.max, len(got), err)
		}
		for i, msg := range got {
			seq := max(c.from, 1) + uint64(i)
			at := NewClock().Now().Add(time.Duration(seq-1) * time.Second)
			if msg.Seq != seq || string(msg.Data) != fmt.Sprintf("m%d", seq) || !msg.At.Equal(at) {
				t.Fatalf("message %d: %d %q at %v, want %v", seq, msg.Seq, msg.Data, msg.At, at)
			}
		}
	}
}

func streamConcurrent(t *testing.T, m Maker) {
	ctx := context.Background()
	st := stream(t, m.Open(t, NewClock().Now))
	const writers, each = 16, 25
	var wg sync.WaitGroup
	var mu sync.Mutex
	bySeq := map[uint64]string{}
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				data := fmt.Sprintf("%d-%d", w, i)
				seq, err := st.Append(ctx, []byte(data), casemate.Wait(w%2))
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if old, dup := bySeq[seq]; dup {
					t.Errorf("sequence %d given to %s and %s", seq, old, data)
				}
				bySeq[seq] = data
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	got, err := st.Read(ctx, 1, writers*each+1)
	if err != nil || len(got) != writers*each {
		t.Fatalf("read %d of %d: %v", len(got), writers*each, err)
	}
	for _, msg := range got {
		if bySeq[msg.Seq] != string(msg.Data) {
			t.Errorf("sequence %d holds %q, its writer was told %q", msg.Seq, msg.Data, bySeq[msg.Seq])
		}
	}
}

func streamWait(t *testing.T, m Maker) {
	ctx, cancel := context.WithCancel(context.Background())
	st := stream(t, m.Open(t, NewClock().Now))
	done := make(chan error, 2)
	go func() { done <- st.Wait(context.Background(), 2) }()
	go func() { <-ctx.Done(); done <- st.Wait(ctx, 3) }()
	mustAppend(t, st, []byte("a"), casemate.Durable)
	mustAppend(t, st, []byte("b"), casemate.Written)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := st.Wait(ctx, 1); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatalf("cancelled wait: %v", err)
	}
}

func streamBounds(t *testing.T, m Maker) {
	ctx, cancel := context.WithCancel(context.Background())
	st := stream(t, m.Open(t, NewClock().Now))
	_, err := st.Append(ctx, make([]byte, store.MaxRecord+1), casemate.Durable)
	wantCode(t, "append over the bound", err, casemate.TooLarge)
	big := bytes.Repeat([]byte{7}, store.MaxRecord)
	mustAppend(t, st, big, casemate.Durable)
	mustAppend(t, st, nil, casemate.Written)
	got, err := st.Read(ctx, 1, 5)
	if err != nil || len(got) != 2 || !bytes.Equal(got[0].Data, big) || len(got[1].Data) != 0 {
		t.Fatalf("read: %d messages, %v", len(got), err)
	}
	cancel()
	if _, err := st.Append(ctx, nil, casemate.Durable); !errors.Is(err, context.Canceled) {
		t.Fatalf("append with a dead context: %v", err)
	}
	if last, err := st.Last(context.Background()); err != nil || last != 2 {
		t.Fatalf("last %d %v after refused appends", last, err)
	}
}

func streamSurvives(t *testing.T, m Maker) {
	if m.Reopen == nil {
		t.Skip("this store keeps nothing")
	}
	ctx := context.Background()
	s := m.Open(t, NewClock().Now)
	st := stream(t, s)
	for round := range 3 {
		for i := range 30 {
			mustAppend(t, st, fmt.Appendf(nil, "r%d-%d", round, i), casemate.Wait((i/5)%2))
		}
		s = m.Reopen(t, s)
		st = stream(t, s)
		last, err := st.Last(ctx)
		if err != nil || last != uint64(30*(round+1)) {
			t.Fatalf("round %d: last %d %v", round, last, err)
		}
	}
	got, err := st.Read(ctx, 1, 100)
	if err != nil || len(got) != 90 {
		t.Fatalf("read %d: %v", len(got), err)
	}
	for i, msg := range got {
		if string(msg.Data) != fmt.Sprintf("r%d-%d", i/30, i%30) || msg.Seq != uint64(i+1) {
			t.Fatalf("message %d is %d %q", i+1, msg.Seq, msg.Data)
		}
	}
}
