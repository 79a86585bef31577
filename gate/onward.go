package gate

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"casemate"
)

// Onward is word of how a queued event ended, on its way to a destination. It is queued itself before the event leaves the
// queue, so that neither is lost, and a send that has to wait does not run the function again.
type Onward struct {
	To         string             `json:"to"`       // ARN of a queue or a function
	Function   string             `json:"function"` // whose event it was, by ARN; the send is in the name of its role
	Name       string             `json:"name"`
	Role       string             `json:"role"`
	Body       []byte             `json:"body"`
	Attributes []MessageAttribute `json:"attributes,omitempty"` // of dead letters alone
}

// MessageAttribute is one of a message of Amazon SQS.
type MessageAttribute struct {
	Name  string `json:"name"`
	Type  string `json:"type"` // "String" or "Number"
	Value string `json:"value"`
}

// Conditions under which an event ends, in the words of AWS's records, and two of our own: an event that may not run any more,
// and word of an event that its destination did not take.
const (
	endSuccess     = "Success"
	endRetries     = "RetriesExhausted"
	endAge         = "EventAgeExceeded"
	endRefused     = "Refused"
	endDestination = "DestinationFailed"
)

// invocation is AWS's record of an event's end
// (https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html).
type invocation struct {
	Version         string            `json:"version"`
	Timestamp       string            `json:"timestamp"`
	RequestContext  invocationRequest `json:"requestContext"`
	RequestPayload  json.RawMessage   `json:"requestPayload"`
	ResponseContext *invocationAnswer `json:"responseContext,omitempty"` // nil: it did not run
	ResponsePayload json.RawMessage   `json:"responsePayload,omitempty"`
}

type invocationRequest struct {
	RequestID   string `json:"requestId"`
	FunctionARN string `json:"functionArn"`
	Condition   string `json:"condition"`
	Invokes     int    `json:"approximateInvokeCount"`
}

type invocationAnswer struct {
	Status   int    `json:"statusCode"`
	Executed string `json:"executedVersion"`
	Error    string `json:"functionError,omitempty"`
}

// end is how one queued event ended.
type end struct {
	condition string
	runs      int              // that were attempts
	res       *casemate.Result // of the last one; nil: there is none at hand
}

// record is the end of q as AWS writes it.
func (x *end) record(q *queued, now time.Time) ([]byte, error) {
	r := invocation{Version: "1.0", Timestamp: now.UTC().Format("2006-01-02T15:04:05.000Z"), RequestPayload: asJSON(q.Payload),
		RequestContext: invocationRequest{q.ID, q.ARN, x.condition, x.runs}}
	if x.res != nil {
		r.ResponseContext = &invocationAnswer{Status: 200, Executed: x.executed(q), Error: string(x.res.Failure)}
		if x.res.Failure != casemate.FailureNone {
			r.ResponseContext.Error = string(casemate.FailureHandled) // Lambda has this one word for all of them
		}
		r.ResponsePayload = asJSON(x.res.Payload)
	}
	return plainJSON(&r)
}

// executed is the version that ran: by its number where the event named a version or an alias.
func (x *end) executed(q *queued) string {
	if strings.HasSuffix(q.ARN, ":$LATEST") || x.res.Executed == "" {
		return "$LATEST"
	}
	return x.res.Executed
}

// plainJSON encodes without escaping what only HTML needs escaped: what was text stays that text.
func plainJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// asJSON is b where it is JSON, nothing as null, and anything else as a text.
func asJSON(b []byte) json.RawMessage {
	if len(b) == 0 {
		return json.RawMessage("null")
	}
	if json.Valid(b) {
		return b
	}
	text, _ := plainJSON(strings.ToValidUTF8(string(b), "\uFFFD")) // a text always encodes
	return text
}

// maxErrorMessage is AWS's bound of a dead letter's ErrorMessage
// (https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html#invocation-dlq).
const maxErrorMessage = 1 << 10

