package node

import (
	"context"

	"casemate"
	"casemate/audit"
	"casemate/meter"
)

// openMeter makes the meter count what the audit log holds, and be told of what it gets.
func (n *node) openMeter(ctx context.Context) (err error) {
	m, err := meter.Open(ctx, meter.Config{Store: n.store, Log: n.cfg.Log, Read: func(ctx context.Context, from uint64, do func(uint64, *casemate.Record) error) error {
		return n.audit.Each(ctx, from, func(e audit.Entry) error { return do(e.Seq, &e.Record) })
	}})
	if err != nil {
		return err
	}
	n.meter.Store(m)
	n.onClose(m.Close)
	return nil
}

// count hands a closed record to the meter and the purse; one that comes before they are there is read from the log later.
func (n *node) count(seq uint64, r *casemate.Record) {
	if m := n.meter.Load(); m != nil {
		m.Count(seq, r)
	}
	if p := n.purse.Load(); p != nil {
		p.Count(seq, r)
	}
}

func usageBuiltins(m *meter.Meter) map[string]builtin {
	return map[string]builtin{
		"usage": question("casemate:ReadUsage", "usage", func(ctx context.Context, _ *casemate.Launch, f meter.Filter) (any, error) {
			return m.Usage(ctx, f)
		}),
	}
}
