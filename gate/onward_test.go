package gate

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"casemate"
)

const to = "arn:aws:sqs:us-east-1:000000000000:"

// told is a corridor whose function tells three queues how its events end, and what was sent to them.
func told(t *testing.T, r *rig, q *memQueue) (g *Gate, sent *[]Onward) {
	t.Helper()
	find := r.find
	r.find = func(e *casemate.Event) (*casemate.Match, error) {
		m, err := find(e)
		if e.Target.Builtin != "" {
			v := *m.Version
			v.Function, v.Runtime = e.Target.Builtin, "builtin"
			return &casemate.Match{Version: &v, Action: "sqs:SendMessage", Resource: e.Resource, Policy: r}, nil
		}
		m.Version.ARN, m.Version.Role = "arn:aws:lambda:us-east-1:000000000000:function:f", "function/f"
		m.Version.Managed = &casemate.Managed{Told: &casemate.Destinations{OnSuccess: to + "good", OnFailure: to + "bad", DeadLetter: to + "dead"}}
		return m, err
	}
	run := r.runner
	sent = new([]Onward)
	var last *Onward
	r.runner = func(ctx context.Context, l *casemate.Launch) (*casemate.Result, error) {
		if l.Version.Runtime == "builtin" {
			*sent = append(*sent, *last)
			return &casemate.Result{}, nil
		}
		return run(ctx, l)
	}
	g = accept(t, r, q)
	g.c.Onward = func(o *Onward) (*casemate.Event, error) {
		last = o
		return &casemate.Event{ID: casemate.NewID(), Source: casemate.SourceDestination, Target: casemate.Target{Builtin: "sqs.SendMessage"}, Resource: o.To,
			Credential: casemate.Credential{Kind: casemate.CredentialDestination}, Payload: o.Body}, nil
	}
	return g, sent
}

func byQueue(sent []Onward) map[string]Onward {
	all := map[string]Onward{}
	for _, o := range sent {
		all[strings.TrimPrefix(o.To, to)] = o
	}
	return all
}

// Lambda checklist: 44
func TestDestinationRecords(t *testing.T) {
	const head = `{"version":"1.0","timestamp":"2026-11-22T12:00:00.000Z","requestContext":{"requestId":"e1","functionArn":"arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST","condition":`
	for name, c := range map[string]struct {
		body   string
		res    casemate.Result
		record string
		to     string
		letter string
	}{
		"success": {`{"order":1}`, casemate.Result{Payload: []byte(`{"ok":"<1>"}`)},
			head + `"Success","approximateInvokeCount":1},"requestPayload":{"order":1},"responseContext":{"statusCode":200,"executedVersion":"$LATEST"},"responsePayload":{"ok":"<1>"}}`, "good", ""},
		"no answer, and a payload that is no JSON": {`hi`, casemate.Result{},
			head + `"Success","approximateInvokeCount":1},"requestPayload":"hi","responseContext":{"statusCode":200,"executedVersion":"$LATEST"},"responsePayload":null}`, "good", ""},
		"failure": {`{"order":1}`, casemate.Result{Failure: casemate.FailureExit, Payload: []byte(`{"errorMessage":"no stock","errorType":"E"}`)},
			head + `"RetriesExhausted","approximateInvokeCount":3},"requestPayload":{"order":1},"responseContext":{"statusCode":200,"executedVersion":"$LATEST","functionError":"Unhandled"},"responsePayload":{"errorMessage":"no stock","errorType":"E"}}`, "bad", "no stock"},
	} {
		t.Run(name, func(t *testing.T) {
			r, q := newRig(), &memQueue{}
			r.clean = func(b []byte) ([]byte, error) {
				if string(b) == "hi" {
					return []byte(c.body), nil
				}
				return b, nil
			}
			r.runner = func(context.Context, *casemate.Launch) (*casemate.Result, error) { res := c.res; return &res, nil }
			g, sent := told(t, r, q)
			q.drain(t, g, 20)
			got := byQueue(*sent)
			if string(got[c.to].Body) != c.record {
				t.Errorf("record\n%s\nwant\n%s", got[c.to].Body, c.record)
			}
			want := 1
			if c.letter != "" {
				want = 2
				l := got["dead"]
				a := []MessageAttribute{{"RequestID", "String", "e1"}, {"ErrorCode", "Number", "200"}, {"ErrorMessage", "String", c.letter}}
				if string(l.Body) != c.body || len(l.Attributes) != 3 || l.Attributes[0] != a[0] || l.Attributes[1] != a[1] || l.Attributes[2] != a[2] {
					t.Errorf("dead letter %s %v", l.Body, l.Attributes)
				}
			}
			if len(*sent) != want || len(q.dead) != 0 || len(q.items) != 0 {
				t.Errorf("%d sent, dead %v, %d queued", len(*sent), q.dead, len(q.items))
			}
		})
	}
}

