package diff

import (
	"cmp"
	"time"

	"casemate"
	"casemate/deploy/manifest"
)

// A change of what is looked at, and of what callers are held to, is for whoever may change permissions to see: where less is
// refused than before it stands among the permissions, first.

// clean tells what changes in how attacks are looked for and answers are kept clean; of a new route, where it is weaker than
// the default.
func (c *comparer) clean(k string, was, is casemate.Screen, wasOut, isOut casemate.Leaks) {
	said := func(what, from, to string, weaker bool) {
		if from != to {
			c.say(weakened(weaker), "change", k, weaker, "%s: %s instead of %s", what, to, from)
		}
	}
	strict := map[string]int{casemate.ScreenBlock: 0, casemate.ScreenTag: 1, casemate.ScreenOff: 2}
	said("screen", cmp.Or(was.Mode, "block"), cmp.Or(is.Mode, "block"), strict[is.Mode] > strict[was.Mode])
	said("screen profile", cmp.Or(was.Profile, "casemate"), cmp.Or(is.Profile, "casemate"), was.Profile == casemate.ScreenCRS)
	if was.Text != is.Text {
		c.say(KindLimit, "change", k, is.Text > was.Text, "text that is screened %s instead of %s", textSize(is.Text), textSize(was.Text))
	}
	old, fresh := map[string]casemate.ScreenExcept{}, map[string]casemate.ScreenExcept{}
	for _, x := range was.Except {
		old[x.Rule+" in "+x.Field] = x
	}
	for _, x := range is.Except {
		fresh[x.Rule+" in "+x.Field] = x
	}
	for _, id := range union(old, fresh) {
		o, had := old[id]
		n, has := fresh[id]
		switch {
		case !has:
			c.say(KindRoute, "remove", k, false, "rule %s has no exception any more", id)
		case !had || !o.Expires.Equal(n.Expires):
			c.say(weakened(!had || n.Expires.After(o.Expires)), "add", k, !had || n.Expires.After(o.Expires), "rule %s lets it pass until %s: %s", id, n.Expires.Format(time.DateOnly), n.Reason)
		}
	}
	of := func(what, from, to, otherwise string) {
		rank := map[string]int{"block": 0, "scrub": 0, "blocked or masked": 1, "mask": 2, "off": 3}
		from, to = cmp.Or(from, otherwise), cmp.Or(to, otherwise)
		said("leaks of "+what, from, to, rank[to] > rank[from])
	}
	of("secrets", wasOut.Secrets, isOut.Secrets, "blocked or masked")
	of("personal data", wasOut.Personal, isOut.Personal, "off")
	of("traces", wasOut.Traces, isOut.Traces, "scrub")
}

func textSize(n int64) string {
	if n == 0 {
		return "by default"
	}
	return manifest.Size(n).String()
}

func weakened(yes bool) string {
	if yes {
		return KindPermission
	}
	return KindRoute
}
