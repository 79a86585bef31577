package wasm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"

	"casemate"
	"casemate/sandbox/wasm/wire"
)

// tailBytes of a run's log go with its result, as AWS Lambda's LogResult does.
const tailBytes = 4 << 10

// report gathers one run's log, usage and result.
type report struct {
	pool    *Pool
	launch  *casemate.Launch
	worker  *link // nil when there was none
	began   time.Time
	init    time.Duration // cold start, zero when warm
	early   []byte        // log of initialising
	usage   casemate.Usage
	effects []casemate.Effect
	tail    []byte
	line    casemate.LogLine

	started sync.Once
}

func newReport(p *Pool, l *casemate.Launch) *report {
	v := l.Version
	r := &report{pool: p, launch: l, tail: make([]byte, 0, 512)}
	r.line = casemate.LogLine{App: v.App, Function: v.Function, Version: v.Number, Request: l.RequestID, Stream: "platform"}
	r.usage = casemate.Usage{MemoryMB: limitsOf(v).MemoryMB, In: int64(len(l.Payload))}
	return r
}

// at says which worker gets the event, from now on.
func (r *report) at(w *link) {
	r.worker, r.began = w, r.pool.cfg.Clock()
	if !w.used.Load() && !w.used.Swap(true) {
		r.usage.Cold, r.usage.Init, r.init, r.early = true, w.init, w.init, w.early
	}
}

// start begins the log with START, once: when the worker has the event, or what it logs comes back sooner.
func (r *report) start() {
	r.started.Do(func() {
		r.write("platform", "START RequestId: "+r.launch.RequestID+" Version: "+r.launch.Version.Name())
		r.lines(r.early)
	})
}

// log takes a piece of the guest's log, whole lines but for very long ones.
func (r *report) log(piece []byte) {
	r.start()
	r.lines(piece)
}

func (r *report) lines(piece []byte) {
	for line := range bytes.Lines(piece) {
		if line = bytes.TrimRight(line, "\r\n"); len(line) > 0 {
			r.write("stderr", string(line))
		}
	}
}

func (r *report) write(stream, text string) {
	r.line.At, r.line.Stream, r.line.Text = r.pool.cfg.Clock(), stream, text
	r.pool.cfg.Logs(r.line)
	if n := len(r.tail) + len(text) + 1; n > tailBytes && len(r.tail) > 0 {
		r.tail = r.tail[:copy(r.tail, r.tail[min(len(r.tail), n-tailBytes):])]
	}
	r.tail = append(append(r.tail, text[max(0, len(text)-tailBytes+1):]...), '\n')
}

// answered makes the result of a run that the worker finished.
func (r *report) answered(a *wire.Answer, ended time.Time) *casemate.Result {
	wall := ended.Sub(r.began)
	// The figure comes from inside the jail: more than the machine can give is not believed.
	r.usage.CPU = min(time.Duration(a.CPU), wall*time.Duration(runtime.NumCPU()))
	r.usage.PeakBytes, r.usage.Fuel = int64(a.Pages)*wire.PageSize, a.Fuel
	id := r.launch.RequestID
	switch a.Status {
	case wire.StatusOK:
		return r.result(a.Payload, casemate.FailureNone, "", ended)
	case wire.StatusFailed:
		return r.result(a.Payload, casemate.FailureHandled, "the function reported an error", ended)
	case wire.StatusExit:
		return r.failed(casemate.FailureExit, "Runtime exited with error: exit status "+strconv.Itoa(int(a.Exit)), a.Detail, ended)
	case wire.StatusMemory:
		detail := fmt.Sprintf("memory limit of %d MB reached; exit status %d; %s", r.usage.MemoryMB, a.Exit, a.Detail)
		return r.failed(casemate.FailureMemory, "Runtime exited with error: out of memory", detail, ended)
	case wire.StatusTooLarge:
		text := fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", limitsOf(r.launch.Version).Response)
		return r.result(errorBody(string(casemate.FailureResponse), text), casemate.FailureResponse, "answer over its bound", ended)
	case wire.StatusLate:
		return r.timedOut(ended)
	case wire.StatusInit:
		return r.failed(casemate.FailureInit, "the module could not be instantiated", a.Detail, ended)
	case wire.StatusTrap:
		return r.failed(casemate.FailureExit, "Runtime exited with error: trap: "+trapName(a.Detail), a.Detail, ended)
	}
	return r.failed(casemate.FailureExit, "Runtime exited without providing a reason", "unknown status for "+id, ended)
}

