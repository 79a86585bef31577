package wasm

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"casemate"
)

// seat is what a waiting run gets: a worker that has room for it, or the reason why there will be none.
type seat struct {
	worker *link
	err    error
}

// waiter is a run that waits for a seat; alone: with a worker that has nothing else to do.
type waiter struct {
	seat  chan seat // room for one
	alone bool
}

// run takes an event to a worker that begins it, and gives what came of it there. An error says that none did. An event
// that a dead worker left behind is put behind no other again.
func (f *function) run(ctx context.Context, deadline time.Time, c *call) (*link, outcome, error) {
	crowd := f.running.Load() > 1
	alone := len(c.event.Payload) > smallEvent
	for range mostTries {
		w, err := f.take(ctx, deadline, alone)
		if err != nil {
			return nil, outcome{}, err
		}
		c.report.at(w)
		w.submit(c, crowd)
		c.report.start()
		o := w.wait(ctx, c)
		if !errors.Is(o.err, errNotBegun) {
			return w, o, nil
		}
		alone = true
	}
	return nil, outcome{}, errNotBegun
}

// take gives a place with a worker, or waits for one, while the function grows by one worker at a time towards its maximum.
func (f *function) take(ctx context.Context, deadline time.Time, alone bool) (*link, error) {
	f.mu.Lock()
	if f.closed != nil {
		f.mu.Unlock()
		return nil, f.closed
	}
	if len(f.waiting) == 0 {
		if w := f.room(alone); w != nil {
			f.mu.Unlock()
			return w, nil
		}
	}
	wait := waiter{seat: make(chan seat, 1), alone: alone}
	f.waiting = append(f.waiting, wait)
	f.grow()
	f.mu.Unlock()

	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	select {
	case h := <-wait.seat:
		return h.worker, h.err
	case <-ctx.Done():
	}
	f.mu.Lock()
	f.waiting = slices.DeleteFunc(f.waiting, func(o waiter) bool { return o == wait })
	f.mu.Unlock()
	select {
	case h := <-wait.seat: // it came at the last moment: somebody else may have it
		if h.worker != nil {
			f.give(h.worker, -1)
		}
	default:
	}
	return nil, ctx.Err()
}

// room takes a place if there is one. The busiest worker that may have more comes first: it is awake. f.mu is held.
func (f *function) room(alone bool) *link {
	most := 1
	if !alone {
		most = int(min(max(callsTime/f.mean, 1), mostCalls))
	}
	var best *link
	for _, w := range f.all {
		if w.gone || w.load >= most || w.load > 0 && time.Now().UnixNano()-w.begun.Load() > int64(stuckAfter) {
			continue
		}
		if best == nil || w.load > best.load || w.load == best.load && w.since.After(best.since) {
			best = w
		}
	}
	if best != nil {
		best.load++
	}
	return best
}

// give takes a place back and hands it on, to the run that waits longest if there is one. took is how long the run was,
// negative when there was none.
func (f *function) give(w *link, took time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if took >= 0 {
		f.mean += (took - f.mean) / 16
	}
	if w.load--; w.load == 0 {
		w.since = f.pool.cfg.Clock()
		if f.closed != nil {
			w.gone = true
		}
	}
	if w.gone && w.load == 0 {
		w.kill()
		return
	}
	f.serve()
}

// serve hands out the places there are. f.mu is held.
func (f *function) serve() {
	for len(f.waiting) > 0 {
		w := f.room(f.waiting[0].alone)
		if w == nil {
			return
		}
		f.waiting[0].seat <- seat{worker: w}
		f.waiting = f.waiting[1:]
	}
}

// lose stops giving events to a worker; its place is free when the process is gone.
func (f *function) lose(w *link) {
	f.mu.Lock()
	w.gone = true
	f.mu.Unlock()
}

// grow starts one more worker if runs wait, there is room, and none is being started. Workers that wait for something from
// outside use no CPU: they take no room, up to mostAway of them. f.mu is held.
func (f *function) grow() {
	if f.growing || f.closed != nil || len(f.waiting) == 0 || len(f.all) >= f.max+mostAway {
		return
	}
	here := 0
	for _, w := range f.all {
		if !w.outside.away.Load() {
			here++
		}
	}
	if here >= f.max {
		return
	}
	f.growing = true
	f.pool.tasks.Go(func() {
		w, err := f.pool.oneMore(f)
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
		w.since, f.fresh, f.known = f.pool.cfg.Clock(), w.fresh, true
		f.all = append(f.all, w)
		if f.closed != nil {
			w.gone = true
			w.kill()
		}
		f.pool.tasks.Go(func() { f.reap(w) })
		f.pool.tasks.Go(func() { w.listen(f) })
		f.serve()
		f.grow()
		f.mu.Unlock()
	})
}

