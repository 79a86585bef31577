package conn

import (
	"fmt"
	"time"

	"casemate"
)

// Limits bound the connections of one front. A zero field means its default, never "unlimited".
type Limits struct {
	Total  int           // open at once; 4096
	Source int           // of one source: an IPv4 address, the /64 of an IPv6 one; 1024
	Block  int           // of the network around it: an IPv4 /24, an IPv6 /48; half of Total, but not less than Source
	Rate   casemate.Rate // new ones of a source; 500 a second, burst 2000. A block may open eight times as many

	// HTTP/2 streams open at once, over connections.
	Streams       int // of all; 16384. Beyond, sources with few of them may have some more, until there are twice as many
	SourceStreams int // of one source; 2048

	// Of one HTTP/2 connection.
	HeaderTime    time.Duration // for a whole header block; 5 s
	FrameTime     time.Duration // for any other frame; 20 s
	Continuations int           // frames of one header block after its first; 16
	Resets        casemate.Rate // streams that either side gave up; 10 a second, burst 200. One that was answered gives one back
	Idle          casemate.Rate // frames that ask for nothing and carry less than 64 bytes; 200 a second, burst 2000. What is sent gives some back
}

// withDefaults gives the limits in force; a negative one is an error.
func (l Limits) withDefaults() (Limits, error) {
	for _, f := range []struct {
		name string
		v    *int
		def  int
	}{{"connections", &l.Total, 4096}, {"connections of a source", &l.Source, 1024}, {"continuations", &l.Continuations, 16},
		{"streams", &l.Streams, 16384}, {"streams of a source", &l.SourceStreams, 2048}} {
		if *f.v < 0 {
			return l, fmt.Errorf("limits: %s: %d is negative", f.name, *f.v)
		}
		if *f.v == 0 {
			*f.v = f.def
		}
	}
	l.Source = min(l.Source, l.Total)
	if l.Block < 0 {
		return l, fmt.Errorf("limits: connections of a network: %d is negative", l.Block)
	}
	if l.Block == 0 {
		l.Block = max(l.Total/2, l.Source)
	}
	for _, f := range []struct {
		name string
		v    *time.Duration
		def  time.Duration
	}{{"header time", &l.HeaderTime, 5 * time.Second}, {"frame time", &l.FrameTime, 20 * time.Second}} {
		if *f.v < 0 {
			return l, fmt.Errorf("limits: %s: %s is negative", f.name, *f.v)
		}
		if *f.v == 0 {
			*f.v = f.def
		}
	}
	for _, f := range []struct {
		name string
		v    *casemate.Rate
		def  casemate.Rate
	}{{"connection rate", &l.Rate, casemate.Rate{PerSecond: 500, Burst: 2000}}, {"resets", &l.Resets, casemate.Rate{PerSecond: 10, Burst: 200}},
		{"idle frames", &l.Idle, casemate.Rate{PerSecond: 200, Burst: 2000}}} {
		if *f.v == (casemate.Rate{}) {
			*f.v = f.def
		}
		if !(f.v.PerSecond > 0) || f.v.Burst < 1 {
			return l, fmt.Errorf("limits: %s: %v a second, burst %d is no rate", f.name, f.v.PerSecond, f.v.Burst)
		}
	}
	return l, nil
}

// allowance is a token bucket. The zero value is full.
type allowance struct {
	spent float64
	at    time.Time
}

// take spends n of what rate allows, and reports whether there was as much.
func (a *allowance) take(rate casemate.Rate, now time.Time, n float64) bool {
	a.refill(rate, now)
	if a.spent+n > float64(rate.Burst) {
		return false
	}
	a.spent += n
	return true
}

// charge spends n whether or not there is as much, to the burst.
func (a *allowance) charge(rate casemate.Rate, now time.Time, n float64) {
	a.refill(rate, now)
	a.spent = min(a.spent+n, float64(rate.Burst))
}

// give hands n back.
func (a *allowance) give(n float64) { a.spent = max(a.spent-n, 0) }

// refill is safe against a clock that is set back: that gives nothing.
func (a *allowance) refill(rate casemate.Rate, now time.Time) {
	if passed := now.Sub(a.at); passed > 0 {
		a.give(passed.Seconds() * rate.PerSecond)
	}
	a.at = now
}

// full reports whether nothing is spent at now.
func (a *allowance) full(rate casemate.Rate, now time.Time) bool {
	a.refill(rate, now)
	return a.spent == 0
}
