package manifest

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"casemate/shield"
)

// Screen says how the text of requests that no contract closes is looked at.
type Screen struct {
	Mode    string         `key:"mode" one:"block tag off" doc:"block: what looks like an attack is refused (default). tag: it is noted in the record and passes. off: nothing is looked at."`
	Profile string         `key:"profile" one:"casemate crs" doc:"casemate: a rule refuses where the value was confirmed to have the structure of the attack (default). crs: as the OWASP Core Rule Set does at paranoia level 1."`
	Text    Size           `key:"text" min:"64KB" max:"6MB" doc:"Free text that one event may hold: what is more is refused (default some 400 KB). 1 MB of it costs about half a second of processor time."`
	Except  []ScreenExcept `key:"except" doc:"Rules that pass in one place, each with a reason and an end."`
}

// ScreenExcept lets a rule pass in one place.
type ScreenExcept struct {
	Rule    RuleID `key:"rule" need:"" doc:"The rule, as a refusal names it: 942100, casemate/template."`
	Field   string `key:"field" need:"" like:"^[a-z]{2,20}/[^\\s]{1,200}$" doc:"The place, as a refusal names it, and everything below it: body/comment, query/q, header/x-note."`
	Reason  string `key:"reason" need:"" doc:"Why what looks like an attack is none here."`
	Expires Date   `key:"expires" need:"" doc:"Day on which the rule refuses again, at most a year ahead: 2027-01-31."`
}

// RuleID is a rule's number, or a detector's name.
type RuleID string

func (r *RuleID) decode(d *decoder, n *yaml.Node, ptr string) {
	if tag := n.ShortTag(); n.Kind != yaml.ScalarNode || tag != "!!int" && tag != "!!str" {
		d.wrong(n, ptr, "a rule", "942100, or casemate/template")
		return
	}
	*r = RuleID(n.Value)
}

// screen checks exceptions as strictly as those of open routes.
func (c *checker) screen(ptr string, s *Screen) {
	if s == nil {
		return
	}
	for i := range s.Except {
		x, at := &s.Except[i], ptr+"/except/"+strconv.Itoa(i)
		if !shield.KnownRule(string(x.Rule)) {
			c.bad(at+"/rule", "a refusal and casemate screen name the rule", "there is no rule %s", x.Rule)
		}
		switch left := x.Expires.Sub(c.Now); {
		case left <= 0:
			c.bad(at+"/expires", "choose a later day, or take the exception out", "the exception has expired")
		case left > MaxException:
			c.bad(at+"/expires", "choose a day within a year", "an exception lasts a year at most")
		}
		if len(strings.TrimSpace(x.Reason)) < 3 {
			c.bad(at+"/reason", "say why it is no attack here", "an exception needs a reason")
		}
	}
	if s.Mode == "off" || s.Mode == "tag" {
		c.warn(ptr+"/mode", "", "attacks are not refused here: the screen is %s", map[string]string{"off": "off", "tag": "only taking notes"}[s.Mode])
	}
}
