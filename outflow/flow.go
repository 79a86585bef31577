// Package outflow is one answer on its way out while a function makes it: its head is read, what must not leave is kept back,
// and the rest goes on as fast as the bounds and the caller allow. It holds no more than one write and what the sieve keeps back,
// unless the answer is wanted whole.
package outflow

import (
	"errors"
	"io"
	"sync"
	"time"

	"casemate"
)

// Bounds of one answer. A zero field means its default, never "unlimited". Those of the speed are Lambda's
// (https://docs.aws.amazon.com/lambda/latest/dg/configuration-response-streaming.html).
type Bounds struct {
	Bytes     int64 // of its body; casemate.MaxStreamed
	Whole     int64 // of one that is wanted whole; that of casemate.DefaultLimits
	Burst     int64 // bytes that leave at once; 6 MiB
	PerSecond int64 // bytes a second after that; 2 MiB
}

func (b Bounds) withDefaults() Bounds {
	fill := func(v *int64, otherwise int64) {
		if *v <= 0 {
			*v = otherwise
		}
	}
	fill(&b.Bytes, casemate.MaxStreamed)
	fill(&b.Whole, casemate.DefaultLimits().Response)
	fill(&b.Burst, 6<<20)
	fill(&b.PerSecond, 2<<20)
	return b
}

// Sieve lets the body of an answer out as far as it was looked at. What it gives is good until its next call. An error means
// that nothing more may leave.
type Sieve interface {
	Pass(p []byte) ([]byte, error)
	End() ([]byte, error)
}

// Config is what a Flow needs, all of it.
type Config struct {
	Stream casemate.Stream
	Bounds Bounds
	Clock  func() time.Time
	// Executed is the version that runs, for the head.
	Executed string
	// Screen looks at a head, which it may change, and gives what is to look at the body. A nil Sieve without an error has
	// the answer come whole.
	Screen func(head *casemate.Answer) (Sieve, error)
}

// errOver is what a runtime's Write gets after the end of its run.
var errOver = errors.New("the run is over")

// Flow is one answer. Open is a casemate.Streamer; Close comes after the run, then End where it went well.
type Flow struct {
	c       Config
	over    chan struct{} // closed by Close
	opening casemate.Opening

	mu     sync.Mutex // held while a write is in progress
	ended  bool       // after Close
	opened bool
	begun  bool // its head was sent
	whole  bool // its head is known, and it is wanted whole
	pace   pace
	part   casemate.Result  // what has come of an answer whose head is not known, and of one that is wanted whole
	head   *casemate.Answer // once it is known
	sieve  Sieve
	came   int64
	sent   int64
	err    error // sticky
}

// New makes the way out of one answer.
func New(c Config) *Flow {
	c.Bounds = c.Bounds.withDefaults()
	return &Flow{c: c, part: casemate.Result{Executed: c.Executed}, over: make(chan struct{}), pace: pace{left: float64(c.Bounds.Burst), burst: float64(c.Bounds.Burst), rate: float64(c.Bounds.PerSecond)}}
}

// Open is asked when the answer begins.
func (f *Flow) Open(o casemate.Opening) io.Writer {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.opened || f.ended {
		return refusing{}
	}
	f.opening, f.part.ContentType = o, o.ContentType
	_, _, err := f.c.Stream.Head(o, &f.part)
	if errors.Is(err, casemate.ErrWhole) {
		return nil
	}
	f.opened = true
	return f
}

// refusing takes no second answer of one run.
type refusing struct{}

func (refusing) Write([]byte) (int, error) { return 0, errOver }

func (f *Flow) closed() bool {
	select {
	case <-f.over:
		return true
	default:
		return false
	}
}

// Write implements io.Writer.
func (f *Flow) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil && f.ended {
		f.err = errOver
	}
	if f.err == nil && len(p) > 0 {
		if f.err = f.take(p); f.err != nil && f.closed() { // it was broken off
			f.err = errOver
		}
	}
	if f.err != nil {
		return 0, f.err
	}
	return len(p), nil
}

