package manifest

import (
	"slices"
	"strings"

	"casemate"
	"casemate/catalog/route"
	"casemate/policy"
)

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
