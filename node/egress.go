package node

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"casemate"
	"casemate/egress"
	"casemate/sandbox"
	"casemate/sandbox/wasm"
)

// openEgress opens the one way out of every sandbox.
func (n *node) openEgress(context.Context) (err error) {
	n.egress, err = egress.New(egress.Config{Pinned: n.cfg.Resolve})
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(n.cfg.Resolve)) {
		n.cfg.Log.Warn("a name is not resolved but pinned by hand", "name", name, "address", n.cfg.Resolve[name])
	}
	n.onClose(n.egress.Close)
	return nil
}

// door makes the way out of a new sandbox of v. What the policy says holds for every connection from then on; a port that
// is granted later needs a new sandbox.
func (n *node) door(v *casemate.Version, record func(casemate.Effect)) (*egress.Door, error) {
	o := n.opening(v, record)
	o.Endpoints = n.awsEndpoints(v, record)
	return n.egress.Door(o)
}

func (n *node) opening(v *casemate.Version, record func(casemate.Effect)) egress.Opening {
	return egress.Opening{Version: v, Record: record, Grants: egress.Grants(n.catalog.Snapshot().Statements(v.Role)),
		Decide: func(host string, port uint16) casemate.Decision {
			s := n.catalog.Snapshot()
			if s.Policy == nil {
				return casemate.Decision{}
			}
			q := egress.Request(n.cfg.Place, v, host, port)
			q.Now = time.Now()
			return s.Policy.Decide(q)
		}}
}

// wasmDoor is the way out of a worker, which has no sockets: nothing inside could come to an endpoint.
func (n *node) wasmDoor(v *casemate.Version, record func(casemate.Effect)) (wasm.Door, error) {
	d, err := n.egress.Door(n.opening(v, record))
	if err != nil {
		return nil, err
	}
	return d, nil
}

// sandboxDoor is door for the pool of native sandboxes.
func (n *node) sandboxDoor(v *casemate.Version, record func(casemate.Effect)) (sandbox.Door, error) {
	d, err := n.door(v, record)
	if err != nil {
		return nil, err
	}
	return d, nil
}

// pinnedPosture tells of names that were pinned by hand, and of granted networks that lead to machines themselves.
func (n *node) pinnedPosture() (fs []Finding) {
	s := n.catalog.Snapshot()
	for _, name := range s.Apps() {
		app, _ := s.App(name)
		for _, role := range slices.Sorted(maps.Keys(app.Roles)) {
			for _, g := range egress.Grants(app.Roles[role].Statements) {
				if what := egress.Special(g.Network); what != "" {
					fs = append(fs, Finding{"medium", "weak", fmt.Sprintf("role %s, network %v port %d", role, g.Network, g.Port), "it holds " + what, "grant the narrowest network that is needed"})
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(n.cfg.Resolve)) {
		fs = append(fs, Finding{"medium", "weak", "name " + name, "it was pinned to " + n.cfg.Resolve[name].String() + " by hand: it is not resolved, and its address not checked", "casemate up without --resolve"})
	}
	return fs
}