// take brings p as far as it can go.
func (f *Flow) take(p []byte) error {
	if f.came += int64(len(p)); f.came > f.c.Bounds.Bytes {
		return tooLarge(f.c.Bounds.Bytes)
	}
	if f.begun {
		return f.pass(p)
	}
	if int64(len(f.part.Payload)+len(p)) > f.c.Bounds.Whole {
		return tooLarge(f.c.Bounds.Whole)
	}
	f.part.Payload = append(f.part.Payload, p...)
	if f.whole {
		return nil
	}
	return f.begin(false)
}

func tooLarge(limit int64) error {
	return casemate.Errorf(casemate.TooLarge, "answer less, or raise the function's max_stream",
		"Response payload size exceeded maximum allowed payload size (%d bytes).", limit) // AWS's words
}

// begin sends the head once it is known. ended says that no more will come.
func (f *Flow) begin(ended bool) error {
	a, at, err := f.c.Stream.Head(f.opening, &f.part)
	switch {
	case err == nil && a == nil && ended:
		err = errors.New("reading the response: the prelude does not end")
		fallthrough
	case err != nil:
		return &casemate.Error{Code: casemate.FunctionFailed, Message: "the function answered with something that is no response",
			Hint: "the record says what is wrong with it", Err: err}
	case a == nil:
		return nil
	}
	if f.sieve, err = f.c.Screen(a); err != nil {
		return err
	}
	if f.sieve == nil {
		f.whole, f.head = true, a
		f.part.Payload = f.part.Payload[at:]
		return nil
	}
	f.head, f.begun = a, true
	if err := f.c.Stream.Begin(a); err != nil {
		return gone(err)
	}
	body := f.part.Payload[at:]
	f.part.Payload = nil
	return f.pass(body)
}

func (f *Flow) pass(p []byte) error {
	out, err := f.sieve.Pass(p)
	if err != nil {
		return err
	}
	return f.send(out)
}

// piece is how much is sent at once.
const piece = 64 << 10

func (f *Flow) send(p []byte) error {
	for len(p) > 0 {
		n := min(len(p), piece)
		if !f.wait(n) {
			return errOver
		}
		if err := f.c.Stream.Write(p[:n]); err != nil {
			return gone(err)
		}
		f.sent += int64(n)
		p = p[n:]
	}
	return nil
}

// wait holds n bytes back until they may leave; false when the run ends meanwhile.
func (f *Flow) wait(n int) bool {
	d := f.pace.take(f.c.Clock(), n)
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-f.over:
		return false
	}
}

func gone(err error) error {
	if e := (*casemate.Error)(nil); errors.As(err, &e) {
		return err
	}
	return &casemate.Error{Code: casemate.Unavailable, Message: "the caller went away, or did not take its answer in time", Hint: "send it again", Err: err}
}

// Close ends the flow's part in the run: when it returns nothing is being written, and no Write will be.
func (f *Flow) Close() {
	if !f.closed() {
		close(f.over)
	}
	if !f.mu.TryLock() {
		f.c.Stream.Abort()
		f.mu.Lock()
	}
	f.ended = true
	f.mu.Unlock()
}

// End sends what is left of the answer of a run that went well, and puts into res what an answer that is wanted whole came to.
// It comes after Close.
func (f *Flow) End(res *casemate.Result) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.opened || f.err != nil {
		return f.err
	}
	f.over = make(chan struct{}) // what is left may wait for the pace, as all of it did
	if !f.begun && !f.whole {
		if f.err = f.begin(true); f.err != nil {
			return f.err
		}
	}
	res.Notes = append(res.Notes, f.part.Notes...)
	if f.whole {
		a := *f.head
		a.Body = f.part.Payload
		res.Answer, res.Payload, res.ContentType = &a, f.part.Payload, f.part.ContentType
		return nil
	}
	out, err := f.sieve.End()
	if err == nil {
		err = f.send(out)
	}
	f.err = err
	return err
}

// State is what came of the answer: how many bytes of its body were sent, and whether its head was. cause is why it was cut
// short from this side, nil when it was not.
func (f *Flow) State() (head *casemate.Answer, sent int64, cause error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.begun {
		head = f.head
	}
	if errors.Is(f.err, errOver) {
		return head, f.sent, nil
	}
	return head, f.sent, f.err
}
