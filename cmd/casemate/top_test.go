package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"casemate/node"
)

func TestTopComputesLoadBetweenFrames(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	before := &node.Frame{At: at, Boxes: []node.Box{{ID: "a", CPU: time.Second}, {ID: "gone", CPU: time.Hour}}}
	now := &node.Frame{At: at.Add(2 * time.Second), Boxes: []node.Box{{ID: "a", CPU: 2 * time.Second}, {ID: "new", CPU: time.Hour}}}
	rows := topRows(before, now)
	if rows[0].load != 0.5 {
		t.Errorf("load %g of a sandbox that used one second of two", rows[0].load)
	}
	if rows[1].load != 0 {
		t.Errorf("load %g of a sandbox seen for the first time", rows[1].load)
	}
	if same := topRows(now, now); same[0].load != 0 {
		t.Errorf("load %g in no time", same[0].load)
	}
}

func TestTopSortsAndCutsToTheWindow(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	now := &node.Frame{At: at, Running: 3, Boxes: []node.Box{
		{ID: "1", Function: "slim", Runs: 9, Memory: 1 << 20, State: "busy", Started: at.Add(-90 * time.Second)},
		{ID: "2", Function: "fat\x1b[2J", Runs: 1, Memory: 1 << 30, State: "frozen", Started: at.Add(-2 * time.Hour), Refusals: 4},
		{ID: "3", Runtime: "nodejs20.x", State: "waiting", Started: at},
	}}
	page := func(order string, height int) string {
		var b bytes.Buffer
		if err := printTop(&b, now, topRows(nil, now), order, height); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	text := page("memory", 0)
	for _, want := range []string{"3 sandboxes: 1 busy, 0 idle, 1 frozen, 1 waiting", "3 running", "1m30s", "2h00m", "1024.0 MB", "nodejs20.x"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "\x1b") {
		t.Error("a function's name moves the cursor")
	}
	if strings.Index(text, "fat") > strings.Index(text, "slim") {
		t.Error("sorted by memory, the slim one comes first")
	}
	if text := page("runs", 0); strings.Index(text, "slim") > strings.Index(text, "fat") {
		t.Error("sorted by runs, the one with one run comes first")
	}
	if text := page("runs", 7); strings.Count(text, "\n") != 5 || !strings.Contains(text, "slim") || strings.Contains(text, "fat") || !strings.Contains(text, "\nby runs, 2 more below   c cpu") {
		t.Errorf("a window of seven lines shows\n%s", text)
	}
	if text := page("runs", 2); strings.Contains(text, "slim") {
		t.Errorf("a window of two lines shows\n%s", text)
	}
}
