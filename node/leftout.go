package node

import (
	"casemate/catalog"
)

// tellLeftOut says in the log which apps are not in force, because today's rules refuse what was deployed.
func (n *node) tellLeftOut(s *catalog.Snapshot) {
	for _, x := range s.LeftOut() {
		n.cfg.Log.Error("an app is left out: nothing of it is served", "app", x.App, "why", x.Why, "hint", x.Hint)
	}
}

func (n *node) leftOutPosture() (fs []Finding) {
	for _, x := range n.catalog.Snapshot().LeftOut() {
		fs = append(fs, Finding{"high", "expired", "app " + x.App, "it is left out, and nothing of it is served: " + x.Why, x.Hint})
	}
	return fs
}
