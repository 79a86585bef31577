package sandbox

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"casemate"
)

func (b *bench) as(v *casemate.Version, partition, payload string) (*casemate.Result, error) {
	return b.pool.Run(b.t.Context(), &casemate.Launch{Version: v, RequestID: casemate.NewID(), Partition: partition, Payload: []byte(payload)})
}

// memory is a function that remembers what it saw wherever a process can.
const memory = `const fs = require('fs'); const seen = new Set(); let n = 0;
exports.handler = async (e) => {
	for (const f of fs.readdirSync('/tmp')) seen.add(f);
	for (const k of Object.keys(process.env)) if (k.startsWith('TENANT_')) seen.add(k.slice(7));
	if (process.cwd() !== '/var/task') seen.add(process.cwd().slice(5));
	seen.add(e.me); fs.writeFileSync('/tmp/' + e.me, e.me); process.env['TENANT_' + e.me] = '1';
	fs.mkdirSync('/tmp/' + e.me + '.d', { recursive: true });
	if (e.fail) throw new Error('on purpose');
	if (e.exit) process.exit(3);
	return [[...seen].filter((s) => !s.endsWith('.d')).sort().join(), ++n].join(' ');
};`

// TestTenantsNeverCross: in any order of events, failures and exits, with fewer sandboxes than tenants, no tenant ever
// sees a trace of another, and one without a failure between its events finds its own.
func TestTenantsNeverCross(t *testing.T) {
	b := newBench(t, withSpares(1), func(c *Config) { c.MaxSandboxes, c.MaxKept = 3, 2 })
	v := b.node("index.handler", memory)
	v.Isolation = casemate.IsolationTenant
	b.pool.Prepare(v)
	b.full()
	reused := 0
	events, seed := 60, rand.Uint64()
	if os.Getenv("CASEMATE_FULL") != "" {
		events = 1000
	}
	t.Log("seed", seed)
	draw := rand.New(rand.NewPCG(seed, 1))
	for range events {
		me := []string{"ann", "bob", "cy", "di"}[draw.IntN(4)]
		how := []string{"", "", "", "", "", `,"fail":1`, `,"exit":1`}[draw.IntN(7)]
		res, err := b.as(v, me, `{"me":"`+me+`"`+how+`}`)
		if err != nil {
			t.Fatal(err)
		}
		if (how == "") != (res.Failure == "") {
			t.Fatalf("%s: %q %s", how, res.Failure, res.Payload)
		}
		if who, n, _ := strings.Cut(strings.Trim(string(res.Payload), `"`), " "); how == "" && who != me {
			t.Fatalf("%s sees %s", me, who)
		} else if how == "" && n != "1" {
			reused++
		}
	}
	if reused == 0 {
		t.Error("no sandbox was ever reused")
	}
	if _, err := b.as(v, "", `{"me":"nobody"}`); casemate.CodeOf(err) != casemate.Invalid {
		t.Errorf("an event without a tenant: %v", err)
	}
}

// TestRequestsFromThePoolShareNothing: the same function, one waiting sandbox an event, finds no trace of an earlier one.
func TestRequestsFromThePoolShareNothing(t *testing.T) {
	b := newBench(t, withSpares(2))
	v := b.node("index.handler", memory)
	b.pool.Prepare(v)
	for k := range 6 {
		b.full()
		me := fmt.Sprint("event", k)
		b.want(v, `{"me":"`+me+`"}`, `"`+me+` 1"`)
	}
}

// TestTenantsRunTogether: tenants at the same time, with room for half of them.
func TestTenantsRunTogether(t *testing.T) {
	b := newBench(t, withSpares(1), func(c *Config) { c.MaxSandboxes = 2 })
	v := b.node("index.handler", memory)
	v.Isolation = casemate.IsolationTenant
	var wg sync.WaitGroup
	for k := range 4 {
		wg.Go(func() {
			me := fmt.Sprint("tenant", k)
			for range 5 {
				res, err := b.as(v, me, `{"me":"`+me+`"}`)
				if err != nil || !strings.HasPrefix(string(res.Payload), `"`+me+" ") {
					t.Errorf("%s: %v %+v", me, err, res)
					return
				}
			}
		})
	}
	wg.Wait()
}

// TestKeptSandboxesAreBounded: the partition used longest ago goes first, and Snapshot never says who it is.
func TestKeptSandboxesAreBounded(t *testing.T) {
	b := newBench(t, func(c *Config) { c.MaxKept = 2 })
	v := b.node("index.handler", memory)
	v.Isolation = casemate.IsolationTenant
	want := func(me string, n int) {
		t.Helper()
		res, err := b.as(v, me, `{"me":"`+me+`"}`)
		if err != nil || string(res.Payload) != fmt.Sprintf(`"%s %d"`, me, n) {
			t.Errorf("%v %s, want %s %d", err, res.Payload, me, n)
		}
	}
	want("ann", 1)
	want("bob", 1)
	want("ann", 2)
	want("cy", 1) // bob goes
	want("ann", 3)
	want("cy", 2)
	want("bob", 1)
	names := map[string]bool{}
	waitFor(t, "two kept", func() bool { return len(b.pool.Snapshot()) == 2 })
	for _, s := range b.pool.Snapshot() {
		if names[s.Partition] || len(s.Partition) != 8 || s.Isolation != casemate.IsolationTenant {
			t.Errorf("partition %q", s.Partition)
		}
		names[s.Partition] = true
	}
}

