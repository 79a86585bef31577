package audit

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"casemate"
	"casemate/audit/proof"
	"casemate/store"
)

func TestNothingIsSignedThatAPowerCutCouldTake(t *testing.T) {
	s, dir := newTape(), t.TempDir()
	l := openLog(t, config(t, s, dir))
	for i := range 20 {
		r := record(i)
		w := casemate.Wait(i % 2) // 1: in the operating system's hands only
		if err := errors.Join(l.Begin(r), l.End(t.Context(), r, w)); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	closeLog(t, l)
	marks := s.reel(streamCheckpoints).ms
	for _, m := range marks {
		c, err := proof.Open(m.Data, l.check)
		if err != nil {
			t.Fatal(err)
		}
		if waits := s.reel(streamRecords).waits; c.Size > 0 && waits[c.Size-1] != casemate.Durable {
			t.Errorf("the checkpoint of %d records ends with one that a power cut takes", c.Size)
		}
	}
	l = openLog(t, config(t, s, dir))
	defer closeLog(t, l)
	own, err := l.List(t.Context(), Filter{Action: ActionSeal})
	if err != nil || len(own) != 10 {
		t.Errorf("%d records of the log's own, %v", len(own), err)
	}
	if all, err := l.List(t.Context(), Filter{}); err != nil || len(all) != 20 {
		t.Errorf("the list shows %d records, %v", len(all), err)
	}
}

func TestSealingHappensByTimeAndByNumber(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := newTape()
		c := config(t, s, dir)
		c.Every, c.Interval = 10, time.Hour
		l := openLog(t, c)
		defer closeLog(t, l)
		sizeIs := func(when string, want int64) {
			synctest.Wait()
			if got := l.State().Newest.Size; got != want {
				t.Errorf("%s: sealed %d, want %d", when, got, want)
			}
		}
		run(t, l, 0, 9)
		sizeIs("nine records", 0)
		run(t, l, 9, 10)
		sizeIs("ten records", 10)
		run(t, l, 10, 12)
		sizeIs("two more", 10)
		<-time.After(time.Hour + time.Second) // the bubble's clock
		sizeIs("an hour later", 12)
		<-time.After(3 * time.Hour)
		if n := len(s.reel(streamCheckpoints).ms); n != 2 {
			t.Errorf("%d checkpoints: without new records nothing is signed", n)
		}
	})
}

func TestSealingTroubleIsShownAndHealed(t *testing.T) {
	s := newTape()
	l := openLog(t, config(t, s, t.TempDir()))
	defer closeLog(t, l)
	run(t, l, 0, 5)
	s.reel(streamCheckpoints).fail = errors.New("disk is full")
	if _, err := l.Seal(t.Context()); err == nil || l.State().Trouble == "" {
		t.Fatalf("a checkpoint that could not be stored: %v", err)
	}
	run(t, l, 5, 10)
	s.reel(streamCheckpoints).fail = nil
	if c, err := l.Seal(t.Context()); err != nil || c.Size != 10 || l.State().Trouble != "" {
		t.Fatalf("%+v, %v", c, err)
	}
	if r, err := l.Verify(t.Context()); err != nil || r.Records != 10 {
		t.Fatalf("%+v, %v", r, err)
	}
}

func TestSealedRecordsThatVanishWhileRunningAreNoticed(t *testing.T) {
	s := newTape()
	l := openLog(t, config(t, s, t.TempDir()))
	defer l.shut()
	defer func() { l.cancel(); <-l.done }()
	run(t, l, 0, 10)
	if _, err := l.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.reel(streamRecords).edit(func(ms []store.Message) []store.Message { return ms[:4] })
	_, err := l.Seal(t.Context())
	var found *Tampering
	if !errors.As(err, &found) || found.Kind != "rolled-back" || found.First != 5 {
		t.Fatalf("%v", err)
	}
}
