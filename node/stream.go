package node

import (
	"casemate"
	"casemate/gate"
	"casemate/shield"
)

// sieve is the shield for answers that leave while they are made.
func sieve(m *casemate.Match, e *casemate.Event, head *casemate.Answer) (gate.Sieve, error) {
	s, err := shield.NewSieve(m, e, head)
	if s == nil || err != nil {
		return nil, err
	}
	return s, nil
}