// roomTime is how long a full pool waits before it looks again for a worker that has nothing to do.
const roomTime = 20 * time.Millisecond

// oneMore starts a worker when the node has room for its process; the one that is idle longest, of whatever function,
// makes room. Its place is given back by reap.
func (p *Pool) oneMore(f *function) (*link, error) {
	for full := true; full; {
		select {
		case p.places <- struct{}{}:
			full = false
			continue
		default:
		}
		p.endLongestIdle()
		select {
		case p.places <- struct{}{}:
			full = false
		case <-time.After(roomTime):
			if f.abandoned() { // those who waited have given up
				return nil, errFull
			}
		case <-p.ctx.Done():
			return nil, errClosed
		}
	}
	w, err := p.startWorker(p.ctx, f)
	if err != nil {
		<-p.places
	}
	return w, err
}

var errFull = casemate.Errorf(casemate.Exhausted, "send it again in a moment", "the node runs as many WebAssembly workers as it may")

// abandoned reports whether nobody waits for a worker any more.
func (f *function) abandoned() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.waiting) == 0 || f.closed != nil
}

// endLongestIdle ends the worker, of all functions, that was not used for longest and has nothing to do.
func (p *Pool) endLongestIdle() {
	p.mu.Lock()
	functions := slices.Collect(maps.Values(p.functions))
	p.mu.Unlock()
	var oldest *function
	var since time.Time
	for _, f := range functions {
		f.mu.Lock()
		for _, w := range f.all {
			if w.load == 0 && !w.gone && (oldest == nil || w.since.Before(since)) {
				oldest, since = f, w.since
			}
		}
		f.mu.Unlock()
	}
	if oldest != nil {
		oldest.mu.Lock()
		oldest.endUnused(func(w *link) bool { return w.since.Equal(since) })
		oldest.mu.Unlock()
	}
}

// says notes why the workers give events fresh instances.
func (f *function) says(why string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fresh, f.known = why, true
}

// reap waits for the end of a worker's process and frees its place.
func (f *function) reap(w *link) {
	w.exit = w.process.Wait()
	<-f.pool.places
	f.mu.Lock()
	w.gone = true
	f.all = slices.DeleteFunc(f.all, func(o *link) bool { return o == w })
	f.grow()
	f.mu.Unlock()
	select { // its end of the socket is closed with it
	case <-w.heard:
	case <-time.After(2 * lastWords):
	}
	w.close()
	close(w.done)
}

// close refuses new runs, ends idle workers and tells those who wait.
func (f *function) close(reason error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = reason
	f.tellWaiting(reason)
	f.endUnused(func(*link) bool { return true })
}

// tellWaiting ends every wait. f.mu is held, here and at every other hand-over, so that a wait that gives up knows
// whether it was served: the channels have room, nobody blocks.
func (f *function) tellWaiting(err error) {
	for _, c := range f.waiting {
		c.seat <- seat{err: err}
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
	defer f.mu.Unlock()
	f.endUnused(func(w *link) bool { return !w.since.After(before) })
}

// endUnused kills those of the workers without events that which says. f.mu is held.
func (f *function) endUnused(which func(*link) bool) {
	for _, w := range f.all {
		if w.load == 0 && !w.gone && which(w) {
			w.gone = true
			w.kill()
		}
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
		r := newReport(p, l)
		r.began = began
		r.start()
		return r.failed(casemate.FailureInit, "the module cannot be run", known.Error(), p.cfg.Clock()), nil
	case errors.As(err, &known):
		return nil, err
	default:
		// The cause names walls and paths of this host: it is for the record only.
		return nil, &casemate.Error{Code: casemate.Unavailable, Err: err, Hint: "see the record, and run casemate doctor",
			Message: "the sandbox of " + l.Version.Function + " could not be started"}
	}
}
