package schedule

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// The years that an expression may name.
const (
	firstYear = 1970
	lastYear  = 2199
)

// cron is a cron expression: a moment comes when minute, hour, month, year and day are all in.
type cron struct {
	minutes, hours, months uint64
	years                  [4]uint64 // from firstYear
	days                   days
	weekdays               weekdays
	either                 bool // of days and weekdays one is enough, as crontab(5) has it when both are named
}

// days are days of the month.
type days struct {
	in       uint64
	any      bool   // "*" or "?"
	last     bool   // L
	lastWork bool   // LW
	work     uint64 // nW: the working day nearest to the nth, in the same month
}

// weekdays are days of the week, 0 is Sunday.
type weekdays struct {
	in   uint64
	any  bool
	last uint64    // nL: the last one of the month
	nth  [6]uint64 // n#k: the kth one of the month, by k
}

var monthNames = map[string]int{"JAN": 1, "FEB": 2, "MAR": 3, "APR": 4, "MAY": 5, "JUN": 6, "JUL": 7, "AUG": 8, "SEP": 9, "OCT": 10, "NOV": 11, "DEC": 12}

// field is one part of an expression: what its numbers may be.
type field struct {
	name     string
	min, max int
	names    map[string]int
}

// weekdayField counts from first as Sunday: 1 as AWS does, 0 as crontab(5).
func weekdayField(first int) field {
	names := map[string]int{}
	for i, n := range []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"} {
		names[n] = i + first
	}
	return field{"day-of-week", first, first + 6, names}
}

// sixFields reads minutes, hours, day of month, month, day of week and year, as AWS has them.
func sixFields(text string) (*cron, error) {
	f := strings.Fields(text)
	if len(f) != 6 {
		return nil, fmt.Errorf("cron() has six fields, minutes hours day-of-month month day-of-week year, and here are %d", len(f))
	}
	if (f[2] == "?") == (f[4] == "?") {
		return nil, errors.New("one of day-of-month and day-of-week must be ?, and only one")
	}
	c := &cron{}
	var err error
	if err = c.clock(f[0], f[1], f[3]); err != nil {
		return nil, err
	}
	if c.days, err = daysOf(f[2], true); err != nil {
		return nil, err
	}
	if c.weekdays, err = weekdaysOf(f[4], 1, true); err != nil {
		return nil, err
	}
	return c, c.yearsOf(f[5])
}

// fiveFields reads minutes, hours, day of month, month and day of week, as crontab(5) has them.
func fiveFields(text string) (*cron, error) {
	f := strings.Fields(text)
	if len(f) != 5 {
		return nil, fmt.Errorf("a crontab's schedule has five fields, minutes hours day-of-month month day-of-week, and here are %d", len(f))
	}
	c := &cron{}
	var err error
	if err = c.clock(f[0], f[1], f[3]); err != nil {
		return nil, err
	}
	if c.days, err = daysOf(f[2], false); err != nil {
		return nil, err
	}
	if c.weekdays, err = weekdaysOf(f[4], 0, false); err != nil {
		return nil, err
	}
	c.either = !strings.HasPrefix(f[2], "*") && !strings.HasPrefix(f[4], "*")
	return c, c.yearsOf("*")
}

func (c *cron) clock(minutes, hours, months string) (err error) {
	if c.minutes, err = set(minutes, field{"minutes", 0, 59, nil}); err != nil {
		return err
	}
	if c.hours, err = set(hours, field{"hours", 0, 23, nil}); err != nil {
		return err
	}
	c.months, err = set(months, field{"month", 1, 12, monthNames})
	return err
}

func (c *cron) yearsOf(text string) error {
	return each(text, field{"year", firstYear, lastYear, nil}, func(from, to, step int) {
		for y := from; y <= to; y += step {
			c.years[(y-firstYear)/64] |= 1 << ((y - firstYear) % 64)
		}
	})
}

// set reads a field whose members fit into 64 bits.
func set(text string, f field) (in uint64, err error) {
	err = each(text, f, func(from, to, step int) {
		for n := from; n <= to; n += step {
			in |= 1 << n
		}
	})
	return in, err
}

// each reads a list of *, n, n-m, and any of them with /step.
func each(text string, f field, do func(from, to, step int)) error {
	for part := range strings.SplitSeq(text, ",") {
		span, by, stepped := strings.Cut(part, "/")
		from, to, step := f.min, f.max, 1
		var err error
		if stepped {
			if step, err = strconv.Atoi(by); err != nil || step < 1 || step > f.max {
				return fmt.Errorf("%s: %q is no step from 1 to %d", f.name, by, f.max)
			}
		}
		if span != "*" {
			low, high, isRange := strings.Cut(span, "-")
			if from, err = f.number(low); err != nil {
				return err
			}
			switch {
			case isRange:
				if to, err = f.number(high); err != nil {
					return err
				}
			case !stepped:
				to = from
			}
			if to < from {
				return fmt.Errorf("%s: %q ends before it begins", f.name, span)
			}
		}
		do(from, to, step)
	}
	return nil
}

