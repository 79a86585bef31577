package sandbox

import (
	"context"
	"slices"
	"time"

	"casemate"
	"casemate/lambda"
	"casemate/sandbox/api"
)

// together gives the event to a sandbox that may have others in flight, and decides what becomes of the sandbox when it is
// the last. A runtime that ends fails all of them. An event that passes its deadline fails alone: the sandbox takes no more, the
// others have what is left of their own time, and then it ends.
func (r *run) together(ctx context.Context) (*casemate.Result, error) {
	i, p := r.inst, r.pool
	p.mu.Lock()
	p.seat(i)
	p.mu.Unlock()
	res, inv, back, err := r.among(ctx)
	switch last, draining := p.unseat(i); {
	case !last:
	case draining || i.dead():
		p.retire(i)
	case back:
		p.keep(i)
	default:
		p.ending.Go(func() {
			if i.waitBack(inv.Deadline().Sub(p.cfg.Clock())) {
				p.keep(i)
				return
			}
			p.end(i)
		})
	}
	return res, err
}

// among is event where there may be others. back says that no worker is still busy.
func (r *run) among(ctx context.Context) (res *casemate.Result, inv *api.Invocation, back bool, err error) {
	i, l := r.inst, r.launch
	i.events.Add(1)
	i.logs.join(l.RequestID, r.cold)
	start := i.cut(r.pool.cfg.Clock, func(runs []*run) []*run { return append(runs, r) })
	i.logs.say(l.RequestID, r.lines().Start(start, l.RequestID, l.Version.Name()))
	inv = r.invocation(start)
	timer := time.NewTimer(inv.Deadline().Sub(start))
	defer timer.Stop()
	i.api.Offer(inv)
	fail, err := r.result(ctx, inv.Answered(), timer)
	if inv.Settled() {
		res, err = inv.Result(), nil
		if inv.Truncated() {
			if i.waitExit(lingerTime); i.dead() {
				how := i.died(l.RequestID, casemate.FailureExit)
				res = r.failed(how.body, how.kind, how.detail)
			}
		}
		if inv.Refused() {
			r.pool.drain(i)
		}
		back = i.alone(r) && i.waitBack(warmLingerTime)
	} else {
		fail = r.letDown(fail, err)
		res = r.failed(fail.body, fail.kind, fail.detail)
	}
	i.api.Withdraw(inv)
	i.logs.settle()
	end := i.cut(r.pool.cfg.Clock, func(runs []*run) []*run { return slices.DeleteFunc(runs, func(o *run) bool { return o == r }) })
	r.portioned(res, start, end)
	r.reportAmong(res, end)
	return res, inv, back, err
}

// alone says whether no other event is in flight.
func (i *instance) alone(r *run) bool {
	i.shift.mu.Lock()
	defer i.shift.mu.Unlock()
	return len(i.shift.runs) == 1 && i.shift.runs[0] == r
}

// letDown ends a sandbox that let an event down, at once where no other is in flight.
func (r *run) letDown(fail *failure, err error) *failure {
	i := r.inst
	alone := r.pool.drain(i)
	if !alone && !i.dead() {
		i.shift.mu.Lock()
		defer i.shift.mu.Unlock()
		i.shift.late = append(i.shift.late, r.launch.RequestID)
		return fail
	}
	i.shift.fail.Do(func() { i.failed(fail) })
	if fail.kind == casemate.FailureTimeout && err == nil && i.dead() && i.exit.OOM {
		return i.died(r.launch.RequestID, casemate.FailureExit)
	}
	return fail
}

// portioned fills in what the run bears of what its sandbox used and did.
func (r *run) portioned(res *casemate.Result, start, end time.Time) {
	i, p := r.inst, &r.portion
	wall := end.Sub(start)
	res.Usage = casemate.Usage{Wall: wall, Shared: max(wall-p.wall, 0), CPU: p.cpu, MemoryMB: r.limits.MemoryMB, PeakBytes: p.peak, Cold: r.cold,
		In: int64(len(r.launch.Payload)), Out: int64(len(res.Payload))}
	if r.cold {
		res.Usage.Init = i.ready
	}
	res.Effects = p.effects(end)
	res.Walls, res.Weak = i.child.Walls, i.child.Weak
}

// reportAmong ends the run's log.
func (r *run) reportAmong(res *casemate.Result, end time.Time) {
	i, id, lines := r.inst, r.launch.RequestID, r.lines()
	took := end.Sub(r.since(end.Add(-res.Usage.Wall)))
	status := statusOf(res.Failure)
	if status == lambda.StatusTimeout {
		i.logs.say(id, lines.Timeout(end, id, r.limits.Timeout))
	}
	i.logs.say(id, lines.End(end, id, status, took))
	rep := lambda.Report{Duration: took, MemoryMB: r.limits.MemoryMB, Peak: res.Usage.PeakBytes}
	if r.cold && r.again.IsZero() {
		rep.Init = res.Usage.Init
	}
	i.logs.say(id, lines.Report(end, id, status, rep))
	res.Tail = i.logs.part(id)
}
