package audit

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"casemate"
	"casemate/audit/entry"
	"casemate/store"
)

func TestRecordIsClosedExactlyOnce(t *testing.T) {
	s := newTape()
	l := openLog(t, config(t, s, t.TempDir()))
	defer closeLog(t, l)
	r := record(1)
	if err := l.End(t.Context(), r, casemate.Written); casemate.CodeOf(err) != casemate.Conflict {
		t.Errorf("closing what was never opened: %v", err)
	}
	if err := l.Begin(r); err != nil {
		t.Fatal(err)
	}
	if err := l.Begin(r); casemate.CodeOf(err) != casemate.Conflict {
		t.Errorf("opening twice: %v", err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	closed := 0
	for range 20 {
		wg.Go(func() {
			if l.End(t.Context(), r, casemate.Durable) == nil {
				mu.Lock()
				closed++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if n := len(s.reel(streamRecords).ms); closed != 1 || n != 1 {
		t.Errorf("%d closings succeeded, %d records", closed, n)
	}
	if w := s.reel(streamRecords).waits; w[0] != casemate.Durable {
		t.Errorf("asked for durable, the store was asked for %v", w[0])
	}
}

func TestFullTableRefusesAndRecovers(t *testing.T) {
	c := config(t, newTape(), t.TempDir())
	c.Slots = 3
	l := openLog(t, c)
	defer closeLog(t, l)
	for i := range 3 {
		if err := l.Begin(record(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Begin(record(3)); casemate.CodeOf(err) != casemate.Unavailable {
		t.Fatalf("a fourth record in three slots: %v", err)
	}
	if err := l.End(t.Context(), record(1), casemate.Written); err != nil {
		t.Fatal(err)
	}
	if err := l.Begin(record(3)); err != nil {
		t.Fatalf("after one was closed: %v", err)
	}
	for _, i := range []int{0, 2, 3} {
		if err := l.End(t.Context(), record(i), casemate.Written); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOddIDsAreRefused(t *testing.T) {
	l := openLog(t, config(t, newTape(), t.TempDir()))
	defer closeLog(t, l)
	for _, id := range []string{"", "a b", "a\"b", "a\n", strings.Repeat("a", 129), "é"} {
		if err := l.Begin(&casemate.Record{ID: id}); casemate.CodeOf(err) != casemate.Invalid {
			t.Errorf("%q: %v", id, err)
		}
	}
}

// TestFailedAppendIsOwed: while a record cannot be written nothing begins, and when it can be again, it is, without a
// restart: slots that stayed taken for ever once closed the node for good.
func TestFailedAppendIsOwed(t *testing.T) {
	s, dir := newTape(), t.TempDir()
	l := openLog(t, config(t, s, dir))
	for i := range 3 {
		if err := l.Begin(record(i)); err != nil {
			t.Fatal(err)
		}
	}
	full := errors.New("no space left on device")
	s.reel(streamRecords).broken(full)
	for i := range 2 {
		err := l.End(t.Context(), record(i), casemate.Written)
		if casemate.CodeOf(err) != casemate.Unavailable || !errors.Is(err, full) || strings.Contains(err.Error(), "device") {
			t.Fatalf("End on a full disk: %v", err)
		}
	}
	if err := l.Begin(record(3)); casemate.CodeOf(err) != casemate.Unavailable {
		t.Fatalf("Begin while records are owed: %v", err)
	}
	// One of them did reach the stream, although its writer was told that this is not known.
	s.reel(streamRecords).edit(func(ms []store.Message) []store.Message {
		return append(ms, store.Message{Seq: 1, At: noon, Data: entry.Append(nil, record(1))})
	})
	s.reel(streamRecords).broken(nil)
	for l.Begin(record(3)) != nil {
		runtime.Gosched()
	}
	if n := l.State().InFlight; n != 2 {
		t.Errorf("%d in flight, records 2 and 3 are", n)
	}
	for i := range 2 {
		if e, err := l.Show(t.Context(), record(i).ID); err != nil || e.Record.Outcome.Status != record(i).Outcome.Status {
			t.Errorf("owed record %d: %+v %v", i, e, err)
		}
	}
	if all, err := l.List(t.Context(), Filter{}); err != nil || len(all) != 2 {
		t.Errorf("%d records, 2 were closed (%v)", len(all), err)
	}
	s.reel(streamRecords).broken(full)
	if err := l.End(t.Context(), record(3), casemate.Written); casemate.CodeOf(err) != casemate.Unavailable {
		t.Fatal(err)
	}
	if err := l.Close(); err == nil {
		t.Error("Close says nothing of what it cannot write")
	}
	s.reel(streamRecords).broken(nil)
	l = openLog(t, config(t, s, dir))
	defer closeLog(t, l)
	e, err := l.Show(t.Context(), record(2).ID)
	if err != nil || e.Record.Outcome.Status != "interrupted" || e.Record.Outcome.OK || e.Record.Function != "orders" {
		t.Fatalf("what was in flight became %+v, %v", e.Record, err)
	}
}

// TestSecondAttemptOfOneID: an event that waited for room is tried again under the same id. The record of the refusal
// must not pass for that of the attempt that was cut off.
func TestSecondAttemptOfOneID(t *testing.T) {
	s, dir := newTape(), t.TempDir()
	l := openLog(t, config(t, s, dir))
	if err := l.Begin(record(1)); err != nil { // opened before all others: the search starts here
		t.Fatal(err)
	}
	run(t, l, 2, 3)
	if err := l.Begin(record(2)); err != nil {
		t.Fatal(err)
	}
	closeLog(t, l)
	l = openLog(t, config(t, s, dir))
	defer closeLog(t, l)
	found, err := l.List(t.Context(), Filter{Event: record(2).ID})
	if err != nil || len(found) != 2 || found[1].Record.Outcome.Status != "interrupted" {
		t.Errorf("two attempts, one cut off: %+v %v", found, err)
	}
}

func TestClosedRecordWithALeftoverSlotIsNotClosedAgain(t *testing.T) {
	s, dir := newTape(), t.TempDir()
	l := openLog(t, config(t, s, dir))
	run(t, l, 0, 5)
	for i := 5; i < 9; i++ {
		if err := l.Begin(record(i)); err != nil {
			t.Fatal(err)
		}
	}
	for _, i := range []int{6, 8} { // the node dies between the append and the release of the slot
		if _, err := l.append(t.Context(), record(i), casemate.Durable); err != nil {
			t.Fatal(err)
		}
	}
	closeLog(t, l)
	for range 2 {
		c := config(t, s, dir)
		c.Slots = 16 // the table is resized on the way
		closeLog(t, openLog(t, c))
	}
	got := map[string]int{}
	l = openLog(t, config(t, s, dir))
	defer closeLog(t, l)
	if err := l.Each(t.Context(), 1, func(e Entry) error {
		got[e.Record.ID+" "+e.Record.Outcome.Status]++
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"event-0005 interrupted", "event-0006 answered", "event-0007 interrupted", "event-0008 answered"} {
		if got[want] != 1 {
			t.Errorf("%s: %d times", want, got[want])
		}
	}
	if len(got) != 9 {
		t.Errorf("%d records: %v", len(got), got)
	}
}

func TestUnreadableSlotIsRecordedNotDropped(t *testing.T) {
	s, dir := newTape(), t.TempDir()
	l := openLog(t, config(t, s, dir))
	if err := l.Begin(record(1)); err != nil {
		t.Fatal(err)
	}
	closeLog(t, l)
	path := filepath.Join(dir, fileTable)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw[headerSize+slotHead+20] ^= 1
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	l = openLog(t, config(t, s, dir))
	defer closeLog(t, l)
	es, err := l.List(t.Context(), Filter{Status: "interrupted"})
	if err != nil || len(es) != 1 || es[0].Record.Action != "unreadable" {
		t.Fatalf("%+v, %v", es, err)
	}
}

func TestSecondProcessOnOneFolderIsRefused(t *testing.T) {
	c := config(t, newTape(), t.TempDir())
	l := openLog(t, c)
	defer closeLog(t, l)
	if _, err := Open(t.Context(), c); err == nil {
		t.Fatal("two logs share a folder")
	}
}

// TestKilledNodeLeavesNoRunWithoutRecord kills a real process by SIGKILL with records open, some of them closed.
func TestKilledNodeLeavesNoRunWithoutRecord(t *testing.T) {
	const env, n = "CASEMATE_AUDIT_CHILD", 40
	if dir := os.Getenv(env); dir != "" {
		l := openLog(t, config(t, store.Memory(time.Now), dir))
		for i := range n {
			if err := l.Begin(record(i)); err != nil {
				t.Fatal(err)
			}
		}
		os.Stdout.WriteString("open\n")
		select {}
	}
	dir := t.TempDir()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledNodeLeavesNoRunWithoutRecord$")
	child.Env = append(os.Environ(), env+"="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "open"; {
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	child.Wait() // its status is "killed"
	l := openLog(t, config(t, store.Memory(time.Now), dir))
	defer closeLog(t, l)
	es, err := l.List(t.Context(), Filter{Status: "interrupted"})
	if err != nil || len(es) != n {
		t.Fatalf("%d of %d openings became records (%v)", len(es), n, err)
	}
	for i := range n {
		if e, err := l.Show(t.Context(), record(i).ID); err != nil || !e.Record.Opened.Equal(record(i).Opened) {
			t.Errorf("record %d: %v", i, err)
		}
	}
}

func TestClosedLogRefuses(t *testing.T) {
	l := openLog(t, config(t, newTape(), t.TempDir()))
	closeLog(t, l)
	if err := l.Begin(record(1)); casemate.CodeOf(err) != casemate.Unavailable {
		t.Fatalf("Begin after Close: %v", err)
	}
}

func TestObserverSeesEveryRecordWithItsSequence(t *testing.T) {
	s, dir := newTape(), t.TempDir()
	l := openLog(t, config(t, s, dir))
	defer closeLog(t, l)
	var mu sync.Mutex
	seen := map[uint64]string{}
	l.Observe(func(seq uint64, r *casemate.Record) {
		mu.Lock()
		defer mu.Unlock()
		seen[seq] = r.ID
	})
	run(t, l, 0, 20)
	r := record(20)
	if err := errors.Join(l.Begin(r), l.End(t.Context(), r, casemate.Written)); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Seal(t.Context()); err != nil { // writes a record of its own
		t.Fatal(err)
	}
	n := 0
	if err := l.Records(t.Context(), 1, func(seq uint64, r *casemate.Record) error {
		n++
		if seen[seq] != r.ID {
			t.Errorf("record %d is %s, the observer saw %q", seq, r.ID, seen[seq])
		}
		return nil
	}); err != nil || n != 22 || len(seen) != 22 {
		t.Errorf("%d records, %d observed, %v", n, len(seen), err)
	}
}
