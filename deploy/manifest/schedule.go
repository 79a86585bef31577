package manifest

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"casemate"
	"casemate/schedule"
)

// Schedule has a function run at moments in time.
type Schedule struct {
	Function string `key:"function" need:"" doc:"Name of the function."`
	When     string `key:"when" need:"" doc:"rate(5 minutes), cron(0 9 ? * MON-FRI *) as AWS has it, at(2027-01-31T09:00:00) for once, or the five fields of a crontab: 0 9 * * 1-5."`
	Zone     string `key:"zone" doc:"Time zone by its IANA name: Europe/Berlin (default UTC)."`
	Start    string `key:"start" doc:"Nothing comes before: 2027-01-01T00:00:00Z."`
	End      string `key:"end" doc:"Nothing comes after."`
	Input    string `key:"input" doc:"JSON that the function gets (default EventBridge's scheduled event)."`
	Overlap  string `key:"overlap" one:"allow skip" doc:"skip: a moment is left out while the run before goes on; nothing is retried (default allow: each moment is an asynchronous event)."`
	Missed   string `key:"missed" one:"once all skip" doc:"What becomes of moments that the node missed: one run for all of them (default), one each of the last 100, none."`
	State    string `key:"state" one:"enabled disabled" doc:"disabled: nothing comes (default enabled)."`
}

// Between are Start and End; zero where it has none. The check has seen that they can be read.
func (s *Schedule) Between() (start, end time.Time) {
	start, _ = time.Parse(time.RFC3339, s.Start)
	end, _ = time.Parse(time.RFC3339, s.End)
	return start, end
}

func (c *checker) schedules() {
	for _, name := range slices.Sorted(maps.Keys(c.Schedules)) {
		s, ptr := c.Schedules[name], "/schedules/"+Escape(name)
		if c.Functions[s.Function] == nil {
			c.bad(ptr+"/function", "name a function of this app", "there is no function %q", s.Function)
		}
		if s.When != "" {
			if _, err := schedule.Parse(s.When, s.Zone); err != nil {
				e := casemate.AsError(err)
				field := "/when"
				if e.Field == "zone" {
					field = "/zone"
				}
				c.bad(ptr+field, e.Hint, "%s", e.Message)
			}
		}
		for _, x := range []struct{ field, text string }{{"start", s.Start}, {"end", s.End}} {
			if _, err := time.Parse(time.RFC3339, x.text); err != nil && x.text != "" {
				c.bad(ptr+"/"+x.field, "2027-01-31T09:00:00Z", "%q is no time with a zone", x.text)
			}
		}
		if start, end := s.Between(); !end.IsZero() && !start.Before(end) {
			c.bad(ptr+"/end", "", "it ends before it starts")
		}
		if s.Input != "" && !json.Valid([]byte(s.Input)) {
			c.bad(ptr+"/input", `'{"kind": "nightly"}'`, "it is no JSON")
		}
	}
}
