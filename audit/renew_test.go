package audit

import (
	"strings"
	"testing"

	"casemate"
)

// TestRenewedOpeningTellsWhatWasHeld: what a killed node leaves behind says who was about to spend how much, and costs it.
func TestRenewedOpeningTellsWhatWasHeld(t *testing.T) {
	s, dir := newTape(), t.TempDir()
	l := openLog(t, config(t, s, dir))
	r := record(1)
	r.Function, r.App = "", ""
	if err := l.Renew(r); casemate.CodeOf(err) != casemate.Conflict {
		t.Errorf("renewing what is not open: %v", err)
	}
	free := len(l.table.free)
	for _, x := range []*casemate.Record{r, record(2), record(3)} {
		if err := l.Begin(x); err != nil {
			t.Fatal(err)
		}
	}
	r.Function, r.App, r.Held, r.Book, r.Key, r.Tags, r.Role = "price", "shop", 700, "b00c", "ck_1", []string{"team=web"}, "clerk"
	if err := l.Renew(r); err != nil {
		t.Fatal(err)
	}
	if err := l.Renew(record(2)); err != nil {
		t.Fatal(err)
	}
	if err := l.End(t.Context(), record(2), casemate.Written); err != nil {
		t.Fatal(err)
	}
	if n := len(l.table.free); n != free-2 {
		t.Errorf("%d slots are free, %d were", n, free)
	}
	again := &slot{index: l.table.free[len(l.table.free)-1]} // as if it had died before the old slot was freed
	copy(l.table.mem[headerSize+again.index*slotSize:][:slotSize], l.table.mem[headerSize+l.table.open[r.ID].index*slotSize:][:slotSize])
	kill(t, l)
	l = openLog(t, config(t, s, dir))
	defer closeLog(t, l)
	list, err := l.List(t.Context(), Filter{Status: "interrupted"})
	if err != nil || len(list) != 2 {
		t.Fatalf("%d interrupted, %v", len(list), err)
	}
	got := list[0].Record
	if got.ID != r.ID || got.Function != "price" || got.App != "shop" || got.Held != 700 || got.Cost != 700 || got.Book != "b00c" || got.Key != "ck_1" || len(got.Tags) != 1 || got.Role != "clerk" {
		t.Errorf("%+v", got)
	}
	if list[1].Record.Cost != 0 {
		t.Errorf("%+v", list[1].Record)
	}
}

// TestHeldOpeningKeepsItsPayer: a caller with long names cannot have its own cut off, and be somebody else's expense.
func TestHeldOpeningKeepsItsPayer(t *testing.T) {
	s, dir := newTape(), t.TempDir()
	l := openLog(t, config(t, s, dir))
	r := record(1)
	long := strings.Repeat("x", 2000)
	r.Resource, r.Route, r.SourceIP, r.Action, r.Trace, r.Parent = long, long, long, long, long, long
	r.Principal, r.Function, r.Held, r.Book, r.Key = "key/ck_0123456789", strings.Repeat("f", 64), 9, strings.Repeat("b", 32), "ck_0123456789"
	if err := l.Begin(r); err != nil {
		t.Fatal(err)
	}
	if err := l.Renew(r); err != nil {
		t.Fatal(err)
	}
	kill(t, l)
	l = openLog(t, config(t, s, dir))
	defer closeLog(t, l)
	list, err := l.List(t.Context(), Filter{Status: "interrupted"})
	if err != nil || len(list) != 1 {
		t.Fatalf("%d interrupted, %v", len(list), err)
	}
	if got := list[0].Record; got.Book != r.Book || got.Principal != r.Principal || got.Function != r.Function || got.Key != r.Key || got.Cost != 9 {
		t.Errorf("%+v", got)
	}
}

// kill ends a log as a dying process does: nothing is closed.
func kill(t *testing.T, l *Log) {
	t.Helper()
	l.cancel()
	<-l.done
	if err := l.shut(); err != nil {
		t.Fatal(err)
	}
}
