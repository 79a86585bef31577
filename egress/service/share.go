package service

import (
	"strings"

	"casemate"
)

// Share says which runs go on at once from now on, the oldest first; none is nobody's, as with Begin.
func (e *Endpoint) Share(ls []*casemate.Launch) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.launch, e.beside, e.begun = nil, ls, true
	if len(ls) > 0 {
		e.launch = ls[0]
	}
}

// oneOf is the place of what one of several runs asks for: the one whose trace the request names, as the runtime's client and the
// SDKs hand it on (X-Amzn-Trace-Id). The sandbox says that itself, so it can only choose among the runs that it has; and a loop
// ends whatever it says: every one of them counts as deep as the deepest. Where nothing is named the chain that spent most
// pays. The caller holds the lock.
func (e *Endpoint) oneOf(trace string) lineage {
	depth, root := 0, rootOf(trace)
	var named, dearest *casemate.Launch
	clear := root != ""
	var most casemate.Money
	for _, l := range e.beside {
		from := after(l)
		depth = max(depth, from.depth)
		if root != "" && root == l.Trace.TraceID {
			clear = named == nil // two events of one trace are not told apart
			named = l
		}
		spent := casemate.Money(0)
		if e.cfg.Spent != nil {
			spent = e.cfg.Spent(from.chain)
		}
		if dearest == nil || spent > most {
			dearest, most = l, spent
		}
	}
	from := after(dearest)
	if clear && named != nil {
		from = after(named)
		from.of = named.RequestID
	}
	from.depth = depth
	return from
}

// rootOf is the trace of an X-Ray header, "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=...;Sampled=1", as 32 hex digits; ""
// where there is none (https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader).
func rootOf(header string) string {
	for field := range strings.SplitSeq(header, ";") {
		if value, ok := strings.CutPrefix(strings.TrimSpace(field), "Root=1-"); ok && len(value) == 33 && value[8] == '-' {
			return value[:8] + value[9:]
		}
	}
	return ""
}
