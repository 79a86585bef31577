package main

import (
	"github.com/spf13/pflag"

	"casemate"
	"casemate/gate"
	"casemate/node"
	"casemate/quota"
)

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
	fl.Int64Var(&f.accountMonth, "account-month", 0, "likewise in a calendar month; 0: no quota")
	within(fl, "block-ipv4", 8, 32)
	within(fl, "block-ipv6", 16, 64)
	within(fl, "account-concurrency", 0, most)
	within[int64](fl, "account-day", 0, unbounded)
	within[int64](fl, "account-month", 0, unbounded)
}

// read checks what add could not; no flag has a silent fallback.
func (f *limitFlags) read(cfg *node.Config) (err error) {
	for _, r := range []struct {
		flag, text string
		to         *casemate.Rate
	}{{"block-rate", f.blockRate, &cfg.BlockRate}, {"account-rate", f.accountRate, &cfg.Account.Rate}} {
		if r.text == "" {
			continue
		}
		if *r.to, err = quota.ParseRate(r.text); err != nil {
			return badFlag(r.flag, err.Error(), `"1000/s burst 2000"`)
		}
	}
	cfg.Block = gate.Bits{IPv4: f.block4, IPv6: f.block6}
	cfg.Account.Concurrency, cfg.Account.Day, cfg.Account.Month = f.accountConcurrency, f.accountDay, f.accountMonth
	return nil
}
