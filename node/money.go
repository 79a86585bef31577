package node

import (
	"context"
	"os"
	"runtime"
	"strings"
	"time"

	"casemate"
	"casemate/audit"
	"casemate/budget"
	"casemate/catalog"
	"casemate/meter/price"
)

// openPurse takes up the budgets: after the audit log, whose records they are sums of, and before anything runs.
func (n *node) openPurse(ctx context.Context) (err error) {
	book := n.cfg.Prices
	if book == nil {
		if book, err = price.Default(); err != nil {
			return err
		}
	}
	p, err := budget.Open(ctx, budget.Config{Store: n.store, Read: n.records, Last: func() uint64 { return n.audit.State().Records }, Book: book, Outside: n.reachesOutside,
		Cores: runtime.NumCPU(), Boot: bootID(), Clock: time.Now, Log: n.cfg.Log})
	if err != nil {
		return err
	}
	n.purse.Store(p)
	n.onClose(p.Close)
	return nil
}

// records reads the audit log from number from on.
func (n *node) records(ctx context.Context, from uint64, do func(uint64, *casemate.Record) error) error {
	return n.audit.Each(ctx, from, func(e audit.Entry) error { return do(e.Seq, &e.Record) })
}

// bootID names this start of the machine; empty where the kernel does not say, so that a power cut looks like a kill.
func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}

// reachesOutside says whether any statement of a function's role may let it connect anywhere. In doubt it does, and a run
// holds the price of all the traffic that it could have.
func (n *node) reachesOutside(v *casemate.Version) bool {
	snap := n.catalog.Snapshot()
	return !snap.HasRole(v.Role) || mayConnect(snap.Statements(v.Role))
}

func mayConnect(list []casemate.Statement) bool {
	for _, s := range list {
		if s.Effect != casemate.Allow {
			continue
		}
		if len(s.NotAction) > 0 {
			return true
		}
		for _, a := range s.Action {
			if strings.EqualFold(a, "casemate:Connect") || strings.ContainsAny(a, "*?$") {
				return true
			}
		}
	}
	return false
}

// budgets puts those of all manifests into force.
func (n *node) budgets(s *catalog.Snapshot) {
	all := map[string][]casemate.Budget{}
	for _, name := range s.Apps() {
		app, _ := s.App(name)
		all[name] = app.Budgets
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := n.purse.Load().SetApps(ctx, all); err != nil { // the ones before stay in force
		n.cfg.Log.Error("the budgets of the manifests are not in force", "err", err)
	}
}
