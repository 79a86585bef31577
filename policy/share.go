package policy

import (
	"encoding/json"
	"strings"

	"casemate"
	"casemate/policy/condition"
)

// pool has equal parts of statements stand in memory once. Thousands of roles say much the same; what a decision waits for is
// memory that it has not looked at lately.
type pool struct {
	actions    map[string][]condition.ActionPattern
	conditions map[string][]condition.Condition
	prefixes   map[string]string // of ARNs
}

func newPool() *pool {
	return &pool{map[string][]condition.ActionPattern{}, map[string][]condition.Condition{}, map[string]string{}}
}

// take puts shared parts in the place of equal ones of c, which was compiled from s.
func (p *pool) take(c *statement, s *casemate.Statement) {
	key := strings.Join(s.Action, "\n") + "\n\n" + strings.Join(s.NotAction, "\n")
	if have, ok := p.actions[key]; ok {
		c.actions = have
	} else {
		p.actions[key] = c.actions
	}
	for i := range c.resources {
		c.resources[i].Share(p.prefixes)
	}
	if len(c.conditions) == 0 {
		return
	}
	text, err := json.Marshal(s.Condition)
	if err != nil { // texts always encode; without a key nothing is shared
		return
	}
	if have, ok := p.conditions[string(text)]; ok {
		c.conditions = have
	} else {
		p.conditions[string(text)] = c.conditions
	}
}
