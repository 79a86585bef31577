package gate

import (
	"context"

	"casemate"
)

// serve answers an admitted event: with an answer that was kept for it, or by a run.
func (g *Gate) serve(ctx context.Context, a *admitted, s *story) (*casemate.Result, error) {
	run := func(ctx context.Context) (*casemate.Result, error) { return g.run(ctx, a, s) }
	var res *casemate.Result
	var err error
	if g.c.Kept != nil && a.match.Route != nil {
		res, err = g.c.Kept(ctx, g.c.Clock(), a.match, a.event, a.principal, run)
		if err == nil && !a.ran {
			s.point(casemate.PointStart, casemate.Allowed, "a kept answer")
		}
	} else {
		res, err = run(ctx)
	}
	if err != nil {
		return nil, err
	}
	a.ok = res.Failure == casemate.FailureNone && (res.Answer == nil || res.Answer.Status < 400)
	mine := *res // a kept answer is everybody's
	mine.Match, mine.Principal, mine.Room = a.match, a.principal, a.room
	return &mine, nil
}

// run starts the function. It takes the proof of admission and nothing else.
func (g *Gate) run(ctx context.Context, a *admitted, s *story) (*casemate.Result, error) {
	v, now := a.match.Version, g.c.Clock()
	// A cold start does not eat the function's own time, as on AWS: the deadline allows for both, and the sandbox holds
	// the run itself to its timeout from the moment that the function gets the event.
	limits := v.Limits
	if limits.Timeout <= 0 {
		limits.Timeout = casemate.DefaultLimits().Timeout
	}
	if limits.InitTimeout <= 0 {
		limits.InitTimeout = casemate.DefaultLimits().InitTimeout
	}
	l := &casemate.Launch{Version: v, Event: a.event, Principal: a.principal, Params: a.match.Params, RequestID: a.event.ID,
		ARN: invoked(a), Payload: a.payload, Deadline: now.Add(limits.InitTimeout + limits.Timeout), Trace: a.event.Trace,
		ClientContext: a.event.ClientContext, Cognito: a.principal.Cognito(), Tenant: a.tenant, Partition: a.partition}
	s.point(casemate.PointStart, casemate.Allowed, string(v.Runtime))
	a.ran = true
	if streams(a.event, a.match) {
		return g.stream(ctx, a, s, l)
	}
	res, err := g.started(ctx, a, l)
	if res != nil {
		g.used(a, s, res)
	}
	if err = g.cutOff(res, err); err != nil {
		return nil, s.refuse(casemate.PointStart, err)
	}
	if err := g.leave(a, s, res); err != nil {
		return nil, err
	}
	return res, nil
}

// started has a sandbox run l. Where its caller came by a route that waits for less than the function may take, the run ends with the
// wait; an asynchronous event keeps nobody waiting.
func (g *Gate) started(ctx context.Context, a *admitted, l *casemate.Launch) (*casemate.Result, error) {
	r := a.match.Route
	if r == nil || a.event.Source == casemate.SourceAsync {
		return g.c.Run(ctx, l)
	}
	within := r.Within()
	if most := l.Deadline.Sub(g.c.Clock()); within <= 0 || within > most {
		return g.c.Run(ctx, l)
	}
	short, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	res, err := g.c.Run(short, l)
	late := short.Err() != nil && ctx.Err() == nil
	switch {
	case late && err != nil:
		res, err = &casemate.Result{Failure: casemate.FailureTimeout, Executed: l.Version.Name()}, nil
	case !late || res.Failure != casemate.FailureTimeout:
		return res, err
	}
	res.Detail = "ended at the timeout of its route, " + within.String()
	return res, nil
}

// used writes what a run cost and did into the record, also of one whose answer nobody gets.
func (g *Gate) used(a *admitted, s *story, res *casemate.Result) {
	res.Usage.In = int64(len(a.payload))
	if res.Usage.Out = int64(len(res.Payload)); s.sent > 0 {
		res.Usage.Out = s.sent
	}
	s.ran(res)
}

// cutOff names the node's own stop as the reason where it ended a run.
func (g *Gate) cutOff(res *casemate.Result, err error) error {
	if g.cut.Load() && (err != nil || res.Failure == casemate.FailureExit || res.Failure == casemate.FailureInit) {
		return &casemate.Error{Code: casemate.Unavailable, Message: "the node stopped this run, because it is stopping itself", Hint: "send it again in a moment", Retry: 5, Err: err}
	}
	return err
}

// invoked is the ARN that the function was called by: with the qualifier that was given, as on AWS.
func invoked(a *admitted) string {
	if r := a.match.Route; a.event.Target.Function != "" || r != nil && r.URL {
		return a.match.Resource
	}
	return a.match.Version.ARN
}

// leave reads what the function answered in the terms of its front, and has the shield look at it.
func (g *Gate) leave(a *admitted, s *story, res *casemate.Result) (err error) {
	if a.event.Decode != nil && res.Failure == casemate.FailureNone && res.Answer == nil {
		if res.Answer, err = a.event.Decode(res); err != nil {
			return s.refuse(casemate.PointOut, &casemate.Error{Code: casemate.FunctionFailed, Message: "the function answered with something that is no response",
				Hint: "the record says what is wrong with it", Err: err})
		}
	}
	if g.c.Leave == nil {
		return nil
	}
	err = g.c.Leave(a.match, a.event, a.principal, res)
	s.rec.Notes = append(s.rec.Notes, res.Notes...)
	if err != nil {
		return s.refuse(casemate.PointOut, err)
	}
	return nil
}
