package gate

import (
	"context"

	"casemate"
)

// run starts the function. It takes the proof of admission and nothing else.
func (g *Gate) run(ctx context.Context, a admitted, s *story) (*casemate.Result, error) {
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
		ARN: v.ARN, Payload: a.payload, Deadline: now.Add(limits.InitTimeout + limits.Timeout), Trace: a.event.Trace,
		ClientContext: a.event.ClientContext, Tenant: a.tenant, Partition: a.partition}
	s.point(casemate.PointStart, casemate.Allowed, string(v.Runtime))
	res, err := g.c.Run(ctx, l)
	if g.cut.Load() && (err != nil || res.Failure == casemate.FailureExit || res.Failure == casemate.FailureInit) {
		err = &casemate.Error{Code: casemate.Unavailable, Message: "the node stopped this run, because it is stopping itself", Hint: "send it again in a moment", Retry: 5, Err: err}
	}
	if err != nil {
		return nil, s.refuse(casemate.PointStart, err)
	}
	res.Usage.In = int64(len(a.payload))
	res.Usage.Out = int64(len(res.Payload))
	res.Match, res.Principal = a.match, a.principal
	s.ran(res)
	return res, nil
}
