package wasm

import (
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"time"

	"casemate"
)

// WorkerStatus is one worker as an operator sees it.
type WorkerStatus struct {
	App       string
	Function  string
	Version   int
	Isolation casemate.Isolation
	Partition string // tells tenants apart, where they are kept apart, and says nothing about them; other in each pool
	PID       int    // on this machine; 0 where it is not known, or it is starting
	State     string // starting, busy, idle
	Started   time.Time
	Runs      int   // events that it answered
	Memory    int64 // bytes resident now; 0 where nothing counts it
	Peak      int64
	CPU       time.Duration
	Refused   int // connections that its events tried and were not allowed
}

// Gauge is a Process that can be measured while it runs.
type Gauge interface {
	PID() int
	Memory() (now, peak int64)
	CPU() time.Duration
}

// Workers lists the worker processes of the versions in use, in the order they were started; those that are starting come
// last.
func (p *Pool) Workers() []WorkerStatus {
	var list []WorkerStatus
	var gauges []Gauge
	p.mu.Lock()
	places := maps.Clone(p.functions)
	p.mu.Unlock()
	for at, f := range places {
		f.mu.Lock()
		for _, w := range f.all {
			g, _ := w.process.(Gauge)
			list, gauges = append(list, f.status(at, w)), append(gauges, g)
		}
		if f.growing {
			list, gauges = append(list, f.status(at, nil)), append(gauges, nil)
		}
		f.mu.Unlock()
	}
	for i, g := range gauges { // files of the kernel: under no lock
		if g != nil {
			list[i].PID, list[i].CPU = g.PID(), g.CPU()
			list[i].Memory, list[i].Peak = g.Memory()
		}
	}
	slices.SortFunc(list, func(a, b WorkerStatus) int { return a.Started.Compare(b.Started) })
	return list
}

// status is what is known of a worker, nil when it is starting. f.mu is held.
func (f *function) status(at place, w *link) WorkerStatus {
	v := f.version
	s := WorkerStatus{App: v.App, Function: v.Function, Version: v.Number, Isolation: v.Isolation, State: "starting"}
	if at.tenant != "" {
		s.Partition = fmt.Sprintf("%08x", uint32(maphash.String(f.pool.seed, at.tenant)))
	}
	if w == nil {
		s.Started = f.pool.cfg.Clock()
		return s
	}
	if s.State = "idle"; w.load > 0 {
		s.State = "busy"
	}
	s.Started, s.Runs, s.Refused = w.started, int(w.runs.Load()), w.outside.refusals()
	return s
}
