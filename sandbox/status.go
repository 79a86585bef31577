package sandbox

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"time"

	"casemate"
)

// Status is one sandbox as an operator sees it. One that waits belongs to nobody: it has a runtime, or none, and no
// function.
type Status struct {
	PID       int                `json:"pid"` // of its first process, on this machine
	App       string             `json:"app,omitempty"`
	Function  string             `json:"function,omitempty"`
	Version   int                `json:"version,omitempty"`
	Runtime   casemate.Runtime   `json:"runtime,omitempty"`
	Started   time.Time          `json:"started"` // when it became its function's, or when it began to wait
	Events    int                `json:"events"`  // runs
	State     string             `json:"state"`   // waiting, busy, idle, frozen
	Isolation casemate.Isolation `json:"isolation,omitempty"`
	Partition string             `json:"partition,omitempty"` // tells partitions apart and says nothing about them; other in each node
	Memory    int64              `json:"memory_bytes"`        // resident now; 0 where nothing counts it
	Peak      int64              `json:"peak_bytes"`
	CPU       time.Duration      `json:"cpu_ns"`
	Refused   int                `json:"refused"` // what it tried and was not allowed
	Walls     []string           `json:"walls"`
	Weak      []string           `json:"weak,omitempty"`
}

// Snapshot lists the native sandboxes that exist now, in the order they were started.
func (p *Pool) Snapshot() []Status {
	p.mu.Lock()
	list := make([]Status, 0, len(p.live))
	of := make([]*instance, 0, len(p.live))
	for i := range p.live {
		list, of = append(list, p.status(i)), append(of, i)
	}
	p.mu.Unlock()
	for k, i := range of { // files of the kernel: not under the lock
		u, _ := i.child.Usage() // of one that is ending there is nothing to say
		list[k].CPU, list[k].Peak, list[k].Memory = u.CPU, u.PeakBytes, i.child.Memory()
	}
	slices.SortFunc(list, func(a, b Status) int { return a.Started.Compare(b.Started) })
	return list
}

// status is what the pool knows of a sandbox. The caller holds the lock.
func (p *Pool) status(i *instance) Status {
	s := Status{PID: i.child.Pid(), Started: i.started, State: "waiting", Runtime: i.runtime}
	v := i.version
	if v == nil {
		return s
	}
	s.App, s.Function, s.Version, s.Runtime, s.Isolation = v.App, v.Function, v.Number, v.Runtime, v.Isolation
	s.Events, s.Refused, s.State = int(i.events.Load()), i.fx.refusals(), i.state()
	if i.counted { // until then its jail may still be given its walls
		s.Walls, s.Weak = i.child.Walls, i.child.Weak
	}
	if v.Isolation == casemate.IsolationTenant && i.key != "" {
		sum := sha256.Sum256(append(p.salt[:], i.key...))
		s.Partition = hex.EncodeToString(sum[:4])
	}
	return s
}
