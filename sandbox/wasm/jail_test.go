package wasm

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"casemate"
	"casemate/internal/casetest/guests"
)

// TestJailed is the real thing: the workers run behind the walls that this machine can give.
func TestJailed(t *testing.T) {
	e := &exit{fetch: answering(&casemate.Fetched{Status: 200, Body: []byte("from outside")})}
	b := newBed(t, func(c *Config) { c.Start, c.AllowWeak, c.Executable, c.Doors = nil, true, staticWorker(t), e.doors })
	echo := b.version("echo", guests.Echo())
	for range 3 {
		r := b.run(echo, "an event")
		if string(r.Payload) != "an event" {
			t.Fatalf("%s %s %s", r.Failure, r.Detail, r.Tail)
		}
		if !slices.Contains(r.Walls, "seccomp") {
			t.Fatalf("walls %v, weak %v", r.Walls, r.Weak)
		}
	}
	for range 3 {
		r := b.run(b.version("fetch", guests.Fetcher()), ask(request, 100))
		if _, response := got(t, r); response != "200\r\n\r\nfrom outside" || len(r.Effects) != 1 {
			t.Fatalf("%q, %+v", response, r.Effects)
		}
	}
	for _, w := range b.Workers() {
		if w.State != "idle" || w.PID == 0 || w.CPU == 0 || w.Peak == 0 || w.Runs != 3 {
			t.Errorf("%+v", w)
		}
	}
	large := b.version("residue", guests.Residue(3))
	for range 40 { // as many as it takes to learn which pages they use
		if r := b.run(large, ""); len(r.Payload) != 16 || r.Payload[0] != 7 || r.Payload[8] != 3 {
			t.Fatalf("% x %s %s", r.Payload, r.Failure, r.Detail)
		}
	}
	for _, v := range []*casemate.Version{echo, large} {
		if why, known := b.Rewind(v.ID); why != "" || !known {
			t.Errorf("%s is not rewound behind the walls: %q, %v", v.Function, why, known)
		}
	}
	if r := b.run(b.version("grow", guests.Grow()), ""); r.Failure != casemate.FailureMemory {
		t.Errorf("grow: %s %s", r.Failure, r.Detail)
	}
	loop := b.launch(b.version("loop", guests.Loop()), "")
	if err := b.Prepare(context.Background(), loop.Version); err != nil {
		t.Fatal(err)
	}
	loop.Deadline = time.Now().Add(time.Second)
	r, err := b.Run(context.Background(), loop)
	if err != nil || r.Failure != casemate.FailureTimeout || r.Usage.CPU < 50*time.Millisecond {
		t.Errorf("loop: %v %+v", err, r)
	}
	if r := b.run(b.version("probe", goGuest(t, goProbe)), "hello"); !strings.Contains(string(r.Payload), `"dial":true`) {
		t.Errorf("go: %s %s %s", r.Payload, r.Failure, r.Detail)
	}
	if r := b.run(echo, "still there"); string(r.Payload) != "still there" {
		t.Errorf("%s %s", r.Failure, r.Detail)
	}
}
