package wasm

import (
	"context"
	"math"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"casemate"
	"casemate/internal/casetest/guests"
)

// TestIsolation: what an event finds of those before it is what its version's isolation says, and nothing of another
// tenant's, however they come.
func TestIsolation(t *testing.T) {
	began, ticks := time.Now(), atomic.Int64{}
	b := newBed(t, func(c *Config) {
		c.MaxWorkers, c.MaxTenants, c.IdleTimeout = 1, 2, time.Hour
		c.Clock = func() time.Time { return began.Add(time.Duration(ticks.Add(1)) * time.Millisecond) } // never the same twice
	})
	send := func(v *casemate.Version, tenant string, want byte) {
		t.Helper()
		l := b.launch(v, "x")
		l.Partition, l.Deadline = tenant, began.Add(time.Hour)
		r, err := b.Run(context.Background(), l)
		if err != nil || r.Failure != "" {
			t.Fatalf("%v %+v", err, r)
		}
		// The guest answers how many events it has seen, from 7 on, and what memory it had.
		if r.Payload[0] != want || r.Payload[8] != want-6 {
			t.Fatalf("tenant %q finds % x, want %d", tenant, r.Payload, want)
		}
		if r.Usage.Fuel < 1000 {
			t.Errorf("fuel %d", r.Usage.Fuel)
		}
	}
	request, warm, tenant := b.version("request", guests.Residue(1)), b.version("warm", guests.Residue(1)), b.version("tenant", guests.Residue(1))
	warm.Isolation, tenant.Isolation = casemate.IsolationWarm, casemate.IsolationTenant
	for i := range byte(4) {
		send(request, "", 7)
		send(warm, "", 7+i)
		send(tenant, "a", 7+i)
		send(tenant, "b", 7+i)
	}
	send(tenant, "c", 7) // for which a has to go
	send(tenant, "b", 11)
	send(tenant, "a", 7) // for which c has to go
	send(tenant, "b", 12)
	send(tenant, "c", 7)
	if n := len(b.of(tenant.ID)); n != 2 {
		t.Errorf("%d tenants have workers", n)
	}
	for _, v := range []*casemate.Version{request, warm, tenant} {
		if why, known := b.Rewind(v.ID); why != "" || !known {
			t.Errorf("%s: %q, %v", v.Function, why, known)
		}
	}
	l := b.launch(tenant, "x")
	if _, err := b.Run(context.Background(), l); casemate.CodeOf(err) != casemate.Fault {
		t.Errorf("an event of no tenant: %v", err)
	}
	b.Drop(tenant.ID)
	if _, known := b.Rewind(tenant.ID); known || len(b.of(tenant.ID)) != 0 {
		t.Error("a version that was dropped is known")
	}
}

// TestTooManyTenants: a tenant whose event is being run does not lose its worker to another one.
func TestTooManyTenants(t *testing.T) {
	b := newBed(t, func(c *Config) { c.MaxTenants = 1 })
	v := b.version("loop", guests.Loop())
	v.Isolation = casemate.IsolationTenant
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	l := b.launch(v, "")
	l.Partition = "a"
	go func() {
		_, err := b.Run(ctx, l)
		ended <- err
	}()
	for len(b.of(v.ID)) == 0 {
		runtime.Gosched()
	}
	other := b.launch(v, "")
	other.Partition = "b"
	if _, err := b.Run(context.Background(), other); casemate.CodeOf(err) != casemate.Exhausted {
		t.Errorf("%v", err)
	}
	cancel()
	<-ended
}

// TestWhyNotRewound: the reason for fresh instances reaches the node.
func TestWhyNotRewound(t *testing.T) {
	b := newBed(t, nil)
	v := b.version("seeded", guests.Seeded(false, 0))
	if _, known := b.Rewind(v.ID); known {
		t.Error("known before it ran")
	}
	b.run(v, "x")
	if why, known := b.Rewind(v.ID); !known || !strings.Contains(why, "casemate_reseed") {
		t.Errorf("%q, %v", why, known)
	}
}

// TestSlowEventHoldsNobodyUp: events that were put behind one which does not end are run by another worker meanwhile.
func TestSlowEventHoldsNobodyUp(t *testing.T) {
	b := newBed(t, func(c *Config) { c.MaxWorkers = 2 })
	v := b.version("moody", guests.Moody())
	b.run(v, "fast")
	f, err := b.function(v)
	if err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	f.mean = time.Microsecond
	w := f.all[0]
	f.mu.Unlock()
	slow, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() {
		_, err := b.Run(slow, b.launch(v, "slow"))
		ended <- err
	}()
	for held(w) == 0 {
		runtime.Gosched()
	}
	w.begun.Store(math.MaxInt64) // however long this takes here, it looks as if the slow one had just begun
	fast := make(chan *casemate.Result)
	for range 5 {
		go func() {
			r, err := b.Run(context.Background(), b.launch(v, "fast"))
			if err != nil {
				t.Error(err)
			}
			fast <- r
		}()
	}
	for range 5 {
		if r := <-fast; r == nil || string(r.Payload) != "fast" {
			t.Errorf("%+v", r)
		}
	}
	select {
	case err := <-ended:
		t.Errorf("the slow one ended: %v", err)
	default:
	}
	cancel()
	<-ended
}

// held is how many events are in a worker's hands.
func held(w *link) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.calls)
}

// TestNodeMakesRoomForOtherFunctions: worker processes are bounded on the whole node; the one that is idle longest makes
// room, and one that is busy does not.
func TestNodeMakesRoomForOtherFunctions(t *testing.T) {
	b := newBed(t, func(c *Config) { c.MaxProcesses, c.MaxWorkers, c.IdleTimeout = 2, 1, time.Hour })
	run := func(v *casemate.Version) error {
		_, err := b.Run(context.Background(), b.launch(v, "x"))
		return err
	}
	var versions []*casemate.Version
	for _, name := range []string{"a", "b", "c", "d"} {
		versions = append(versions, b.version(name, guests.Echo()))
	}
	for range 2 {
		for _, v := range versions {
			if err := run(v); err != nil {
				t.Fatal(err)
			}
			if n := len(b.places); n > 2 {
				t.Fatalf("%d worker processes", n)
			}
		}
	}
	busy := b.version("busy", guests.Loop())
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { _, err := b.Run(ctx, b.launch(busy, "")); ended <- err }()
	for _, v := range versions { // one place is taken for good: they take turns in the other
		if err := run(v); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := <-ended; casemate.CodeOf(err) != casemate.Unavailable {
		t.Errorf("the busy one ended with %v", err)
	}
}
