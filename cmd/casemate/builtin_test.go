package main

import (
	"os"
	"strings"
	"testing"

	"casemate"
)

func TestTableNeverSendsControlCharacters(t *testing.T) {
	var b strings.Builder
	tab := newTable("A", "B")
	tab.add("x\x1b[2Jy\r\n\u009b", "ö")
	tab.print(&b)
	if strings.ContainsAny(b.String(), "\x1b\r\u009b") || strings.Count(b.String(), "\n") != 2 {
		t.Errorf("got %q", b.String())
	}
}

// TestTailCannotActInATerminal: `casemate invoke --tail` printed what a function wrote as it came.
func TestTailCannotActInATerminal(t *testing.T) {
	var errs, out strings.Builder
	a := &app{out: &out, errs: &errs}
	res := &casemate.Result{Tail: []byte("one\n\x1b]0;owned\x07two\u009b2J\n"), Payload: []byte("\x00raw")}
	if err := a.invoked(res, true); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(errs.String(), "\x1b\x07\u009b") || strings.Count(errs.String(), "\n") != 3 {
		t.Errorf("got %q", errs.String())
	}
	if out.String() != "\x00raw\n" {
		t.Errorf("a program gets %q", out.String())
	}
	terminal, err := os.Open(os.DevNull) // a character device as well
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	if got := string(forTerminal(terminal, []byte("a\x1b[2J\nb"))); strings.Contains(got, "\x1b") || !strings.Contains(got, "\nb") {
		t.Errorf("a terminal gets %q", got)
	}
}
