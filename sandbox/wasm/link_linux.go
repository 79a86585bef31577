package wasm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"casemate"
	"casemate/sandbox/wasm/wire"
	"casemate/sandbox/wasm/worker"
)

// Spec asks for one worker process.
type Spec struct {
	Module      string   // file of the module, on this host
	Cache       string   // directory of compiled code, on this host; empty in the compile step, which gets a private one
	Conn        *os.File // becomes descriptor SocketFD; the caller closes its copy
	MemoryBytes int64    // of the whole process
	CPUMillis   int      // 1000 is one core; 0: a fair share
	TmpBytes    int64
	FileBytes   int64 // of its largest file, which is the snapshot's
	AllowWeak   bool
}

// Started is a worker process and how it sees what it was given.
type Started struct {
	Process       Process
	Module, Cache string
	Walls, Weak   []string // the walls that hold, and those that are missing and were waived
}

// Process is a running worker. Kill may be called at any time, also after the end; Wait is called once, gives back
// everything the process held, and returns when nothing of it is left.
type Process interface {
	Kill()
	Wait() Exit
}

// Exit is how a worker ended.
type Exit struct {
	Reason string        // "exit status 1", "killed", ...
	OOM    bool          // the process ran over its memory
	CPU    time.Duration // of its whole life
}

// link is the node's end of one worker: the events in its hands, and what is known of its process.
type link struct {
	file    *os.File
	frames  *wire.Reader
	process Process
	walls   []string
	weak    []string
	init    time.Duration // from start to ready
	fresh   string        // why events get fresh instances, as it said; the reader's after that
	early   []byte        // what the guest logged until then; the first run's
	spent   time.Duration // CPU time that is accounted for; the reader's, then whoever got its last outcome
	logMax  int           // bytes of log of one run; more is a worker that was taken over

	mu      sync.Mutex
	calls   []*call // in the worker's hands, the first one being run
	seq     uint64
	out     []byte       // frames to be written
	spare   []byte       // the other buffer for them
	sent    int          // bytes of calls that were written
	writing bool         // somebody writes
	lost    error        // why it is of no use
	deaf    bool         // nobody reads any more
	armed   time.Time    // when the socket's read deadline rings
	begun   atomic.Int64 // when the first call became that, in Unix nanoseconds

	outside  outside
	asking   bool               // the first call waits for a response
	mute     bool               // no other request is to begin
	cancel   context.CancelFunc // of the last request
	requests sync.WaitGroup

	// Under the function's lock.
	load  int       // calls that have a place with it
	since time.Time // idle since
	gone  bool      // gets no more

	started time.Time
	used    atomic.Bool  // it was given an event
	runs    atomic.Int64 // that it answered
	ended   sync.Once
	heard   chan struct{} // closed when its last words were read
	done    chan struct{} // closed after exit is set
	exit    Exit
	release func()
}

// startLink starts a worker and sends it its set-up. What it answers is the caller's to read.
func (p *Pool) startLink(ctx context.Context, spec *Spec, s *wire.Setup, bound int) (*link, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("making a socket pair: %w", err)
	}
	spec.Conn = os.NewFile(uintptr(fds[1]), "wasm-worker")
	defer spec.Conn.Close()
	// Only this end goes through Go's poller, so that deadlines work; the worker's blocks.
	if err = unix.SetNonblock(fds[0], true); err != nil {
		_ = unix.Close(fds[0])
		return nil, fmt.Errorf("making the socket pollable: %w", err)
	}
	file := os.NewFile(uintptr(fds[0]), "wasm-node")
	if err = worker.Attend(fds[1]); err != nil {
		_ = file.Close()
		return nil, err
	}
	started, err := p.cfg.Start(ctx, spec)
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("starting a wasm worker: %w", err)
	}
	w := &link{file: file, frames: wire.NewReader(file, bound), process: started.Process, walls: started.Walls,
		weak: started.Weak, heard: make(chan struct{}), done: make(chan struct{}), release: func() {}}
	s.Module, s.Cache = started.Module, started.Cache
	if _, err = file.Write(s.Frame()); err != nil {
		w.abandon()
		return nil, fmt.Errorf("setting a wasm worker up: %w", err)
	}
	return w, nil
}

// await reads the answer to a set-up: nil when the worker is ready. Compiled code goes to object.
func (w *link) await(deadline time.Time, object func([]byte) error) error {
	if err := w.file.SetDeadline(deadline); err != nil {
		return err
	}
	for {
		k, body, err := w.frames.Next()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return casemate.Errorf(casemate.Timeout, "make the module smaller, or raise init_timeout",
				"the module was not ready in time")
		case err != nil:
			return fmt.Errorf("waiting for a wasm worker: %w", err)
		case k == wire.KindReady:
			r, err := wire.ParseReady(body)
			if err != nil {
				return err
			}
			w.spent, w.fresh = time.Duration(r.CPU), r.Fresh
			return w.file.SetDeadline(time.Time{})
		case k == wire.KindFault:
			return casemate.Errorf(casemate.Invalid, "build the module again and check it with another runtime",
				"the module was refused: %s", firstLine(body))
		case k == wire.KindObject && object != nil:
			if err := object(body); err != nil {
				return err
			}
		case k == wire.KindLog:
			if w.early = append(w.early, body...); len(w.early) > w.logMax {
				return fmt.Errorf("%w: log over its bound", wire.ErrFrame)
			}
		default:
			return fmt.Errorf("%w: kind %q", wire.ErrFrame, k)
		}
	}
}

// kill ends the process; reap does the rest.
func (w *link) kill() { w.ended.Do(w.process.Kill) }

// close gives back what the node holds for the worker.
func (w *link) close() {
	_ = w.file.Close()
	w.release()
}

// abandon ends a worker that nobody reaps.
func (w *link) abandon() {
	w.kill()
	w.exit = w.process.Wait()
	w.close()
}

func firstLine(b []byte) string {
	for i, c := range b {
		if c == '\n' {
			b = b[:i]
			break
		}
	}
	return string(b[:min(len(b), 300)])
}
