package gate

import (
	"context"

	"casemate"
)

// Knock takes one request of what an address may send; an error is a refusal of code Exhausted. It is for questions that a
// front answers itself: those of events are taken by Handle.
func (g *Gate) Knock(ctx context.Context, sourceIP string) error {
	return g.knock(ctx, &casemate.Event{Source: casemate.SourceHTTP, SourceIP: sourceIP})
}

// Preflight records questions of browsers that a front answered itself, so many as one.
func (g *Gate) Preflight(ctx context.Context, p casemate.Preflight) {
	s := g.open(&casemate.Event{Source: casemate.SourceHTTP, SourceIP: p.Source})
	s.rec.Times, s.rec.App, s.rec.Route, s.rec.Asked = p.Times, p.App, p.Route, "preflight"
	if err := g.c.Ledger.Begin(&s.rec); err != nil {
		g.c.Log.Error("preflights not recorded", "times", p.Times, "err", err)
		return
	}
	if p.Rule != "" {
		err := &casemate.Error{Code: casemate.Forbidden, Message: "a page of another origin may not send this", Rule: p.Rule}
		_, _ = g.close(ctx, s, nil, s.refuse(casemate.PointMay, err)) // they were answered already
		return
	}
	s.point(casemate.PointMay, casemate.Allowed, "cors of the route")
	s.ends = "preflight"
	_, _ = g.close(ctx, s, &casemate.Result{}, nil)
}
