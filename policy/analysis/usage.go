package analysis

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"casemate"
	"casemate/policy"
)

// Grant is one statement of a role with what history made of it.
type Grant struct {
	Role     string                `json:"role"`
	Name     string                `json:"statement"`
	Origin   string                `json:"origin,omitempty"`
	Effect   casemate.PolicyEffect `json:"effect"`
	Text     string                `json:"grant,omitempty"` // as it was written, when in short form
	Actions  []string              `json:"actions"`
	Resource []string              `json:"resources"`
	Uses     int                   `json:"uses"`             // decisions that it made
	Matched  int                   `json:"matched"`          // decisions that it would have made, had no other statement before it
	Last     time.Time             `json:"last,omitzero"`    // use or match
	Narrow   []string              `json:"narrow,omitempty"` // the narrowest grants that hold every use, when there are

	open  bool // it depends on what a request brings along: it is narrow in its own way
	exact bool // every use so far has a narrow grant
}

// Unused reports an Allow that no recorded decision needed or matched.
func (g *Grant) Unused() bool { return g.Effect == casemate.Allow && g.Uses == 0 && g.Matched == 0 }

// Redundant reports an Allow that only ever matched what another one before it allowed.
func (g *Grant) Redundant() bool { return g.Effect == casemate.Allow && g.Uses == 0 && g.Matched > 0 }

// Usage counts what roles' statements were used for. It is not safe for concurrent use.
type Usage struct {
	set     *policy.Set
	account string
	grants  map[string][]*Grant // by role, in order
	seen    map[string]int      // questions of a role
}

// NewUsage begins to count for the statements of roles, as they are in set.
func NewUsage(set *policy.Set, account string, roles map[string][]casemate.Statement) *Usage {
	u := &Usage{set: set, account: account, grants: map[string][]*Grant{}, seen: map[string]int{}}
	for role, list := range roles {
		for i := range list {
			s := &list[i]
			name := s.Sid
			if name == "" {
				name = "role " + role + "#" + strconv.Itoa(i)
			}
			u.grants[role] = append(u.grants[role], &Grant{Role: role, Name: name, Origin: s.Origin, Effect: s.Effect, Text: grantText(s.Origin),
				Actions: slices.Concat(s.Action, s.NotAction), Resource: slices.Concat(s.Resource, s.NotResource), exact: true})
		}
	}
	return u
}

// grantText is the short form that an origin ends with.
func grantText(origin string) string {
	_, quoted, _ := strings.Cut(origin, " grant ")
	text, err := strconv.Unquote(quoted)
	if err != nil {
		return ""
	}
	return text
}

// Add counts what one record's decisions used. What is refused today, or was refused then, uses nothing.
func (u *Usage) Add(r *casemate.Record) {
	qs := Questions(r, u.account)
	for i := range qs {
		q := &qs[i]
		list := u.grants[q.role]
		if list == nil || q.Was.Verdict != casemate.Allowed {
			continue
		}
		u.seen[q.role]++
		x, first := u.set.Explain(&q.Request), true
		for k := range x.Steps {
			s := &x.Steps[k]
			// A statement that depends on something that was not recorded counts as used: too much is better than too little.
			holds := s.Applies || s.Could && q.unsure(s)
			if s.Layer != policy.LayerIdentity || s.Effect != casemate.Allow || !holds {
				continue
			}
			for _, g := range list {
				if g.Name == s.Statement && g.Origin == s.Origin {
					g.use(q, s, first || !s.Applies)
				}
			}
			first = first && !s.Applies
		}
	}
}

// maxNarrow bounds what a wide grant is taken apart into.
const maxNarrow = 16

func (g *Grant) use(q *Question, s *policy.Step, decides bool) {
	g.Matched++
	if q.Request.Now.After(g.Last) {
		g.Last = q.Request.Now
	}
	if !decides {
		return
	}
	g.Uses++
	g.Matched--
	g.open = g.open || len(s.Keys) > 0
	text, ok := narrow(q)
	switch {
	case !ok:
		g.exact = false
	case !slices.Contains(g.Narrow, text):
		g.Narrow = append(g.Narrow, text)
	}
}

// narrow is the narrowest grant for what was asked, as a person would write it: a route with its parameters, not one path.
func narrow(q *Question) (string, bool) {
	r := &q.Request
	service, _, _ := strings.Cut(strings.ToLower(r.Action), ":")
	switch {
	case service == "execute-api":
		text := "call " + q.Record.Route
		return text, q.Record.Route != "" && q.Record.Route != "$default"
	case strings.EqualFold(r.Action, "casemate:ReadObject"), strings.EqualFold(r.Action, "casemate:WriteObject"), service == "dynamodb", service == "s3":
		return "", false // one object of many: tomorrow there are others
	}
	return policy.ShortGrant(r.Action, r.Resource)
}

// Grants are all statements with their uses, by role and in order. Narrow is only set where a wide one can be replaced.
func (u *Usage) Grants() []Grant {
	var all []Grant
	for _, role := range slices.Sorted(maps.Keys(u.grants)) {
		for _, g := range u.grants[role] {
			c := *g
			if c.open || !c.exact || len(c.Narrow) > maxNarrow || c.Effect != casemate.Allow || slices.Contains(c.Narrow, c.Text) {
				c.Narrow = nil
			}
			slices.Sort(c.Narrow)
			all = append(all, c)
		}
	}
	return all
}

// Change is one grant of a manifest that tighten takes out, or replaces by narrower ones.
type Change struct {
	Role   string   `json:"role"`
	Origin string   `json:"origin"`
	Grant  string   `json:"grant"`          // "" for a statement that was written out: it is for its author to change
	With   []string `json:"with,omitempty"` // none: it goes
	Why    string   `json:"why"`
}

// Tighten proposes the changes after which roles may what history needed and no more. A role without any recorded decision
// is left alone unless all is set: perhaps nobody came yet.
func (u *Usage) Tighten(all bool) []Change {
	var list []Change
	have := map[string]map[string]bool{}
	grants := u.Grants()
	for i := range grants {
		g := &grants[i]
		if have[g.Role] == nil {
			have[g.Role] = map[string]bool{}
		}
		if g.Uses > 0 && len(g.Narrow) == 0 {
			have[g.Role][g.Text] = true // it stays
		}
	}
	for i := range grants {
		g := &grants[i]
		if g.Effect != casemate.Allow || !all && u.seen[g.Role] == 0 {
			continue
		}
		c := Change{Role: g.Role, Origin: g.Origin, Grant: g.Text, Why: "never used"}
		switch {
		case g.Uses == 0 && g.Matched == 0:
		case g.Redundant():
			c.Why = "another grant allowed all that it would"
		case len(g.Narrow) > 0:
			c.Why = "used for less than it allows"
			for _, text := range g.Narrow {
				if !have[g.Role][text] {
					have[g.Role][text] = true
					c.With = append(c.With, text)
				}
			}
		default:
			continue
		}
		list = append(list, c)
	}
	return list
}
