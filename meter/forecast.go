package meter

import (
	"fmt"
	"math"
	"time"

	"casemate"
)

// Forecast is what this month may come to, in the price book's currency and before what free quantities and tiers take off.
type Forecast struct {
	Month  string         `json:"month"`
	SoFar  casemate.Money `json:"so_far"`
	Full   int            `json:"full_days"` // that it goes by
	Left   int            `json:"days_left"` // today included
	Likely casemate.Money `json:"likely,omitempty"`
	Low    casemate.Money `json:"low,omitempty"`
	High   casemate.Money `json:"high,omitempty"`
	Method string         `json:"method"`
	Few    string         `json:"few,omitempty"` // why there is no forecast
}

const (
	fewDays  = 3  // full days without which nothing is foretold
	manyDays = 28 // that are looked back on
)

// ForecastMonth looks ahead from the costs per day before now. A day without a row cost nothing; days before the first row
// do not count.
func ForecastMonth(rows []Row, now time.Time) Forecast {
	now = now.UTC()
	today := now.Truncate(24 * time.Hour)
	f := Forecast{Month: now.Format("2006-01"), Method: fmt.Sprintf("what was spent so far, and for each day left the mean of the last %d full days at most; "+
		"the range is 1.28 standard deviations of their sum, which holds four times in five if days are independent", manyDays)}
	cost, first := map[string]casemate.Money{}, today.Format(dayForm)
	for i := range rows {
		cost[rows[i].Day] += rows[i].Cost
		first = min(first, rows[i].Day)
		if rows[i].Day[:7] == f.Month {
			f.SoFar += rows[i].Cost
		}
	}
	var days []float64
	for d := today.AddDate(0, 0, -1); len(days) < manyDays && d.Format(dayForm) >= first; d = d.AddDate(0, 0, -1) {
		days = append(days, float64(cost[d.Format(dayForm)]))
	}
	f.Full = len(days)
	month := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	f.Left = int(month.AddDate(0, 1, 0).Sub(today) / (24 * time.Hour))
	if f.Full < fewDays {
		f.Few = fmt.Sprintf("too few days: %d full ones, %d are wanted", f.Full, fewDays)
		return f
	}
	mean, dev := spread(days)
	done := float64(cost[today.Format(dayForm)])
	rest := mean * float64(f.Left)
	wide := 1.28 * dev * math.Sqrt(float64(f.Left)*(1+float64(f.Left)/float64(f.Full))) // of the days, and of their mean
	likely := float64(f.SoFar) - done + max(rest, done)
	f.Likely, f.Low, f.High = money(likely), max(money(likely-wide), f.SoFar), money(likely+wide)
	f.Likely = max(f.Likely, f.SoFar)
	return f
}

func spread(xs []float64) (mean, dev float64) {
	for _, x := range xs {
		mean += x / float64(len(xs))
	}
	for _, x := range xs {
		dev += (x - mean) * (x - mean) / float64(len(xs)-1)
	}
	return mean, math.Sqrt(dev)
}

func money(x float64) casemate.Money {
	return casemate.Money(math.Round(min(max(x, 0), 1<<62)))
}
