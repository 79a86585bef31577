package shield

import (
	"strconv"
	"strings"
	"time"

	"casemate"
	"casemate/shield/detect"
	"casemate/shield/screen"
)

// Screening judges events by the Core Rule Set and the shield's own detectors together. A rule that matches is enough
// where the value was confirmed to have the structure of the attack (SQL injection, script in pages); elsewhere a rule is
// a note, and refuses together with what a detector found in the same place: the rules see attacks in much that people
// write about programs.
type Screening struct {
	Engine func() (*screen.Engine, error) // waits until the rules are compiled
	Now    func() time.Time
}

// maxNotes bounds what one event can write into its record.
const maxNotes = 16

// ruleBudget is the rule that says that an event held more than can be looked at.
const ruleBudget = "casemate/budget"

// Judge is a Judge.
func (s Screening) Judge(m *casemate.Match, _ *casemate.Event, fields []casemate.Field, found []Found, over error) ([]string, error) {
	var way casemate.Screen
	switch {
	case m.Route != nil:
		way = m.Route.Screen
	case m.Version != nil:
		way, _ = m.Version.ByName()
	}
	if way.Mode == casemate.ScreenOff {
		return nil, nil
	}
	j := judgement{way: &way, now: s.Now(), places: map[string]int{}}
	for i := range found {
		j.detected(&found[i])
	}
	if len(fields) > 0 && j.why == nil || way.Mode == casemate.ScreenTag {
		engine, err := s.Engine()
		if err != nil {
			return nil, &casemate.Error{Code: casemate.Unavailable, Message: "the request cannot be screened", Hint: "give the request id to the operator", Err: err}
		}
		v := engine.Fields(fields, screen.Options{Exempt: j.exempt, Budget: screen.BudgetFor(way.Text)})
		for i := range v.Matches {
			j.matched(&v.Matches[i])
		}
		if v.Spent && over == nil {
			over = &casemate.Error{Code: casemate.TooLarge, Rule: ruleBudget, Message: "the request holds more text than can be screened", Hint: "send less at once, have a contract bound it, or let the route take more: screen: {text: 2MB}"}
		}
		if way.Profile == casemate.ScreenCRS && v.Blocked && j.why == nil && len(v.Matches) > 0 {
			last := v.Matches[len(v.Matches)-1]
			j.refuse(strconv.Itoa(last.ID), last.Class, last.In, last.Name)
		}
	}
	switch {
	case way.Mode == casemate.ScreenTag:
		if over != nil {
			j.note(ruleBudget + ": not all of it was looked at")
		}
		return j.notes, nil
	case j.why != nil:
		return j.notes, j.why
	}
	return j.notes, over
}

// judgement adds up what was found in one event.
type judgement struct {
	way    *casemate.Screen
	now    time.Time
	places map[string]int // scores of what is not enough by itself, by place; of detectors, and -1 where a rule matched
	all    int
	notes  []string
	why    error // the first reason to refuse
}

// Place is where something was found, as exceptions name it: "body/comment", "query/page".
func Place(in, name string) string { return in + "/" + strings.TrimPrefix(name, "/") }

// exempt is a screen.Exempt.
func (j *judgement) exempt(rule int, in, name string) bool {
	return j.excepted(strconv.Itoa(rule), in, name)
}

func (j *judgement) excepted(rule, in, name string) bool {
	for i := range j.way.Except {
		x := &j.way.Except[i]
		if x.Rule != rule || !x.Live(j.now) {
			continue
		}
		at := Place(in, name)
		if rest, ok := strings.CutPrefix(at, x.Field); ok && (rest == "" || rest[0] == '/' || rest[0] == ':') {
			return true
		}
	}
	return false
}

func (j *judgement) detected(f *Found) {
	if j.excepted(f.Rule, f.In, f.Where) {
		return
	}
	j.note(f.Rule + " " + string(f.Class) + " " + Place(f.In, f.Where))
	at := Place(f.In, f.Where)
	j.all += f.Score
	if j.places[at] += f.Score; f.Score >= detect.Sure || j.all >= detect.Sure {
		j.refuse(f.Rule, string(f.Class), f.In, f.Where)
	}
}

func (j *judgement) matched(m *screen.Match) {
	rule := strconv.Itoa(m.ID)
	if m.In == "" || m.Severity == "" { // it only adds up
		return
	}
	j.note(rule + " " + m.Class + " " + Place(m.In, m.Name))
	if m.Confirmed || j.places[Place(m.In, m.Name)] >= detect.Likely {
		j.refuse(rule, m.Class, m.In, m.Name)
	}
}

func (j *judgement) note(s string) {
	if len(j.notes) < maxNotes {
		j.notes = append(j.notes, "screen "+s)
	}
}

func (j *judgement) refuse(rule, class, in, name string) {
	if j.why == nil {
		j.why = &casemate.Error{Code: casemate.Invalid, Field: Place(in, name), Rule: rule,
			Message: "the request was refused: it looks like an attack (" + class + ")",
			Hint:    "if it is none, give the request id to the operator: a contract for the field, or an exception with a reason and an end, lets it pass"}
	}
}
