package sandbox

import (
	"strings"
	"sync"
	"time"

	"casemate"
	"casemate/sandbox/jail"
)

// effects collects what a sandbox did outside its own memory, up to a bound: a function cannot fill the record.
type effects struct {
	mu      sync.Mutex
	list    []casemate.Effect
	seen    map[deed]int // where in list, of what is counted and not repeated
	local   int          // how many of list are about the sandbox itself
	went    int          // how many of list say where the function went
	dropped casemate.Unlisted
	refused int // in all
}

// maxEffects of one run, and maxLocal of them about the sandbox itself; more are counted, and the count is the last effect.
// Where a function went has maxWent more of its own, since it is told at the run's end: nothing that it did before hides it.
// A door tells at most 65 of these, once for the start and once for the run.
const (
	maxEffects = 256
	maxLocal   = 64
	maxWent    = 130
)

// deed is what makes two effects one: a function that does the same a thousand times has one line in the record.
type deed struct {
	kind, target, reason string
	verdict              casemate.Verdict
}

// local are the kinds of what the jail itself tells: a program can cause them as fast as it can call the kernel.
func local(kind string) bool {
	return kind == casemate.EffectCall || kind == casemate.EffectExec || kind == casemate.EffectOpen
}

func (e *effects) add(x casemate.Effect) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if x.Verdict == casemate.Denied {
		e.refused += max(x.Count, 1)
	}
	d := deed{x.Kind, x.Target, x.Reason, x.Verdict}
	once := local(x.Kind) || x.Kind == casemate.EffectConnect && x.Verdict == casemate.Denied
	if k, ok := e.seen[d]; ok && once {
		e.list[k].Count = max(e.list[k].Count, 1) + max(x.Count, 1)
		return
	}
	switch went := x.Kind == casemate.EffectConnect && x.Verdict == casemate.Allowed; {
	case went && e.went < maxWent:
		e.went++
	case len(e.list)-e.went >= maxEffects, local(x.Kind) && e.local >= maxLocal:
		e.dropped.Add(x)
		return
	}
	if local(x.Kind) {
		e.local++
	}
	if once {
		if e.seen == nil {
			e.seen = map[deed]int{}
		}
		e.seen[d] = len(e.list)
	}
	e.list = append(e.list, x)
}

// refusals is how often something was refused since the sandbox became its function's.
func (e *effects) refusals() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.refused
}

// take hands out what was collected and starts anew.
func (e *effects) take(now time.Time) []casemate.Effect {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := e.dropped.On(e.list, now)
	e.list, e.seen, e.local, e.went, e.dropped = nil, nil, 0, 0, casemate.Unlisted{}
	return list
}

// called is what the jail tells of a system call, as the record has it.
func called(c jail.Call, now time.Time) casemate.Effect {
	x := casemate.Effect{At: now, Kind: casemate.EffectCall, Target: c.Name, Verdict: casemate.Denied, Reason: "no function may make this call"}
	switch {
	case strings.HasPrefix(c.Name, "execve"):
		x.Kind, x.Target, x.Reason = casemate.EffectExec, c.Target, "children: does not list this program"
		if c.Allowed {
			x.Verdict, x.Reason = casemate.Allowed, ""
		} else if strings.HasPrefix(c.Target, "/") {
			x.Grant = "children: [" + c.Target + "]"
		}
	case c.Target != "":
		x.Target += " " + c.Target
	}
	return x
}
