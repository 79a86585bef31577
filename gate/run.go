package gate

import (
	"context"

	"casemate"
)

// run starts the function. It takes the proof of admission and nothing else.
func (g *Gate) run(ctx context.Context, a admitted, s *story) (*casemate.Result, error) {
	v, now := a.match.Version, g.c.Clock()
	timeout := v.Limits.Timeout
	if timeout <= 0 {
		timeout = casemate.DefaultLimits().Timeout
	}
	l := &casemate.Launch{Version: v, Event: a.event, Principal: a.principal, Params: a.match.Params, RequestID: a.event.ID,
		ARN: v.ARN, Payload: a.payload, Deadline: now.Add(timeout), Trace: a.event.Trace,
		ClientContext: a.event.ClientContext, Tenant: a.event.Tenant}
	s.point(casemate.PointStart, casemate.Allowed, string(v.Runtime))
	res, err := g.c.Run(ctx, l)
	if err != nil {
		return nil, s.refuse(casemate.PointStart, err)
	}
	res.Usage.In = int64(len(a.payload))
	res.Usage.Out = int64(len(res.Payload))
	res.Match, res.Principal = a.match, a.principal
	s.ran(res)
	return res, nil
}
