package node

import (
	"context"
	"slices"
	"strings"
	"time"

	"casemate"
	"casemate/audit"
	"casemate/sandbox"
)

// functionState is one function as it stands.
type functionState struct {
	App       string             `json:"app"`
	Name      string             `json:"name"`
	Version   int                `json:"version"`
	ID        string             `json:"id"`
	Runtime   casemate.Runtime   `json:"runtime"`
	Isolation casemate.Isolation `json:"isolation"`
	Limits    casemate.Limits    `json:"limits"`
	URL       string             `json:"url,omitempty"` // host of its function URL
}

// State is what is deployed and what runs.
type State struct {
	Functions []functionState  `json:"functions"`
	Routes    []casemate.Route `json:"routes"`
	Sandboxes []sandbox.Status `json:"sandboxes"`
	Running   int              `json:"running"`
	Audit     audit.State      `json:"audit"`
	Started   time.Time        `json:"started"`
	Revision  string           `json:"revision"`
}

func (n *node) stateBuiltins() map[string]builtin {
	return map[string]builtin{
		"state": question("casemate:ReadState", "node", func(context.Context, *casemate.Launch, struct{}) (any, error) {
			return n.state(), nil
		}),
		"senders": question("casemate:ReadState", "node", func(ctx context.Context, _ *casemate.Launch, _ struct{}) (any, error) {
			return n.senders(ctx), nil
		}),
		"posture": question("casemate:ReadPosture", "node", func(context.Context, *casemate.Launch, struct{}) (any, error) {
			return n.posture(time.Now()), nil
		}),
	}
}

func (n *node) state() State {
	snap := n.catalog.Snapshot()
	s := State{Functions: []functionState{}, Routes: []casemate.Route{}, Sandboxes: n.pool.Snapshot(), Running: n.quota.Running(), Audit: n.audit.State(),
		Started: n.started, Revision: snap.Revision}
	for _, name := range snap.Apps() {
		app, _ := snap.App(name)
		s.Routes = append(s.Routes, app.Routes...)
		for fn, f := range app.Functions {
			v := f.Number(f.Live)
			fs := functionState{App: name, Name: fn, Version: v.Number, ID: v.ID, Runtime: v.Runtime, Isolation: v.Isolation, Limits: v.Limits}
			for i := range app.Routes {
				if r := &app.Routes[i]; r.URL && r.Function == fn && (fs.URL == "" || r.Alias() == "") {
					fs.URL = r.Host + "." + n.cfg.Domain
				}
			}
			s.Functions = append(s.Functions, fs)
		}
	}
	slices.SortFunc(s.Functions, func(a, b functionState) int { return strings.Compare(a.App+"/"+a.Name, b.App+"/"+b.Name) })
	return s
}
