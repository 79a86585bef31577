package node

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"casemate"
	"casemate/authn"
	"casemate/catalog"
)

// Finding is one thing that is open, weak, unlimited or expired, with its fix.
type Finding struct {
	Severity string `json:"severity"` // high, medium, low
	Kind     string `json:"kind"`     // open, weak, unlimited, expired
	What     string `json:"what"`
	Why      string `json:"why"`
	Fix      string `json:"fix"`
}

// soon is how long before its end an exception or a key is worth a word.
const soon = 14 * 24 * time.Hour

// posture looks at everything that is in force now.
func (n *node) posture(now time.Time) []Finding {
	fs := []Finding{}
	for _, m := range n.walls.Missing() {
		fs = append(fs, Finding{"high", "weak", "sandbox wall " + m.Name, m.Why + "; functions run without it", m.Remedy})
	}
	fs = append(fs, n.tlsPosture(now)...)
	if n.cfg.Wait == casemate.Written {
		fs = append(fs, Finding{"low", "weak", "audit wait", "records of the last moments can be lost in a power cut (not in a crash)", "casemate up --audit-wait durable"})
	}
	if t := n.audit.State().Trouble; t != "" {
		fs = append(fs, Finding{"high", "weak", "sealing of the audit log", t, "look at the node's log; free disk space"})
	}
	fs = append(fs, n.secretPosture(now)...)
	fs = append(fs, n.accessPosture(now)...)
	fs = append(fs, n.operatorPosture()...)
	fs = append(fs, n.pinnedPosture()...)
	fs = append(fs, n.senderPosture()...)
	fs = append(fs, n.budgetPosture(now)...)
	fs = append(fs, n.leftOutPosture()...)
	snap := n.catalog.Snapshot()
	for _, name := range snap.Apps() {
		app, _ := snap.App(name)
		fs = slices.Concat(fs, appPosture(app, now), screenPosture(app, now), browserPosture(app))
	}
	for _, k := range n.identity.ListKeys() {
		fs = append(fs, keyPosture(&k, snap, now)...)
	}
	rank := map[string]int{"high": 0, "medium": 1, "low": 2}
	slices.SortStableFunc(fs, func(a, b Finding) int { return rank[a.Severity] - rank[b.Severity] })
	return fs
}

// Loopback reports whether a listening address, host:port, is reachable from this machine alone.
func Loopback(addr string) bool {
	return strings.HasPrefix(addr, "127.") || strings.HasPrefix(addr, "localhost:") || strings.HasPrefix(addr, "[::1]:")
}

func appPosture(app *catalog.App, now time.Time) (fs []Finding) {
	for i := range app.Routes {
		r := &app.Routes[i]
		name := app.Name + " " + r.ID
		if r.URL {
			name = "URL of " + r.Function
		}
		switch x := r.Auth.Open; {
		case x == nil:
		case !x.Live(now):
			fs = append(fs, Finding{"medium", "expired", name, "its open-route exception ended on " + x.Expires.Format("2006-01-02") + "; anonymous callers get 401", "take auth: none out of the manifest, or renew it with a reason"})
		default:
			fs = append(fs, Finding{"high", "open", name, "anyone may call it until " + x.Expires.Format("2006-01-02") + ": " + x.Reason, "auth: [key] or [jwt]"})
		}
		if r.Contract == "" && bodyMethod(r.Method) {
			fs = append(fs, Finding{"medium", "weak", name, "bodies are not held to any contract", "contract: {file: ..., operation: ...}"})
		}
		if r.Contract != "" && r.Answers != "" {
			fs = append(fs, Finding{"low", "weak", name, "answers that its contract does not promise are let go (answers: " + r.Answers + ")", "contract: {..., answers: block}"})
		}
		if t := r.Total; r.Rate.PerSecond == 0 && t.Rate.PerSecond == 0 && t.Day == 0 && t.Month == 0 {
			fs = append(fs, Finding{"low", "unlimited", name, "no rate of its own; the default of 1000/s for each caller holds", "rate: 10/s burst 20, or total: {rate: ...} over all callers"})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(app.Functions)) {
		fs = append(fs, functionPosture(name, app.Functions[name].Number(app.Functions[name].Live))...)
	}
	for _, role := range slices.Sorted(maps.Keys(app.Roles)) {
		for i, s := range app.Roles[role].Statements {
			if s.Effect == casemate.Allow && (slices.Contains(s.Action, "*") || slices.Contains(s.Resource, "*") || len(s.NotAction) > 0 || len(s.NotResource) > 0) {
				fs = append(fs, Finding{"medium", "weak", fmt.Sprintf("role %s, statement %d", role, i), "it allows on everything", "name the actions and resources"})
			}
		}
	}
	for _, fn := range app.LeftOut {
		fs = append(fs, Finding{"low", "weak", "function " + fn, "it was left out: its runtime is not on this machine", "install the runtime and deploy again"})
	}
	return fs
}

func functionPosture(name string, v *casemate.Version) (fs []Finding) {
	what := "function " + name
	if v.Isolation == casemate.IsolationWarm {
		fs = append(fs, Finding{"low", "weak", what, "sandboxes are reused: state can pass between events", "isolation: request, or tenant"})
	}
	for _, c := range v.Children {
		if c.SHA256 == "" {
			continue // part of the code
		}
		switch digest, err := programDigest(c.Path); {
		case err != nil:
			fs = append(fs, Finding{"medium", "weak", what, "its child " + c.Path + " is not there any more", "install it, or take it out of children"})
		case digest != c.SHA256:
			fs = append(fs, Finding{"medium", "expired", what, "its child " + c.Path + " is another file than when it was deployed, so it is refused", "deploy again, if the change is right"})
		}
	}
	return fs
}

func bodyMethod(m string) bool { return m == "POST" || m == "PUT" || m == "PATCH" || m == "ANY" }

func keyPosture(k *authn.Key, snap *catalog.Snapshot, now time.Time) (fs []Finding) {
	what := "key " + k.ID + " (" + k.Name + ")"
	switch {
	case !k.Revoked.IsZero():
		return nil
	case !k.Live(now):
		return []Finding{{"low", "expired", what, "it ended on " + k.Expires.Format("2006-01-02"), "casemate keys revoke " + k.ID}}
	case now.Add(soon).After(k.Expires) && k.Expires.Sub(k.Created) > 2*soon:
		fs = append(fs, Finding{"low", "expired", what, "it ends on " + k.Expires.Format("2006-01-02"), "make its successor: casemate keys create --role " + k.Role})
	}
	if k.Role == authn.RoleOperator {
		fs = append(fs, Finding{"medium", "weak", what, "it may do everything that an operator may", "narrow it: --grant, or a role of its own"})
	} else if !snap.HasRole(k.Role) {
		fs = append(fs, Finding{"low", "weak", what, "its role " + k.Role + " is gone, so it opens nothing", "casemate keys revoke " + k.ID})
	}
	return fs
}
