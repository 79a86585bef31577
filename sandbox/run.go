package sandbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"casemate"
	"casemate/lambda"
	"casemate/sandbox/api"
)

// What a runtime gets, after its answer, to ask for the next event before its caller is answered: a sandbox that ends
// anyway, and one that will be reused. Code that runs on in the background keeps a sandbox from being reused until it is
// done, at most to the run's deadline; it does not keep a caller from its answer.
const (
	lingerTime     = 50 * time.Millisecond
	warmLingerTime = 250 * time.Millisecond
)

// Run is a casemate.Runner. A failure of the function is a Result with Failure set; an error is the node's, or the
// caller's context ending. The sandbox is killed when the deadline passes or ctx ends.
func (p *Pool) Run(ctx context.Context, l *casemate.Launch) (*casemate.Result, error) {
	v := l.Version
	switch v.Runtime.Family() {
	case "nodejs", "python", "provided":
	case "wasm":
		if p.cfg.Wasm == nil {
			return nil, casemate.Errorf(casemate.Unavailable, "ask the operator", "this node runs no WebAssembly")
		}
		return p.cfg.Wasm.Run(ctx, l)
	default:
		return nil, casemate.Errorf(casemate.Invalid, "use nodejs, python, provided or wasm", "unknown runtime %q", v.Runtime)
	}
	key, err := keyOf(l)
	if err != nil {
		return nil, err
	}
	if err := p.enter(v); err != nil {
		return nil, err
	}
	defer p.leave(v)
	r := &run{pool: p, launch: l, limits: limits(v), began: p.cfg.Clock(), key: key}
	ctx, cancel := context.WithTimeout(ctx, r.left())
	defer cancel()
	res, err := r.do(ctx)
	if res != nil {
		res.Executed = v.Name()
	}
	return res, err
}

// run is one event in the making.
type run struct {
	pool    *Pool
	launch  *casemate.Launch
	limits  casemate.Limits
	began   time.Time
	key     string // of the sandboxes that it may share; "": none
	inst    *instance
	cold    bool
	portion portion   // of what its sandbox used and did, where there are several at once
	again   time.Time // when its second initialisation began, which is part of the run; zero: there was none
}

// left is the time to the launch's deadline.
func (r *run) left() time.Duration {
	if r.launch.Deadline.IsZero() {
		return r.limits.InitTimeout + r.limits.Timeout
	}
	return r.launch.Deadline.Sub(r.began)
}

// do finds a sandbox, gives it the event and decides what becomes of the sandbox.
func (r *run) do(ctx context.Context) (*casemate.Result, error) {
	v := r.launch.Version
	var err error
	if r.inst, err = r.waiting(ctx); err != nil {
		return nil, err
	}
	if r.inst == nil {
		res, err := r.initialise(ctx)
		r.pool.begun(v)
		if res != nil || err != nil {
			return res, err
		}
	}
	r.pool.dedicate(r.inst, r.key)
	if r.inst.shift != nil {
		return r.together(ctx)
	}
	res, inv, err := r.event(ctx)
	switch {
	case r.key == "" || inv == nil || v.Isolation == casemate.IsolationTenant && res.Failure != "":
		r.pool.retire(r.inst)
	case inv.IsIdle():
		r.pool.keep(r.inst)
	default:
		r.pool.keepLater(r.inst, inv)
	}
	return res, err
}

// initialise starts a sandbox and waits until its runtime asks for an event. A start that fails is tried once more in
// a new process, as Lambda does: that one is part of the run and has the function's own timeout for both, and what it says is
// the result (https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html, "Failures during the Init phase").
func (r *run) initialise(ctx context.Context) (*casemate.Result, error) {
	for attempt := 1; ; attempt++ {
		inst, cold, err := r.pool.fresh(ctx, r.launch, r.key)
		r.cold = cold
		var entry *entryError
		switch {
		case errors.As(err, &entry):
			return r.failed(entry.body.JSON(), casemate.FailureInit, entry.Error()), nil
		case err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) && casemate.CodeOf(err) == casemate.Fault:
			return r.failed(r.timeout(), casemate.FailureTimeout, "the deadline passed while the sandbox was started"), nil
		case err != nil && errors.Is(ctx.Err(), context.Canceled):
			return nil, cancelled(err)
		case err != nil:
			return nil, err
		}
		if r.inst = inst; !cold {
			return nil, nil
		}
		inst.logs.begin("", true)
		limit, phase := r.limits.InitTimeout, "init"
		if attempt == 2 {
			r.again, limit, phase = inst.started, r.limits.Timeout, "invoke"
		}
		fail := r.await(ctx, limit)
		took := r.pool.cfg.Clock().Sub(inst.started)
		inst.tellReady(took, fail)
		if fail == nil {
			inst.ready = took
			return nil, nil
		}
		inst.logs.settle()
		inst.logs.platform(r.lines().InitReport(r.pool.cfg.Clock(), took, phase, fail.body))
		if attempt == 2 || ctx.Err() != nil {
			res, err := fail.result(r), ctx.Err()
			r.pool.retire(inst)
			if errors.Is(err, context.Canceled) {
				return res, cancelled(err)
			}
			return res, nil
		}
		r.pool.retire(inst)
	}
}

