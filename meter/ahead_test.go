package meter

import (
	"testing"
	"time"

	"casemate"
	"casemate/meter/price"
)

func costs(from time.Time, amounts ...casemate.Money) (rows []Row) {
	for i, m := range amounts {
		if m != 0 {
			rows = append(rows, Row{Day: from.AddDate(0, 0, i).Format(dayForm), Counts: Counts{Cost: m}})
		}
	}
	return rows
}

func TestForecast(t *testing.T) {
	now := time.Date(2026, 5, 11, 12, 0, 0, 0, time.UTC)
	f := ForecastMonth(costs(now.AddDate(0, 0, -10), 100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 30), now)
	if f.SoFar != 1030 || f.Full != 10 || f.Left != 21 || f.Likely != 3100 || f.Low != 3100 || f.High != 3100 || f.Few != "" {
		t.Errorf("even days: %+v", f)
	}
	f = ForecastMonth(costs(now.AddDate(0, 0, -10), 0, 200, 0, 200, 0, 200, 0, 200, 0, 200, 30), now)
	if f.Full != 9 || f.Low >= f.Likely || f.High <= f.Likely || f.Low < f.SoFar {
		t.Errorf("uneven days: %+v", f)
	}
	f = ForecastMonth(costs(now.AddDate(0, 0, -2), 100, 100, 9), now)
	if f.Few == "" || f.Likely != 0 || f.SoFar != 209 {
		t.Errorf("two days: %+v", f)
	}
	f = ForecastMonth(costs(now.AddDate(0, 0, -3), 10, 10, 10, 5000), now)
	if f.Likely < f.SoFar || f.Low < f.SoFar {
		t.Errorf("today is dearer than all the rest: %+v", f)
	}
	if f = ForecastMonth(nil, now); f.Few == "" {
		t.Errorf("nothing: %+v", f)
	}
}

func TestRightsize(t *testing.T) {
	book, err := price.Default()
	if err != nil {
		t.Fatal(err)
	}
	v := &casemate.Version{App: "shop", Function: "price", Spare: 4, Limits: casemate.Limits{MemoryMB: 1024, Timeout: 30 * time.Second, Concurrency: 50}}
	var s Sizes
	add := func(n int, change func(r *casemate.Record)) {
		for i := range n {
			at := noon.Add(time.Duration(i) * time.Minute)
			r := casemate.Record{App: "shop", Function: "price", Opened: at, Closed: at.Add(time.Second), Outcome: casemate.Outcome{OK: true, Status: "answered"},
				Usage: casemate.Usage{Wall: time.Second, MemoryMB: 1024, PeakBytes: 100 << 20}}
			if change != nil {
				change(&r)
			}
			s.Add(&r)
		}
	}
	add(99, nil)
	if got := s.Of(v, book); got.Few == "" || len(got.Advice) != 0 {
		t.Errorf("99 runs: %+v", got)
	}
	add(1, func(r *casemate.Record) { r.Opened, r.Closed = noon.Add(500*time.Millisecond), noon.Add(2*time.Second) })
	got := s.Of(v, book)
	want := map[string]string{"memory": "144MB", "timeout": "3.1s", "concurrency": "4", "provisioned": "2"}
	if got.Runs != 100 || got.PeakMB != 100 || got.AtOnce != 2 || len(got.Advice) != len(want) {
		t.Fatalf("%+v", got)
	}
	for _, a := range got.Advice {
		if want[a.Key] != a.To {
			t.Errorf("%s: %s, want %s", a.Key, a.To, want[a.Key])
		}
	}
	// 100 runs of a second with 880 MB less
	if full := casemate.Money(100 * 880 * 1000 * 16667 / (1024 * 1000)); got.SavedHere < full-200 || got.SavedHere > full+200 || got.PerMonth <= got.SavedHere {
		t.Errorf("saved %d, want about %d; %s a month", got.SavedHere, full, got.PerMonth)
	}
	add(5, func(r *casemate.Record) { r.Outcome.Failure = casemate.FailureMemory })
	if got := s.Of(v, book); got.Advice[0].Key != "memory" || got.Advice[0].To != "2048MB" || got.SavedHere != 0 {
		t.Errorf("runs out of memory: %+v", got.Advice)
	}
}
