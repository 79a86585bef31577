package node

import (
	"context"
	"net/netip"
	"time"

	"casemate"
	"casemate/catalog"
	"casemate/quota"
	"casemate/quota/share"
)

// openQuota takes up what was used of daily and monthly quotas, and sets aside what the functions in force reserve.
func (n *node) openQuota(ctx context.Context) (err error) {
	n.quota, err = share.Open(ctx, share.Config{Store: n.store, Log: n.cfg.Log, Quota: quota.Config{NodeConcurrency: n.cfg.Concurrency,
		SourceRate: n.cfg.SourceRate, BlockRate: n.cfg.BlockRate, Account: n.cfg.Account}})
	if err != nil {
		return err
	}
	n.onClose(n.quota.Close)
	return nil
}

// reserve refuses an app that sets aside so many runs at once that less than a tenth of the node is left for functions
// without places of their own (AWS keeps 100 of 1000).
func (n *node) reserve(app string, runs int) error {
	s, others := n.catalog.Snapshot(), 0
	for _, name := range s.Apps() {
		if name != app {
			a, _ := s.App(name)
			others += sumReserved(a)
		}
	}
	most := n.cfg.Concurrency - max(n.cfg.Concurrency/10, 1) - others
	if runs > most {
		return casemate.Errorf(casemate.Invalid, "reserve less, or start the node with a higher --concurrency",
			"the functions of this app reserve %d runs at once, and there are %d to reserve", runs, max(most, 0))
	}
	return nil
}

func sumReserved(a *catalog.App) (sum int) {
	for _, f := range a.Functions {
		if r := f.Number(f.Live).Limits.Reserved; r != nil {
			sum += *r
		}
	}
	return sum
}

// knock is what the front asks before it reads a request.
func (n *node) knock(now time.Time, source string, peer netip.Addr) time.Duration {
	bits := n.cfg.Block.IPv4
	if peer.Is6() {
		bits = n.cfg.Block.IPv6
	}
	block, err := peer.Prefix(bits)
	if err != nil { // not an address
		block = netip.Prefix{}
	}
	return n.quota.Shut(now, source, block)
}

// refused records what the front did not read.
func (n *node) refused(t casemate.Turned) { n.gate.Refused(context.Background(), t) }

// carve sets aside the reserved concurrency of every function in force.
func (n *node) carve(s *catalog.Snapshot) {
	reserved, sum := map[string]int{}, 0
	for _, name := range s.Apps() {
		app, _ := s.App(name)
		sum += sumReserved(app)
		for _, f := range app.Functions {
			if v := f.Number(f.Live); v.Limits.Reserved != nil {
				reserved[v.ARN] = *v.Limits.Reserved
			}
		}
	}
	if sum >= n.cfg.Concurrency { // deploys are checked, but a node can be started with less than before
		n.cfg.Log.Error("functions reserve all of the node's concurrency: the others run one at a time", "reserved", sum, "concurrency", n.cfg.Concurrency)
	}
	n.quota.Carve(reserved)
}
