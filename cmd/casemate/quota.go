package main

import (
	"context"
	"maps"
	"slices"

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

// carve sets aside the reserved concurrency of every function in force.
func (n *node) carve(s *catalog.Snapshot) {
	reserved, sum := map[string]int{}, 0
	for _, name := range s.Apps() {
		app, _ := s.App(name)
		for _, fn := range slices.Sorted(maps.Keys(app.Functions)) {
			f := app.Functions[fn]
			if v := f.Number(f.Live); v.Limits.Reserved != nil {
				reserved[v.ARN] = *v.Limits.Reserved
				sum += *v.Limits.Reserved
			}
		}
	}
	if sum >= n.cfg.Concurrency { // deploys are checked, but a node can be started with less than before
		n.cfg.Log.Error("functions reserve all of the node's concurrency: the others run one at a time", "reserved", sum, "concurrency", n.cfg.Concurrency)
	}
	n.quota.Carve(reserved)
}
