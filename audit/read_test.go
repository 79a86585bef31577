package audit

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"casemate"
)

func TestListChooses(t *testing.T) {
	l := openLog(t, config(t, newTape(), t.TempDir()))
	defer closeLog(t, l)
	run(t, l, 0, 1200)
	odd := record(1200)
	odd.Function, odd.Route, odd.Chain, odd.Event = "price", "GET /price", "chain-x", "event-x"
	odd.Outcome = casemate.Outcome{Code: casemate.Forbidden, Status: "refused"}
	if err := errors.Join(l.Begin(odd), l.End(t.Context(), odd, casemate.Durable)); err != nil {
		t.Fatal(err)
	}
	forbidden, fault := casemate.Forbidden, casemate.Fault
	for _, c := range []struct {
		name  string
		f     Filter
		first uint64
		n     int
	}{
		{"all", Filter{}, 1, 100},
		{"newest", Filter{Newest: true, Limit: 3}, 1201, 3},
		{"after", Filter{After: 1199, Limit: 10}, 1200, 2},
		{"before", Filter{Before: 10, Newest: true, Limit: 20}, 9, 9},
		{"limit", Filter{Limit: 10000}, 1, 1201},
		{"function", Filter{Function: "price"}, 1201, 1},
		{"principal", Filter{Principal: "key/ck_2", Limit: 10000}, 3, 400},
		{"route", Filter{Route: "GET /price"}, 1201, 1},
		{"chain", Filter{Chain: "chain-x"}, 1201, 1},
		{"event", Filter{Event: "event-x"}, 1201, 1},
		{"status", Filter{Status: "refused"}, 1201, 1},
		{"code", Filter{Code: &forbidden}, 1201, 1},
		{"a code that successes carry too", Filter{Code: &fault}, 0, 0},
		{"time", Filter{From: record(700).Opened, Until: record(703).Opened}, 701, 3},
		{"nothing", Filter{Function: "absent"}, 0, 0},
		{"a principal's prefix is not the principal", Filter{Principal: "key/ck"}, 0, 0},
	} {
		es, err := l.List(t.Context(), c.f)
		if err != nil || len(es) != c.n || c.n > 0 && es[0].Seq != c.first {
			t.Errorf("%s: %d entries, %v", c.name, len(es), err)
		}
	}
	for _, limit := range []int{-1, 10001} {
		if _, err := l.List(t.Context(), Filter{Limit: limit}); casemate.CodeOf(err) != casemate.Invalid {
			t.Errorf("limit %d: %v", limit, err)
		}
	}
}

func TestShowFindsRecentAndOld(t *testing.T) {
	s, dir := newTape(), t.TempDir()
	l := openLog(t, config(t, s, dir))
	run(t, l, 0, 1100)
	for range 2 { // the second time without anything in memory
		for _, i := range []int{0, 511, 512, 1099} {
			if e, err := l.Show(t.Context(), record(i).ID); err != nil || e.Seq != uint64(i)+1 || e.Record.ID != record(i).ID {
				t.Errorf("record %d: %+v, %v", i, e.Record, err)
			}
		}
		for _, id := range []string{"", "absent", "event-000"} {
			if _, err := l.Show(t.Context(), id); casemate.CodeOf(err) != casemate.NotFound {
				t.Errorf("%q: %v", id, err)
			}
		}
		closeLog(t, l)
		l = openLog(t, config(t, s, dir))
	}
	closeLog(t, l)
}

func TestFollowSeesEveryRecordOnce(t *testing.T) {
	l := openLog(t, config(t, newTape(), t.TempDir()))
	defer closeLog(t, l)
	run(t, l, 0, 700)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := make(chan uint64)
	done := make(chan error, 1)
	go func() {
		done <- l.Follow(ctx, 10, func(e Entry) error {
			if e.Record.Function != "orders" {
				return fmt.Errorf("record %d is %+v", e.Seq, e.Record)
			}
			select {
			case seen <- e.Seq:
			case <-ctx.Done():
			}
			return nil
		})
	}()
	for want := uint64(10); want <= 720; want++ {
		if want == 700 {
			run(t, l, 700, 720)
		}
		if got := <-seen; got != want {
			t.Fatalf("got %d, want %d", got, want)
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func TestProofs(t *testing.T) {
	l := openLog(t, config(t, newTape(), t.TempDir()))
	defer closeLog(t, l)
	run(t, l, 0, 60)
	for _, i := range []int{0, 1, 31, 58, 59} {
		p, err := l.Prove(t.Context(), record(i).ID)
		if err != nil || p.Index != int64(i) {
			t.Fatalf("record %d: %v", i, err)
		}
		if c, err := VerifyProof(p, l.PublicKey()); err != nil || c.Size != 60 {
			t.Fatalf("record %d: %+v, %v", i, c, err)
		}
		for name, change := range map[string]func(*Proof){
			"record":     func(p *Proof) { p.Record += " " },
			"index":      func(p *Proof) { p.Index++ },
			"negative":   func(p *Proof) { p.Index = -1 },
			"path":       func(p *Proof) { p.Path[0], p.Path[1] = p.Path[1], p.Path[0] },
			"short path": func(p *Proof) { p.Path = p.Path[1:] },
			"long path":  func(p *Proof) { p.Path = append(p.Path, make([]string, 100)...) },
			"checkpoint": func(p *Proof) { p.Checkpoint = "x" + p.Checkpoint },
			"key":        func(p *Proof) { p.Key = "casemate/audit+00000000+AA==" },
		} {
			q := p
			q.Path = append([]string{}, p.Path...)
			change(&q)
			if _, err := VerifyProof(q, ""); err == nil {
				t.Errorf("record %d: a proof with a changed %s holds", i, name)
			}
		}
	}
	if _, err := l.Prove(t.Context(), "absent"); casemate.CodeOf(err) != casemate.NotFound {
		t.Error(err)
	}
}
