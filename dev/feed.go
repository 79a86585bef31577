package dev

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"casemate"
)

// Feed prints what happens, one thing at a time: lines for people, or one JSON object a line. It is safe for concurrent use.
type Feed struct {
	Out    io.Writer
	JSON   bool
	Colour bool                // of a terminal
	Clean  func(string) string // keeps what functions and callers wrote from acting on a terminal
	Now    func() time.Time

	mu sync.Mutex
}

// The colours, as terminals know them.
const (
	red   = "31"
	green = "32"
	dim   = "2"
)

func (f *Feed) write(kind string, v map[string]any, colour, text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.JSON {
		v["event"] = kind
		_ = json.NewEncoder(f.Out).Encode(v) // whoever reads is gone, and ends us
		return
	}
	if f.Colour && colour != "" {
		text = "\x1b[" + colour + "m" + text + "\x1b[0m"
	}
	fmt.Fprintln(f.Out, text)
}

func (f *Feed) stamped(at time.Time, text string) string {
	return at.Local().Format("15:04:05.000") + "  " + text
}

// Say tells a step of the loop; event and fields are for programs.
func (f *Feed) Say(event string, fields map[string]any, text string) {
	if fields == nil {
		fields = map[string]any{}
	}
	colour := ""
	if event == "deployed" {
		colour = green
	}
	f.write(event, fields, colour, text)
}

// Fail tells an error with its hint, and that what was in force still is.
func (f *Feed) Fail(err error) {
	e := casemate.AsError(err)
	text := e.Message
	if e.Field != "" && !strings.Contains(text, ":") {
		text = e.Field + ": " + text
	}
	text = f.lines(text, "  ")
	if e.Hint != "" {
		text += "\n  hint: " + f.Clean(e.Hint)
	}
	f.write("error", map[string]any{"error": e.Body("")}, red, f.stamped(f.Now(), text))
}

// Log tells one line of a function.
func (f *Feed) Log(l *casemate.LogLine) {
	request := l.Request
	if request == "" {
		request = "init"
	}
	text := fmt.Sprintf("%-12s %-8.8s | %s", f.Clean(l.Function), request, f.lines(l.Text, strings.Repeat(" ", 36)+"| "))
	f.write("log", map[string]any{"line": l}, "", f.stamped(l.At, text))
}

// why is the first verdict that ended an event, else what its outcome says.
func (f *Feed) why(r *casemate.Record) string {
	for _, p := range r.Points {
		if p.Verdict != casemate.Allowed && p.Reason != "" {
			return "\n    refused at " + p.Name + ": " + f.Clean(p.Reason)
		}
	}
	if r.Outcome.Detail != "" {
		return "\n    " + f.Clean(r.Outcome.Detail)
	}
	return ""
}

// lines is text of several lines, each made harmless.
func (f *Feed) lines(text, indent string) string {
	all := strings.Split(strings.ReplaceAll(strings.TrimRight(text, "\r\n"), "\r", "\n"), "\n")
	for i := range all {
		all[i] = f.Clean(all[i])
	}
	return strings.Join(all, "\n"+indent)
}

// Record tells how one event ended: what refused it and why, and what would allow it.
func (f *Feed) Record(r *casemate.Record) {
	if r.Source == casemate.SourceAdmin && strings.HasPrefix(r.Action, "casemate:") {
		return // the loop's own questions, and those of other verbs, which are told what becomes of them
	}
	what := r.Route
	if what == "" {
		what = r.Action
	}
	if what == "" {
		what = r.Asked
	}
	text := fmt.Sprintf("%-12s %-8.8s %s %s, %s", f.Clean(r.Function), r.ID, f.Clean(what), r.Outcome.Word(), r.Closed.Sub(r.Opened).Round(100*time.Microsecond))
	colour := dim
	if !r.Outcome.OK {
		colour = red
		text += f.why(r)
	}
	if r.Decision.Hint != "" {
		text += "\n    what would allow it: " + f.Clean(r.Decision.Hint)
	}
	for _, x := range r.Effects {
		if x.Verdict == casemate.Allowed {
			continue
		}
		text += fmt.Sprintf("\n    refused %s %s: %s", x.Kind, f.Clean(x.Target), f.Clean(x.Reason))
		if x.Grant != "" {
			text += "\n    what would allow it: " + f.Clean(x.Grant)
		}
	}
	f.write("record", map[string]any{"record": r}, colour, f.stamped(r.Closed, text))
}
