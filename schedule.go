package casemate

import "time"

// Schedule has a function run again and again, or once.
type Schedule struct {
	App       string    `json:"app"`
	Name      string    `json:"name"` // unique in its app
	Function  string    `json:"function"`
	Qualifier string    `json:"qualifier,omitempty"` // version or alias; "": what is in force
	When      string    `json:"when"`                // rate(...), cron(...), at(...) or five fields of a crontab
	Zone      string    `json:"zone,omitempty"`      // IANA name; "": UTC
	Start     time.Time `json:"start,omitzero"`      // nothing comes before
	End       time.Time `json:"end,omitzero"`        // nothing comes after
	Input     string    `json:"input,omitempty"`     // JSON that the function gets; "": EventBridge's scheduled event
	Overlap   string    `json:"overlap,omitempty"`   // "": runs may overlap; ScheduleAlone
	Missed    string    `json:"missed,omitempty"`    // "": once for all that the node missed; ScheduleAll, ScheduleSkip
	Disabled  bool      `json:"disabled,omitempty"`
}

// What becomes of moments that come while another run goes on, or that nobody was there for.
const (
	ScheduleAlone = "skip" // Overlap: a moment is left out while the run before goes on
	ScheduleAll   = "all"  // Missed: each of the last 100 is made up for
	ScheduleSkip  = "skip" // Missed: none is
)

// ID tells schedules of a node apart.
func (s *Schedule) ID() string { return s.App + "/" + s.Name }

// Role is the role that a schedule calls its function in. Its slash keeps it apart from roles of callers; the one statement that
// it has is written with the schedule.
func (s *Schedule) Role() string { return "schedule/" + s.ID() }

// Target is the function as an event names it.
func (s *Schedule) Target() string {
	if s.Qualifier == "" {
		return s.Function
	}
	return s.Function + ":" + s.Qualifier
}

// RuleARN is arn:aws:events:<region>:<account>:rule/<app>-<name>: what a scheduled event says it comes from.
func (p Place) RuleARN(s *Schedule) string {
	return "arn:aws:events:" + p.Region + ":" + p.Account + ":rule/" + s.App + "-" + s.Name
}
