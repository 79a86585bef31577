package node

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"casemate"
	"casemate/catalog"
	source "casemate/front/queue"
	"casemate/gate"
	"casemate/lambda"
	"casemate/queue"
)

// openSources begins to give messages of queues to functions.
func (n *node) openSources(ctx context.Context) error {
	dead, err := n.store.KV("dead")
	if err != nil {
		return err
	}
	f, err := source.New(source.Config{Handler: n.gate.Handle, Open: n.sourceOf, May: n.mayPoll, Place: n.cfg.Place, Clock: time.Now, Log: n.cfg.Log,
		Dead: func(ctx context.Context, m *casemate.Mapping, msg *source.Message, reason error) error {
			return deadLetters{kv: dead}.put(ctx, deadMessage(m, msg, reason))
		}})
	if err != nil {
		return err
	}
	n.sources.Store(f)
	n.onClose(func() error { f.Stop(); return nil })
	n.mapped(n.catalog.Snapshot())
	n.keepDeclaring(ctx)
	return nil
}

// mapped makes the queues that apps declare, and has the mappings in force at work.
func (n *node) mapped(s *catalog.Snapshot) {
	f := n.sources.Load()
	if f == nil { // opening: openSources does it
		return
	}
	declared := map[string]bool{}
	for _, name := range s.Apps() {
		a, _ := s.App(name)
		if len(a.Queues) == 0 {
			continue
		}
		declared[name] = true
		n.declare(name, a.Queues)
	}
	for _, q := range n.queues.List("") {
		if app := q.Definition().App; app != "" && !declared[app] {
			declared[app] = true
			n.declare(app, nil)
		}
	}
	f.Set(s.Mappings())
}

// specOf is a declared queue with SQS's defaults filled in.
func specOf(place casemate.Place, name string, q *casemate.Queue) queue.Spec {
	s := queue.Defaults()
	s.FIFO = queue.IsFIFO(name)
	s.Delay, s.Wait, s.ContentDedup, s.DedupGroup = q.Delay, q.Wait, q.ContentDedup, q.DedupGroup
	if q.Visibility > 0 {
		s.Visibility = q.Visibility
	}
	if q.Retention > 0 {
		s.Retention = q.Retention
	}
	if q.MaxSize > 0 {
		s.MaxSize = q.MaxSize
	}
	if q.DeadLetter != "" {
		s.Redrive = &queue.Redrive{Target: place.QueueARN(q.DeadLetter), Max: q.Receives}
	}
	return s
}

// mayPoll asks the policy in force, with the queue's own, for the function of a mapping.
func (n *node) mayPoll(m *casemate.Mapping, action string) error {
	s := n.catalog.Snapshot()
	if s.Policy == nil {
		return casemate.Errorf(casemate.Forbidden, "deploy again", "no policy is loaded")
	}
	role := catalog.ExecutionRole(m.Function)
	who := &casemate.Principal{Kind: casemate.KindRun, ID: role, ARN: n.cfg.Place.RoleARN(role), Account: n.cfg.Place.Account, Role: role}
	d := n.keeping(s.Policy, m.Source).Decide(&casemate.AccessRequest{Principal: who, Action: action, Resource: m.Source, Account: n.cfg.Place.Account, Now: time.Now()})
	if d.Verdict == casemate.Allowed {
		return nil
	}
	return &casemate.Error{Code: casemate.Forbidden, Message: "the function's role may not " + action + " on " + m.Source, Rule: d.Statement, Hint: d.Hint}
}

// sourceOf finds the queue of a mapping.
func (n *node) sourceOf(arn string) (source.Source, error) {
	q, err := n.queues.ByARN(arn)
	if err != nil {
		return source.Source{}, err
	}
	d := q.Definition()
	return source.Source{Queue: polled{q}, FIFO: d.Spec.FIFO, Visibility: d.Spec.Visibility}, nil
}

// polled is a queue as the event source wants it.
type polled struct{ q *queue.Queue }

// Receive implements the source's Queue.
func (p polled) Receive(ctx context.Context, most int, wait time.Duration) ([]source.Message, error) {
	list, err := p.q.Receive(ctx, queue.Ask{Most: most, Wait: wait})
	out := make([]source.Message, 0, len(list))
	for i := range list {
		m := &list[i]
		r := lambda.SQSRecord{MessageID: m.ID, ReceiptHandle: m.Handle, Body: m.Body, Attributes: m.System(), MD5OfBody: queue.BodyMD5(m.Body),
			MD5OfMessageAttributes: queue.AttributesMD5(m.Attributes), MessageAttributes: map[string]lambda.SQSAttribute{}}
		for name, a := range m.Attributes {
			x := lambda.SQSAttribute{DataType: a.DataType, BinaryValue: a.Binary}
			if a.Binary == nil {
				x.StringValue = &a.Text
			}
			r.MessageAttributes[name] = x
		}
		out = append(out, source.Message{Record: r, Group: m.Group, Lineage: m.Lineage})
	}
	return out, err
}

// Delete implements the source's Queue.
func (p polled) Delete(ctx context.Context, handles []string) error {
	return errors.Join(p.q.Delete(ctx, handles)...)
}

// Release implements the source's Queue.
func (p polled) Release(ctx context.Context, handles []string, after time.Duration, undo bool) error {
	list := make([]queue.Hide, len(handles))
	for i, h := range handles {
		list[i] = queue.Hide{Handle: h, For: after, Undo: undo}
	}
	return errors.Join(p.q.Change(ctx, list)...)
}

// Bury implements the source's Queue.
func (p polled) Bury(ctx context.Context, m *source.Message, reason string) error {
	return p.q.Bury(ctx, m.Record.ReceiptHandle, reason)
}

// lostMessage is what the dead-letter list keeps of a message whose queue has no dead-letter queue: all of it.
type lostMessage struct {
	Queue  string            `json:"queue"` // ARN
	Record *lambda.SQSRecord `json:"record"`
}

func deadMessage(m *casemate.Mapping, msg *source.Message, reason error) gate.DeadLetter {
	event, _ := json.Marshal(lostMessage{m.Source, &msg.Record}) // text and bytes always encode
	return gate.DeadLetter{ID: msg.Record.MessageID, Function: m.Function, Condition: "Refused", Attempts: 1, Code: casemate.CodeOf(reason), Died: time.Now(), Event: event}
}

// resend puts a message of the dead-letter list back into its queue. ok is false when the event is none.
func (n *node) resend(ctx context.Context, event json.RawMessage) (ok bool, err error) {
	var lost lostMessage
	if json.Unmarshal(event, &lost) != nil || lost.Record == nil {
		return false, nil
	}
	q, err := n.queues.ByARN(lost.Queue)
	if err != nil {
		return true, err
	}
	r := lost.Record
	o := queue.Outgoing{Body: r.Body, Group: r.Attributes["MessageGroupId"], Dedup: r.Attributes["MessageDeduplicationId"], Trace: r.Attributes["AWSTraceHeader"],
		Sender: r.Attributes["SenderId"], Attributes: map[string]queue.Attribute{}}
	if o.Dedup != "" { // a new one: the old one may still be known
		o.Dedup = casemate.NewID()
	}
	for name, a := range r.MessageAttributes {
		x := queue.Attribute{DataType: a.DataType, Binary: a.BinaryValue}
		if a.StringValue != nil {
			x.Text = *a.StringValue
		}
		o.Attributes[name] = x
	}
	_, errs := q.Send(ctx, []queue.Outgoing{o})
	return true, errs[0]
}
