package wasm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"time"

	"casemate/sandbox/wasm/wire"
)

// A worker runs one event after the other, and answers each before it begins the next. So the node may put several on
// the socket at once: of those without an answer the first is being run, and no other was begun. Fewer wake-ups of both
// processes are the gain. When the first takes long the worker gives the others back, for a worker that has time.
const (
	mostCalls  = 8                      // in one worker's hands
	callsTime  = time.Millisecond       // what the runs before it may take together, on average
	slowStart  = 10 * time.Millisecond  // taken for the time of a run until some were seen
	stuckAfter = 2 * time.Millisecond   // a run that takes longer gets none put behind it
	smallEvent = 16 << 10               // a larger event goes to a worker that has nothing to do
	mostTries  = 3                      // workers that an event is given to before it is given up
	mostAway   = 16                     // workers of a place that may wait for a response from outside beside those that run
	stopGrace  = 30 * time.Millisecond  // for a worker to stop an event at its end by itself, before it is killed
	goneGrace  = 100 * time.Millisecond // of a run that begins when its caller has left
	lastWords  = time.Second            // for what a killed worker has said
)

// errNotBegun: the worker ended without having begun the event, so that another may have it.
var errNotBegun = errors.New("the worker ended before it began the event")

// call is one event on its way through a worker. The link's lock guards what is not set before submit.
type call struct {
	event  wire.Event
	report *report
	limit  time.Duration // of its own run
	last   time.Time     // when it ends at the latest, whenever it began

	began  time.Time // when it became the first of its worker, by the report's clock; for those that were behind
	kill   time.Time // when the worker is killed for it; from the same moment on
	behind bool      // it was sent behind another
	gone   bool      // its caller left while it waited
	asked  bool      // it made an HTTP request, so it was begun
	size   int       // bytes on the wire
	done   chan outcome
}

// outcome is an answer, or why there is none.
type outcome struct {
	answer wire.Answer
	err    error
}

// submit gives the worker an event, behind those it has; what came of it goes to c.done. Events that come while another
// is being written leave with the next write.
func (w *link) submit(c *call, crowd bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lost != nil {
		c.done <- outcome{err: errNotBegun}
		return
	}
	w.seq++
	c.event.Seq, c.behind, c.size = w.seq, len(w.calls) > 0, wire.EventHeader+len(c.event.Payload)
	w.calls = append(w.calls, c)
	if !c.behind {
		w.begin()
	}
	w.out = append(wire.AppendEvent(w.out, &c.event), c.event.Payload...)
	w.drain(crowd)
}

// drain writes until there is nothing to be written, or leaves it to whoever writes already. w.mu is held.
func (w *link) drain(crowd bool) {
	if w.writing {
		return
	}
	w.writing = true
	for len(w.out) > 0 && w.lost == nil {
		if crowd { // whoever is about to come joins this write
			w.mu.Unlock()
			runtime.Gosched()
			w.mu.Lock()
		}
		w.flush()
	}
	w.writing = false
	if w.deaf {
		w.bury()
	}
}

// flush writes what is to be written. w.mu is held, and free while it writes.
func (w *link) flush() {
	out := w.out
	w.out = w.spare[:0]
	w.mu.Unlock()
	n, err := w.file.Write(out)
	w.mu.Lock()
	w.sent += n
	if err != nil && w.lost == nil {
		w.lost = err
		w.kill()
	}
	if w.spare = out[:0]; cap(out) > wire.KeepBuffer {
		w.spare = nil
	}
}

// begin starts the clock of the first call. The timer of the socket is set only when it would ring too late.
func (w *link) begin() {
	now := time.Now() // the kernel's and the worker's clock, whatever reports run on
	w.begun.Store(now.UnixNano())
	c := w.calls[0]
	if c.behind {
		c.began = c.report.pool.cfg.Clock()
	}
	end := now.Add(c.limit)
	if c.gone {
		end = now.Add(min(goneGrace, c.limit))
	}
	if c.last.Before(end) {
		end = c.last
	}
	c.kill = end.Add(stopGrace)
	if w.armed.IsZero() || c.kill.Before(w.armed) {
		w.arm(c.kill)
	}
}

func (w *link) arm(t time.Time) {
	w.armed = t
	_ = w.file.SetReadDeadline(t) // fails on a closed file only, which nobody reads any more
}

// overdue tells whether the first call has had its time, and sets the timer anew when it has not.
func (w *link) overdue() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case len(w.calls) == 0:
		w.arm(time.Time{})
	case time.Now().Before(w.calls[0].kill):
		w.arm(w.calls[0].kill)
	default:
		return os.ErrDeadlineExceeded
	}
	return nil
}

