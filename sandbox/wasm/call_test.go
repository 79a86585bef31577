package wasm

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"casemate"
	"casemate/internal/casetest/guests"
	"casemate/sandbox/wasm/wire"
)

// actor is a worker whose lines the test speaks.
type actor struct {
	conn   *os.File
	events chan wire.Event
	end    chan struct{}
}

func (a *actor) Kill() { _ = a.conn.Close() }
func (a *actor) Wait() Exit {
	<-a.end
	return Exit{Reason: "left the stage"}
}

// hear passes on every event that the node sends.
func (a *actor) hear() {
	defer close(a.end)
	f := wire.NewReader(a.conn, 1<<20)
	for {
		k, body, err := f.Next()
		if err != nil {
			return
		}
		if k == wire.KindSetup {
			_, _ = a.conn.Write(wire.TextFrame(nil, wire.KindReady, make([]byte, 8)))
			continue
		}
		e, err := wire.ParseEvent(bytes.Clone(body))
		if err != nil {
			return
		}
		a.events <- e
	}
}

func (a *actor) answer(e wire.Event) {
	_, _ = a.conn.Write(wire.FinishAnswer(append(make([]byte, wire.AnswerHeader), e.Payload...), &wire.Answer{Seq: e.Seq, Wall: 1000}))
}

// play is a function that is known to be fast, whose workers are actors.
type play struct {
	*bed
	v      *casemate.Version
	f      *function
	actors chan *actor
}

func newPlay(t *testing.T) *play {
	p := &play{bed: newBed(t, func(c *Config) { c.MaxWorkers = 1 }), actors: make(chan *actor, 8)}
	p.v = p.version("echo", guests.Echo())
	if err := p.Prepare(context.Background(), p.v); err != nil {
		t.Fatal(err)
	}
	p.cfg.Start = func(_ context.Context, s *Spec) (*Started, error) {
		conn, err := duplicate(s.Conn)
		if err != nil {
			return nil, err
		}
		a := &actor{conn: conn, events: make(chan wire.Event, 64), end: make(chan struct{})}
		go a.hear()
		p.actors <- a
		return &Started{Process: a}, nil
	}
	p.f, _ = p.function(p.v)
	p.f.mean = time.Microsecond
	return p
}

type ending struct {
	result *casemate.Result
	err    error
}

// send starts a run; what comes of it comes over the channel.
func (p *play) send(ctx context.Context, payload string) <-chan ending {
	c := make(chan ending, 1)
	l := p.launch(p.v, payload)
	l.Deadline = time.Now().Add(time.Minute)
	go func() {
		r, err := p.Run(ctx, l)
		c <- ending{r, err}
	}()
	return c
}

// behind sends several, one after the other, into the hands of one worker; how long the first takes there does not count.
func (p *play) behind(a *actor, contexts ...context.Context) (ends []<-chan ending, events []wire.Event) {
	for i, ctx := range contexts {
		ends = append(ends, p.send(ctx, string(rune('a'+i))))
		if a == nil {
			a = <-p.actors
			p.actors <- a
		}
		events = append(events, <-a.events)
		p.link().begun.Store(math.MaxInt64)
	}
	return ends, events
}

func (p *play) link() *link {
	p.f.mu.Lock()
	defer p.f.mu.Unlock()
	return p.f.all[len(p.f.all)-1]
}

func (e ending) check(t *testing.T, payload string) {
	t.Helper()
	if e.err != nil || e.result.Failure != "" || string(e.result.Payload) != payload {
		t.Fatalf("got %+v, %v; want %q", e.result, e.err, payload)
	}
}

// TestTheFirstWithoutAnswerHasTheBlame: a worker that dies fails the event it was in; what it had not begun runs elsewhere.
func TestTheFirstWithoutAnswerHasTheBlame(t *testing.T) {
	p, ctx := newPlay(t), context.Background()
	ends, events := p.behind(nil, ctx, ctx, ctx, ctx)
	a := <-p.actors
	a.answer(events[0])
	(<-ends[0]).check(t, "a")
	a.Kill()
	if e := <-ends[1]; e.err != nil || e.result.Failure != casemate.FailureExit {
		t.Fatalf("the event it died in: %+v, %v", e.result, e.err)
	}
	next := <-p.actors
	for range 2 { // in whichever order, but one at a time: they are put behind no other again
		e := <-next.events
		select {
		case <-next.events:
			t.Fatal("an event that was left behind once was put behind another")
		default:
		}
		next.answer(e)
		(<-ends[2+int(e.Payload[0]-'c')]).check(t, string(e.Payload))
	}
}

// TestTimeOfTheSecondBeginsWithIt: an event that waits in the worker has its own time; when the first has used up its
// own, the second is run by another worker.
func TestTimeOfTheSecondBeginsWithIt(t *testing.T) {
	p, ctx := newPlay(t), context.Background()
	p.v.Limits.Timeout = 20 * time.Second
	ends, events := p.behind(nil, ctx, ctx, ctx)
	a, w := <-p.actors, p.link()
	w.mu.Lock()
	first, second := w.calls[0], w.calls[1]
	early := first.kill
	if !second.kill.IsZero() || second.event.Deadline < time.Now().Add(30*time.Second).UnixNano() {
		t.Error("the second's time runs already")
	}
	w.mu.Unlock()
	answered := time.Now()
	a.answer(events[0])
	(<-ends[0]).check(t, "a")
	w.mu.Lock()
	if second.kill.Before(answered.Add(p.v.Limits.Timeout)) || !second.kill.After(early) {
		t.Errorf("the second ends %v after the first's answer", second.kill.Sub(answered))
	}
	second.kill = time.Now()
	w.arm(second.kill)
	w.mu.Unlock()
	if e := <-ends[1]; e.err != nil || e.result.Failure != casemate.FailureTimeout {
		t.Fatalf("the late one: %+v, %v", e.result, e.err)
	}
	next := <-p.actors
	next.answer(<-next.events)
	(<-ends[2]).check(t, "c")
}

