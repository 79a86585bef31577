package gate

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"casemate"
)

// hangs is a rig whose function, that may run for a minute, does not answer by itself.
func hangs() *rig {
	r := newRig()
	find := r.find
	r.find = func(e *casemate.Event) (*casemate.Match, error) {
		m, err := find(e)
		v, way := *m.Version, *m.Route
		v.Limits.Timeout, v.Limits.InitTimeout = time.Minute, time.Second
		m.Version, m.Route = &v, &way
		return m, err
	}
	r.runner = func(ctx context.Context, _ *casemate.Launch) (*casemate.Result, error) {
		own := time.NewTimer(time.Minute)
		defer own.Stop()
		select {
		case <-ctx.Done():
		case <-own.C:
		}
		return &casemate.Result{Failure: casemate.FailureTimeout, Detail: "killed at its deadline", Usage: casemate.Usage{CPU: 7}}, nil
	}
	return r
}

// Callers of a route wait for as long as the route says; whoever calls the function itself, or asynchronously, has its own timeout.
//
// Lambda checklist: 57
func TestARouteWaitsForAsLongAsItSays(t *testing.T) {
	for name, c := range map[string]struct {
		change func(m *casemate.Match, e *casemate.Event)
		after  time.Duration
		detail string
	}{
		"HTTP":         {func(*casemate.Match, *casemate.Event) {}, 30 * time.Second, "ended at the timeout of its route, 30s"},
		"REST":         {func(m *casemate.Match, _ *casemate.Event) { m.Route.Payload = "rest" }, 29 * time.Second, "ended at the timeout of its route, 29s"},
		"its own":      {func(m *casemate.Match, _ *casemate.Event) { m.Route.Timeout = 50 * time.Millisecond }, 50 * time.Millisecond, "ended at the timeout of its route, 50ms"},
		"longer":       {func(m *casemate.Match, _ *casemate.Event) { m.Route.Timeout = 15 * time.Minute }, time.Minute, "killed at its deadline"},
		"function URL": {func(m *casemate.Match, _ *casemate.Event) { m.Route.URL = true }, time.Minute, "killed at its deadline"},
		"streams":      {func(m *casemate.Match, _ *casemate.Event) { m.Route.Response = casemate.ResponseStream }, time.Minute, "killed at its deadline"},
		"invoke":       {func(m *casemate.Match, e *casemate.Event) { m.Route, e.Target.Function = nil, "f" }, time.Minute, "killed at its deadline"},
		"asynchronous": {func(_ *casemate.Match, e *casemate.Event) { e.Source = casemate.SourceAsync }, time.Minute, "killed at its deadline"},
	} {
		synctest.Test(t, func(t *testing.T) {
			r, e := hangs(), event()
			find := r.find
			r.find = func(e *casemate.Event) (*casemate.Match, error) {
				m, err := find(e)
				c.change(m, e)
				return m, err
			}
			if name == "invoke" || name == "asynchronous" {
				c.change(&casemate.Match{}, e)
			}
			began := time.Now()
			res, err := r.gate(t, nil).Handle(t.Context(), e)
			if err != nil || res.Failure != casemate.FailureTimeout || time.Since(began) != c.after {
				t.Errorf("%s: %+v, %v after %s", name, res, err, time.Since(began))
			}
			if o := r.closed[0].Outcome; o.Detail != c.detail || o.Code != casemate.Timeout || r.closed[0].Usage.CPU != 7 {
				t.Errorf("%s: the record says %+v", name, r.closed[0])
			}
		})
	}
}

// A sandbox that could not be had in time is the same to the caller.
func TestARouteDoesNotWaitForASandbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := hangs()
		r.runner = func(ctx context.Context, _ *casemate.Launch) (*casemate.Result, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		res, err := r.gate(t, nil).Handle(t.Context(), event())
		if err != nil || res.Failure != casemate.FailureTimeout {
			t.Errorf("%+v, %v", res, err)
		}
		// Who goes away itself is not told of a timeout.
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if res, err = r.gate(t, nil).Handle(gone, event()); err == nil {
			t.Errorf("%+v", res)
		}
	})
}
