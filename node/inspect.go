package node

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"casemate"
)

// Inspection is all that holds for one function now: what it is, who may call it, what it may do, how it is kept apart.
type Inspection struct {
	App      string               `json:"app"`
	Version  *casemate.Version    `json:"version"`
	Fresh    string               `json:"fresh"`            // how every event gets its state
	Rewind   string               `json:"rewind,omitempty"` // WebAssembly: why instances are not rewound
	Routes   []casemate.Route     `json:"routes"`
	URL      string               `json:"url,omitempty"`
	Lent     string               `json:"role,omitempty"` // whose statements and boundary it has, where they are not its own
	May      []casemate.Statement `json:"may"`
	Boundary []casemate.Statement `json:"boundary,omitempty"`
	Resource []casemate.Statement `json:"resource_policy,omitempty"`
	Live     []Box                `json:"sandboxes"`
	Missing  []string             `json:"missing_walls,omitempty"`
}

func (n *node) inspectBuiltins() map[string]builtin {
	type ask struct {
		Function string `json:"function"`
	}
	return map[string]builtin{"inspect": named(question("casemate:ReadState", "function", func(_ context.Context, l *casemate.Launch, in ask) (any, error) {
		if err := covers(l, n.judge, "casemate:ReadState", "function", in.Function); err != nil {
			return nil, err
		}
		return n.inspect(in.Function)
	}))}
}

func (n *node) inspect(function string) (*Inspection, error) {
	snap := n.catalog.Snapshot()
	v := snap.Function(function)
	if v == nil {
		return nil, casemate.Errorf(casemate.NotFound, "casemate list shows what is deployed", "there is no function %q", function)
	}
	app, _ := snap.App(v.App)
	role := snap.Role(v.Role)
	out := &Inspection{App: v.App, Version: v, Routes: []casemate.Route{}, Lent: app.Functions[function].Manages().Role, May: append([]casemate.Statement{}, role.Statements...),
		Boundary: role.Boundary, Live: []Box{}}
	for _, arn := range slices.Sorted(maps.Keys(app.Resources)) {
		if arn == v.ARN || strings.HasPrefix(arn, v.ARN+":") { // of its versions and aliases, too
			out.Resource = append(out.Resource, app.Resources[arn]...)
		}
	}
	for i := range app.Routes {
		if r := app.Routes[i]; r.Function == function {
			out.Routes = append(out.Routes, r)
			if r.URL && (out.URL == "" || r.Alias() == "") {
				out.URL = r.Host + "." + n.cfg.Domain
			}
		}
	}
	for _, b := range n.boxes() {
		if b.Function == v.App+"/"+function {
			out.Live = append(out.Live, b)
		}
	}
	for _, m := range n.walls.Missing() {
		out.Missing = append(out.Missing, m.Name)
	}
	out.Fresh, out.Rewind = n.fresh(v)
	return out, nil
}

// fresh says in a sentence where the state of an event begins.
func (n *node) fresh(v *casemate.Version) (how, rewind string) {
	switch v.Isolation {
	case casemate.IsolationWarm:
		return "a sandbox is reused, as on AWS: state can pass between events", ""
	case casemate.IsolationTenant:
		return "a sandbox is reused for one tenant alone (" + cmp.Or(v.Tenant, "X-Amz-Tenant-Id, else the caller") + ")", ""
	}
	if v.Runtime.Family() != "wasm" {
		return "a sandbox of its own for every event, destroyed after it", ""
	}
	return n.freshInstance(v)
}