// TestAnswerAtTheDeadline: what a worker said before it was killed counts, and what it had begun by then is not run again.
func TestAnswerAtTheDeadline(t *testing.T) {
	p := newPlay(t)
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	node, a := os.NewFile(uintptr(fds[0]), "node"), &actor{conn: os.NewFile(uintptr(fds[1]), "worker")}
	defer node.Close()
	w := &link{file: node, frames: wire.NewReader(node, 1<<20), process: a, heard: make(chan struct{})}
	var calls []*call
	for range 3 {
		c := &call{report: newReport(p.Pool, p.launch(p.v, "x")), limit: time.Minute, last: time.Now().Add(time.Hour), done: make(chan outcome, 1)}
		w.submit(c, false)
		calls = append(calls, c)
	}
	a.answer(calls[0].event)
	calls[0].kill = time.Now()
	w.arm(calls[0].kill)
	w.listen(p.f)
	for i, ok := range []func(error) bool{
		func(err error) bool { return err == nil },
		func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) },
		func(err error) bool { return errors.Is(err, errNotBegun) },
	} {
		if o := <-calls[i].done; !ok(o.err) {
			t.Errorf("event %d: %v", i, o.err)
		}
	}
	late := &call{done: make(chan outcome, 1)}
	if w.submit(late, false); !errors.Is((<-late.done).err, errNotBegun) {
		t.Error("a dead worker took an event")
	}
}

// TestCancelOfOneInTheMiddle: a caller that leaves takes nobody with it.
func TestCancelOfOneInTheMiddle(t *testing.T) {
	p, ctx := newPlay(t), context.Background()
	leaving, leave := context.WithCancel(ctx)
	ends, events := p.behind(nil, ctx, leaving, ctx)
	a, w := <-p.actors, p.link()
	w.mu.Lock()
	second := w.calls[1]
	w.mu.Unlock()
	leave()
	for gone := false; !gone; {
		w.mu.Lock()
		gone = second.gone
		w.mu.Unlock()
	}
	a.answer(events[0])
	(<-ends[0]).check(t, "a")
	w.mu.Lock()
	if len(w.calls) == 2 && second.kill.After(time.Now().Add(goneGrace+stopGrace)) {
		t.Error("a run for nobody has all its time")
	}
	second.kill = time.Now().Add(time.Minute) // this machine may be slow
	w.mu.Unlock()
	a.answer(events[1])
	(<-ends[1]).check(t, "b")
	a.answer(events[2])
	(<-ends[2]).check(t, "c")

	leaving, leave = context.WithCancel(ctx)
	ends, _ = p.behind(a, leaving, ctx)
	leave()
	if e := <-ends[0]; casemate.CodeOf(e.err) != casemate.Unavailable {
		t.Fatalf("the run whose caller left: %+v, %v", e.result, e.err)
	}
	next := <-p.actors
	next.answer(<-next.events)
	(<-ends[1]).check(t, "b")
}

// TestSlowFunctionsDoNotQueue: an event is put behind another only where runs are short.
func TestSlowFunctionsDoNotQueue(t *testing.T) {
	f := &function{mean: slowStart}
	w := &link{}
	f.all = []*link{w}
	w.begun.Store(math.MaxInt64)
	if f.room(false) != w || f.room(false) != nil {
		t.Error("a function nobody has seen run queues")
	}
	for f.mean = time.Nanosecond; w.load < mostCalls; {
		if f.room(true) != nil {
			t.Fatal("who wants to be alone is behind another")
		}
		if f.room(false) != w {
			t.Fatalf("a fast function has %d places", w.load)
		}
	}
	if f.room(false) != nil {
		t.Error("more places than the bound")
	}
	w.load = 1
	w.begun.Store(0)
	if f.room(false) != nil {
		t.Error("an event is put behind one that takes long")
	}
}

// TestReturnedEventsGoElsewhere: what a worker gives back, because the event before it takes long, another one runs.
func TestReturnedEventsGoElsewhere(t *testing.T) {
	p, ctx := newPlay(t), context.Background()
	ends, events := p.behind(nil, ctx, ctx, ctx)
	slow := <-p.actors
	p.f.mu.Lock()
	p.f.max = 2
	p.f.mu.Unlock()
	_, _ = slow.conn.Write(wire.AppendReturn(wire.AppendReturn(nil, events[1].Seq), events[2].Seq))
	next := <-p.actors
	for range 2 {
		e := <-next.events
		next.answer(e)
		(<-ends[int(e.Payload[0]-'a')]).check(t, string(e.Payload))
	}
	slow.answer(events[0])
	(<-ends[0]).check(t, "a")
}

// TestWhatCannotBeReturned: a worker that gives back the event it is in, or one that it does not have, is not believed.
func TestWhatCannotBeReturned(t *testing.T) {
	for _, seq := range []uint64{1, 77} {
		p := newPlay(t)
		ends, _ := p.behind(nil, context.Background())
		_, _ = (<-p.actors).conn.Write(wire.AppendReturn(nil, seq))
		if e := <-ends[0]; e.err != nil || e.result.Failure != casemate.FailureExit {
			t.Errorf("%d: %+v, %v", seq, e.result, e.err)
		}
	}
}
