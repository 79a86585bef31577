package quota_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"pgregory.net/rapid"

	"casemate"
	"casemate/quota"
)

func planned(day, month int64) casemate.Demand {
	return casemate.Demand{Principal: "ann", Alone: true, Plan: &casemate.Plan{Name: "basic", Limit: casemate.Limit{Day: day, Month: month}}}
}

// disk is where shares are kept between crashes.
type disk map[quota.Subject]quota.Count

func (d disk) write(l *quota.Ledger) {
	w := l.Wanted()
	for _, c := range w {
		d[c.Subject] = c
	}
	l.Granted(w, true)
}

func (d disk) load(l *quota.Ledger) {
	var all []quota.Count
	for _, c := range d {
		all = append(all, c)
	}
	l.Load(all)
}

// TestNeverMoreThanTheQuota: over crashes at any moment and clocks that jump to and fro, no day and no month lets in more
// than its quota, and a crash costs no more than a share.
func TestNeverMoreThanTheQuota(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.SampledFrom([]int64{1, 2, 5, 64, 320}).Draw(t, "quota")
		stored := disk{}
		start := func() *quota.Ledger {
			l := quota.New(quota.Config{Low: func() {}})
			stored.load(l)
			return l
		}
		l := start()
		day, latest := 0, -1000 // latest is the last day that an event was asked for
		in, crashes := map[int]int64{}, map[int]int64{}
		for range rapid.IntRange(1, 700).Draw(t, "events") {
			switch rapid.IntRange(0, 40).Draw(t, "what") {
			case 0:
				l = start()
				crashes[latest]++
			case 1:
				day += rapid.IntRange(-1, 2).Draw(t, "jump")
			case 2:
				stored.write(l)
			}
			latest = max(latest, day)
			d := planned(most, 0)
			_, _, err := l.Reserve(t0.AddDate(0, 0, day), d)
			if errors.Is(err, quota.ErrShare) {
				stored.write(l)
				_, _, err = l.Reserve(t0.AddDate(0, 0, day), d)
			}
			switch {
			case err == nil:
				// A clock that went back counts on in the latest day there was.
				if in[latest]++; in[latest] > most {
					t.Fatalf("%d let in of %d", in[latest], most)
				}
			case in[latest] < most-crashes[latest]*max(most/32, 2):
				t.Fatalf("refused after %d of %d and %d crashes: %v", in[latest], most, crashes[latest], err)
			}
		}
	})
}

func TestQuotaRefusal(t *testing.T) {
	l := quota.New(quota.Config{})
	now := time.Date(2030, 1, 31, 23, 59, 30, 0, time.FixedZone("far", 13*3600)) // still the 31st at 10:59:30 UTC
	d := planned(2, 3)
	for i := range 2 {
		r, _, err := l.Reserve(now, d)
		if err != nil || r.Left[1] != (casemate.Allowance{Name: "basic-day", Quota: 2, Left: int64(1 - i), Window: 86400, Next: 13*3600 + 30}) {
			t.Fatalf("%+v, %v", r.Left, err)
		}
	}
	_, e := refused(t, l, now, d)
	if e == nil || e.Rule != "daily quota of plan basic" || e.Retry != 13*3600+31 || e.Shut != time.Second || e.Caller != "ann" {
		t.Fatalf("%+v", e)
	}
	shared := d
	shared.Alone = false
	if _, e = refused(t, l, now, shared); e == nil || e.Shut != 0 || e.Caller != "" {
		t.Fatalf("shuts a credential that others may send: %+v", e)
	}
	for _, alone := range []bool{true, false} {
		q := casemate.Demand{Principal: "eve", Alone: alone, Plan: &casemate.Plan{Name: "slow", Limit: casemate.Limit{Rate: casemate.Rate{PerSecond: 1, Burst: 1}}}}
		l := quota.New(quota.Config{})
		if _, _, err := l.Reserve(now, q); err != nil {
			t.Fatal(err)
		}
		if _, e := refused(t, l, now, q); e == nil || (e.Shut > 0) != alone || (e.Caller == "eve") != alone {
			t.Fatalf("alone %v: %+v", alone, e)
		}
	}
	if other := planned(2, 3); true {
		other.Principal = "bob"
		if _, e := refused(t, l, now, other); e != nil {
			t.Fatalf("one holder's quota is another's: %v", e)
		}
	}
	tomorrow := now.Add(14 * time.Hour) // February
	for range 2 {
		if _, e := refused(t, l, tomorrow, d); e != nil {
			t.Fatal(e)
		}
	}
	if _, e := refused(t, l, now, d); e == nil {
		t.Fatal("a clock that was set back gave the day anew")
	}
	if _, e := refused(t, l, tomorrow.AddDate(0, 0, 1), d); e != nil {
		t.Fatal(e)
	}
	if _, e := refused(t, l, tomorrow.AddDate(0, 0, 1), d); e == nil || e.Rule != "monthly quota of plan basic" {
		t.Fatalf("%+v", e)
	}
}

