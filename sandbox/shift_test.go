package sandbox

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"casemate"
	"casemate/sandbox/jail"
)

// Whatever events come and go, what is measured is borne once, and nothing that was seen is in nobody's record.
func TestPortionsAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all, now []*run
		s := &shift{}
		var cpu, took time.Duration
		var out int64
		seen := map[string]bool{}
		for range rapid.IntRange(1, 30).Draw(t, "stretches") {
			if len(now) == 0 || rapid.Bool().Draw(t, "comes") {
				r := &run{launch: &casemate.Launch{RequestID: casemate.NewID()}}
				now, all = append(now, r), append(all, r)
			} else {
				now = now[1:]
			}
			if len(now) == 0 {
				continue
			}
			c, w, b := rapid.Int64Range(0, 1000).Draw(t, "cpu"), rapid.Int64Range(0, 1000).Draw(t, "took"), rapid.Int64Range(0, 1000).Draw(t, "out")
			x := casemate.Effect{Kind: casemate.EffectConnect, Target: rapid.StringMatching("[a-c]:7").Draw(t, "to"), Verdict: casemate.Allowed, Out: b}
			if rapid.Bool().Draw(t, "named") {
				x.Of = now[len(now)-1].launch.RequestID
			}
			s.divide(now, jail.Usage{CPU: time.Duration(c)}, time.Duration(w), []casemate.Effect{x})
			cpu, took, out, seen[x.Target] = cpu+time.Duration(c), took+time.Duration(w), out+b, true
		}
		for _, r := range all {
			p := &r.portion
			cpu, took = cpu-p.cpu, took-p.wall
			for _, x := range p.effects(time.Time{}) {
				out -= x.Out
				delete(seen, x.Target)
				if x.Kind == casemate.EffectBeside && strings.Contains(x.Reason, r.launch.RequestID) {
					t.Error("an event is beside itself")
				}
			}
		}
		if cpu != 0 || took != 0 || out != 0 || len(seen) != 0 {
			t.Errorf("%v of the processor, %v and %d bytes are left over, and %v", cpu, took, out, seen)
		}
	})
}

// An effect of a named event is in no other record; one that names nobody says so in each.
func TestWhoseEffectsAre(t *testing.T) {
	a, b := &run{launch: &casemate.Launch{RequestID: "a"}}, &run{launch: &casemate.Launch{RequestID: "b"}}
	call := func(target, of string) casemate.Effect {
		return casemate.Effect{Kind: casemate.EffectService, Target: target, Verdict: casemate.Allowed, Of: of}
	}
	s := &shift{late: []string{"x"}}
	s.divide([]*run{a, b}, jail.Usage{}, 1, []casemate.Effect{call("mine", "a"), call("ours", ""), call("gone", "z")})
	told := func(r *run) string {
		var list []string
		for _, x := range r.portion.effects(time.Time{}) {
			list = append(list, x.Target+": "+x.Reason)
		}
		return strings.Join(list, "\n")
	}
	const both = "ours: of one of the 2 events in flight\ngone: of event z, which is over\n"
	if got, want := told(a), "mine: \n"+both+"events: in flight in the same sandbox: b\nlate events: past their deadline, and perhaps still at work in the same sandbox: x"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if got, want := told(b), both+"events: in flight in the same sandbox: a\nlate events: past their deadline, and perhaps still at work in the same sandbox: x"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// A sandbox of several events is what must be asked for, and what only a warm function with a runtime of its own has.
func TestWhoHasSeveralAtOnce(t *testing.T) {
	for _, c := range []struct {
		isolation casemate.Isolation
		runtime   casemate.Runtime
		asked     int
		want      int
	}{
		{casemate.IsolationWarm, "provided.al2023", 0, 1}, {casemate.IsolationWarm, "provided.al2023", 4, 4}, {casemate.IsolationWarm, "provided.al2023", 400, casemate.MaxAtOnce},
		{casemate.IsolationTenant, "provided.al2023", 4, 1}, {casemate.IsolationRequest, "provided.al2023", 4, 1}, {"", "provided.al2023", 4, 1}, {casemate.IsolationWarm, "nodejs22.x", 4, 1},
	} {
		if got := atOnce(&casemate.Version{Isolation: c.isolation, Runtime: c.runtime, Managed: &casemate.Managed{AtOnce: c.asked}}); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

// A line is the event's that it names, of those in flight; what an event that is over is said to write is nobody's.
func TestWhoseLinesAre(t *testing.T) {
	var got []string
	l := &runLog{most: 1 << 10, emit: func(_, _, request, text string) { got = append(got, request+"<"+text) }}
	l.join("a", false)
	l.join("b", false)
	for _, text := range []string{`{"requestId":"a","message":"b"}`, `{"AWSRequestId":"b"}`, "2026\tb\tINFO\tx", "a line of a", `{"requestId":"c"}`, `{"requestId":`} {
		l.write("stdout", "", text)
	}
	want := []string{`a<{"requestId":"a","message":"b"}`, `b<{"AWSRequestId":"b"}`, "b<2026\tb\tINFO\tx", "<a line of a", `<{"requestId":"c"}`, `<{"requestId":`}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if tail := string(l.part("b")); tail != "{\"AWSRequestId\":\"b\"}\n2026\tb\tINFO\tx\n" {
		t.Errorf("tail %q", tail)
	}
	got = nil
	l.write("stdout", "", `{"requestId":"b"}`)
	for range 20 { // one that floods is cut off, and the other is not
		l.write("stdout", "", `{"requestId":"a"}`)
	}
	if got[0] != `<{"requestId":"b"}` || len(got) > 12 || !strings.Contains(got[len(got)-1], "a<LOGS dropped") {
		t.Errorf("%q", got)
	}
	l.join("d", false)
	l.write("stdout", "", `{"requestId":"d"}`)
	if last := got[len(got)-1]; last != `d<{"requestId":"d"}` {
		t.Errorf("%q", last)
	}
}
