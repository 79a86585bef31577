package main

import (
	"context"
	"net/netip"
	"time"

	"github.com/spf13/pflag"

	"casemate"
	"casemate/catalog"
	"casemate/gate"
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

// limitFlags are the words of `casemate up` about how much.
type limitFlags struct {
	blockRate, accountRate             string
	block4, block6, accountConcurrency int
	accountDay, accountMonth           int64
}

func (f *limitFlags) add(fl *pflag.FlagSet) {
	fl.StringVar(&f.blockRate, "block-rate", "", "requests of one network around a source address (default eight times --source-rate)")
	fl.IntVar(&f.block4, "block-ipv4", 24, "bits of an IPv4 address that name such a network")
	fl.IntVar(&f.block6, "block-ipv6", 48, "bits of an IPv6 address that name such a network; single sources are /64s")
	fl.StringVar(&f.accountRate, "account-rate", "", "runs of all functions of an account (default no limit of its own)")
	fl.IntVar(&f.accountConcurrency, "account-concurrency", 0, "runs at once of an account, those of functions with reserved concurrency included; 0: the node's")
	fl.Int64Var(&f.accountDay, "account-day", 0, "requests for functions of an account in a calendar day, in UTC; 0: no quota")
	fl.Int64Var(&f.accountMonth, "account-month", 0, "likewise in a calendar month")
}

// read checks the flags; none has a silent fallback.
func (f *limitFlags) read(cfg *nodeConfig) (err error) {
	bad := func(flag, message, hint string) error {
		return &casemate.Error{Code: casemate.Invalid, Field: "--" + flag, Message: message, Hint: hint}
	}
	for _, r := range []struct {
		flag, text string
		to         *casemate.Rate
	}{{"block-rate", f.blockRate, &cfg.BlockRate}, {"account-rate", f.accountRate, &cfg.Account.Rate}} {
		if r.text == "" {
			continue
		}
		if *r.to, err = quota.ParseRate(r.text); err != nil {
			return bad(r.flag, err.Error(), `"1000/s burst 2000"`)
		}
	}
	switch {
	case f.block4 < 8 || f.block4 > 32:
		return bad("block-ipv4", "not from 8 to 32", "24")
	case f.block6 < 16 || f.block6 > 64:
		return bad("block-ipv6", "not from 16 to 64", "48")
	case f.accountConcurrency < 0:
		return bad("account-concurrency", "must not be negative", "0 is the node's")
	case f.accountDay < 0:
		return bad("account-day", "must not be negative", "0 is no quota")
	case f.accountMonth < 0:
		return bad("account-month", "must not be negative", "0 is no quota")
	}
	cfg.Block = gate.Bits{IPv4: f.block4, IPv6: f.block6}
	cfg.Account.Concurrency, cfg.Account.Day, cfg.Account.Month = f.accountConcurrency, f.accountDay, f.accountMonth
	return nil
}
