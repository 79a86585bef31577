package diff

import (
	"strings"

	"casemate"
	"casemate/catalog"
)

// mappings says which sources and queues come, go and change. Every source lets somebody else's messages reach a function.
func (c *comparer) mappings(was, is *catalog.App) {
	about := func(m *casemate.Mapping) string {
		return "function " + m.Function + " gets messages of " + m.Source[strings.LastIndexByte(m.Source, ':')+1:]
	}
	for _, id := range union(was.Mappings, is.Mappings) {
		o, n := was.Mappings[id], is.Mappings[id]
		switch {
		case o == nil:
			c.say(KindPermission, "add", about(n), true, "%d at a time", n.Batch)
		case n == nil:
			c.say(KindPermission, "remove", about(o), false, "%d at a time", o.Batch)
		case Text(o) != Text(n):
			c.say(KindLimit, "change", about(n), false, "%d at a time, were %d", n.Batch, o.Batch)
		}
	}
	for _, name := range union(was.Queues, is.Queues) {
		o, n := was.Queues[name], is.Queues[name]
		switch {
		case o == nil:
			c.say(KindLimit, "add", "queue "+name, false, "it is made when the app is in force")
		case n == nil:
			c.say(KindLimit, "remove", "queue "+name, false, "it stays with what is in it, until casemate queue delete %s", name)
		case Text(o) != Text(n):
			c.say(KindLimit, "change", "queue "+name, false, "other attributes")
		}
	}
}

// schedules says which come, go and change. Each runs a function in nobody's name but its own.
func (c *comparer) schedules(was, is *catalog.App) {
	for _, name := range union(was.Schedules, is.Schedules) {
		o, n := was.Schedules[name], is.Schedules[name]
		switch {
		case o == nil:
			c.say(KindPermission, "add", "schedule "+name, true, "runs function %s: %s", n.Function, n.When)
		case n == nil:
			c.say(KindPermission, "remove", "schedule "+name, false, "ran function %s: %s", o.Function, o.When)
		case *o != *n:
			c.say(KindLimit, "change", "schedule "+name, false, "runs function %s: %s, was %s: %s", n.Function, n.When, o.Function, o.When)
		}
	}
}
