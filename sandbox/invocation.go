package sandbox

import (
	"sync"
	"time"

	"casemate"
)

// invocation is one event on its way through a sandbox's Runtime API.
type invocation struct {
	id, arn, trace, clientContext, tenant string
	deadline                              time.Time
	payload                               []byte
	limit                                 int64 // answer bytes

	answered chan struct{} // closed when answer is set
	idle     chan struct{} // closed when the runtime asks for the next event afterwards
	answer   answer
}

// answer is what a runtime made of an event. It is written once, before answered is closed.
type answer struct {
	payload     []byte
	contentType string
	failure     casemate.Failure
	detail      string
}

func newInvocation(l *casemate.Launch, deadline time.Time, limit int64, trace string) *invocation {
	return &invocation{
		id: l.RequestID, arn: l.ARN, trace: trace, clientContext: l.ClientContext, tenant: l.Tenant,
		deadline: deadline, payload: l.Payload, limit: limit,
		answered: make(chan struct{}), idle: make(chan struct{}),
	}
}

// isIdle reports whether the runtime asked for the next event after its answer.
func (inv *invocation) isIdle() bool {
	select {
	case <-inv.idle:
		return true
	default:
		return false
	}
}

// effects collects what a sandbox did outside its own memory, up to a bound: a function cannot fill the record.
type effects struct {
	mu      sync.Mutex
	list    []casemate.Effect
	dropped int
}

// maxEffects of one run; more are counted, and the count is the last effect.
const maxEffects = 256

func (e *effects) add(x casemate.Effect) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.list) >= maxEffects {
		e.dropped++
		return
	}
	e.list = append(e.list, x)
}

// take hands out what was collected and starts anew.
func (e *effects) take(now time.Time) []casemate.Effect {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := e.list
	if e.dropped > 0 {
		list = append(list, casemate.Effect{At: now, Kind: "flood", Target: "effects", Reason: "further effects were not listed"})
	}
	e.list, e.dropped = nil, 0
	return list
}
