package schedule

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"casemate"
)

// Lambda checklist: 65
func TestNext(t *testing.T) {
	for _, c := range []struct{ text, zone, after, want string }{
		{"rate(5 minutes)", "", "2026-11-22T10:00:00Z", "2026-11-22T10:05:00Z"}, {"rate(1 day)", "", "2026-11-22T10:00:00Z", "2026-11-23T00:00:00Z"},
		{"cron(0 10 * * ? *)", "", "2026-11-22T10:00:00Z", "2026-11-23T10:00:00Z"}, {"cron(15 12 * * ? *)", "", "2026-11-22T10:00:00Z", "2026-11-22T12:15:00Z"},
		{"cron(0 18 ? * MON-FRI *)", "", "2026-11-20T18:00:00Z", "2026-11-23T18:00:00Z"}, {"cron(0 8 1 * ? *)", "", "2026-11-22T10:00:00Z", "2026-12-01T08:00:00Z"},
		{"cron(0/15 * * * ? *)", "", "2026-11-22T10:14:59Z", "2026-11-22T10:15:00Z"}, {"cron(0/10 * ? * MON-FRI *)", "", "2026-11-22T10:00:00Z", "2026-11-23T00:00:00Z"},
		{"cron(0/5 8-17 ? * MON-FRI *)", "", "2026-11-20T17:55:00Z", "2026-11-23T08:00:00Z"}, {"cron(0 9 ? * 2#1 *)", "", "2026-11-22T10:00:00Z", "2026-12-07T09:00:00Z"},
		{"cron(0 9 L * ? *)", "", "2026-11-22T10:00:00Z", "2026-11-30T09:00:00Z"}, {"cron(0 9 LW * ? *)", "", "2027-01-01T00:00:00Z", "2027-01-29T09:00:00Z"},
		{"cron(0 9 1W * ? *)", "", "2026-07-31T10:00:00Z", "2026-08-03T09:00:00Z"}, {"cron(0 9 31W * ? *)", "", "2027-01-01T10:00:00Z", "2027-01-29T09:00:00Z"},
		{"cron(0 9 15W * ? *)", "", "2026-11-01T10:00:00Z", "2026-11-16T09:00:00Z"}, {"cron(0 9 ? * 6L *)", "", "2026-11-22T10:00:00Z", "2026-11-27T09:00:00Z"},
		{"cron(0 9 ? * L *)", "", "2026-11-22T10:00:00Z", "2026-11-28T09:00:00Z"}, {"cron(0 0 29 FEB ? *)", "", "2026-11-22T10:00:00Z", "2028-02-29T00:00:00Z"},
		{"cron(0 0 30 2 ? *)", "", "2026-11-22T10:00:00Z", ""}, {"cron(0 0 1 1 ? 2025)", "", "2026-11-22T10:00:00Z", ""}, {"cron(0 0 1 1 ? 2027/2)", "", "2027-01-01T00:00:00Z", "2029-01-01T00:00:00Z"},
		{"*/20 * * * *", "", "2026-11-22T10:40:00Z", "2026-11-22T11:00:00Z"}, {"0 9 13 * 5", "", "2026-11-22T10:00:00Z", "2026-11-27T09:00:00Z"}, {"0 9 * * 7", "", "2026-11-22T10:00:00Z", "2026-11-29T09:00:00Z"},
		{"0 9 * * mon,wed", "", "2026-11-23T10:00:00Z", "2026-11-25T09:00:00Z"}, {"@monthly", "", "2026-11-22T10:00:00Z", "2026-12-01T00:00:00Z"},
		{"at(2027-01-31T09:00:00)", "Europe/Berlin", "2026-11-22T10:00:00Z", "2027-01-31T08:00:00Z"}, {"at(2026-01-31T09:00:00)", "", "2026-11-22T10:00:00Z", ""},
		{"cron(0 9 * * ? *)", "America/New_York", "2026-11-22T10:00:00Z", "2026-11-22T14:00:00Z"},
		// 02:30 is left out on 2027-03-28 in Berlin, and comes once on 2027-10-31, the first time.
		{"cron(30 2 * * ? *)", "Europe/Berlin", "2027-03-27T12:00:00Z", "2027-03-29T00:30:00Z"}, {"cron(30 2 * * ? *)", "Europe/Berlin", "2027-10-30T12:00:00Z", "2027-10-31T00:30:00Z"},
		{"cron(30 2 * * ? *)", "Europe/Berlin", "2027-10-31T00:30:00Z", "2027-11-01T01:30:00Z"}, {"cron(30 2 * * ? *)", "Europe/Berlin", "2027-10-31T01:10:00Z", "2027-11-01T01:30:00Z"},
	} {
		e, err := Parse(c.text, c.zone)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		after, _ := time.Parse(time.RFC3339, c.after)
		want, _ := time.Parse(time.RFC3339, c.want)
		if got := e.Next(after, time.Unix(0, 0)); !got.Equal(want) {
			t.Errorf("%s after %s in %q: %s, want %s", c.text, c.after, c.zone, got.UTC(), want)
		}
	}
	if next := (Expression{}).Next(time.Now(), time.Now()); !next.IsZero() {
		t.Errorf("the zero expression comes at %s", next)
	}
}

