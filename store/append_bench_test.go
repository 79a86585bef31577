package store_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"casemate"
	"casemate/store"
)

// BenchmarkAppend prints the CPU of one record in the audit stream, for each wait and crowd of writers.
func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct {
		name    string
		wait    casemate.Wait
		writers int
	}{{"written-1", casemate.Written, 1}, {"written-16", casemate.Written, 16}, {"written-256", casemate.Written, 256},
		{"durable-1", casemate.Durable, 1}, {"durable-16", casemate.Durable, 16}, {"durable-256", casemate.Durable, 256}} {
		b.Run(c.name, func(b *testing.B) {
			n, err := store.Open(context.Background(), store.Config{Dir: b.TempDir()})
			if err != nil {
				b.Fatal(err)
			}
			s, err := n.Stream("audit")
			if err != nil {
				b.Fatal(err)
			}
			data := make([]byte, 600)
			var left atomic.Int64
			left.Store(int64(b.N))
			var wg sync.WaitGroup
			cpu := processCPU()
			b.ResetTimer()
			for range c.writers {
				wg.Go(func() {
					for left.Add(-1) >= 0 {
						if _, err := s.Append(context.Background(), data, c.wait); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			if _, err := s.Append(context.Background(), data, casemate.Durable); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			b.ReportMetric(float64((processCPU()-cpu).Nanoseconds())/1e3/float64(b.N), "cpu-us/record")
			if err := n.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkRecovery prints how long a bucket of small entries, each written alone, takes to come back.
func BenchmarkRecovery(b *testing.B) {
	dir := b.TempDir()
	n, err := store.Open(context.Background(), store.Config{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	kv, err := n.KV("functions")
	if err != nil {
		b.Fatal(err)
	}
	const entries = 3000
	for i := range entries {
		if _, err := kv.Put(context.Background(), fmt.Sprintf("fn/%06d", i), make([]byte, 1000), store.NewKey); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if err := n.Close(); err != nil {
			b.Fatal(err)
		}
		if n, err = store.Open(context.Background(), store.Config{Dir: dir}); err != nil {
			b.Fatal(err)
		}
		if _, err := n.KV("functions"); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/entries, "us/block")
	if err := n.Close(); err != nil {
		b.Fatal(err)
	}
}

func processCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
