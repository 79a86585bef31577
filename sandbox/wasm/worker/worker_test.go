package worker

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"casemate/internal/casetest/guests"
	"casemate/sandbox/wasm/wire"
)

// node is the other end of a worker that runs in this process.
type node struct {
	t      *testing.T
	conn   socket
	frames *wire.Reader
}

// Read implements io.Reader, for the node's end.
func (s socket) Read(p []byte) (int, error) {
	for {
		n, err := unix.Read(int(s), p)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, fmt.Errorf("reading from the node: %w", err)
		case n == 0 && len(p) > 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

func newNode(t *testing.T, module []byte, change func(*wire.Setup)) *node {
	dir := t.TempDir()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	// Shorter than Attend's: the collector of this process, which is the node's as well, waits for as long.
	if err := unix.SetsockoptTimeval(fds[1], unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100}); err != nil {
		t.Fatal(err)
	}
	s := setup(change)
	s.Module, s.Cache = filepath.Join(dir, "module"), filepath.Join(dir, "cache")
	if err := os.WriteFile(s.Module, module, 0o400); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		w := &worker{conn: socket(fds[1])}
		ended <- w.serve()
		_ = unix.Close(fds[1])
	}()
	n := &node{t: t, conn: socket(fds[0]), frames: wire.NewReader(socket(fds[0]), 2<<20)}
	t.Cleanup(func() {
		_ = unix.Shutdown(fds[0], unix.SHUT_RDWR)
		if err := <-ended; err != nil {
			t.Error(err)
		}
		_ = unix.Close(fds[0])
	})
	n.write(s.Frame())
	return n
}

func (n *node) write(b []byte) {
	if _, err := n.conn.Write(b); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) next(want wire.Kind) []byte {
	n.t.Helper()
	k, body, err := n.frames.Next()
	if err != nil || k != want {
		n.t.Fatalf("%q %q, %v; want %q", k, body, err, want)
	}
	return body
}

func (n *node) answer() wire.Answer {
	n.t.Helper()
	a, err := wire.ParseAnswer(n.next(wire.KindAnswer))
	if err != nil {
		n.t.Fatal(err)
	}
	return a
}

func frame(e *wire.Event) []byte { return append(wire.AppendEvent(nil, e), e.Payload...) }

// TestWaitingEventsAreReturned: what waits behind an event that takes long goes back to the node, all of it, while that
// one runs; an event that comes for it in pieces does so when it is whole.
func TestWaitingEventsAreReturned(t *testing.T) {
	n := newNode(t, guests.Loop(), nil)
	n.next(wire.KindReady)
	ends := time.Now().Add(1500 * time.Millisecond) // a busy machine starts it late, too
	all := frame(&wire.Event{Seq: 1, Pages: 64, Deadline: ends.UnixNano()})
	for seq := uint64(2); seq < 5; seq++ {
		all = append(all, frame(&wire.Event{Seq: seq, Pages: 64, Deadline: ends.UnixNano(), Payload: []byte("waits")})...)
	}
	n.write(all[:len(all)-3])
	back := func(want uint64) {
		if seq, err := wire.ParseReturn(n.next(wire.KindReturn)); err != nil || seq != want {
			t.Fatalf("%d, %v; want %d", seq, err, want)
		}
	}
	back(2)
	back(3)
	n.write(all[len(all)-3:])
	back(4)
	if a := n.answer(); a.Seq != 1 || a.Status != wire.StatusLate || time.Now().Before(ends) {
		t.Errorf("%+v", a)
	}
	// It was stopped from inside: the worker goes on, with as many events as it takes until one runs before its deadline.
	for seq, life := uint64(5), 5*time.Millisecond; ; seq, life = seq+1, 2*life {
		n.write(frame(&wire.Event{Seq: seq, Pages: 64, Deadline: time.Now().Add(life).UnixNano()}))
		a := n.answer()
		if a.Seq != seq || a.Status != wire.StatusLate {
			t.Fatalf("%+v", a)
		}
		if a.Fuel > 0 {
			break
		}
	}
}

// TestSleepersReturnEvents: a guest that sleeps holds nobody up either, and is woken at its deadline.
func TestSleepersReturnEvents(t *testing.T) {
	n := newNode(t, guests.Sleep(60_000), nil)
	n.next(wire.KindReady)
	ends := time.Now().Add(1500 * time.Millisecond)
	n.write(append(frame(&wire.Event{Seq: 1, Pages: 64, Deadline: ends.UnixNano()}), frame(&wire.Event{Seq: 2, Pages: 64, Deadline: ends.UnixNano()})...))
	if seq, err := wire.ParseReturn(n.next(wire.KindReturn)); err != nil || seq != 2 {
		t.Fatalf("%d, %v", seq, err)
	}
	if a := n.answer(); a.Seq != 1 || a.Status != wire.StatusLate {
		t.Errorf("%+v", a)
	}
}

// TestReasonsAreTold: the node hears why instances are not rewound.
func TestReasonsAreTold(t *testing.T) {
	for _, c := range []struct {
		module []byte
		keep   bool
		why    string
	}{
		{guests.Echo(), false, ""}, {guests.Reactor(false), false, ""}, {guests.Seeded(true, 0), false, ""},
		{guests.Seeded(false, 0), false, "random numbers"}, {guests.Seeded(true, 4), false, "returned 4"},
		{guests.Seeded(false, 0), true, ""},
	} {
		n := newNode(t, c.module, func(s *wire.Setup) { s.Keep = c.keep })
		r, err := wire.ParseReady(n.next(wire.KindReady))
		if err != nil || (r.Fresh == "") != (c.why == "") || !strings.Contains(r.Fresh, c.why) {
			t.Errorf("%q, %v; want %q", r.Fresh, err, c.why)
		}
	}
}

// TestInitialisationThatEnds: one that fails, or takes too long, fails in the event, where somebody is told.
func TestInitialisationThatEnds(t *testing.T) {
	for name, c := range map[string]struct {
		body   []byte
		status wire.Status
	}{"trap": {guests.Code(0x00), wire.StatusTrap}, "loop": {guests.Code(0x03, 0x40, 0x0c, 0, 0x0b), wire.StatusLate}} {
		n := newNode(t, guests.Initialised(c.body), func(s *wire.Setup) { s.Begin, s.Timeout = int64(50*time.Millisecond), int64(50*time.Millisecond) })
		r, err := wire.ParseReady(n.next(wire.KindReady))
		if err != nil || !strings.Contains(r.Fresh, "initialisation failed") {
			t.Errorf("%s: %q, %v", name, r.Fresh, err)
		}
		n.write(frame(&wire.Event{Seq: 1, Pages: 64, Deadline: time.Now().Add(time.Minute).UnixNano(), Payload: []byte("x")}))
		for {
			k, body, err := n.frames.Next()
			if err != nil {
				t.Fatal(err)
			}
			if k == wire.KindLog {
				continue
			}
			if a, err := wire.ParseAnswer(body); err != nil || a.Status != c.status {
				t.Errorf("%s: %+v, %v", name, a, err)
			}
			break
		}
	}
}
