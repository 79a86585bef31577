package node

import (
	"context"
	"net"
	"slices"
	"time"

	"casemate"
	"casemate/front/debugger"
)

// Debug is a function whose runtime takes a debugger, and where: a loopback address that is led into its sandbox.
type Debug struct {
	Function string `json:"function"`
	Address  string `json:"address"`
}

// debugTime is what an event of such a function has, and its initialisation: somebody reads code meanwhile.
const debugTime = time.Hour

// isDebugged says whether a function was named; by the configuration of this process and by nothing that is deployed.
func (n *node) isDebugged(v *casemate.Version) bool {
	return slices.ContainsFunc(n.cfg.Debug, func(d Debug) bool { return d.Function == v.Function })
}

// debugs is for the sandboxes; nil on every node but a developer's.
func (n *node) debugs() func(*casemate.Version) bool {
	if len(n.cfg.Debug) == 0 {
		return nil
	}
	return n.isDebugged
}

// debugged is a version as it runs while it may be debugged: in one sandbox, which is there before the first event, and
// without its deadlines.
func (n *node) debugged(v *casemate.Version) *casemate.Version {
	if len(n.cfg.Debug) == 0 || v == nil || !n.isDebugged(v) {
		return v
	}
	d := *v
	d.Isolation, d.Spare = casemate.IsolationWarm, 1
	d.Limits.Timeout, d.Limits.InitTimeout = debugTime, debugTime
	return &d
}

// resolve is the catalog's, but for such versions.
func (n *node) resolve(e *casemate.Event) (*casemate.Match, error) {
	m, err := n.catalog.Resolve(e)
	if err != nil || len(n.cfg.Debug) == 0 || m.Version == nil || !n.isDebugged(m.Version) {
		return m, err
	}
	changed := *m
	changed.Version = n.debugged(m.Version)
	return &changed, nil
}

// openDebuggers opens the ports.
func (n *node) openDebuggers(ctx context.Context) error {
	for _, d := range n.cfg.Debug {
		p, err := debugger.Open(ctx, debugger.Config{Addr: d.Address, Log: n.cfg.Log.With("function", d.Function),
			Dial: func(ctx context.Context) (net.Conn, bool, error) { return n.pool.Debug(ctx, d.Function) }})
		if err != nil {
			return err
		}
		n.onClose(p.Close)
		n.debugPorts = append(n.debugPorts, Debug{Function: d.Function, Address: p.Addr().String()})
	}
	return nil
}
