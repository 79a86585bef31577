package store_test

import (
	"context"
	"testing"

	"casemate/bench/intake"
)

// BenchmarkIntake prints how the queue's intake stands against its floors, in one run: durable puts of 256 writers over
// JetStream's own publish one by one, and over a bare group commit on the same disk.
func BenchmarkIntake(b *testing.B) {
	for _, writers := range []int{1, 256} {
		b.Run(map[int]string{1: "writers=1", 256: "writers=256"}[writers], func(b *testing.B) {
			for b.Loop() {
				r, err := intake.Measure(context.Background(), b.TempDir(), 6, writers)
				if err != nil {
					b.Fatal(err)
				}
				b.Logf("%+v", r)
				b.ReportMetric(r.OverJetStream, "x-jetstream")
				b.ReportMetric(r.OverRaw, "x-raw")
				b.ReportMetric(float64(r.Intake.CPU.Nanoseconds())/1e3, "cpu-us/put")
				b.ReportMetric(r.Control, "control")
			}
		})
	}
}
