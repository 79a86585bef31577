package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"casemate"
	"casemate/store"
)

// tape is a store whose streams a test can cut, edit and break, as an attacker with the disk in hand can.
type tape struct {
	store.Store
	mu      sync.Mutex
	streams map[string]*reel
}

type reel struct {
	mu    sync.Mutex
	ms    []store.Message
	fail  error
	grown chan struct{}
	waits []casemate.Wait
}

func newTape() *tape { return &tape{streams: map[string]*reel{}} }

func (t *tape) Stream(name string) (store.Stream, error) { return t.reel(name), nil }

func (t *tape) reel(name string) *reel {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.streams[name] == nil {
		t.streams[name] = &reel{grown: make(chan struct{})}
	}
	return t.streams[name]
}

func (r *reel) Append(ctx context.Context, data []byte, w casemate.Wait) (uint64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := errors.Join(ctx.Err(), r.fail); err != nil {
		return 0, err
	}
	r.ms = append(r.ms, store.Message{Seq: uint64(len(r.ms)) + 1, At: noon, Data: bytes.Clone(data)})
	r.waits = append(r.waits, w)
	close(r.grown)
	r.grown = make(chan struct{})
	return uint64(len(r.ms)), nil
}

func (r *reel) Read(_ context.Context, from uint64, max int) ([]store.Message, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if from < 1 || from > uint64(len(r.ms)) {
		return nil, nil
	}
	return append([]store.Message(nil), r.ms[from-1:min(int(from)-1+max, len(r.ms))]...), nil
}

func (r *reel) Last(context.Context) (uint64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return uint64(len(r.ms)), nil
}

func (r *reel) Wait(ctx context.Context, from uint64) error {
	for {
		r.mu.Lock()
		n, grown := uint64(len(r.ms)), r.grown
		r.mu.Unlock()
		if n >= from {
			return nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// broken makes every append fail, until it is told nil.
func (r *reel) broken(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail = err
}

// edit changes what is on the tape.
func (r *reel) edit(f func(ms []store.Message) []store.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ms = f(r.ms)
}

var noon = time.Date(2026, 5, 4, 12, 0, 0, 123456789, time.UTC)

func config(t *testing.T, s store.Store, dir string) Config {
	t.Helper()
	return Config{Store: s, Dir: dir, Slots: 64, Clock: func() time.Time { return noon }}
}

func openLog(t *testing.T, c Config) *Log {
	t.Helper()
	l, err := Open(t.Context(), c)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return l
}

func closeLog(t *testing.T, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

func record(i int) *casemate.Record {
	id := fmt.Sprintf("event-%04d", i)
	return &casemate.Record{
		ID: id, Event: id, Chain: id, Source: casemate.SourceHTTP, Action: "lambda:InvokeFunction",
		Resource: "arn:aws:lambda:us-east-1:000000000000:function:orders", Route: "POST /orders", Function: "orders",
		Opened: noon.Add(time.Duration(i) * time.Second), Closed: noon.Add(time.Duration(i)*time.Second + time.Millisecond),
		Principal: fmt.Sprintf("key/ck_%d", i%3), Role: "clerk", SourceIP: "203.0.113.7",
		Points: []casemate.Point{
			{Name: casemate.PointWho, Verdict: casemate.Allowed, Took: 800}, {Name: casemate.PointMay, Verdict: casemate.Allowed, Took: 900},
			{Name: casemate.PointRoom, Verdict: casemate.Allowed, Took: 300}, {Name: casemate.PointForm, Verdict: casemate.Allowed, Took: 9000},
			{Name: casemate.PointStart, Verdict: casemate.Allowed, Took: 1000}, {Name: casemate.PointOut, Verdict: casemate.Allowed, Took: 100},
		},
		Decision: casemate.Decision{Verdict: casemate.Allowed, Layer: "identity", Statement: "clerk#2", Origin: "casemate.yaml:12"},
		Walls:    []string{"userns", "seccomp", "landlock"},
		Usage:    casemate.Usage{Wall: 3 * time.Millisecond, CPU: time.Millisecond, MemoryMB: 128, In: 90, Out: 200},
		Outcome:  casemate.Outcome{OK: true, Status: "answered"},
	}
}

// run opens and closes records [from, to).
func run(t *testing.T, l *Log, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		r := record(i)
		if err := l.Begin(r); err != nil {
			t.Fatalf("Begin %d: %v", i, err)
		}
		if err := l.End(t.Context(), r, casemate.Durable); err != nil {
			t.Fatalf("End %d: %v", i, err)
		}
	}
}
