package main

import (
	"context"

	"casemate/deploy"
	"casemate/deploy/bundle"
)

// recall asks the node what the last deploy of a stack was given, and what other stacks export. Without an answer everything has to be
// said: a template can be packed where there is no node.
func (a *app) recall(ctx context.Context, q *bundle.Template) {
	var r bundle.Recalled
	if err := a.callOn(ctx, q.Stack, "deploy.recall", deploy.HistoryRequest{App: q.Stack}, &r); err == nil {
		q.Recalled = &r
	}
}
