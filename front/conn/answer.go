package conn

import (
	"errors"
	nethttp "net/http"
	"sync"
	"time"
)

// Answer writes an answer piece by piece. The peer's time is counted over the whole of it: what the peer lets its writes wait,
// in all, may take Fixed and what Slowest gives the bytes so far. What the sender takes between them is not the peer's fault.
// Begin and Write are not for concurrent use.
type Answer struct {
	W       nethttp.ResponseWriter
	Conn    *nethttp.ResponseController // of W
	Fixed   time.Duration
	Slowest int // bytes a second

	mu      sync.Mutex // over these two
	begun   bool
	aborted bool

	sent  int64
	stood time.Duration // that writes waited for the peer
}

var errCut = errors.New("the answer is cut short")

// Begin sends the head: the status, and what W's header holds.
func (a *Answer) Begin(status int) error {
	return a.timed(0, func() error {
		a.W.WriteHeader(status)
		return a.Conn.Flush()
	})
}

// Write sends p.
func (a *Answer) Write(p []byte) error {
	return a.timed(len(p), func() error {
		if _, err := a.W.Write(p); err != nil {
			return err
		}
		return a.Conn.Flush()
	})
}

// timed writes n bytes in the time that is left to the peer.
func (a *Answer) timed(n int, write func() error) error {
	now := time.Now()
	a.sent += int64(n)
	left := a.Fixed + time.Duration(a.sent/int64(a.Slowest))*time.Second - a.stood
	if left <= 0 || !a.deadline(now.Add(left)) {
		return errCut
	}
	err := write()
	a.stood += time.Since(now)
	a.deadline(time.Time{})
	return err
}

// deadline bounds the next write; false when there is none any more.
func (a *Answer) deadline(at time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.aborted {
		return false
	}
	a.begun = true
	_ = a.Conn.SetWriteDeadline(at) // fails only where there are no deadlines to set
	return true
}

// Abort makes a write in progress, and every later one, fail at once. It may be called at any time until the handler returns.
func (a *Answer) Abort() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.aborted = true; a.begun {
		_ = a.Conn.SetWriteDeadline(time.Now()) // as above
	}
}

// Begun reports whether a byte may have been written: there is no other answer then.
func (a *Answer) Begun() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.begun
}
