package gate

import (
	"cmp"
	"fmt"
	"strconv"
	"time"

	"casemate"
)

// story is one event's record while it is being written.
type story struct {
	event *casemate.Event
	rec   casemate.Record
	clock func() time.Time
	mark  time.Time // when the last point was passed
	said  string    // of the last refusal
	spend casemate.Spend
	sent  int64  // bytes of an answer that left while it was made
	ends  string // how it ended, where nothing was run; "": as its result says
}

// open starts the record of e before anything about it is decided.
func (g *Gate) open(e *casemate.Event) *story {
	now := g.c.Clock()
	if e.Received.IsZero() {
		e.Received = now
	}
	if e.ID == "" {
		e.ID = casemate.NewID()
	}
	if e.Chain == "" {
		e.Chain = e.ID
	}
	s := &story{event: e, clock: g.c.Clock, mark: now}
	s.rec = casemate.Record{ID: e.ID, Event: e.ID, Parent: e.Parent, Chain: e.Chain, Attempt: e.Attempt, Source: e.Source,
		Action: e.Action, Resource: e.Resource, Opened: now, SourceIP: e.SourceIP, Trace: e.Trace.TraceID, Span: e.Trace.SpanID, SpanUp: e.Trace.ParentID,
		Principal: "anonymous", Points: make([]casemate.Point, 0, 8)}
	if e.Source == casemate.SourceAsync {
		s.rec.ID += "#" + strconv.Itoa(e.Attempt)
	}
	s.point(casemate.PointIn, casemate.Allowed, string(e.Source))
	return s
}

// point adds a verdict with the time since the one before.
func (s *story) point(name string, v casemate.Verdict, reason string) {
	now := s.clock()
	s.rec.Points = append(s.rec.Points, casemate.Point{Name: name, Verdict: v, Reason: reason, Took: now.Sub(s.mark)})
	s.mark = now
}

// refuse adds the verdict of a refusal and gives the error back, so that a check reads as one line.
func (s *story) refuse(name string, err error) error {
	e := casemate.AsError(err)
	s.said = said(name, e)
	reason := e.Code.String() + ": " + s.said
	if e.Rule != "" {
		reason += " (" + e.Rule + ")"
	}
	if name == casemate.PointWho && e.Err != nil { // why a credential does not hold is the operator's to know
		reason += fmt.Sprintf(": %.200s", e.Err)
	}
	s.point(name, casemate.Denied, reason)
	return err
}

// said is what the record keeps of a refusal. What breaks a contract is told to its caller with the place in the body;
// the names on the way there are the caller's own text, and bodies are not recorded: the rule is.
func said(name string, e *casemate.Error) string {
	if name == casemate.PointForm && e.Code != casemate.Fault && e.Code != casemate.Conflict { // a flow's refusal holds no text of the caller
		return "the body was refused"
	}
	return e.Error()
}

func (s *story) matched(m *casemate.Match) {
	s.rec.Action, s.rec.Resource, s.rec.Policy = m.Action, m.Resource, m.Revision
	if r := m.Route; r != nil {
		s.rec.Route, s.rec.Contract = r.ID, r.Contract
	}
	if v := m.Version; v != nil {
		s.rec.App, s.rec.Function, s.rec.Version = v.App, v.Function, v.ID
	}
}

// ran copies what a run did and cost.
func (s *story) ran(res *casemate.Result) {
	s.rec.Effects, s.rec.Walls, s.rec.Weak, s.rec.Usage = res.Effects, res.Walls, res.Weak, res.Usage
	verdict, refused := casemate.Allowed, 0
	for i := range res.Effects {
		x := &res.Effects[i]
		if x.Verdict != casemate.Allowed {
			verdict, refused = casemate.Denied, refused+1
		} else if x.Kind == casemate.EffectConnect {
			s.rec.Usage.Sent += max(x.Out, 0)
			s.rec.Usage.Received += max(x.In, 0)
		}
	}
	if len(res.Effects) > 0 {
		s.point(casemate.PointEffects, verdict, strconv.Itoa(refused)+" of "+strconv.Itoa(len(res.Effects))+" refused")
	}
}

// outcome writes the end of the story; it is the only place that does.
func (s *story) outcome(now time.Time, res *casemate.Result, err error) {
	s.rec.Closed = now
	if s.rec.Resource == "" {
		s.rec.Asked = s.event.Target.String()
	}
	o := &s.rec.Outcome
	switch {
	case err != nil:
		e := casemate.AsError(err)
		o.Code, o.Status, o.Detail = e.Code, "refused", e.Error()
		if s.said != "" {
			o.Detail = s.said
		}
		if e.Code == casemate.Fault || e.Code == casemate.FunctionFailed {
			o.Status = "failed"
			if e.Err != nil {
				o.Detail = e.Err.Error()
			}
		}
	case res.Accepted && res.Again != "":
		o.OK, o.Status, o.Detail = true, "repeated", "its idempotency key stands for "+res.Again
	case res.Accepted:
		o.OK, o.Status = true, "queued"
	case res.Failure != casemate.FailureNone:
		o.Code, o.Status, o.Failure, o.Detail = casemate.FunctionFailed, "failed", res.Failure, res.Detail
		if res.Failure == casemate.FailureTimeout {
			o.Code = casemate.Timeout
		}
	default:
		o.OK, o.Status = true, cmp.Or(s.ends, "answered")
	}
	if !o.OK && s.sent > 0 {
		o.Detail = broken(o.Detail, s.sent)
	}
	v := casemate.Denied
	if o.OK {
		v = casemate.Allowed
	}
	s.point(casemate.PointOut, v, o.Status)
}
