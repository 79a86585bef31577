package audit

import (
	"bytes"
	"strconv"
	"syscall"
	"testing"

	"casemate"
	"casemate/store"
)

func cpuTime(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// BenchmarkRecord is the whole life of a record on a store that costs next to nothing, sealing included.
func BenchmarkRecord(b *testing.B) {
	l, err := Open(b.Context(), Config{Store: newTape(), Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	r := record(1)
	i, before := 0, cpuTime(b)
	for b.Loop() {
		i++
		r.ID = "event-" + strconv.Itoa(i)
		if err := l.Begin(r); err != nil {
			b.Fatal(err)
		}
		if err := l.End(b.Context(), r, casemate.Durable); err != nil {
			b.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(cpuTime(b)-before)/float64(i)/1000, "cpu-us/record")
}

func BenchmarkBegin(b *testing.B) {
	t := newTable(&mapping{mem: make([]byte, headerSize+slotSize)}, 1)
	r := record(1)
	b.ReportAllocs()
	for b.Loop() {
		if err := t.take(r, 1); err != nil {
			b.Fatal(err)
		}
		s, err := t.hold(r.ID)
		if err != nil {
			b.Fatal(err)
		}
		t.release(r.ID, s)
	}
}

func BenchmarkVerify(b *testing.B) {
	l, err := Open(b.Context(), Config{Store: newTape(), Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	const n = 50000
	for i := range n {
		r := record(i)
		if l.Begin(r) != nil || l.End(b.Context(), r, casemate.Durable) != nil {
			b.Fatal("writing")
		}
	}
	var out bytes.Buffer
	if err := l.Export(b.Context(), &out); err != nil {
		b.Fatal(err)
	}
	before, runs := cpuTime(b), 0
	for b.Loop() {
		runs++
		if _, err := Verify(bytes.NewReader(out.Bytes()), Trust{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n*runs)/(float64(cpuTime(b)-before)/1e9), "records/cpu-s")
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkRecordDurably has 256 writers wait for the disk on the real store.
func BenchmarkRecordDurably(b *testing.B) {
	for name, w := range map[string]casemate.Wait{"durable": casemate.Durable, "written": casemate.Written} {
		b.Run(name, func(b *testing.B) {
			s, err := store.Open(b.Context(), store.Config{Dir: b.TempDir()})
			if err != nil {
				b.Fatal(err)
			}
			l, err := Open(b.Context(), Config{Store: s, Dir: b.TempDir()})
			if err != nil {
				b.Fatal(err)
			}
			before := cpuTime(b)
			b.SetParallelism(128)
			b.RunParallel(func(p *testing.PB) {
				r := record(1)
				for p.Next() {
					r.ID = casemate.NewID()
					if err := l.Begin(r); err != nil {
						b.Error(err)
						return
					}
					if err := l.End(b.Context(), r, w); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
			b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N)/1000, "cpu-us/record")
			if err := l.Close(); err != nil {
				b.Error(err)
			}
			if err := s.Close(); err != nil {
				b.Error(err)
			}
		})
	}
}
