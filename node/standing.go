package node

import (
	"context"
	"io/fs"
	"path/filepath"
	"sync"
	"time"

	"casemate"
	"casemate/meter/price"
)

// standingEvery is how often what stands ready and what is stored is written down; the last stretch ends with the node.
const standingEvery = time.Hour

// openStanding has the node record what costs money although nothing runs: sandboxes that wait initialised, and storage. The
// bill is a sum of records, so it has to be in them. Budgets
// count it, and cannot refuse it: it was spent when it is written down.
func (n *node) openStanding(ctx context.Context) error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var work sync.WaitGroup
	since := time.Now()
	work.Go(func() {
		tick := time.NewTicker(standingEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				n.standing(since)
				return
			case <-tick.C:
				n.standing(since)
				since = time.Now()
			}
		}
	})
	n.onClose(func() error {
		cancel()
		work.Wait()
		return nil
	})
	return nil
}

// standing records the stretch since then.
func (n *node) standing(since time.Time) {
	span := time.Since(since)
	if span < time.Minute { // less than what storage is counted in
		return
	}
	snap := n.catalog.Snapshot()
	for _, name := range snap.Apps() {
		app, _ := snap.App(name)
		for fn, f := range app.Functions {
			for _, v := range f.Ahead() {
				if v.Spare > 0 {
					n.charge(&casemate.Record{App: name, Function: fn, Version: v.ID, Resource: v.ARN, Opened: since, Usage: casemate.Usage{Wall: span, MemoryMB: v.Spare * v.Limits.MemoryMB}})
				}
			}
		}
	}
	n.charge(&casemate.Record{Resource: n.cfg.Place.PlatformARN("storage", "node"), Opened: since, Usage: casemate.Usage{Wall: span, In: n.stored()}})
}

func (n *node) charge(r *casemate.Record) {
	book := n.purse.Load().Book()
	r.ID = casemate.NewID()
	r.Event, r.Chain, r.Source, r.Action, r.Principal, r.Book = r.ID, r.ID, price.SourceNode, price.StandingAction, "node", book.Digest
	r.Points = []casemate.Point{}
	r.Outcome = casemate.Outcome{OK: true, Status: "answered"}
	var err error
	if r.Cost, err = book.Cost(r); err != nil || r.Cost == 0 {
		return
	}
	if err = n.audit.Begin(r); err == nil {
		r.Closed = time.Now()
		err = n.audit.End(context.Background(), r, casemate.Written)
	}
	if err != nil {
		n.cfg.Log.Error("what stands ready is not written down", "err", err)
	}
}

// stored is the size of the node's folder.
func (n *node) stored() (size int64) {
	_ = filepath.WalkDir(n.cfg.Dir, func(_ string, d fs.DirEntry, err error) error { // what goes away meanwhile counts no more
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				size += info.Size()
			}
		}
		return nil
	})
	return size
}
