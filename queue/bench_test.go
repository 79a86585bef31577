package queue

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkQueue is the figure of docs/queues.md: senders with batches of ten, and receivers that delete in batches of ten.
func BenchmarkQueue(b *testing.B) {
	d := newDesk(b)
	d.Room.cfg.Messages = 10_000_000
	q := d.make("jobs", nil)
	body := strings.Repeat("x", 256)
	var wg sync.WaitGroup
	var sent, done atomic.Int64
	b.ResetTimer()
	for range 16 {
		wg.Go(func() {
			for sent.Add(10) <= int64(b.N) {
				list := make([]Outgoing, 10)
				for i := range list {
					list[i].Body = body
				}
				_, errs := q.Send(b.Context(), list)
				for _, err := range errs {
					if err != nil {
						b.Error(err)
					}
				}
			}
		})
	}
	want := int64(b.N) / 10 * 10
	for range 8 {
		wg.Go(func() {
			for done.Load() < want {
				list, err := q.Receive(b.Context(), Ask{Most: 10, Wait: 50 * time.Millisecond})
				if err != nil {
					b.Error(err)
				}
				handles := make([]string, len(list))
				for i := range list {
					handles[i] = list[i].Handle
				}
				if len(handles) > 0 {
					q.Delete(b.Context(), handles)
					done.Add(int64(len(handles)))
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(want)/b.Elapsed().Seconds(), "messages/s")
}
