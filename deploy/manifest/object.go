package manifest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"casemate"
	"casemate/catalog/route"
	"casemate/policy"
)

// attached checks the policy of one resource. Functions and routes are this app's own; the rest is named.
func (c *checker) attached(ptr, name string, list []Statement) {
	kind, rest, _ := strings.Cut(name, "/")
	if fn, alias, qualified := strings.Cut(rest, ":"); kind == "function" {
		f := c.Functions[fn]
		if f == nil {
			c.bad(ptr, meant(fn, slices.Sorted(maps.Keys(c.Functions))), "there is no function %q in this app", fn)
			return
		}
		if qualified && f.Aliases[alias] == nil {
			c.bad(ptr, meant(alias, slices.Sorted(maps.Keys(f.Aliases))), "the function %s has no alias %q here", fn, alias)
			return
		}
	}
	if kind == "route" && c.Routes[rest] == nil {
		c.bad(ptr, meant(rest, slices.Sorted(maps.Keys(c.Routes))), "there is no route %q in this app", rest)
		return
	}
	arn, patterns, err := policy.Attached(c.Place, c.App, name)
	if err != nil {
		c.bad(ptr, casemate.AsError(err).Hint, "%s", casemate.AsError(err).Message)
		return
	}
	for i, s := range list {
		if _, err := s.ParseOn(c.Origin(s.Mark, "resource "+name), arn, patterns); err != nil {
			e := casemate.AsError(err)
			c.bad(fmt.Sprintf("%s/%d", ptr, i), e.Hint, "%s", e.Error())
		}
	}
}

// object checks what a route says its requests are about: only parameters of its own path tell one object from another.
func (c *checker) object(ptr, path string, r *Route) {
	if r.Resource == "" {
		return
	}
	_, names, err := policy.Object(c.Place, r.Resource)
	if err != nil {
		c.bad(ptr, casemate.AsError(err).Hint, "%s", casemate.AsError(err).Message)
		return
	}
	known := slices.Sorted(func(yield func(string) bool) {
		for name := range route.Params(path, strings.NewReplacer("{", "", "+}", "", "}", "").Replace(path)) {
			if !yield(name) {
				return
			}
		}
	})
	for _, name := range names {
		if !slices.Contains(known, name) {
			c.bad(ptr, meant(name, known), "the path has no parameter %q", name)
		}
	}
	if r.Auth.None != nil {
		c.bad(ptr, "auth: [key] or [jwt], with a role that is granted the object", "a route that is open to everybody cannot tell whose object it is")
	}
}
