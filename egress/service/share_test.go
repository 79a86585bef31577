package service

import (
	"strings"
	"testing"

	"casemate"
)

// With several runs in one sandbox a call is the one's that its trace names. What names none is paid by the dearest chain, and
// none is less deep than the deepest: a loop ends whatever its function says.
func TestWhichOfSeveralRunsAsks(t *testing.T) {
	d := open(t, forbidden)
	d.cfg.Spent = func(chain string) casemate.Money { return map[string]casemate.Money{"cheap": 1, "dear": 9}[chain] }
	launch := func(id, chain string, trace byte, depth int) *casemate.Launch {
		return &casemate.Launch{RequestID: id, Trace: casemate.Trace{TraceID: strings.Repeat(string(trace), 32), SpanID: strings.Repeat("1", 16)}, Event: &casemate.Event{Chain: chain, Depth: depth}}
	}
	root := func(trace string) string {
		return "Root=1-" + strings.Repeat(trace, 8) + "-" + strings.Repeat(trace, 24) + ";Parent=1111111111111111;Sampled=1"
	}
	cheap, dear, deep := launch("r1", "cheap", 'a', 1), launch("r2", "dear", 'b', 0), launch("r3", "cheap", 'c', 7)
	twin := launch("r4", "twin", 'a', 0)
	for _, c := range []struct {
		runs              []*casemate.Launch
		trace             string
		parent, chain, of string
		depth             int
	}{
		{[]*casemate.Launch{cheap}, "", "r1", "cheap", "r1", 2},
		{[]*casemate.Launch{cheap}, root("f"), "r1", "cheap", "r1", 2},
		{[]*casemate.Launch{cheap, dear}, root("a"), "r1", "cheap", "r1", 2},
		{[]*casemate.Launch{cheap, dear}, root("b"), "r2", "dear", "r2", 2},
		{[]*casemate.Launch{cheap, dear}, "", "r2", "dear", "", 2},
		{[]*casemate.Launch{cheap, dear}, root("f"), "r2", "dear", "", 2},
		{[]*casemate.Launch{cheap, dear}, "Root=1-a-b", "r2", "dear", "", 2},
		{[]*casemate.Launch{dear, deep}, root("b"), "r2", "dear", "r2", 8},
		{[]*casemate.Launch{dear, deep}, "", "r2", "dear", "", 8},
		{[]*casemate.Launch{cheap, twin}, root("a"), "r1", "cheap", "", 2},
	} {
		d.Share(c.runs)
		n := len(d.events)
		d.ask("POST", "/", "kms", map[string]string{"X-Amz-Target": "T.Echo", "X-Amzn-Trace-Id": c.trace}, `{"Name":"k"}`)
		if len(d.events) != n+1 {
			t.Fatalf("%+v: nothing was asked", c)
		}
		e, f := d.events[n], d.effects[len(d.effects)-1]
		if e.Parent != c.parent || e.Chain != c.chain || e.Depth != c.depth || f.Of != c.of {
			t.Errorf("of %d runs, trace %q: parent %s chain %s depth %d, effect of %q; want %+v", len(c.runs), c.trace, e.Parent, e.Chain, e.Depth, f.Of, c)
		}
	}
	d.Share(nil)
	n := len(d.events)
	d.ask("POST", "/", "kms", map[string]string{"X-Amz-Target": "T.Echo", "X-Amzn-Trace-Id": root("a")}, `{"Name":"k"}`)
	if len(d.events) != n {
		t.Error("somebody asked between runs")
	}
}
