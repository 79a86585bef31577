package analysis

import (
	"time"

	"casemate"
	"casemate/policy"
)

// Difference is one recorded decision that a changed policy would make otherwise, or that cannot be told.
type Difference struct {
	Record    string    `json:"record"`
	At        time.Time `json:"at"`
	Principal string    `json:"principal"`
	Role      string    `json:"role,omitempty"`
	Action    string    `json:"action"`
	Resource  string    `json:"resource"`
	Was       string    `json:"was"` // allow or deny
	Now       string    `json:"now"` // allow, deny or unknown
	By        string    `json:"by,omitempty"`
	Reason    string    `json:"reason,omitempty"`
	Missing   []string  `json:"missing,omitempty"` // keys that the record does not hold
}

// Report is what a changed policy would have made of history.
type Report struct {
	Records     int          `json:"records"`
	Questions   int          `json:"questions"`
	Same        int          `json:"same"`
	Denials     int          `json:"denials"` // were allowed, would be denied
	Allows      int          `json:"allows"`  // were denied, would be allowed
	Unknown     int          `json:"unknown"` // the record does not hold what the changed policy would depend on
	From        time.Time    `json:"from,omitzero"`
	Until       time.Time    `json:"until,omitzero"`
	Differences []Difference `json:"differences"`
	More        int          `json:"more,omitempty"` // differences beyond the first 200
}

// maxDifferences bounds a report.
const maxDifferences = 200

// Replay puts recorded decisions to another policy. It is not safe for concurrent use.
type Replay struct {
	set     *policy.Set
	account string
	report  Report
}

// NewReplay makes a replay against set on the node's account.
func NewReplay(set *policy.Set, account string) *Replay {
	return &Replay{set: set, account: account, report: Report{Differences: []Difference{}}}
}

// Add replays one record.
func (p *Replay) Add(r *casemate.Record) {
	qs := Questions(r, p.account)
	if len(qs) == 0 {
		return
	}
	t := &p.report
	t.Records++
	if t.From.IsZero() || r.Opened.Before(t.From) {
		t.From = r.Opened
	}
	if r.Opened.After(t.Until) {
		t.Until = r.Opened
	}
	for i := range qs {
		p.ask(&qs[i])
	}
}

func (p *Replay) ask(q *Question) {
	t := &p.report
	t.Questions++
	a := q.Ask(p.set)
	now := a.Decision.Verdict.String()
	switch {
	case !a.Known:
		t.Unknown++
		now = "unknown"
	case a.Decision.Verdict == q.Was.Verdict:
		t.Same++
		return
	case a.Decision.Verdict == casemate.Allowed:
		t.Allows++
	default:
		t.Denials++
	}
	if len(t.Differences) == maxDifferences {
		t.More++
		return
	}
	t.Differences = append(t.Differences, Difference{Record: q.Record.ID, At: q.Record.Opened, Principal: q.Request.Principal.Name(), Role: q.role,
		Action: q.Request.Action, Resource: q.Request.Resource, Was: q.Was.Verdict.String(), Now: now, By: a.Decision.Statement,
		Reason: a.Decision.Reason, Missing: a.Missing})
}

// Report is what came of it so far.
func (p *Replay) Report() Report { return p.report }
