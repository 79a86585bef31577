package queue

import (
	"strings"

	"casemate"
)

// Messages that functions sent carry their place in the causal chain. An event has those of one depth alone: what only shares a
// queue with a loop is not cut with it. Its chain is that of its first message that has one; which chain pays for the others
// of a batch is then the one question that is not exact, and a refusal for it is asked again for each message alone.

func (x *entry) depth() int {
	if x.Lineage == nil {
		return 0
	}
	return x.Lineage.Depth
}

// from is the lineage of an event: nil where no function sent any of its messages.
func from(list []entry) *casemate.Lineage {
	for i := range list {
		if l := list[i].Lineage; l != nil {
			return l
		}
	}
	return nil
}

// looped reports whether an event was refused for its place in its chain: too deep, or with nothing left to spend. Neither
// changes by waiting, so its messages are put aside.
func looped(err error) bool {
	if err == nil {
		return false
	}
	e := casemate.AsError(err)
	return e.AWS == "RecursiveInvocationException" || e.Code == casemate.Exhausted && strings.Contains(e.Rule, "chain per chain")
}
