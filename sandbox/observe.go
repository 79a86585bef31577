package sandbox

import (
	"time"

	"casemate"
	"casemate/sandbox/jail"
)

// packaged are the folders whose files a function may be expected to open: its own, and what the platform put there.
var packaged = []string{taskDir, "/var/runtime", langDir, "/opt"}

// observe sees which files a run opens, from its begin on. Of an interpreter that waited it is all since its assignment:
// of any other the runtime's own start would be in it, and the function's with it, so that is left out.
func (i *instance) observe() {
	if i.observed {
		i.observed = false
		return
	}
	i.blind = i.child.Observe(packaged...)
}

// opened adds the files that a run opened to what it did. Where only root can see them, and the node is not, there are
// none: casemate doctor says so.
func (i *instance) opened(now time.Time) {
	if i.blind != nil {
		if jail.CanObserve() {
			i.fx.add(casemate.Effect{At: now, Kind: casemate.EffectOpen, Target: "*", Reason: "files were not seen: " + i.blind.Error()})
		}
		return
	}
	paths, more := i.child.Opened()
	for _, path := range paths {
		i.fx.add(casemate.Effect{At: now, Kind: casemate.EffectOpen, Target: path, Verdict: casemate.Allowed})
	}
	if more {
		i.fx.add(casemate.Effect{At: now, Kind: casemate.EffectOpen, Target: "*", Verdict: casemate.Allowed, Reason: "further files were not listed"})
	}
}
