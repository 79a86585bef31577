package node

import (
	"context"
	"errors"
	"time"

	"casemate"
	"casemate/internal/keeper"
)

// watchEvery is how long a stream may outlast what its caller came with.
const watchEvery = time.Second

// watch gives a context that ends when the caller of a stream is not who it was any more: a stream goes on for hours, and its
// credential was looked at once. Its cause says so. The caller ends the watch by stop.
func watch(ctx context.Context, p *casemate.Principal, stands func(ctx context.Context, p *casemate.Principal) error) (under context.Context, stop func()) {
	under, cancel := context.WithCancelCause(ctx)
	k := keeper.Every(ctx, watchEvery, func(ctx context.Context) {
		if err := stands(ctx, p); err != nil && ctx.Err() == nil {
			cancel(&casemate.Error{Code: casemate.Unauthenticated, Message: "the credential that this was asked for with holds no more", Hint: "sign in again: casemate login", Err: err})
		}
	})
	return under, func() {
		k.Stop()
		cancel(nil)
	}
}

// stillStands looks again at a caller. Who may open the socket owns the node.
func (n *node) stillStands(ctx context.Context, p *casemate.Principal) error {
	if !p.Expires.IsZero() && !time.Now().Before(p.Expires) {
		return errors.New("the credential has expired")
	}
	switch p.Kind {
	case casemate.KindOperator:
		return n.operators.Holds(p)
	case casemate.KindKey:
		_, err := n.identity.Credential(ctx, casemate.Credential{Kind: casemate.CredentialRun, As: p})
		return err
	}
	return nil
}