// await waits for a starting sandbox. nil means it is ready.
func (r *run) await(ctx context.Context, limit time.Duration) *failure {
	i := r.inst
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-i.api.Ready():
		return nil
	case <-i.api.Failed():
		i.waitExit(lingerTime) // it is expected to end itself; what it still writes belongs to the log
	case <-i.exited:
	case <-i.broken():
		i.reason = "failure"
		i.halt()
		return i.crash(r.launch.RequestID, casemate.FailureInit)
	case <-t.C:
		i.reason = "timeout"
		i.halt()
		return &failure{casemate.FailureTimeout, r.timeout(), "initialisation passed its limit of " + limit.String()}
	case <-ctx.Done():
		i.reason = "timeout"
		i.halt()
		return &failure{casemate.FailureTimeout, r.timeout(), "the deadline passed while the function initialised"}
	}
	i.reason = "failure"
	i.halt()
	if body := i.api.InitError(); body != nil {
		return &failure{casemate.FailureInit, body, "the function failed to initialise"}
	}
	return i.died(r.launch.RequestID, casemate.FailureInit)
}

// failure is how a sandbox let an event down.
type failure struct {
	kind   casemate.Failure
	body   []byte
	detail string
}

func (f *failure) result(r *run) *casemate.Result {
	i, now := r.inst, r.pool.cfg.Clock()
	i.logs.settle()
	i.logs.begin(r.launch.RequestID, true)
	i.logs.platform(r.lines().Start(now, r.launch.RequestID, r.launch.Version.Name()))
	res := r.failed(f.body, f.kind, f.detail)
	r.account(res, now)
	r.report(res, now.Sub(r.since(now)))
	return res
}

// since is when the function's time began to run for a sandbox that was ready at start.
func (r *run) since(start time.Time) time.Time {
	if r.again.IsZero() {
		return start
	}
	return r.again
}

func (r *run) timeout() []byte { return timeoutBody(r.launch.RequestID, r.limits.Timeout) }

func (r *run) failed(body []byte, kind casemate.Failure, detail string) *casemate.Result {
	return &casemate.Result{Payload: body, ContentType: "application/json", Failure: kind, Detail: detail}
}

// event hands the event over and waits for what comes first: the answer, the end of the process, the deadline. The
// invocation is nil when the sandbox may not see another event.
func (r *run) event(ctx context.Context) (res *casemate.Result, reuse *api.Invocation, err error) {
	i, l := r.inst, r.launch
	start := r.pool.cfg.Clock()
	i.events.Add(1)
	i.observe()
	if i.door != nil {
		i.door.Begin(l)
	}
	i.logs.begin(l.RequestID, r.cold)
	i.logs.platform(r.lines().Start(start, l.RequestID, l.Version.Name()))
	r.tellBegin()
	linger := lingerTime
	if r.key != "" {
		linger = warmLingerTime
	}
	inv := r.invocation(start)
	timer := time.NewTimer(inv.Deadline().Sub(start))
	defer timer.Stop()
	inv.Linger(timer, linger)
	i.api.Offer(inv)
	fail, err := r.result(ctx, inv.Idle(), timer)
	end := r.pool.cfg.Clock()
	if inv.Settled() { // an answer that came together with the end counts
		res, err = inv.Result(), nil
		linger -= end.Sub(inv.At())
		end = inv.At()
		if inv.Truncated() {
			if i.waitExit(lingerTime); i.dead() { // that is why it broke off
				how := i.died(l.RequestID, casemate.FailureExit)
				res = r.failed(how.body, how.kind, how.detail)
			}
		}
		if !inv.Refused() && (inv.IsIdle() || i.waitIdle(inv, linger)) {
			reuse = inv
		}
	} else {
		i.failed(fail)
		if fail.kind == casemate.FailureTimeout && err == nil && i.exit.OOM { // it hung at its memory's limit, not at its work
			fail = i.died(l.RequestID, casemate.FailureExit)
		}
		res = r.failed(fail.body, fail.kind, fail.detail)
	}
	i.logs.settle()
	r.tellDone(res, end.Sub(start))
	r.account(res, start)
	r.report(res, end.Sub(r.since(start)))
	return res, reuse, err
}

// invocation is the event as the runtime gets it.
func (r *run) invocation(start time.Time) *api.Invocation {
	l := r.launch
	deadline := r.since(start).Add(r.limits.Timeout)
	if !l.Deadline.IsZero() && l.Deadline.Before(deadline) {
		deadline = l.Deadline
	}
	return api.NewInvocation(l, deadline, min(r.limits.Response, lambda.MaxResponse),
		lambda.TraceHeader(l.Trace.TraceID, l.Trace.SpanID, l.Trace.Sampled))
}

