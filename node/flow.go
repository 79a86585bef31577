package node

import (
	"context"
	"time"

	"casemate/flow"
)

// openFlows opens what knows where each declared order of calls stands.
func (n *node) openFlows(ctx context.Context) (err error) {
	if n.flows, err = flow.Open(ctx, flow.Config{Store: n.store, Clock: time.Now, Log: n.cfg.Log}); err != nil {
		return err
	}
	n.onClose(n.flows.Close)
	return nil
}
