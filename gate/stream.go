package gate

import (
	"context"
	"strconv"

	"casemate"
	"casemate/outflow"
)

// Sieve looks at the body of an answer while it leaves. Notes are what it found and did, by rule; they hold nothing of it.
type Sieve interface {
	outflow.Sieve
	Notes() []string
}

// streams reports whether the answer to an event may leave while it is made.
func streams(e *casemate.Event, m *casemate.Match) bool {
	if e.Answering == nil || e.Async || m.Version == nil || m.Version.Runtime.Family() == "builtin" {
		return false
	}
	return m.Route == nil || m.Route.Response == casemate.ResponseStream && m.Route.Keep == nil
}

// streamed is the most that a streamed answer of v may hold.
func streamed(v *casemate.Version) int64 {
	if v.Limits.Streamed > 0 {
		return min(v.Limits.Streamed, casemate.MaxStreamed)
	}
	return casemate.MaxStreamed
}

// stream runs an admitted event whose answer may leave while it is made.
func (g *Gate) stream(ctx context.Context, a *admitted, s *story, l *casemate.Launch) (*casemate.Result, error) {
	bounds := g.c.Stream
	bounds.Bytes = streamed(l.Version)
	if l.Version.Limits.Response > 0 {
		bounds.Whole = l.Version.Limits.Response
	}
	var sieve Sieve
	flow := outflow.New(outflow.Config{Stream: a.event.Answering, Bounds: bounds, Clock: g.c.Clock, Executed: l.Version.Name(),
		Screen: func(head *casemate.Answer) (_ outflow.Sieve, err error) {
			if g.c.Sieve == nil {
				return nil, nil
			}
			if sieve, err = g.c.Sieve(a.match, a.event, head); sieve == nil || err != nil {
				return nil, err
			}
			return sieve, nil
		}})
	defer flow.Close() // nothing is written any more when the event's handler returns, also after a panic
	l.Stream = flow.Open
	res, err := g.started(ctx, a, l)
	flow.Close()
	head, sent, cause := flow.State()
	if err == nil && cause == nil && res.Failure == casemate.FailureNone {
		err = flow.End(res)
		head, sent, cause = flow.State()
	}
	if sieve != nil {
		s.rec.Notes = append(s.rec.Notes, sieve.Notes()...)
	}
	if s.sent = sent; res != nil {
		g.used(a, s, res)
		res.Streamed = head != nil
	}
	return g.left(a, s, res, head, cause, err)
}

// left says what came of an answer that may have left: head is that of one that did, cause why it was cut short from this
// side, err why the run has none.
func (g *Gate) left(a *admitted, s *story, res *casemate.Result, head *casemate.Answer, cause, err error) (*casemate.Result, error) {
	err = g.cutOff(res, err)
	switch {
	case cause != nil && casemate.CodeOf(cause) != casemate.TooLarge: // that one is the function's result
		return nil, s.refuse(casemate.PointOut, cause)
	case err != nil:
		return nil, s.refuse(casemate.PointStart, err)
	case head == nil || res.Failure != casemate.FailureNone:
		if err := g.leave(a, s, res); err != nil {
			return nil, err
		}
		return res, nil
	}
	res.Answer = head
	return res, nil
}

// broken is what a record says of an answer that was cut short.
func broken(why string, sent int64) string {
	return why + ", after " + strconv.FormatInt(sent, 10) + " bytes of the answer had been sent"
}
