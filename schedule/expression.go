package schedule

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"casemate"
)

// Expression is a schedule. The zero Expression never comes.
type Expression struct {
	text string
	zone *time.Location
	rate time.Duration // not 0: again and again, counted from a start
	at   time.Time     // not zero: once
	cron *cron         // otherwise, unless nil
}

// Parse reads rate(5 minutes), cron(0 9 ? * MON-FRI *), at(2027-01-31T09:00:00), five fields of crontab(5), or @hourly, @daily,
// @weekly, @monthly, @yearly. Wall-clock times are those of zone, an IANA name; "" is UTC. Errors name the part that is wrong.
func Parse(text, zone string) (Expression, error) {
	e := Expression{text: strings.TrimSpace(text), zone: time.UTC}
	if zone != "" {
		loc, err := time.LoadLocation(zone)
		if err != nil || zone == "Local" {
			return Expression{}, &casemate.Error{Code: casemate.Invalid, Field: "zone", Message: fmt.Sprintf("%q is no time zone", zone), Hint: "name one of the IANA database: Europe/Berlin", Err: err}
		}
		e.zone = loc
	}
	var err error
	name, inside, call := strings.Cut(e.text, "(")
	inside, closed := strings.CutSuffix(inside, ")")
	switch {
	case len(text) > maxText:
		err = fmt.Errorf("it is longer than %d bytes", maxText)
	case call && !closed:
		err = fmt.Errorf("its parenthesis is not closed")
	case call && name == "rate":
		e.rate, err = rateOf(inside)
	case call && name == "cron":
		e.cron, err = sixFields(inside)
	case call && name == "at":
		if e.at, err = time.ParseInLocation("2006-01-02T15:04:05", inside, e.zone); err != nil {
			err = fmt.Errorf("%q is no time as 2027-01-31T09:00:00", inside)
		}
	case call:
		err = fmt.Errorf("there is no %s(): rate(), cron() or at()", name)
	case nicknames[e.text] != "":
		e.cron, err = fiveFields(nicknames[e.text])
	default:
		e.cron, err = fiveFields(e.text)
	}
	if err != nil {
		return Expression{}, &casemate.Error{Code: casemate.Invalid, Field: "schedule", Message: fmt.Sprintf("%.80q: %s", text, err),
			Hint: "rate(5 minutes), cron(0 9 ? * MON-FRI *), at(2027-01-31T09:00:00), or the five fields of a crontab: 0 9 * * 1-5"}
	}
	return e, nil
}

const maxText = 256

var nicknames = map[string]string{"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *"}

// rateOf reads "5 minutes": one of a unit is written in the singular.
func rateOf(text string) (time.Duration, error) {
	number, unit, _ := strings.Cut(text, " ")
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || n > 1_000_000 || number[0] == '+' {
		return 0, fmt.Errorf("%q is no number from 1 to 1000000", number)
	}
	units := map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}
	one, plural := strings.CutSuffix(unit, "s")
	d, known := units[one]
	if !known || plural == (n == 1) {
		return 0, fmt.Errorf("%q is no unit for %d: minute, hour or day for one, minutes, hours or days for more", unit, n)
	}
	return time.Duration(n) * d, nil
}

// String is the expression as it was written.
func (e Expression) String() string { return e.text }

// Once reports whether it comes one time only.
func (e Expression) Once() bool { return !e.at.IsZero() }

// Next is the first moment after a time; the zero time: none comes any more. Rates count from start. A wall-clock time that a
// change to summer time leaves out is left out, and one that comes twice is taken once, the first time
// (https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#daylist-savings-time).
func (e Expression) Next(after, start time.Time) time.Time {
	switch {
	case e.rate > 0:
		if after.Before(start) {
			return start.Add(e.rate)
		}
		return start.Add((after.Sub(start)/e.rate + 1) * e.rate)
	case e.Once():
		if e.at.After(after) {
			return e.at
		}
		return time.Time{}
	case e.cron == nil:
		return time.Time{}
	}
	return e.cron.next(after, e.zone)
}