// trapName is what a caller may read of a trap: its kind when it is one of WebAssembly's own, nothing of the module.
func trapName(detail string) string {
	for _, known := range [...]string{"unreachable", "out of bounds memory access", "integer divide by zero", "integer overflow",
		"invalid conversion to integer", "invalid table access", "indirect call type mismatch", "stack overflow"} {
		if detail == known {
			return known
		}
	}
	return "the module broke its contract"
}

// broken makes the result of a run whose worker did not answer: killed at the deadline, dead, or incoherent.
func (r *report) broken(ctx context.Context, w *link, err error, ended time.Time) (*casemate.Result, error) {
	// The process is being killed; its exit says whether memory was the reason.
	select {
	case <-w.done:
	case <-r.pool.ctx.Done():
		return nil, errClosed
	}
	r.usage.CPU = min(max(w.exit.CPU-w.spent, 0), ended.Sub(r.began)*time.Duration(runtime.NumCPU()))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		if errors.Is(ctx.Err(), context.Canceled) {
			r.finish(ended)
			return nil, casemate.Errorf(casemate.Unavailable, "", "the run was cancelled: %w", ctx.Err())
		}
		return r.timedOut(ended), nil
	}
	exit := w.exit
	detail := fmt.Sprintf("worker ended (%s): %v", exit.Reason, err)
	if exit.OOM {
		return r.failed(casemate.FailureMemory, "Runtime exited with error: signal: killed", detail, ended), nil
	}
	return r.failed(casemate.FailureExit, "Runtime exited without providing a reason", detail, ended), nil
}

func (r *report) timedOut(ended time.Time) *casemate.Result {
	limit := limitsOf(r.launch.Version).Timeout
	text := fmt.Sprintf("Task timed out after %.2f seconds", limit.Seconds())
	r.write("platform", r.line.At.UTC().Format(time.RFC3339)+" "+r.launch.RequestID+" "+text)
	return r.failed(casemate.FailureTimeout, text, "killed at its deadline", ended)
}

// failed is a result with AWS Lambda's error body. The detail is for the operator only.
func (r *report) failed(f casemate.Failure, text, detail string, ended time.Time) *casemate.Result {
	kind := string(f)
	return r.result(errorBody(kind, "RequestId: "+r.launch.RequestID+" Error: "+text), f, detail, ended)
}

func errorBody(kind, message string) []byte {
	// Two strings always marshal.
	b, _ := json.Marshal(struct {
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}{kind, message})
	return b
}

func (r *report) result(payload []byte, f casemate.Failure, detail string, ended time.Time) *casemate.Result {
	r.finish(ended)
	res := &casemate.Result{Payload: payload, ContentType: "application/json", Failure: f, Detail: detail,
		Executed: r.launch.Version.Name(), Tail: r.tail, Effects: r.effects}
	if r.worker != nil {
		res.Walls, res.Weak = r.worker.walls, r.worker.weak
	}
	r.usage.Out = int64(len(payload))
	res.Usage = r.usage
	return res
}

// finish ends the log with END and REPORT.
func (r *report) finish(ended time.Time) {
	r.usage.Wall = ended.Sub(r.began)
	id := r.launch.RequestID
	r.write("platform", "END RequestId: "+id)
	b := make([]byte, 0, 192)
	b = append(append(b, "REPORT RequestId: "...), id...)
	b = appendMillis(append(b, "\tDuration: "...), r.usage.Wall)
	billed := (r.usage.Wall + r.init + time.Millisecond - 1) / time.Millisecond
	b = strconv.AppendInt(append(b, "\tBilled Duration: "...), int64(billed), 10)
	b = strconv.AppendInt(append(b, " ms\tMemory Size: "...), int64(r.usage.MemoryMB), 10)
	b = strconv.AppendInt(append(b, " MB\tMax Memory Used: "...), (r.usage.PeakBytes+1<<20-1)>>20, 10)
	b = append(b, " MB\t"...)
	if r.init > 0 {
		b = append(appendMillis(append(b, "Init Duration: "...), r.init), '\t')
	}
	r.write("platform", string(b))
}

func appendMillis(b []byte, d time.Duration) []byte {
	return append(strconv.AppendFloat(b, float64(d)/float64(time.Millisecond), 'f', 2, 64), " ms"...)
}
