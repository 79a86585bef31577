package wasm

import (
	"context"
	"errors"
	"slices"
	"time"

	"casemate"
	"casemate/sandbox/wasm/wire"
)

// handover is what a waiting run gets: a worker, or the reason why there will be none.
type handover struct {
	worker *link
	err    error
}

// dispatch hands an event to a worker, which has at most timeout from then on: waiting for a worker is not the function's
// time. A worker that died while it was idle never got the event, so that another may.
func (f *function) dispatch(ctx context.Context, deadline time.Time, timeout time.Duration, e *wire.Event) (*link, error) {
	for {
		w, err := f.take(ctx, deadline)
		if err != nil {
			return nil, err
		}
		w.began = f.pool.cfg.Clock()
		end := time.Now().Add(timeout) // the kernel's and the worker's clock, whatever reports run on
		if deadline.Before(end) {
			end = deadline
		}
		e.Deadline = end.UnixNano()
		if err = w.send(end, e); err == nil {
			return w, nil
		}
		f.drop(w)
		if !w.used {
			return nil, err
		}
	}
}

// take gives an idle worker, or waits for one, while the function grows by one worker at a time towards its maximum.
func (f *function) take(ctx context.Context, deadline time.Time) (*link, error) {
	f.mu.Lock()
	if f.closed != nil {
		f.mu.Unlock()
		return nil, f.closed
	}
	if n := len(f.idle); n > 0 {
		w := f.idle[n-1]
		f.idle = f.idle[:n-1]
		f.mu.Unlock()
		return w, nil
	}
	wait := make(chan handover, 1)
	f.waiting = append(f.waiting, wait)
	f.grow()
	f.mu.Unlock()

	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	select {
	case h := <-wait:
		return h.worker, h.err
	case <-ctx.Done():
	}
	f.mu.Lock()
	f.waiting = slices.DeleteFunc(f.waiting, func(c chan handover) bool { return c == wait })
	f.mu.Unlock()
	select {
	case h := <-wait: // it came at the last moment: somebody else may have it
		if h.worker != nil {
			f.give(h.worker)
		}
	default:
	}
	return nil, ctx.Err()
}

// give puts a worker back, to the run that waits longest if there is one.
func (f *function) give(w *link) {
	f.mu.Lock()
	if f.closed != nil || w.gone {
		f.mu.Unlock()
		w.kill()
		return
	}
	if len(f.waiting) > 0 {
		f.waiting[0] <- handover{worker: w}
		f.waiting = f.waiting[1:]
		f.mu.Unlock()
		return
	}
	w.since = f.pool.cfg.Clock()
	f.idle = append(f.idle, w)
	f.mu.Unlock()
}

// drop ends a worker that cannot be used again; its place is free when the process is gone.
func (f *function) drop(w *link) { w.kill() }

// grow starts one more worker if runs wait, there is room, and none is being started. f.mu is held.
func (f *function) grow() {
	if f.growing || f.closed != nil || len(f.waiting) == 0 || len(f.all) >= f.max {
		return
	}
	f.growing = true
	f.pool.tasks.Go(func() {
		w, err := f.pool.startWorker(f.pool.ctx, f)
		f.mu.Lock()
		f.growing = false
		if err != nil {
			// Others may still serve those who wait; without any there is no hope for them.
			if len(f.all) == 0 {
				f.tellWaiting(err)
			}
			f.mu.Unlock()
			return
		}
		f.all = append(f.all, w)
		f.mu.Unlock()
		f.pool.tasks.Go(func() { f.reap(w) })
		f.give(w)
		f.mu.Lock()
		f.grow()
		f.mu.Unlock()
	})
}

// reap waits for the end of a worker's process and frees its place.
func (f *function) reap(w *link) {
	w.exit = w.process.Wait()
	same := func(o *link) bool { return o == w }
	f.mu.Lock()
	w.gone = true
	f.idle = slices.DeleteFunc(f.idle, same)
	f.all = slices.DeleteFunc(f.all, same)
	f.grow()
	f.mu.Unlock()
	w.close()
	close(w.done)
}

// close refuses new runs, ends idle workers and tells those who wait.
func (f *function) close(reason error) {
	f.mu.Lock()
	f.closed = reason
	f.tellWaiting(reason)
	idle := f.idle
	f.idle = nil
	f.mu.Unlock()
	for _, w := range idle {
		w.kill()
	}
}

// tellWaiting ends every wait. f.mu is held, here and at every other hand-over, so that a wait that gives up knows
// whether it was served: the channels have room, nobody blocks.
func (f *function) tellWaiting(err error) {
	for _, c := range f.waiting {
		c <- handover{err: err}
	}
	f.waiting = nil
}

func (f *function) killAll() {
	f.mu.Lock()
	all := slices.Clone(f.all)
	f.mu.Unlock()
	for _, w := range all {
		w.kill()
	}
}

// endIdle kills the workers that nobody has used since before.
func (f *function) endIdle(before time.Time) {
	f.mu.Lock()
	var old []*link
	f.idle = slices.DeleteFunc(f.idle, func(w *link) bool {
		if w.since.After(before) {
			return false
		}
		old = append(old, w)
		return true
	})
	f.mu.Unlock()
	for _, w := range old {
		w.kill()
	}
}

// notStarted makes the answer of a run that got no worker.
func (p *Pool) notStarted(l *casemate.Launch, began time.Time, err error) (*casemate.Result, error) {
	var known *casemate.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return nil, casemate.Errorf(casemate.Exhausted, "retry later, or raise the function's timeout or the node's workers",
			"no worker of %s became free before the deadline", l.Version.Function)
	case errors.Is(err, context.Canceled):
		return nil, casemate.Errorf(casemate.Unavailable, "", "the run was cancelled before it started: %w", err)
	case errors.As(err, &known) && known.Code == casemate.Invalid:
		r := newReport(p, l, nil, began)
		return r.failed(casemate.FailureInit, "the module cannot be run", known.Error(), p.cfg.Clock()), nil
	case errors.As(err, &known):
		return nil, err
	default:
		// The cause names walls and paths of this host: it is for the record only.
		return nil, &casemate.Error{Code: casemate.Unavailable, Err: err, Hint: "see the record, and run casemate doctor",
			Message: "the sandbox of " + l.Version.Function + " could not be started"}
	}
}