// TestReusedSandboxesEnd: by their events and by their age, in both modes, by what the version says and by the node's
// own bound, whichever is less; events in between do not put it off.
func TestReusedSandboxesEnd(t *testing.T) {
	for _, isolation := range []casemate.Isolation{casemate.IsolationWarm, casemate.IsolationTenant} {
		for name, c := range map[string]struct {
			version casemate.Limits
			node    func(*Config)
		}{
			"version's": {casemate.Limits{Events: 3, Lifetime: time.Hour}, func(*Config) {}},
			"node's":    {casemate.Limits{}, func(c *Config) { c.MaxEvents, c.MaxLifetime = 3, time.Hour }},
		} {
			now, mu := time.Now(), sync.Mutex{}
			b := newBench(t, c.node, func(c *Config) { c.Clock = func() time.Time { mu.Lock(); defer mu.Unlock(); return now } })
			v := b.node("index.handler", `let n = 0; exports.handler = async () => ++n`)
			v.Isolation, v.Limits.Events, v.Limits.Lifetime = isolation, c.version.Events, c.version.Lifetime
			step := func(d time.Duration, want string) {
				t.Helper()
				mu.Lock()
				now = now.Add(d)
				mu.Unlock()
				if res, err := b.as(v, "p", `{}`); err != nil || string(res.Payload) != want {
					t.Errorf("%s %s: %v %s, want %s", isolation, name, err, res.Payload, want)
				}
			}
			step(0, "1")
			step(0, "2")
			step(0, "3")
			step(0, "1") // three events
			step(29*time.Minute, "2")
			step(29*time.Minute, "3")
			step(0, "1")
			step(59*time.Minute, "2")
			step(time.Minute, "1") // an hour, although it was just used
		}
	}
}

// TestProvisionedSandboxes: initialised before the first event, replaced when used up, and gone with their version.
func TestProvisionedSandboxes(t *testing.T) {
	for _, isolation := range []casemate.Isolation{casemate.IsolationRequest, casemate.IsolationTenant, casemate.IsolationWarm} {
		t.Run(string(isolation), func(t *testing.T) {
			b := newBench(t, func(c *Config) { c.FreezeAfter = time.Nanosecond })
			v := b.node("index.handler", `console.log('init'); let n = 0; exports.handler = async () => ++n`)
			v.Isolation, v.Spare = isolation, 2
			v.Limits.Lifetime = 0
			b.pool.Prepare(v)
			b.pool.Prepare(v)
			b.full()
			standing := func() int {
				n := 0
				for _, s := range b.pool.Snapshot() {
					if s.Function == v.Function && s.State == "frozen" && s.Events == 0 {
						n++
					}
				}
				return n
			}
			waitFor(t, "two stand by", func() bool { return standing() == 2 })
			res, err := b.as(v, "p", `{}`)
			if err != nil || string(res.Payload) != "1" || res.Usage.Cold || res.Usage.Init != 0 {
				t.Errorf("%v %+v", err, res)
			}
			b.full()
			left := 2
			if isolation == casemate.IsolationWarm {
				left = 1 // the other one is kept, and counts
			}
			waitFor(t, "replaced", func() bool { return standing() == left })
			b.pool.Drop(v.ID)
			waitFor(t, "gone", func() bool { return len(b.pool.Snapshot()) == 0 })
			b.full()
			if len(b.pool.Snapshot()) != 0 {
				t.Error("a dropped version is still provisioned")
			}
		})
	}
}

// TestProvisioningThatFailsWaits: a version that cannot be initialised does not keep the node busy.
func TestProvisioningThatFailsWaits(t *testing.T) {
	b := newBench(t)
	v := b.node("index.handler", `throw new Error('not today')`)
	v.Spare = 3
	b.pool.Prepare(v)
	b.full()
	b.mu.Lock()
	n := len(b.lines)
	b.mu.Unlock()
	if n > 2 {
		t.Errorf("%d lines", n)
	}
	b.fails(v, `{}`, casemate.FailureInit)
	// And one that dies while it stands by is replaced.
	v = b.node("index.handler", `setTimeout(() => process.exit(1), 100); exports.handler = async () => 1`)
	v.Spare, v.Limits.Lifetime = 1, 0
	b.pool.cfg.FreezeAfter = time.Hour
	b.pool.Prepare(v)
	b.full()
	var first time.Time
	for _, s := range b.pool.Snapshot() {
		first = s.Started
	}
	waitFor(t, "replaced", func() bool {
		s := b.pool.Snapshot()
		return len(s) == 1 && s[0].Started.After(first)
	})
}

// TestFromZeroToTheLimitAndBack: a burst starts as many as may run, and nothing is left of it in the end.
func TestFromZeroToTheLimitAndBack(t *testing.T) {
	b := newBench(t, withSpares(1), func(c *Config) { c.MaxSandboxes, c.IdleTimeout = 4, 500*time.Millisecond })
	v := warm(b.function("provided.al2023", "bootstrap", map[string]string{"bootstrap": goBootstrap(t, goFunction)}))
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			res, err := b.pool.Run(t.Context(), &casemate.Launch{Version: v, RequestID: casemate.NewID(), Payload: []byte(`{}`)})
			if err != nil || res.Failure != "" {
				t.Errorf("%v %+v", err, res)
			}
		})
	}
	wg.Wait()
	if n := len(b.pool.slots); n > 4 {
		t.Errorf("%d sandboxes", n)
	}
	waitFor(t, "back to zero", func() bool { return len(b.pool.Snapshot()) == 0 })
}
