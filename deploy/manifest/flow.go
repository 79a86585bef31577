package manifest

import (
	"maps"
	"slices"
	"strings"
	"time"

	"casemate/catalog/route"
)

// Flow is a declared order of calls: each of its routes can be called only after the one before was answered.
type Flow struct {
	Steps  []string `key:"steps" need:"" doc:"Routes, in the order in which they must be called."`
	Key    string   `key:"key" need:"" like:"^(caller|claim:[A-Za-z0-9_.:/-]{1,128}|header:[A-Za-z0-9-]{1,64}|path:[A-Za-z0-9_]{1,64}|body:/.{1,128})$" doc:"What tells one flow of a caller from another: caller, claim:sub, header:x-cart, path:id or body:/cart. A claim is the same for all tokens of its issuer."`
	Again  []string `key:"again" doc:"Steps that may be taken again until the next one is."`
	Within Duration `key:"within" min:"1s" max:"168h" doc:"From the first step on; then the flow is forgotten (default 1h)."`
}

// Cache says how long answers of a route are kept.
type Cache struct {
	TTL  Duration `key:"ttl" need:"" min:"1s" max:"24h" doc:"How long an answer is given to equal requests, at most; less when the function says Cache-Control."`
	Vary []string `key:"vary" like:"^[a-z0-9-]{1,64}$" doc:"Request headers that the answer depends on, in lower case."`
	For  string   `key:"for" one:"caller everybody" doc:"caller: each gets answers of its own (default). everybody: the answer does not depend on who asks, and callers get each other's."`
}

// FlowTime is how long a flow may take from its first step on, where a manifest does not say.
const FlowTime = time.Hour

// flows checks that steps are routes of the app, each in one flow, and that their key can be had.
func (c *checker) flows() {
	taken := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(c.Flows)) {
		f, ptr := c.Flows[name], "/flows/"+Escape(name)
		if len(f.Steps) < 2 {
			c.bad(ptr+"/steps", "steps: [POST /cart, POST /pay]", "a flow has two steps or more")
		}
		for _, s := range f.Steps {
			if c.Routes[s] == nil {
				c.bad(ptr+"/steps", meant(s, slices.Sorted(maps.Keys(c.Routes))), "there is no route %q in this app", s)
				continue
			}
			if taken[s] != "" {
				c.bad(ptr+"/steps", "give each flow routes of its own", "%q is a step of %s already", s, taken[s])
			}
			taken[s] = name
			c.flowKey(ptr+"/key", f.Key, s)
			if c.Routes[s].Cache != nil {
				c.bad("/routes/"+Escape(s)+"/cache", "", "a step of a flow is never answered from what was kept")
			}
		}
		for _, s := range f.Again {
			if i := slices.Index(f.Steps, s); i < 0 || i == len(f.Steps)-1 {
				c.bad(ptr+"/again", "name a step before the last", "%q cannot be taken again", s)
			}
		}
	}
}

// flowKey checks that a step's route has what the flow is told by.
func (c *checker) flowKey(ptr, key, step string) {
	rule, where, _ := strings.Cut(key, ":")
	r := c.Routes[step]
	switch {
	case rule == "claim" && !slices.Equal(r.Auth.Kinds, []string{"jwt"}):
		c.bad(ptr, "auth: [jwt] on "+step, "only tokens have claims, and %s takes other callers", step)
	case rule == "caller" && r.Auth.None != nil:
		c.bad(ptr, "take a header or a field", "%s is open: its callers have no name", step)
	case rule == "path":
		if _, p, err := route.Parse(step); err == nil && !strings.Contains(p, "{"+where+"}") {
			c.bad(ptr, "", "%s has no path parameter %q", step, where)
		}
	}
}

// cache checks what a route keeps answers by.
func (c *checker) cache(ptr, key string, r *Route) {
	if r.Cache == nil {
		return
	}
	if method, _, err := route.Parse(key); err == nil && method != "GET" && method != "HEAD" {
		c.bad(ptr, "keep answers of GET routes", "what %s does must happen every time", method)
	}
	if r.Cache.For != "everybody" && len(r.Auth.Kinds) == 0 {
		c.bad(ptr, "for: everybody, when the answer does not depend on who asks", "the route's callers have no name to keep answers by")
	}
	if slices.Contains(r.Cache.Vary, "authorization") || slices.Contains(r.Cache.Vary, "x-api-key") {
		c.bad(ptr+"/vary", "", "answers are kept for each caller anyway, and credentials are not looked at")
	}
}
