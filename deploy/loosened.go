package deploy

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"casemate"
	"casemate/catalog"
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

// rooms tells how a limit over rates, runs at once and quotas changes. None is more than any.
func (c *comparer) rooms(k string, was, is casemate.Limit) {
	number := func(what string, from, to int64) {
		if from != to {
			c.say(KindLimit, "change", k, to == 0 || from > 0 && to > from, "%s %s instead of %s", what, countText(to), countText(from))
		}
	}
	if was.Rate != is.Rate {
		c.say(KindLimit, "change", k, is.Rate.PerSecond == 0 || was.Rate.PerSecond > 0 && (is.Rate.PerSecond > was.Rate.PerSecond || is.Rate.Burst > was.Rate.Burst),
			"rate %s instead of %s", rateText(is.Rate), rateText(was.Rate))
	}
	number("runs at once", int64(was.Concurrency), int64(is.Concurrency))
	number("a day", was.Day, is.Day)
	number("a month", was.Month, is.Month)
}

func countText(n int64) string {
	if n == 0 {
		return "any number"
	}
	return fmt.Sprint(n)
}

// plans tells which usage plans come, go and change, and whose is another.
func (c *comparer) plans(current, next *catalog.App) {
	for _, name := range union(current.Plans, next.Plans) {
		o, n, k := current.Plans[name], next.Plans[name], "plan "+name
		switch {
		case n == nil:
			c.say(KindLimit, "remove", k, false, "keys that name it are refused")
			continue
		case o == nil:
			c.say(KindLimit, "add", k, false, "%s", limitText(n.Limit))
			o = &casemate.Plan{Limit: n.Limit}
		}
		c.rooms(k, o.Limit, n.Limit)
		for _, route := range union(o.Routes, n.Routes) {
			_, has := n.Routes[route]
			switch _, had := o.Routes[route]; {
			case !has:
				c.say(KindLimit, "remove", k+" on "+route, true, "%s", limitText(o.Routes[route]))
			case !had:
				c.say(KindLimit, "add", k+" on "+route, n.Routes[route].Rate.PerSecond > 0, "%s, in place of the route's own rate", limitText(n.Routes[route]))
			default:
				c.rooms(k+" on "+route, o.Routes[route], n.Routes[route])
			}
		}
	}
	for _, role := range union(current.Roles, next.Roles) {
		if was, is := current.Roles[role].Plan, next.Roles[role].Plan; was != is {
			c.say(KindLimit, "change", "role "+role, is == "", "plan %s instead of %s", cmp.Or(is, "none"), cmp.Or(was, "none"))
		}
	}
}

func limitText(l casemate.Limit) string {
	var parts []string
	if l.Rate.PerSecond > 0 {
		parts = append(parts, "rate "+rateText(l.Rate))
	}
	for _, x := range [...]struct {
		n    int64
		what string
	}{{int64(l.Concurrency), "at once"}, {l.Day, "a day"}, {l.Month, "a month"}} {
		if x.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", x.n, x.what))
		}
	}
	return cmp.Or(strings.Join(parts, ", "), "no limit of its own")
}

// standing tells of what costs money while nothing runs, and of places that are set aside.
func (c *comparer) standing(subject string, was, is *casemate.Version) {
	if was.Spare != is.Spare {
		c.say(KindLimit, "change", subject, is.Spare > was.Spare, "provisioned %d instead of %d: they cost while nothing runs", is.Spare, was.Spare)
	}
	set := func(n *int) string {
		if n == nil {
			return "none"
		}
		return fmt.Sprint(*n)
	}
	if a, b := was.Limits.Reserved, is.Limits.Reserved; set(a) != set(b) {
		c.say(KindLimit, "change", subject, b != nil && (a == nil || *b > *a) || b == nil, "reserved_concurrency %s instead of %s", set(b), set(a))
	}
	c.rooms(subject, casemate.Limit{Day: was.Limits.Day, Month: was.Limits.Month}, casemate.Limit{Day: is.Limits.Day, Month: is.Limits.Month})
	for _, x := range [...]struct {
		what     string
		from, to string
		more     bool
	}{{"retries", fmt.Sprint(was.Async.Retries), fmt.Sprint(is.Async.Retries), is.Async.Retries > was.Async.Retries},
		{"age of queued events", was.Async.MaxAge.String(), is.Async.MaxAge.String(), is.Async.MaxAge > was.Async.MaxAge},
		{"on_success", cmp.Or(was.Told().OnSuccess, "none"), cmp.Or(is.Told().OnSuccess, "none"), is.Told().OnSuccess != ""},
		{"on_failure", cmp.Or(was.Told().OnFailure, "none"), cmp.Or(is.Told().OnFailure, "none"), is.Told().OnFailure != ""},
		{"dead_letter", cmp.Or(was.Told().DeadLetter, "none"), cmp.Or(is.Told().DeadLetter, "none"), is.Told().DeadLetter != ""}} {
		if x.from != x.to {
			c.say(KindLimit, "change", subject, x.more, "%s %s instead of %s", x.what, x.to, x.from)
		}
	}
}
