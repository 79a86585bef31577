package store_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"casemate/internal/casetest/storetest"
	"casemate/store"
)

// folders remembers where a test's node lives and which clock it has, for reopening it.
type folders struct {
	mu  sync.Mutex
	cfg map[store.Store]store.Config
}

func (f *folders) open(t *testing.T, cfg store.Config) store.Store {
	t.Helper()
	n, err := store.Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cfg[n] = cfg
	return n
}

func TestNode(t *testing.T) {
	f := &folders{cfg: map[store.Store]store.Config{}}
	storetest.Run(t, storetest.Maker{
		Open: func(t *testing.T, clock func() time.Time) store.Store {
			return f.open(t, store.Config{Dir: t.TempDir(), Clock: clock, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
		},
		Reopen: func(t *testing.T, s store.Store) store.Store {
			t.Helper()
			if err := s.(*store.Node).Close(); err != nil {
				t.Fatal(err)
			}
			return f.open(t, f.cfg[s])
		},
	})
}