// TestQuotasTogether: what one quota refuses, no other has counted; each kind of subject has its own.
func TestQuotasTogether(t *testing.T) {
	l := quota.New(quota.Config{Account: casemate.Limit{Day: 4}})
	d := casemate.Demand{Principal: "ann", Route: "a GET /", RouteID: "GET /", Function: "f", Account: "1", Concurrency: 100, Quota: casemate.Limit{Day: 3},
		Plan: &casemate.Plan{Name: "p", Routes: map[string]casemate.Limit{"GET /": {Day: 2}}}, Total: casemate.Limit{Day: 10}}
	for want, change := range map[string]func(){"daily quota of plan on route a GET /": func() {}} {
		change()
		for range 2 {
			if _, e := refused(t, l, t0, d); e != nil {
				t.Fatal(e)
			}
		}
		if _, e := refused(t, l, t0, d); e == nil || e.Rule != want {
			t.Fatalf("%+v", e)
		}
	}
	d.Plan = nil
	if _, e := refused(t, l, t0, d); e != nil {
		t.Fatalf("the refused one was counted elsewhere: %v", e)
	}
	if _, e := refused(t, l, t0, d); e == nil || e.Rule != "daily quota of function f" {
		t.Fatalf("%+v", e)
	}
	d.Function, d.Quota = "g", casemate.Limit{}
	if _, e := refused(t, l, t0, d); e != nil {
		t.Fatal(e)
	}
	if _, e := refused(t, l, t0, d); e == nil || e.Rule != "daily quota of account 1" {
		t.Fatalf("%+v", e)
	}
}

// TestBlocks: sources that one owner can choose from are held back together, however it turns them.
func TestBlocks(t *testing.T) {
	l := quota.New(quota.Config{SourceRate: rate(1, 4), BlockRate: rate(1, 10)})
	let := 0
	for i := range 1000 {
		d := casemate.Demand{Source: fmt.Sprint("2001:db8::", i), SourceRate: rate(1, 4), Block: netip.MustParsePrefix("2001:db8::/48")}
		if _, e := refused(t, l, t0, d); e == nil {
			let++
		}
	}
	if let != 10 {
		t.Errorf("%d of a network got in", let)
	}
	if wait := l.Shut(t0, "new", netip.MustParsePrefix("2001:db8::/48")); wait != time.Second {
		t.Errorf("the network is shut for %v", wait)
	}
	if wait := l.Shut(t0, "new", netip.MustParsePrefix("2001:db9::/48")); wait != 0 {
		t.Errorf("another network is shut for %v", wait)
	}
}

// TestKnownCallersShareAnAddress: who is known counts by itself: its flood leaves others behind its address alone. Nobodies
// do not.
func TestKnownCallersShareAnAddress(t *testing.T) {
	l := quota.New(quota.Config{SourceRate: rate(1, 4), BlockRate: rate(1, 6)})
	block := netip.MustParsePrefix("192.0.2.0/24")
	knock := casemate.Demand{Source: "192.0.2.1", SourceRate: rate(1, 4), Block: block}
	known := casemate.Demand{Principal: "flood", Route: "r", RouteRate: rate(0.001, 10)}
	known.Known.Source, known.Known.Block = knock.Source, block
	let := 0
	for range 1000 {
		if _, e := refused(t, l, t0, knock); e != nil {
			t.Fatalf("the address is shut by a caller that is known: %v", e)
		}
		if _, e := refused(t, l, t0, known); e == nil {
			let++
		}
	}
	if let != 10 {
		t.Errorf("the flooder got %d", let)
	}
	for range 4 {
		if _, e := refused(t, l, t0, knock); e != nil {
			t.Fatal(e)
		}
	}
	if _, e := refused(t, l, t0, knock); e == nil {
		t.Error("nobodies have no rate")
	}
	for range 100 { // what was not taken is not given back
		_, _ = refused(t, l, t0.Add(time.Hour), known)
	}
	for n := 0; ; n++ {
		if _, e := refused(t, l, t0.Add(time.Hour), knock); e != nil {
			if n != 4 {
				t.Errorf("%d after tokens came back for nothing", n)
			}
			break
		}
	}
}

// TestMillionKeys: a million callers, sources and subjects with a quota cost a bounded memory, and one that was there before
// keeps what it used.
func TestMillionKeys(t *testing.T) {
	keys := 150_000 // more than there are places in any table
	if os.Getenv("CASEMATE_FULL") != "" {
		keys = 1_000_000
	}
	l := quota.New(quota.Config{})
	victim := planned(1, 0)
	if _, e := refused(t, l, t0, victim); e != nil {
		t.Fatal(e)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range keys {
		name := fmt.Sprint("flood ", i)
		d := planned(10, 0)
		d.Principal, d.Route, d.RouteRate = name, "r", rate(0.001, 5)
		_, _, _ = l.Reserve(t0, d)
		_, _, _ = l.Reserve(t0, casemate.Demand{Source: name, SourceRate: rate(0.001, 5)})
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 64<<20 {
		t.Errorf("%d keys hold %d MiB", keys, grown>>20)
	}
	if _, e := refused(t, l, t0, victim); e == nil || e.Rule != "daily quota of plan basic" {
		t.Errorf("the flood gave the victim's quota anew: %+v", e)
	}
	runtime.KeepAlive(l)
}
