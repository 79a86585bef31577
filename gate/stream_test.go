package gate

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"casemate"
)

// listener is a front that takes answers as they come.
type listener struct {
	heads int
	got   strings.Builder
	fails error
}

func (l *listener) Head(o casemate.Opening, r *casemate.Result) (*casemate.Answer, int, error) {
	if !o.Declared {
		return nil, 0, casemate.ErrWhole
	}
	return &casemate.Answer{Status: 200}, 0, nil
}
func (l *listener) Begin(*casemate.Answer) error { l.heads++; return nil }
func (l *listener) Write(p []byte) error         { l.got.Write(p); return l.fails }
func (l *listener) Abort()                       {}

// open lets everything but a "!" pass.
type open struct{ found bool }

func (o *open) Pass(p []byte) ([]byte, error) {
	if o.found = strings.Contains(string(p), "!"); o.found {
		return nil, &casemate.Error{Code: casemate.FunctionFailed, Message: "the function's answer held something that must not leave", Rule: "leak/x", Err: errors.New("answer: body: leak/x")}
	}
	return p, nil
}
func (o *open) End() ([]byte, error) { return nil, nil }
func (o *open) Notes() []string {
	if o.found {
		return []string{"answer: body: leak/x blocked 1"}
	}
	return nil
}

// streaming is a rig whose route streams, with a function that writes pieces and ends with res and err.
func streaming(r *rig, res casemate.Result, err error, pieces ...string) {
	find := r.find
	r.find = func(e *casemate.Event) (*casemate.Match, error) {
		m, err := find(e)
		m.Route.Response = casemate.ResponseStream
		return m, err
	}
	r.runner = func(_ context.Context, l *casemate.Launch) (*casemate.Result, error) {
		out := res
		if l.Stream == nil {
			out.Payload = []byte(strings.Join(pieces, ""))
			return &out, err
		}
		w := l.Stream(casemate.Opening{Declared: true})
		for _, p := range pieces {
			if _, lost := io.WriteString(w, p); lost != nil {
				out.Failure, out.Payload = casemate.FailureHandled, []byte(`{"errorType":"x"}`)
				break
			}
		}
		return &out, err
	}
}

func (r *rig) streamGate(t *testing.T) *Gate {
	t.Helper()
	g := r.gate(t, nil)
	g.c.Sieve = func(*casemate.Match, *casemate.Event, *casemate.Answer) (Sieve, error) { return &open{}, nil }
	return g
}

// TestAnAnswerLeavesWhileItIsMade, and its record says what became of it.
func TestAnAnswerLeavesWhileItIsMade(t *testing.T) {
	for name, c := range map[string]struct {
		res    casemate.Result
		err    error
		pieces []string
		fails  error
		code   casemate.Code
		status string
		detail string
		sent   int64
		failed bool // the handler gives an error
	}{
		"well":           {pieces: []string{"a", "bc"}, status: "answered", sent: 3},
		"failed":         {res: casemate.Result{Failure: casemate.FailureHandled, Detail: "it failed", Payload: []byte("{}")}, pieces: []string{"ab"}, code: casemate.FunctionFailed, status: "failed", detail: "it failed, after 2 bytes of the answer had been sent", sent: 2},
		"timed out":      {res: casemate.Result{Failure: casemate.FailureTimeout, Detail: "killed at its deadline"}, pieces: []string{"ab"}, code: casemate.Timeout, status: "failed", detail: "killed at its deadline, after 2 bytes of the answer had been sent", sent: 2},
		"a leak":         {pieces: []string{"ab", "c!", "d"}, code: casemate.FunctionFailed, status: "failed", detail: "answer: body: leak/x, after 2 bytes of the answer had been sent", sent: 2, failed: true},
		"a caller gone":  {pieces: []string{"ab"}, fails: io.ErrClosedPipe, code: casemate.Unavailable, status: "refused", detail: "the caller went away, or did not take its answer in time", failed: true},
		"a node's fault": {err: errors.New("no sandbox"), code: casemate.Fault, status: "failed", detail: "no sandbox", failed: true},
	} {
		r, l := newRig(), &listener{fails: c.fails}
		c.res.Usage.CPU = 7
		streaming(r, c.res, c.err, c.pieces...)
		e := event()
		e.Answering = l
		res, err := r.streamGate(t).Handle(t.Context(), e)
		rec := r.closed[0]
		o := rec.Outcome
		if (err != nil) != c.failed || o.Status != c.status || o.Detail != c.detail || !o.OK && o.Code != c.code || rec.Usage.CPU != 7 {
			t.Errorf("%s: %v, %+v, used %+v", name, err, o, rec.Usage)
		}
		if c.sent > 0 && (rec.Usage.Out != c.sent || int64(l.got.Len()) != c.sent || l.heads != 1) {
			t.Errorf("%s: %d bytes in the record, %q left", name, rec.Usage.Out, l.got.String())
		}
		if res != nil && !res.Streamed {
			t.Errorf("%s: the front is not told that the head has left", name)
		}
		if name == "a leak" && !slices.Contains(rec.Notes, "answer: body: leak/x blocked 1") {
			t.Errorf("%v", rec.Notes)
		}
		if r.settled != 1 {
			t.Errorf("%s: settled %d times", name, r.settled)
		}
	}
}

