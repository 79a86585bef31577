package queue

import (
	"context"
	"slices"
	"time"

	"casemate"
	"casemate/internal/pause"
	"casemate/lambda"
	"casemate/pattern"
)

// batch is messages on their way to the function.
type batch struct {
	*poller
	source   Source
	begun    time.Time
	stopping context.Context // ends when the mapping takes nothing more
}

// entry is one message, encoded.
type entry struct {
	*Message
	json []byte
}

// take gives the messages to the function, in events of 6 MB at most, one after the other.
func (b *batch) take(ctx context.Context, list []Message) {
	var wanted []entry
	var away []string
	for i := range list {
		m := &list[i]
		m.Record.EventSourceARN, m.Record.AWSRegion = b.m.Source, b.f.c.Place.Region
		if !b.wants(m) {
			away = append(away, m.Record.ReceiptHandle)
			continue
		}
		text, err := m.Record.JSON()
		if err != nil { // text and bytes always encode
			b.say("", "PROBLEM: "+err.Error())
			continue
		}
		wanted = append(wanted, entry{m, text})
	}
	b.delete(ctx, away)
	if !b.source.FIFO {
		slices.SortStableFunc(wanted, func(x, y entry) int { return x.depth() - y.depth() })
	}
	for len(wanted) > 0 {
		n, size := 0, envelope
		for n < len(wanted) && (n == 0 || size+len(wanted[n].json) < maxPayload && wanted[n].depth() == wanted[0].depth()) {
			size += len(wanted[n].json) + 1
			n++
		}
		if !b.give(ctx, wanted[:n]) { // those behind it in a FIFO queue come back with it
			b.release(ctx, wanted[n:], 0, true)
			return
		}
		wanted = wanted[n:]
	}
}

// wants asks the filters.
func (b *batch) wants(m *Message) bool {
	if len(b.filters) == 0 {
		return true
	}
	attributes, own := map[string]any{}, map[string]any{}
	for k, v := range m.Record.Attributes {
		attributes[k] = v
	}
	for k, v := range m.Record.MessageAttributes {
		x := map[string]any{"dataType": v.DataType}
		if v.StringValue != nil {
			x["stringValue"] = *v.StringValue
		}
		own[k] = x
	}
	event := map[string]any{"messageId": m.Record.MessageID, "body": pattern.BodyOf(m.Record.Body), "attributes": attributes, "messageAttributes": own,
		"eventSource": "aws:sqs", "eventSourceARN": b.m.Source, "awsRegion": b.f.c.Place.Region, "md5OfBody": m.Record.MD5OfBody}
	for _, p := range b.filters {
		if p.Match(event) {
			return true
		}
	}
	return false
}

// give has the function take one event. It is false when nothing more should be given for now.
func (b *batch) give(ctx context.Context, list []entry) bool {
	res, err := b.ask(ctx, list)
	if looped(err) {
		return b.refused(ctx, list, err)
	}
	if err == nil {
		b.room.taken()
		return b.answered(ctx, list, res)
	}
	switch code := casemate.CodeOf(err); code {
	case casemate.Exhausted, casemate.Unavailable:
		b.say("", "PROBLEM: the function is throttled")
		b.release(ctx, list, b.f.c.Pause, true) // it never got to the function
		return false
	case casemate.Invalid, casemate.TooLarge:
		return b.refused(ctx, list, err)
	case casemate.Forbidden, casemate.NotFound, casemate.Unauthenticated: // not the messages' fault: it does not count
		b.release(ctx, list, maxPause, true)
	}
	b.say("", "PROBLEM: "+casemate.AsError(err).Message)
	b.f.c.Log.Warn("an event of a queue was not taken", "mapping", b.m.ID, "err", err)
	pause.For(b.stopping, b.f.c.Pause)
	return false
}

// ask runs the function, and again while it is throttled, as long as half of the visibility timeout is left.
func (b *batch) ask(ctx context.Context, list []entry) (*casemate.Result, error) {
	records := make([][]byte, len(list))
	for i := range list {
		records[i] = list[i].json
	}
	payload := lambda.SQSEvent(records)
	wait := b.f.c.Pause / 4
	for {
		res, err := b.f.c.Handler(ctx, b.event(payload, list))
		code := casemate.CodeOf(err)
		if err == nil || code != casemate.Exhausted && code != casemate.Unavailable || looped(err) {
			return res, err
		}
		b.room.throttled()
		if time.Since(b.begun)+wait > b.source.Visibility/2 || !pause.For(b.stopping, wait) {
			return res, err
		}
		wait = min(2*wait, maxPause)
	}
}