// wait gives what came of a submitted call. When its caller leaves, a run is killed; one that waits behind another
// gets little time of its own.
func (w *link) wait(ctx context.Context, c *call) outcome {
	select {
	case o := <-c.done:
		return o
	case <-ctx.Done():
	}
	w.mu.Lock()
	c.gone = true
	if len(w.calls) > 0 && w.calls[0] == c {
		now := time.Now()
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			now = now.Add(stopGrace)
		}
		if now.Before(c.kill) {
			c.kill = now
			w.arm(now)
		}
	}
	w.mu.Unlock()
	return <-c.done
}

// listen reads what the worker says until it ends, or has to.
func (w *link) listen(f *function) {
	defer close(w.heard)
	defer w.outside.close()
	err := w.read(f, w.overdue)
	w.kill()
	f.lose(w)
	w.hush()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		// What it said before it died tells which event it died in.
		_ = w.file.SetReadDeadline(time.Now().Add(lastWords))
		_ = w.read(f, func() error { return os.ErrDeadlineExceeded })
	}
	w.outside.end()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lost, w.deaf = err, true
	if !w.writing { // otherwise who writes knows what the worker has got
		w.bury()
	}
}

// read hands out answers and log lines. It returns the reason for which the worker is of no use any more.
func (w *link) read(f *function, ring func() error) error {
	logged := 0
	for {
		k, body, err := w.frames.Next()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if err = ring(); err == nil {
				continue
			}
		}
		if err != nil {
			return err
		}
		switch k {
		case wire.KindLog:
			c := w.current()
			if logged += len(body); c == nil || logged > w.logMax {
				return fmt.Errorf("%w: log over its bound, or of no event", wire.ErrFrame)
			}
			c.report.log(body)
		case wire.KindAnswer:
			logged = 0
			if err := w.answered(f, body); err != nil {
				return err
			}
		case wire.KindSend:
			if err := w.asked(f, body); err != nil {
				return err
			}
		case wire.KindReturn:
			if err := w.returned(f, body); err != nil {
				return err
			}
		case wire.KindState:
			f.says(string(body))
		case wire.KindFault:
			return fmt.Errorf("the worker gave up: %.300s", body)
		default:
			return fmt.Errorf("%w: kind %q", wire.ErrFrame, k)
		}
	}
}

func (w *link) current() *call {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.calls) == 0 {
		return nil
	}
	return w.calls[0]
}

// answered ends the first call; body is good until the next frame only.
func (w *link) answered(f *function, body []byte) error {
	a, err := wire.ParseAnswer(body)
	if err != nil {
		return err
	}
	w.mu.Lock()
	if len(w.calls) == 0 || w.calls[0].event.Seq != a.Seq || w.asking {
		w.mu.Unlock()
		return fmt.Errorf("%w: answer %d to no event", wire.ErrFrame, a.Seq)
	}
	c := w.calls[0]
	w.calls[0] = nil
	w.calls = w.calls[1:]
	w.sent -= c.size
	if len(w.calls) > 0 {
		w.begin()
	}
	w.mu.Unlock()
	w.outside.end()
	w.runs.Add(1)
	w.spent += time.Duration(a.CPU)
	a.Payload = bytes.Clone(a.Payload)
	f.give(w, time.Duration(a.Wall))
	c.done <- outcome{answer: a}
	return nil
}

// returned takes a call back that waits behind one which takes long: it may go to another worker.
func (w *link) returned(f *function, body []byte) error {
	seq, err := wire.ParseReturn(body)
	if err != nil {
		return err
	}
	w.mu.Lock()
	i := slices.IndexFunc(w.calls, func(c *call) bool { return c.event.Seq == seq })
	if i < 1 { // the first is being run
		w.mu.Unlock()
		return fmt.Errorf("%w: event %d returned", wire.ErrFrame, seq)
	}
	c := w.calls[i]
	w.calls = slices.Delete(w.calls, i, i+1)
	w.sent -= c.size
	w.mu.Unlock()
	f.give(w, -1)
	c.done <- outcome{err: errNotBegun}
	return nil
}

// bury ends the calls of a worker that is of no use: the first that it got whole is the one it ended in, and has the
// blame; no other was begun. w.mu is held, and nobody writes.
func (w *link) bury() {
	for i, c := range w.calls {
		o := outcome{err: errNotBegun}
		if i == 0 && (c.asked || w.sent >= c.size) {
			o.err = w.lost
			if errors.Is(o.err, os.ErrDeadlineExceeded) && time.Now().Before(c.kill) {
				o.err = io.ErrUnexpectedEOF // it had only just begun when the one before it ran out of time
			}
		}
		c.done <- o
	}
	w.calls = nil
}
