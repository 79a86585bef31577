// Package worker is the other side of package wasm: the process in the jail. It compiles its one module once, makes an
// instance, and returns that to its state after initialisation when an event was run in it; where that cannot be done
// safely, every event gets an instance of its own.
package worker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/tetratelabs/wazero"
	"golang.org/x/sys/unix"

	"casemate/sandbox/wasm/wire"
)

const (
	// workerGC lets garbage grow to five times the live heap, which is a few MB: an instance leaves some 10 KB behind.
	workerGC = 400
	// largeModule is the size from which it is worth a collection to be rid of what loading it left behind.
	largeModule = 1 << 20
	// workerCPUs keeps the Go runtime's threads few: the guest has one, the collector the other.
	workerCPUs = 2
)

// Serve is the whole life of a worker: it reads its set-up and then events from the socket fd until the node closes it,
// and gives the exit status of the process: 0 when the node closed, 1 when anything was wrong. It must run in a process
// of its own, inside a jail, and trusts nothing but the socket.
func Serve(fd int) int {
	debug.SetGCPercent(workerGC)
	runtime.GOMAXPROCS(workerCPUs)
	w := &worker{conn: socket(fd)}
	if err := w.serve(); err != nil {
		// The node may be gone; there is nobody else to tell.
		_, _ = w.conn.Write(wire.TextFrame(nil, wire.KindFault, cutDetail(err.Error())))
		return 1
	}
	return 0
}

type worker struct {
	conn   socket
	ear    ear
	frames *wire.Reader
	guest  *guest
	log    *logger
	cpu    int64  // process CPU time up to the last answer
	told   string // why events get fresh instances, as the node knows it
	moved  bool   // the event of now was put out of the reader's way
	event  *wire.Event
	wrong  error // with what came while an event was run
}

func (w *worker) serve() error {
	w.ear.conn = w.conn
	defer w.ear.close()
	w.frames = wire.NewReader(&w.ear, wire.SetupLimit)
	k, body, err := w.frames.Next()
	if err != nil {
		return ignoreEOF(err)
	}
	if k != wire.KindSetup {
		return fmt.Errorf("%w: expected a set-up, got %q", wire.ErrFrame, k)
	}
	s, err := wire.ParseSetup(body)
	if err != nil {
		return err
	}
	code, err := os.ReadFile(s.Module)
	if err != nil {
		return fmt.Errorf("reading the module: %w", err)
	}
	w.log = &logger{conn: w.conn, limit: int(s.LogBytes)}
	if s.Compile {
		return w.compileOnly(code, s)
	}
	cache, err := wazero.NewCompilationCacheWithDir(s.Cache)
	if err != nil {
		return fmt.Errorf("opening the compiled code: %w", err)
	}
	if w.guest, err = compile(code, s, cache, w.log); err != nil {
		return err
	}
	w.frames.Limit = max(wire.EventHeader+int(s.Request), wire.FetchedFrame)
	log, err := w.guest.prepare()
	if err != nil {
		return err
	}
	if _, err = w.conn.Write(log); err != nil {
		return err
	}
	if len(code) > largeModule {
		debug.FreeOSMemory() // the loading left twice the module's size
	}
	w.guest.host.yield, w.guest.host.exchange = w.yield, w.exchange
	if err = w.ready(w.guest.why); err != nil {
		return err
	}
	return w.loop()
}

// ready tells the node so, with the CPU time used until now, and why events get fresh instances if they do.
func (w *worker) ready(why string) (err error) {
	if w.cpu, err = processCPU(); err != nil {
		return err
	}
	w.told = why
	_, err = w.conn.Write((&wire.Ready{CPU: w.cpu, Fresh: why}).Frame())
	return err
}

// loop answers one event after the other.
func (w *worker) loop() error {
	for {
		k, body, err := w.frames.Next()
		if err != nil {
			return ignoreEOF(err)
		}
		if k != wire.KindEvent {
			return fmt.Errorf("%w: expected an event, got %q", wire.ErrFrame, k)
		}
		e, err := wire.ParseEvent(body)
		if err != nil {
			return err
		}
		if err = w.answer(&e); err != nil {
			return err
		}
	}
}

func (w *worker) answer(e *wire.Event) error {
	var a wire.Answer
	w.log.begin()
	w.event, w.moved = e, false
	began := time.Now()
	if e.Deadline <= began.UnixNano() {
		a = wire.Answer{Seq: e.Seq, Status: wire.StatusLate}
		w.guest.out.reset()
	} else {
		var err error
		if a, err = w.guest.run(e); err != nil {
			return err
		}
	}
	if err := errors.Join(w.log.flush(), w.wrong); err != nil {
		return err
	}
	// The cleaning after this answer counts for the next event: it is the same function's, and saves a system call.
	now, err := processCPU()
	if err != nil {
		return err
	}
	a.CPU, w.cpu, a.Wall = now-w.cpu, now, int64(time.Since(began))
	w.guest.out.frame = wire.FinishAnswer(w.guest.out.frame, &a)
	if w.guest.why != w.told {
		w.told = w.guest.why
		w.guest.out.frame = append(w.guest.out.frame, wire.TextFrame(nil, wire.KindState, cutDetail(w.told))...)
	}
	if _, err = w.conn.Write(w.guest.out.frame); err != nil {
		return err
	}
	return w.guest.reset()
}

