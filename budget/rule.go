package budget

import (
	"slices"
	"time"

	"casemate"
)

// subject is who and what spends, as a spending or a record tells it.
type subject struct {
	app, function, caller, key, role, account, chain string
	tags                                             []string
}

// rule is a budget in force. Only quiet and pruned ever change; one that takes its place is another.
type rule struct {
	casemate.Budget
	id         string
	kind, name string
	built      bool  // the default of chains
	pruned     int64 // when the counters of "*" were looked through
	quiet      bool  // it counts and does not refuse yet: what was spent before it came is being read
	stop       bool  // it is in another currency than the prices: nothing can be reckoned, so nothing is let through
}

func newRule(b casemate.Budget, currency string) *rule {
	r := &rule{Budget: b, id: b.ID(), stop: b.Currency != "" && b.Currency != currency}
	r.kind, r.name = b.Scope()
	return r
}

// index finds the budgets that cover a subject. Chains have a place of their own.
type index struct {
	rules map[string]*rule // by id
	named map[[2]string][]*rule
	each  map[string][]*rule // "*", by kind
	chain *rule
	kinds []string // that any rule has
}

func newIndex(rules []*rule, chain *rule) *index {
	x := &index{rules: map[string]*rule{}, named: map[[2]string][]*rule{}, each: map[string][]*rule{}, chain: chain}
	for _, r := range rules {
		if r.kind == "chain" {
			x.chain = r
			continue
		}
		x.rules[r.id] = r
		if r.name == "*" {
			x.each[r.kind] = append(x.each[r.kind], r)
		} else {
			x.named[[2]string{r.kind, r.name}] = append(x.named[[2]string{r.kind, r.name}], r)
		}
		if !slices.Contains(x.kinds, r.kind) {
			x.kinds = append(x.kinds, r.kind)
		}
	}
	return x
}

// cover calls do with every budget that s falls under, and with the name that tells its counter from the others of "*".
func (x *index) cover(s *subject, do func(r *rule, name string)) {
	for _, kind := range x.kinds {
		name := ""
		switch kind {
		case "account":
			name = s.account
		case "app":
			name = s.app
		case "function":
			name = s.function
		case "caller":
			name = s.caller
		case "key":
			name = s.key
		case "role":
			name = s.role
		case "tag":
			for _, t := range s.tags {
				x.one(kind, t, s, do)
			}
			continue
		}
		if name != "" || kind == "node" {
			x.one(kind, name, s, do)
		}
	}
}

func (x *index) one(kind, name string, s *subject, do func(r *rule, name string)) {
	for _, r := range x.named[[2]string{kind, name}] {
		if r.App == "" || r.App == s.app {
			do(r, "")
		}
	}
	for _, r := range x.each[kind] {
		if r.App == "" || r.App == s.app {
			do(r, name)
		}
	}
}

// start is the beginning of the window that at falls in: a day, a month, or all time.
func (r *rule) start(at time.Time) int64 {
	at = at.UTC()
	switch r.Per {
	case "day":
		return at.Truncate(24 * time.Hour).Unix()
	case "month":
		return time.Date(at.Year(), at.Month(), 1, 0, 0, 0, 0, time.UTC).Unix()
	}
	return 0
}

// end is when the window that begins at start is over; zero: never.
func (r *rule) end(start int64) time.Time {
	switch t := time.Unix(start, 0).UTC(); r.Per {
	case "day":
		return t.AddDate(0, 0, 1)
	case "month":
		return t.AddDate(0, 1, 0)
	}
	return time.Time{}
}
