package meter

import (
	"fmt"
	"slices"
	"time"

	"casemate"
	"casemate/meter/price"
)

// EnoughRuns is how many runs of a function have to be recorded before anything is said about its size.
const EnoughRuns = 100

// maxSamples bounds what is kept of one function: the newest runs.
const maxSamples = 20_000

// Sizes gathers what functions needed, from records in the order of the log.
type Sizes struct {
	of map[string]*sizes
}

type sizes struct {
	runs, timeouts, memory, cold int64
	peak                         int64
	walls                        []time.Duration
	spans                        []span
	usage                        []casemate.Usage
	first, last                  time.Time
}

type span struct {
	at time.Time
	by int // +1 begins, -1 ends
}

// Size is what the recorded runs say about one function.
type Size struct {
	App       string         `json:"app"`
	Function  string         `json:"function"`
	Runs      int64          `json:"runs"`
	Few       string         `json:"few,omitempty"` // why nothing is suggested
	PeakMB    int            `json:"peak_mb"`
	P99       time.Duration  `json:"p99_ns"`
	Longest   time.Duration  `json:"longest_ns"`
	AtOnce    int            `json:"at_once"`
	Cold      int64          `json:"cold"`
	Advice    []Advice       `json:"advice"`
	SavedHere casemate.Money `json:"saved"` // what the memory would have saved on these very runs
	PerMonth  casemate.Money `json:"saved_per_month"`
}

// Advice is one line of a manifest to change.
type Advice struct {
	Key string `json:"key"`
	Now string `json:"now"`
	To  string `json:"to"`
	Why string `json:"why"`
}

// Add looks at one record.
func (s *Sizes) Add(r *casemate.Record) {
	if r.Function == "" || r.App == "casemate" || r.Usage.Wall <= 0 || r.Source == sourceNode {
		return
	}
	if s.of == nil {
		s.of = map[string]*sizes{}
	}
	f := s.of[r.Function]
	if f == nil {
		f = &sizes{first: r.Opened}
		s.of[r.Function] = f
	}
	f.runs++
	f.last = r.Closed
	f.peak = max(f.peak, r.Usage.PeakBytes)
	switch r.Outcome.Failure {
	case casemate.FailureTimeout:
		f.timeouts++
	case casemate.FailureMemory:
		f.memory++
	}
	if r.Usage.Cold {
		f.cold++
	}
	if len(f.walls) >= maxSamples {
		f.walls, f.usage, f.spans = f.walls[maxSamples/2:], f.usage[maxSamples/2:], f.spans[maxSamples:]
	}
	f.walls = append(f.walls, r.Usage.Wall)
	f.usage = append(f.usage, r.Usage)
	f.spans = append(f.spans, span{r.Opened, 1}, span{r.Closed, -1})
}

// Of says what could be smaller about a version, and what that saves by a price book.
func (s *Sizes) Of(v *casemate.Version, book *price.Book) Size {
	out := Size{App: v.App, Function: v.Function, Advice: []Advice{}}
	f := s.of[v.Function]
	if f == nil {
		f = &sizes{}
	}
	if out.Runs = f.runs; f.runs < EnoughRuns {
		out.Few = fmt.Sprintf("too few runs: %d recorded, %d are wanted", f.runs, EnoughRuns)
		return out
	}
	walls := slices.Sorted(slices.Values(f.walls))
	out.PeakMB, out.P99, out.Longest, out.AtOnce, out.Cold = int((f.peak+1<<20-1)>>20), walls[len(walls)*99/100], walls[len(walls)-1], atOnce(f.spans), f.cold
	out.memory(f, v, book)
	d := casemate.DefaultLimits()
	limit := v.Limits.Timeout
	if limit <= 0 {
		limit = d.Timeout
	}
	if to := max(3*out.P99, out.Longest*3/2).Round(100*time.Millisecond) + 100*time.Millisecond; f.timeouts == 0 && to <= limit*2/3 {
		out.say("timeout", limit, to, "three times the 99th percentile; a budget holds back less for each run")
	} else if f.timeouts*100 > f.runs {
		out.say("timeout", limit, 2*limit, fmt.Sprintf("%d of %d runs ran out of it", f.timeouts, f.runs))
	}
	most := v.Limits.Concurrency
	if most <= 0 {
		most = d.Concurrency
	}
	if to := max(2*out.AtOnce, 2); to < most {
		out.say("concurrency", most, to, fmt.Sprintf("%d ran at once at most", out.AtOnce))
	}
	if v.Spare > out.AtOnce {
		out.say("provisioned", v.Spare, out.AtOnce, "more wait than ever ran at once")
		q := price.Quantity{}
		q.Of[price.Provisioned] = int64(v.Spare-out.AtOnce) * int64(v.Limits.MemoryMB) * (30 * 24 * time.Hour).Milliseconds()
		if m, err := book.Price(&q); err == nil {
			out.PerMonth += m
		}
	}
	return out
}

// memory suggests a third above the highest peak, and prices the same runs with it.
func (s *Size) memory(f *sizes, v *casemate.Version, book *price.Book) {
	now := v.Limits.MemoryMB
	if now <= 0 {
		now = casemate.DefaultLimits().MemoryMB
	}
	if f.memory > 0 {
		s.say("memory", fmt.Sprint(now, "MB"), fmt.Sprint(2*now, "MB"), fmt.Sprintf("%d runs were out of memory", f.memory))
		return
	}
	to := max(16, (s.PeakMB*4/3+15)/16*16)
	if s.PeakMB == 0 || to > now*4/5 {
		return
	}
	s.say("memory", fmt.Sprint(now, "MB"), fmt.Sprint(to, "MB"), fmt.Sprintf("a third above the highest peak, %d MB", s.PeakMB))
	for i := range f.usage {
		r := casemate.Record{App: v.App, Function: v.Function, Usage: f.usage[i], Outcome: casemate.Outcome{Status: "answered"}}
		before, err := book.Cost(&r)
		if err != nil {
			return
		}
		r.Usage.MemoryMB = to
		if after, err := book.Cost(&r); err == nil {
			s.SavedHere += max(before-after, 0)
		}
	}
	if took := f.last.Sub(f.first); took > 0 && len(f.usage) == int(f.runs) {
		s.PerMonth += money(float64(s.SavedHere) * float64(30*24*time.Hour) / float64(max(took, 24*time.Hour)))
	}
}

func (s *Size) say(key string, now, to any, why string) {
	s.Advice = append(s.Advice, Advice{key, fmt.Sprint(now), fmt.Sprint(to), why})
}

func atOnce(spans []span) int {
	spans = slices.Clone(spans)
	slices.SortFunc(spans, func(a, b span) int {
		if c := a.at.Compare(b.at); c != 0 {
			return c
		}
		return a.by - b.by
	})
	most, n := 0, 0
	for _, s := range spans {
		n += s.by
		most = max(most, n)
	}
	return most
}
