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
	b := newBed(t, func(c *Config) { c.Start, c.AllowWeak, c.Executable = nil, true, staticWorker(t) })
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
