package battery

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"
)

// What abuse may do to others. The promise is twice a neighbour's p99; a test that fails for a busy machine would be of
// no use, so it fails much later, when it came out so several times in a row, and prints what it saw.
const (
	promisedRatio = 2.0
	failingRatio  = 50.0
	failingTries  = 3
	memoryGrowth  = 64 << 20 // of the node itself, in bytes
)

// abuse is what an unruly function does while its neighbour works. Each is bounded.
func abuse() []map[string]string {
	return []map[string]string{
		{"attack": "nothing"}, // two honest functions that start anew for every event: what the others are to be held against
		{"attack": "burn", "ms": "1500"},
		{"attack": "moving threads", "ms": "1500"},
		{"attack": "fork bomb", "most": "300"},
		{"attack": "output flood", "bytes": "33554432"},
		{"attack": "memory", "bytes": "268435456"},
		{"attack": "many files", "most": "70000"},
		{"attack": "zombies", "most": "300"},
		{"attack": "descriptors", "most": "2100"},
		{"attack": "large file", "bytes": "16777216"},
		{"attack": "refused calls", "most": "20000"},
		{"attack": "refused connections", "most": "3000"},
		{"attack": "open flood", "most": "20000"},
		{"attack": "API connections", "most": "500"},
		{"attack": "API long headers", "most": "50"},
		{"attack": "API large answer", "mb": "64"},
		{"attack": "API questions", "most": "3000"},
		{"attack": "resolver flood", "most": "5000"},
	}
}

// TestNeighbour measures what an honest function notices of an unruly one, and what the node itself grows by.
func TestNeighbour(t *testing.T) {
	if !shared.full {
		t.Skip("it takes a while: CASEMATE_FULL=1")
	}
	// A node lets garbage grow to four times what it holds. Here it is what it holds that counts.
	t.Setenv("GOGC", "100")
	n := furnished(t, withWalls, 0)
	w := tabwriter.NewWriter(os.Stderr, 0, 0, 2, ' ', 0)
	defer w.Flush()
	fmt.Fprintln(w, "ABUSE\tTOOK\tNEIGHBOUR'S P50 ALONE\tMEANWHILE\tP99 ALONE\tMEANWHILE\tRATIO\tNODE GREW BY")
	before := settled(t, n)
	for _, order := range abuse() {
		m := measured(t, n, 500, order)
		took, alone, during, peak, ratio := m.took, m.alone, m.during, m.peak, m.ratio()
		mark := ""
		if ratio > promisedRatio {
			mark = fmt.Sprintf(" (promised: %.0fx)", promisedRatio)
		}
		fmt.Fprintf(w, "%s\t%v\t%v\t%v\t%v\t%v\t%.1fx%s\t%d MB\n", order["attack"], took.Round(time.Millisecond), middle(alone), middle(during),
			p99(alone), p99(during), ratio, mark, (peak-before)>>20)
		if ratio > failingRatio {
			t.Errorf("%s: the neighbour's p99 is %.1fx", order["attack"], ratio)
		}
		if grown := peak - before; grown > memoryGrowth {
			t.Errorf("%s: the node grew by %d MB", order["attack"], grown>>20)
		}
	}
}

// measure is what the neighbour noticed of an order.
type measure struct {
	took          time.Duration
	alone, during []time.Duration
	peak          int64 // of the node, bytes
	replies       []reply
}

func (m *measure) ratio() float64 { return float64(p99(m.during)) / float64(p99(m.alone)) }

// measured asks the neighbour so many times alone, then while others carry out the order: again where it came out beyond failingRatio,
// because others of the machine may have had a hand in it. peak is the highest of all.
func measured(t *testing.T, n *node, times int, order map[string]string) (m measure) {
	t.Helper()
	for try := range failingTries {
		if try > 0 && m.ratio() <= failingRatio {
			break
		}
		peak := m.peak
		m.alone = loop(t, n, times)
		m.took, m.during, m.peak, m.replies = meanwhile(t, n, order)
		m.peak = max(m.peak, peak)
	}
	return m
}

// meanwhile calls the neighbour while two unruly functions do the same again and again, once at least.
func meanwhile(t *testing.T, n *node, order map[string]string) (took time.Duration, during []time.Duration, peak int64, replies []reply) {
	t.Helper()
	const enough = 500
	type end struct {
		reply
		took time.Duration
		err  error
	}
	var done atomic.Bool
	var work sync.WaitGroup
	ends := make(chan end, 4)
	for _, function := range []string{"unruly", "second"} {
		work.Go(func() {
			for first := true; first || !done.Load(); first = false {
				from := time.Now()
				r, err := n.send(t.Context(), function, order)
				if first || err != nil {
					ends <- end{r, time.Since(from), err}
				}
				if err != nil {
					return
				}
			}
		})
	}
	for ended := 0; ended < 2 || len(during) < enough; {
		during = append(during, loop(t, n, 25)...)
		peak = max(peak, n.resident(t))
		select {
		case e := <-ends:
			ended++
			took, replies = max(took, e.took), append(replies, e.reply)
			if e.err != nil {
				t.Error(e.err)
			}
		default:
		}
	}
	done.Store(true)
	work.Wait()
	return took, during, peak, replies
}

// settled is what the node has resident at most under honest work: its heap grows and shrinks with every collection.
func settled(t *testing.T, n *node) (most int64) {
	t.Helper()
	for range 10 {
		loop(t, n, 1000)
		most = max(most, n.resident(t))
	}
	return most
}

// loop calls the neighbour again and again, and gives how long each call took.
func loop(t *testing.T, n *node, times int) []time.Duration {
	t.Helper()
	var took []time.Duration
	for range times {
		from := time.Now()
		r, err := n.send(t.Context(), "neighbour", map[string]string{"attack": "nothing"})
		if err != nil || r.Status != 200 {
			t.Fatalf("the neighbour was not served: %v %+v", err, r)
		}
		took = append(took, time.Since(from))
	}
	return took
}

func p99(all []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(all))[len(all)*99/100]
}

func middle(all []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(all))[len(all)/2]
}
