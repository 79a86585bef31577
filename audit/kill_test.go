package audit

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"casemate"
	"casemate/store"
)

const childOf = "CASEMATE_AUDIT_STORM"

// storm writes records to the real store until it is killed, and says on its standard output what it was told.
func storm(t *testing.T, dir string) {
	s, err := store.Open(t.Context(), store.Config{Dir: filepath.Join(dir, "store")})
	if err != nil {
		t.Fatal(err)
	}
	c := config(t, s, filepath.Join(dir, "audit"))
	c.Every = 25 // checkpoints fall into the storm
	l := openLog(t, c)
	var mu sync.Mutex
	say := func(what, id string) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Println(what, id)
	}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				r := record(i)
				r.ID = casemate.NewID()
				if err := l.Begin(r); err != nil {
					t.Error(err)
					return
				}
				say("begun", r.ID)
				if err := l.End(context.Background(), r, casemate.Wait(w%2)); err != nil {
					t.Error(err)
					return
				}
				say("ended", r.ID)
			}
		})
	}
	wg.Wait()
}

func TestKilledUnderLoadLosesNoRecord(t *testing.T) {
	if dir := os.Getenv(childOf); dir != "" {
		storm(t, dir)
		return
	}
	rounds, lines := 3, 400
	if os.Getenv("CASEMATE_FULL") == "1" {
		rounds = 25
	}
	dir := t.TempDir()
	said := map[string]string{}
	for round := range rounds {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledUnderLoadLosesNoRecord$")
		child.Env = append(os.Environ(), childOf+"="+dir)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewScanner(out)
		for n := 0; n < lines+37*round && in.Scan(); n++ {
			hear(t, said, in.Text())
		}
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for in.Scan() { // what it had said before it died
			hear(t, said, in.Text())
		}
		child.Wait() // its status is "killed"
		compare(t, dir, said)
	}
}

func hear(t *testing.T, said map[string]string, line string) {
	what, id, ok := strings.Cut(line, " ")
	switch {
	case ok && (what == "begun" || what == "ended") && len(id) == 36:
		said[id] = what
	case len(line) < 42 && strings.HasPrefix("begun ", what): // cut short by the kill
	default:
		t.Fatalf("the child says %q", line)
	}
}

// compare opens what the killed process left and holds it against what that process had been told.
func compare(t *testing.T, dir string, said map[string]string) {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{Dir: filepath.Join(dir, "store")})
	if err != nil {
		t.Fatal(err)
	}
	l := openLog(t, config(t, s, filepath.Join(dir, "audit")))
	status := map[string]string{}
	if err := l.Each(t.Context(), 1, func(e Entry) error {
		if status[e.Record.ID] != "" {
			t.Errorf("two records %s", e.Record.ID)
		}
		status[e.Record.ID] = e.Record.Outcome.Status
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	interrupted := 0
	for id, what := range said {
		switch got := status[id]; {
		case got == "":
			t.Errorf("%s %s has no record", what, id)
		case what == "ended" && got != "answered":
			t.Errorf("ended %s is recorded as %s", id, got)
		case got == "interrupted":
			interrupted++
		}
	}
	if _, err := l.Verify(t.Context()); err != nil {
		t.Errorf("after a kill the log does not verify: %v", err)
	}
	t.Logf("%d records, of %d heard of, %d interrupted", len(status), len(said), interrupted)
	closeLog(t, l)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