// result waits for what comes first: the event is done with, the process ends, its timer. The failure is what to say where there is
// no answer.
func (r *run) result(ctx context.Context, done <-chan struct{}, timer *time.Timer) (fail *failure, err error) {
	i, l := r.inst, r.launch
	select {
	case <-done:
	case <-i.exited:
		fail = i.died(l.RequestID, casemate.FailureExit)
	case <-i.broken():
		fail = i.crash(l.RequestID, casemate.FailureExit)
	case <-timer.C:
		fail = &failure{casemate.FailureTimeout, r.timeout(), "killed at its deadline"}
	case <-ctx.Done():
		fail = &failure{casemate.FailureTimeout, r.timeout(), "killed at its deadline"}
		if errors.Is(ctx.Err(), context.Canceled) {
			fail.detail, err = "killed because the caller went away", cancelled(ctx.Err())
		}
	}
	return fail, err
}

func cancelled(err error) error {
	return &casemate.Error{Code: casemate.Unavailable, Message: "the run was ended because its caller went away",
		Hint: "send it again", Err: err}
}

// account fills in what the run used and did. from is when its event was handed over.
func (r *run) account(res *casemate.Result, from time.Time) {
	i := r.inst
	used := i.usage()
	now := r.pool.cfg.Clock()
	res.Usage = casemate.Usage{
		Wall: now.Sub(from), CPU: used.CPU, MemoryMB: r.limits.MemoryMB, PeakBytes: used.PeakBytes, Cold: r.cold,
		In: int64(len(r.launch.Payload)), Out: int64(len(res.Payload)),
	}
	if r.cold {
		if res.Usage.Init = i.ready; i.ready == 0 {
			res.Usage.Init = now.Sub(i.started)
		}
	}
	i.opened(now)
	if i.door != nil {
		i.door.Begin(nil) // what it let out is in the effects now, and nothing leaves until the next event
	}
	res.Effects = i.fx.take(now)
	if res.Walls, res.Weak = i.child.Walls, i.child.Weak; i.debug {
		res.Weak = append(slices.Clip(res.Weak), debugged)
	}
}

// report ends the run's log as Lambda does.
func (r *run) report(res *casemate.Result, took time.Duration) {
	i, id, lines, now := r.inst, r.launch.RequestID, r.lines(), r.pool.cfg.Clock()
	status := statusOf(res.Failure)
	if status == lambda.StatusTimeout {
		i.logs.platform(lines.Timeout(now, id, r.limits.Timeout))
	}
	i.logs.platform(lines.End(now, id, status, took))
	rep := lambda.Report{Duration: took, MemoryMB: r.limits.MemoryMB, Peak: res.Usage.PeakBytes}
	if r.cold && r.again.IsZero() {
		rep.Init = res.Usage.Init
	}
	i.logs.platform(lines.Report(now, id, status, rep))
	r.tellReport(res, took)
	i.logs.begin("", true)
	res.Tail = i.logs.last()
}

// lines is how the platform writes its part of the log.
func (r *run) lines() lambda.Lines {
	l := r.launch.Version.Logging
	if !l.JSON() {
		return lambda.Lines{}
	}
	return lambda.Lines{JSON: true, Least: l.System}
}

// statusOf is Lambda's word for how a run ended.
func statusOf(f casemate.Failure) string {
	switch f {
	case "":
		return lambda.StatusSuccess
	case casemate.FailureTimeout:
		return lambda.StatusTimeout
	case casemate.FailureHandled, casemate.FailureResponse:
		return lambda.StatusError
	}
	return lambda.StatusFailure
}

// died tells how a process ended that should have answered.
func (i *instance) died(request string, kind casemate.Failure) *failure {
	how := ""
	switch {
	case i.exit.OOM:
		how, kind = "signal: killed", casemate.FailureMemory
	case i.exit.Signal != "":
		how = "signal: " + i.exit.Signal
	case i.exit.Code != 0:
		how = fmt.Sprintf("exit status %d", i.exit.Code)
	}
	detail := "the process ended before it answered: " + how
	if how == "" {
		detail = "the process ended with status 0 before it answered"
	}
	return &failure{kind, lambda.Exited(request, how).JSON(), detail}
}

// failed ends a runtime that let its event down, and notes for its extensions why.
func (i *instance) failed(fail *failure) {
	if i.reason = "failure"; fail.kind == casemate.FailureTimeout {
		i.reason = "timeout"
	}
	i.halt()
}

// waitIdle gives a runtime that answered a moment to ask for the next event. false: its process has ended.
func (i *instance) waitIdle(inv *api.Invocation, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-inv.Idle():
	case <-t.C:
	case <-i.exited:
		return false
	case <-i.broken():
		i.reason = "failure"
		return false
	}
	return true
}

// waitExit gives a runtime that long to end.
func (i *instance) waitExit(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-i.exited:
		return true
	case <-t.C:
		return false
	}
}

func (i *instance) dead() bool {
	select {
	case <-i.exited:
		return true
	case <-i.broken():
		return true
	default:
		return false
	}
}

func (i *instance) stopTimers() {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, t := range i.timers {
		t.Stop()
	}
	i.timers, i.gone = nil, true
}

// state is idle or frozen for a sandbox that rests, busy for one that does not.
func (i *instance) state() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case i.frozen:
		return "frozen"
	case i.timers != nil:
		return "idle"
	}
	return "busy"
}