func TestAgedEventIsTold(t *testing.T) {
	r, q := newRig(), &memQueue{}
	g, sent := told(t, r, q)
	r.now = r.now.Add(2 * time.Hour)
	q.drain(t, g, 20)
	body := string(byQueue(*sent)["bad"].Body)
	if !strings.Contains(body, `"condition":"EventAgeExceeded","approximateInvokeCount":0},"requestPayload":"hi"}`) || len(*sent) != 2 || len(q.dead) != 0 {
		t.Errorf("%d sent, record %s, dead %v", len(*sent), body, q.dead)
	}
}

// TestRefusedDestinationLosesNothing: the word that could not be brought is listed with the reason, can be sent again by hand,
// and the function does not run again for it.
func TestRefusedDestinationLosesNothing(t *testing.T) {
	r, q := newRig(), &memQueue{}
	runs := 0
	r.runner = func(context.Context, *casemate.Launch) (*casemate.Result, error) {
		runs++
		return &casemate.Result{}, nil
	}
	g, sent := told(t, r, q)
	q.drain(t, g, 1)
	r.decision = casemate.Decision{}
	q.drain(t, g, 20)
	if len(*sent) != 0 || len(q.dead) != 1 {
		t.Fatalf("%d sent, dead %+v", len(*sent), q.dead)
	}
	d := q.dead[0]
	if d.Condition != "DestinationFailed" || d.ID != "e1~success" || d.Code != casemate.Forbidden || d.Destination != to+"good" || d.Reason == "" {
		t.Errorf("dead letter %+v", d)
	}
	again, err := Again(d.Event, r.now)
	if err != nil {
		t.Fatal(err)
	}
	r.decision = casemate.Decision{Verdict: casemate.Allowed}
	if err := q.Put(t.Context(), "again", "", again); err != nil {
		t.Fatal(err)
	}
	q.drain(t, g, 20)
	if len(*sent) != 1 || runs != 1 {
		t.Errorf("%d sent after the replay, %d runs", len(*sent), runs)
	}
}

// TestDestinationWaitsForRoom: a send that finds no room is tried again, and the function is not run for it.
func TestDestinationWaitsForRoom(t *testing.T) {
	r, q := newRig(), &memQueue{}
	g, sent := told(t, r, q)
	q.drain(t, g, 1)
	left := 3
	r.reserve = func(casemate.Demand) error {
		if left--; left >= 0 {
			return casemate.Errorf(casemate.Exhausted, "", "no room")
		}
		return nil
	}
	q.drain(t, g, 20)
	if len(*sent) != 1 || len(q.delay) != 3 || q.delay[2] != 4*time.Second || len(q.dead) != 0 {
		t.Errorf("%d sent, delays %v, dead %v", len(*sent), q.delay, q.dead)
	}
}

// TestDestinationIsQueuedBeforeTheEventIsDone: what cannot be queued for its destination is listed, and an event of which
// neither can be written stays.
func TestDestinationIsQueuedBeforeTheEventIsDone(t *testing.T) {
	r, q := newRig(), &memQueue{}
	g, _ := told(t, r, q)
	d, err := q.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	q.full = casemate.Errorf(casemate.Unavailable, "", "disk full")
	g.c.Dead = func(context.Context, DeadLetter) error { return errors.New("disk full") }
	if err := g.deliver(t.Context(), d); err == nil || q.done != 0 {
		t.Errorf("got %v, %d done", err, q.done)
	}
	g.c.Dead = q.bury
	if err := g.deliver(t.Context(), d); err != nil || q.done != 1 || len(q.dead) != 1 || q.dead[0].Destination != to+"good" {
		t.Errorf("got %v, %d done, dead %+v", err, q.done, q.dead)
	}
}

// TestDestinationLoopIsCut: a function that is told of its own events ends at the depth at which calls do.
func TestDestinationLoopIsCut(t *testing.T) {
	r, q := newRig(), &memQueue{}
	runs := 0
	r.runner = func(context.Context, *casemate.Launch) (*casemate.Result, error) {
		runs++
		return &casemate.Result{}, nil
	}
	g, _ := told(t, r, q)
	g.c.Onward = func(o *Onward) (*casemate.Event, error) {
		return &casemate.Event{ID: casemate.NewID(), Source: casemate.SourceDestination, Target: casemate.Target{Function: "f"}, Async: true,
			Credential: casemate.Credential{Kind: casemate.CredentialDestination}, Payload: o.Body}, nil
	}
	find := r.find
	r.find = func(e *casemate.Event) (*casemate.Match, error) {
		m, err := find(e)
		if e.Target.Function != "" {
			m.Route = nil
		}
		return m, err
	}
	q.drain(t, g, 1000)
	if runs != casemate.MaxDepth+1 || len(q.dead) != 1 || q.dead[0].Condition != "DestinationFailed" || !strings.Contains(q.dead[0].Reason, "loop") {
		t.Errorf("%d runs, dead %+v", runs, q.dead)
	}
	if rec := r.closed[len(r.closed)-1]; rec.Chain != "e1" {
		t.Errorf("the cut is in chain %s", rec.Chain)
	}
	var x queued
	if err := json.Unmarshal(q.dead[0].Event, &x); err != nil || x.Depth != casemate.MaxDepth+1 {
		t.Errorf("depth %d, %v", x.Depth, err)
	}
}