// TestWhoseAnswersAreStreamed: only where the route says so, the answer is not kept, and the front takes it.
func TestWhoseAnswersAreStreamed(t *testing.T) {
	for name, bend := range map[string]func(*casemate.Event, *casemate.Match){
		"a route that says nothing": func(_ *casemate.Event, m *casemate.Match) { m.Route.Response = casemate.ResponseBuffered },
		"a route that keeps":        func(_ *casemate.Event, m *casemate.Match) { m.Route.Keep = &casemate.Keep{} },
		"a front that cannot":       func(e *casemate.Event, _ *casemate.Match) { e.Answering = nil },
		"an operation":              func(_ *casemate.Event, m *casemate.Match) { v := *m.Version; v.Runtime = "builtin"; m.Version = &v },
	} {
		r, l := newRig(), &listener{}
		streaming(r, casemate.Result{}, nil, "ab")
		find := r.find
		e := event()
		e.Answering = l
		r.find = func(e *casemate.Event) (*casemate.Match, error) { m, err := find(e); bend(e, m); return m, err }
		res, err := r.streamGate(t).Handle(t.Context(), e)
		if err != nil || l.heads != 0 || string(res.Payload) != "ab" || res.Streamed {
			t.Errorf("%s: %+v, %v", name, res, err)
		}
	}
}

// TestWithoutASieveNothingLeavesUnseen: what nobody looks at piece by piece is looked at whole.
func TestWithoutASieveNothingLeavesUnseen(t *testing.T) {
	r, l := newRig(), &listener{}
	streaming(r, casemate.Result{}, nil, "a", "b")
	g := r.gate(t, nil)
	looked := ""
	g.c.Leave = func(_ *casemate.Match, _ *casemate.Event, _ *casemate.Principal, res *casemate.Result) error {
		looked = string(res.Answer.Body)
		return nil
	}
	e := event()
	e.Answering = l
	if res, err := g.Handle(t.Context(), e); err != nil || looked != "ab" || l.heads != 0 || string(res.Answer.Body) != "ab" {
		t.Errorf("%+v, %v, looked at %q", res, err, looked)
	}
}

// TestARecordThatIsLostCutsTheAnswer: the front learns it before it ends the answer.
func TestARecordThatIsLostCutsTheAnswer(t *testing.T) {
	r, l := newRig(), &listener{}
	streaming(r, casemate.Result{}, nil, "ab")
	r.end = errors.New("the disk is full")
	e := event()
	e.Answering = l
	if _, err := r.streamGate(t).Handle(t.Context(), e); casemate.CodeOf(err) != casemate.Unavailable || l.heads != 1 {
		t.Errorf("%v", err)
	}
}

// TestWhatAStreamedAnswerMayCost: more than a whole one, and no more than the function may stream.
func TestWhatAStreamedAnswerMayCost(t *testing.T) {
	for want, limit := range map[int64]int64{casemate.MaxStreamed: 0, 1 << 20: 1 << 20} {
		if got := streamed(&casemate.Version{Limits: casemate.Limits{Streamed: limit}}); got != want {
			t.Errorf("%d", got)
		}
	}
}