// event is a batch as the corridor takes it, in the name of the mapping.
func (b *batch) event(payload []byte, list []entry) *casemate.Event {
	place, m := b.f.c.Place, b.m
	who := &casemate.Principal{Kind: casemate.KindMapping, ID: m.Role(), ARN: place.MappingARN(m.ID), Account: place.Account, Role: m.Role(),
		Tags: map[string]string{"app": m.App}}
	e := &casemate.Event{ID: casemate.NewID(), Source: casemate.SourceQueue, Target: casemate.Target{Function: m.Target()}, Action: "lambda:InvokeFunction",
		Resource: place.FunctionARN(m.Target()), Credential: casemate.Credential{Kind: casemate.CredentialMapping, As: who}, Received: b.f.c.Clock(), Attempt: 1,
		Trace: casemate.NewTrace(), ContentType: "application/json", Payload: payload, Size: int64(len(payload)),
		Context: map[string][]string{"aws:sourcearn": {m.Source}, "aws:sourceaccount": {place.Account}}}
	from(list).Continue(e)
	return e
}

// answered deletes what the function took. What failed comes back when its visibility timeout is over; of a FIFO queue,
// everything behind it in its group as well.
func (b *batch) answered(ctx context.Context, list []entry, res *casemate.Result) bool {
	if res.Failure != casemate.FailureNone {
		b.say("", "PROBLEM: Function call failed")
		return false
	}
	failed := map[string]bool{}
	if b.m.Partial {
		in := map[string]bool{}
		for i := range list {
			in[list[i].Record.MessageID] = true
		}
		var ok bool
		if failed, ok = lambda.BatchFailures(res.Payload, func(id string) bool { return in[id] }); !ok {
			b.say("", "PROBLEM: the function's batchItemFailures are malformed")
			return false
		}
	}
	stuck := map[string]bool{}
	var done []string
	for i := range list {
		m := list[i].Message
		if failed[m.Record.MessageID] || b.source.FIFO && stuck[m.Group] {
			stuck[m.Group] = true
			continue
		}
		done = append(done, m.Record.ReceiptHandle)
	}
	b.delete(ctx, done)
	if len(failed) > 0 {
		b.say("", "PROBLEM: items of a batch failed")
	} else {
		b.say("", "OK")
	}
	return !b.source.FIFO || len(failed) == 0
}

// refused deals with an event that the corridor does not take for its form: each message alone, and the one that is refused
// by itself is put aside with the reason.
func (b *batch) refused(ctx context.Context, list []entry, err error) bool {
	if len(list) > 1 {
		on := true
		for i := range list {
			if !b.give(ctx, list[i:i+1]) {
				if on = false; b.source.FIFO {
					b.release(ctx, list[i+1:], 0, true)
					break
				}
			}
		}
		return on
	}
	e := casemate.AsError(err)
	reason := e.Code.String() + ": " + e.Message
	b.say("", "PROBLEM: a message was refused")
	lost := b.source.Bury(ctx, list[0].Message, reason)
	if casemate.CodeOf(lost) == casemate.NotFound {
		if lost = b.f.c.Dead(ctx, b.m, list[0].Message, err); lost == nil {
			b.delete(ctx, []string{list[0].Record.ReceiptHandle})
		}
	}
	if lost != nil {
		b.f.c.Log.Error("putting a refused message aside", "mapping", b.m.ID, "err", lost)
		return false
	}
	return true
}

func (b *batch) delete(ctx context.Context, handles []string) {
	if len(handles) == 0 {
		return
	}
	if err := b.source.Delete(ctx, handles); err != nil { // they come again: at least once
		b.f.c.Log.Error("deleting messages", "mapping", b.m.ID, "err", err)
	}
}

// release gives messages back, the last first, so that a FIFO queue never shows one before those ahead of it.
func (b *batch) release(ctx context.Context, list []entry, after time.Duration, undo bool) {
	handles := make([]string, 0, len(list))
	for i := len(list) - 1; i >= 0; i-- {
		handles = append(handles, list[i].Record.ReceiptHandle)
	}
	if len(handles) == 0 {
		return
	}
	if err := b.source.Release(ctx, handles, after, undo); err != nil {
		b.f.c.Log.Warn("giving messages back", "mapping", b.m.ID, "err", err)
	}
}
