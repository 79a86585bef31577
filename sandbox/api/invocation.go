package api

import (
	"strconv"
	"time"

	"casemate"
	"casemate/lambda"
)

// Invocation is one event on its way through a sandbox's Runtime API.
type Invocation struct {
	id, arn, trace, clientContext, cognito, tenant string
	deadline                                       time.Time
	payload                                        []byte
	limit                                          int64 // answer bytes
	stream                                         casemate.Streamer

	answered chan struct{} // closed when answer is set
	idle     chan struct{} // closed when the runtime asks for the next event afterwards
	answer   answer
	at       time.Time // of the answer

	patience *time.Timer // of who waits for it; nil: nobody is to be woken by an answer late
	linger   time.Duration
}

// answer is what a runtime made of an event. It is written once, before answered is closed.
type answer struct {
	payload     []byte
	contentType string
	failure     casemate.Failure
	detail      string
	truncated   bool // the runtime broke it off while it was being streamed
	refused     bool // the rest of it was not taken
}

// NewInvocation makes the event of a launch: limit bounds its answer in bytes, trace is the header that names its trace.
func NewInvocation(l *casemate.Launch, deadline time.Time, limit int64, trace string) *Invocation {
	return &Invocation{
		id: l.RequestID, arn: l.ARN, trace: trace, clientContext: l.ClientContext, cognito: l.Cognito, tenant: l.Tenant,
		deadline: deadline, payload: l.Payload, limit: limit, stream: l.Stream,
		answered: make(chan struct{}), idle: make(chan struct{}),
	}
}

// field is a header.
type field struct{ name, value string }

// fields are the headers that hand the event over, in the order of their names. An empty one is left out.
func (inv *Invocation) fields() [7]field {
	return [...]field{
		{lambda.HeaderRequestID, inv.id}, {lambda.HeaderTenant, inv.tenant}, {lambda.HeaderClientContext, inv.clientContext},
		{lambda.HeaderCognito, inv.cognito}, {lambda.HeaderDeadline, strconv.FormatInt(inv.deadline.UnixMilli(), 10)},
		{lambda.HeaderARN, inv.arn}, {lambda.HeaderTrace, inv.trace},
	}
}

// Deadline is when its sandbox is killed.
func (inv *Invocation) Deadline() time.Time { return inv.deadline }

// Linger has t fire after d once the runtime has answered, in place of when it would have fired: who waits for Idle, and for t, is not
// woken by the answer, for the next event is asked for right behind it as a rule. Of an answer that broke off, or was refused, it is
// woken at once. It is called before the event is offered.
func (inv *Invocation) Linger(t *time.Timer, d time.Duration) { inv.patience, inv.linger = t, d }

// settle stores the answer. The caller holds the Server's lock, and calls it once.
func (inv *Invocation) settle(ans answer, now time.Time) {
	inv.answer, inv.at = ans, now
	close(inv.answered)
	switch {
	case inv.patience == nil:
	case ans.truncated || ans.refused:
		inv.patience.Reset(0)
	default:
		inv.patience.Reset(inv.linger)
	}
}

// At is when the runtime answered. It is known once Answered is closed.
func (inv *Invocation) At() time.Time { return inv.at }

// Answered is closed when the runtime has answered.
func (inv *Invocation) Answered() <-chan struct{} { return inv.answered }

// Idle is closed when the runtime asks for the next event after its answer.
func (inv *Invocation) Idle() <-chan struct{} { return inv.idle }

// Result is the answer. It is there once Answered is closed.
func (inv *Invocation) Result() *casemate.Result {
	a := inv.answer
	return &casemate.Result{Payload: a.payload, ContentType: a.contentType, Failure: a.failure, Detail: a.detail}
}

// Settled reports whether the runtime answered.
func (inv *Invocation) Settled() bool {
	select {
	case <-inv.answered:
		return true
	default:
		return false
	}
}

// IsIdle reports whether the runtime asked for the next event after its answer.
func (inv *Invocation) IsIdle() bool {
	select {
	case <-inv.idle:
		return true
	default:
		return false
	}
}

// Truncated reports whether the runtime broke its streamed answer off: its end may be the reason. It is known once Answered is
// closed, like Refused.
func (inv *Invocation) Truncated() bool { return inv.answer.truncated }

// Refused reports whether the rest of a streamed answer was not taken: the runtime may still be making it.
func (inv *Invocation) Refused() bool { return inv.answer.refused }
