package journal

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"casemate"
)

func line(fn, text string) casemate.LogLine {
	return casemate.LogLine{At: time.Unix(1, 0).UTC(), Function: fn, Request: "r-" + text, Stream: "stdout", Text: text}
}

func read(t *testing.T, j *Journal, f Filter) []string {
	t.Helper()
	var got []string
	if err := j.Read(t.Context(), f, func(l casemate.LogLine) error { got = append(got, l.Text); return nil }); err != nil {
		t.Fatal(err)
	}
	return got
}

func open(t *testing.T, cfg Config) *Journal {
	t.Helper()
	j, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func TestLinesComeBackFilteredAndSurviveReopening(t *testing.T) {
	dir := t.TempDir()
	j := open(t, Config{Dir: dir})
	for i := range 10 {
		j.Write(line([]string{"a", "b"}[i%2], fmt.Sprint(i)))
	}
	if got := fmt.Sprint(read(t, j, Filter{Function: "a"})); got != "[0 2 4 6 8]" {
		t.Errorf("function a: %s", got)
	}
	if got := fmt.Sprint(read(t, j, Filter{Last: 3})); got != "[7 8 9]" {
		t.Errorf("last three: %s", got)
	}
	if got := fmt.Sprint(read(t, j, Filter{Request: "r-4"})); got != "[4]" {
		t.Errorf("one run: %s", got)
	}
	if got := fmt.Sprint(read(t, j, Filter{Since: time.Unix(2, 0)})); got != "[]" {
		t.Errorf("since later: %s", got)
	}
	for _, last := range []int{-1, MaxLast + 1, math.MaxInt} {
		if err := j.Read(t.Context(), Filter{Last: last}, nil); casemate.CodeOf(err) != casemate.Invalid {
			t.Errorf("the last %d: %v", last, err)
		}
	}
	j.Close()
	j = open(t, Config{Dir: dir})
	j.Write(line("a", "new"))
	if got := read(t, j, Filter{}); len(got) != 11 || got[10] != "new" {
		t.Errorf("after reopening: %v", got)
	}
}

func TestOldestSegmentsMakeRoom(t *testing.T) {
	dir := t.TempDir()
	j := open(t, Config{Dir: dir, Segment: 512, Segments: 3})
	for i := range 100 {
		j.Write(line("a", fmt.Sprint(i)))
	}
	got := read(t, j, Filter{})
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(files) != 3 || len(got) == 0 || len(got) > 20 || got[len(got)-1] != "99" {
		t.Errorf("%d files, lines %v", len(files), got)
	}
}

func TestFollowMissesNothingBetweenHistoryAndLive(t *testing.T) {
	j := open(t, Config{Dir: t.TempDir()})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() {
		for i := range 500 {
			j.Write(line("a", fmt.Sprint(i)))
		}
	}()
	next := 0
	err := j.Read(ctx, Filter{Follow: true}, func(l casemate.LogLine) error {
		if l.Text != fmt.Sprint(next) {
			return fmt.Errorf("got %s, want %d", l.Text, next)
		}
		if next++; next == 500 {
			stop()
		}
		return nil
	})
	if err != nil || next != 500 {
		t.Errorf("got %d lines, %v", next, err)
	}
}

func TestSlowFollowerIsTold(t *testing.T) {
	live := make(chan casemate.LogLine, followerLines)
	for i := range followerLines + 1 {
		tell(live, line("a", fmt.Sprint(i)))
	}
	told := false
	for len(live) > 0 {
		if l := <-live; l.Stream == missed {
			told = true
		}
	}
	if !told {
		t.Error("lines were lost without a word")
	}
}

func TestTornLastLineIsPassedOver(t *testing.T) {
	dir := t.TempDir()
	j := open(t, Config{Dir: dir})
	j.Write(line("a", "whole"))
	read(t, j, Filter{})
	j.Close()
	names, _ := segments(dir)
	f, err := os.OpenFile(names[0], os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"at":"2026-11-22T00:0`); err != nil {
		t.Fatal(err)
	}
	f.Close()
	j = open(t, Config{Dir: dir})
	j.Write(line("a", "after"))
	if got := fmt.Sprint(read(t, j, Filter{})); got != "[whole after]" {
		t.Errorf("got %s", got)
	}
}

func TestLineEncodingIsJSON(t *testing.T) {
	for _, text := range []string{"", "plain", "tab\t\"quote\" back\\\\slash", "wei\u00df \u2028 \x00", "bad \xff utf-8"} {
		l := line("f", text)
		var got, want casemate.LogLine
		if err := json.Unmarshal(appendLine(nil, &l), &got); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		standard, err := json.Marshal(&l)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(standard, &want); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

func TestQueueIsBounded(t *testing.T) {
	j := &Journal{some: make(chan struct{}, 1)} // nobody takes
	long := strings.Repeat("x", 1<<20)
	for range 20 {
		j.Write(line("a", long))
	}
	if j.Dropped() != 4 || len(j.lines) != 16 {
		t.Errorf("dropped %d of 20 MB, kept %d lines", j.Dropped(), len(j.lines))
	}
	for range queueLines + 10 {
		j.Write(line("a", ""))
	}
	if len(j.lines) != queueLines {
		t.Errorf("kept %d lines", len(j.lines))
	}
}