// yield gives the events that wait in the socket back to the node, while one is being run: another worker may have time
// for them.
func (w *worker) yield() {
	w.detach()
	if err := unix.SetNonblock(int(w.conn), true); err != nil {
		return
	}
	w.ear.hurry = true
	var back []byte
	for {
		k, body, err := w.frames.Next()
		if err != nil { // nothing more for now; who reads next finds out when it is worse
			break
		}
		e, err := wire.ParseEvent(body)
		if k != wire.KindEvent || err != nil {
			w.wrong = fmt.Errorf("%w: %q behind an event", wire.ErrFrame, k)
			break
		}
		back = wire.AppendReturn(back, e.Seq)
	}
	w.ear.hurry = false
	if err := unix.SetNonblock(int(w.conn), false); err != nil {
		return
	}
	_, _ = w.conn.Write(back)
}

// compileOnly sends the prepared module and its compiled code to the node, file by file, and ends. No guest code runs in this process.
func (w *worker) compileOnly(code []byte, s *wire.Setup) error {
	cache, err := wazero.NewCompilationCacheWithDir(s.Cache)
	if err != nil {
		return fmt.Errorf("making room for compiled code: %w", err)
	}
	g, err := compile(code, s, cache, w.log)
	if err != nil {
		return err
	}
	facts := *g.prepared
	facts.Code = nil
	text, err := json.Marshal(facts)
	if err != nil {
		return fmt.Errorf("keeping the prepared module: %w", err)
	}
	if err = errors.Join(w.send(preparedCode, g.prepared.Code), w.send(preparedFacts, text)); err != nil {
		return err
	}
	root, err := os.OpenRoot(s.Cache)
	if err != nil {
		return err
	}
	defer root.Close()
	files, err := filepath.Glob(filepath.Join(s.Cache, "*", "*"))
	if err != nil {
		return err
	}
	for _, f := range files {
		name, err := filepath.Rel(s.Cache, f)
		if err != nil {
			return err
		}
		if err := w.sendFile(root, name); err != nil {
			return fmt.Errorf("sending compiled code: %w", err)
		}
	}
	return w.ready("")
}

func (w *worker) sendFile(root *os.Root, name string) error {
	data, err := root.ReadFile(name)
	if err != nil {
		return err
	}
	return w.send(name, data)
}

func (w *worker) send(name string, data []byte) error {
	for piece := range chunks(data, wire.ObjectChunk) {
		if _, err := w.conn.Write((&wire.Object{Name: name, Data: piece}).Frame()); err != nil {
			return err
		}
	}
	return nil
}

// chunks yields data in pieces of at most n bytes.
func chunks(data []byte, n int) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(data) > 0 {
			k := min(n, len(data))
			if !yield(data[:k]) {
				return
			}
			data = data[k:]
		}
	}
}

// logger sends what the guest logs, whole lines where it can, to the bound of one event; the rest is counted and dropped.
type logger struct {
	conn    io.Writer
	limit   int
	sent    int
	dropped int
	line    []byte
	frame   []byte
}

func (l *logger) begin() { l.sent, l.dropped, l.line = 0, 0, l.line[:0] }

// Write never fails for a full log: a function must not die of what it says.
func (l *logger) Write(p []byte) (int, error) {
	n := min(len(p), l.limit-l.sent)
	l.sent += n
	l.dropped += len(p) - n
	for piece := range chunks(p[:n], wire.LogChunk/2) {
		l.line = append(l.line, piece...)
		end := bytes.LastIndexByte(l.line, '\n') + 1
		if end == 0 && len(l.line) >= wire.LogChunk/2 {
			end = len(l.line)
		}
		if err := l.send(end); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func (l *logger) send(n int) error {
	if n == 0 {
		return nil
	}
	l.frame = wire.TextFrame(l.frame, wire.KindLog, l.line[:n])
	l.line = l.line[:copy(l.line, l.line[n:])]
	_, err := l.conn.Write(l.frame)
	return err
}

// flush ends an event's log, and says how much of it was dropped.
func (l *logger) flush() error {
	if l.dropped > 0 {
		l.line = fmt.Appendf(l.line, "\n%d bytes of log dropped: the bound of one run is %d\n", l.dropped, l.limit)
	}
	return l.send(len(l.line))
}

// socket is written blocking, without Go's poller: one system call where the poller needs three.
type socket int

func (s socket) Write(p []byte) (int, error) {
	for done := 0; done < len(p); {
		n, err := unix.Write(int(s), p[done:])
		if err != nil && !errors.Is(err, unix.EINTR) {
			return done, fmt.Errorf("writing to the node: %w", err)
		}
		done += max(n, 0)
	}
	return len(p), nil
}

// Read implements io.Reader.
func (i *input) Read(p []byte) (int, error) {
	if len(i.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p, i.data)
	i.data = i.data[n:]
	return n, nil
}

// processCPU is the user and system time of this process in nanoseconds.
func processCPU() (int64, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		return 0, fmt.Errorf("reading the CPU clock: %w", err)
	}
	return t.Nano(), nil
}

func cutDetail(s string) []byte { return []byte(s[:min(len(s), wire.DetailLimit)]) }

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