func TestParseRefuses(t *testing.T) {
	for text, says := range map[string]string{
		"": "five fields", "every day": "five fields", "rate(5)": "no unit", "rate(1 minutes)": "no unit for 1", "rate(5 minute)": "no unit for 5", "rate(0 minutes)": "no number", "rate(-1 minutes)": "no number",
		"rate(+5 minutes)": "no number", "rate(5 weeks)": "no unit", "rate(5 minutes": "not closed", "cron(0 10 * * *)": "six fields", "cron(0 10 * * * *)": "must be ?", "cron(0 10 ? * ? *)": "must be ?",
		"cron(60 10 * * ? *)": "from 0 to 59", "cron(0 24 * * ? *)": "from 0 to 23", "cron(0 0 32 * ? *)": "from 1 to 31", "cron(0 0 1 13 ? *)": "from 1 to 12", "cron(0 0 ? * 0 *)": "from 1 to 7", "cron(0 0 ? * 8 *)": "from 1 to 7",
		"cron(0 0 ? * MON#6 *)": "third Friday", "cron(0 0 1 1 ? 1969)": "from 1970", "cron(5-1 * * * ? *)": "ends before", "cron(*/0 * * * ? *)": "no step", "cron(, * * * ? *)": "no number", "at(tomorrow)": "no time as",
		"at(2027-02-30T09:00:00)": "no time as", "* * ? * *": "no number", "* * L * *": "no number", "@never": "five fields", "go(1)": "no go()", "60 * * * *": "from 0 to 59", "0 0 * * 8": "from 0 to 7", strings.Repeat("*", 300): "longer",
	} {
		if _, err := Parse(text, ""); casemate.CodeOf(err) != casemate.Invalid || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, zone := range []string{"Mars/Phobos", "Local", "../../etc/passwd"} {
		if _, err := Parse("@daily", zone); casemate.CodeOf(err) != casemate.Invalid {
			t.Errorf("zone %q: %v", zone, err)
		}
	}
}

// TestNextAgreesWithEveryMinute: the moments are those that one finds who looks at the clock on the wall each minute, and does not
// look again while it goes through an hour for the second time.
func TestNextAgreesWithEveryMinute(t *testing.T) {
	zones := []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"}
	rapid.Check(t, func(t *rapid.T) {
		number := func(name string, least, most int) string {
			n := rapid.IntRange(least, most).Draw(t, name)
			switch rapid.IntRange(0, 3).Draw(t, name+" as") {
			case 0:
				return "*"
			case 1:
				return fmt.Sprintf("%d-%d", n, rapid.IntRange(n, most).Draw(t, name+" to"))
			case 2:
				return fmt.Sprintf("%d/%d", n, rapid.IntRange(1, most).Draw(t, name+" by"))
			}
			return fmt.Sprint(n)
		}
		text := strings.Join([]string{number("minute", 0, 59), number("hour", 0, 23), number("day", 1, 31), number("month", 1, 12), number("weekday", 0, 6)}, " ")
		e, err := Parse(text, rapid.SampledFrom(zones).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		// Around the changes of summer time in one of the zones.
		from := time.Date(2027, rapid.SampledFrom([]time.Month{3, 4, 10, 11}).Draw(t, "season"), 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, rapid.IntRange(-2, 31).Draw(t, "from"))
		got, until := from, from.Add(60*time.Hour)
		for at := from.Add(time.Minute); !at.After(until); at = at.Add(time.Minute) {
			if !shows(e, at) {
				continue
			}
			if got = e.Next(got, from); !got.Equal(at) {
				t.Fatalf("%s in %s: %s, and the clock says %s", text, e.zone, got.In(e.zone), at.In(e.zone))
			}
		}
		if got = e.Next(got, from); !got.IsZero() && !got.After(until) {
			t.Fatalf("%s in %s: %s, and the clock says nothing", text, e.zone, got.In(e.zone))
		}
	})
}

// shows reads the clock on the wall.
func shows(e Expression, at time.Time) bool {
	local := at.In(e.zone)
	year, month, day := local.Date()
	if e.cron.minutes>>local.Minute()&1 == 0 || e.cron.hours>>local.Hour()&1 == 0 || e.cron.months>>month&1 == 0 || !e.cron.dayIn(year, month, day, daysIn(year, month)) {
		return false
	}
	for back := 15 * time.Minute; back <= 2*time.Hour; back += 15 * time.Minute { // the same reading before: it is the second time
		if was := at.Add(-back).In(e.zone); was.Format("2006-01-02T15:04") == local.Format("2006-01-02T15:04") {
			return false
		}
	}
	return true
}

// TestWorkingDays: nW is the working day nearest to the nth in the same month, found by looking.
func TestWorkingDays(t *testing.T) {
	for year := 2026; year <= 2030; year++ {
		for month := time.January; month <= 12; month++ {
			n := daysIn(year, month)
			for want := 1; want <= n; want++ {
				nearest := 0
				for away := 0; away <= 3 && nearest == 0; away++ {
					for _, day := range []int{want - away, want + away} {
						if w := time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Weekday(); day >= 1 && day <= n && w != time.Saturday && w != time.Sunday && nearest == 0 {
							nearest = day
						}
					}
				}
				d, err := daysOf(fmt.Sprintf("%dW", want), true)
				if err != nil {
					t.Fatal(err)
				}
				for day := 1; day <= n; day++ {
					if has := d.has(day, n, int(time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Weekday())); has != (day == nearest) {
						t.Errorf("%dW in %d-%02d: the %dth is %v, the nearest is the %dth", want, year, month, day, has, nearest)
					}
				}
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"rate(5 minutes)", "cron(0/15 * ? * MON#2,6L *)", "cron(0 0 LW,3W * ? 2027-2030)", "at(2027-01-31T09:00:00)", "*/5 1-2,7 * * 0-7", "@daily"} {
		f.Add(seed, "Europe/Berlin")
	}
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text, zone string) {
		e, err := Parse(text, zone)
		if err != nil {
			if casemate.CodeOf(err) != casemate.Invalid {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		at := e.Next(now, now)
		if !at.IsZero() && !at.After(now) {
			t.Fatalf("%q comes at %s", text, at)
		}
	})
}
