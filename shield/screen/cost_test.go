package screen

import (
	"slices"
	"syscall"
	"testing"
	"time"
)

// cpu is the processor time of this process so far.
func cpu(b testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkAgainstCoraza gives the ratio of promise P4: what Coraza's processor time is of ours, for the three requests
// that it names, in turns within one run, as the median of the turns.
func BenchmarkAgainstCoraza(b *testing.B) {
	e := engine(b, Config{})
	w := reference(b, 1, nil, "On")
	for _, name := range []string{"get", "json", "text"} {
		q := requests()[name]
		b.Run(name, func(b *testing.B) {
			ours, theirs := 200, 10
			if name == "text" {
				ours, theirs = 10, 1
			}
			var ratios, cost []float64
			measure := func(n int, f func()) float64 {
				from := cpu(b)
				for range n {
					f()
				}
				return float64(cpu(b)-from) / float64(n)
			}
			one := func() float64 { return measure(ours, func() { e.Request(q, Options{}) }) }
			other := func() float64 { return measure(theirs, func() { asked(w, q, false) }) }
			one()
			for b.Loop() {
				a, c, d, f := one(), other(), other(), one()
				ratios = append(ratios, (c+d)/max(a+f, 1))
				cost = append(cost, (a+f)/2000)
			}
			slices.Sort(ratios)
			slices.Sort(cost)
			b.ReportMetric(ratios[len(ratios)/2], "coraza/casemate")
			b.ReportMetric(cost[len(cost)/2], "cpu-us/request")
			b.ReportMetric(0, "ns/op")
		})
	}
}
