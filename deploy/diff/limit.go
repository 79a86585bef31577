package diff

import (
	"cmp"
	"fmt"
	"strings"

	"casemate"
	"casemate/catalog"
	"casemate/deploy/manifest"
)

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

func (c *comparer) limits(subject string, was, is casemate.Limits) {
	say := func(what string, more bool, a, b any) {
		if a != b {
			c.say(KindLimit, "change", subject, more, "%s %v instead of %v", what, b, a)
		}
	}
	say("timeout", is.Timeout > was.Timeout, was.Timeout, is.Timeout)
	say("init_timeout", is.InitTimeout > was.InitTimeout, was.InitTimeout, is.InitTimeout)
	say("memory in MB", is.MemoryMB > was.MemoryMB, was.MemoryMB, is.MemoryMB)
	say("cpu in thousandths of a core", is.CPU == 0 || was.CPU > 0 && is.CPU > was.CPU, was.CPU, is.CPU)
	say("tmp in MB", is.TmpMB > was.TmpMB, was.TmpMB, is.TmpMB)
	say("concurrency", is.Concurrency > was.Concurrency, was.Concurrency, is.Concurrency)
	say("max_body", is.Request > was.Request, manifest.Size(was.Request), manifest.Size(is.Request))
	say("lifetime", is.Lifetime > was.Lifetime, was.Lifetime, is.Lifetime)
	say("max_events", is.Events > was.Events, was.Events, is.Events)
	say("output", is.Output > was.Output, manifest.Size(was.Output), manifest.Size(is.Output))
	say("connections", is.Connections > was.Connections, was.Connections, is.Connections)
	say("traffic", is.Traffic > was.Traffic, manifest.Size(was.Traffic), manifest.Size(is.Traffic))
	say("rate", is.Rate.PerSecond > was.Rate.PerSecond, rateText(was.Rate), rateText(is.Rate))
}

func rateText(r casemate.Rate) string {
	if r.PerSecond == 0 {
		return "by default"
	}
	return fmt.Sprintf("%g/s burst %d", r.PerSecond, r.Burst)
}

// budgets says which ceilings come, go and change. One more, or a lower one, lets nobody do more.
func (c *comparer) budgets(was, is []casemate.Budget) {
	byID := func(list []casemate.Budget) map[string]casemate.Budget {
		m := map[string]casemate.Budget{}
		for _, b := range list {
			m[b.ID()] = b
		}
		return m
	}
	old, fresh := byID(was), byID(is)
	for _, id := range union(old, fresh) {
		o, had := old[id]
		n, has := fresh[id]
		switch {
		case !had:
			c.say(KindLimit, "add", "budget "+id, false, "%s", n.Amount)
		case !has:
			c.say(KindLimit, "remove", "budget "+id, !o.Soft, "%s", o.Amount)
		case o.Depth != n.Depth:
			c.say(KindLimit, "change", "budget "+id, n.Depth == 0 || o.Depth > 0 && n.Depth > o.Depth, "depth %d instead of %d", n.Depth, o.Depth)
		case o.Amount != n.Amount || o.Currency != n.Currency:
			c.say(KindLimit, "change", "budget "+id, !o.Soft && n.Amount > o.Amount, "%s, was %s", n.Amount, o.Amount)
		}
	}
}