func (f field) number(text string) (int, error) {
	if n, ok := f.names[strings.ToUpper(text)]; ok {
		return n, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < f.min || n > f.max || text[0] == '+' {
		return 0, fmt.Errorf("%s: %q is no number from %d to %d", f.name, text, f.min, f.max)
	}
	return n, nil
}

// daysOf reads the days of the month; special: with ?, L and W.
func daysOf(text string, special bool) (d days, err error) {
	if text == "*" || special && text == "?" {
		return days{any: true}, nil
	}
	f := field{"day-of-month", 1, 31, nil}
	for part := range strings.SplitSeq(text, ",") {
		number, work := strings.CutSuffix(part, "W")
		switch {
		case special && part == "L":
			d.last = true
		case special && part == "LW":
			d.lastWork = true
		case special && work:
			n, err := f.number(number)
			if err != nil {
				return d, err
			}
			d.work |= 1 << n
		default:
			in, err := set(part, f)
			if err != nil {
				return d, err
			}
			d.in |= in
		}
	}
	return d, nil
}

// weekdaysOf reads the days of the week; special: with ?, L and #.
func weekdaysOf(text string, first int, special bool) (w weekdays, err error) {
	if text == "*" || special && text == "?" {
		return weekdays{any: true}, nil
	}
	f := weekdayField(first)
	if first == 0 {
		f.max = 7 // Sunday again
	}
	for part := range strings.SplitSeq(text, ",") {
		number, last := strings.CutSuffix(part, "L")
		day, nth, hash := strings.Cut(part, "#")
		switch {
		case special && part == "L": // of the week
			w.in |= 1 << 6
		case special && last:
			n, err := f.number(number)
			if err != nil {
				return w, err
			}
			w.last |= 1 << (n - first)
		case special && hash:
			n, err := f.number(day)
			k, bad := strconv.Atoi(nth)
			if err != nil || bad != nil || k < 1 || k > 5 {
				return w, fmt.Errorf("%s: %q is not as 6#3, the third Friday", f.name, part)
			}
			w.nth[k] |= 1 << (n - first)
		default:
			in, err := set(part, f)
			if err != nil {
				return w, err
			}
			in >>= first
			w.in |= in&0x7f | in>>7
		}
	}
	return w, nil
}

// next is the first moment after a time that is in.
func (c *cron) next(after time.Time, zone *time.Location) time.Time {
	local := after.In(zone)
	year, month, day := local.Date()
	hour, minute := local.Hour(), local.Minute()
	for ; year <= lastYear; year, month, day = year+1, 1, 1 {
		if year < firstYear || c.years[(year-firstYear)/64]>>((year-firstYear)%64)&1 == 0 {
			hour, minute = 0, 0
			continue
		}
		for ; month <= 12; month, day = month+1, 1 {
			for n := daysIn(year, month); day <= n; day++ {
				if c.months>>month&1 == 1 && c.dayIn(year, month, day, n) {
					if t := c.within(year, month, day, hour, minute, after, zone); !t.IsZero() {
						return t
					}
				}
				hour, minute = 0, 0
			}
		}
	}
	return time.Time{}
}

// within is the first moment after a time on one day, from an hour and minute on.
func (c *cron) within(year int, month time.Month, day, hour, minute int, after time.Time, zone *time.Location) time.Time {
	for h := hour; h < 24; h, minute = h+1, 0 {
		if c.hours>>h&1 == 0 {
			continue
		}
		for m := c.minutes >> minute << minute; m != 0; m &= m - 1 {
			if t := moment(year, month, day, h, bits.TrailingZeros64(m), zone); t.After(after) {
				return t
			}
		}
	}
	return time.Time{}
}

// moment is the first time that clocks of the zone show this; the zero time when they never do.
func moment(year int, month time.Month, day, hour, minute int, zone *time.Location) time.Time {
	t := time.Date(year, month, day, hour, minute, 0, 0, zone)
	if t.Hour() != hour || t.Minute() != minute {
		return time.Time{}
	}
	if begins, _ := t.ZoneBounds(); !begins.IsZero() {
		_, is := t.Zone()
		_, was := begins.Add(-time.Nanosecond).Zone()
		if earlier := t.Add(time.Duration(is-was) * time.Second); was > is && earlier.Before(begins) {
			return earlier
		}
	}
	return t
}

func daysIn(year int, month time.Month) int {
	return time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// dayIn reports whether a day of a month with n days is in.
func (c *cron) dayIn(year int, month time.Month, day, n int) bool {
	weekday := int(time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Weekday())
	ofMonth := c.days.any || c.days.has(day, n, weekday)
	ofWeek := c.weekdays.any || c.weekdays.has(day, n, weekday)
	if c.either {
		return ofMonth || ofWeek
	}
	return ofMonth && ofWeek
}

func (d *days) has(day, n, weekday int) bool {
	working := weekday != 0 && weekday != 6
	switch {
	case d.in>>day&1 == 1, d.last && day == n:
		return true
	case !working:
		return false
	case d.lastWork && (day == n || weekday == 5 && day >= n-2):
		return true
	}
	// The nth is today, or yesterday was a Saturday or Sunday that moves here, or tomorrow is.
	if d.work>>day&1 == 1 {
		return true
	}
	switch weekday {
	case 1: // Sunday the nth moves to Monday; so does Saturday the first
		return day > 1 && d.work>>(day-1)&1 == 1 || day == 3 && d.work>>1&1 == 1
	case 5: // Saturday the nth moves to Friday; so does Sunday the last
		return day < n && day+1 > 1 && d.work>>(day+1)&1 == 1 || day == n-2 && d.work>>n&1 == 1
	}
	return false
}

func (w *weekdays) has(day, n, weekday int) bool {
	return w.in>>weekday&1 == 1 || w.last>>weekday&1 == 1 && day > n-7 || w.nth[(day-1)/7+1]>>weekday&1 == 1
}
