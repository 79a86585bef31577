package quota

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"casemate"
)

// The subjects of daily and monthly quotas.
const (
	ofCaller   = "caller"   // Name is Principal.ID
	ofRoute    = "route"    // Name is app and route, Caller set where it is one caller's own quota there
	ofFunction = "function" // Name is the ARN
	ofAccount  = "account"
)

// Subject is whose quota it is.
type Subject struct {
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Caller string `json:"caller,omitempty"`
}

// Span is one period of a quota: how many events were let in, and up to how many may be before more has to be stored.
type Span struct {
	Period int64 `json:"period"` // days since 1970-01-01, or months since year 0
	Used   int64 `json:"used"`
	Upto   int64 `json:"upto"`
	Most   int64 `json:"most"` // the quota
}

// Count is what one subject used of its quotas.
type Count struct {
	Subject
	Plan  string `json:"plan,omitempty"` // that set the quota last
	Day   Span   `json:"day,omitzero"`
	Month Span   `json:"month,omitzero"`
}

// Past reports whether no quota of c is in a period that lasts at now.
func (c *Count) Past(now time.Time) bool {
	return c.Month.Period < monthOf(now) && c.Day.Period < dayOf(now)
}

// At gives the periods that last at now.
func (c *Count) At(now time.Time) (day, month Span) {
	if day = c.Day; day.Period < dayOf(now) {
		day.Used, day.Upto = 0, 0
	}
	if month = c.Month; month.Period < monthOf(now) {
		month.Used, month.Upto = 0, 0
	}
	return day, month
}

// ErrShare says that an event has to wait until the next share of a quota is stored: store Wanted, call Granted, and
// reserve again.
var ErrShare = casemate.Errorf(casemate.Unavailable, "try again", "the next share of a quota is not stored yet")

// counts holds what is known of every quota. A quota is handed out in shares: a share is stored before the first event of
// it is let in, so that what was let in before a crash is never more than what is read after it. What is left of a share
// is lost then: at most the 32nd part of the quota.
type counts struct {
	mu     sync.Mutex
	of     map[Subject]*Count
	wanted map[Subject]bool // false: on its way to the store
	max    int
	low    func() // nil: nothing is stored, and nothing survives
}

const (
	maxCounts = 1 << 17 // subjects with a quota, about 300 bytes each
	parts     = 32      // of a quota; two halves of one are handed out at once
)

// share is what is stored ahead at a time: half of the part that may be lost.
func step(most int64) int64 { return max(most/(2*parts), 1) }

// claimed is one quota that an event counts against.
type claimed struct {
	what  string // "plan basic", "function price"
	count *Count
	limit casemate.Limit
	alone bool // Demand.Alone, of a caller
}

func dayOf(now time.Time) int64 {
	s := now.Unix()
	d := s / 86400
	if s%86400 < 0 {
		d--
	}
	return d
}

func monthOf(now time.Time) int64 {
	y, m, _ := now.UTC().Date()
	return int64(y)*12 + int64(m) - 1
}

// find gives the counts of s, nil when there are too many subjects. The caller holds mu.
func (c *counts) find(s Subject, now time.Time) *Count {
	if got := c.of[s]; got != nil {
		return got
	}
	if len(c.of) >= c.max {
		for old, x := range c.of { // those of a month ago are nobody's
			if _, asked := c.wanted[old]; !asked && x.Past(now) {
				delete(c.of, old)
			}
		}
		if len(c.of) >= c.max {
			return nil
		}
	}
	got := &Count{Subject: s}
	c.of[s] = got
	return got
}

// turn begins a new period. A clock that went back begins none: what was used stays used.
func (s *Span) turn(period, most int64) {
	if period > s.Period {
		*s = Span{Period: period}
	}
	s.Most = most
}