// letter are the attributes of a dead letter.
func (x *end) letter(q *queued) []MessageAttribute {
	message := "the event was not taken within its age"
	if x.res != nil {
		var e struct {
			Message string `json:"errorMessage"`
		}
		if message = string(x.res.Failure); json.Unmarshal(x.res.Payload, &e) == nil && e.Message != "" {
			message = e.Message
		}
	}
	if len(message) > maxErrorMessage {
		n := maxErrorMessage
		for n > 0 && !utf8.RuneStart(message[n]) {
			n--
		}
		message = message[:n]
	}
	return []MessageAttribute{{"RequestID", "String", q.ID}, {"ErrorCode", "Number", "200"}, {"ErrorMessage", "String", message}}
}

// over has an event leave the queue: word of its end is queued for every destination that wants it first. It is listed as
// dead when it failed and nobody is told.
func (g *Gate) over(ctx context.Context, d *Delivery, q *queued, x end) error {
	var to map[string]string
	switch {
	case q.Told == nil:
	case x.condition == endSuccess:
		to = map[string]string{"success": q.Told.OnSuccess}
	default:
		to = map[string]string{"failure": q.Told.OnFailure, "letter": q.Told.DeadLetter}
	}
	told := x.condition == endSuccess
	if !told {
		g.c.Watch.Dropped(q.Function, x.condition)
	}
	for kind, arn := range to {
		if arn == "" {
			continue
		}
		if err := g.tell(ctx, d, q, &x, kind, arn); err != nil {
			return g.buried(ctx, d, q, DeadLetter{Condition: x.condition, Attempts: x.runs, Code: casemate.CodeOf(err), Destination: arn,
				Reason: "queueing it for its destination: " + casemate.AsError(err).Error()})
		}
		told = true
	}
	if !told {
		return g.bury(ctx, d, q, x)
	}
	g.forget(d.ID)
	return d.Done(ctx)
}

// tell queues word of an end. Its name is made of the delivery's: one that is queued again after a crash is there already.
func (g *Gate) tell(ctx context.Context, d *Delivery, q *queued, x *end, kind, arn string) (err error) {
	o := &Onward{To: arn, Function: q.ARN, Name: q.Function, Role: q.Role}
	now := g.c.Clock()
	if kind == "letter" {
		o.Body, o.Attributes = asJSON(q.Payload), x.letter(q)
	} else if o.Body, err = x.record(q, now); err != nil {
		return err
	}
	parent := q.event(max(x.runs, 1))
	data, err := json.Marshal(&queued{ID: q.ID, Chain: q.Chain, Parent: parent.ID, Depth: q.Depth + 1, Trace: q.Trace, Accepted: now,
		MaxAge: maxAge, Function: q.Function, Onward: o})
	if err != nil {
		return err
	}
	return g.c.Queue.Put(ctx, d.ID+"~"+kind, "", data)
}

// pass sends word of an event's end to where it belongs, as an event of the function's own role that passes every check. What
// is not taken there is listed as dead, with the reason; for want of room it waits.
func (g *Gate) pass(ctx context.Context, d *Delivery, q *queued) error {
	x := DeadLetter{Condition: endDestination, Attempts: d.Attempt, Destination: q.Onward.To}
	if g.c.Onward == nil {
		x.Code, x.Reason = casemate.Unavailable, "this node sends to no destinations"
		return g.buried(ctx, d, q, x)
	}
	e, err := g.c.Onward(q.Onward)
	if err == nil {
		e.Chain, e.Parent, e.Depth, e.Trace = q.Chain, q.Parent, q.Depth, q.Trace.Child()
		var res *casemate.Result
		if res, err = g.Handle(ctx, e); err == nil && res.Failure == casemate.FailureNone {
			g.forget(d.ID)
			return d.Done(ctx)
		}
	}
	switch x.Code = casemate.CodeOf(err); x.Code {
	case casemate.Exhausted, casemate.Unavailable, casemate.Fault:
		if g.cut.Load() {
			return d.Retry(ctx, 0)
		}
		if g.c.Clock().Sub(q.Accepted) <= q.MaxAge {
			return d.Retry(ctx, g.backoff(d.ID))
		}
	}
	x.Reason = casemate.AsError(err).Error()
	g.c.Watch.Undelivered(q.Function)
	return g.buried(ctx, d, q, x)
}
