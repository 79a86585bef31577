package manifest

import (
	"fmt"
	"strings"

	"casemate"
)

// atOnce checks what a function must be whose sandboxes take several events at once. They share memory and the rights of the
// sandbox: what depends on one event, its tenant or its caller, could be another's.
func (c *checker) atOnce(ptr string, f *Function, family string) {
	if f.AtOnce < 2 {
		return
	}
	at := ptr + "/sandbox_concurrency"
	if f.Isolation != string(casemate.IsolationWarm) {
		c.bad(at, "isolation: warm, where events may share a sandbox; or leave it out", "events that are kept apart do not share a sandbox at once")
	}
	if family != "provided" {
		c.bad(at, "leave it out: more sandboxes run at once instead", "the runtime %s asks for one event at a time; one of your own (provided.al2023) may ask for several", f.Runtime)
	}
	if limit := or(f.Concurrency, casemate.DefaultLimits().Concurrency); f.AtOnce > limit {
		c.bad(at, "raise concurrency, or lower this", "more than may run at once")
	}
	for i, text := range f.Grants {
		if perEvent(text) {
			c.bad(fmt.Sprintf("%s/grants/%d", ptr, i), "leave sandbox_concurrency out, or name what is meant", "the grant depends on the caller of one event, and a sandbox has several at once")
		}
	}
	for i, s := range f.Statements {
		if perEvent(string(s.JSON)) {
			c.bad(fmt.Sprintf("%s/statements/%d", ptr, i), "leave sandbox_concurrency out, or name what is meant", "the statement depends on the caller of one event, and a sandbox has several at once")
		}
	}
}

// perEvent reports whether a grant or a statement says something of the caller of an event: ${jwt:sub}.
func perEvent(text string) bool { return strings.Contains(strings.ToLower(text), "${jwt:") }