// check refuses what is used up, and asks for a share where there is none left. Nothing changes but periods.
func (c *counts) check(all []claimed, now time.Time) error {
	short := false
	for i := range all {
		x := &all[i]
		for _, q := range [2]struct {
			span         *Span
			period, most int64
			word         string
			ends         func(time.Time) time.Time
		}{{&x.count.Day, dayOf(now), x.limit.Day, "daily", NextDay}, {&x.count.Month, monthOf(now), x.limit.Month, "monthly", NextMonth}} {
			if q.most <= 0 {
				continue
			}
			q.span.turn(q.period, q.most)
			if q.span.Used >= q.most {
				return used(x, q.word, now, q.ends(now), q.most)
			}
			if c.low != nil && q.span.Used >= q.span.Upto {
				c.want(x.count.Subject)
				short = true
			}
		}
	}
	if short {
		return ErrShare
	}
	return nil
}

func used(x *claimed, word string, now, ends time.Time, most int64) error {
	err := refusal(word+" quota of "+x.what, int(ends.Sub(now)/time.Second)+1,
		fmt.Sprintf("%d are let in until %s UTC; ask the operator for more, or for another plan", most, ends.Format("2006-01-02 15:04")))
	if x.alone { // an operator may give it more at any time
		err.Shut, err.Caller = min(ends.Sub(now), time.Second), x.count.Name
	}
	return err
}

// NextDay is when the day of now ends, in UTC.
func NextDay(now time.Time) time.Time {
	y, m, d := now.UTC().Date()
	return time.Date(y, m, d+1, 0, 0, 0, 0, time.UTC)
}

// NextMonth is when the month of now ends, in UTC.
func NextMonth(now time.Time) time.Time {
	y, m, _ := now.UTC().Date()
	return time.Date(y, m+1, 1, 0, 0, 0, 0, time.UTC)
}

// want asks for the next share, once.
func (c *counts) want(s Subject) bool {
	if _, asked := c.wanted[s]; asked {
		return false
	}
	c.wanted[s] = true
	return true
}

// take counts one event and asks for the next share in good time.
func (c *counts) take(all []claimed) {
	want := false
	for i := range all {
		x := &all[i]
		for _, q := range [2]struct {
			span *Span
			most int64
		}{{&x.count.Day, x.limit.Day}, {&x.count.Month, x.limit.Month}} {
			if q.most <= 0 {
				continue
			}
			q.span.Used++
			if c.low != nil && q.span.Upto < q.most && q.span.Upto-q.span.Used <= step(q.most) {
				want = c.want(x.count.Subject) || want
			}
		}
	}
	if want {
		c.low()
	}
}

// Load takes up what was stored. Whatever share had been begun counts as used.
func (l *Ledger) Load(stored []Count) {
	l.counts.mu.Lock()
	defer l.counts.mu.Unlock()
	for _, x := range stored {
		x.Day.Used, x.Month.Used = x.Day.Upto, x.Month.Upto
		l.counts.of[x.Subject] = &x
	}
}

// Wanted are the next shares of who needs one, to be stored and then handed to Granted. Who stores them must do so one
// after the other.
func (l *Ledger) Wanted() []Count {
	c := &l.counts
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []Count
	for s, open := range c.wanted {
		if !open {
			continue
		}
		c.wanted[s] = false
		x := *c.of[s]
		for _, q := range [2]*Span{&x.Day, &x.Month} {
			if q.Most > 0 {
				q.Upto = min(max(q.Upto, q.Used+2*step(q.Most)), q.Most)
			}
		}
		out = append(out, x)
	}
	return out
}

// Granted says that these shares are stored; with ok false, that they are not, and may be asked for again.
func (l *Ledger) Granted(stored []Count, ok bool) {
	c := &l.counts
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range stored {
		delete(c.wanted, stored[i].Subject)
		x := c.of[stored[i].Subject]
		if x == nil || !ok {
			continue
		}
		for _, q := range [2]struct{ have, got *Span }{{&x.Day, &stored[i].Day}, {&x.Month, &stored[i].Month}} {
			if q.have.Period == q.got.Period {
				q.have.Upto = max(q.have.Upto, q.got.Upto)
			}
		}
	}
}

// Counts lists what every subject used, sorted.
func (l *Ledger) Counts() []Count {
	c := &l.counts
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]Count, 0, len(c.of))
	for _, x := range c.of {
		out = append(out, *x)
	}
	slices.SortFunc(out, func(a, b Count) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Caller, b.Caller))
	})
	return out
}
